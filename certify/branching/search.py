"""The search of a question by the trains of its first layer, with what its splits taught.

Nodes are bounded in batches, closed, falsified and split (../search.py), until every row is decided.

What earlier splits of a row taught: pseudo-costs, as in integer programming.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor

from ...models.constants import at_least, settle, unless_none
from ...models.deadline import Expired, TimeIsUp, never
from ..search import FIRST, FULL, LEAST, Alone, Frontier, Limits, Told, search, unheard
from .bounding import Bounded, Climb, Patrol, attack_from
from .nodes.decisions import LEVEL, NodePool, Nodes, least_of
from .nodes.leaves import solve_leaf
from .question import MarginQuestion
from .workers import NodeCrew, Portion, bounded_here

PRIOR = 5.0
"""How many splits of average success a neuron is credited with before its first one."""


class Experience:
    """How far splits of each neuron brought each row: the share of the bound's deficit that both children made up.

    Args:
        rows: of the search.
        neurons: of the layer that is split.
    """

    def __init__(self, rows: int, neurons: int) -> None:
        self._gained = torch.zeros(rows, neurons, dtype=torch.float64)
        self._tried = torch.zeros(rows, neurons, dtype=torch.float64)

    def weights(self, rows: Tensor) -> Tensor:
        """Return by how much a split of each neuron did better than the average, (N, neurons)."""
        mean = (self._gained.sum() / self._tried.sum().clamp_min(1.0)).clamp_min(1e-6)
        return (self._gained[rows] / mean + PRIOR) / (self._tried[rows] + PRIOR)

    def learn(self, rows: Tensor, neurons: Tensor, before: Tensor, left: Tensor, right: Tensor) -> None:
        """Note the bounds before a split and of both children, each (N,); bounds above 0 count as 0."""
        gained = 1.0 - left.minimum(right).clamp_max(0.0) / before
        self._gained.index_put_((rows, neurons), gained + 0.01, accumulate=True)
        self._tried.index_put_((rows, neurons), torch.ones_like(gained), accumulate=True)


FIRST_BYTES = 2**26
"""What the first batch may take where there is a deadline and no node's time is known yet: a second of work."""
MOST_BYTES = 2**30
"""What the pool of open nodes, and the batches that are being bounded, may take, about: 1 GiB each."""
LEAST_SHARE = 16
"""Nodes to split that are given away at once where several processes share those that are open."""


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


