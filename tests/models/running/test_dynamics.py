"""The fused membrane recursion against the plain one: values, gradients, ties, closed forms.

Each surrogate is the derivative of a step of height one, with the greatest slope that it names.
"""

import itertools
import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from spikecert.models import (
    DLIF,
    LIF,
    Arctan,
    Dynamics,
    Sigmoid,
    Surrogate,
    Triangle,
)
from spikecert.models.dynamics import FIRES_AT, RESETS, SURROGATES, surrogate_name
from spikecert.models.elements.neurons import in_full
from spikecert.models.running.membrane import simulate
from support.examples import examples

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}


def random_case(dtype: torch.dtype, constant: bool, scaled: bool, steps: int = 5) -> tuple[Tensor, Tensor | None]:
    generator = torch.Generator().manual_seed(1)
    shape = (1 if constant else steps, 4, 3, 2)
    current = torch.randn(shape, generator=generator, dtype=dtype).mul_(0.8).requires_grad_()
    scale = torch.randn(steps, generator=generator, dtype=dtype).requires_grad_() if scaled else None
    return current, scale


@pytest.mark.parametrize(("reset", "fires_at"), list(itertools.product(RESETS, FIRES_AT)))
@pytest.mark.parametrize(("constant", "scaled"), list(itertools.product((False, True), repeat=2)))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_and_gradients_equal_the_plain_recursion(
    reference_neuron: Any, reset: str, fires_at: str, constant: bool, scaled: bool, dtype: torch.dtype
) -> None:
    compare_with_plain(reference_neuron, Dynamics(0.8, 0.7, reset, fires_at), constant, scaled, dtype)


@pytest.mark.parametrize("amount", [0.3, 1.4])
@pytest.mark.parametrize("constant", [False, True])
def test_a_subtracting_reset_takes_its_amount(reference_neuron: Any, amount: float, constant: bool) -> None:
    dynamics = Dynamics(0.8, 0.7, "subtract", reset_amount=amount)
    assert dynamics.drop == amount
    compare_with_plain(reference_neuron, dynamics, constant, True, torch.float64)


