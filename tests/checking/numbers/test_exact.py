"""Dyadic numbers are exact: every operation against fractions."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikecert.checking import Refused
from spikecert.checking.numbers.exact import GRID, Dyadic, exactly, greater, lesser, roots, stacked, whole

NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(
    [0.0, 0.1, -0.75, 5e-324, 2.0**52 + 1]
)
PAIRS = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=5)


def fractions(values: Dyadic) -> list[Fraction]:
    return [Fraction(int(x), 1 << values.shift) for x in values.ints.flat]


@given(PAIRS)
def test_operations_do_not_round(pairs):
    first, second = (np.array(column) for column in zip(*pairs, strict=True))
    one, two = Dyadic.of(first), Dyadic.of(second)
    a, b = [Fraction(x) for x in first.tolist()], [Fraction(x) for x in second.tolist()]
    both = list(zip(a, b, strict=True))
    assert fractions(one) == a
    assert fractions(one + two) == [x + y for x, y in both]
    assert fractions(one - two) == [x - y for x, y in both]
    assert fractions(one * two) == [x * y for x, y in both]
    assert fractions(abs(one)) == [abs(x) for x in a]
    assert fractions(lesser(one, two)) == [min(pair) for pair in both]
    assert fractions(greater(one, two)) == [max(pair) for pair in both]
    assert (one <= two).tolist() == [x <= y for x, y in both]
    assert greater(one.sum(), two.sum()).fraction() == max(sum(a), sum(b))
    assert (greater(one.sum(), two.sum()) + one[0]).fraction() == max(sum(a), sum(b)) + a[0]
    assert (one @ two).fraction() == sum(x * y for x, y in both)
    assert one.sum().fraction() == sum(a)
    assert one.max().fraction() == max(a)
    assert exactly(a[0]).fraction() == a[0]
    assert fractions(stacked([one[k] for k in range(len(a))])) == a


@given(st.lists(st.fractions(), min_size=1, max_size=4))
def test_outward_rounding_is_outward_and_fine(values):
    for up, sign in ((True, 1), (False, -1)):
        for found, exact in zip(fractions(Dyadic.outward(values, up)), values, strict=True):
            assert 0 <= sign * (found - exact) < Fraction(1, 2**GRID)


@given(st.lists(st.fractions(0, 10**6), min_size=1, max_size=4))
def test_roots_are_rounded_up_and_close(values):
    even = Dyadic.outward(values, True)
    for squares in (even, even * exactly(Fraction(1, 2))):
        for found, square in zip(fractions(roots(squares)), fractions(squares), strict=True):
            assert found**2 >= square
            assert found == 0 or (found - Fraction(1, 2**GRID)) ** 2 < square


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=4))
def test_coarse_numbers_are_outward_and_close(values):
    numbers = Dyadic.of(values) * Dyadic.of(values)
    for up, sign in ((True, 1), (False, -1)):
        for found, exact in zip(fractions(numbers.coarse(up)), fractions(numbers), strict=True):
            assert 0 <= sign * (found - exact) < Fraction(1, 2**GRID)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_is_refused(value):
    with pytest.raises(Refused, match="price: got NaN or inf"):
        Dyadic.of([0.0, value], "price")


def test_whole_numbers():
    assert fractions(whole(np.array([[1, -2]])).T @ whole(np.array([[3]]))) == [3, -6]
