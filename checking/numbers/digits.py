"""Sums of products of whole numbers, as long as they may be, by machine integers: digit by digit, exactly.

A number is Σ digits[k]·2^(k·bits); the last digit has its sign, the others are not negative, and no modulus is
above 2^bits. So a sum of `terms` products of digits is at most terms·2^(2·bits), which is kept below 2^63.
"""

from collections.abc import Callable, Sequence
from functools import reduce
from operator import add, or_

import numpy as np

from ..work import CALL, spend

MACHINE = 62
"""The bits of the largest sum that a machine integer is to hold."""


def room(terms: int) -> int:
    """Return the bits of digits, of whose products so many can be summed up."""
    return (MACHINE - max(terms, 1).bit_length()) // 2


class Digits:
    """Whole numbers, by digits, over the greatest power of two, 2^spare, of which all are multiples."""

    def __init__(self, values: Sequence[int], bits: int) -> None:
        used = reduce(or_, values, 0)
        self.bits, self.spare = bits, max((used & -used).bit_length() - 1, 0)
        length = max(map(int.bit_length, values), default=0) - self.spare
        last, mask = self.spare + (max(length, 1) - 1) // bits * bits, (1 << bits) - 1
        own = [[value >> k & mask for value in values] for k in range(self.spare, last, bits)]
        own.append([value >> last for value in values])
        self.parts = [np.array(part, dtype=np.int64) for part in own]


def summed(one: Digits, two: Digits, sums: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> list[int]:
    """Return sums of products of two kinds of numbers, which `sums` makes of digits of both."""
    found: list[int] = []
    for a, own in enumerate(one.parts):
        for b, other in enumerate(two.parts):
            spend(CALL + len(own) // 4)
            shift = one.spare + two.spare + (a + b) * one.bits
            part = [value << shift for value in sums(own, other).tolist()]
            found = list(map(add, found, part)) if found else part
    return found
