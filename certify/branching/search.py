"""The search of a question, with what its splits taught and the pace of its batches.

The search: bound nodes in batches, close, falsify, split, until every row is decided or the time is up.

What earlier splits of a row taught: pseudo-costs, as in integer programming.

How many nodes, or samples, to bound at once where there is a deadline: as many as fit into the time left.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ...models.constants import at_least, settle, unless_none
from ...models.deadline import Expired, TimeIsUp, never, passed
from .bounding import Bounded, Climb
from .nodes.frontier import Answer, Frontier, NodePool, Told, standing, unheard
from .question import MarginQuestion
from .workers import Alone, Crew, Portion

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


FIRST = 32
"""Nodes of the first batch: what a node takes is not known yet."""
LEAST = 2
"""Nodes of a batch: both children of one."""
SHARE = 0.5
"""Of the time that is left, what the next batch may take: nodes differ."""


class Pace:
    """What a node took so far.

    Args:
        deadline: `time.perf_counter()` at which to stop, or None.
        first, least: how many are in the first batch, and at least in others.
    """

    def __init__(self, deadline: float | None, first: int = FIRST, least: int = LEAST) -> None:
        self._deadline, self._first, self._least = deadline, first, least
        self._each: float | None = None

    def fits(self, wanted: int) -> int:
        """Return how many of the `wanted` nodes to take next, at least `least`."""
        if self._deadline is None:
            return wanted
        if self._each is None:
            return min(wanted, self._first)
        left = max(0.0, self._deadline - time.perf_counter())
        return min(wanted, max(self._least, int(SHARE * left / max(self._each, 1e-9))))

    @property
    def late(self) -> bool:
        """Return whether the least batch would take more time than is left."""
        if self._deadline is None or self._each is None:
            return False
        return self._least * self._each > self._deadline - time.perf_counter()

    def note(self, nodes: int, seconds: float) -> None:
        """Note what so many nodes took; the slower of the last two batches counts."""
        each, before = seconds / max(nodes, 1), self._each
        self._each = each if before is None else max(each, 0.5 * before)


FIRST_BYTES = 2**26
"""What the first batch may take where there is a deadline and no node's time is known yet: a second of work."""
MOST_BYTES = 2**30
"""What the pool of open nodes, and the batches that are being bounded, may take, about: 1 GiB each."""
LEAST_SHARE = 16
"""Nodes to split that are given away at once where several processes share those that are open."""


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

    def run(
        self,
        question: MarginQuestion,
        replays: Callable[[Tensor, int], bool],
        deadline: float | None,
        stopped: Expired = never,
        *,
        crew: Crew | None = None,
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

        def expired() -> bool:
            """Return whether to stop."""
            return stopped() or passed(deadline)

        most = self.most_bytes if self.memory is None else self.memory // 2
        frontier = Frontier(question, replays, NodePool(roots, most), roots, expired)
        crew = Alone() if crew is None else crew
        try:
            crew.ask(question)
            return _Rounds(self, frontier, crew, deadline, told).answer()
        except TimeIsUp:
            return replace(frontier.known, counterexamples=frontier.counterexamples, expired=True)
        except KeyboardInterrupt:
            return replace(frontier.known, expired=True, interrupted=True)


class _Rounds:
    """One search, batch by batch."""

    def __init__(self, search: Search, frontier: Frontier, crew: Crew, deadline: float | None, told: Told) -> None:
        self.search, self.frontier, self.crew, self.deadline, self.told = search, frontier, crew, deadline, told
        roots, self.each = frontier.waiting, frontier.question.bytes_each
        self.pace = Pace(deadline, first=max(LEAST, min(FIRST, FIRST_BYTES // self.each)))
        rows = len(frontier.question.specifications.samples)
        self.experience = Experience(rows, roots.decisions.size)

    @property
    def batch(self) -> int:
        """Return how many nodes may be bounded at once in one part."""
        return max(2, min(self.search.batch, self.search.room // self.each // self.crew.size))

    def answer(self) -> Answer:
        """Search until nothing is open or it is time to stop."""
        while self.frontier.open:
            known = self.frontier.note()
            self.told(standing(self.frontier, self.deadline, self.batch * self.each * self.crew.size))
            if self.frontier.expired() or self.pace.late or self._patience_is_out():
                return known
            if self.search.memory is not None and len(self.frontier.pool) > self.frontier.pool.capacity:
                return replace(known, full=True)
            while self.crew.room and (part := self._taken()) is not None:
                self.crew.give(part)
            timed = self.crew.next(self.deadline)
            if timed is not None:
                self.pace.note(len(timed.bounded.nodes), timed.seconds)
                self._settle(timed.bounded)
        return self.frontier.answer()

    def _taken(self) -> Portion | None:
        """Return what to bound next: roots first, then children; None where nothing is open but underway."""
        most, frontier = self.pace.fits(self.batch), self.frontier
        if len(frontier.waiting):
            nodes, climb = frontier.begin(most), self.search.start
        elif len(frontier.pool):
            share = max(LEAST_SHARE, -(-len(frontier.pool) // self.crew.size))
            nodes, climb = frontier.split(min(most // 2, share)), self.search.climb
        else:
            return None
        return Portion(nodes, climb, self.experience.weights(nodes.row), self.deadline)

    def _settle(self, bounded: Bounded) -> None:
        """Learn from the children of nodes that were split, and settle them."""
        chosen = self.frontier.flying[0]
        if len(bounded.nodes) == 2 * len(chosen):
            left, right = bounded.nodes.bound.chunk(2)
            self.experience.learn(chosen.row, chosen.splits.neuron, chosen.bound, left, right)
        self.frontier.settle(bounded)

    def _patience_is_out(self) -> bool:
        """Return whether each open sample had its share of work, where no deadline says when to stop."""
        patience, frontier = self.search.patience, self.frontier
        if self.deadline is not None or patience is None or len(frontier.waiting):
            return False
        return frontier.least_effort() * self.each >= patience
