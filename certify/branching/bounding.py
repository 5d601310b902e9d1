"""Bound a batch of nodes: climb from their parents' prices, and say where each is best split."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..bounds.price_search import Ascent
from ..bounds.prices import Evaluation, PricedProblem, Specifications
from ..bounds.stages import Staged
from ..replay import margins
from .decisions import Decisions, RowRanges
from .experience import Experience
from .nodes import Nodes, Splits
from .question import Question
from .splitting import choose_splits
from .trimming import trim_rows


@dataclass(frozen=True)
class Bounded:
    """Nodes with their bounds, prices and splits.

    Attributes:
        nodes: the nodes.
        splittable: whether a split is left, (N,) of bool; meaningless where the bound is positive.
        candidates: allowed inputs near where the relaxation is least, (N, ...): what may falsify.
        margins: of the network at each candidate, +inf where it was not run, (N,) (in a batch: to be replayed).
    """

    nodes: Nodes
    splittable: Tensor
    candidates: Tensor
    margins: Tensor


@dataclass(frozen=True)
class Climb:
    """How to climb from the parent's prices.

    Args:
        iterations: of Adam; its step falls from `rate` to a tenth of it.
        rate: Adam's step, as a share of the greatest coefficient on a spike.
        regroup: after how many iterations nodes that are proven are dropped.
        memory: weight of the earlier minimising inputs in their running mean, which comes closer to the
            relaxation's solution than the last of them.
        momenta: Adam's β₁ and β₂: a climb is short, and starts near its end.
    """

    iterations: int = 20
    rate: float = 0.1
    regroup: int = 5
    memory: float = 0.9
    momenta: tuple[float, float] = (0.5, 0.9)


@dataclass(frozen=True)
class _Climbed:
    """What a climb found: the best bound of each node and its prices, and the last state of the open `rows`."""

    bound: Tensor
    prices: tuple[Tensor, ...]
    rows: Tensor
    state: Ascent
    evaluation: Evaluation
    inputs: Tensor


@torch.no_grad()
def bound_nodes(question: Question, nodes: Nodes, climb: Climb, experience: Experience | None = None) -> Bounded:
    """Return the nodes with bounds that are at least their parents'."""
    network, empty = question.staged(nodes)
    candidates = question.inputs[question.samples(nodes)].clone()
    no, none, tried = torch.zeros_like(empty), torch.zeros_like(nodes.row), torch.full_like(nodes.bound, torch.inf)
    alive = (~empty).nonzero().flatten()
    bound = torch.where(empty, torch.inf, nodes.bound)
    if len(alive) == 0:
        return Bounded(nodes.updated(bound, nodes.prices, nodes.splits), no, candidates, tried)
    found = _climb(network, alive, question.specifications.coefficients[nodes.row[alive]], nodes, climb)
    bound[alive] = bound[alive].maximum(found.bound)
    rows = alive[found.rows]
    left = nodes.select(rows)
    decisions = _trimmed(left.decisions, found)
    inputs = found.inputs.squeeze(0) if question.network.encoding == "direct" else found.inputs.transpose(0, 1)
    candidates[rows] = question.perturbation.project(inputs.to(candidates.dtype), candidates[rows])
    trace = question.network.trace(candidates[rows])
    tried[rows] = margins(trace.logits, question.labels[question.samples(left)]).double()
    weights = 1.0 if experience is None else experience.weights(left.row)
    split, splittable = choose_splits(
        found.state.problem, found.state.prices, found.evaluation, trace, decisions, weights
    )
    splits = Splits(none.index_put((rows,), split.neuron), none.index_put((rows,), split.place))
    done = nodes.updated(bound, found.prices, splits).redecided(rows, decisions)
    return Bounded(done, no.index_put((rows,), splittable), candidates, tried)


def _trimmed(decisions: Decisions, found: "_Climbed") -> Decisions:
    """Return the decisions of the open nodes without what is proven at the last prices."""
    if not isinstance(decisions, RowRanges):
        return decisions
    return trim_rows(found.state.problem, found.state.prices, found.evaluation, decisions)


def _climb(network: Staged, alive: Tensor, coefficients: Tensor, nodes: Nodes, climb: Climb) -> _Climbed:
    """Climb; nodes that are proven leave on the way."""
    start = tuple(price[alive].double() for price in nodes.prices)
    state = Ascent.start(PricedProblem.of(network, Specifications(alive, coefficients)), start, climb.momenta)
    rows, kept = torch.arange(len(alive), device=alive.device), tuple(price.clone() for price in nodes.prices)
    evaluation = state.problem.evaluate(state.prices)
    best, inputs = evaluation.bound.clone(), evaluation.inputs
    for iteration in range(climb.iterations):
        left = best[rows] <= 0
        if not bool(left.any()):
            break
        state.climb(evaluation.gradients, climb.rate * (1.0 - 0.9 * iteration / climb.iterations))
        if (iteration + 1) % climb.regroup == 0 and not bool(left.all()):
            state, rows, inputs = state.kept(left), rows[left], inputs[:, left]
        evaluation = state.problem.evaluate(state.prices)
        inputs = inputs.lerp(evaluation.inputs, 1.0 - climb.memory)
        better = evaluation.bound > best[rows]
        best[rows] = best[rows].maximum(evaluation.bound)
        _keep(state, alive[rows], better, kept)
    return _Climbed(best, kept, rows, state, evaluation, inputs)


def _keep(state: Ascent, nodes: Tensor, better: Tensor, kept: tuple[Tensor, ...]) -> None:
    """Write the prices of the nodes that got better."""
    for layer, price, target in zip(state.problem.layers, state.prices, kept, strict=True):
        chosen = better[layer.pairs[0]]
        target[nodes[layer.pairs[0][chosen]], :, layer.pairs[1][chosen]] = price.T[chosen].to(target)
