"""The search for good prices: Adam on the supergradient, specification by specification, best prices kept.

The bound at the best of them is what is proven.

Points of the relaxation behind prices: what no prices can lift a bound above.

By weak duality a bound by prices (prices.py) is at most the margin's value at any point of the relaxation: for
each layer and each of its neurons a mixture Σ_i w_i·(s_i, c_i), Σ w_i = 1, w_i ≥ 0, of trains s_i and scaled
currents c_i that its priced trains admit together, where the mean current Σ w_i·c_i is what the layer makes of the
mean trains of the layer before. For then, with the prices μ of all layers,

    min over trains and currents of A·s − μ·c ≤ Σ_i w_i·(A·s_i − μ·c_i),

and summed over layers all terms with μ cancel: what is left is the readout of the mean trains, and rounding that
is paid only takes from the bound. So **where such a value is below a level, so is the bound at every price**, and
a search for prices may end before it begins. Nothing here proves a margin: a mistake could only lose proofs.

The points are made in one pass forward. The input is the middle of its set, or the sample where the set is more
than a box; all layers but the last `FREE` ones have the one train that the exact recursion makes of it. In each of
those every neuron has a mixture of two: its mean current c̄ is moved to c̄ + (1 − w)·d with weight w and to c̄ − w·d
with weight 1 − w, where d reaches the first end of its box; of a few w and shares of d the mixture is taken that
costs least, among those whose two runs the trains admit. A last layer's trains cost what the readout says; an
earlier one's what the costs behind it pull back to.
"""

import math
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from ....models.constants import at_least, real, settle
from ....models.deadline import Expired, never
from ....models.rules import Leaky
from ....models.running.membrane import simulate_spikes
from .priced_layer import PricedGraph, PricedLayer
from .prices import Evaluation, PricedProblem, Specifications
from .stages import Staged

FREE = 2
"""Layers whose neurons have mixtures, counted from the readout."""

WEIGHTS = (0.1, 0.25, 0.5, 0.75, 0.9)
SHARES = (1.0, 0.5)
ROUNDING = 1e-6
"""What float64 may lose of a value at most, for each unit of what is added up."""


def ceilings(problem: PricedProblem) -> Tensor:
    """Return for each specification a number that its bound exceeds at no prices, (S,); ∞ where none is known."""
    if not _reached(problem):
        return torch.full_like(problem.specifications.coefficients[:, 0], torch.inf)
    costs, value = problem.readout()
    size, signals = value.abs(), [_middle(problem)]
    known = torch.ones_like(value, dtype=torch.bool)
    asked = _asked(problem)
    for place, layer in enumerate(reversed(problem.layers), start=1):
        current = _scaled_current(layer, signals)
        if place not in asked:
            signals.append(_followed(layer, current))
            continue
        trains, found = _mixed(layer, current, asked[place])
        signals.append(trains)
        known &= found
    for source, signal in enumerate(signals):
        part = (costs.of(source) * signal).flatten(2)
        value = value + part.sum((0, 2))
        size = size + part.abs().sum((0, 2))
    return torch.where(known, value + ROUNDING * size, torch.inf).nan_to_num(nan=torch.inf)


def _reached(problem: PricedProblem) -> bool:
    """Return whether each layer reads earlier signals themselves, and the last one's trains are a graph's."""
    stages = problem.network.stages
    readers = [*(stage.branches for stage in stages), problem.network.ends]
    return problem.layers[0].priced.trains.graph is not None and all(
        branch.direct and max(branch.sources) <= place for place, read in enumerate(readers) for branch in read
    )


def _middle(problem: PricedProblem) -> Tensor:
    """Return an input of each specification's set, (1 or T, S, ...): the sample where it is more than a box."""
    box, samples = problem.network.source.box, problem.specifications.samples
    return (box.middle if box.center is None else box.center)[:, samples]


def _asked(problem: PricedProblem) -> dict[int, Tensor]:
    """Return what a spike of the layers with mixtures costs, (T, S, ...) each, by the layer's place from 1.

    An earlier layer's is what its spikes' costs in the readout and in those behind it sum up to, were each spike
    there as likely as its current is great.
    """
    costs, _ = problem.readout()
    asked: dict[int, Tensor] = {}
    for layer in problem.layers[:FREE]:
        place = len(problem.layers) - len(asked)
        if layer.priced.trains.graph is None:
            break
        asked[place] = costs.of(place)
        chosen = asked[place].flatten(2)[:, layer.pairs[0], layer.pairs[1]]
        costs.pull_back(layer.stage.branches, layer.spread(chosen))
    return asked


