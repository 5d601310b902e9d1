"""Sums of powers from above, held against floats, and what is no stable matrix."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikecert.analysis.loops.series import exact, power_sums
from support.examples import examples


@given(seed=st.integers(0, 2**31), size=st.integers(1, 4), radius=st.sampled_from((0.0, 0.5, 0.9, 0.98)))
@examples(40)
def test_sums_hold_and_are_tight(seed: int, size: int, radius: float):
    draw = np.random.default_rng(seed)
    matrix = draw.normal(size=(size, size)) * 10.0 ** draw.uniform(-3, 3, (size, 1))
    matrix *= radius / max(np.abs(np.linalg.eigvals(matrix)).max(), 1e-300)
    start, units = draw.normal(size=(size, 2)), 10.0 ** draw.uniform(-3, 3, size)
    found = power_sums(exact(matrix.tolist()), exact(start.tolist()), [Fraction(unit) for unit in units])
    power, total, greatest = np.eye(size), np.zeros((size, 2)), np.zeros(size)
    for _ in range(2500):
        total, greatest = total + np.abs(power @ start), np.maximum(greatest, np.abs(power) @ units)
        power = matrix @ power
    proven = np.array([[float(value) for value in row] for row in found.total])
    ends = np.array([float(value) for value in found.greatest])
    assert (proven >= total * (1 - 1e-9)).all()
    assert (ends >= greatest * (1 - 1e-9)).all()
    assert (ends <= greatest * (1 + 1e-6)).all()


def test_by_hand():
    """Σ 2^-k is 2, from above: the rest of the sum is paid."""
    found = power_sums(exact([[0.5]]), exact([[1.0]]), [Fraction(1)])
    assert Fraction(2) <= found.total[0][0] <= Fraction(2) + Fraction(1, 2**30)
    assert found.greatest == (Fraction(1) + Fraction(1, 2**200),) or found.greatest[0] >= 1


@pytest.mark.parametrize("matrix", [[[1.0]], [[1.5]], [[0.0, 1.0], [-1.0, 0.0]]])
def test_what_is_not_stable_is_refused(matrix):
    with pytest.raises(ValueError, match="G: got A \\+ B·K of which no power"):
        power_sums(exact(matrix), exact([[1.0]] * len(matrix)), [Fraction(1)] * len(matrix))
