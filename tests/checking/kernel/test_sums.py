"""Sums of a whole layer by machine integers: what whole numbers give, however long they are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikecert.checking.numbers.sparse import Digits, Matrix, room, summed

ROWS, COLUMNS = 5, 4


def _number(bits):
    """Numbers of up to so many bits, the longest ones among them, and multiples of powers of two."""
    ends = st.sampled_from([-(2**bits), -(2**bits) + 1, -1, 0, 1, 2**bits - 1, 2**bits])
    return ends | st.integers(-(2**bits), 2**bits) | st.integers(-8, 8).map(lambda x: x << bits)


@st.composite
def matrices(draw):
    """Draw matrices of whole numbers, some rows and columns without entries."""
    bits = draw(st.integers(0, 300))
    places = sorted(draw(st.sets(st.integers(0, ROWS * COLUMNS - 1))))
    ints = np.array([draw(_number(bits)) for _ in places] + [None], dtype=object)[:-1]
    place = np.array(places, dtype=np.int64)
    return Matrix((ROWS, COLUMNS), place // COLUMNS, place % COLUMNS, ints, 0)


def _full(matrix):
    full = [[0] * COLUMNS for _ in range(ROWS)]
    for i, j, w in zip(matrix.row.tolist(), matrix.column.tolist(), matrix.ints.tolist(), strict=True):
        full[i][j] = w
    return full


@given(st.data(), matrices(), st.integers(0, 300))
def test_sums_of_all_rows_and_columns_are_exact(data, matrix, bits):
    values, full = [data.draw(_number(bits)) for _ in range(COLUMNS)], _full(matrix)
    assert matrix.images(values) == [sum(w * x for w, x in zip(row, values, strict=True)) for row in full]
    assert matrix.moduli.images(values) == [
        sum(abs(w) * x for w, x in zip(row, values, strict=True)) for row in full
    ]
    rows = data.draw(st.lists(st.integers(0, ROWS - 1), unique=True, min_size=1))
    costs = {i: data.draw(_number(bits)) for i in rows}
    assert matrix.pulled(costs) == [sum(full[i][j] * cost for i, cost in costs.items()) for j in range(COLUMNS)]
    assert [dict(matrix.entries(i)) for i in range(ROWS)] == [
        {j: w for k, j, w in zip(matrix.row, matrix.column, matrix.ints, strict=True) if k == i}
        for i in range(ROWS)
    ]


@given(st.integers(0, 300).flatmap(lambda bits: st.lists(_number(bits))), st.integers(1, 30))
def test_digits_add_up_and_none_is_too_long(values, bits):
    digits = Digits(values, bits)
    told = [sum(int(part[i]) << bits * k for k, part in enumerate(digits.parts)) for i in range(len(values))]
    assert [value << digits.spare for value in told] == values
    assert all(abs(int(x)) <= 2**bits for part in digits.parts for x in part)


@pytest.mark.parametrize("terms", [1, 2, 3, 1000, 1 << 20])
def test_the_longest_digits_have_room(terms):
    """As many products of the largest digits as there is room for stay below 2^63."""
    assert terms * 2 ** (2 * room(terms)) < 2**63
    longest = 2 ** (3 * room(terms)) - 1
    one = Digits([longest] * min(terms, 1000), room(terms))
    assert summed(one, one, lambda a, b: np.array([np.sum(a * b)])) == [longest**2 * min(terms, 1000)]