def compare_with_plain(
    reference_neuron: Any, dynamics: Dynamics, constant: bool, scaled: bool, dtype: torch.dtype
) -> None:
    current, scale = random_case(dtype, constant, scaled)
    wrt = [tensor for tensor in (current, scale) if tensor is not None]
    results = []
    for run in (simulate, reference_neuron):
        potentials, spikes = run(current, scale, dynamics, 5)
        weights = torch.linspace(-1, 1, potentials.numel(), dtype=dtype).view_as(potentials)
        gradients = torch.autograd.grad((weights * potentials + weights.flip(0) * spikes).sum(), wrt)
        results.append((potentials, spikes, *gradients))
    assert 0 < float(results[0][1].detach().sum()) < results[0][1].numel()
    for ours, plain in zip(*results, strict=True):
        torch.testing.assert_close(ours, plain, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("surrogate", [Triangle(0.6), Sigmoid(0.3), Arctan(1.5)], ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("output", [0, 1], ids=["potentials", "spikes"])
@pytest.mark.parametrize("reset", RESETS)
def test_gradients_of_either_output_alone(
    reference_neuron: Any, surrogate: Surrogate, output: int, reset: str
) -> None:
    dynamics = Dynamics(0.9, reset=reset, surrogate=surrogate)
    current, _ = random_case(torch.float64, constant=False, scaled=False)
    gradients = []
    for run in (simulate, reference_neuron):
        result = run(current, None, dynamics, 5)[output]
        gradients.append(torch.autograd.grad(result.square().sum(), current)[0])
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-12)


dyadic = st.integers(-6, 6).map(lambda k: k / 4)


@examples(150)
@given(
    currents=st.lists(dyadic, min_size=1, max_size=6),
    scale=st.lists(dyadic, min_size=6, max_size=6),
    decay=st.sampled_from([0.0, 0.5, 1.0]),
    reset=st.sampled_from(RESETS),
    fires_at=st.sampled_from(FIRES_AT),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_ties_resolve_as_fires_at_says(
    currents: list[float], scale: list[float], decay: float, reset: str, fires_at: str, dtype: torch.dtype
) -> None:
    """Dyadic numbers are exact in floating point, so that many potentials lie exactly on the threshold."""
    steps = len(currents)
    current = torch.tensor(currents, dtype=dtype).view(steps, 1, 1)
    scales = torch.tensor(scale[:steps], dtype=dtype)
    potentials, spikes = simulate(current, scales, Dynamics(decay, 1.0, reset, fires_at), steps)
    residue = 0.0
    for t in range(steps):
        potential = decay * residue + scale[t] * currents[t]
        spike = potential >= 1.0 if fires_at == ">=" else potential > 1.0
        assert (float(potentials[t]), float(spikes[t])) == (potential, float(spike))
        residue = {"zero": 0.0 if spike else potential, "subtract": potential - spike, "none": potential}[reset]


@given(
    decay=st.floats(0.0, 1.0),
    steps=st.integers(1, 12),
    share=st.floats(0.05, 0.95),
    period=st.integers(1, 12),
)
def test_constant_current_fires_with_the_period_of_its_breakpoints(
    decay: float, steps: int, share: float, period: int
) -> None:
    """Between b_k = θ(1−λ)/(1−λ^k) and b_(k−1), a hard-reset neuron fires at every k-th step."""
    upper = 3.0 if period == 1 else _breakpoint(decay, period - 1)
    lower = _breakpoint(decay, period)
    if upper - lower < 1e-6:
        return
    current = torch.full((1, 1, 1), lower + share * (upper - lower), dtype=torch.float64)
    spikes = simulate(current, None, Dynamics(decay), steps)[1].flatten()
    assert spikes.tolist() == [float((t + 1) % period == 0) for t in range(steps)]


def _breakpoint(decay: float, k: int) -> float:
    return 1.0 / math.fsum(decay**i for i in range(k))


@pytest.mark.parametrize("constant", [False, True])
def test_gradcheck_where_the_recursion_is_linear(constant: bool) -> None:
    current, scale = random_case(torch.float64, constant, scaled=True)
    assert scale is not None
    dynamics = Dynamics(0.7, reset="none")
    assert torch.autograd.gradcheck(lambda c, a: simulate(c, a, dynamics, 5)[0], (current, scale))


@pytest.mark.parametrize("reset", RESETS)
def test_gradcheck_away_from_the_threshold(reset: str) -> None:
    """With a surrogate that vanishes where the potentials are, the backward pass is the true gradient."""
    current = torch.tensor([[[0.1, 2.0]], [[0.2, 2.5]], [[0.1, 3.0]]], dtype=torch.float64, requires_grad=True)
    dynamics = Dynamics(0.5, reset=reset, surrogate=Triangle(0.1))
    assert torch.autograd.gradcheck(lambda c: simulate(c, None, dynamics, 3)[0], (current,))


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("constant", [False, True])
def test_without_gradients_the_same_values(reset: str, constant: bool) -> None:
    current, scale = random_case(torch.float32, constant, scaled=True)
    dynamics = Dynamics(0.9, reset=reset)
    recorded = simulate(current, scale, dynamics, 5)
    before = current.detach().clone()
    with torch.no_grad():
        for ours, expected in zip(simulate(current, scale, dynamics, 5), recorded, strict=True):
            assert torch.equal(ours, expected)
    assert torch.equal(current, before)


def test_layout_of_the_current_does_not_matter() -> None:
    current = torch.randn(4, 6, 5).transpose(0, 1)
    strided = simulate(current, None, Dynamics(0.9), 6)
    compact = simulate(current.contiguous(), None, Dynamics(0.9), 6)
    assert all(torch.equal(a, b) for a, b in zip(strided, compact, strict=True))


def test_large_layers_are_the_sum_of_their_parts() -> None:
    """Whatever is done in blocks must not show: a wide layer equals its halves, gradients included."""
    current = (torch.randn(6, 70, 1024) * 0.7).requires_grad_()
    dynamics = Dynamics(0.9)
    whole = simulate(current, None, dynamics, 6)
    halves = [simulate(part, None, dynamics, 6) for part in current.split(512, dim=2)]
    for k in range(2):
        assert torch.equal(whole[k], torch.cat([half[k] for half in halves], 2))
    (grad_whole,) = torch.autograd.grad((whole[0] * whole[1]).sum(), current)
    (grad_halves,) = torch.autograd.grad(torch.stack([(h[0] * h[1]).sum() for h in halves]).sum(), current)
    torch.testing.assert_close(grad_whole, grad_halves)


def test_scale_one_is_no_scale() -> None:
    current = torch.randn(1, 8, 16)
    for ours, plain in zip(
        (DLIF(5, 0.9)(current, 5), DLIF(5, 0.9).run(current, 5).potentials),
        (LIF(0.9)(current, 5), LIF(0.9).run(current, 5).potentials),
        strict=True,
    ):
        assert torch.equal(ours, plain)


def test_one_step_and_no_memory() -> None:
    current = torch.tensor([[[0.2, 1.0, 1.7]]])
    assert LIF()(current, 1).tolist() == [[[0.0, 1.0, 1.0]]]
    assert LIF(decay=0.0)(current, 3).tolist() == [[[0.0, 1.0, 1.0]]] * 3
    assert LIF(decay=1.0)(current, 5)[:, 0, 0].tolist() == [0.0, 0.0, 0.0, 0.0, 1.0]


def test_a_half_current_is_summed_in_full_where_autocast_made_it() -> None:
    half = torch.ones(2, dtype=torch.bfloat16)
    assert in_full(half).dtype == torch.bfloat16
    with torch.autocast("cpu", torch.bfloat16):
        assert in_full(half).dtype == torch.float32
        assert in_full(half.double()).dtype == torch.float64


CASES = [kind(width) for kind in SURROGATES.values() for width in (0.25, 1.0, 2.0)]


@pytest.mark.parametrize("surrogate", CASES, ids=str)
def test_it_integrates_to_one_and_peaks_at_the_threshold(surrogate: Surrogate) -> None:
    distance = torch.linspace(-2000, 2000, 800_001, dtype=torch.float64)
    slope = surrogate.derivative(distance)
    assert float(torch.trapezoid(slope, distance)) == pytest.approx(1.0, abs=2e-3)
    assert float(slope.max()) == float(slope[len(slope) // 2]) == pytest.approx(surrogate.steepest)
    torch.testing.assert_close(slope, slope.flip(0), rtol=1e-9, atol=1e-12)
    assert bool((slope >= 0).all())


@pytest.mark.parametrize(
    ("surrogate", "smooth"),
    [
        (Sigmoid(0.3), lambda x: torch.sigmoid(x / 0.3)),
        (Arctan(0.7), lambda x: torch.atan(math.pi * x / 0.7) / math.pi),
    ],
    ids=["sigmoid", "arctan"],
)
def test_smooth_ones_are_the_derivative_of_their_step(surrogate: Surrogate, smooth: object) -> None:
    x = torch.linspace(-2, 2, 101, dtype=torch.float64, requires_grad=True)
    (derivative,) = torch.autograd.grad(smooth(x).sum(), x)  # type: ignore[operator]
    torch.testing.assert_close(surrogate.derivative(x.detach()), derivative)


def test_triangle_has_the_papers_values() -> None:
    values = Triangle(0.5).derivative(torch.tensor([-0.5, -0.25, 0.0, 0.25, 0.6]))
    assert values.tolist() == [0.0, 1.0, 2.0, 1.0, 0.0]


@pytest.mark.parametrize("surrogate", CASES, ids=str)
def test_the_argument_is_left_alone(surrogate: Surrogate) -> None:
    distance = torch.linspace(-1, 1, 7)
    before = distance.clone()
    surrogate.derivative(distance)
    assert torch.equal(distance, before)


def test_the_table_names_every_surrogate() -> None:
    assert {surrogate_name(kind()) for kind in SURROGATES.values()} == set(SURROGATES)
