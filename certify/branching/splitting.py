"""Where to split a node: at the spikes that the relaxation got most wrong.

At its minimising input x*, the relaxation believes in trains s* and currents c* of its own choice; the network at
x* has trains s and currents c. The Lagrangian gap of a neuron,

    Σ_t A[t]·(s[t] − s*[t]) − μ[t]·(c[t] − c*[t]) ≥ 0,

is what it gains by its choice. For one hidden layer the gaps sum to the distance between the bound and the true
margin at x*. Only first-layer trains need deciding: a later layer's gap is shared out to the neurons that it
reads (behind a residual sum, of several layers), by |W| and by how many of their spikes are open, until all of it
is with the first. A table is split between the row of x* and that of the minimiser,
a graph at the first step where s and s* differ. The features of a rate code are split where no train is open.
"""

import torch
from torch import Tensor

from ...kernels.climb import Proposal
from ...models.networks import Trace
from ..bounds.prices.priced_layer import Least, PricedLayer
from ..bounds.prices.prices import Evaluation, PricedProblem
from ..bounds.prices.stages import SourcedChain
from ..bounds.trains.train_graph import GraphTrains
from ..bounds.trains.train_table import TableTrains, TrainTable
from .nodes.decisions import Decisions, RowRanges
from .nodes.nodes import Splits
from .rates import RateDecisions, split_features


def choose_splits(
    problem: PricedProblem,
    prices: list[Tensor],
    evaluation: Evaluation,
    trace: Trace,
    decisions: Decisions,
    weights: Tensor | float,
) -> tuple[Splits, Tensor]:
    """Return the split of each node, and whether there is one, (N,) of bool.

    Args:
        problem, prices, evaluation: of N nodes.
        trace: of the network at their minimising inputs.
        decisions: of the nodes' first layer.
        weights: of all that may be split, what experience says, (N, `decisions.size`).
    """
    nodes = problem.specifications.samples
    gaps = [
        _gaps(*part, trace, len(problem.layers) - 1 - depth)
        for depth, part in enumerate(
            zip(problem.layers, evaluation.costs, prices, evaluation.minimisers, strict=True)
        )
    ]
    score = _first_layer_score(gaps[::-1], problem)
    if not isinstance(decisions, RateDecisions):
        return _layer_split(problem, evaluation, trace, decisions, score * weights)
    weights = torch.as_tensor(weights, dtype=score.dtype).expand(len(nodes), decisions.size)
    layer, features = weights.split([decisions.layer.size, weights.shape[1] - decisions.layer.size], 1)
    split, splittable = _layer_split(problem, evaluation, trace, decisions.layer, score * layer)
    other, is_open = split_features(problem, prices, decisions, features)
    neuron = torch.where(splittable, split.neuron, other.neuron)
    return Splits(neuron, torch.where(splittable, split.place, other.place)), splittable | is_open


def proposed_splits(
    problem: PricedProblem, proposal: Proposal, nodes: Tensor, rows: RowRanges, weights: Tensor | float
) -> tuple[Splits, Tensor]:
    """Return the split of some nodes as a kernel proposes it, and whether there is one, (N,) of bool.

    Args:
        problem, proposal: of S nodes.
        nodes: which of them, (N,).
        rows: that they have left.
        weights: as in `choose_splits`.
    """
    samples, found = problem.specifications.samples[nodes], problem.layers[-1].stage.found
    assert isinstance(found, TableTrains)
    first = found.first[samples].flatten(1).maximum(rows.first)
    last = found.last[samples].flatten(1).minimum(rows.last)
    neuron, splittable = _greatest(proposal.score[nodes] * weights, first < last)
    each = torch.arange(len(neuron))
    first, last = first[each, neuron], last[each, neuron]
    current, believed = proposal.currents[nodes, neuron], proposal.believed[nodes, neuron]
    return Splits(neuron, _between(found.table, first, last, current, believed)), splittable


def _layer_split(
    problem: PricedProblem, evaluation: Evaluation, trace: Trace, decisions: Decisions, score: Tensor
) -> tuple[Splits, Tensor]:
    """Return where to split a first-layer neuron of each node, and whether one is open, (N,) of bool."""
    nodes, found = problem.specifications.samples, problem.layers[-1].stage.found
    least = evaluation.minimisers[-1]
    if isinstance(found, TableTrains):
        assert isinstance(decisions, RowRanges)
        first = found.first[nodes].flatten(1).maximum(decisions.first)
        last = found.last[nodes].flatten(1).minimum(decisions.last)
        neuron, place, splittable = _row_split(found.table, first, last, least, score, trace)
    else:
        assert isinstance(found, GraphTrains)
        neuron, place, splittable = _spike_split(found, nodes, least, score, trace)
    return Splits(neuron, place), splittable


