"""No finite gain at the border: an eigenvalue on the unit circle that an input reaches, in rational arithmetic."""

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from .exact import Exact
from .systems import LinearSystem

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
