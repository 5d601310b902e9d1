"""Find certificates: by the Riccati equation, by cvxpy, or by a backward recursion. Nothing here is proof.

Each returned certificate has passed its own `check`; γ is rounded up until it does.

No finite gain at the border: an eigenvalue on the unit circle that an input reaches, in rational arithmetic.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

from ...files.errors import SpikecertError
from ...models.constants import share
from ..arithmetic import DOWN, UP, float_up
from ..gains.neuron_gains import check_scale, neuron_gain
from .certificates import (
    BoundedRealCertificate,
    Exact,
    LinearSystem,
    NoFiniteGain,
    TimeVaryingCertificate,
    as_rows,
)

PERIODS = (1, 2, 3, 4, 6)
"""Searched for: the eigenvalue is a 2m-th root of unity (rational, or of degree two)."""

_NEAR = 1e-6  # computed eigenvalues farther than this from a root of unity are not worth an exact elimination


@dataclass(frozen=True)
class UndampedMode:
    """A witness that a layer whose output is its state (C = A, D = B) has no finite ℓ2 gain over infinite time.

    q ≠ 0 with (Aᵀ)^m q = ±q, and qᵀA^jB ≠ 0 for some j < m: A has an eigenvalue on the unit circle that B reaches.

    Proof. Q = [q, Aᵀq, …, (Aᵀ)^{m−1}q] has QᵀA = RQᵀ with R a cyclic shift, up to a sign: an isometry. So z = Qᵀx
    obeys z₊ = Rz + Nw with N = QᵀB ≠ 0. Take w[t] = NᵀR^t u for a unit vector u. Then uᵀ(R^{k−1})ᵀz[k] =
    Σ_{t<k} |NᵀR^t u|² =: σ_u(k), and over a basis of u's Σ_u σ_u(k) = k·tr(NNᵀ). So for one of them
    σ_u(K) ≥ K·tr(NNᵀ)/m for infinitely many K, while ‖w‖² ≤ K‖N‖². From K on let w = 0: ‖z‖ stays, so over K more
    steps ‖x‖² sums to at least K·σ_u(K)²/‖Q‖², a multiple of K³. The ratio of energies has no bound. ∎

    Attributes:
        system: the layer.
        mode: q, of integers.
        period: m.
        sign: 1 or −1.
    """

    system: LinearSystem
    mode: tuple[int, ...]
    period: int
    sign: int
    gain: float = float("inf")

    def check(self) -> bool:
        """Return True only if all conditions hold, in rationals."""
        if self.system.c != self.system.a or self.system.d != self.system.b:
            return False
        if self.sign not in (1, -1) or self.period not in PERIODS or any(x != int(x) for x in self.mode):
            return False
        q = Exact(np.array([[int(x) for x in self.mode]], dtype=object), 0)
        a, b = Exact.of(self.system.a), Exact.of(self.system.b)
        moved, reached = q, False
        for _ in range(int(self.period)):
            reached |= bool((moved @ b).values.any())
            moved = moved @ a
        same = moved - q if self.sign > 0 else moved + q
        return bool(q.values.any()) and reached and not same.values.any()


def undamped_mode(system: LinearSystem) -> UndampedMode | None:
    """Return a checked witness for a system whose output is its state, or None where none is found."""
    if system.c != system.a or system.d != system.b:
        return None
    values = np.linalg.eigvals(np.array(system.a))
    power = Exact.of(np.eye(len(system.a)))
    for period in range(1, max(PERIODS) + 1):
        power = power @ Exact.of(system.a)
        for sign in (1, -1) if period in PERIODS else ():
            if np.abs(values**period - sign).min() > _NEAR:
                continue
            for mode in _left_kernel(power - Exact.of(sign * np.eye(len(system.a)))):
                found = UndampedMode(system, mode, period, sign)
                if found.check():
                    return found
    return None


def _left_kernel(matrix: Exact) -> list[tuple[int, ...]]:
    """Return a basis of {q: qᵀM = 0} in integers, by elimination in rationals."""
    rows = [[Fraction(int(x)) for x in row] for row in matrix.values.T]
    size, pivots = len(rows), list[int]()
    for column in range(size):
        best = next((r for r in range(len(pivots), size) if rows[r][column] != 0), None)
        if best is None:
            continue
        top = len(pivots)
        rows[top], rows[best] = rows[best], rows[top]
        rows[top] = [x / rows[top][column] for x in rows[top]]
        for r in range(size):
            if r != top and (factor := rows[r][column]) != 0:
                rows[r] = [x - factor * y for x, y in zip(rows[r], rows[top], strict=True)]
        pivots.append(column)
    free = [column for column in range(size) if column not in pivots]
    return [_integers(_solution(rows, pivots, column)) for column in free]


def _solution(rows: list[list[Fraction]], pivots: list[int], free: int) -> list[Fraction]:
    solution = [Fraction(0)] * len(rows)
    solution[free] = Fraction(1)
    for row, pivot in zip(rows, pivots, strict=False):
        solution[pivot] = -row[free]
    return solution


def _integers(values: list[Fraction]) -> tuple[int, ...]:
    scale = math.lcm(*(value.denominator for value in values))
    return tuple(int(value * scale) for value in values)


SOLVERS = ("riccati", "cvxpy")


class SolverError(SpikecertError, ValueError):
    """No certificate was found: the question stays open."""


def bounded_real(
    system: LinearSystem, solver: str = "riccati"
) -> BoundedRealCertificate | NoFiniteGain | UndampedMode:
    """Return a checked certificate of the ℓ2 gain of `system` over an infinite horizon, or of its absence.

    Args:
        system: any linear system; "no finite gain" is witnessed for those whose output is their state.
        solver: "riccati" (scipy; any size) or "cvxpy" (the LMI as a semidefinite program; up to about 30 states).

    Raises:
        ValueError: for an unknown solver, and (`SolverError`) where no certificate is found.

    References: theorem "bounded-real"

    >>> from spikecert.analysis.lmi import lif
    >>> 2.0 <= bounded_real(lif(0.5)).gain < 2.000001
    True
    """
    if solver not in SOLVERS:
        raise ValueError(f"solver: got {solver!r}, expected one of {', '.join(SOLVERS)}")
    mode = undamped_mode(system)
    if mode is not None:
        return mode
    if system.spectral_radius >= 1.0:
        return _no_gain(system)
    level = peak_gain(system)
    find = _riccati_storage if solver == "riccati" else _cvxpy_storage
    for slack in (1e-8, 3e-8, 1e-7, 3e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0):
        storage = find(system, level * (1.0 + slack / 2))
        if storage is None:
            continue
        found = BoundedRealCertificate(system, as_rows((storage + storage.T) / 2), level * (1.0 + slack))
        if found.check():
            return found
    raise SolverError(f"system: no certificate was found up to 11 times the peak gain {level:.6g}")


def peak_gain(system: LinearSystem, points: int = 200) -> float:
    """Return about max over ω of σ_max(C(e^{iω} − A)⁻¹B + D), refined at the best points found."""
    from scipy.optimize import minimize_scalar  # imported here: scipy takes half a second

    angles = np.abs(np.angle(np.linalg.eigvals(np.array(system.a))))
    grid = np.unique(np.concatenate([np.linspace(0.0, np.pi, points), angles]))
    values = np.array([frequency_gain(system, angle) for angle in grid])
    best = float(values.max())
    for index in np.argsort(values)[-5:]:
        low, high = grid[max(0, index - 1)], grid[min(len(grid) - 1, index + 1)]
        refined: Any = minimize_scalar(
            lambda angle: -frequency_gain(system, angle), bounds=(low, high), method="bounded",
            options={"xatol": 1e-12},
        )  # fmt: skip
        best = max(best, -float(refined.fun))
    return best


def frequency_gain(system: LinearSystem, angle: float) -> float:
    """Return σ_max of the transfer matrix at e^{iω}."""
    a, b, c, d = system.arrays
    return float(np.linalg.norm(c @ np.linalg.solve(np.exp(1j * angle) * np.eye(len(a)) - a, b) + d, 2))


def _riccati_storage(system: LinearSystem, gain: float) -> np.ndarray | None:
    """Return P with M strictly negative: the Riccati equation with CᵀC + δI in place of CᵀC."""
    from scipy.linalg import solve_discrete_are  # imported here: scipy takes half a second

    a, b, c, d = system.arrays
    scale = max(1.0, float(np.abs(c).max()) ** 2)
    for margin in (1e-10, 1e-11, 1e-12, 1e-9, 1e-13):
        try:
            found = solve_discrete_are(
                a, b, c.T @ c + margin * scale * np.eye(len(a)), d.T @ d - gain**2 * np.eye(b.shape[1]), s=c.T @ d
            )
        except (np.linalg.LinAlgError, ValueError):
            continue
        if np.linalg.eigvalsh((found + found.T) / 2)[0] > 0:
            return found
    return None


def _cvxpy_storage(system: LinearSystem, gain: float) -> np.ndarray | None:
    """Return P that maximises the margin of the LMI at this γ."""
    cp = import_cvxpy()
    a, b, c, d = system.arrays
    p, margin = cp.Variable((len(a), len(a)), symmetric=True), cp.Variable()
    form = cp.bmat(
        [
            [a.T @ p @ a - p + c.T @ c, a.T @ p @ b + c.T @ d],
            [b.T @ p @ a + d.T @ c, b.T @ p @ b + d.T @ d - gain**2 * np.eye(b.shape[1])],
        ]
    )
    identity = np.eye(len(a) + b.shape[1])
    constraints = [p >> margin * np.eye(len(a)), (form + form.T) / 2 << -margin * identity, margin <= 1]
    problem = cp.Problem(cp.Maximize(margin), constraints)
    solve_problem(cp, problem, len(identity))
    return None if p.value is None else np.asarray(p.value)


def import_cvxpy() -> Any:
    """Return cvxpy, which only solving needs: checking never does."""
    try:
        import cvxpy
    except ImportError as error:
        raise ImportError('solver: "cvxpy" needs cvxpy; install it, or use solver="riccati"') from error
    return cvxpy


def solve_problem(cp: Any, problem: Any, size: int) -> None:
    """Solve quietly: CLARABEL for small semidefinite programs, SCS above; failure leaves the values at None."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # an inaccurate solution is re-certified, or refused
            if size <= 60:
                problem.solve(solver=cp.CLARABEL)
            else:
                problem.solve(solver=cp.SCS, eps=1e-6, max_iters=20_000)
    except cp.SolverError as error:
        raise SolverError(f"solver: {error}") from error


