"""Sums of a whole layer by machine integers: what whole numbers give, or nothing."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spikecert.checking.kernel.contexts import SpanEnds
from spikecert.checking.kernel.network import MachineRows
from spikecert.checking.numbers.sparse import Matrix


@given(st.integers(0, 2**32), st.integers(1, 61), st.integers(0, 60))
def test_images_of_all_rows_at_once_are_exact_or_none(seed, bits, spread):
    """Any signs, rows without entries, and weights and boxes that just fit, or are longer."""
    rng = np.random.default_rng(seed)
    ends = np.array([-(2**bits) + 1, 2**bits - 1])
    weights = np.append(ends, rng.integers(ends[0], ends[1], size=10, endpoint=True)).tolist()
    place = np.sort(rng.choice(20, 12, replace=False))
    matrix = Matrix((5, 4), place // 4, place % 4, np.array(weights, dtype=object), 0)
    low = rng.integers(-(2**spread), 2**spread, size=4).tolist()
    high = [one + int(rng.integers(0, 2**spread + 1)) for one in low]
    boxes, short = SpanEnds.of(list(zip(low, high, strict=True))), MachineRows.of(matrix)
    assert short is not None
    found = short.images(boxes.sums, boxes.widths)
    assert found is not None or max(26, bits - 26) + 4 + spread >= 62
    for i, image in enumerate(found or ()):
        own = [
            (w, (low[j], high[j])) for r, j, w in zip(*(matrix.row, matrix.column, weights), strict=True) if r == i
        ]
        least, most = (sum(w * box[(w > 0) == upper] for w, box in own) for upper in (False, True))
        assert [end << boxes.spare for end in image] == [2 * least, 2 * most]


def test_numbers_that_may_not_fit_are_left_to_whole_numbers():
    one = np.array([0])
    assert MachineRows.of(Matrix((1, 1), one, one, np.array([1 << 62], dtype=object), 0)) is None
    short = MachineRows.of(Matrix((1, 1), one, one, np.array([(1 << 62) - 1], dtype=object), 0))
    assert short is not None
    assert short.images([1 << 26], [0]) == [((1 << 62) - 1 << 26,) * 2]
    assert short.images([1 << 27], [0]) is None
    assert short.images([0], [1 << 27]) is None
