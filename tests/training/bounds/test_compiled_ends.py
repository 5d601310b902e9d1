"""The ends of spikes by the compiled kernel: those of torch's operations, values and gradients."""

import itertools

import pytest
import torch
from torch import Tensor

from spikecert.certify.bounds.signals.windows import Box
from spikecert.models import DLIF, LIF, Arctan, Sigmoid, Surrogate, Triangle
from spikecert.training.bounds.ends import Ends
from spikecert.training.bounds.interval_bounds import SingleSteps
from spikecert.training.bounds.spike_ends import spike_ends
from support.eager import KERNELS, by

KINDS = [
    (reset, fires_at, surrogate, amount)
    for reset, amounts in (("zero", (None,)), ("subtract", (None, 0.3, 1.7)), ("none", (None,)))
    for amount in amounts
    for fires_at in (">=", ">")
    for surrogate in (Triangle(1.3), Arctan(0.7), Sigmoid())
]


@pytest.mark.parametrize(("reset", "fires_at", "surrogate", "amount"), KINDS)
def test_the_compiled_ends_are_those_of_torch(
    reset: str, fires_at: str, surrogate: Surrogate, amount: float | None
) -> None:
    torch.manual_seed(0)
    for steps, constant, scaled in itertools.product((1, 5), (True, False), (True, False)):
        constants = (0.9, 0.8, reset, fires_at, surrogate, amount)
        neuron = (DLIF(steps, *constants) if scaled else LIF(*constants)).double()
        if scaled:
            neuron.scale(steps).data.normal_()  # type: ignore[union-attr] (of both signs)
        middle = torch.randn(1 if constant else steps, 3, 400, dtype=torch.float64)
        radius = 0.5 * torch.rand_like(middle)
        for bounds in ("interval", "trains"):
            found = [_ends_and_gradients(neuron, middle, radius, steps, bounds, k) for k in KERNELS]
            for expected, other in zip(*found, strict=True):
                torch.testing.assert_close(other, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("fires_at", "surrogate", "amount"), [kind[1:] for kind in KINDS if kind[0] == "subtract"]
)
def test_the_compiled_coupled_runs_are_those_of_torch(
    fires_at: str, surrogate: Surrogate, amount: float | None
) -> None:
    torch.manual_seed(0)
    for steps, constant, decay in itertools.product((1, 5), (True, False), (0.0, 0.9, 1.0)):
        neuron = LIF(decay, 0.75, "subtract", fires_at, surrogate, amount)
        middle = torch.randn(1 if constant else steps, 3, 400, dtype=torch.float64)
        middle[..., ::5] = (middle[..., ::5] * 8).round() / 8  # sums of these lie on thresholds
        radius = torch.rand_like(middle) * (torch.rand_like(middle) > 0.2)
        weights = torch.randn(2, steps, 3, 400, dtype=torch.float64)
        found = []
        for kernel in KERNELS:
            ends = [(middle - radius).requires_grad_(), (middle + radius).requires_grad_()]
            with by(kernel):
                spikes = spike_ends(neuron, Box(ends[0], ends[1]), steps, coupled=True)
            total = (torch.stack((spikes.lower, spikes.upper)) * weights).sum()
            found.append([spikes.lower, spikes.upper, *torch.autograd.grad(total, ends)])
        for expected, other in zip(*found, strict=True):
            torch.testing.assert_close(other, expected, rtol=1e-9, atol=1e-9)


def _ends_and_gradients(
    neuron: LIF, middle: Tensor, radius: Tensor, steps: int, bounds: str, kernel: str
) -> list[Tensor]:
    currents = torch.stack((middle - radius, middle + radius)).requires_grad_()
    box = Box(currents[0], currents[1])
    with by(kernel):
        known = SingleSteps(Ends(box), steps, bounds == "trains").spikes(neuron, box)
    spikes, mean = (torch.stack((ends.lower, ends.upper)) for ends in (known.box, known.mean()))
    generator = torch.Generator().manual_seed(1)
    weights = [torch.randn(x.shape, generator=generator, dtype=x.dtype) for x in (spikes, mean)]
    total = (spikes * weights[0]).sum() + (mean * weights[1]).sum()
    return [spikes, mean, *torch.autograd.grad(total, [currents, *neuron.parameters()])]
