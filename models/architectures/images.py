"""Networks for images: the paper's VGG5, VGG11 and WRN16-4, and ones without pools.

What the networks for images share: their widths, and the normalisation in front.

Convolutional networks without pools: each convolution halves the image, one dense layer follows.

The paper's convolutional networks VGG5 and VGG11.

The paper's wide residual network WRN16-4.
"""

import copy
from collections.abc import Iterator, Sequence

from torch import nn

from ..constants import at_least, real, wholes
from ..elements.layers import Residual
from ..elements.neurons import LIF
from ..linear_maps.averaging import Share
from ..linear_maps.normalizing import Normalize, standard
from ..networks import SpikingNetwork
from ..validation import check_choice


def checked_shape(input_shape: Sequence[int], least: int = 1) -> tuple[int, int, int]:
    """Return (channels, height, width) as integers.

    Raises:
        TypeError, ValueError: for anything but three positive sizes, or less than `least` pixels a side.
    """
    shape = wholes("input_shape", input_shape)
    if len(shape) != 3 or any(size < 1 for size in shape):
        raise ValueError(f"input_shape: got {shape}, expected (channels, height, width)")
    channels, height, width = shape
    if min(height, width) < least:
        raise ValueError(f"input_shape: got {shape}, expected at least {least}×{least} pixels")
    return channels, height, width


def scaled(channels: int, width: float) -> int:
    """Return `width` times `channels`, at least one.

    Raises:
        TypeError, ValueError: for a width that is no number in (0, 16].
    """
    width = real("width", width)
    if not 0.0 < width <= 16.0:
        raise ValueError(f"width: got {width!r}, expected a factor above 0 and up to 16")
    return max(1, round(channels * width))


def average(size: int | tuple[int, int]) -> nn.Module:
    """Return the average over windows of `size` that do not overlap."""
    return nn.AvgPool2d(size)


def entrance(channels: int, normalize: Normalize | None) -> Normalize:
    """Return the first layer, `standard` by default.

    Raises:
        ValueError: if it is made for another number of channels.
    """
    first = standard(channels) if normalize is None else normalize
    if first.num_features != channels:
        raise ValueError(f"normalize: got one for {first.num_features} channels, expected {channels}")
    return first


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


INITIALIZATIONS = ("firing", "paper")


def paper_start(network: SpikingNetwork) -> SpikingNetwork:
    """Start the weights as the paper's authors do, in place, from torch's global generator; return the network.

    Convolutions: normal with variance 2/fan_out. Dense layers: torch's default weights, uniform in ±1/√fan_in, and
    a bias of 0. Convolutions' biases and batch norms: torch's default.

    References: ding2024robust, he2015delving
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            module.reset_parameters()
            nn.init.zeros_(module.bias)
    return network
