"""Each term that pays for rounding, alone, against fractions: a run in float32 may use up to it, and no more.

Bounds of networks leave room that hides a term which was forgotten; here nothing else pays.
"""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikecert.certify.rounding import (
    Rounding,
    above,
    around,
    below,
    check_potential,
    euclidean,
    filter_error,
    filtered_size,
    integration_slack,
    lost_products,
    over_rows,
    over_time,
    own_error,
    power_sum,
    product_error,
    reading_slack,
    recursion_slack,
    sum_magnitude,
    sum_slack,
    tie,
    weighted_slack,
    widened,
)
from support.examples import examples
from support.orders import sums

SINGLE = Rounding(torch.float32)
U = Fraction(1, 2**24)
SEEDS = st.integers(0, 2**31)
SIZES = st.sampled_from([1.0, 2.0**-60, 2.0**-130])
"""Of numbers: those of 2^-130 are subnormal in float32, so that products of them lose their last places."""


def exact(number: np.floating | torch.Tensor | float) -> Fraction:
    """Return a float as a fraction."""
    return Fraction(float(number))


def whole(number: object) -> torch.Tensor:
    """Return a number as a tensor of float64."""
    return torch.tensor([float(number)], dtype=torch.float64)  # pyright: ignore[reportArgumentType]


def drawn(seed: int, count: int, size: float = 1.0) -> np.ndarray:
    """Return numbers of float32."""
    return (np.random.default_rng(seed).normal(size=count) * size).astype(np.float32)


@examples(200)
@given(seed=SEEDS, steps=st.integers(1, 300))
def test_a_mean_is_one_division(seed: int, steps: int):
    (total,) = drawn(seed, 1)
    read = total / np.float32(steps)
    assert abs(exact(read) - exact(total) / steps) <= exact(reading_slack(abs(float(read)), SINGLE))
    assert reading_slack(1.0, SINGLE) >= float(2 * U)  # of the bound's own sums, too


@examples(200)
@given(seed=SEEDS, steps=st.integers(1, 12), size=SIZES, decay=st.sampled_from([0.0, 0.3, 0.9, 1.0]))
def test_potentials_and_their_sum_pay_for_each_step(seed: int, steps: int, size: float, decay: float):
    x, kept = drawn(seed, steps, size), np.float32(decay)
    run, total, exactly, summed = np.float32(0), np.float32(0), Fraction(0), Fraction(0)
    for each in x:
        run, exactly = kept * run + each, exact(decay) * exactly + exact(each)
        total, summed = total + run, summed + exactly
    powers = [decay**k for k in range(steps)]
    weights = sum(powers), sum(sum(powers[: k + 1]) for k in range(steps))
    magnitude = whole(np.abs(x).max())
    for found, expected, weight in zip((run, total), (exactly, summed), weights, strict=True):
        assert abs(exact(found) - expected) <= exact(integration_slack(magnitude, weight, steps, SINGLE))


def test_long_sums_of_one_sign_use_up_most_of_what_is_paid():
    steps = 400
    x = np.full(steps, 1 + 2.0**-20, np.float32)
    run, total = np.add.accumulate(x), np.add.accumulate(np.add.accumulate(x))[-1]
    used = abs(exact(total) - exact(x[0]) * steps * (steps + 1) / 2)
    slack = exact(integration_slack(whole(x[0]), steps * (steps + 1) / 2, steps, SINGLE))
    assert exact(run[-1]) != steps * exact(x[0])
    assert used <= slack < 2000 * U * exact(x[0]) * steps * (steps + 1) / 2


@examples(200)
@given(seed=SEEDS)
def test_a_sum_of_two_is_no_larger_than_is_said(seed: int):
    one, other = np.abs(drawn(seed, 2))
    assert exact(one + other) <= exact(sum_magnitude(whole(one), whole(other), SINGLE))


@examples(60)
@given(seed=SEEDS, count=st.integers(1, 30))
def test_no_order_of_moduli_is_larger_than_is_said(seed: int, count: int):
    weight, x, bias = np.abs(drawn(seed, count)), np.abs(drawn(seed + 1, count)), abs(drawn(seed + 2, 1)[0])
    moduli = sum(exact(w) * exact(a) for w, a in zip(weight, x, strict=True)) + exact(bias)
    most = exact(widened(whole(moduli), count, SINGLE))
    for total in sums(weight, x, bias, np.random.default_rng(seed)):
        assert exact(total) <= most


