"""Lower bounds of programs that hold whatever HiGHS says, by one linear program or a tree of them.

What it says is no proof: the tree of linear programs proves.

Bounds of linear programs that hold whatever a solver says: any multipliers give one, float64 is paid for.

Proves a lower bound of a program by a tree of linear ones; HiGHS proposes multipliers, `WeakDual` bounds.

HiGHS' own dual bound of a mixed-integer program is no proof: its presolve has called .25 a minimum that was 0.

Which integer to split: pseudo-costs, learned from the splits that were tried.

A split at value v of variable j moves it down by v − ⌊v⌋ in one half and up by ⌈v⌉ − v in the other. What each
half's bound rose by, a unit moved, is its pseudo-cost; a variable's promise is the product of what both halves
should gain, of which more than what lacks counts for nothing. Untried variables have the mean, and sooner ones,
which the later ones follow from, are preferred: one at the end of the list is worth e^−2 of one at its head.
Achterberg, Koch, Martin (2005), Branching rules revisited.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import highspy
import numpy as np
from scipy import sparse

from ..search import Domain, Limits, Told, unheard
from .program import Expressions, Model

FEASIBILITY = 1e-8
"""By how much HiGHS may miss a row: a hundredth of what closed programs are widened by."""

LARGEST = 1e7
"""The greatest number in a program that HiGHS' absolute tolerances are trusted with."""

PATIENCE = 3600.0 * 24 * 365
"""Seconds that stand for no limit."""


@dataclass(frozen=True)
class Minimum:
    """What is known of a minimum.

    Attributes:
        bound: HiGHS' dual bound, −inf where it has none: a guess, floating-point and behind a presolve that errs.
        finished: whether it closed the gap, or found that no point is feasible.
        infeasible: whether it says that no point is feasible.
    """

    bound: float
    finished: bool
    infeasible: bool


@dataclass
class Watch:
    """Follows a solve and says when to stop.

    Args:
        enough: a bound above this needs no more.
        accept: called with each better point; True ends the search.
    """

    enough: float
    accept: Callable[[np.ndarray], bool]
    bound: float = -np.inf
    done: bool = False
    error: BaseException | None = None

    def improved(self, event: "highspy.highs.HighsCallbackEvent") -> None:
        """Offer a better point. An error may not pass through HiGHS: it is kept, and raised behind it."""
        try:
            self.done = self.done or self.accept(np.array(event.data_out.mip_solution))
        except BaseException as error:
            self.error, self.done = error, True

    def asked(self, event: "highspy.highs.HighsCallbackEvent") -> None:
        """Stop once the bound is enough or the search has ended."""
        self.bound = max(self.bound, event.data_out.mip_dual_bound)
        if self.done or self.bound > self.enough:
            event.interrupt()


def minimise(
    model: Model,
    objective: Expressions,
    watch: Watch,
    deadline: float | None,
    presolve: bool = True,
    nodes: int | None = None,
) -> Minimum:
    """Minimise one expression over a program.

    Args:
        model: the program.
        objective: of one row.
        watch: when to stop.
        deadline: `time.perf_counter()` at which to stop, or None.
        presolve: whether HiGHS may simplify first.
        nodes: how many of its tree may be solved, or None.
    """
    seconds = None if deadline is None else deadline - time.perf_counter()
    if seconds is not None and seconds <= 0:
        return Minimum(-np.inf, False, False)
    solver = prepared(model, objective, seconds, presolve, nodes)
    solver.cbMipImprovingSolution.subscribe(watch.improved)
    solver.cbMipInterrupt.subscribe(watch.asked)
    _solve(solver, watch)
    if watch.error is not None:
        raise watch.error
    return _result(solver, model, watch)


def _solve(solver: highspy.Highs, watch: Watch) -> None:
    """Run HiGHS in a thread: Python raises Ctrl-C in the main one alone, and within HiGHS it would be lost."""
    with ThreadPoolExecutor(1) as pool:
        solved = pool.submit(solver.solve)
        try:
            solved.result()
        except BaseException:
            watch.done = True
            raise


class _Silent(highspy.Highs):
    """HiGHS without the banner that it prints as soon as callbacks are set: standard output is for results."""

    def enableCallbacks(self) -> None:
        self.setOptionValue("output_flag", False)
        super().enableCallbacks()


def prepared(
    model: Model, objective: Expressions, seconds: float | None, presolve: bool, nodes: int | None
) -> highspy.Highs:
    """Return HiGHS with a program and its costs, told how long it may take: None for no limit."""
    solver = _Silent()
    options = {
        "threads": 1,
        "time_limit": PATIENCE if seconds is None else seconds,
        "presolve": "on" if presolve else "off",
        "primal_feasibility_tolerance": FEASIBILITY,
        "mip_feasibility_tolerance": FEASIBILITY,
        "mip_rel_gap": 0.0,
        **({} if nodes is None else {"mip_max_nodes": nodes}),
    }
    for name, value in options.items():
        solver.setOptionValue(name, value)
    solver.passModel(_highs_lp(model, objective))
    return solver


