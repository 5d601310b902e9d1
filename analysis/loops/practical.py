"""What a bounded error of a linear controller means for a loop, for all time (F21b), checked in exact arithmetic.

x⁺ = Ax + Bu + w, u = Kx + e. While x is in the box |x_i| ≤ r_i, |e_j| ≤ ē_j is proven, and |w_i| ≤ d_i always.
Let M = A + BK and s_i = Σ_k Σ_j |(M^k B)_ij|·ē_j + Σ_k Σ_l |(M^k)_il|·d_l.

Claim 1. If |x_0,i| ≤ t·r_i with t·max_k Σ_l |(M^k)_il|·r_l + s_i ≤ r_i for all i, then x stays in the box for
ever, and limsup_k |x_k,i| ≤ s_i.
Proof. x_{k+1} = M^{k+1} x_0 + Σ_{j≤k} M^j (B e_{k−j} + w_{k−j}). By induction x_0 … x_k are in the box, so these e
are bounded by ē, and |x_{k+1},i| ≤ t·Σ_l |M^{k+1}|_il·r_l + s_i ≤ r_i. M is stable (its powers vanish), so the
first term does. ∎

Claim 2 (nested). If |u_j − (K'x)_j| ≤ ē'_j holds on a box r' with r'_i > s_i for all i, K' any stable choice, then
limsup |x_k,i| ≤ s'_i.
Proof. By claim 1 x is in that box from some step on, for ever. Count from that step: the sum above holds with M'
and these e, which are bounded by ē'. Its first term vanishes, so the limit is s'. ∎

An uncertain plant. Where at each step A and B are any matrices within D_A and D_B of those, entry by entry, the
rest acts as one more w: on a box r, |(A_t − A)x + (B_t − B)u|_i is at most Σ_l D_A,il·r_l + Σ_j D_B,ij·ū_j with
ū_j = Σ_l |K_jl|·r_l + ē_j. Both claims hold with that added to d; it is smaller on a smaller box.

It is about the plant in real arithmetic. What a simulation in float64 adds at each step is a disturbance w: `d`
may pay for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from .series import Matrix, PowerSums, added, exact, power_sums, product

Rows = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class LoopRound:
    """One box, the error gain that is proven on it, and the limit that follows.

    Attributes:
        box: r, one radius a state, around 0.
        K: the linear controller that the network is compared with there.
        error: ē, one number an input of the plant: |u_j − (Kx)_j| ≤ ē_j for every state in the box.
        attained: the greatest error that a run had, below ē.
        limit: s, rounded up: from there on |x_i| ≤ s_i, in the limit.
    """

    box: tuple[float, ...]
    K: Rows
    error: tuple[float, ...]
    attained: tuple[float, ...]
    limit: tuple[float, ...]


@dataclass(frozen=True)
class PracticalStability:
    """A proof that a loop stays in a box for ever and ends in a smaller one; or why there is none.

    Attributes:
        A, B: the plant, x⁺ = Ax + Bu + w.
        disturbance: |w_i| ≤ d_i.
        rounds: the first box, in which all runs stay, and smaller ones, in which they end; empty: no proof.
        share: t: runs that start in t times the first box never leave it.
        why: in one sentence what is proven, or what failed.
        spread: D_A and D_B, how far A and B may be off at each step; None: they are exact.
    """

    A: Rows
    B: Rows
    disturbance: tuple[float, ...]
    rounds: tuple[LoopRound, ...]
    share: float
    why: str
    spread: tuple[Rows, Rows] | None = None

    @property
    def proved(self) -> bool:
        """Return whether there is a proof."""
        return bool(self.rounds)

    @property
    def initial(self) -> tuple[float, ...]:
        """Return the box of states, as radii, from which no run ever leaves `rounds[0].box`."""
        return tuple(self.share * radius for radius in self.rounds[0].box) if self.rounds else ()

    @property
    def ultimate(self) -> tuple[float, ...]:
        """Return the box, as radii, in which every such run ends."""
        return self.rounds[-1].limit if self.rounds else ()

    @property
    def region(self) -> tuple[float, ...]:
        """Return the box, as radii, that runs from `initial` never leave."""
        return self.rounds[0].box if self.rounds else ()

    @property
    def error(self) -> tuple[float, ...]:
        """Return ē on the first box."""
        return self.rounds[0].error if self.rounds else ()

    def check(self) -> bool:
        """Return whether the claims follow from the error gains, recomputed in exact arithmetic.

        The error gains themselves are what `output_range` has proven of the network; they are not proven again.
        False as well of what is no claim: other shapes, NaN, bounds below 0, a loop that is not stable.
        """
        try:
            return self._follows()
        except (ArithmeticError, ValueError):
            return False

    def _follows(self) -> bool:
        errors = [value for one in self.rounds for value in one.error]
        entries = [] if self.spread is None else [value for part in self.spread for row in part for value in row]
        if not self.rounds or not 0 < self.share <= 1:
            return False
        if not all(value >= 0 for value in (*errors, *entries, *self.disturbance)):
            return False
        first, before = self.rounds[0], None
        for one in self.rounds:
            found = sums(self.A, self.B, one.K, one.box)
            reach = limits(found, one.error, self._felt(one))
            if any(Fraction(told) < real for told, real in zip(one.limit, reach, strict=True)):
                return False
            if before is not None and not all(r > s for r, s in zip(one.box, before.limit, strict=True)):
                return False
            before = one
        found = sums(self.A, self.B, first.K, first.box)
        reach = limits(found, first.error, self._felt(first))
        ends = zip(found.greatest, reach, first.box, strict=True)
        return all(Fraction(self.share) * most + s <= Fraction(r) for most, s, r in ends)

    def _felt(self, one: LoopRound) -> tuple[Fraction, ...]:
        return felt(self.disturbance, self.spread, one.K, one.box, one.error)


def felt(
    disturbance: Sequence[float],
    spread: tuple[Rows, Rows] | None,
    K: Rows,
    box: Sequence[float],
    error: Sequence[float],
) -> tuple[Fraction, ...]:
    """Return what disturbs each state on a box, exactly: d, and what a plant that is off does there."""
    given = tuple(map(Fraction, disturbance))
    if spread is None:
        return given
    radii = tuple(map(Fraction, box))
    reach = tuple(abs(u) + Fraction(e) for u, e in zip(_times(_moduli(K), radii), error, strict=True))
    rest = zip(given, _times(exact(spread[0]), radii), _times(exact(spread[1]), reach), strict=True)
    return tuple(d + a + b for d, a, b in rest)


def _moduli(rows: Rows) -> Matrix:
    return tuple(tuple(abs(Fraction(value)) for value in row) for row in rows)


def _times(rows: Matrix, weights: Sequence[Fraction]) -> tuple[Fraction, ...]:
    return tuple(sum((a * b for a, b in zip(row, weights, strict=True)), Fraction(0)) for row in rows)


def closed(A: Rows, B: Rows, K: Rows) -> Matrix:
    """Return A + B·K exactly."""
    return added(exact(A), product(exact(B), exact(K)))


def sums(A: Rows, B: Rows, K: Rows, box: Sequence[float]) -> PowerSums:
    """Return Σ_k |M^k B|, Σ_k |M^k| side by side, and the greatest Σ_l |M^k|_il·r_l, from above."""
    states = range(len(A))
    unit = tuple(tuple(Fraction(int(i == k)) for k in states) for i in states)
    start = tuple((*row, *one) for row, one in zip(exact(B), unit, strict=True))
    return power_sums(closed(A, B, K), start, [Fraction(radius) for radius in box])


def limits(
    found: PowerSums, error: Sequence[float], disturbance: Sequence[float | Fraction]
) -> tuple[Fraction, ...]:
    """Return s for an error gain and a disturbance."""
    bounds = [Fraction(value) for value in (*error, *disturbance)]
    return tuple(sum((a * b for a, b in zip(row, bounds, strict=True)), Fraction(0)) for row in found.total)