@examples(100)
@given(seed=SEEDS, steps=st.integers(1, 40))
def test_sums_of_two_signals_over_time(seed: int, steps: int):
    one, other = drawn(seed, steps), drawn(seed + 1, steps)
    both, exactly = one + other, [exact(a) + exact(b) for a, b in zip(one, other, strict=True)]
    slack = exact(sum_slack(whole(max(np.abs(one) + np.abs(other))), steps, SINGLE))
    assert all(abs(exact(found) - each) <= slack for found, each in zip(both, exactly, strict=True))
    assert abs(exact(np.add.accumulate(both)[-1]) - sum(exactly)) <= steps * slack


@examples(100)
@given(seed=SEEDS, count=st.integers(1, 12))
def test_products_that_underflow_are_paid(seed: int, count: int):
    weight, x = drawn(seed, count, 1e-25), drawn(seed + 1, count, 1e-19)
    with np.errstate(under="ignore"):
        run = np.add.accumulate(weight * x)[-1]
    exactly = sum(exact(w) * exact(a) for w, a in zip(weight, x, strict=True))
    most = lost_products(count, float(np.abs(weight).max()), float(np.abs(x).max()), SINGLE)
    assert abs(exact(run) - exactly) <= exact(most)


def test_further_roundings_of_a_sum_over_time_are_paid():
    assert [over_time(5), over_rows(5)] == [28, 24]  # 4T + 8 and 4T + 4
    assert product_error(3, SINGLE, 28) == SINGLE.gamma(31) > product_error(3, SINGLE) == SINGLE.gamma(3)
    assert own_error(7) == Rounding(torch.float64).gamma(7)
    one = whole(1.0)
    assert float(weighted_slack(one, 5, SINGLE)) == SINGLE.gamma(28)
    assert float(weighted_slack(one, 5, SINGLE, 3)) == SINGLE.gamma(31)


@examples(200)
@given(seed=SEEDS, size=SIZES, decay=st.floats(0, 1), drop=st.floats(0.5, 2))
def test_each_step_of_a_neuron_is_paid(seed: int, size: float, decay: float, drop: float):
    """v̂ = λ·u + a·I + e, u = v̂ − d·s of the step before: |e| is what is paid, whatever the constants are."""
    steps, threshold = 12, drop * 0.9
    scale, currents = np.random.default_rng(seed).normal() * 2, drawn(seed, steps, size)
    widest = whole(max(np.abs(currents)) * abs(scale))
    paid = exact(recursion_slack(widest, decay, max(threshold, drop), steps, SINGLE))
    left, held = Fraction(0), np.float32(0)
    for current in currents:
        entering = np.float32(scale) * current
        potential = np.float32(decay) * held + entering
        assert abs(exact(potential) - exact(decay) * left - exact(scale) * exact(current)) <= paid
        spike = potential >= np.float32(threshold)
        held = potential - np.float32(drop) * np.float32(spike)
        left = exact(potential) - exact(drop) * bool(spike)


@examples(200)
@given(seed=SEEDS, steps=st.integers(1, 20), size=SIZES, decay=st.floats(0, 1))
def test_each_step_of_a_synapse_is_paid_and_none_is_larger(seed: int, steps: int, size: float, decay: float):
    entering = drawn(seed, steps, size)
    widest = whole(np.abs(entering).max())
    most = filtered_size(widest, power_sum(decay, steps), steps, SINGLE)
    paid = exact(filter_error(decay, most, widest, SINGLE))
    for moduli in (entering, np.abs(entering)):
        held = np.float32(0)
        for each in moduli:
            after = np.float32(decay) * held + each
            assert abs(exact(after) - exact(decay) * exact(held) - exact(each)) <= paid
            assert abs(exact(after)) <= exact(most)
            held = after


@examples(200)
@given(st.floats(1e-30, 1e30))
def test_a_threshold_is_found_within_its_tie(threshold: float):
    assert abs(exact(np.float32(threshold)) - exact(threshold)) <= exact(tie(threshold, SINGLE))


