"""Each surrogate is the derivative of a step of height one, with the greatest slope that it names."""

import math

import pytest
import torch

from spikecert.models import Arctan, Sigmoid, Surrogate, Triangle
from spikecert.models.surrogates import SURROGATES, surrogate_name

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
