"""The frontier of a search, the pool of what is open, and how it stands.

The frontier of a search: what is open, what is underway, and what is known of each row.

A leaf, where each first-layer train is decided: the whole network is, and a linear program finds its inputs.

With all prices 0 the bound is the margin of the leaf's trains itself. Where that is not positive, the trains
confine the input to a polyhedron {x : Gx ≤ h} ∩ box. The program min t subject to Gx ≤ h + t finds its deepest
point where it has one: a candidate counterexample, since all of it runs alike. Where it is empty, t > 0, and the
program's multipliers y are prices that prove it: Σ y·(Gx − h) ≥ t on the whole box. Over an ℓ2 ball it is a cone
program. The solver is not trusted: its prices, scaled up, go through the same bound as any others. A leaf of a
rate code has one input train, and no program.
"""

import warnings
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ....models.deadline import Expired
from ...bounds.prices.stages import Stage
from ...bounds.signals.windows import Box
from ...bounds.trains.train_table import TrainRows
from ..bounding import Bounded, Climb, Patrol, attack_from, bound_nodes
from ..question import MarginQuestion
from ..rates import RateDecisions
from .decisions import LEVEL, Nodes

SCALES = (1.0, 1e2, 1e4, 1e6, 1e8)
"""By how much the multipliers are scaled: the margin's coefficients have their own size."""

NEAR = 1e-6
"""How far a candidate keeps from the border of its region, as a share of the way to the deepest point."""


@dataclass(frozen=True)
class LeafPoint:
    """What a leaf's program gave: a proven bound of the margin over the leaf, and an allowed input."""

    bound: float
    candidate: Tensor


@dataclass(frozen=True)
class _Region:
    """{x : matrix·x ≤ limit}, each row a sum Σ_t weights[r,t]·c[t] of currents of neuron[r], less a constant."""

    matrix: np.ndarray
    limit: np.ndarray
    weights: Tensor
    neuron: Tensor

    @property
    def size(self) -> np.ndarray:
        """Return each row's own scale, so that being t outside means the same for each."""
        return np.abs(self.matrix).sum(1) + 1e-12


def solve_leaf(question: MarginQuestion, leaf: Nodes) -> LeafPoint:
    """Bound one leaf (N = 1) by its own margin or by its emptiness, or find a point in it.

    Where its row has alternatives, the first one that proves the leaf is enough.
    """
    row, found = leaf.row, LeafPoint(-np.inf, question.inputs[question.samples(leaf)][0])
    for other in reversed(question.alternatives(int(row)).tolist()):
        found = _solved(question, replace(leaf, row=torch.full_like(row, other)))
        if found.bound > 0:
            break
    return found


def _solved(question: MarginQuestion, leaf: Nodes) -> LeafPoint:
    """Bound one leaf by its own row, or find a point in it."""
    inputs = question.inputs[question.samples(leaf)]
    margin = _bound(question, leaf, leaf.prices, (0.0,))
    if margin > 0:
        return LeafPoint(margin, inputs[0])
    if isinstance(leaf.decisions, RateDecisions):
        train = (leaf.decisions.draws[:, None] < leaf.decisions.low).double()  # the only one that is left
        return LeafPoint(margin, question.inputs_at(leaf, train)[0])
    network, _ = question.staged(leaf)
    box = network.source.box
    stage, steps, rows = network.stages[0], len(box.lower), network.stages[0].trains.rows
    region = _step_region(stage, steps) if rows is None else _row_region(rows, *stage.matrix())
    point, depth, multipliers = _deepest(region, box) if box.ball is None else _deepest_in_ball(region, box)
    if point is None:
        return LeafPoint(margin, inputs[0])
    if depth > 0:
        prices = (*(torch.zeros_like(price) for price in leaf.prices[:-1]), _prices(region, multipliers, leaf))
        return LeafPoint(max(margin, _bound(question, leaf, prices, SCALES)), inputs[0])
    if question.specifications.inputs is not None:
        costs = question.specifications.inputs[leaf.row]
        point, multipliers = _least(region, box, question.circuit.arranged(costs).flatten().numpy(), point)
        prices = (*(torch.zeros_like(price) for price in leaf.prices[:-1]), _prices(region, multipliers, leaf))
        margin = max(margin, _bound(question, leaf, prices, (1.0,)))
    arranged = torch.from_numpy(point).view(box.lower.shape)
    arranged = question.circuit.rearranged(arranged)
    return LeafPoint(margin, question.perturbation.project(arranged.to(inputs.dtype), inputs)[0])


