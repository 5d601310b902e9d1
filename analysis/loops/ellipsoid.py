"""The same in ellipsoids: one quadratic norm shows a loop stable, of many plants at once, checked in rationals.

x⁺ = A_t·x + B_t·u + w, where (A_t, B_t) is at each step any convex combination of given vertices, u = Kx + e with
|e_j| ≤ ē_j on a box r, and |w_i| ≤ d_i. Let ‖x‖ = √(xᵀPx), P positive definite, γ < 1 with
‖(A_v + B_v·K)x‖ ≤ γ‖x‖ for each vertex v, that is γ²P − MᵀPM positive definite, and
s = max_v max over signs ‖B_v·(±ē)‖ + Σ_i d_i·√P_ii.

Claim 1. If ‖x‖ ≤ ρ implies |x_i| ≤ r_i for all i, and γρ + s ≤ ρ, then a run that starts with ‖x_0‖ ≤ ρ has
‖x_k‖ ≤ ρ for ever, and limsup ‖x_k‖ ≤ s/(1 − γ).
Proof. ‖(A_t + B_t·K)x‖ is at most the combination of the ‖(A_v + B_v·K)x‖, so at most γ‖x‖; ‖B_t·e‖ is convex in e
and in B_t, so greatest at a vertex and at signs; ‖w‖ ≤ Σ d_i·‖unit vector i‖. While ‖x_k‖ ≤ ρ the state is in the
box, e is bounded by ē, and ‖x_{k+1}‖ ≤ γ‖x_k‖ + s, which is at most ρ, and whose limit is at most s/(1 − γ). ∎

Claim 2 (nested). If that limit's ellipsoid lies in |x_i| ≤ l_i and the same is known, with any P', K', γ', ē', s',
on a box r' with r'_i > l_i, then limsup ‖x_k‖' ≤ s'/(1 − γ'): runs are in that box from some step on, for ever.

The plant may change at every step. ‖x‖ ≤ ρ implies |x_i| ≤ r_i where r_i²·P − ρ²·(unit matrix at i, i) is positive
definite: then r_i²·xᵀPx ≥ ρ²·x_i².
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ..lmi.certificates import Exact, is_positive_definite
from .kept import Rows
from .series import Matrix, exact

MOST_SIGNS = 10
"""Inputs of which all signs are looked at; of more the sum of each one's alone."""
ROOT_BITS = 80


@dataclass(frozen=True)
class EllipsoidRound:
    """One box, the error gain that is proven on it, and the norm in which the loop contracts.

    Attributes:
        box: r, one radius a state, around 0.
        K: the linear controller that the network is compared with there.
        error: ē, one number an input of the plant.
        attained: the greatest error that a run had.
        P: of the norm ‖x‖ = √(xᵀPx).
        rate: γ.
        push: s, rounded up: in the limit ‖x‖ ≤ s/(1 − γ).
        level: ρ: ‖x‖ ≤ ρ lies in the box.
        limit: one radius a state, of a box around the limit's ellipsoid.
    """

    box: tuple[float, ...]
    K: Rows
    error: tuple[float, ...]
    attained: tuple[float, ...]
    P: Rows
    rate: float
    push: float
    level: float
    limit: tuple[float, ...]


@dataclass(frozen=True)
class EllipsoidStability:
    """A proof that a loop stays in an ellipsoid for ever and ends in a smaller one; or why there is none.

    Attributes:
        vertices: pairs (A, B), of which the plant is any convex combination, another one at each step.
        disturbance: |w_i| ≤ d_i.
        rounds: the first one's ellipsoid holds all runs that start in it; empty: no proof.
        why: in one sentence what is proven, or what failed.
    """

    vertices: tuple[tuple[Rows, Rows], ...]
    disturbance: tuple[float, ...]
    rounds: tuple[EllipsoidRound, ...]
    why: str

    @property
    def proved(self) -> bool:
        """Return whether there is a proof."""
        return bool(self.rounds)

    @property
    def level(self) -> float:
        """Return ρ: runs that start in xᵀPx ≤ ρ², P of the first round, stay in there; 0 without a proof."""
        return self.rounds[0].level if self.rounds else 0.0

    @property
    def ultimate(self) -> tuple[float, ...]:
        """Return the box, as radii, in which every such run ends."""
        return self.rounds[-1].limit if self.rounds else ()

    @property
    def region(self) -> tuple[float, ...]:
        """Return a box, as radii, that these runs never leave."""
        return self.rounds[0].box if self.rounds else ()

    def starts(self, states: np.ndarray) -> np.ndarray:
        """Return states (batch, n) drawn to the edge of the initial ellipsoid, just inside."""
        P = np.asarray(self.rounds[0].P)
        sizes = np.sqrt(np.einsum("bi,ij,bj->b", states, P, states))
        return states * (self.level * (1 - 1e-9) / sizes)[:, None]

    def check(self) -> bool:
        """Return whether the claims follow from the error gains, in exact arithmetic.

        False as well of what is no claim: other shapes, NaN, bounds below 0, a norm that is none.
        """
        try:
            return self._follows()
        except (ArithmeticError, ValueError, IndexError):
            return False

    def _follows(self) -> bool:
        given = [*self.disturbance, *(value for one in self.rounds for value in one.error)]
        if not self.rounds or not self.vertices or not all(value >= 0 for value in given):
            return False
        first, before = self.rounds[0], None
        if not Fraction(first.rate) * Fraction(first.level) + Fraction(first.push) <= Fraction(first.level):
            return False
        for one in self.rounds:
            if not contracts(self.vertices, one.K, one.P, one.rate):
                return False
            if Fraction(one.push) < pushes(self.vertices, one.P, one.error, self.disturbance):
                return False
            limit = Fraction(one.push) / (1 - Fraction(one.rate))
            if not within(one.P, limit, one.limit) or not (one.level > 0 and within(one.P, one.level, one.box)):
                return False
            if before is not None and not all(r > s for r, s in zip(one.box, before.limit, strict=True)):
                return False
            before = one
        return True


