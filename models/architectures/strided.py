"""Convolutional networks without pools: each convolution halves the image, one dense layer follows."""

import copy
from collections.abc import Sequence

from torch import nn

from ..constants import at_least, wholes
from ..elements.neurons import LIF
from ..networks import SpikingNetwork
from .images import checked_shape


def strided(
    input_shape: Sequence[int] = (1, 28, 28),
    classes: int = 10,
    num_steps: int = 4,
    neuron: LIF | None = None,
    widths: Sequence[int] = (16, 32, 128),
) -> SpikingNetwork:
    """Return convolutions of 4×4 with stride 2, each with a neuron, then widths[-1] dense neurons and the classes.

    Bounds stay narrow in it: a spike goes into few others, and no batch norm or pool is in between.

    Args:
        input_shape: (channels, height, width), at least 2 pixels a side for each convolution's halving.
        classes: the number of logits.
        num_steps: T.
        neuron: a template, copied for each spiking layer; default `LIF()`.
        widths: channels of the convolutions, then the dense layer's neurons; at least one convolution.

    Raises:
        TypeError, ValueError: for another shape, or fewer than two widths.

    >>> [type(layer).__name__ for layer in strided(widths=(4, 8)).layers]
    ['Conv2d', 'LIF', 'Flatten', 'Linear', 'LIF', 'Linear']
    """
    widths = wholes("widths", widths)
    if len(widths) < 2 or any(width < 1 for width in widths):
        raise ValueError(f"widths: got {widths}, expected at least two positive ones")
    template = LIF() if neuron is None else neuron
    channels, rows, columns = checked_shape(input_shape, 2 ** (len(widths) - 1))
    modules: list[nn.Module] = []
    for width in widths[:-1]:
        modules += [nn.Conv2d(channels, width, 4, stride=2, padding=1), copy.deepcopy(template)]
        channels, rows, columns = width, rows // 2, columns // 2
    modules += [nn.Flatten(), nn.Linear(channels * rows * columns, widths[-1]), copy.deepcopy(template)]
    modules.append(nn.Linear(widths[-1], at_least(1)("classes", classes)))
    return SpikingNetwork(*modules, num_steps=num_steps)