def _least(region: _Region, box: Box, costs: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a point of the region, near the one of least costs, and that program's multipliers.

    Where the leaf's outputs are one number each, the least row is where e·x is least: a linear program, whose
    multipliers are prices at which the bound is its value.
    """
    from scipy.optimize import linprog  # imported here: scipy takes half a second

    low, high, size = box.lower.flatten().tolist(), box.upper.flatten().tolist(), region.size
    program = linprog(
        costs,
        A_ub=region.matrix / size[:, None],
        b_ub=region.limit / size,
        bounds=[*zip(low, high, strict=True)],
        method="highs",
    )
    if program.status != 0:
        return inside, np.zeros_like(size)
    return (1.0 - NEAR) * program.x + NEAR * inside, -program.ineqlin.marginals / size


def _deepest(region: _Region, box: Box) -> tuple[np.ndarray | None, float, np.ndarray]:
    """Return the deepest point of the region within a box, how far it lies outside, and the multipliers."""
    from scipy.optimize import linprog  # imported here: scipy takes half a second

    low, high, size = box.lower.flatten().tolist(), box.upper.flatten().tolist(), region.size
    program = linprog(
        np.append(np.zeros(len(low)), 1.0),
        A_ub=np.hstack([region.matrix / size[:, None], -np.ones((len(size), 1))]),
        b_ub=region.limit / size,
        bounds=[*zip(low, high, strict=True), (-1.0, None)],
        method="highs",
    )
    if program.status != 0:
        return None, 0.0, size
    return program.x[:-1], float(program.x[-1]), -program.ineqlin.marginals / size


def _deepest_in_ball(region: _Region, box: Box) -> tuple[np.ndarray | None, float, np.ndarray]:
    """Return what `_deepest` does, within box and ball: a cone program."""
    import cvxpy

    assert box.center is not None
    assert box.ball is not None
    cp: Any = cvxpy
    point, depth, size = cp.Variable(box.center.numel()), cp.Variable(), region.size
    inside = (region.matrix / size[:, None]) @ point <= region.limit / size + depth
    ends = [point >= box.lower.flatten().numpy(), point <= box.upper.flatten().numpy(), depth >= -1.0]
    ball = cp.norm(point - box.center.flatten().numpy(), 2) <= float(box.ball)
    program = cp.Problem(cp.Minimize(depth), [inside, ball, *ends])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # an inaccurate solution is as good as another: see above
            program.solve(solver=cp.CLARABEL)
    except cp.SolverError:
        return None, 0.0, size
    if point.value is None or inside.dual_value is None:
        return None, 0.0, size
    return np.asarray(point.value), float(program.value), np.asarray(inside.dual_value) / size


def _prices(region: _Region, multipliers: np.ndarray, leaf: Nodes) -> Tensor:
    """Return the multipliers as prices on the first layer's scaled currents, (1, steps, n)."""
    paid = torch.zeros_like(leaf.prices[-1][0].T, dtype=torch.float64)
    paid.index_add_(0, region.neuron, torch.from_numpy(multipliers)[:, None] * region.weights)
    return paid.T[None].to(leaf.prices[-1])


def _bound(question: MarginQuestion, leaf: Nodes, prices: tuple[Tensor, ...], scales: tuple[float, ...]) -> float:
    """Return the best bound of the leaf with its prices scaled by each of `scales`."""
    factors = torch.tensor(scales, dtype=torch.float32)[:, None, None]
    repeated = leaf.select(torch.zeros(len(scales), dtype=torch.long))
    bounded = bound_nodes(
        question, replace(repeated, prices=tuple(price * factors for price in prices)), Climb(iterations=0)
    )
    return float(bounded.nodes.bound.nan_to_num(-torch.inf).max())


def _row_region(rows: TrainRows, matrix: Tensor, bias: Tensor) -> _Region:
    """Return low ≤ W x + b ≤ high for the row of each neuron."""
    low, high = rows.currents.lower.flatten(), rows.currents.upper.flatten()
    count = len(bias)
    limit = torch.cat([high - bias, bias - low])
    keep = limit.isfinite()
    neuron = torch.arange(count).repeat(2)
    sign = torch.ones(2 * count, 1, dtype=torch.float64)
    sign[count:] = -1.0
    whole = torch.cat([matrix, -matrix])
    return _Region(whole[keep].numpy(), limit[keep].numpy(), sign[keep], neuron[keep])


def _step_region(stage: Stage, steps: int) -> _Region:
    """Return v[t] ≥ θ at each spike and v[t] ≤ θ elsewhere, (T·n rows)."""
    rule = stage.rule
    filtered, matrix, bias = stage.over_time()
    spikes = stage.trains.steps().lower.flatten(2)[:, 0]
    time, count = spikes.shape
    factors = torch.tensor(rule.factors(time), dtype=torch.float64)
    weight = torch.zeros(time, count, dtype=torch.float64)  # of each step's scaled current in the potential
    rows, limits, weights = [], [], []
    carried = torch.zeros(count, dtype=torch.float64)
    for t in range(time):
        weight = weight * rule.decay
        weight[t] = 1.0
        carried = carried * rule.decay
        sign = 1.0 - 2.0 * spikes[t]
        on_currents = weight * factors[:, None]
        on_inputs = (filtered.T @ on_currents).T[:, :, None] * matrix[:, None, :]
        if steps == 1:
            on_inputs = on_inputs.sum(1, keepdim=True)
        constant = (on_currents * bias).sum(0) + carried
        rows.append(sign[:, None] * on_inputs.flatten(1))
        limits.append(sign * (rule.threshold - constant))
        weights.append(sign[:, None] * weight.T)
        if rule.reset == "zero":
            weight = weight * (1.0 - spikes[t])
        elif rule.reset == "subtract":
            carried = carried - rule.drop * spikes[t]
    neuron = torch.arange(count).repeat(time)
    return _Region(torch.cat(rows).numpy(), torch.cat(limits).numpy(), torch.cat(weights), neuron)


class NodePool:
    """Open nodes in slots that are used again; grows by doubling, and tensor by tensor.

    Args:
        like: nodes of the kind that will be stored.
        most_bytes: above half of this, `take` works depth first, which keeps the pool small.

    Attributes:
        capacity: how many nodes `most_bytes` hold.
        each: bytes of a node.
    """

    def __init__(self, like: Nodes, most_bytes: int) -> None:
        self._like = like
        self._slots = [tensor.new_empty((0, *tensor.shape[1:])) for tensor in like.tensors()]
        self._used = torch.zeros(0, dtype=torch.bool)
        self.each: int = sum(tensor[:1].numel() * tensor.element_size() for tensor in like.tensors())
        self.capacity: int = max(1, most_bytes // self.each)

    def __len__(self) -> int:
        """Return how many nodes are open."""
        return int(self._used.sum())

    @property
    def bytes(self) -> int:
        """Return what the slots take, used or not."""
        return len(self._used) * self.each

    @property
    def deepest(self) -> int:
        """Return the depth of the deepest open node, 0 where none is."""
        depth = self._slots[2][self._used]
        return int(depth.max()) if len(depth) else 0

    def put(self, nodes: Nodes) -> None:
        """Store nodes."""
        missing = len(nodes) - int((~self._used).sum())
        if missing > 0:
            room = max(0, self.capacity - len(self._used))
            self._grow(max(missing, min(len(self._used), room)))
        free = (~self._used).nonzero().flatten()[: len(nodes)]
        for slot, tensor in zip(self._slots, nodes.tensors(), strict=True):
            slot[free] = tensor
        self._used[free] = True

    def take(self, count: int, effort: Tensor) -> Nodes:
        """Remove and return up to `count` nodes: of the rows with least `effort` first, worst bound first.

        Above half of the capacity it takes the best bound first, and no more nodes than what is free holds.

        Args:
            count: at most so many.
            effort: nodes spent so far on what each row is about, (rows,).
        """
        used = self._used.nonzero().flatten()
        row, bound = self._slots[0][used], self._slots[1][used]
        deep = len(used) > self.capacity // 2
        order = (-bound if deep else bound).argsort(stable=True)
        turn = torch.log2(effort[row[order]] + 1.0).floor()
        order = order[turn.argsort(stable=True)] if not deep else order
        chosen = used[order[: min(count, max(1, self.capacity - len(used))) if deep else count]]
        taken = self._like.rebuilt([slot[chosen] for slot in self._slots])
        self._used[chosen] = False
        return taken

    def drop(self, rows: Tensor) -> None:
        """Forget the nodes of some rows, given by mask over all rows."""
        self._used &= ~rows[self._slots[0]] if len(self._used) else self._used

    def least(self, count: int) -> Tensor:
        """Return the least bound among the open nodes of each of `count` rows, +inf where there is none."""
        return least_of(count, [(self._slots[0][self._used], self._slots[1][self._used])])

    def _grow(self, more: int) -> None:
        for place, slot in enumerate(self._slots):
            self._slots[place] = torch.cat([slot, slot.new_zeros((more, *slot.shape[1:]))])
        self._used = torch.cat([self._used, self._used.new_zeros(more)])


def least_of(count: int, parts: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Return the least bound of each of `count` rows, +inf where there is none, of (rows, bounds) (N,) each."""
    least = torch.full((count,), torch.inf, dtype=torch.float64)
    for row, bound in parts:
        least.scatter_reduce_(0, row, bound, "amin")
    return least


@dataclass(frozen=True)
class Answer:
    """What the search found.

    Attributes:
        bound: a proven lower bound of each row's margin, (rows,).
        counterexamples: per sample, an allowed input that the network misclassifies when run alone.
        stuck: rows with a leaf that floating point cannot decide: a tie within rounding, (rows,) of bool.
        nodes: how many nodes were bounded for each row, (rows,).
        expired: whether time, patience or memory ran out, or it was interrupted.
        interrupted: whether Ctrl-C came.
        full: whether memory ran out.
    """

    bound: Tensor
    counterexamples: dict[int, Tensor]
    stuck: Tensor
    nodes: Tensor
    expired: bool
    interrupted: bool = False
    full: bool = False

    @staticmethod
    def of_nothing(rows: int) -> "Answer":
        """Return the answer of a search that the time did not suffice to begin."""
        none = torch.zeros(rows, dtype=torch.long)
        return Answer(torch.full((rows,), -torch.inf, dtype=torch.float64), {}, none.bool(), none, expired=True)


class OpenNodes:
    """The open nodes and what is known of each row.

    Every part of a row's set that is not proven lies in `waiting`, in `pool`, in `flying` or is `closed`.

    Attributes:
        known: what was known when nodes were last settled: what is underway changes nothing of it.
    """

    def __init__(
        self,
        question: MarginQuestion,
        replays: Callable[[Tensor, int], bool],
        pool: NodePool,
        roots: Nodes,
        expired: Expired,
    ) -> None:
        self.question: MarginQuestion = question
        self.replays: Callable[[Tensor, int], bool] = replays
        self.pool: NodePool = pool
        self.expired: Expired = expired
        self.waiting: Nodes = roots
        rows = len(question.specifications.samples)
        self.flying: deque[Nodes] = deque()
        self.counterexamples: dict[int, Tensor] = {}
        self.closed: Tensor = torch.full((rows,), torch.inf, dtype=torch.float64)
        self.stuck: Tensor = torch.zeros(rows, dtype=torch.bool)
        self.nodes: Tensor = torch.zeros(rows, dtype=torch.long)
        self.generator: torch.Generator = torch.Generator().manual_seed(0)
        self.patrol: Patrol = Patrol(len(question.inputs))
        self.known: Answer = self.answer()

    @property
    def open(self) -> bool:
        """Return whether anything is left to do."""
        return bool(len(self.waiting) or len(self.pool) or self.flying)

    def standing(self, batches: int) -> dict[str, float]:
        """Return the least bound, nodes so far, open ones, their depth, and memory, with `batches` bytes more."""
        return {
            "bound": float(self.known.bound.min()),
            "nodes": float(self.known.nodes.sum()),
            "open": float(len(self.pool) + len(self.waiting) + sum(map(len, self.flying))),
            "depth": float(self.pool.deepest),
            "memory": float(self.pool.bytes + batches),
        }

    def begin(self, count: int) -> Nodes:
        """Let the next `count` roots that wait take off."""
        every = torch.arange(len(self.waiting))
        part, rest = self.waiting.select(every[:count]), self.waiting.select(every[count:])
        self.flying.append(part)
        self.waiting = rest
        return part

    def split(self, count: int) -> Nodes:
        """Let up to `count` open nodes take off, and return their children, left ones first."""
        chosen = self.pool.take(count, self.effort())
        self.flying.append(chosen)
        return chosen.children()

    def settle(self, bounded: Bounded) -> None:
        """Close, falsify or keep the oldest of the batches that took off, which has come back bounded."""
        self._settle(bounded)
        self.flying.popleft()
        self.known = self.answer()

    def _settle(self, bounded: Bounded) -> None:
        nodes = bounded.nodes
        self.nodes.index_add_(0, nodes.row, torch.ones_like(nodes.row))
        self._falsify(bounded)
        alive = ~self._falsified()[nodes.row]
        closed = alive & (nodes.bound > 0)
        self.close(nodes.row[closed], nodes.bound[closed])
        left = alive & ~(nodes.bound > 0)  # NaN included: what proves nothing stays open
        self.pool.put(nodes.select(left & bounded.splittable))
        for index in (left & ~bounded.splittable).nonzero().flatten():
            leaf = nodes.select(index[None])
            if self.expired():
                self.close(leaf.row, leaf.bound)
            else:
                self._decide_leaf(leaf)

    def effort(self) -> Tensor:
        """Return how many nodes were spent on the sample of each row, (rows,)."""
        samples = self.question.specifications.samples
        spent = torch.zeros(len(self.question.inputs), dtype=torch.long).index_add_(0, samples, self.nodes)
        return spent[samples]

    def least_effort(self) -> int:
        """Return how many nodes were spent on the open sample that got the least."""
        return int(self.effort()[~self.least_open().isposinf()].min())

    def least_open(self) -> Tensor:
        """Return the least bound among the open nodes of each row, +inf where there is none."""
        parts = [(part.row, part.bound) for part in (self.waiting, *self.flying)]
        return self.pool.least(len(self.closed)).minimum(least_of(len(self.closed), parts))

    def answer(self) -> Answer:
        """Return what is known now, and whether all is decided."""
        bound = self.closed.minimum(self.least_open())
        dropped = (self.nodes > 1) | (self.question.groups is not None)  # nodes of groups move from row to row
        bound = torch.where(dropped, bound.clamp_max(LEVEL), bound)  # parts were dropped on the way
        known = dict(self.counterexamples)
        return Answer(bound, known, self.stuck.clone(), self.nodes.clone(), expired=self.open)

    def _falsify(self, bounded: Bounded) -> None:
        """Replay what failed in the batch, then attack from the candidates that came nearest."""
        samples, distances = self.question.samples(bounded.nodes), bounded.margins
        self._try_first(samples[distances <= 0], bounded.candidates[distances <= 0])
        near = (bounded.nodes.bound <= 0) & distances.isfinite() & ~self._falsified()[bounded.nodes.row]
        if self.patrol.starts(samples[near], distances[near]):
            found = attack_from(
                self.question, samples[near], bounded.candidates[near], distances[near], self.generator
            )
            self._try_first(*found)

    def _try_first(self, samples: Tensor, candidates: Tensor) -> None:
        """Replay the first candidate of each sample."""
        for sample in samples.unique().tolist():
            if sample not in self.counterexamples:
                self._try(sample, candidates[int((samples == sample).nonzero()[0])])

    def _try(self, sample: int, candidate: Tensor) -> bool:
        if not self.replays(candidate, sample):
            return False
        self.counterexamples[sample] = candidate.clone()
        self.pool.drop(self._falsified())
        return True

    def _falsified(self) -> Tensor:
        """Return the rows whose sample has a counterexample, (rows,) of bool."""
        known = torch.zeros(len(self.question.inputs), dtype=torch.bool)
        known[list(self.counterexamples)] = True
        return known[self.question.specifications.samples]

    def close(self, rows: Tensor, bound: Tensor) -> None:
        """Note a bound that will not be improved."""
        self.closed.scatter_reduce_(0, rows, bound, "amin")

    def _decide_leaf(self, leaf: Nodes) -> None:
        """Prove that a leaf's region is empty, or find a counterexample in it; else its row is stuck."""
        row, sample = int(leaf.row), int(self.question.samples(leaf))
        if sample in self.counterexamples:
            return
        point = solve_leaf(self.question, leaf)
        if point.bound > 0:
            # the leaf may be what trimming left of a greater set, so its own bound is no bound of the margin
            self.close(leaf.row, leaf.bound.new_tensor([min(point.bound, LEVEL)]))
        elif not self._try(sample, point.candidate):
            self.stuck[row] = True
            self.close(leaf.row, leaf.bound)
