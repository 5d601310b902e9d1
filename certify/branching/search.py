"""The search of a question by the trains of its first layer, with what its splits taught.

Nodes are bounded in batches, closed, falsified and split (../search.py), until every row is decided.

What earlier splits of a row taught: pseudo-costs, as in integer programming.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor

from ...models.constants import at_least, settle, unless_none
from ...models.deadline import Expired, TimeIsUp, never
from ..search import FIRST, FULL, LEAST, Alone, Frontier, Limits, Told, search, unheard
from .bounding import Bounded, Climb
from .nodes.frontier import Answer, NodePool, OpenNodes
from .question import MarginQuestion
from .workers import Crew, Portion, bounded_here

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

        most = self.most_bytes if self.memory is None else self.memory // 2
        limits = Limits(deadline, stopped, None if self.memory is None else most, told)
        nodes = OpenNodes(question, replays, NodePool(roots, most), roots, limits.expired)
        if crew is not None:
            crew.ask(question)
        bounds = Alone(partial(bounded_here, question)) if crew is None else crew
        frontier = _TrainFrontier(self, nodes, lambda: bounds.size, deadline)
        try:
            first = max(LEAST, min(FIRST, FIRST_BYTES // frontier.each))
            why = search(frontier, limits, bounds, self.batch, first)
        except TimeIsUp:
            return replace(nodes.known, counterexamples=nodes.counterexamples, expired=True)
        except KeyboardInterrupt:
            return replace(nodes.known, expired=True, interrupted=True)
        return replace(nodes.known, full=why == FULL) if why else nodes.answer()


class _TrainFrontier(Frontier[Portion, Bounded]):
    """Nodes that are open: roots are bounded first, then children of those whose sample got least.

    Args:
        how: to search.
        nodes: that are open, and what is known.
        size: says how many parts may be under work at once.
        deadline: at which climbs end.
    """

    def __init__(self, how: Search, nodes: OpenNodes, size: Callable[[], int], deadline: float | None) -> None:
        self.how, self.nodes, self.size, self.deadline = how, nodes, size, deadline
        self.each: int = nodes.question.bytes_each
        rows = len(nodes.question.specifications.samples)
        self.experience = Experience(rows, nodes.waiting.decisions.size)

    @property
    def batch(self) -> int:
        """Return how many nodes may be bounded at once in one part."""
        return max(2, min(self.how.batch, self.how.room // self.each // self.size()))

    @property
    def open(self) -> bool:
        """Return whether anything is left to do."""
        return self.nodes.open

    @property
    def bytes(self) -> int:
        """Return what open nodes take."""
        return len(self.nodes.pool) * self.nodes.pool.each

    def standing(self) -> dict[str, float]:
        """Return what the nodes say, and memory with that of batches."""
        return self.nodes.standing(self.batch * self.each * self.size())

    def take(self, most: int) -> Portion | None:
        """Return what to bound next: roots first, then children; None where nothing is open but underway."""
        most, nodes = min(most, self.batch), self.nodes
        if len(nodes.waiting):
            part, climb = nodes.begin(most), self.how.start
        elif len(nodes.pool):
            share = max(LEAST_SHARE, -(-len(nodes.pool) // self.size()))
            part, climb = nodes.split(min(most // 2, share)), self.how.climb
        else:
            return None
        return Portion(part, climb, self.experience.weights(part.row), self.deadline)

    def settle(self, bounded: Bounded) -> None:
        """Learn from the children of nodes that were split, and settle them."""
        chosen = self.nodes.flying[0]
        if len(bounded.nodes) == 2 * len(chosen):
            left, right = bounded.nodes.bound.chunk(2)
            self.experience.learn(chosen.row, chosen.splits.neuron, chosen.bound, left, right)
        self.nodes.settle(bounded)

    def over(self) -> str:
        """Return that each open sample had its share of work, where no deadline says when to stop."""
        patience, nodes = self.how.patience, self.nodes
        if self.deadline is not None or patience is None or len(nodes.waiting):
            return ""
        return "its patience was out" if nodes.least_effort() * self.each >= patience else ""
