"""Sums Σ_k |M^k N| over all k, from above, in integers: the gains of a stable loop, with their infinite tails.

Powers are held as integers over 2^bits. Each product with M, which is exact, is rounded down once, so that after k
products an entry is off by at most e_k units, e_0 = 0, e_{k+1} ≤ ‖M‖·e_k + 1, in the norm of the units r (the
greatest Σ_l |M_il|·r_l/r_i). Once ‖M^n‖ ≤ q < 1 in that norm, the rest of the sums is a geometric series: with
k = jn + i, |M^k N|_ic ≤ r_i·q^j·max_l |M^i N|_lc/r_l.
"""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

Matrix = tuple[tuple[Fraction, ...], ...]

MOST_POWERS = 20_000
"""Powers that are looked at until the rest is a geometric series."""
REST = Fraction(1, 2**40)
"""How small ‖M^n‖ is to be, so that the tail counts little."""
GUARD = 200
"""Bits beyond what errors of all powers take."""
GROWS = 1 + 1e-6
"""The greatest modulus of an eigenvalue, by floats, from which on no sum is begun: it would have many digits."""


@dataclass(frozen=True)
class PowerSums:
    """What is known of the powers of a matrix M.

    Attributes:
        total: Σ_k |M^k N| from above, as N is.
        greatest: max_k Σ_l |M^k|_il·r_l from above, for each i.
        powers: n, how many powers were summed one by one.
    """

    total: Matrix
    greatest: tuple[Fraction, ...]
    powers: int


def exact(rows: Sequence[Sequence[float]]) -> Matrix:
    """Return a matrix of floats as fractions."""
    return tuple(tuple(Fraction(value) for value in row) for row in rows)


def product(one: Matrix, other: Matrix) -> Matrix:
    """Return the matrix product."""
    columns = tuple(zip(*other, strict=True))
    return tuple(
        tuple(sum((a * b for a, b in zip(row, column, strict=True)), Fraction(0)) for column in columns)
        for row in one
    )


def added(one: Matrix, other: Matrix) -> Matrix:
    """Return the sum."""
    pairs = zip(one, other, strict=True)
    return tuple(tuple(a + b for a, b in zip(row, second, strict=True)) for row, second in pairs)


def power_sums(matrix: Matrix, start: Matrix, units: Sequence[Fraction]) -> PowerSums:
    """Return the sums of a matrix M for columns N = `start`, in the norm of `units` r > 0.

    Raises:
        ValueError: where no power up to `MOST_POWERS` is small: M is not stable, or hardly so.
    """
    together = tuple((*row, *unit) for row, unit in zip(start, _diagonal(units), strict=True))
    growth = float(max(1, *(_scaled(row, units) / units[i] for i, row in enumerate(matrix))))
    plain = np.array([[float(value) for value in row] for row in matrix])
    powers = 64 if abs(np.linalg.eigvals(plain)).max() < GROWS else MOST_POWERS + 1
    while powers <= MOST_POWERS:
        bits = GUARD + math.ceil(powers * math.log2(growth)) + _magnitude(together)
        found = _summed(matrix, together, units, bits, powers)
        if found is not None:
            columns = len(start[0])
            total, greatest, used = found
            return PowerSums(tuple(row[:columns] for row in total), greatest, used)
        powers *= 4
    raise ValueError(f"A, B, G: got A + B·K of which no power up to {MOST_POWERS} is small, expected a stable one")


def _summed(
    matrix: Matrix, start: Matrix, units: Sequence[Fraction], bits: int, most: int
) -> tuple[Matrix, tuple[Fraction, ...], int] | None:
    """Sum up to `most` powers; None where the last of them is not small. The last columns of `start` are D(r)."""
    size, states, columns = len(matrix), range(len(matrix)), range(len(start[0]))
    shift = max(value.denominator for row in matrix for value in row).bit_length() - 1  # floats: a power of two
    factors = [[int(value * 2**shift) for value in row] for row in matrix]
    norm = max(_scaled(row, units) / units[i] for i, row in enumerate(matrix))
    inverse = [math.ceil(2**GUARD / unit) for unit in units]
    power = [[math.floor(value * 2**bits) for value in row] for row in start]
    total = [[0] * len(start[0]) for _ in states]
    largest, greatest = [0] * len(start[0]), [0] * size  # of columns in units r, summed; of Σ_l |M^k|_il·r_l
    error = Fraction(1) / min(units)
    for count in range(most):
        moduli = [[abs(entry) + math.ceil(error * units[i]) for entry in power[i]] for i in states]
        sums = [sum(moduli[i][-size:]) for i in states]
        small = max(Fraction(sums[i], 2**bits) / units[i] for i in states)
        if count and small <= REST:
            rest, whole = small / (1 - small), Fraction(1, 2 ** (bits + GUARD))
            found = tuple(
                tuple(Fraction(total[i][c], 2**bits) + rest * units[i] * largest[c] * whole for c in columns)
                for i in states
            )
            ends = [Fraction(value, 2**bits) for value in greatest]
            most_of = max(end / unit for end, unit in zip(ends, units, strict=True))
            return found, tuple(max(ends[i], small * units[i] * most_of) for i in states), count
        for c in columns:
            largest[c] += max(moduli[i][c] * inverse[i] for i in states)
        total = [[total[i][c] + moduli[i][c] for c in columns] for i in states]
        greatest = [max(pair) for pair in zip(greatest, sums, strict=True)]
        power = [[sum(factors[i][k] * power[k][c] for k in states) >> shift for c in columns] for i in states]
        error = _up(norm * error + Fraction(1) / min(units))
    return None


def _up(value: Fraction, bits: int = 128) -> Fraction:
    """Return a fraction of few digits that is at least `value` ≥ 0."""
    if value == 0:
        return value
    shift = bits - (value.numerator.bit_length() - value.denominator.bit_length())
    scaled = value * Fraction(2) ** shift
    return Fraction(math.ceil(scaled)) / Fraction(2) ** shift


def _scaled(row: Sequence[Fraction], units: Sequence[Fraction]) -> Fraction:
    return sum((abs(value) * unit for value, unit in zip(row, units, strict=True)), Fraction(0))


def _diagonal(units: Sequence[Fraction]) -> Matrix:
    return tuple(tuple(unit if i == k else Fraction(0) for k in range(len(units))) for i, unit in enumerate(units))


def _magnitude(rows: Matrix) -> int:
    """Return about how many bits the smallest entry other than 0 needs behind the point."""
    moduli = [abs(value) for row in rows for value in row if value]
    return max(0, *(value.denominator.bit_length() - value.numerator.bit_length() for value in moduli), 0)


def float_above(value: Fraction) -> float:
    """Return the least float that is at least `value`.

    >>> Fraction(float_above(Fraction(1, 10))) >= Fraction(1, 10)
    True
    """
    try:
        near = float(value)
    except OverflowError:  # beyond floats
        return math.inf if value > 0 else -sys.float_info.max
    return near if Fraction(near) >= value else math.nextafter(near, math.inf)
