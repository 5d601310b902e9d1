"""The paper's wide residual network WRN16-4."""

import copy
from collections.abc import Sequence

from torch import nn

from ..constants import at_least
from ..elements.layers import Residual
from ..elements.neurons import LIF
from ..linear_maps.normalizing import Normalize
from ..linear_maps.sharing import Share
from ..networks import SpikingNetwork
from ..validation import check_choice
from .images import average, checked_shape, entrance, scaled
from .initialization import paper_start

STEM = 16
GROUPS = ((64, 1), (128, 2), (256, 2))
"""Channels and stride of each group: 16, 32 and 64 channels, four times as wide."""
RESIDUALS = ("sum", "shares")
BLOCKS = 2
"""Residual blocks in a group: depth 16 = 6·2 + 4."""


def wrn16_4(
    input_shape: Sequence[int] = (3, 32, 32),
    classes: int = 10,
    num_steps: int = 8,
    neuron: LIF | None = None,
    width: float = 1.0,
    normalize: Normalize | None = None,
    residual: str = "sum",
    initialization: str = "torch",
) -> SpikingNetwork:
    """Return WRN16-4: a 3×3 convolution, three groups of two pre-activation blocks, average pool, classes.

    A block is batch norm, neuron, 3×3 convolution, twice, added to its input. Where the channels change in number,
    the first batch norm and neuron stand before the sum, and a 1×1 convolution carries the other path, as in the
    wide residual networks of Zagoruyko & Komodakis. Direct coding; the first layer normalises pixels in [0, 1].

    Args:
        input_shape: (channels, height, width), at least 4×4; the last pool averages what is left of it.
        classes: the number of logits.
        num_steps: T.
        neuron: a template, copied for each spiking layer; default `LIF()`.
        width: a factor of all widths; 1 is the paper's network.
        normalize: the first layer; default CIFAR-10's for three channels.
        residual: "sum", or "shares" as the authors have it: a learnable number times the branch and another times
            the shortcut, ½ each at the start (`Share`); `Retraction` keeps the two on the simplex.
        initialization: "torch" (the layers' own) or "paper" (`paper_start`).

    Raises:
        ValueError: for an input that is too small, or a width out of range.

    >>> len(wrn16_4(width=1 / 16).neurons)
    13

    References: ding2024robust, zagoruyko2016wide
    """
    check_choice("residual", residual, RESIDUALS)
    check_choice("initialization", initialization, ("torch", "paper"))
    channels, *sizes = checked_shape(input_shape, 4)
    classes = at_least(1)("classes", classes)
    template = LIF() if neuron is None else neuron
    inputs = scaled(STEM, width)
    modules: list[nn.Module] = [entrance(channels, normalize), _conv(channels, inputs)]
    for base, stride in GROUPS:
        outputs = scaled(base, width)
        modules += _widening(inputs, outputs, stride, template, residual)
        modules += [_same(outputs, template, residual) for _ in range(BLOCKS - 1)]
        inputs = outputs
    rows, columns = (-(-size // 4) for size in sizes)  # both strides round up
    modules += [*_activation(inputs, template), average((rows, columns)), nn.Flatten()]
    network = SpikingNetwork(*modules, nn.Linear(inputs, classes), num_steps=num_steps)
    return paper_start(network) if initialization == "paper" else network


def _widening(inputs: int, outputs: int, stride: int, template: LIF, residual: str) -> list[nn.Module]:
    """Return the first block of a group: its activation is shared by both paths."""
    branch = [_conv(inputs, outputs, stride), *_activation(outputs, template), _conv(outputs, outputs)]
    shortcut: list[nn.Module] = [nn.Conv2d(inputs, outputs, 1, stride, bias=False)]
    return [*_activation(inputs, template), _sum(branch, shortcut, residual)]


def _same(channels: int, template: LIF, residual: str) -> Residual:
    half = [*_activation(channels, template), _conv(channels, channels)]
    return _sum([*half, *_activation(channels, template), _conv(channels, channels)], [], residual)


def _sum(branch: list[nn.Module], shortcut: list[nn.Module], residual: str) -> Residual:
    if residual == "shares":
        return Residual([*branch, Share(0.5)], [*shortcut, Share(0.5)])
    return Residual(branch, shortcut)


def _activation(channels: int, template: LIF) -> list[nn.Module]:
    return [nn.BatchNorm2d(channels), copy.deepcopy(template)]


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
