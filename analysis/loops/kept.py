"""What spikes do in a loop when membranes are kept from one control step to the next (F21c), in exact arithmetic.

One integrate-and-fire neuron an input j of the plant, T steps a control step, current I = (1 + ξ)/2 with
ξ = (Kx)_j/ū_j, threshold 1, which its spikes take away; N of the T steps spike, and u_j = ū_j·(2N/T − 1).

Conservation. While |ξ| ≤ 1, v stays in [0, 1]: v + I ≤ 2, a spike leaves v + I − 1 ≤ 1, no spike v + I < 1. So
v⁺ = v + T·I − N, and u = Kx + Λ(v − v⁺) with Λ = diag(2ū_j/T).

Rounding. In the run each sum v + I is rounded, by at most 2^-24 (v + I ≤ 2; a difference of 1 from [1, 2] is
exact), I is within 2^-24 of (1 + ξ)/2 but for what float64 loses in Kx, and the mean of T numbers ±1 within 2^-22.
So u = Kx + Λ(v − v⁺) + e with |e_j| ≤ ū_j·`SLACK`, which is twice all of it, wherever Σ_l |K_jl|·|x_l| is at most
`MOST`·ū_j. Nothing adds up: errors enter as a disturbance does, and [0, 1] holds for the floats themselves.

Claim. Let M = A + BK, v' = v − ½, and w = x + BΛv'. Then w⁺ = M·w + (I − M)BΛ·v' + B·e + d. So, while |ξ| ≤ 1,

    |L·x_k| ≤ |L·M^k·x_0| + ½|L·M^k·BΛ| + ½Σ|L·M^k·(I − M)BΛ| + Σ|L·M^k·B|·e + Σ|L·M^k|·d + ½|L·BΛ|,

for any rows L, the sums over all k. With L = K and a right side of at most ū·(1 − SLACK) it holds for ever, by
induction; with L = I it says where runs are; and the first two terms vanish, M being stable. ∎

The third term is a total variation where a membrane that starts anew has an integral, Σ|M^k·B|·ū/T: keeping it
shapes the error, and pays with the ratio of control period to the loop's time constant.

What a bounded error of a linear controller means for a loop, for all time (F21b), checked in exact arithmetic.

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

from .series import Matrix, PowerSums, added, exact, float_above, power_sums, product

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
    reach = tuple(abs(u) + Fraction(e) for u, e in zip(_exact_times(_moduli(K), radii), error, strict=True))
    rest = zip(given, _exact_times(exact(spread[0]), radii), _exact_times(exact(spread[1]), reach), strict=True)
    return tuple(d + a + b for d, a, b in rest)


def _moduli(rows: Rows) -> Matrix:
    return tuple(tuple(abs(Fraction(value)) for value in row) for row in rows)


def _exact_times(rows: Matrix, weights: Sequence[Fraction]) -> tuple[Fraction, ...]:
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


SLACK = Fraction(1, 2**20)
"""What rounding may take of u, as a share of ū."""
MOST_STEPS = 2**16
"""Steps of which float32 counts spikes."""
MOST = 2**20
"""How much greater than ū the sum of all |K_jl·x_l| may be."""
POWERS = 96
"""Powers of M that are looked at exactly; what is beyond them is a geometric series."""


@dataclass(frozen=True)
class KeptStability:
    """A proof that a loop of kept membranes stays in a box for ever and ends in a smaller one; or why not.

    Attributes:
        A, B: the plant, x⁺ = Ax + Bu + w.
        K, gain: the controller, u ≈ Kx, and ū: |u_j| ≤ ū_j.
        num_steps: T.
        disturbance: |w_i| ≤ d_i.
        box: runs may start in `share` times it, their membranes anywhere in [0, 1].
        share: in (0, 1]; 0 where there is no proof.
        region: in which they stay for ever, as radii.
        ultimate: in which they end.
        why: in one sentence what is proven, or what failed.
    """

    A: Rows
    B: Rows
    K: Rows
    gain: tuple[float, ...]
    num_steps: int
    disturbance: tuple[float, ...]
    box: tuple[float, ...]
    share: float
    region: tuple[float, ...]
    ultimate: tuple[float, ...]
    why: str

    @property
    def proved(self) -> bool:
        """Return whether there is a proof."""
        return self.share > 0

    @property
    def initial(self) -> tuple[float, ...]:
        """Return the box of states, as radii, from which runs stay in `region`."""
        return tuple(self.share * radius for radius in self.box) if self.proved else ()

    @property
    def rounds(self) -> tuple[LoopRound, ...]:
        """Return none: nothing was searched."""
        return ()

    def check(self) -> bool:
        """Return whether the claims follow, computed again in exact arithmetic; False of what is no claim."""
        try:
            return self._follows()
        except (ArithmeticError, ValueError):  # of other shapes, NaN, or a loop that is not stable
            return False

    def _follows(self) -> bool:
        positive = all(value > 0 for value in (*self.gain, *self.box)) and all(d >= 0 for d in self.disturbance)
        if not positive or not 0 < self.share <= 1 or not 1 <= self.num_steps <= MOST_STEPS:
            return False
        found = kept_bounds(self.A, self.B, self.K, self.gain, self.num_steps, self.disturbance, self.box)
        share = Fraction(self.share)
        region, ultimate = found.region(share), found.ultimate
        told = [*zip(self.region, region, strict=True), *zip(self.ultimate, ultimate, strict=True)]
        return found.unsaturated(share) and all(Fraction(one) >= real for one, real in told)


@dataclass(frozen=True)
class KeptBounds:
    """What the claim adds up to, before a share of the box is chosen.

    Attributes:
        gain, K: ū and the controller.
        start: sup_k |M^k|·r of each state, and sup_k |K·M^k|·r of each input.
        rest: of each state, and of each input, all terms but the first.
        ultimate: of each state, all but the first two.
    """

    gain: tuple[Fraction, ...]
    K: Matrix
    start: tuple[tuple[Fraction, ...], tuple[Fraction, ...]]
    rest: tuple[tuple[Fraction, ...], tuple[Fraction, ...]]
    ultimate: tuple[Fraction, ...]

    @property
    def share(self) -> Fraction:
        """Return the greatest share of the box, up to 1, from which |ξ| ≤ 1 holds for ever; 0 or less: none."""
        limits = zip(self.gain, self.start[1], self.rest[1], strict=True)
        shares = [(u * (1 - SLACK) - rest) / start for u, start, rest in limits if start > 0]
        return min([Fraction(1), *shares])

    def region(self, share: Fraction) -> tuple[Fraction, ...]:
        """Return where runs from a share of the box are, for ever."""
        return tuple(share * start + rest for start, rest in zip(self.start[0], self.rest[0], strict=True))

    def unsaturated(self, share: Fraction) -> bool:
        """Return whether |ξ| ≤ 1 − SLACK holds for ever from a share of the box, and rounding is paid for."""
        region = self.region(share)
        sums = (sum((abs(c) * x for c, x in zip(row, region, strict=True)), Fraction(0)) for row in self.K)
        inputs = (share * start + rest for start, rest in zip(self.start[1], self.rest[1], strict=True))
        limits = zip(self.gain, inputs, sums, strict=True)
        return all(asked <= u * (1 - SLACK) and most <= MOST * u for u, asked, most in limits)


def kept_bounds(
    A: Rows,
    B: Rows,
    K: Rows,
    gain: Sequence[float],
    num_steps: int,
    disturbance: Sequence[float],
    box: Sequence[float],
) -> KeptBounds:
    """Return all sums of the claim, from above.

    Raises:
        ValueError: for a loop that is not stable.
    """
    matrix, states = closed(A, B, K), range(len(A))
    limits = tuple(Fraction(u) for u in gain)
    steps = tuple(
        tuple(entry * 2 * u / num_steps for entry, u in zip(row, limits, strict=True)) for row in exact(B)
    )
    unit = tuple(tuple(Fraction(int(i == k)) for k in states) for i in states)
    turned = added(steps, tuple(tuple(-entry for entry in row) for row in product(matrix, steps)))
    radii = [Fraction(radius) for radius in box]
    errors = [SLACK * u for u in limits] + [Fraction(d) for d in disturbance]
    half = [Fraction(1, 2)] * len(limits)
    driven = tuple((*row, *one) for row, one in zip(exact(B), unit, strict=True))
    columns = tuple((*one, *two, *three) for one, two, three in zip(turned, driven, steps, strict=True))
    powers, beyond = _powers(matrix, columns, radii)
    first, second = len(limits), 2 * len(limits) + len(A)
    found: list[tuple[tuple[Fraction, ...], ...]] = []
    for rows in (unit, exact(K)):
        total, most, begin = _followed(rows, powers, beyond, radii)
        varied = _times([row[:first] for row in total], half)
        moved = _times([row[first:second] for row in total], errors)
        begun = _times([row[second:] for row in most], half)
        own = _times([[abs(entry) for entry in row] for row in product(rows, steps)], half)
        ends = tuple(sum(terms, Fraction(0)) for terms in zip(varied, moved, own, strict=True))
        found.append((begin, tuple(a + b for a, b in zip(ends, begun, strict=True)), ends))
    of_states, of_inputs = found
    return KeptBounds(limits, exact(K), (of_states[0], of_inputs[0]), (of_states[1], of_inputs[1]), of_states[2])


def _powers(matrix: Matrix, columns: Matrix, radii: Sequence[Fraction]) -> tuple[list[Matrix], PowerSums]:
    """Return M^k·[N, I] for k < `POWERS`, and from above Σ |M^k·[N, I]| over all others, and sup_k |M^k|·r."""
    states = range(len(matrix))
    power = tuple((*row, *(Fraction(int(i == k)) for k in states)) for i, row in enumerate(columns))
    found = list[Matrix]()
    for _ in range(POWERS):
        found.append(power)
        power = product(matrix, power)
    return found, power_sums(matrix, power, radii)


def _followed(
    rows: Matrix, powers: list[Matrix], beyond: PowerSums, radii: Sequence[Fraction]
) -> tuple[list[list[Fraction]], list[list[Fraction]], tuple[Fraction, ...]]:
    """Return of L·M^k·N the sums over k and the greatest of moduli, and the greatest |L·M^k|·r."""
    states = len(radii)
    moduli = tuple(tuple(abs(entry) for entry in row) for row in rows)
    seen = [product(rows, power) for power in powers]
    rest = product(moduli, beyond.total)
    total, most, start = list[list[Fraction]](), list[list[Fraction]](), list[Fraction]()
    for i, row in enumerate(rest):
        sizes = [[abs(entry) for entry in one[i]] for one in seen]
        columns = list(zip(*sizes, strict=True))[:-states]
        total.append([sum(column, end) for column, end in zip(columns, row[:-states], strict=True)])
        most.append([max(*column, end) for column, end in zip(columns, row[:-states], strict=True)])
        later = min(_times([row[-states:]], radii)[0], _times([moduli[i]], beyond.greatest)[0])
        start.append(max(later, *_times([size[-states:] for size in sizes], radii)))
    return total, most, tuple(start)


def _times(rows: Sequence[Sequence[Fraction]], weights: Sequence[Fraction]) -> tuple[Fraction, ...]:
    return tuple(sum((a * b for a, b in zip(row, weights, strict=True)), Fraction(0)) for row in rows)


def kept_stability(
    A: Rows,
    B: Rows,
    K: Rows,
    gain: tuple[float, ...],
    num_steps: int,
    disturbance: tuple[float, ...],
    box: tuple[float, ...],
) -> KeptStability:
    """Return the proof for the greatest share of a box, or why there is none.

    Raises:
        ValueError: for a loop that is not stable.
    """
    found, given = kept_bounds(A, B, K, gain, num_steps, disturbance, box), (A, B, K, gain, num_steps, disturbance)
    share = -float_above(-found.share)
    if share <= 0 or not found.unsaturated(Fraction(share)):
        needs = max(float(rest / u) for rest, u in zip(found.rest[1], found.gain, strict=True))
        return KeptStability(
            *given, box, 0.0, (), (), f"inputs would need {needs:.3g} of their range even at rest"
        )
    region = tuple(map(float_above, found.region(Fraction(share))))
    why = "membranes are kept: what one control step leaves, the next one gives"
    return KeptStability(*given, box, share, region, tuple(map(float_above, found.ultimate)), why)
