"""Random layers of every type that has a linear map, with the features that they fit; and their dense matrices."""

from collections.abc import Callable
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert.models import AdaptiveAverage, Normalize, Share, WholeInput

Features = tuple[int, ...]
Drawn = tuple[nn.Module, Features]
SEEDS = st.integers(0, 2**31)
FACTORS = st.sampled_from([0.25, 0.5, 1.0, 2.0])


def dense(draw: st.DrawFn) -> Drawn:
    size = draw(st.integers(1, 5))
    front = draw(st.sampled_from([(), (2,), (3, 2)]))
    return nn.Linear(size, draw(st.integers(1, 5)), bias=draw(st.booleans())), (*front, size)


def flatten(draw: st.DrawFn) -> Drawn:
    features = draw(st.sampled_from([(4,), (2, 3), (2, 3, 2)]))
    start = draw(st.integers(1, len(features)))
    end = draw(st.integers(start, len(features)))
    backwards = draw(st.booleans())
    return nn.Flatten(start, end - len(features) - 1 if backwards else end), features


def each(draw: st.DrawFn, axes: int, low: int, high: int) -> tuple[int, ...]:
    return tuple(draw(st.integers(low, high)) for _ in range(axes))


def convolution(draw: st.DrawFn, kind: Callable[..., nn.Module], axes: int) -> Drawn:
    """Draw sides of at least 4, so that a padding by reflection or around the ring fits."""
    groups, size, dilation = draw(st.integers(1, 2)), each(draw, axes, 1, 3), each(draw, axes, 1, 2)
    padding: Any = draw(st.sampled_from(["same", "valid", each(draw, axes, 0, 2)]))
    inputs, outputs = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
    layer = kind(
        inputs,
        outputs,
        size,
        stride=1 if padding == "same" else each(draw, axes, 1, 3),
        padding=padding,
        dilation=dilation,
        groups=groups,
        bias=draw(st.booleans()),
        padding_mode=draw(st.sampled_from(["zeros", "zeros", "reflect", "replicate", "circular"])),
    )
    sides = (max(4, d * (k - 1) + 1) + draw(st.integers(0, 2)) for k, d in zip(size, dilation, strict=True))
    return layer, (inputs, *sides)


