"""Numbers of the grid are the nearest ones below and above what they stand for."""

from fractions import Fraction

import pytest

from spikecert.checking.kernel.numbers import GRID, ONE, above, below, regrid, times

VALUES = [sign * value for value in (0, 1, 2, 3, ONE - 1, ONE, 3 * ONE + 1) for sign in (1, -1)]


@pytest.mark.parametrize("shift", [0, 3, GRID - 1, GRID, GRID + 1, GRID + 7])
def test_both_ends_are_the_nearest(shift: int):
    for value in VALUES:
        exact = Fraction(value, 1 << shift)
        for low, high in (regrid(value, shift), (below(exact), above(exact))):
            assert Fraction(low, ONE) <= exact <= Fraction(high, ONE)
            assert high - low == ((exact * ONE).denominator > 1)


def test_ends_of_products_are_the_nearest():
    for value, factor in ((value, factor) for value in VALUES for factor in VALUES):
        (low, high), exact = times(value, factor), Fraction(value * factor, ONE)
        assert low <= exact <= high
        assert high - low == (exact.denominator > 1)
