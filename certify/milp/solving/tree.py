"""Proves a lower bound of a program by a tree of linear ones; HiGHS proposes multipliers, `WeakDual` bounds.

HiGHS' own dual bound of a mixed-integer program is no proof: its presolve has called .25 a minimum that was 0.
"""

import time
from dataclasses import dataclass, field

import highspy
import numpy as np

from ..program import Expressions, Model
from .solver import prepared
from .weak_duality import WeakDual

INTEGRAL = 1e-6
"""How near to a whole number a relaxation's value counts as one."""


@dataclass(frozen=True)
class _Subprogram:
    """A part of the program: its variables' ends."""

    lower: np.ndarray
    upper: np.ndarray

    def split(self, variable: int, value: float) -> "tuple[_Subprogram, _Subprogram]":
        """Return the parts where an integer is at most, and at least the next after, `value`."""
        below, above = self.upper.copy(), self.lower.copy()
        below[variable], above[variable] = np.floor(value), np.floor(value) + 1.0
        return _Subprogram(self.lower, below), _Subprogram(above, self.upper)


@dataclass
class ProgramTree:
    """A search for a proof that an expression exceeds a number on all of a program.

    Args:
        model: the program.
        objective: of one row.
        enough: what is to be exceeded.
        deadline: `time.perf_counter()` at which to stop, or None.
        most: how many linear programs may be solved, or None.

    Attributes:
        solved: how many were.
    """

    model: Model
    objective: Expressions
    enough: float
    deadline: float | None
    most: int | None = None
    solved: int = 0
    _cost: np.ndarray = field(init=False)
    _dual: WeakDual = field(init=False)
    _solver: highspy.Highs = field(init=False)

    def __post_init__(self) -> None:
        self._cost = np.zeros(len(self.model.lower))
        self._cost[: self.objective.columns] = self.objective.matrix.toarray()[0]
        self._dual = WeakDual.of(self.model)
        self._solver = prepared(self.model.relaxed(), self.objective, None, presolve=False, nodes=None)

    def proven(self) -> float:
        """Return a lower bound above `enough` that holds on the whole program, or −inf."""
        parts, least = [_Subprogram(self.model.lower, self.model.upper)], np.inf
        while parts:
            if self._exhausted():
                return -np.inf
            part = parts.pop()
            bound, split = self._bounded(part)
            if bound > self.enough:
                least = min(least, bound)
            elif split is None:
                return -np.inf
            else:
                parts += split
        return float(least)

    def _exhausted(self) -> bool:
        late = self.deadline is not None and time.perf_counter() > self.deadline
        return late or (self.most is not None and self.solved >= self.most)

    def _bounded(self, part: _Subprogram) -> tuple[float, tuple[_Subprogram, _Subprogram] | None]:
        """Return a proven bound of one part, inf where it holds no point, and its halves, if it can be split."""
        values, multipliers, ray = self._solve(part)
        constant = float(self.objective.constant[0])
        found = [constant + self._dual.bound(self._cost, multipliers, part.lower, part.upper)]
        if ray is not None:
            nothing = np.zeros_like(self._cost)
            sizes = (self._dual.bound(nothing, side * ray, part.lower, part.upper) for side in (1.0, -1.0))
            found += [np.inf for size in sizes if size > 0]
        bound = max(-np.inf if np.isnan(one) else one for one in found)
        return bound, self._split(part, values)

    def _solve(self, part: _Subprogram) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Return what HiGHS says of a part's linear program: a point, multipliers, a ray if there is no point."""
        self.solved += 1
        columns = np.arange(len(part.lower), dtype=np.int32)
        self._solver.changeColsBounds(len(columns), columns, part.lower, part.upper)
        if self.deadline is not None:
            left = max(0.0, self.deadline - time.perf_counter())
            self._solver.setOptionValue("time_limit", self._solver.getRunTime() + left)
        self._solver.run()
        solution, ray = self._solver.getSolution(), None
        if self._solver.getModelStatus() == highspy.HighsModelStatus.kInfeasible:
            _, known, numbers = self._solver.getDualRay()  # pyright: ignore[reportAttributeAccessIssue]
            ray = np.array(numbers) if known else None
        shape = len(self.model.row_lower)
        return np.array(solution.col_value), _sized(np.array(solution.row_dual), shape), ray

    def _split(self, part: _Subprogram, values: np.ndarray) -> tuple[_Subprogram, _Subprogram] | None:
        """Return the parts by the integer that is the least whole; None where all are, as far as can be told."""
        free = self.model.integer & (part.lower < part.upper)
        if not free.any():
            return None
        values = np.clip(_sized(values, len(free)), part.lower, part.upper)
        distance = np.where(free, np.abs(values - np.round(values)), -1.0)
        variable = int(distance.argmax())
        if distance[variable] <= INTEGRAL and self._solver.getModelStatus() == highspy.HighsModelStatus.kOptimal:
            return None
        value = min(max(np.floor(values[variable]), part.lower[variable]), part.upper[variable] - 1.0)
        return part.split(variable, value)


def _sized(numbers: np.ndarray, size: int) -> np.ndarray:
    """Return the numbers, or as many zeros where HiGHS has none."""
    return numbers if len(numbers) == size else np.zeros(size)