def pool(draw: st.DrawFn, kind: Callable[..., nn.Module], axes: int) -> Drawn:
    size = each(draw, axes, 1, 3)
    padding = tuple(draw(st.integers(0, k // 2)) for k in size)
    stride = draw(st.sampled_from([None, size, each(draw, axes, 1, 3)]))
    settings = {"ceil_mode": draw(st.booleans()), "count_include_pad": draw(st.booleans())}
    sides = (k + draw(st.integers(0, 3)) for k in size)
    return kind(size, stride, padding, **settings), (draw(st.integers(1, 2)), *sides)


def batch_norm(draw: st.DrawFn, kind: Callable[..., nn.Module], behind: tuple[int, ...]) -> Drawn:
    channels = draw(st.integers(1, 3))
    eps, affine = draw(st.sampled_from([1e-5, 0.5])), draw(st.booleans())
    return kind(channels, eps=eps, affine=affine), (channels, *behind)


def normalize(draw: st.DrawFn) -> Drawn:
    channels = draw(st.integers(1, 3))
    mean = draw(st.lists(st.floats(-1.0, 1.0), min_size=channels, max_size=channels))
    std = draw(st.lists(FACTORS, min_size=channels, max_size=channels))
    return Normalize(mean, std), (channels, 2, 3)


def share(draw: st.DrawFn) -> Drawn:
    return Share(), draw(st.sampled_from([(4,), (2, 3), (2, 3, 2)]))


def transposed(draw: st.DrawFn, kind: Callable[..., nn.Module], axes: int) -> Drawn:
    """Draw strides, dilations, and paddings that leave something."""
    groups, size, dilation = draw(st.integers(1, 2)), each(draw, axes, 1, 3), each(draw, axes, 1, 2)
    stride = each(draw, axes, 1, 3)
    padding = tuple(draw(st.integers(0, d * (k - 1))) for k, d in zip(size, dilation, strict=True))
    more = tuple(draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True))
    layer = kind(
        groups * draw(st.integers(1, 2)),
        groups * draw(st.integers(1, 2)),
        size,
        stride,
        padding,
        more,
        groups,
        draw(st.booleans()),
        dilation,
    )
    sides = (draw(st.integers(1, 3)) + -(-p * 2 // s) for p, s in zip(padding, stride, strict=True))
    return layer, (int(layer.in_channels), *sides)  # type: ignore[arg-type]


def zero_pad(draw: st.DrawFn, kind: Callable[..., nn.Module], axes: int) -> Drawn:
    return kind(each(draw, 2 * axes, -1, 2)), (draw(st.integers(1, 2)), *each(draw, axes, 3, 4))


def upsample(draw: st.DrawFn) -> Drawn:
    axes = draw(st.integers(1, 2))
    factor = draw(st.sampled_from([draw(st.integers(1, 3)), each(draw, axes, 1, 3)]))
    return nn.Upsample(scale_factor=factor), (draw(st.integers(1, 2)), *each(draw, axes, 1, 4))


def adaptive(draw: st.DrawFn) -> Drawn:
    axes = draw(st.integers(1, 2))
    sides = each(draw, axes, 1, 5)
    return AdaptiveAverage(sides, each(draw, axes, 1, 7)), (draw(st.integers(1, 2)), *sides)


def unflatten(draw: st.DrawFn) -> Drawn:
    sizes = draw(st.sampled_from([(2, 3), (3, -1), (1, 2, 3)]))
    return draw(st.sampled_from([(nn.Unflatten(1, sizes), (6,)), (nn.Unflatten(-1, sizes), (2, 6))]))


def pixel_shuffle(draw: st.DrawFn) -> Drawn:
    factor = draw(st.integers(1, 2))
    return nn.PixelShuffle(factor), (factor**2 * draw(st.integers(1, 2)), *each(draw, 2, 1, 3))


GENERATORS: dict[type[nn.Module], Callable[[st.DrawFn], Drawn]] = {
    nn.Linear: dense,
    nn.Flatten: flatten,
    nn.Conv1d: lambda draw: convolution(draw, nn.Conv1d, 1),
    nn.Conv2d: lambda draw: convolution(draw, nn.Conv2d, 2),
    nn.AvgPool1d: lambda draw: pool(draw, nn.AvgPool1d, 1),
    nn.AvgPool2d: lambda draw: pool(draw, nn.AvgPool2d, 2),
    nn.ConvTranspose1d: lambda draw: transposed(draw, nn.ConvTranspose1d, 1),
    nn.ConvTranspose2d: lambda draw: transposed(draw, nn.ConvTranspose2d, 2),
    nn.ZeroPad1d: lambda draw: zero_pad(draw, nn.ZeroPad1d, 1),
    nn.ZeroPad2d: lambda draw: zero_pad(draw, nn.ZeroPad2d, 2),
    nn.Upsample: upsample,
    nn.PixelShuffle: pixel_shuffle,
    nn.Unflatten: unflatten,
    AdaptiveAverage: adaptive,
    nn.BatchNorm1d: lambda draw: batch_norm(draw, nn.BatchNorm1d, draw(st.sampled_from([(), (3,)]))),
    nn.BatchNorm2d: lambda draw: batch_norm(draw, nn.BatchNorm2d, (2, 3)),
    Normalize: normalize,
    Share: share,
    WholeInput: lambda draw: (WholeInput(-9, 9), draw(st.sampled_from([(4,), (2, 3), (2, 3, 2)]))),
}
"""What draws a layer of a type that `affine_types` names."""


@st.composite
def layers(draw: st.DrawFn, kind: type[nn.Module]) -> Drawn:
    """Return a layer in evaluation mode and float32, and the shape of its features.

    Half the weights lie on a grid of quarters, zeros among them; KeyError for a type that has no generator.
    """
    layer, features = GENERATORS[kind](draw)
    generator, grid = torch.Generator().manual_seed(draw(SEEDS)), draw(st.booleans())
    for parameter in layer.parameters():
        values = torch.randn(parameter.shape, generator=generator)
        parameter.data = (values * 2).round() / 4 if grid else values
    if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d) and kind is not Normalize:
        assert layer.running_mean is not None
        assert layer.running_var is not None
        layer.running_mean.normal_(generator=generator)
        layer.running_var.uniform_(0.1, 2.0, generator=generator)
    return layer.eval(), features


def matrix(function: Callable[[Tensor], Tensor], features: Features) -> Tensor:
    """Return the matrix of an affine function in float64, (outputs, inputs): columns less the image of 0."""
    size = torch.Size(features).numel()
    units = torch.eye(size, dtype=torch.float64).reshape(size, *features)
    with torch.no_grad():
        return (function(units) - function(torch.zeros_like(units))).flatten(1).T


def signals(features: Features, seed: int, count: int = 4) -> Tensor:
    """Return a random batch in float64 that float32 holds exactly, with zeros and spikes in it."""
    drawn = torch.randn(count, *features, generator=torch.Generator().manual_seed(seed))
    drawn[0] = (drawn[0] > 0).float()
    return drawn.double()
