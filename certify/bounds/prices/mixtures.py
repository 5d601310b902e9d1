"""Points of the relaxation behind prices: what no prices can lift a bound above.

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

import torch
from torch import Tensor

from ....models.rules import Leaky
from ....models.running.membrane import simulate_spikes
from .priced_layer import PricedGraph, PricedLayer
from .prices import PricedProblem

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
    return isinstance(problem.layers[0].priced.trains, PricedGraph) and all(
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
        if not isinstance(layer.priced.trains, PricedGraph):
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
    graph, rule, pairs = layer.priced.trains, layer.stage.rule, layer.pairs
    assert isinstance(graph, PricedGraph)
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
