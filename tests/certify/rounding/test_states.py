"""What pays for states of several numbers, alone, against fractions: each number's step, and the threshold."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikecert.certify.rounding import Rounding, state_slack
from spikecert.models.rules import CoupledRecursion, Number, Recursion
from support.examples import examples

SINGLE = Rounding(torch.float32)
STEPS = 10
SEEDS = st.integers(0, 2**31)
SIZES = st.sampled_from([1.0, 2.0**-60, 2.0**-130])


def exact(number: np.floating | float) -> Fraction:
    """Return a float as a fraction."""
    return Fraction(float(number))


def of(value: torch.Tensor) -> Fraction:
    """Return the greatest number of a tensor as a fraction."""
    return Fraction(float(value.max()))


def whole(number: float) -> torch.Tensor:
    """Return a number as a tensor of float64, a batch of one."""
    return torch.tensor([number], dtype=torch.float64)


@examples(200)
@given(seed=SEEDS, size=SIZES, decay=st.floats(0, 1), raises=st.floats(0, 3), threshold=st.floats(0.1, 2))
def test_a_threshold_that_rises_is_found_within_its_tie(
    seed: int, size: float, decay: float, raises: float, threshold: float
):
    """z[t] = κ·z[t−1] + e·s[t], B = θ + w·z: what the run makes of both, step by step."""
    generator = np.random.default_rng(seed)
    entering, start = generator.random() * size, generator.random() * size
    numbers = (Number(0.9, threshold), Number(decay, entering, start, raises))
    slack = state_slack(Recursion(threshold, numbers), whole(1.0), STEPS, SINGLE)
    held = np.float32(start)
    for spike in generator.integers(0, 2, STEPS):
        limit = np.float32(threshold) + np.float32(raises) * held
        assert abs(exact(limit) - exact(threshold) - exact(raises) * exact(held)) <= of(slack.tie)
        after = np.float32(decay) * held + np.float32(entering) * np.float32(spike)
        assert abs(exact(after) - exact(decay) * exact(held) - exact(entering) * int(spike)) <= of(
            slack.numbers[1]
        )
        held = after
    assert of(slack.numbers[0]) == 0  # the potential's current pays


@examples(200)
@given(seed=SEEDS, size=SIZES)
def test_numbers_that_enter_each_other_are_paid(seed: int, size: float):
    """z = A·z + h·x + e in float32, and v − B = c·z + x − θ, in whatever order sums are taken."""
    generator = np.random.default_rng(seed)
    weights, heard, compared = generator.normal(size=(2, 2)), generator.normal(size=2), generator.normal(size=2)
    entering, start = generator.normal(size=2) * size, generator.normal(size=2) * size
    x, threshold = (generator.normal(size=STEPS) * size).astype(np.float32), float(generator.random() + 0.1)
    numbers = tuple(Number(0.0, abs(e), s) for e, s in zip(entering.tolist(), start.tolist(), strict=True))
    sizes = (tuple(map(tuple, np.abs(weights).tolist())), tuple(np.abs(heard).tolist()))
    recursion = CoupledRecursion(threshold, numbers, *sizes, tuple(np.abs(compared).tolist()), 6)
    slack = state_slack(recursion, whole(float(np.abs(x).max())), STEPS, SINGLE)
    held = start.astype(np.float32)
    for each in x:
        seen = (
            (np.float32(compared[0]) * held[0] + np.float32(compared[1]) * held[1]) + each - np.float32(threshold)
        )
        exactly = sum(exact(c) * exact(z) for c, z in zip(compared, held, strict=True)) + exact(each)
        assert abs(exact(seen) - exactly + exact(threshold)) <= of(slack.tie)
        after = weights.astype(np.float32) * held
        after = (after[:, 0] + after[:, 1]) + heard.astype(np.float32) * each + entering.astype(np.float32)
        for i in range(2):
            exactly = sum(exact(w) * exact(z) for w, z in zip(weights[i], held, strict=True))
            exactly += exact(heard[i]) * exact(each) + exact(entering[i])
            assert abs(exact(after[i]) - exactly) <= of(slack.numbers[i])
        held = after


def test_what_is_paid_of_a_step_is_in_proportion_to_its_roundings():
    one = (Number(0.0, 1.0),)
    few, many = (
        state_slack(CoupledRecursion(1.0, one, ((0.5,),), (1.0,), (1.0,), count), whole(1.0), STEPS, SINGLE)
        for count in (3, 6)
    )
    assert float(many.numbers[0] / few.numbers[0]) == pytest.approx(2.0, rel=1e-3)
    assert float(few.tie) >= 3 * 1.6 * SINGLE.unit * 2.0
    assert float(many.tie / few.tie) == pytest.approx(2.0, rel=1e-3)
    assert float(few.current.abs().max()) == 0.0  # the numbers pay


@pytest.mark.parametrize("weight", [1e5, 1.0])
def test_numbers_that_may_overflow_are_refused(weight: float):
    """10 steps of 1e5 each are 1e50; 1 in 10 steps is none, but what it is compared by is."""
    recursion = CoupledRecursion(1.0, (Number(0.0, 1.0),), ((weight,),), (1.0,), (1e38,), 3)
    with pytest.raises(OverflowError, match="a membrane potential may reach"):
        state_slack(recursion, whole(1.0), STEPS, SINGLE)


def test_numbers_that_overflow_where_nothing_is_compared_are_refused():
    recursion = CoupledRecursion(1.0, (Number(0.0, 1.0),), ((1e5,),), (1.0,), (0.0,), 3)
    with pytest.raises(OverflowError, match="a membrane potential may reach"):
        state_slack(recursion, whole(1.0), STEPS, SINGLE)


def test_a_threshold_that_may_overflow_is_refused():
    numbers = (Number(0.9, 1.0), Number(0.9, 1.0, 0.0, 1e38))
    with pytest.raises(OverflowError, match="a threshold may reach"):
        state_slack(Recursion(1.0, numbers), whole(1.0), STEPS, SINGLE)


@pytest.mark.parametrize("count", [4, 5])
def test_the_proof_is_for_four_numbers(count: int):
    recursion = Recursion(1.0, tuple(Number(0.5, 1.0) for _ in range(count)))
    if count == 4:
        assert len(state_slack(recursion, whole(1.0), STEPS, SINGLE).numbers) == 4
        return
    with pytest.raises(ValueError, match="recursion: got 5 numbers, expected at most 4"):
        state_slack(recursion, whole(1.0), STEPS, SINGLE)


def test_where_a_potential_begins_is_part_of_what_is_paid():
    begun, fresh = (
        state_slack(Recursion(1.0, (Number(0.9, 1.0, start),)), whole(1.0), STEPS, SINGLE) for start in (-7.0, 0.0)
    )
    assert float(begun.current) > 2 * float(fresh.current)
