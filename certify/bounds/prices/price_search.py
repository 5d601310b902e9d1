"""The search for good prices: Adam on the supergradient, specification by specification, best prices kept.

The bound at the best of them is what is proven.
"""

import math
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from ....models.constants import at_least, real, settle
from ....models.deadline import Expired, never
from .mixtures import ceilings
from .prices import Evaluation, PricedProblem, Specifications
from .stages import Staged

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
    One that provably ends below what its caller could use (mixtures.py) is given up before; that costs no proof.

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
