"""Masks of what has fired: counts of spikes that are compared, and near-misses of them."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from spikecert import ConversionRefused, convert

STEPS = 5
Mask = Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]]


class Masked(nn.Module):
    """Neurons, of whose spikes a mask lets some through."""

    def __init__(self, mask: Mask) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.mask, self.first, self.last = mask, nn.Linear(4, 6), nn.Linear(6, 3)
        self.first.weight.data.mul_(4.0)

    def forward(self, x: Tensor) -> Tensor:
        v, count, total = torch.zeros(len(x), 6), torch.zeros(len(x), 6), torch.zeros(len(x), 3)
        for t in range(STEPS):
            v = 0.75 * v + self.first(x)
            s = (v >= 1.0).float()
            v = v * (1 - s)
            through, count = self.mask(s, count, t)
            total = total + self.last(through)
        return total / STEPS


def first_only(s: Tensor, count: Tensor, t: int) -> tuple[Tensor, Tensor]:
    return torch.where(count > 0, torch.zeros_like(s), s), count + s


def at_most_two(s: Tensor, count: Tensor, t: int) -> tuple[Tensor, Tensor]:
    return s * (count < 2), count + s


def behind_the_second(s: Tensor, count: Tensor, t: int) -> tuple[Tensor, Tensor]:
    return s * (count >= 2).float(), count + s


def emptied(s: Tensor, count: Tensor, t: int) -> tuple[Tensor, Tensor]:
    return s * (count <= 0).float(), (count + s) * (t != 2)


def twice_at_a_step(s: Tensor, count: Tensor, t: int) -> tuple[Tensor, Tensor]:
    return s * (count < 2).float(), count + s * (2 if t == 2 else 1)


def higher_at_a_step(s: Tensor, count: Tensor, t: int) -> tuple[Tensor, Tensor]:
    return s * (count < (3 if t == 3 else 2)).float(), count + s


def by_halves(s: Tensor, count: Tensor, t: int) -> tuple[Tensor, Tensor]:
    return s * (count <= 0.75).float(), count + 0.5 * s


KNOWN = (first_only, at_most_two, behind_the_second)
OTHERS = (emptied, twice_at_a_step, higher_at_a_step, by_halves)


def differ(mask: Mask, network: nn.Module) -> float:
    """Return how many outputs differ, but for one factor and one constant, on inputs near and far."""
    inputs = torch.randn(2000, 4, generator=torch.Generator().manual_seed(3))
    inputs[::2] *= 3.0
    with torch.no_grad():
        theirs, ours = Masked(mask)(inputs).double().flatten(), network(inputs).double().flatten()
    both = torch.stack([ours, torch.ones_like(ours)], 1)
    fitted = both @ torch.linalg.lstsq(both, theirs[:, None]).solution
    return float(((fitted.flatten() - theirs).abs() > 1e-4).double().mean())


@pytest.mark.parametrize("mask", KNOWN)
def test_a_count_of_spikes_is_a_neuron_that_keeps_all(mask: Mask):
    found = convert(Masked(mask), torch.rand(12, 4, generator=torch.Generator().manual_seed(1)))
    assert differ(mask, found.network) == 0.0


@pytest.mark.parametrize("mask", OTHERS)
def test_another_count_is_no_other_network(mask: Mask):
    """What is the same function may come in; nothing else may."""
    try:
        found = convert(Masked(mask), torch.rand(12, 4, generator=torch.Generator().manual_seed(1)))
    except ConversionRefused:
        return
    assert differ(mask, found.network) == 0.0
