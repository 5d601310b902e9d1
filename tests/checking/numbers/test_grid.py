"""Numbers of the grid are the nearest ones below and above what they stand for.

Multipliers of leaves, as a short proof holds them.
"""

from fractions import Fraction

import numpy as np
import pytest

from spikecert.checking import Refused
from spikecert.checking.kernel.numbers import GRID, ONE, above, below, regrid, times
from spikecert.checking.short import read_narrowings

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


def test_flat_multipliers_are_read_leaf_by_leaf():
    tensors = {
        "3.narrow.sizes": np.array([[1, 2], [0, 0], [0, 1]]),
        "3.narrow.neurons": np.array([4]),
        "3.narrow.slabs": np.array([5, 6, 7]),
        "3.narrow.multipliers": np.arange(7.0),
    }
    one, none, two = read_narrowings(tensors, 3, 3)
    assert one is not None
    assert two is not None
    assert none is None
    assert one.neurons.tolist() == [4]
    assert one.slabs.tolist() == [5, 6]
    assert one.multipliers.tolist() == [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]
    assert two.slabs.tolist() == [7]
    assert two.multipliers.tolist() == [[6.0]]
    assert read_narrowings(tensors, 2, 3) == [None, None, None]
    for name in tensors:
        with pytest.raises(Refused, match="sizes that do not fit"):
            read_narrowings(tensors | {name: tensors[name][:-1]}, 3, 3)
    with pytest.raises(Refused, match="sizes that do not fit"):
        read_narrowings(tensors | {"3.narrow.sizes": np.array([[1, 2], [0, 0], [-1, 1]])}, 3, 3)