def _highs_lp(model: Model, objective: Expressions) -> highspy.HighsLp:
    lp = highspy.HighsLp()
    columns = sparse.csc_array(model.rows)
    lp.num_col_, lp.num_row_ = len(model.lower), len(model.row_lower)
    cost = np.zeros(len(model.lower))
    cost[: objective.columns] = objective.matrix.toarray()[0]
    lp.col_cost_, lp.offset_ = cost, float(objective.constant[0])
    lp.col_lower_, lp.col_upper_ = model.lower, model.upper
    lp.row_lower_, lp.row_upper_ = model.row_lower, model.row_upper
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_ = np.asarray(columns.indptr, dtype=np.int32)
    lp.a_matrix_.index_ = np.asarray(columns.indices, dtype=np.int32)
    lp.a_matrix_.value_ = np.asarray(columns.data, dtype=np.float64)
    kinds = (highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger)
    lp.integrality_ = [kinds[integer] for integer in model.integer.tolist()]
    return lp


def _result(solver: highspy.Highs, model: Model, watch: Watch) -> Minimum:
    status, info = solver.getModelStatus(), solver.getInfo()
    if status == highspy.HighsModelStatus.kInfeasible:
        return Minimum(np.inf, True, True)
    optimal = status == highspy.HighsModelStatus.kOptimal
    if not model.integer.any():
        if optimal:
            watch.accept(np.array(solver.getSolution().col_value))
        return Minimum(info.objective_function_value if optimal else -np.inf, optimal, False)
    bound = info.mip_dual_bound
    return Minimum(bound if np.isfinite(bound) else watch.bound, optimal, False)


UNIT = 2.0**-52
"""Twice float64's unit roundoff: pays for the rounding of the error's own computation as well."""
LARGEST_MULTIPLIER = 1e100
"""No sum of such multipliers overflows."""
TINY = 1e-290
"""More than all underflows of a sum cost."""


@dataclass(frozen=True)
class WeakDual:
    """min cost·z over row_lower ≤ A·z ≤ row_upper, lower ≤ z ≤ upper, bounded from below by any multipliers y.

    For each point z of the program, with d = cost − Aᵀy,

        cost·z = d·z + y·(A·z) ≥ Σ_j min(d_j·lower_j, d_j·upper_j) + Σ_i y_i·e_i,

    e_i = row_lower_i where y_i > 0, row_upper_i elsewhere. Where a row has no such end, or a multiplier is beyond
    `LARGEST_MULTIPLIER`, it is set to 0. With cost = 0 a bound above 0 shows that there is no z.
    An entry of d is the sum of n_j + 1 terms, whose error is at most (n_j + 1)·u·Σ|terms| (u = 2⁻⁵³) in any order;
    it widens d_j, and costs at most that times max(|lower_j|, |upper_j|). The last sum pays alike.

    Args:
        model: the program; its bounds on variables are given with each question, as a search narrows them.
    """

    model: Model
    transposed: sparse.csr_array
    moduli: sparse.csr_array
    terms: np.ndarray

    @staticmethod
    def of(model: Model) -> "WeakDual":
        """Return the bounds of one program."""
        transposed = sparse.csr_array(model.rows.T)
        return WeakDual(model, transposed, abs(transposed), np.diff(transposed.indptr) + 4.0)

    def bound(self, cost: np.ndarray, multipliers: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> float:
        """Return a lower bound of the minimum, −inf or NaN at worst.

        Args:
            cost: (n,).
            multipliers: one for each row, any numbers.
            lower: of the variables, (n,).
            upper: of the variables, (n,).
        """
        ends = np.where(multipliers > 0, self.model.row_lower, self.model.row_upper)
        usable = np.isfinite(ends) & (np.abs(multipliers) <= LARGEST_MULTIPLIER)
        y, ends = np.where(usable, multipliers, 0.0), np.where(usable, ends, 0.0)
        reduced = cost - self.transposed @ y
        error = self.terms * UNIT * (np.abs(cost) + self.moduli @ np.abs(y)) + TINY
        least = np.minimum(reduced * lower, reduced * upper)
        parts = np.concatenate([least, y * ends])
        lost = error * np.maximum(np.abs(lower), np.abs(upper))
        size = np.abs(parts).sum() + lost.sum()
        return float(parts.sum() - lost.sum() - (len(parts) + len(lost) + 4.0) * UNIT * size - TINY)


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
class ProgramTree(Domain[_SolvedPart]):
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
    _open: list[float] = field(default_factory=list[float])
    _least: float = np.inf
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
        limits = Limits(self.deadline, memory=self.room, told=self.told)
        if self._exhausted():
            return -np.inf
        roots = self._left([self._bounded(_Subprogram(self.model.lower, self.model.upper))])
        why, _ = self.search(roots, limits, each=3 * self._cost.nbytes)
        return -np.inf if why or self.done else float(self._least)

    def _left(self, parts: list[_SolvedPart]) -> list[_SolvedPart]:
        """Return parts that are open; the others are closed."""
        self._least = min([self._least, *(part.bound for part in parts if part.bound > self.enough)])
        left = [part for part in parts if not part.bound > self.enough]
        self._open += [part.bound for part in left]
        return left

    def standing(self) -> dict[str, float]:
        """Return the least bound, how many programs were solved, and what waits."""
        known = {"bound": min(self._open, default=self._least), "nodes": float(self.solved)}
        return super().standing() | known

    def over(self) -> str:
        """Return that no more programs may be solved."""
        return "its patience was out" if self._exhausted() else ""

    def bound(self, part: _SolvedPart) -> _SolvedPart:
        """Return a part, which was bounded where it was chosen."""
        self._open.remove(part.bound)
        return part

    def split(self, part: _SolvedPart) -> list[_SolvedPart]:
        """Return the halves of a part that are open; where there are none to be had, the search is over."""
        halves = self._split(part)
        self.done = halves is None
        return [] if halves is None else self._left(halves)[::-1]

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
