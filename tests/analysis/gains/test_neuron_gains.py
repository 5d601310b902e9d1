"""The gains of one neuron: check values, closed form against SVD, sampling, worst cases, what must raise."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikecert.analysis import constant_gain, neuron_bias, neuron_gain
from spikecert.analysis.gains.neuron_gains import NORMS, bounds_norm, toeplitz_norm
from support.examples import examples

ORDER = {"l1": 1, "l2": 2, "linf": math.inf}
decays = st.one_of(st.sampled_from([0.0, 0.5, 0.99, 1.0, 1e-300, 1.0 - 2.0**-53]), st.floats(0.0, 1.0))
scales = st.lists(st.one_of(st.just(0.0), st.floats(1e-6, 4.0), st.floats(-4.0, -1e-6)), min_size=1, max_size=12)


def response(decay: float, scale: list[float]) -> np.ndarray:
    steps = len(scale)
    lag = np.subtract.outer(np.arange(steps), np.arange(steps))
    return np.where(lag >= 0, float(decay) ** np.maximum(lag, 0), 0.0) * np.array(scale)


@pytest.mark.parametrize(
    ("decay", "steps", "sigma", "linf", "rms"),
    [
        (0.5, 8, 1.82628, 1.9922, 1.7806),
        (0.9, 8, 4.11095, 5.6953, 3.9077),
        (0.99, 4, 2.84261, 3.9404, 2.7069),
        (0.99, 8, 5.26360, 7.7255, 4.9169),
        (0.99, 16, 9.88733, 14.8542, 9.1413),
        (1.0, 8, 5.41898, 8.0, 5.0498),
    ],
)
def test_check_values(decay: float, steps: int, sigma: float, linf: float, rms: float) -> None:
    assert neuron_gain(decay, steps) == pytest.approx(sigma, abs=5e-6)
    assert neuron_gain(decay, steps, "linf", "linf") == pytest.approx(linf, abs=6e-5)
    assert neuron_gain(decay, steps, "l1", "l1") == pytest.approx(linf, abs=6e-5)
    assert constant_gain(decay, steps) == pytest.approx(rms, abs=6e-5)


def test_closed_form_is_the_largest_singular_value_to_1e_12() -> None:
    for decay in np.concatenate([np.linspace(0.0, 1.0, 6), [1e-9, 0.99, 0.999999, 1.0 - 2.0**-53]]):
        for steps in (1, 2, 3, 5, 8, 16, 33, 100, 200):
            sigma = np.linalg.svd(response(decay, [1.0] * steps), compute_uv=False)[0]
            assert toeplitz_norm(float(decay), steps) == pytest.approx(sigma, rel=1e-12)
            assert neuron_gain(float(decay), steps) == pytest.approx(sigma, rel=1e-12)


def test_the_undamped_and_the_memoryless_neuron_have_their_special_forms() -> None:
    for steps in (1, 2, 7, 64):
        expected = 1.0 / (2.0 * math.sin(math.pi / (2 * (2 * steps + 1))))
        assert neuron_gain(1.0, steps) == pytest.approx(expected, rel=1e-14)
        assert neuron_gain(0.0, steps) == 1.0
        assert neuron_gain(0.3, 1) == 1.0
        assert neuron_gain(1.0, steps, "linf", "linf") == steps


def test_upper_ends_are_at_most_two_floats_above_the_truth() -> None:
    exact = sum(Fraction(0.9) ** k for k in range(8))
    value = Fraction(neuron_gain(0.9, 8, "linf", "linf"))
    assert exact <= value <= exact * (1 + Fraction(1, 2**52))
    exact_square = sum(Fraction(0.9) ** (2 * k) for k in range(8))
    value = Fraction(neuron_gain(0.9, 8, "l2", "linf")) ** 2
    assert exact_square <= value <= exact_square * (1 + Fraction(1, 2**50))
    assert Fraction(neuron_gain(0.99, math.inf)) >= 1 / (1 - Fraction(0.99))


def test_pivots_refuse_a_bound_just_below_the_norm() -> None:
    for decay, steps in ((0.5, 8), (0.99, 16), (1.0, 200)):
        sigma = neuron_gain(decay, steps)
        assert bounds_norm(sigma, decay, [1.0] * steps)
        assert not bounds_norm(sigma * (1.0 - 1e-13), decay, [1.0] * steps)


@given(decay=decays, scale=scales)
@examples(150)
def test_every_norm_is_that_of_the_matrix(decay: float, scale: list[float]) -> None:
    matrix = np.abs(response(decay, scale))
    ones = np.ones(len(scale))
    expected = {
        ("l1", "l1"): matrix.sum(0).max(),
        ("l1", "l2"): np.linalg.norm(matrix, axis=0).max(),
        ("l1", "linf"): matrix.max(),
        ("l2", "l1"): np.linalg.norm(matrix.T @ ones),
        ("l2", "l2"): np.linalg.norm(matrix, 2),
        ("l2", "linf"): np.linalg.norm(matrix, axis=1).max(),
        ("linf", "l1"): matrix.sum(),
        ("linf", "l2"): np.linalg.norm(matrix @ ones),
        ("linf", "linf"): matrix.sum(1).max(),
    }
    for (first, second), value in expected.items():
        computed = neuron_gain(decay, len(scale), first, second, scale)
        assert value * (1 - 1e-12) <= computed <= value * (1 + 1e-11) + 1e-300


@given(decay=decays, scale=scales, seed=st.integers(0, 2**31))
@examples(150)
def test_no_input_exceeds_a_gain(decay: float, scale: list[float], seed: int) -> None:
    rng = np.random.default_rng(seed)
    inputs = rng.standard_normal((len(scale), 40)) * rng.choice([1e-3, 1.0, 1e3], size=(len(scale), 40))
    outputs = response(decay, scale) @ inputs
    for first in NORMS:
        for second in NORMS:
            bound = neuron_gain(decay, len(scale), first, second, scale)
            sizes = np.linalg.norm(inputs, ORDER[first], axis=0)
            assert np.all(np.linalg.norm(outputs, ORDER[second], axis=0) <= bound * sizes * (1 + 1e-12))


@given(decay=st.floats(0.0, 0.999), steps=st.integers(1, 60))
@examples(80)
def test_a_finite_horizon_never_exceeds_the_infinite_one(decay: float, steps: int) -> None:
    for first in NORMS:
        for second in NORMS:
            finite, infinite = (
                neuron_gain(decay, steps, first, second),
                neuron_gain(decay, math.inf, first, second),
            )
            assert finite <= infinite * (1 + 4e-16)


@given(decay=decays, initial=st.floats(-1e3, 1e3), steps=st.integers(1, 40))
@examples(80)
def test_bias_covers_the_free_response(decay: float, initial: float, steps: int) -> None:
    free = initial * decay ** np.arange(1, steps + 1)
    for norm in NORMS:
        bound = neuron_bias(decay, steps, norm, initial)
        size = math.hypot(*free) if norm == "l2" else np.linalg.norm(free, ORDER[norm])  # numpy's squares vanish
        assert size <= bound * (1 + 1e-12)
        assert bound <= neuron_bias(decay, math.inf, norm, initial) * (1 + 1e-15)


def test_infinite_bias_and_gain_without_decay() -> None:
    assert neuron_gain(1.0, math.inf) == math.inf
    assert neuron_gain(1.0, math.inf, "l1", "linf") == 1.0
    assert neuron_bias(1.0, math.inf, "l2") == math.inf
    assert neuron_bias(0.6, math.inf, "l2") == pytest.approx(0.6 / 0.8, rel=1e-14)


def test_huge_tiny_and_zero_input_scales() -> None:
    assert neuron_gain(0.5, 3, input_scale=[0.0, 0.0, 0.0]) == 0.0
    reference = neuron_gain(0.5, 3, input_scale=[1.0, -2.0, 0.5])
    assert neuron_gain(0.5, 3, input_scale=[2.0**900, -(2.0**901), 2.0**899]) == pytest.approx(
        reference * 2.0**900
    )
    assert neuron_gain(0.5, 3, input_scale=[2.0**-900, -(2.0**-899), 2.0**-901]) == pytest.approx(
        reference * 2.0**-900, rel=1e-14, abs=0.0
    )
    assert neuron_gain(0.5, 3, input_scale=[1e308, 1e308, 1e308]) > 1e308


def test_long_horizons_are_quick_and_below_the_limit() -> None:
    assert neuron_gain(0.99, 20_000) <= neuron_gain(0.99, math.inf)
    assert neuron_gain(0.99, 20_000) == pytest.approx(100.0, rel=2e-4)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"decay": -0.1, "horizon": 4}, ValueError, "decay"),
        ({"decay": 1.5, "horizon": 4}, ValueError, "decay"),
        ({"decay": math.nan, "horizon": 4}, ValueError, "decay"),
        ({"decay": "0.5", "horizon": 4}, TypeError, "decay"),
        ({"decay": 0.5, "horizon": 0}, ValueError, "horizon"),
        ({"decay": 0.5, "horizon": 2.5}, ValueError, "horizon"),
        ({"decay": 0.5, "horizon": math.nan}, ValueError, "horizon"),
        ({"decay": 0.5, "horizon": -math.inf}, ValueError, "horizon"),
        ({"decay": 0.5, "horizon": True}, TypeError, "horizon"),
        ({"decay": 0.5, "horizon": 4, "input_norm": "l3"}, ValueError, "input_norm"),
        ({"decay": 0.5, "horizon": 4, "output_norm": "L2"}, ValueError, "output_norm"),
        ({"decay": 0.5, "horizon": 4, "input_scale": [1.0]}, ValueError, "input_scale"),
        ({"decay": 0.5, "horizon": 2, "input_scale": [1.0, math.nan]}, ValueError, "input_scale"),
        ({"decay": 0.5, "horizon": math.inf, "input_scale": [1.0]}, ValueError, "input_scale"),
    ],
)
def test_must_raise(arguments: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}: got"):
        neuron_gain(**arguments)


@given(decay=decays, inputs=st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=30))
@examples(150)
def test_the_loss_is_bounded_on_both_sides_by_the_perturbation(decay: float, inputs: list[float]) -> None:
    outputs = response(decay, [1.0] * len(inputs)) @ np.array(inputs)
    size, loss = float(np.linalg.norm(inputs)), float(np.linalg.norm(outputs))
    assert size / (1.0 + decay) <= loss * (1 + 1e-12) + 1e-150
    assert loss <= neuron_gain(decay, len(inputs)) * size * (1 + 1e-12) + 1e-150
    smallest = np.linalg.svd(response(decay, [1.0] * len(inputs)), compute_uv=False)[-1]
    assert smallest >= 1.0 / (1.0 + decay) * (1 - 1e-12)
