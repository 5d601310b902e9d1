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
from ..bounds.trains.base import TrainRows
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
    score, first = _first_layer_score(gaps[::-1], problem), problem.layers[-1].stage.trains
    least = evaluation.minimisers[-1]
    if not isinstance(decisions, RateDecisions):
        neuron, place, splittable = decisions.split(first, nodes, score * weights, least, trace)
        return Splits(neuron, place), splittable
    weights = torch.as_tensor(weights, dtype=score.dtype).expand(len(nodes), decisions.size)
    layer, features = weights.split([decisions.layer.size, weights.shape[1] - decisions.layer.size], 1)
    neuron, place, splittable = decisions.split(first, nodes, score * layer, least, trace)
    other, is_open = split_features(problem, prices, decisions, features)
    neuron = torch.where(splittable, neuron, other.neuron)
    return Splits(neuron, torch.where(splittable, place, other.place)), splittable | is_open


def proposed_splits(
    found: TrainRows, samples: Tensor, proposal: Proposal, nodes: Tensor, rows: RowRanges, weights: Tensor | float
) -> tuple[Splits, Tensor]:
    """Return the split of some nodes as a kernel proposes it, and whether there is one, (N,) of bool.

    Args:
        found: the first layer's trains.
        samples, proposal: of S nodes: which row of the batch each is about, (S,).
        nodes: which of them, (N,).
        rows: that they have left.
        weights: as in `choose_splits`.
    """

    def believed(node: Tensor, neuron: Tensor, *_: Tensor) -> Tensor:
        return proposal.believed[nodes[node], neuron]

    score, currents = proposal.score[nodes] * weights, proposal.currents[nodes]
    neuron, place, splittable = rows.cut(found, samples[nodes], score, currents, believed)
    return Splits(neuron, place), splittable


def _gaps(layer: PricedLayer, costs: Tensor, prices: Tensor, least: Least, trace: Trace, stage: int) -> Tensor:
    """Return each neuron's Lagrangian gap, (N, n); 0 for neurons without a price."""
    pairs = layer.pairs
    currents = trace.currents[stage][: layer.stage.trains.price_steps]
    currents = currents.flatten(2)[:, pairs[0], pairs[1]].double()
    paid = ((layer.collected(currents) - least.currents) * prices).sum(0)
    gap = (costs * (trace.spikes[stage].double() - least.spikes)).flatten(2).sum(0)
    gap[pairs] -= paid
    return gap.clamp_min_(0.0)


def _first_layer_score(gaps: list[Tensor], problem: PricedProblem) -> Tensor:
    """Return the gaps of all layers, given first layer first, shared out to the neurons of the first, (N, n).

    What is shared out to the input itself is lost: no split is about it.
    """
    layers, nodes = problem.layers[::-1], problem.specifications.samples
    scores, decided = list(gaps), torch.zeros_like(problem.network.source.box.lower[0, nodes])
    boxes = (layer.stage.trains.steps() for layer in layers)
    openness = [decided, *((box.upper - box.lower)[:, nodes].sum(0) for box in boxes)]  # spikes of each neuron
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
