"""The units of a step meet the greatest weights of each row, as often as each entry has units."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spikecert.checking.numbers.ranks import Ranks
from spikecert.checking.numbers.sparse import Matrix

ENTRIES = st.lists(st.integers(-3, 3), min_size=12, max_size=12)


@given(ENTRIES, st.lists(st.integers(0, 3), min_size=8, max_size=8), st.integers(0, 1), st.integers(1, 5))
def test_the_greatest_weights_that_units_meet_are_first(entries, counts, step, most):
    weights, marks = np.array(entries, dtype=object).reshape(3, 4), np.array(counts).reshape(4, 2)
    row, column = np.nonzero(weights)
    ranks = Ranks.of(Matrix((3, 4), row, column, weights[row, column], 0))
    for side, sign in ((ranks.above, 1), (ranks.below, -1)):
        met = [
            sorted((w * sign for w, n in zip(line, marks[:, step], strict=True) for _ in range(n) if w * sign > 0))
            for line in weights
        ]
        found = side.greatest("marks", marks, step, most)
        assert [[w for w in line if w] for line in found] == [line[::-1][:most] for line in met]
        totals = side.totals("all", marks).ints[:, step]
        assert list(totals) == [sum(line) for line in met]
