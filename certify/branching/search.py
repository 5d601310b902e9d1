"""The search: bound nodes in batches, close, falsify, split, until every row is decided or the time is up."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ...models.constants import at_least, settle, unless_none
from ..deadline import Expired, never
from .bounding import Bounded, Climb, bound_nodes
from .experience import Experience
from .falsifying import Patrol, attack_from
from .leaves import solve_leaf
from .nodes import NodePool, Nodes
from .pace import Pace
from .question import MarginQuestion
from .trimming import LEVEL

MOST_BYTES = 2**30
"""What the pool of open nodes, and a batch that is being bounded, may take, about: 1 GiB each."""


@dataclass(frozen=True)
class Answer:
    """What the search found.

    Attributes:
        bound: a proven lower bound of each row's margin, (rows,).
        counterexamples: per sample, an allowed input that the network misclassifies when run alone.
        stuck: rows with a leaf that floating point cannot decide: a tie within rounding, (rows,) of bool.
        nodes: how many nodes were bounded for each row, (rows,).
        expired: whether time or patience ran out.
    """

    bound: Tensor
    counterexamples: dict[int, Tensor]
    stuck: Tensor
    nodes: Tensor
    expired: bool


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
    """

    batch: int = 256
    start: Climb = field(default_factory=lambda: Climb(iterations=30, momenta=(0.7, 0.9)))
    climb: Climb = field(default_factory=Climb)
    most_bytes: int = MOST_BYTES
    patience: int | None = None

    def __post_init__(self) -> None:
        settle(self, at_least(1), "batch", "most_bytes")
        settle(self, unless_none(at_least(0)), "patience")

    def run(
        self,
        question: MarginQuestion,
        replays: Callable[[Tensor, int], bool],
        deadline: float | None,
        stopped: Expired = never,
    ) -> Answer | None:
        """Return what was found, or None where branching does not reach the network, or a node takes too much.

        Args:
            question: the rows to decide.
            replays: whether a candidate of a sample is allowed and misclassified when run alone.
            deadline: `time.perf_counter()` at which to stop, or None.
            stopped: asked whether to stop, as the deadline is.
        """
        roots = question.roots()
        if roots is None or (each := question.bytes_each) > MOST_BYTES:
            return None
        batch, pace = max(2, min(self.batch, MOST_BYTES // each)), Pace(deadline)

        def expired() -> bool:
            """Return whether to stop."""
            return stopped() or (deadline is not None and time.perf_counter() >= deadline)

        frontier = _Frontier(question, replays, NodePool(roots, self.most_bytes), len(roots), expired)
        experience = Experience(len(roots), roots.decisions.size)
        waiting = torch.arange(len(roots))
        while len(waiting) or len(frontier.pool):
            if expired():
                frontier.close(waiting, roots.bound[waiting])
                return frontier.answer(expired=True)
            if len(waiting):
                part, waiting = waiting.tensor_split([pace.fits(batch)])
                with pace.timed(len(part)):
                    frontier.settle(bound_nodes(question, roots.select(part), self.start, experience))
            elif (
                deadline is None and self.patience is not None and frontier.least_effort() * each >= self.patience
            ):
                return frontier.answer(expired=True)
            else:
                chosen = frontier.pool.take(pace.fits(batch) // 2, frontier.effort())
                with pace.timed(2 * len(chosen)):
                    self._split(frontier, chosen, experience)
        return frontier.answer(expired=False)

    def _split(self, frontier: "_Frontier", chosen: Nodes, experience: Experience) -> None:
        """Bound both children of each node."""
        bounded = bound_nodes(frontier.question, chosen.children(), self.climb, experience)
        left, right = bounded.nodes.bound.chunk(2)
        experience.learn(chosen.row, chosen.splits.neuron, chosen.bound, left, right)
        frontier.settle(bounded)


class _Frontier:
    """The open nodes and what is known of each row."""

    def __init__(
        self,
        question: MarginQuestion,
        replays: Callable[[Tensor, int], bool],
        pool: NodePool,
        rows: int,
        expired: Expired,
    ) -> None:
        self.question, self.replays, self.pool, self.expired = question, replays, pool, expired
        self.counterexamples: dict[int, Tensor] = {}
        self.closed = torch.full((rows,), torch.inf, dtype=torch.float64)
        self.stuck = torch.zeros(rows, dtype=torch.bool)
        self.nodes = torch.zeros(rows, dtype=torch.long)
        self.generator = torch.Generator().manual_seed(0)
        self.patrol = Patrol(len(question.inputs))

    def settle(self, bounded: Bounded) -> None:
        """Close, falsify or keep a batch of nodes."""
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
        return int(self.effort()[self.pool.least(len(self.closed)).isfinite()].min())

    def answer(self, expired: bool) -> Answer:
        """Return what is known now."""
        bound = self.closed.minimum(self.pool.least(len(self.closed)))
        bound = torch.where(self.nodes > 1, bound.clamp_max(LEVEL), bound)  # parts were dropped on the way
        return Answer(bound, self.counterexamples, self.stuck, self.nodes, expired)

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