def _scaled_current(layer: PricedLayer, signals: list[Tensor]) -> Tensor:
    """Return a[t]·I[t] of what earlier signals make, (T, S, ...)."""
    steps, scale = len(layer.settled), layer.stage.scale
    first, *others = (branch.carried(signals, layer.settled, layer.samples) for branch in layer.stage.branches)
    current = sum(others, first)
    return current.expand(steps, *current.shape[1:]) * scale.view(-1, *([1] * (current.dim() - 1)))


def _followed(layer: PricedLayer, current: Tensor) -> Tensor:
    """Return the trains that the exact recursion makes of scaled currents, (T, S, ...)."""
    return simulate_spikes(current, None, layer.stage.rule.dynamics, len(current))


def _mixed(layer: PricedLayer, current: Tensor, costs: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean trains (T, S, ...) of mixtures around mean currents, and whether each row has them all, (S,)."""
    graph, rule, pairs = layer.priced.trains.graph, layer.stage.rule, layer.pairs
    assert graph is not None
    middle, weights = (signal.flatten(2)[:, pairs[0], pairs[1]] for signal in (current, costs))
    trains, found = _runs(graph, rule, middle[None])
    best, mean = torch.where(found[0], (weights * trains[0]).sum(0), torch.inf), trains[0]
    lower, upper = graph.lower.minimum(middle), graph.upper.maximum(middle)
    for weight in WEIGHTS:
        away = ((upper - middle) / (1.0 - weight)).minimum((middle - lower) / weight)
        moved = [share * part * away for share in SHARES for part in (1.0 - weight, -weight)]
        trains, found = _runs(graph, rule, middle + torch.stack(moved))
        for k in range(0, len(moved), 2):
            mixed = torch.lerp(trains[k + 1], trains[k], weight)
            value = (weights * mixed).sum(0)
            better = found[k] & found[k + 1] & (value < best)
            best, mean = torch.where(better, value, best), torch.where(better, mixed, mean)
    whole = layer.settled.flatten(2).clone()
    whole[:, pairs[0], pairs[1]] = mean
    lost = best.new_zeros(len(layer.samples)).index_add_(0, pairs[0], best.isinf().to(best))
    return whole.view_as(layer.settled), lost == 0


def _runs(graph: PricedGraph, rule: Leaky, currents: Tensor) -> tuple[Tensor, Tensor]:
    """Return the trains of scaled currents (K, T, P), and whether the graph admits them with those, (K, P)."""
    count, steps, pairs = currents.shape
    potential, last = currents.new_zeros(count, pairs), currents.new_zeros(count, pairs).long()
    admitted, trains = torch.ones_like(last, dtype=torch.bool), []
    for t in range(steps):
        potential = torch.add(currents[:, t], potential, alpha=rule.decay)
        low, high, edge = (part.gather(0, last) for part in (graph.low[t], graph.high[t], graph.edges[t]))
        fired = potential >= rule.threshold
        admitted &= (low <= potential) & (potential <= high) & (edge | ~fired)
        last = torch.where(fired, t + 1, last)
        if rule.reset == "zero":
            potential = potential.masked_fill(fired, 0.0)
        elif rule.reset == "subtract":
            potential = torch.where(fired, potential - rule.drop, potential)
        trains.append(fired)
    return torch.stack(trains, 1).to(currents), admitted & graph.ends.gather(0, last)


MOST_BYTES = 2**28
"""What the priced graphs of one search may take, about: 256 MiB."""


@dataclass(frozen=True)
class Climbed:
    """What a search found.

    Attributes:
        bound: the best bound of each specification, (S,).
        prices: those it holds at, last layer first, (S, steps, neurons).
    """

    bound: Tensor
    prices: tuple[Tensor, ...]

    def subset(self, rows: Tensor) -> "Climbed":
        """Return some specifications only."""
        return Climbed(self.bound[rows], tuple(price[rows] for price in self.prices))


@dataclass(frozen=True)
class PriceSearch:
    """How to search.

    A specification whose gains, extrapolated, leave it too far below the target is given up, and with it all
    others about its sample: one margin that is not proven leaves a sample open. That costs proofs, no soundness.
    One that provably ends below what its caller could use is given up before; that costs no proof.

    Args:
        iterations: at most.
        rate: Adam's step, as a share of a neuron's own coefficient; it falls to a tenth on the way.
        regroup: after how many iterations specifications that are proven or given up are dropped.
        momentum: Adam's, of the supergradient.
        outlook: how often the gain of the last `regroup` iterations is counted again as what is still to come.
        reach: how far below the target a specification may be expected to end, in units of what prices gain.
    """

    iterations: int = 60
    rate: float = 0.06
    regroup: int = 5
    momentum: float = 0.8
    outlook: float = 2.0
    reach: float = 2.0

    def __post_init__(self) -> None:
        settle(self, at_least(0), "iterations")
        settle(self, at_least(1), "regroup")
        settle(self, real, "rate", "momentum")
        settle(self, partial(real, finite=False), "outlook", "reach")

    def run(
        self,
        network: Staged,
        specifications: Specifications,
        target: float = 0.0,
        start: tuple[Tensor, ...] | None = None,
        expired: Expired = never,
        useful: Tensor | None = None,
    ) -> Climbed:
        """Return the best bound found for each specification; one above `target` is not improved.

        With an infinite target none is given up.

        As many specifications go at once as fit into `MOST_BYTES`; the bounds do not depend on how many.

        Args:
            network: the network in stages.
            specifications: the margins to bound, S.
            target: what is enough.
            start: prices to start from, as `Climbed.prices`; 0 where not given.
            expired: asked before each iteration; where it says so, what was found so far is returned.
            useful: a specification whose bound is below this at all prices is not climbed, (S,); None: all are.
        """
        rows = torch.arange(len(specifications.samples), device=specifications.samples.device)
        prices = zero_prices(network, len(rows)) if start is None else start
        found = [
            self._climb(
                network,
                specifications.subset(part),
                target,
                tuple(p[part] for p in prices),
                expired,
                None if useful is None else useful[part],
            )
            for part in rows.split(max(1, MOST_BYTES // bytes_each(network)))
        ]
        joined = zip(*(part.prices for part in found), strict=True)
        return Climbed(torch.cat([part.bound for part in found]), tuple(map(torch.cat, joined)))

    def _climb(
        self,
        network: Staged,
        specifications: Specifications,
        target: float,
        start: tuple[Tensor, ...],
        expired: Expired,
        useful: Tensor | None,
    ) -> Climbed:
        best = specifications.coefficients.new_full((len(specifications.samples),), -torch.inf)
        rows, kept = torch.arange(len(best), device=best.device), tuple(map(torch.zeros_like, start))
        state = Ascent.start(PricedProblem.of(network, specifications), start, (self.momentum, 0.99))
        outlook, whole = _Outlook(specifications.samples, target, self), state.problem
        for iteration in range(self.iterations + 1):
            if iteration > 0 and expired():
                break
            evaluation = state.problem.evaluate(state.prices)
            state.keep(rows, evaluation.bound > best[rows], kept)
            best[rows] = best[rows].maximum(evaluation.bound)
            left = best[rows] <= target
            if iteration == self.regroup and useful is not None:
                left &= (best > outlook.bounds[0])[rows] | (ceilings(state.problem) >= useful[rows])
            if iteration % self.regroup == 0:
                left &= ~outlook.hopeless(best)[rows]
            if iteration == self.iterations or not bool(left.any()):
                break
            share = 1.0 - 0.9 * iteration / self.iterations
            state.climb(evaluation.gradients, self.rate * share, state.own_units(evaluation))
            if iteration % self.regroup == 0 and not bool(left.all()):
                state, rows = state.kept(left), rows[left]
        return Climbed(whole.evaluate(pair_prices(whole, kept)).bound, kept)


@dataclass
class _Outlook:
    """Which specifications are not worth further iterations."""

    samples: Tensor
    target: float
    search: PriceSearch
    bounds: list[Tensor] = field(default_factory=list)

    def hopeless(self, best: Tensor) -> Tensor:
        """Note the bounds of another `regroup` iterations; return which are about a sample to give up, (S,)."""
        self.bounds.append(best.clone())
        if len(self.bounds) < 4 or math.isinf(self.target):
            return torch.zeros_like(best, dtype=torch.bool)
        expected = best + self.search.outlook * (best - self.bounds[-2])
        far = self.target - expected > self.search.reach * (expected - self.bounds[0])
        return about_same_sample(far & (best > self.bounds[0]), self.samples)


def about_same_sample(rows: Tensor, samples: Tensor) -> Tensor:
    """Return which specifications are about the same sample as any of `rows`, both (S,) of bool."""
    marked = torch.zeros(int(samples.max()) + 1, dtype=torch.bool, device=samples.device)
    marked[samples[rows]] = True
    return marked[samples]


@dataclass
class Ascent:
    """Adam on the supergradient of one problem, each specification in its own unit, the greatest coefficient."""

    problem: PricedProblem
    prices: list[Tensor]
    first: list[Tensor]
    second: list[Tensor]
    unit: Tensor
    momenta: tuple[float, float] = (0.9, 0.99)
    count: int = 0

    @staticmethod
    def start(
        problem: PricedProblem, dense: tuple[Tensor, ...], momenta: tuple[float, float] = (0.9, 0.99)
    ) -> "Ascent":
        """Start from prices as in `Climbed`; `momenta` are Adam's β₁ and β₂."""
        prices = pair_prices(problem, dense)
        zeros = [[torch.zeros_like(price) for price in prices] for _ in range(2)]
        return Ascent(problem, prices, zeros[0], zeros[1], _unit(problem), momenta)

    def climb(self, gradients: tuple[Tensor, ...], rate: float, units: list[Tensor] | None = None) -> None:
        """Take one Adam step upward, in each specification's unit, or in each pair's where `units` are given."""
        self.count += 1
        keep, keep_squares = self.momenta
        scale = rate * (1 - keep_squares**self.count) ** 0.5 / (1 - keep**self.count)
        if units is None:
            units = [self.unit[layer.pairs[0]] for layer in self.problem.layers]
        for layer, price, gradient, first, second, unit in zip(
            self.problem.layers, self.prices, gradients, self.first, self.second, units, strict=True
        ):
            first.lerp_(gradient, 1 - keep)
            second.mul_(keep_squares).addcmul_(gradient, gradient, value=1 - keep_squares)
            step = (first / second.sqrt().add_(1e-12)).mul_(unit)
            price.add_(step * layer.priced.lasting, alpha=scale)

    def keep(self, rows: Tensor, better: Tensor, kept: tuple[Tensor, ...]) -> None:
        """Write the prices of the specifications that got better into rows `rows` of `kept`."""
        for layer, price, target in zip(self.problem.layers, self.prices, kept, strict=True):
            chosen = better[layer.pairs[0]]
            most = torch.finfo(target.dtype).max
            stored = price.T[chosen].nan_to_num(0.0).clamp(-most, most)
            target[rows[layer.pairs[0][chosen]], :, layer.pairs[1][chosen]] = stored.to(target)

    def own_units(self, evaluation: Evaluation) -> list[Tensor]:
        """Return each pair's mean coefficient on a spike, plus a fifth of its specification's greatest, (P,) each.

        A neuron whose spikes hardly count needs small prices: with the same step for all, the first ten
        iterations undo each other.
        """
        return [
            least.weights / len(layer.settled) + 0.2 * self.unit[layer.pairs[0]]
            for layer, least in zip(self.problem.layers, evaluation.minimisers, strict=True)
        ]

    def kept(self, left: Tensor) -> "Ascent":
        """Return the state of the specifications that are left, prices and momenta carried over."""
        specifications = self.problem.specifications.subset(left)
        kept = [left[layer.pairs[0]] for layer in self.problem.layers]

        def select(tensors: list[Tensor]) -> list[Tensor]:
            return [tensor[:, mask] for tensor, mask in zip(tensors, kept, strict=True)]

        return Ascent(
            PricedProblem.of(self.problem.network, specifications),
            select(self.prices),
            select(self.first),
            select(self.second),
            self.unit[left],
            self.momenta,
            self.count,
        )


def zero_prices(network: Staged, count: int) -> tuple[Tensor, ...]:
    """Return prices of 0 for `count` specifications, last layer first, (count, steps, neurons) each."""
    return tuple(
        stage.lower.new_zeros(count, stage.trains.price_steps, size)
        for stage in reversed(network.stages)
        for size in (stage.lower[0, 0].numel(),)
    )


def pair_prices(problem: PricedProblem, dense: tuple[Tensor, ...]) -> list[Tensor]:
    """Return the prices of the pairs that each layer of `problem` prices, (steps, P)."""
    return [
        price[layer.pairs[0], :, layer.pairs[1]].T.contiguous()
        for layer, price in zip(problem.layers, dense, strict=True)
    ]


def _unit(problem: PricedProblem) -> Tensor:
    """Return each specification's greatest coefficient on a single spike, (S,)."""
    costs, _ = problem.readout()
    sources = [source for end in problem.network.ends for source in end.sources]
    parts = [costs.of(source).abs().flatten(2).amax((0, 2)) for source in sources]
    return torch.stack(parts).amax(0)


def bytes_each(network: Staged) -> int:
    """Return about how much one specification takes."""
    return 8 * sum(stage.lower[0, 0].numel() * stage.trains.price_numbers for stage in network.stages)
