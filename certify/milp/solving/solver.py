"""HiGHS on one program: what it calls a lower bound of its minimum, and each better point on the way.

Nothing here is proof: `tree.py` proves.

Bounds of linear programs that hold whatever a solver says: any multipliers give one, float64 is paid for.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import highspy
import numpy as np
from scipy import sparse

from ..program import Expressions, Model

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
