"""The frontier of a search: what is open, what is underway, and what is known of each row."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ....models.deadline import Expired
from ..bounding import Bounded
from ..falsifying import Patrol, attack_from
from ..question import MarginQuestion
from .leaves import solve_leaf
from .nodes import Nodes
from .pool import NodePool, least_of
from .trimming import LEVEL


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


class Frontier:
    """The open nodes and what is known of each row.

    Every part of a row's set that is not proven lies in `waiting`, in `pool`, in `flying` or is `closed`.

    Attributes:
        known: what was known when `note` was last called: what is underway changes nothing of it.
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

    def note(self) -> Answer:
        """Set `known` to what is known now."""
        self.known = self.answer()
        return self.known

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
