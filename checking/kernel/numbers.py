"""Numbers of the kernel: integers over 2^GRID. What is finer is rounded outward, where the rules say so."""

import re
from fractions import Fraction
from functools import lru_cache

from ..refusal import Refused

GRID = 160
"""Bits behind the point: float32 numbers from 2^−136 on, and float64 ones of usual sizes, are exact."""
ONE = 1 << GRID
HUGE = ONE << 1100
"""More than any number that a run may have: what is no bound at all."""
NUMBER = re.compile("(-?[0-9a-f]+)(?:p([0-9]{1,3}))?")
MOST_BITS = 1 << 14
"""The longest number that a certificate may hold."""

Box = tuple[int, int]


def exactly(value: Fraction, name: str) -> int:
    """Return a constant of the network.

    Raises:
        Refused: where it is no multiple of 2^−GRID.
    """
    scaled = value * ONE
    if scaled.denominator != 1:
        raise Refused(f"unknown: no proof form for {name} finer than 2^-{GRID}")
    return scaled.numerator


def above(value: Fraction) -> int:
    """Return the least number of the grid at or above a fraction."""
    return -(-(value.numerator << GRID) // value.denominator)


def below(value: Fraction) -> int:
    """Return the greatest number of the grid at or below a fraction."""
    return (value.numerator << GRID) // value.denominator


def regrid(value: int, shift: int) -> Box:
    """Return the numbers of the grid at or below, and at or above, value·2^−shift."""
    excess = shift - GRID
    if excess <= 0:
        return value << -excess, value << -excess
    return value >> excess, -(-value >> excess)


def times(value: int, factor: int) -> Box:
    """Return the numbers of the grid at or below, and at or above, the product of two of them."""
    product = value * factor
    return product >> GRID, -(-product >> GRID)


def scaled(box: Box, factor: int) -> Box:
    """Return a box around factor·x, x in the box."""
    low, high = box if factor >= 0 else box[::-1]
    return low * factor >> GRID, -(-high * factor >> GRID)


def common(one: Box, other: Box) -> Box:
    """Return what two boxes have in common; where that is nothing, the ends are the wrong way around."""
    return max(one[0], other[0]), min(one[1], other[1])


def least(coefficient: int, box: Box) -> int:
    """Return the least coefficient·z over z in the box, over 2^(2·GRID)."""
    return coefficient * box[coefficient < 0]


@lru_cache(1 << 12)
def number(token: str) -> int:
    """Return a number of a certificate: hexadecimal digits, and `p` with the bits that are behind the point.

    Raises:
        Refused: for anything else, or one that is finer than the grid.
    """
    found = NUMBER.fullmatch(token)
    if found is None:
        raise Refused(f"got {token[:20]!r}, expected a number")
    digits, places = found.groups()
    bits = int(places or "0")
    if bits > GRID or len(digits) > MOST_BITS // 4:
        raise Refused(f"got {token[:20]!r}, expected a number with at most {GRID} bits behind the point")
    return int(digits, 16) << GRID - bits
