"""The frontier of a search, the pool of what is open, and how it stands.

The frontier of a search: what is open, what is underway, and what is known of each row.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ....models.deadline import Expired
from ..bounding import Bounded
from ..falsifying import Patrol, attack_from
from ..question import MarginQuestion
from .leaves import solve_leaf
from .nodes import LEVEL, Nodes


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


Told = Callable[[Mapping[str, float]], None]
"""Called with the newest figures by name."""


def unheard(figures: Mapping[str, float]) -> None:
    """Tell nobody: the default."""


def standing(frontier: Frontier, deadline: float | None, batches: int) -> dict[str, float]:
    """Return the least bound, nodes so far, open ones, their depth, memory, and what is left of the time.

    Args:
        frontier: whose last `note` is told.
        deadline: `time.perf_counter()` at which the search stops; without one nobody knows how long it takes.
        batches: bytes of the batches that are bounded at once.
    """
    known = frontier.known
    found = {
        "bound": float(known.bound.min()),
        "nodes": float(known.nodes.sum()),
        "open": float(len(frontier.pool) + len(frontier.waiting) + sum(map(len, frontier.flying))),
        "depth": float(frontier.pool.deepest),
        "memory": float(frontier.pool.bytes + batches),
    }
    left = {} if deadline is None else {"left": max(0.0, deadline - time.perf_counter())}
    return found | left
