"""Bound a batch of nodes: climb from their parents' prices, and say where each is best split.

Where to split a node: at the spikes that the relaxation got most wrong.

At its minimising input x*, the relaxation believes in trains s* and currents c* of its own choice; the network at
x* has trains s and currents c. The Lagrangian gap of a neuron,

    Σ_t A[t]·(s[t] − s*[t]) − μ[t]·(c[t] − c*[t]) ≥ 0,

is what it gains by its choice. For one hidden layer the gaps sum to the distance between the bound and the true
margin at x*. Only first-layer trains need deciding: a later layer's gap is shared out to the neurons that it
reads (behind a residual sum, of several layers), by |W| and by how many of their spikes are open, until all of it
is with the first. A table is split between the row of x* and that of the minimiser,
a graph at the first step where s and s* differ. The features of a rate code are split where no train is open.

Attack from where the relaxation is least: a node's minimising input is a better start than a random one.
"""

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...kernels.climb import ClimbSettings, Proposal, ProvenNodes
from ...models.constants import at_least, real, reals, settle
from ...models.networks import Trace
from ..attacks.gradients import LOSSES, climb, differentiate, margins_at
from ..bounds.prices.price_search import Ascent, pair_prices
from ..bounds.prices.priced_layer import Least, PricedLayer
from ..bounds.prices.prices import Evaluation, PricedProblem, Specifications
from ..bounds.prices.stages import SourcedChain, Staged
from ..perturbations import RangedSet
from .fused_climb import FusedClimb
from .nodes.decisions import Decisions, Nodes, RowRanges, Splits, trim_rows
from .question import MarginQuestion
from .rates import RateDecisions, split_features, trim_rates


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


ENOUGH = 1e-5
"""Where a kernel stops to climb: above 0 by what float32 may lose."""


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
        rate: Adam's step, as a share of the greatest coefficient on a spike: a long one leaves the parent's prices
            first, and half of the climb is spent on coming back.
        regroup: after how many iterations nodes that are proven are dropped.
        memory: weight of the earlier minimising inputs in their running mean, which comes closer to the
            relaxation's solution than the last of them.
        momenta: Adam's β₁ and β₂: a climb is short, and starts near its end.
    """

    iterations: int = 10
    rate: float = 0.05
    regroup: int = 5
    memory: float = 0.9
    momenta: tuple[float, float] = (0.5, 0.9)

    def __post_init__(self) -> None:
        settle(self, at_least(0), "iterations")
        settle(self, at_least(1), "regroup")
        settle(self, real, "rate", "memory")
        settle(self, reals, "momenta")


@dataclass(frozen=True)
class _ClimbedNodes(ABC):
    """What a climb found of N nodes.

    Attributes:
        bound: of each at its `prices`, (N,).
        prices: the best ones, in the nodes' dtype, last layer first.
        open: indices of the nodes that are not proven, (O,).
        inputs: a running mean of the open nodes' minimising inputs, (1 or T, O, ...).
    """

    bound: Tensor
    prices: tuple[Tensor, ...]
    open: Tensor
    inputs: Tensor

    @abstractmethod
    def trimmed(self, decisions: Decisions) -> Decisions:
        """Return the decisions of the open nodes without what is proven at their prices."""

    @abstractmethod
    def splits(
        self, question: MarginQuestion, inputs: Tensor, nodes: Nodes, likely: Tensor | float
    ) -> tuple[Tensor, tuple[Splits, Tensor]]:
        """Return the logits at the open `nodes`' inputs, where each is best split, and whether it can be."""


@dataclass(frozen=True)
class _Evaluated(_ClimbedNodes):
    """What torch found.

    Attributes:
        problem, evaluation: of the open nodes, at `pairs`, their prices.
    """

    problem: PricedProblem
    pairs: list[Tensor]
    evaluation: Evaluation

    def trimmed(self, decisions: Decisions) -> Decisions:
        """Trim the features of a rate code, and the rows of a table."""
        if isinstance(decisions, RateDecisions):
            return trim_rates(self.problem, self.pairs, self.evaluation, decisions)
        if isinstance(decisions, RowRanges):
            return trim_rows(self.problem, self.pairs, self.evaluation, decisions)
        return decisions

    def splits(
        self, question: MarginQuestion, inputs: Tensor, nodes: Nodes, likely: Tensor | float
    ) -> tuple[Tensor, tuple[Splits, Tensor]]:
        """Choose by what the network does at the inputs."""
        trace = question.trace(inputs)
        chosen = choose_splits(self.problem, self.pairs, self.evaluation, trace, nodes.decisions, likely)
        return trace.logits, chosen