def _gaps(layer: PricedLayer, costs: Tensor, prices: Tensor, least: Least, trace: Trace, stage: int) -> Tensor:
    """Return each neuron's Lagrangian gap, (N, n); 0 for neurons without a price."""
    pairs = layer.pairs
    currents = trace.currents[stage].flatten(2)[:, pairs[0], pairs[1]].double()
    if isinstance(layer.stage.found, TableTrains):
        currents = currents[:1]
    paid = ((layer.collected(currents) - least.currents) * prices).sum(0)
    gap = (costs * (trace.spikes[stage].double() - least.spikes)).flatten(2).sum(0)
    gap[pairs] -= paid
    return gap.clamp_min_(0.0)


def _openness(layer: PricedLayer, nodes: Tensor) -> Tensor:
    """Return how many spikes of each neuron are open, (N, ...)."""
    box = layer.stage.found.steps()
    return (box.upper - box.lower)[:, nodes].sum(0)


def _first_layer_score(gaps: list[Tensor], problem: PricedProblem) -> Tensor:
    """Return the gaps of all layers, given first layer first, shared out to the neurons of the first, (N, n).

    What is shared out to the input itself is lost: no split is about it.
    """
    layers, nodes = problem.layers[::-1], problem.specifications.samples
    scores, decided = list(gaps), torch.zeros_like(problem.network.source.box.lower[0, nodes])
    openness = [decided, *(_openness(layer, nodes) for layer in layers)]
    for stage in range(len(layers) - 1, 0, -1):
        branches = layers[stage].stage.branches
        sources = [source for branch in branches for source in branch.sources]
        shares = _share(branches, scores[stage], [openness[source] for source in sources])
        for source, share in zip(sources, shares, strict=True):
            if source > 0:
                scores[source - 1] = scores[source - 1] + share
    return scores[0]


def _share(branches: tuple[SourcedChain, ...], score: Tensor, openness: list[Tensor]) -> list[Tensor]:
    """Share out each neuron's score to those that its branches read, by |W|·openness, (N, n before) each."""
    widths = [width.clone().requires_grad_() for width in openness]
    with torch.enable_grad():
        taken = iter(widths)
        parts = [branch.reach(taken).flatten(1) for branch in branches]
        reach = torch.stack(parts).sum(0)
        pulled = torch.autograd.grad(reach, widths, score / reach.detach().clamp_min(1e-300))
    return [(share * width.detach()).flatten(1) for share, width in zip(pulled, widths, strict=True)]


def _row_split(
    table: TrainTable, first: Tensor, last: Tensor, least: Least, score: Tensor, trace: Trace
) -> tuple[Tensor, Tensor, Tensor]:
    """Split the rows of one neuron between the row of x* and that of the minimiser."""
    neuron, splittable = _greatest(score, first < last)
    node = torch.arange(len(neuron), device=neuron.device)
    first, last = first[node, neuron], last[node, neuron]
    current = trace.currents[0][0].flatten(1)[node, neuron].double()
    believed = _row_of(table, least.spikes.flatten(2)[:, node, neuron], first, last)
    return neuron, _between(table, first, last, current, believed), splittable


def _between(table: TrainTable, first: Tensor, last: Tensor, current: Tensor, believed: Tensor) -> Tensor:
    """Return where to cut rows first..last, between that of a current and the believed one, (N,) each."""
    actual = torch.searchsorted(table.upper, current).minimum(last).maximum(first)
    believed = believed.minimum(last).maximum(first)
    place = torch.where(actual < believed, actual, torch.where(actual > believed, actual - 1, believed))
    return place.minimum(last - 1).maximum(first)


def _row_of(table: TrainTable, spikes: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """Return the row first ≤ r ≤ last with the given train, (T, N) → (N,)."""
    row = torch.arange(len(table.trains), device=first.device)
    same = (table.trains @ spikes * 2 - table.trains.sum(1, keepdim=True) == spikes.sum(0)).T
    inside = (row >= first[:, None]) & (row <= last[:, None])
    return (same & inside).long().argmax(1)


def _spike_split(
    found: GraphTrains, nodes: Tensor, least: Least, score: Tensor, trace: Trace
) -> tuple[Tensor, Tensor, Tensor]:
    """Split the first step at which x* and the minimiser differ, or the first open one."""
    open_steps = (found.box.lower < found.box.upper)[:, nodes].flatten(2)
    neuron, splittable = _greatest(score, open_steps.any(0))
    node = torch.arange(len(neuron), device=neuron.device)
    opened = open_steps[:, node, neuron]
    actual = trace.spikes[0].flatten(2)[:, node, neuron].double()
    differs = opened & (actual != least.spikes.flatten(2)[:, node, neuron])
    place = torch.where(differs.any(0), differs.long().argmax(0), opened.long().argmax(0))
    return neuron, place, splittable


def _greatest(score: Tensor, open_neurons: Tensor) -> tuple[Tensor, Tensor]:
    """Return the open neuron with the greatest score in each node, and whether there is an open one."""
    neuron = torch.where(open_neurons, score, -1.0).argmax(1)
    return neuron, open_neurons.any(1)