@dataclass(frozen=True)
class Search:
    """How to search.

    Args:
        batch: nodes that are bounded at once.
        start: how the roots' prices are found.
        climb: how those of the other nodes are.
        most_bytes: of the pool; `MOST_BYTES` also bounds a batch, which may hold fewer nodes than `batch`.
        patience: work after which a sample is given up where there is no deadline, in bytes: nodes times what one
            takes; None: never.
        memory: bytes for pool and batches together, half of it each: the search ends where the pool is full. None:
            `most_bytes` and `MOST_BYTES` are aims.
    """

    batch: int = 256
    start: Climb = field(default_factory=lambda: Climb(30, 0.1, momenta=(0.7, 0.9)))
    climb: Climb = field(default_factory=Climb)
    most_bytes: int = MOST_BYTES
    patience: int | None = None
    memory: int | None = None

    def __post_init__(self) -> None:
        settle(self, at_least(1), "batch", "most_bytes")
        settle(self, unless_none(at_least(0)), "patience")
        settle(self, unless_none(at_least(1)), "memory")

    @property
    def room(self) -> int:
        """Return how many bytes the batches that are being bounded may take."""
        return MOST_BYTES if self.memory is None else min(MOST_BYTES, self.memory // 2)

    @property
    def most(self) -> int:
        """Return how many bytes the pool may take."""
        return self.most_bytes if self.memory is None else self.memory // 2

    def run(
        self,
        question: MarginQuestion,
        replays: Callable[[Tensor, int], bool],
        deadline: float | None,
        stopped: Expired = never,
        *,
        crew: NodeCrew | None = None,
        told: Told = unheard,
    ) -> Answer | None:
        """Return what was found, or None where branching does not reach the network, or a node takes too much.

        On Ctrl-C it returns what was proven before the batches that were underway.

        Args:
            question: the rows to decide.
            replays: whether a candidate of a sample is allowed and misclassified when run alone.
            deadline: `time.perf_counter()` at which to stop, or None.
            stopped: asked whether to stop, as the deadline is.
            crew: who bounds nodes; None: this process.
            told: told how the search stands, batch by batch.
        """
        try:
            roots = question.roots()
        except TimeIsUp:
            return Answer.of_nothing(len(question.specifications.samples))
        if roots is None or question.bytes_each > self.room:
            return None
        limits = Limits(deadline, stopped, None if self.memory is None else self.most, told)
        bounds = Alone(partial(bounded_here, question)) if crew is None else crew
        nodes = OpenNodes(self, question, replays, roots, limits, lambda: bounds.size)
        try:
            if crew is not None:
                crew.ask(question)
            first = max(LEAST, min(FIRST, FIRST_BYTES // question.bytes_each))
            why = search(nodes, limits, bounds, self.batch, first)
        except TimeIsUp:
            return replace(nodes.known, counterexamples=nodes.counterexamples, expired=True)
        except KeyboardInterrupt:
            return replace(nodes.known, expired=True, interrupted=True)
        return replace(nodes.known, full=why == FULL) if why else nodes.answer()


class OpenNodes(Frontier[Portion, Bounded]):
    """The open nodes and what is known of each row: roots first, then children of those that got least.

    Every part of a row's set that is not proven lies in `waiting`, in `pool`, in `flying` or is `closed`.

    Args:
        how: to search.
        question, replays: as in `Search.run`.
        roots: of the question.
        limits: when to end.
        size: says how many parts may be under work at once.

    Attributes:
        known: what was known when nodes were last settled: what is underway changes nothing of it.
    """

    def __init__(
        self,
        how: Search,
        question: MarginQuestion,
        replays: Callable[[Tensor, int], bool],
        roots: Nodes,
        limits: Limits,
        size: Callable[[], int] = lambda: 1,
    ) -> None:
        self.how, self.question, self.replays, self.limits, self.size = how, question, replays, limits, size
        self.pool: NodePool = NodePool(roots, how.most)
        self.waiting: Nodes = roots
        rows = len(question.specifications.samples)
        self.experience = Experience(rows, roots.decisions.size)
        self.flying: deque[Nodes] = deque()
        self.counterexamples: dict[int, Tensor] = {}
        self.closed: Tensor = torch.full((rows,), torch.inf, dtype=torch.float64)
        self.stuck: Tensor = torch.zeros(rows, dtype=torch.bool)
        self.nodes: Tensor = torch.zeros(rows, dtype=torch.long)
        self.generator: torch.Generator = torch.Generator().manual_seed(0)
        self.patrol: Patrol = Patrol(len(question.inputs))
        self.known: Answer = self.answer()

    @property
    def batch(self) -> int:
        """Return how many nodes may be bounded at once in one part."""
        return max(2, min(self.how.batch, self.how.room // self.question.bytes_each // self.size()))

    @property
    def open(self) -> bool:
        """Return whether anything is left to do."""
        return bool(len(self.waiting) or len(self.pool) or self.flying)

    @property
    def bytes(self) -> int:
        """Return what open nodes take."""
        return len(self.pool) * self.pool.each

    def standing(self) -> dict[str, float]:
        """Return the least bound, nodes so far, open ones, their depth, and memory with that of batches."""
        return {
            "bound": float(self.known.bound.min()),
            "nodes": float(self.known.nodes.sum()),
            "open": float(len(self.pool) + len(self.waiting) + sum(map(len, self.flying))),
            "depth": float(self.pool.deepest),
            "memory": float(self.pool.bytes + self.batch * self.question.bytes_each * self.size()),
        }

    def over(self) -> str:
        """Return that each open sample had its share of work, where no deadline says when to stop."""
        patience = self.how.patience
        if self.limits.deadline is not None or patience is None or len(self.waiting):
            return ""
        return "its patience was out" if self.least_effort() * self.question.bytes_each >= patience else ""

    def take(self, most: int) -> Portion | None:
        """Return what to bound next: roots first, then children; None where nothing is open but underway."""
        most = min(most, self.batch)
        if len(self.waiting):
            every, climb = torch.arange(len(self.waiting)), self.how.start
            part, self.waiting = self.waiting.select(every[:most]), self.waiting.select(every[most:])
            self.flying.append(part)
        elif len(self.pool):
            share = max(LEAST_SHARE, -(-len(self.pool) // self.size()))
            self.flying.append(self.pool.take(min(most // 2, share), self.effort()))
            part, climb = self.flying[-1].children(), self.how.climb
        else:
            return None
        return Portion(part, climb, self.experience.weights(part.row), self.limits.deadline)

    def settle(self, bounded: Bounded) -> None:
        """Learn from the children of nodes that were split; close, falsify or keep what has come back bounded."""
        chosen = self.flying[0]
        if len(bounded.nodes) == 2 * len(chosen):
            left, right = bounded.nodes.bound.chunk(2)
            self.experience.learn(chosen.row, chosen.splits.neuron, chosen.bound, left, right)
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
            if self.limits.expired():
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