@dataclass(frozen=True)
class _Fused(_ClimbedNodes):
    """What a kernel found.

    Attributes:
        climb: the kernel.
        samples: which row of the batch each node is about, (N,).
        proposal, proven: about all nodes.
    """

    climb: FusedClimb
    samples: Tensor
    proposal: Proposal
    proven: ProvenNodes

    def trimmed(self, decisions: Decisions) -> Decisions:
        """Keep the rows that are needed."""
        assert isinstance(decisions, RowRanges)
        lowest, highest = (
            rows[self.open].to(decisions.first.dtype) for rows in (self.proven.lowest, self.proven.highest)
        )
        return RowRanges(decisions.first.maximum(lowest), decisions.last.minimum(highest))

    def splits(
        self, question: MarginQuestion, inputs: Tensor, nodes: Nodes, likely: Tensor | float
    ) -> tuple[Tensor, tuple[Splits, Tensor]]:
        """Take what decides most."""
        stage, decisions, score = self.climb.network.stages[0], nodes.decisions, self.proposal.score[self.open]
        found, at = stage.trains.rows, self.samples[self.open]
        assert isinstance(decisions, RowRanges)
        assert found is not None
        left = decisions.within(found, at)
        split = torch.zeros_like(left.first) if stage.split is None else stage.split[at].flatten(1)
        weights = torch.as_tensor(likely, dtype=score.dtype).expand_as(score)
        cuts = question.best_cuts(nodes, left, split.bool(), score, weights)
        return question.network(inputs), (Splits(*cuts), (left.first < left.last).any(1))


@torch.no_grad()
def bound_nodes(
    question: MarginQuestion,
    nodes: Nodes,
    climb: Climb,
    weights: Tensor | None = None,
    until: float | None = None,
) -> Bounded:
    """Return the nodes with bounds that are at least their parents'.

    Args:
        question: that they are about.
        nodes: N.
        climb: how to find prices.
        weights: of all that may be split, (N, neurons): see `choose_splits`.
        until: `time.perf_counter()` at which torch climbs no further, since any prices give a bound; None: never.
    """
    network, empty = question.staged(nodes)
    done = Bounded(
        replace(nodes, bound=torch.where(empty, torch.inf, nodes.bound)),
        torch.zeros_like(empty),
        question.inputs[question.samples(nodes)].clone(),
        torch.full_like(nodes.bound, torch.inf),
    )
    alive = (~empty).nonzero().flatten()
    if len(alive) == 0:
        return done
    left = nodes.select(alive)
    specifications = question.specifications.about(alive, left.row)
    by_rows = isinstance(left.decisions, RowRanges) and question.foresees
    found = _climbed(network, specifications, left.prices, climb, until, by_rows)
    bound = done.nodes.bound.index_copy(0, alive, left.bound.maximum(found.bound))
    prices = zip(nodes.prices, found.prices, strict=True)
    prices = tuple(old.index_copy(0, alive, new) for old, new in prices)
    done = replace(done, nodes=replace(done.nodes, bound=bound, prices=prices))
    return done if len(found.open) == 0 else _with_splits(question, done, alive, found, weights)


def _with_splits(
    question: MarginQuestion, done: Bounded, alive: Tensor, found: _ClimbedNodes, weights: Tensor | None
) -> Bounded:
    """Say of the open nodes among those `alive` where they are best split, and which inputs may falsify them."""
    rows = alive[found.open]
    left, candidates, tried = done.nodes.select(rows), done.candidates, done.margins
    decisions = found.trimmed(left.decisions)
    candidates[rows] = inputs = question.inputs_at(left, found.inputs)
    labels = question.labels[question.samples(left)]
    likely = 1.0 if weights is None else weights[rows]
    logits, chosen = found.splits(question, inputs, replace(left, decisions=decisions), likely)
    tried[rows] = question.goal.values(logits, labels, inputs).double()
    row = done.nodes.row.index_put((rows,), question.chosen(left.row, logits, inputs))
    split, splittable = chosen
    none = torch.zeros_like(done.nodes.row)
    splits = Splits(none.index_put((rows,), split.neuron), none.index_put((rows,), split.place))
    nodes = replace(done.nodes, splits=splits, row=row).redecided(rows, decisions)
    return Bounded(nodes, done.splittable.index_put((rows,), splittable), candidates, tried)


def _climbed(
    network: Staged,
    specifications: Specifications,
    start: tuple[Tensor, ...],
    climb: Climb,
    until: float | None,
    by_rows: bool,
) -> _ClimbedNodes:
    """Climb by a kernel where one reaches network and decisions; all nodes are bounded at the prices found."""
    fused = FusedClimb.of(network) if by_rows and specifications.inputs is None else None
    if fused is None:
        return _climb(network, specifications, start, climb, until)
    settings = ClimbSettings(climb.iterations, climb.rate, climb.memory, climb.momenta, ENOUGH)
    proposal = fused.run(specifications, start, settings)
    proven = fused.prove(specifications, proposal.prices)
    is_open = (proven.bound <= 0).nonzero().flatten()
    inputs = proposal.inputs.view(1, -1, *network.source.box.lower.shape[2:])[:, is_open]
    samples = specifications.samples
    return _Fused(proven.bound, proposal.prices, is_open, inputs, fused, samples, proposal, proven)


