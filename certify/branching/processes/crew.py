"""Who bounds the nodes of a search: this process here; others in helpers.py."""

import time
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass

from torch import Tensor

from ..bounding import Bounded, Climb, bound_nodes
from ..nodes.nodes import Nodes
from ..question import MarginQuestion


@dataclass(frozen=True)
class Portion:
    """Nodes that are bounded at once.

    Attributes:
        nodes: N of them, at the prices where they start.
        climb: how theirs are found.
        weights: of all that may be split, what experience says, (N, neurons).
        until: `time.perf_counter()`, of any process of this machine, at which to climb no further; None: never.
    """

    nodes: Nodes
    climb: Climb
    weights: Tensor
    until: float | None = None


@dataclass(frozen=True)
class Timed:
    """What came of a part, and how long that took where it was done."""

    bounded: Bounded
    seconds: float


class Crew(ABC):
    """Bounds parts, which come back in the order in which they were given. Whoever does, it is the same bound.

    Attributes:
        size: how many parts may be under work at once.
    """

    size: int

    @abstractmethod
    def ask(self, question: MarginQuestion) -> None:
        """Take up a question; parts of another one that are not back are forgotten."""

    @property
    @abstractmethod
    def room(self) -> bool:
        """Return whether another part may be given."""

    @abstractmethod
    def give(self, part: Portion) -> None:
        """Have a part bounded."""

    @abstractmethod
    def next(self, deadline: float | None) -> Timed | None:
        """Return the oldest part once it is bounded; None if `deadline`, in `time.perf_counter()`, comes first."""


class Alone(Crew):
    """This process, one part at a time."""

    size = 1

    def __init__(self) -> None:
        self._given: deque[Portion] = deque()

    def ask(self, question: MarginQuestion) -> None:
        """Take up a question."""
        self._question = question
        self._given.clear()

    @property
    def room(self) -> bool:
        """Return whether nothing is given."""
        return not self._given

    def give(self, part: Portion) -> None:
        """Keep a part until it is asked for."""
        self._given.append(part)

    def next(self, deadline: float | None) -> Timed:
        """Bound the part."""
        return bounded_here(self._question, self._given.popleft())


def bounded_here(question: MarginQuestion, part: Portion) -> Timed:
    """Bound a part in this process."""
    started = time.perf_counter()
    bounded = bound_nodes(question, part.nodes, part.climb, part.weights, part.until)
    return Timed(bounded, time.perf_counter() - started)
