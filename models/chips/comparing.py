"""A real network and its build for a chip, side by side on inputs."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..networks import SpikingNetwork


@dataclass(frozen=True)
class BuildComparison:
    """What a build does of the inputs that its source was given, too.

    Attributes:
        samples: how many.
        same_class: on which share of them both have the same greatest class.
        spikes: of each spiking layer, which share of spikes differs; in the steps that both have, NaN left out.
        without_number: on which share of samples a sum left the width in which a chip would wrap.
    """

    samples: int
    same_class: float
    spikes: tuple[float, ...]
    without_number: float


@torch.no_grad()
def compared(source: SpikingNetwork, build: SpikingNetwork, inputs: Tensor, whole: Tensor) -> BuildComparison:
    """Return what both do; a layer's spikes are compared behind the steps by which the build's come late."""
    one, other = source.trace(inputs), build.trace(whole)
    readouts = build.readout == "potential"
    layers = other.spikes[:-1] if readouts else other.spikes
    late = build.num_steps - source.num_steps
    shares = []
    for index, (real, made) in enumerate(zip(one.spikes, layers, strict=True)):
        start = min(index, late)
        made = made[start : start + source.num_steps]
        shares.append(float((real.double() != made).double().mean()))
    lost = other.logits.isnan().any(1)
    same = (one.logits.argmax(1) == other.logits.argmax(1)) & ~lost
    return BuildComparison(len(inputs), float(same.double().mean()), tuple(shares), float(lost.double().mean()))