def _climb(
    network: Staged, specifications: Specifications, start: tuple[Tensor, ...], climb: Climb, until: float | None
) -> _ClimbedNodes:
    """Climb; what is proven leaves on the way. Then bound all at their best prices."""
    kept = tuple(torch.zeros_like(price) for price in start)  # neurons whose train is certain carry no price
    problem = PricedProblem.of(network, specifications)
    state = Ascent.start(problem, tuple(price.double() for price in start), climb.momenta)
    rows = torch.arange(len(specifications.samples), device=specifications.samples.device)
    evaluation = problem.evaluate(state.prices)
    best, inputs = evaluation.bound.clone(), evaluation.inputs
    state.keep(rows, torch.ones_like(best, dtype=torch.bool), kept)
    left_time = _ClimbTime(until)
    for iteration in range(climb.iterations):
        left = best[rows] <= 0
        if not bool(left.any()) or left_time.late():
            break
        state.climb(evaluation.gradients, climb.rate * (1.0 - 0.9 * iteration / climb.iterations))
        if (iteration + 1) % climb.regroup == 0 and not bool(left.all()):
            state, rows = state.kept(left), rows[left]
        evaluation = state.problem.evaluate(state.prices)
        inputs[:, rows] = inputs[:, rows].lerp(evaluation.inputs, 1.0 - climb.memory)
        state.keep(rows, evaluation.bound > best[rows], kept)
        best[rows] = best[rows].maximum(evaluation.bound)
    return _proven(network, specifications, best, kept, inputs)


class _ClimbTime:
    """Says when to climb no further, with time left for the bound that counts: some two of them."""

    def __init__(self, until: float | None) -> None:
        self._until, self._last = until, time.perf_counter()

    def late(self) -> bool:
        """Return whether what this iteration takes, if it is like the last, is no longer left."""
        if self._until is None:
            return False
        before, self._last = self._last, time.perf_counter()
        return self._last + 3.0 * (self._last - before) >= self._until


def _proven(
    network: Staged, specifications: Specifications, best: Tensor, prices: tuple[Tensor, ...], inputs: Tensor
) -> _ClimbedNodes:
    """Bound each node at its prices, first those that are `best` > 0."""
    is_open, bound = best <= 0, torch.empty_like(best)
    if not bool(is_open.all()):
        bound[~is_open] = _evaluated(network, specifications, ~is_open, prices)[2].bound
        is_open |= bound.masked_fill(is_open, torch.inf) <= 0
    problem, pairs, evaluation = _evaluated(network, specifications, is_open, prices)
    bound[is_open] = evaluation.bound
    left = is_open.nonzero().flatten()
    return _Evaluated(bound, prices, left, inputs[:, is_open], problem, pairs, evaluation)


def _evaluated(
    network: Staged, specifications: Specifications, rows: Tensor, prices: tuple[Tensor, ...]
) -> tuple[PricedProblem, list[Tensor], Evaluation]:
    """Return the problem of some nodes, their prices pair by pair, and the bound there."""
    problem = PricedProblem.of(network, specifications.subset(rows))
    pairs = pair_prices(problem, tuple(price[rows].double() for price in prices))
    return problem, pairs, problem.evaluate(pairs)


STEPS = 8
STARTS = 16
SHARE = 0.25
"""The first step's length, as a share of the set's extent; it shrinks with the steps."""

REST = 16
"""After so many batches without an attack there is one, whatever the candidates are."""
NEARER = 0.9
"""What the least margin must fall to, as a share of the least before, for an attack."""


class Patrol:
    """When to attack: where a candidate came clearly nearer than all before about its sample, and now and then.

    Args:
        samples: how many there are.
    """

    def __init__(self, samples: int) -> None:
        self._nearest = torch.full((samples,), torch.inf, dtype=torch.float64)
        self._rested = REST

    def starts(self, samples: Tensor, distances: Tensor) -> bool:
        """Note the margins of a batch's candidates, (N,) each; return whether to attack from them."""
        if len(samples) == 0:
            return False
        before = self._nearest.clone()
        self._nearest.scatter_reduce_(0, samples, distances, "amin")
        self._rested += 1
        if self._rested <= REST and not bool((self._nearest < NEARER * before).any()):
            return False
        self._rested = 0
        return True


def attack_from(
    question: MarginQuestion, samples: Tensor, starts: Tensor, distances: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return samples and allowed inputs that the network misclassifies (in a batch: to be replayed).

    Args:
        question: what is asked.
        samples: of each start, (N,).
        starts: allowed inputs, (N, ...).
        distances: their margins, (N,); the `STARTS` least are tried.
        generator: for gradients that vanish.
    """
    threat = question.perturbation
    if not isinstance(threat, RangedSet) or len(samples) == 0:
        return samples[:0], starts[:0]
    chosen = distances.argsort()[:STARTS]
    samples, points = samples[chosen], starts[chosen]
    labels, inputs = question.labels[samples], question.inputs[samples]
    network, labels, ties = question.goal.posed(question.network, labels)
    found = torch.zeros_like(samples, dtype=torch.bool)
    worst = points.clone()
    for step in range(STEPS):
        slope = differentiate(network, points, labels, LOSSES["margin"])
        move = climb(threat, slope.gradient, generator) * (SHARE * (1.0 - step / STEPS))
        points = threat.project(points + move, inputs)
        fell = ~found & (margins_at(network, points, labels, ties) <= 0)
        worst[fell] = points[fell]
        found |= fell
    return samples[found], worst[found]
