"""What a spike leaves of both ends of a potential, against all potentials in between."""

import itertools

import pytest
import torch

from spikecert.certify.bounds.intervals.resets import after_reset, zero_

VALUES = [-1.0, 0.0, 0.25, 0.75, 1.0, 1.25, 2.5]
ENDS = torch.tensor(
    [pair for pair in itertools.product(VALUES, VALUES) if pair[0] <= pair[1]], dtype=torch.float64
)
LIMITS = [(1.0, 1.0), (1.001, 0.999)]
"""Of a spike at v ≥ 1: hard ones, and those of bounds, which take both outcomes near the threshold."""


def spikes_of(ends: torch.Tensor, limits: tuple[float, float]) -> torch.Tensor:
    """Return the spikes that must be and those that may be."""
    surely, perhaps = limits
    must = ends[0] >= surely if surely == perhaps else ends[0] > surely
    return torch.stack((must, ends[1] >= perhaps)).double()


@pytest.mark.parametrize("limits", LIMITS)
@pytest.mark.parametrize(("reset", "drop"), [("zero", 1.0), ("subtract", 1.0), ("subtract", 0.3), ("none", 1.0)])
def test_it_is_the_hull_of_what_is_left_of_each_potential(reset: str, drop: float, limits: tuple[float, float]):
    """A potential between the limits may stay silent, and may fire."""
    ends = ENDS.T.contiguous()
    potential = torch.lerp(ends[:1], ends[1:], torch.linspace(0, 1, 2001, dtype=torch.float64)[:, None])
    fired = {"zero": 0.0 * potential, "subtract": potential - drop, "none": potential}[reset]
    silent = potential < 1.0 if limits == (1.0, 1.0) else potential <= limits[0]
    left = torch.cat((fired.where(~silent, potential), fired.where(potential >= limits[1], potential)))
    low, high = after_reset(ends, spikes_of(ends, limits), reset, limits, drop)
    assert bool((low <= left.amin(0) + 1e-12).all())
    assert bool((high >= left.amax(0) - 1e-12).all())
    assert bool((left.amin(0) - low <= 5e-3).all())
    assert bool((high - left.amax(0) <= 5e-3).all())


@pytest.mark.parametrize("limits", LIMITS)
def test_a_hard_reset_in_place_is_bitwise_the_same(limits: tuple[float, float]):
    ends = ENDS.T.contiguous()
    must, may = spikes = spikes_of(ends, limits)
    expected = after_reset(ends, spikes, "zero", limits, 1.0)
    zero_(ends[0], may, limits[1])
    zero_(ends[1], must, limits[0])
    assert torch.equal(ends, expected)


def test_gradients_go_through_decided_spikes_and_the_ends_of_open_ones_that_move():
    ends = torch.tensor([[0.2, 1.5, -0.5], [0.6, 2.0, 3.0]], dtype=torch.float64, requires_grad=True)
    spikes = spikes_of(ends.detach(), (1.0, 1.0)).requires_grad_()
    for reset, onto_ends, onto_spikes in (
        ("zero", [[1.0, 0.0, 1.0], [1.0, 0.0, 0.0]], [[-0.2, -1.5, 0.0], [-0.6, -2.0, 0.0]]),
        ("subtract", [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]], [[-1.0, -1.0, 0.0], [-1.0, -1.0, 0.0]]),
    ):
        total = after_reset(ends, spikes, reset, (1.0, 1.0), 1.0).sum()
        found = torch.autograd.grad(total, (ends, spikes))
        assert [each.tolist() for each in found] == [onto_ends, onto_spikes]
