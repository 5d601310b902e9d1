"""Proves a lower bound of a program by a tree of linear ones; HiGHS proposes multipliers, `WeakDual` bounds.

HiGHS' own dual bound of a mixed-integer program is no proof: its presolve has called .25 a minimum that was 0.

Which integer to split: pseudo-costs, learned from the splits that were tried.

A split at value v of variable j moves it down by v − ⌊v⌋ in one half and up by ⌈v⌉ − v in the other. What each
half's bound rose by, a unit moved, is its pseudo-cost; a variable's promise is the product of what both halves
should gain, of which more than what lacks counts for nothing. Untried variables have the mean, and sooner ones,
which the later ones follow from, are preferred: one at the end of the list is worth e^−2 of one at its head.
Achterberg, Koch, Martin (2005), Branching rules revisited.
"""

import time
from dataclasses import dataclass, field

import highspy
import numpy as np

from ...branching.nodes.frontier import Told, unheard
from ..program import Expressions, Model
from .solver import WeakDual, prepared

PREFERENCE = 2.0
"""How much more the first variable of a program is worth than its last, as an exponent."""
LEAST = 1e-6
"""A gain that stands for none."""


def product(gains: np.ndarray, lacking: float) -> np.ndarray:
    """Return the product of what the two halves gain, (2, …), up to what lacks."""
    return np.clip(gains, LEAST, max(lacking, LEAST)).prod(0)


@dataclass
class Pseudocosts:
    """What was gained, a unit moved, over the splits of each variable, down and up.

    Args:
        size: how many variables there are.
    """

    size: int
    _total: np.ndarray = field(init=False)
    _count: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self._total, self._count = np.zeros((2, self.size)), np.zeros(self.size)

    def learn(self, variable: int, moved: np.ndarray, gains: np.ndarray) -> None:
        """Note what both halves of a split gained, (2,), and how far they moved the variable, (2,)."""
        self._total[:, variable] += gains / np.maximum(moved, LEAST)
        self._count[variable] += 1

    def tried(self, variable: int) -> bool:
        """Return whether a variable was ever split."""
        return bool(self._count[variable] > 0)

    def promise(self, variables: np.ndarray, moved: np.ndarray, lacking: float) -> np.ndarray:
        """Return what splits of some variables promise, (n,), if they move them by `moved`, (2, n)."""
        known = self._count[variables] > 0
        mean = self._total.sum(1, keepdims=True) / max(1.0, self._count.sum()) if self._count.any() else 1.0
        each = np.where(known, self._total[:, variables] / np.maximum(self._count[variables], 1.0), mean)
        return product(each * moved, lacking)

    def ranked(self, variables: np.ndarray, moved: np.ndarray, lacking: float) -> np.ndarray:
        """Return the places of some variables, the most promising first, (n,)."""
        preference = np.exp(-PREFERENCE * np.arange(len(variables)) / len(variables))
        return np.argsort(-self.promise(variables, moved, lacking) * preference, kind="stable")


INTEGRAL = 1e-6
"""How near to a whole number a relaxation's value counts as one."""
TRIES = 8
"""The most variables of which both halves are bounded before one is split."""
BETTER = 2
"""How many that were tried elsewhere are tried again where they promise more than the best one gained."""


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


@dataclass(frozen=True)
class _SolvedPart:
    """A part that was bounded.

    Attributes:
        region: of the program.
        bound: of the objective there, proven; inf where the part holds no point.
        values: a point of its relaxation, (n,).
        optimal: whether that is said to be the best one.
    """

    region: _Subprogram
    bound: float
    values: np.ndarray
    optimal: bool