@examples(300)
@given(decay=st.floats(0.1, 1), threshold=st.floats(0.1, 3), after=st.integers(1, 8), units=st.integers(-6, 6))
def test_a_first_spike_falls_between_its_breakpoints(decay: float, threshold: float, after: int, units: int):
    """A constant current within a few units of what fires at a step."""
    steps = 8
    points = [threshold / sum(decay**i for i in range(k)) for k in range(1, steps + 1)]
    current = np.float32(points[after - 1]) * np.float32(1 + units * 2.0**-23)
    potential, first = np.float32(0), steps
    for k in range(steps):
        potential = np.float32(decay) * potential + current
        if potential >= np.float32(threshold):
            first = k
            break
    low, high = zip(*(around(point, steps, SINGLE) for point in points), strict=True)
    assert first == steps or exact(current) >= exact(low[first])
    assert first == 0 or exact(current) <= exact(high[first - 1])


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9, 1.0])
def test_powers_are_summed(decay: float):
    expected = sum((Fraction(decay) ** k for k in range(7)), Fraction(0))
    assert power_sum(decay, 7) == pytest.approx(float(expected), rel=1e-12)
    assert torch.equal(torch.as_tensor(power_sum(whole(decay), 7)), whole(power_sum(decay, 7)))


@pytest.mark.parametrize("reach", [SINGLE.largest * 1.001, math.inf, math.nan])
def test_what_may_overflow_is_refused(reach: float):
    check_potential(SINGLE.largest, SINGLE)
    for each in (reach, whole(reach)):
        with pytest.raises(OverflowError, match="a membrane potential may reach"):
            check_potential(each, SINGLE)
    with pytest.raises(OverflowError, match="a membrane potential may reach"):
        recursion_slack(torch.cat((whole(0.0), whole(SINGLE.largest / 4))), 1.0, 1.0, 5, SINGLE)
    with pytest.raises(OverflowError, match="a synapse may reach"):
        filtered_size(whole(SINGLE.largest), 2.0, 5, SINGLE)


def test_units_are_those_of_run_and_bound():
    double = Rounding(torch.float64)
    assert U < exact(SINGLE.unit) < U * (1 + U)
    assert exact(double.unit) == 5 * Fraction(1, 2**53)
    assert exact(Rounding(torch.float32, torch.float32).unit) == 5 * U
    assert SINGLE.smallest >= torch.finfo(torch.float32).tiny
    assert SINGLE.largest * 8 == torch.finfo(torch.float32).max
    count = Rounding(torch.float32, whole=True)
    assert (count.unit, count.smallest, count.gamma(10**6), count.largest) == (0.0, 0.0, 0.0, 2.0**51)


@pytest.mark.parametrize("terms", [1, 10, 10**6])
def test_gamma_is_no_less_than_highams(terms: int):
    product = terms * U
    assert product / (1 - product) <= exact(SINGLE.gamma(terms)) <= (terms + 3) * U / (1 - (terms + 3) * U)
    assert torch.equal(SINGLE.gamma(whole(terms)), whole(SINGLE.gamma(terms)))


def test_sums_that_are_too_long_are_refused():
    most = int(0.5 / SINGLE.unit)
    for terms in (most, whole(most)):
        with pytest.raises(OverflowError, match="has no useful error bound"):
            SINGLE.gamma(terms)  # pyright: ignore[reportArgumentType,reportCallIssue]
    assert SINGLE.gamma(most - 10) > 0.9


@given(st.floats(-1e300, 1e300))
def test_ends_move_outward(value: float):
    assert below(value) < math.nextafter(value, -math.inf)
    assert math.nextafter(value, math.inf) < above(value)


@given(st.lists(st.floats(-1e-150, 1e-150) | st.floats(-1e3, 1e3), min_size=1, max_size=5))
def test_lengths_are_no_shorter(values: list[float]):
    found = exact(euclidean(torch.tensor(values, dtype=torch.float64), 0))
    assert found * (1 + Fraction(1, 2**45)) >= exact(max(map(abs, values)))
    assert (found * (1 + Fraction(1, 2**45))) ** 2 >= sum(exact(value) ** 2 for value in values)