def _no_gain(system: LinearSystem) -> NoFiniteGain:
    from scipy.linalg import solve_discrete_lyapunov  # imported here: scipy takes half a second

    a, b = np.array(system.a), np.array(system.b)
    radius = system.spectral_radius
    if system.c != system.a or system.d != system.b:
        raise SolverError(f"system: spectral radius {radius:.6g}, but its output is not its state: no witness")
    try:
        storage = solve_discrete_lyapunov(a.T, np.eye(len(a)))
    except np.linalg.LinAlgError as error:
        raise SolverError(f"system: spectral radius {radius:.6g} is at the border: no witness") from error
    storage = (storage + storage.T) / 2
    values, vectors = np.linalg.eigh(b.T @ storage @ b)
    found = NoFiniteGain(system, as_rows(storage), tuple(float(x) for x in vectors[:, 0]), radius)
    if values[0] >= 0 or not found.check():
        raise SolverError(f"system: spectral radius {radius:.6g}, but no input was found that excites it")
    return found


def time_varying(decay: float, scale: Sequence[float]) -> TimeVaryingCertificate:
    """Return a checked certificate of the ℓ2 gain of a DLIF neuron over len(scale) steps.

    Backward from p_T = 0: p_{t−1} = qλ²γ²/(γ² − qa_t²) with q = p_t + 1, the least storage that dissipates.

    Args:
        decay: λ ∈ [0, 1].
        scale: a.
    """
    decay = share("decay", decay)
    values = check_scale(scale, len(scale))
    level = neuron_gain(decay, len(values), "l2", "l2", values)
    for power in range(60):
        gain = level * (1.0 + 2.0 ** (power - 50))
        storage = _backward(decay, values, gain)
        if storage is not None:
            found = TimeVaryingCertificate(decay, values, storage, gain)
            if found.check():
                return found
    raise SolverError("scale: no certificate was found")


def _backward(decay: float, scale: tuple[float, ...], gain: float) -> tuple[float, ...] | None:
    """Return p_1 … p_T, each the least float that dissipates given the next, or None where γ is too small."""
    square, shrink = DOWN.multiply(Decimal(gain), Decimal(gain)), UP.multiply(Decimal(decay), Decimal(decay))
    level, levels = 0.0, [0.0]
    for a in reversed(scale[1:]):
        q = UP.add(Decimal(level), 1)
        ratio = Decimal(1)
        if a != 0.0:
            room = DOWN.subtract(square, UP.multiply(q, UP.multiply(Decimal(a), Decimal(a))))
            if room <= 0:
                return None
            ratio = UP.divide(UP.multiply(Decimal(gain), Decimal(gain)), room)
        level = float_up(UP.multiply(UP.multiply(q, shrink), ratio))
        levels.append(level)
    return tuple(reversed(levels)) if math.isfinite(max(levels)) else None
