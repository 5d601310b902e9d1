"""The paper's convolutional networks VGG5 and VGG11."""

import copy
from collections.abc import Iterator, Sequence

from torch import nn

from ..constants import at_least
from ..elements.neurons import LIF
from ..linear_maps.normalizing import Normalize
from ..networks import SpikingNetwork
from ..validation import check_choice
from .images import average, checked_shape, entrance, scaled
from .initialization import INITIALIZATIONS, paper_start

POOL = "A"
HEAD = 4096
"""The width of both dense layers of the head."""

VGG5 = (64, POOL, 128, 128, POOL)
VGG11 = (64, POOL, 128, 256, POOL, 512, 512, 512, POOL, 512, 512)


def vgg5(
    input_shape: Sequence[int] = (3, 32, 32),
    classes: int = 10,
    num_steps: int = 8,
    neuron: LIF | None = None,
    width: float = 1.0,
    normalize: Normalize | None = None,
    convolution_bias: bool = False,
    initialization: str = "firing",
) -> SpikingNetwork:
    """Return VGG5: 64, pool, 128, 128, pool, then 4096-4096-classes; see `vgg11`."""
    told = (classes, num_steps, neuron, width, normalize, convolution_bias, initialization)
    return _vgg(VGG5, input_shape, *told)


def vgg11(
    input_shape: Sequence[int] = (3, 32, 32),
    classes: int = 10,
    num_steps: int = 8,
    neuron: LIF | None = None,
    width: float = 1.0,
    normalize: Normalize | None = None,
    convolution_bias: bool = False,
    initialization: str = "firing",
) -> SpikingNetwork:
    """Return VGG11: 64, pool, 128, 256, pool, 512, 512, 512, pool, 512, 512, then 4096-4096-classes.

    Numbers are 3×3 convolutions, each with batch norm and neuron; pools average 2×2; dense layers of the head have
    a neuron, and no batch norm, behind them. Direct coding; pixels in [0, 1] are normalised by the first layer.

    Args:
        input_shape: (channels, height, width), at least 4×4 for VGG5 and 8×8 for VGG11.
        classes: the number of logits.
        num_steps: T.
        neuron: a template, copied for each spiking layer; default `LIF()`.
        width: a factor of all widths, those of the head included; 1 is the paper's network.
        normalize: the first layer; default CIFAR-10's for three channels.
        convolution_bias: give convolutions a bias, as the authors do; the batch norms behind have a shift anyway.
        initialization: "firing" (dense weights so wide that spikes in mean spikes out) or "paper" (`paper_start`).

    Raises:
        ValueError: for an input that is too small, or a width out of range.

    >>> len(vgg11(width=1 / 64).neurons)
    10

    References: ding2024robust
    """
    told = (classes, num_steps, neuron, width, normalize, convolution_bias, initialization)
    return _vgg(VGG11, input_shape, *told)


def _vgg(
    plan: Sequence[int | str],
    input_shape: Sequence[int],
    classes: int,
    num_steps: int,
    neuron: LIF | None,
    width: float,
    normalize: Normalize | None,
    convolution_bias: bool,
    initialization: str,
) -> SpikingNetwork:
    check_choice("initialization", initialization, INITIALIZATIONS)
    shrink = 2 ** plan.count(POOL)
    channels, rows, columns = checked_shape(input_shape, shrink)
    classes = at_least(1)("classes", classes)
    template = LIF() if neuron is None else neuron
    widths = [size if isinstance(size, str) else scaled(size, width) for size in plan]
    features = list(_features(widths, channels, template, convolution_bias))
    last = [size for size in widths if isinstance(size, int)][-1]
    head = _head(last * (rows // shrink) * (columns // shrink), scaled(HEAD, width), classes, template)
    network = SpikingNetwork(entrance(channels, normalize), *features, *head, num_steps=num_steps)
    return paper_start(network) if initialization == "paper" else network


def _features(widths: Sequence[int | str], channels: int, template: LIF, bias: bool) -> Iterator[nn.Module]:
    for size in widths:
        if isinstance(size, str):
            yield average(2)
            continue
        yield nn.Conv2d(channels, size, 3, padding=1, bias=bias)
        yield nn.BatchNorm2d(size)
        yield copy.deepcopy(template)
        channels = size


def _head(inputs: int, hidden: int, classes: int, template: LIF) -> list[nn.Module]:
    neurons = copy.deepcopy(template), copy.deepcopy(template)
    first, second = _dense(inputs, hidden), _dense(hidden, hidden)
    return [nn.Flatten(), first, neurons[0], second, neurons[1], nn.Linear(hidden, classes)]


def _dense(inputs: int, outputs: int) -> nn.Linear:
    """Return a layer of wide random weights: under torch's default, few spikes in mean no spikes out."""
    layer = nn.Linear(inputs, outputs)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return layer