@dataclass
class ProgramTree:
    """A search for a proof that an expression exceeds a number on all of a program.

    The integer is split whose halves gained most, of a few that promise most: nodes cost more, trees are small.

    Args:
        model: the program.
        objective: of one row.
        enough: what is to be exceeded.
        deadline: `time.perf_counter()` at which to stop, or None.
        most: how many linear programs may be solved, or None.
        room: bytes that its open parts may take, or None.
        told: told how it stands, part by part.

    Attributes:
        solved: how many were.
    """

    model: Model
    objective: Expressions
    enough: float
    deadline: float | None
    most: int | None = None
    room: int | None = None
    told: Told = unheard
    solved: int = 0
    _cost: np.ndarray = field(init=False)
    _dual: WeakDual = field(init=False)
    _solver: highspy.Highs = field(init=False)
    _costs: Pseudocosts = field(init=False)

    def __post_init__(self) -> None:
        self._cost = np.zeros(len(self.model.lower))
        self._cost[: self.objective.columns] = self.objective.matrix.toarray()[0]
        self._dual, self._costs = WeakDual.of(self.model), Pseudocosts(len(self.model.lower))
        self._solver = prepared(self.model.relaxed(), self.objective, None, presolve=False, nodes=None)

    def proven(self) -> float:
        """Return a lower bound above `enough` that holds on the whole program, or −inf."""
        if self._exhausted():
            return -np.inf
        parts, least = [self._bounded(_Subprogram(self.model.lower, self.model.upper))], np.inf
        while parts:
            full = self._standing(parts)
            one = parts.pop()
            if one.bound > self.enough:
                least = min(least, one.bound)
                continue
            split = None if full or self._exhausted() else self._split(one)
            if split is None:
                return -np.inf
            parts += split
        return float(least)

    def _standing(self, parts: list[_SolvedPart]) -> bool:
        """Tell how the search stands, and return whether its open parts take more than they may."""
        memory = len(parts) * 3 * parts[0].values.nbytes
        found = {
            "bound": min(part.bound for part in parts),
            "nodes": float(self.solved),
            "open": float(len(parts)),
        }
        left = {} if self.deadline is None else {"left": max(0.0, self.deadline - time.perf_counter())}
        self.told({**found, "memory": float(memory), **left})
        return self.room is not None and memory > self.room

    def _exhausted(self) -> bool:
        late = self.deadline is not None and time.perf_counter() > self.deadline
        return late or (self.most is not None and self.solved >= self.most)

    def _bounded(self, part: _Subprogram) -> _SolvedPart:
        """Bound one part, by inf where it holds no point."""
        values, multipliers, ray = self._solve(part)
        constant = float(self.objective.constant[0])
        found = [constant + self._dual.bound(self._cost, multipliers, part.lower, part.upper)]
        if ray is not None:
            nothing = np.zeros_like(self._cost)
            sizes = (self._dual.bound(nothing, side * ray, part.lower, part.upper) for side in (1.0, -1.0))
            found += [np.inf for size in sizes if size > 0]
        bound = max(-np.inf if np.isnan(one) else one for one in found)
        values = np.clip(_sized(values, len(part.lower)), part.lower, part.upper)
        return _SolvedPart(part, bound, values, self._solver.getModelStatus() == highspy.HighsModelStatus.kOptimal)

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

    def _split(self, one: _SolvedPart) -> list[_SolvedPart] | None:
        """Return both halves of a part, bounded; None where all integers are whole, as far as can be told."""
        free = np.flatnonzero(self.model.integer & (one.region.lower < one.region.upper))
        down = one.values[free] - np.floor(one.values[free])
        moved = np.stack([down, 1.0 - down])
        open_ = moved.min(0) > INTEGRAL
        if not open_.any():
            whole = len(free) == 0 or one.optimal
            return None if whole else self._halves(one, int(free[0]), float(one.region.lower[free[0]]))
        return self._best(one, free[open_], moved[:, open_])

    def _halves(self, one: _SolvedPart, variable: int, value: float) -> list[_SolvedPart]:
        return [self._bounded(part) for part in one.region.split(variable, value)]

    def _best(self, one: _SolvedPart, variables: np.ndarray, moved: np.ndarray) -> list[_SolvedPart]:
        """Return the halves by the variable that gains most, of the most promising ones.

        Args:
            one: the part.
            variables: that are not whole there, (n,).
            moved: how far each is moved in either half, (2, n).
        """
        lacking = self.enough - one.bound if np.isfinite(one.bound) else 1.0
        promise = self._costs.promise(variables, moved, lacking)
        best, most, again = [], -np.inf, 0
        for place in self._costs.ranked(variables, moved, lacking)[:TRIES]:
            variable = int(variables[place])
            if best and self._costs.tried(variable):
                again += 1
                if promise[place] <= most or again > BETTER:
                    continue
            halves = self._halves(one, variable, float(np.floor(one.values[variable])))
            gains = np.clip([lacking - (self.enough - half.bound) for half in halves], 0.0, lacking)
            self._costs.learn(variable, moved[:, place], gains)
            gained = float(product(gains, lacking))
            if gained > most:
                best, most = halves, gained
            if max(half.bound for half in halves) > self.enough or self._exhausted():
                break
        return best


def _sized(numbers: np.ndarray, size: int) -> np.ndarray:
    """Return the numbers, or as many zeros where HiGHS has none."""
    return numbers if len(numbers) == size else np.zeros(size)
