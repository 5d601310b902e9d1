"""Small files whose layers ask a checker of proofs for much: each layer's windows, pads and sums over time."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from support.heavy_proofs import FLAT, Layers, convolution, lif, linear, one_leaf, written

FAR = 2**15
"""The largest padding, kernel, stride, dilation and factor that a description may ask for."""

Pair = tuple[Path, Path]


def _pad(*ends: int) -> dict[str, Any]:
    return {"type": "ZeroPad1d" if len(ends) == 2 else "ZeroPad2d", "padding": list(ends)}


def _max_pool(kernel: int | list[int], dilation: int = 1, stride: int = 1, ceil: bool = False) -> dict[str, Any]:
    kind = "MaxPool2d" if isinstance(kernel, list) else "MaxPool1d"
    sizes = {"kernel_size": kernel, "stride": stride, "padding": 0, "dilation": dilation}
    return {"type": kind, **sizes, "ceil_mode": ceil}


def _average(kernel: int, axes: int, stride: int = 1, ceil: bool = False) -> dict[str, Any]:
    sizes = {"kernel_size": kernel, "stride": stride, "padding": 0}
    return {"type": f"AvgPool{axes}d", **sizes, "ceil_mode": ceil, "count_include_pad": True}


def _up(factor: int) -> dict[str, Any]:
    return {"type": "Upsample", "scale_factor": factor, "mode": "nearest"}


def _behind(
    folder: Path, layers: Layers, sample: Tensor, steps: int = 8, pooled: Layers | None = None, **asked: Any
) -> Pair:
    """Write a network of these layers, neurons and, behind `pooled`, two logits of one number."""
    layers = [*layers, lif(steps, 1.0, "zero"), *(pooled or []), FLAT, linear(1, 2)]
    weights = {len(layers) - 1: torch.ones(2, 1)}
    return written(folder, layers, weights, sample, steps, one_leaf(), **asked)


def max_windows(folder: Path) -> Pair:
    """A max pool of 32,768 behind a pad of 32,768."""
    return _behind(folder, [_pad(FAR, FAR), _max_pool(FAR)], torch.zeros(1, 1))


def max_reach(folder: Path) -> Pair:
    """A max pool of 2×2 pixels that are 32,768 apart, rounded up: one window."""
    return _behind(folder, [_max_pool([2, 2], FAR, FAR, True)], torch.zeros(1, 1, 1))


def average_windows(folder: Path) -> Pair:
    """An average pool of 32,768 behind a pad of 32,768."""
    return _behind(folder, [_pad(FAR, FAR), _average(FAR, 1)], torch.zeros(1, 1))


def average_reach(folder: Path) -> Pair:
    """An average pool of 32,768 × 32,768 pixels, rounded up, of one pixel."""
    return _behind(folder, [_average(FAR, 2, FAR, True)], torch.zeros(1, 1, 1))


def convolution_windows(folder: Path) -> Pair:
    """A long kernel behind pads."""
    size = 3000
    kernel = {"type": "Conv1d", "in_channels": 1, "out_channels": 1, "kernel_size": [size], "stride": [1]}
    kernel |= {"padding": [0], "dilation": [1], "groups": 1, "bias": False, "padding_mode": "zeros"}
    layers = [_pad(FAR, FAR), _pad(FAR, FAR), kernel, lif(8), FLAT, linear(1, 2)]
    weights = {2: torch.ones(1, 1, size), 5: torch.ones(2, 1)}
    return written(folder, layers, weights, torch.zeros(1, 1), 8, one_leaf())


def pad_and_cut(folder: Path) -> Pair:
    """A wide row that is made high before it is cut to a column."""
    return _behind(
        folder, [_pad(FAR // 2, FAR // 2, 0, 0), _pad(-FAR // 2, -FAR // 2, FAR, FAR)], torch.zeros(1, 1, 1)
    )


def transposed(folder: Path) -> Pair:
    """A transposed convolution whose strides reach far."""
    layer = {
        "type": "ConvTranspose2d",
        "in_channels": 1,
        "out_channels": 1,
        "kernel_size": [2, 2],
        "stride": [FAR] * 2,
    }
    layer |= {"padding": [0, 0], "output_padding": [0, 0], "dilation": [FAR] * 2, "groups": 1, "bias": False}
    layers = [layer, lif(8), FLAT, linear(1, 2)]
    weights = {0: torch.ones(1, 1, 2, 2), 3: torch.ones(2, 1)}
    return written(folder, layers, weights, torch.zeros(1, 2, 2), 8, one_leaf())


def upsampled(folder: Path) -> Pair:
    """An upsampling of one pixel, of which each is one more image."""
    return _behind(folder, [_up(2**11), _up(2**11)], torch.zeros(1, 1, 1))


def averages(folder: Path) -> Pair:
    """Averages of 32,768 windows over 32,768 entries."""
    layer = {"type": "AdaptiveAverage", "inputs": [FAR], "outputs": [FAR]}
    return _behind(folder, [_up(FAR), layer], torch.zeros(1, 1))


def no_numbers(folder: Path) -> Pair:
    """A weight of 2^30 rows without a number."""
    layers = [linear(0, 2**30), lif(8), linear(1, 2)]
    return written(folder, layers, {0: torch.ones(2**30, 0), 2: torch.ones(2, 1)}, torch.zeros(1), 8, one_leaf())


def plain_norm(folder: Path) -> Pair:
    """A batch norm that says 2^30 channels and has no weight."""
    norm = {"type": "BatchNorm2d", "num_features": 2**30, "eps": 1e-5, "momentum": 0.1, "affine": False}
    layers, one = [norm, lif(8), FLAT, linear(1, 2)], torch.ones(1)
    told = {"0.running_mean": one, "0.running_var": one}
    return written(folder, layers, {3: torch.ones(2, 1)}, torch.zeros(1, 1, 1), 8, one_leaf(), told=told)


def channels(folder: Path) -> Pair:
    """A count of channels that is a text, whose remainder is a text of 2 GB."""
    layers = [convolution(1, 0) | {"in_channels": "%2000000000d"}, lif(8), FLAT, linear(1, 2)]
    weights = {0: torch.ones(1, 1, 1, 1), 3: torch.ones(2, 1)}
    return written(folder, layers, weights, torch.zeros(1, 1, 1), 8, one_leaf())


def kinds(folder: Path) -> Pair:
    """Thousands of neurons of which each is of a kind of its own."""
    count = 40_000
    varied = {"type": "VariedLIF", "shape": [count], "amounts": False, "reset": "zero", "fires_at": ">="}
    varied |= {"surrogate": {"type": "Triangle", "width": 1.0}}
    told = {"1.decay": torch.rand(count), "1.threshold": torch.ones(count)}
    layers = [linear(1, 1), varied, linear(1, 2)]
    weights = {0: torch.ones(1, 1), 2: torch.ones(2, 1)}
    return written(folder, layers, weights, torch.zeros(1), 256, one_leaf(), told=told)


def signals(folder: Path) -> Pair:
    """Hundred thousands of neurons over 64 steps."""
    pooled = [_average(2**9, 2)]
    return _behind(folder, [_up(2**9)], torch.zeros(64, 1, 1, 1), 64, pooled, encoding="none")


def spans(folder: Path) -> Pair:
    """A thousand neurons that may be silent, or not, at each of 128 steps."""
    pooled = [_average(2**10, 1)]
    return _behind(folder, [_up(2**10)], torch.zeros(128, 1, 1), 128, pooled, encoding="none")


def trains_over_windows(folder: Path) -> Pair:
    """Windows of 96 steps over the trains of many neurons."""
    steps, count = 96, 2**15
    layers = [_up(count), lif(steps, 1.0, "zero"), _average(count, 1)]
    return _behind(folder, layers, torch.ones(1, 1), steps=steps, radius=0.0)


def constants_over_windows(folder: Path) -> Pair:
    """Windows over a sum of trains and a wide signal that is the same at every step."""
    steps, count = 96, 2**12
    sums = {"type": "Residual", "branch": [lif(steps, 1.0, "zero")], "shortcut": []}
    return _behind(folder, [_up(count), sums], torch.ones(1, 1), steps, [_average(count, 1)], radius=0.0)


def _recorded(folder: Path, layers: Layers, sample: Tensor, width: int, norm: str, events: Any) -> Pair:
    pooled = [_average(width, 1)]
    return _behind(folder, layers, sample, len(sample), pooled, encoding="none", norm=norm, events=events)


def flips_of_rows(folder: Path) -> Pair:
    """A row that meets thousands of entries, beside many that meet none."""
    flips = {"flips": {"count": 6000, "kind": "flip"}}
    layers = [_average(2**13, 1), _pad(0, 2**15 - 1)]
    return _recorded(folder, layers, torch.zeros(4, 1, 2**13), 2**15, "l0", flips)


def moves(folder: Path) -> Pair:
    """Events that may move by up to 127 steps, of hundreds of features."""
    steps, count = 128, 2**8
    shifts = {"jitter": 127, "count": 8, "total": None, "merge": "add", "border": "stay"}
    return _recorded(folder, [_up(count)], torch.zeros(steps, 1, 1), count, "shift", {"shifts": shifts})


def looked_through(folder: Path) -> Pair:
    """A first layer that subtracts, of which each neuron reads one of thousands of inputs: seen through."""
    count = 2**14
    layers, weights = [lif(1), linear(count, 2), lif(1)], {1: torch.ones(2, count)}
    asked = {"readout": "spikes", "radius": 0.0, "cells": 2, "side": 2}
    return written(folder, layers, weights, torch.zeros(count), 1, one_leaf(), **asked)


def pools_of_pools(folder: Path) -> Pair:
    """Forty max pools of single entries, one behind another, behind neurons with a table."""
    layers = [lif(4, 0.9, "zero"), *[_max_pool(1)] * 40]
    return _behind(folder, layers, torch.ones(1, 1), steps=4)


def sizes(folder: Path) -> Pair:
    """A list of many sizes."""
    layer = {"type": "Unflatten", "dim": 1, "unflattened_size": [FAR] * 60_000}
    return _behind(folder, [layer], torch.zeros(1))


HEAVY_LAYERS: dict[str, Callable[[Path], Pair]] = {
    made.__name__: made
    for made in (
        max_windows,
        max_reach,
        average_windows,
        average_reach,
        convolution_windows,
        pad_and_cut,
        transposed,
        upsampled,
        averages,
        no_numbers,
        plain_norm,
        channels,
        kinds,
        signals,
        spans,
        trains_over_windows,
        constants_over_windows,
        flips_of_rows,
        moves,
        looked_through,
        pools_of_pools,
        sizes,
    )
}
