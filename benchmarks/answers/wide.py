"""Twenty larger networks on digits: dense ones, long ones, convolutions, loops, recordings."""

from collections.abc import Callable
from functools import cache
from itertools import pairwise

import torch
from torch import Tensor, nn

from spikecert import (
    DLIF,
    LIF,
    AdaptiveLIF,
    CoupledLIF,
    OneSpikeLIF,
    Recurrent,
    RefractoryLIF,
    Residual,
    Synapse,
    VariedLIF,
    dataset,
)

from .subjects import POOL, Subject

Neuron = Callable[[], nn.Module]
SIDE = 8


def zero() -> nn.Module:
    """Return neurons of a hard reset."""
    return LIF(0.9)


def subtracting() -> nn.Module:
    """Return neurons that subtract."""
    return LIF(0.95, 1.0, "subtract")


@cache
def digits() -> Tensor:
    """Return the pool: images of 16ths, (samples, 64)."""
    return dataset("digits").test.inputs[:POOL].double()


def dense(
    name: str, widths: tuple[int, ...], steps: int, neuron: Neuron, *ending: Neuron, **rest: object
) -> Subject:
    """Return a dense network of digits."""

    def layers() -> list[nn.Module]:
        found: list[nn.Module] = []
        for one, other in pairwise(widths):
            found += [nn.Linear(one, other), neuron()]
        return [*found[:-1], *(end() for end in ending)]

    return Subject(name, layers, (widths[0],), steps, rest, gain=2.0, data=digits)


def image(name: str, steps: int, *layers: Neuron) -> Subject:
    """Return a network of digits as images."""
    made = lambda: [layer() for layer in layers]  # noqa: E731
    pool = lambda: digits().reshape(-1, 1, SIDE, SIDE)  # noqa: E731
    return Subject(name, made, (1, SIDE, SIDE), steps, {}, gain=2.0, data=pool)


def _varied() -> nn.Module:
    return VariedLIF([0.9, 0.5] * 16)


def _scaled() -> nn.Module:
    neuron = DLIF(8, 0.9)
    neuron.input_scale.data.copy_(1.0 - torch.arange(8) / 16)
    return neuron


WIDE = (
    dense("64-64-10", (64, 64, 10), 8, zero),
    dense("64-64-10 subtract", (64, 64, 10), 8, subtracting),
    dense("64-64-64-10", (64, 64, 64, 10), 8, zero),
    dense("64-64-64-10 subtract", (64, 64, 64, 10), 8, subtracting),
    dense("64-64-64-10, T = 25", (64, 64, 64, 10), 25, zero),
    dense("64-32-32-10", (64, 32, 32, 10), 16, zero),
    dense("64-32-32-10 subtract, T = 32", (64, 32, 32, 10), 32, subtracting),
    dense("64-128-64-10", (64, 128, 64, 10), 8, zero),
    dense("64-32-10, T = 100", (64, 32, 10), 100, zero),
    dense("64-32-10 subtract, T = 100", (64, 32, 10), 100, lambda: LIF(1.0, 1.0, "subtract")),
    dense("64-32-32-10 counts", (64, 32, 32, 10), 16, subtracting, subtracting),
    dense("64-32-32-10 DLIF", (64, 32, 32, 10), 8, _scaled),
    dense("64-32-32-10 VariedLIF", (64, 32, 32, 10), 8, _varied),
    dense("64-32-32-10 RefractoryLIF", (64, 32, 32, 10), 8, lambda: RefractoryLIF(0.9)),
    dense("64-32-32-10 OneSpikeLIF", (64, 32, 32, 10), 8, lambda: OneSpikeLIF(0.9)),
    dense("64-32-32-10 AdaptiveLIF", (64, 32, 32, 10), 8, lambda: AdaptiveLIF(0.9, adaptation=0.5)),
    dense("64-32-10 CoupledLIF", (64, 32, 10), 8, lambda: CoupledLIF(0.75, 1.0, 1.0, 0.5, 0.5, 0.25, drain=0.25)),
    Subject(
        "64-32-10 Recurrent",
        lambda: [nn.Linear(64, 32), Recurrent(LIF(0.9), nn.Linear(32, 32)), nn.Linear(32, 10)],
        (64,),
        10,
        gain=2.0,
        data=digits,
    ),
    image(
        "convolutions",
        8,
        lambda: nn.Conv2d(1, 4, 3, padding=1),
        zero,
        lambda: nn.Conv2d(4, 8, 3, stride=2, padding=1),
        zero,
        nn.Flatten,
        lambda: nn.Linear(128, 10),
    ),
    image(
        "convolutions with pools and a sum",
        4,
        lambda: nn.Conv2d(1, 4, 3, padding=1),
        lambda: nn.BatchNorm2d(4),
        subtracting,
        lambda: nn.MaxPool2d(2),
        lambda: Residual([nn.Conv2d(4, 4, 3, padding=1), subtracting()]),
        lambda: Synapse(0.5),
        nn.Flatten,
        lambda: nn.Linear(64, 10),
    ),
)
"""What is large."""