def contracts(vertices: Sequence[tuple[Rows, Rows]], K: Rows, P: Rows, rate: float) -> bool:
    """Return whether P is a norm in which A + BK shrinks everything by the factor `rate` < 1, at each vertex."""
    norm, gain = Exact.of(P), Exact.of(K)
    if not 0 <= rate < 1 or not is_positive_definite(norm):
        return False
    square = Fraction(rate) ** 2
    for A, B in vertices:
        closed = Exact.of(A) + Exact.of(B) @ gain
        after = closed.T @ norm @ closed
        bits = after.exponent - norm.exponent
        if bits < 0:
            raise ValueError("P: got an exponent above that of a product of it")
        left = norm.values * (square.numerator << bits) - after.values * square.denominator
        if not is_positive_definite(Exact(left, 0)):
            return False
    return True


def within(P: Rows, level: float | Fraction, box: Sequence[float]) -> bool:
    """Return whether √(xᵀPx) ≤ level implies |x_i| ≤ box_i for all i."""
    norm, square = Exact.of(P), Fraction(level) ** 2
    if len(box) != len(norm.values):
        raise ValueError(f"box: got {len(box)} numbers, expected {len(norm.values)}")
    for place, radius in enumerate(box):
        wide = Fraction(radius) ** 2
        left = norm.values * (wide.numerator * square.denominator)
        left[place, place] -= square.numerator * wide.denominator << norm.exponent
        if radius < 0 or not is_positive_definite(Exact(left, 0)):
            return False
    return True


def pushes(
    vertices: Sequence[tuple[Rows, Rows]], P: Rows, error: Sequence[float], disturbance: Sequence[float]
) -> Fraction:
    """Return s from above."""
    norm, bounds = exact(P), [Fraction(value) for value in error]
    if len(disturbance) != len(norm):
        raise ValueError(f"disturbance: got {len(disturbance)} numbers, expected {len(norm)}")
    rest = sum((Fraction(d) * root_above(norm[i][i]) for i, d in enumerate(disturbance)), Fraction(0))
    return max(_pushed(exact(B), norm, bounds) for _, B in vertices) + rest


def _pushed(B: Matrix, norm: Matrix, bounds: list[Fraction]) -> Fraction:
    """Return the greatest ‖B·e‖ over |e_j| ≤ bounds_j."""
    columns = [[row[j] * bound for row in B] for j, bound in enumerate(bounds)]
    if len(columns) > MOST_SIGNS:
        return sum((root_above(_square(column, norm)) for column in columns), Fraction(0))
    found = Fraction(0)
    for signs in itertools.product((1, -1), repeat=len(columns) - 1):
        pairs = list(zip((1, *signs), columns, strict=True))
        joined = [sum((sign * column[i] for sign, column in pairs), Fraction(0)) for i in range(len(norm))]
        found = max(found, _square(joined, norm))
    return root_above(found)


def _square(values: Sequence[Fraction], norm: Matrix) -> Fraction:
    return sum((a * b * norm[i][k] for i, a in enumerate(values) for k, b in enumerate(values)), Fraction(0))


def root_above(value: Fraction) -> Fraction:
    """Return a number of few digits whose square is at least `value` ≥ 0.

    >>> 2 <= root_above(Fraction(2)) ** 2 <= 2 + Fraction(1, 2**70)
    True
    """
    if value <= 0:
        return Fraction(0)
    size = value.numerator.bit_length() - value.denominator.bit_length()
    shift = max(0, ROOT_BITS - size // 2)
    scaled = (value.numerator << (2 * shift)) // value.denominator + 1
    return Fraction(math.isqrt(scaled) + 1, 1 << shift)
