"""Operations by weights, and pools: each becomes a layer of this library, known by its weights and settings."""

from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from operator import add
from typing import Any

import torch
from torch import Tensor, nn

from ...conversion.refusal import ConversionRefused
from ...elements.layers import MAX_POOLS
from ...linear_maps.averaging import AdaptiveAverage
from ..followed import ALONE, BATCH, FEATURE, MERGED, TIME, FollowedSignal, settled
from ..polynomials import (
    ONE,
    UNIT,
    ZERO,
    FeatureMap,
    Fractions,
    Image,
    Polynomial,
    exact,
    image,
)
from ..tracing import digest
from ..watching import frames_of, line_of
from .calls import INSTEAD, TracedCall, reads
from .moving import over_time, placed, rearranged, viewed
from .products import placing


def mapped(
    call: TracedCall,
    signal: FollowedSignal,
    made: Callable[[], list[Any]] | None,
    weights: tuple[Tensor | None, ...] = (),
    settings: Any = (),
    homogeneous: bool = True,
    rank: int | None = None,
    lead: tuple[str, ...] | None = None,
) -> FollowedSignal:
    """Return what a layer makes of each step of a signal.

    Args:
        call: the operation, or the one that stands for it.
        signal: with features of `rank` axes behind the batch.
        made: makes the layer; None where no layer here does it.
        weights, settings: what tells it from others of its kind.
        homogeneous: whether it makes zeros of zeros.
        rank: how many axes features must have; None: any.
        lead: the axes in front of the features, if they are not those of the signal.
    """
    if any(isinstance(each, FollowedSignal) for each in weights):
        call.refuse("multiplies two signals; a product of two signals (attention) is no part of a network here")
    own, features = settled(signal)
    if own not in (("batch",), ("time", "batch"), ("batch", "time"), *((each,) for each in MERGED)):
        call.refuse(f"is given axes {own}; expected batch, and time besides at most")
    if rank is not None and len(features) != rank:
        call.refuse(f"is given features {features}; expected {rank} axes of them")
    by = FeatureMap(
        (call.name, features, str(settings), *map(digest, weights)), made, homogeneous, line_of(call.node)
    )
    steps = (image(by, viewed(step, signal.features, features, call)) for step in signal.steps)
    shape = call.shape[len(lead or own) :]
    return FollowedSignal((*(lead or own), *[FEATURE] * len(shape)), tuple(steps), shape)


@reads("addmm", "mm", "linear", "matmul", "mv", "addmv")
def dense(call: TracedCall) -> FollowedSignal:
    """Return W·x + b."""
    given: list[Any] = [None, *call.args[:2]]
    bias, signal, weight = call.args[:3] if call.name.startswith("add") else given
    if call.name == "linear":
        bias, weight = call.option(2, "bias", None), weight.t()
    if call.kwargs.get("beta", 1) != 1 or call.kwargs.get("alpha", 1) != 1:
        call.refuse("has factors beside its matrix")
    if not isinstance(signal, FollowedSignal) or isinstance(weight, FollowedSignal):
        return _from_left(call, signal, weight)
    beside: Any = bias if isinstance(bias, FollowedSignal) or (bias is not None and bias.dim() != 1) else None
    held: Any = None if beside is not None else bias
    if any(_is_placed(graded) for step in signal.steps for graded in step.signals):
        found = _of_placed(call, signal, weight)
        return call.each(add, found, beside if held is None else held) if bias is not None else found
    made = _linear(weight.t(), held)
    found = mapped(call, signal, made, (weight, held), homogeneous=held is None, rank=1)
    return found if beside is None else call.each(add, beside, found)


def _is_placed(graded: Any) -> bool:
    return isinstance(graded, Image) and graded.map.key[0] == "place"


def _of_placed(call: TracedCall, signal: FollowedSignal, weight: Tensor) -> FollowedSignal:
    """Return W·x of features that were put side by side, as the sum of what W's columns make of each."""
    lead, features = settled(signal)
    if len(features) != 1:
        call.refuse(f"is given features {features}; expected 1 axis of them")
    steps = []
    for step in signal.steps:
        total = Polynomial({})
        for (spikes, graded), factor in step.terms.items():
            if isinstance(factor, Fractions):
                call.refuse("is given features that have factors of their own; expected these in its matrix")
            part, inner, before = weight, Polynomial({(spikes, graded): UNIT}), features
            if isinstance(graded, Image) and not spikes and _is_placed(graded):
                _, before, _, start, _ = graded.map.key
                part, inner = weight[start : start + before[0]], graded.signal
            elif (spikes, graded) == ONE:
                call.refuse("multiplies a matrix by constants beside signals")
            key = ("mm", before, "()", digest(part), "")
            by = FeatureMap(key, _linear(part.t(), None), True, line_of(call.node))
            total = total + image(by, inner) * factor
        steps.append(total)
    return FollowedSignal((*lead, FEATURE), tuple(steps), (weight.shape[1],))


def _from_left(call: TracedCall, weight: Any, signal: Any) -> FollowedSignal:
    """Return W·xᵀ of a batch whose samples are columns."""
    if isinstance(weight, FollowedSignal) or call.name != "mm" or signal.axes not in ((FEATURE, BATCH),):
        call.refuse("multiplies two signals (attention), or samples; expected weights times a batch")
    turned = FollowedSignal((BATCH, FEATURE), signal.steps, signal.features)
    by = FeatureMap(
        ("mm", signal.features, "()", digest(weight.t()), ""), _linear(weight, None), True, line_of(call.node)
    )
    return FollowedSignal((FEATURE, BATCH), tuple(image(by, step) for step in turned.steps), (len(weight),))


def _linear(weight: Tensor, bias: Tensor | None) -> Callable[[], list[nn.Module]]:
    return lambda: [_loaded(nn.Linear(weight.shape[1], weight.shape[0], bias is not None), weight, bias)]


def _loaded(layer: Any, weight: Tensor, bias: Tensor | None) -> nn.Module:
    layer = layer.to(weight.dtype)
    layer.weight.data = weight.detach().clone().contiguous()
    if bias is not None:
        layer.bias.data = bias.detach().clone()
    return layer


@reads("convolution", "_convolution", "conv1d", "conv2d")
def convolved(call: TracedCall) -> FollowedSignal:
    """Return a convolution, or a transposed one."""
    signal, weight, bias, stride, padding, dilation, transposed, more, groups = call.args[:9]
    if not isinstance(signal, FollowedSignal) or isinstance(weight, FollowedSignal):
        call.refuse("convolves two signals")
    if (found := _filtered(call)) is not None:
        return found
    axes = weight.dim() - 2
    kinds = (nn.ConvTranspose1d, nn.ConvTranspose2d) if transposed else (nn.Conv1d, nn.Conv2d)
    if signal.axes[-1] == TIME and not transposed:
        return _along_time(call, signal)
    if axes not in (1, 2):
        call.refuse("convolves volumes; no layer here takes them")
    size, of = tuple(weight.shape[2:]), weight.shape[:2]
    channels = (of[0], of[1] * groups) if transposed else (of[1] * groups, of[0])
    settings = {"stride": tuple(stride), "padding": tuple(padding), "dilation": tuple(dilation), "groups": groups}
    settings |= {"output_padding": tuple(more)} if transposed else {}

    def made() -> list[nn.Module]:
        """Return the layer."""
        return [_loaded(kinds[axes - 1](*channels, size, bias=bias is not None, **settings), weight, bias)]

    bordered = None if transposed else _border(signal)
    if bordered is not None:
        signal, more_settings = bordered
        settings |= more_settings
    told = (settings, transposed)
    return mapped(call, signal, made, (weight, bias), told, homogeneous=bias is None, rank=axes + 1)


def _filtered(call: TracedCall) -> FollowedSignal | None:
    """Return what each number over time is by a table, as convolutions of one channel have it; None for others."""
    signal, weight, bias, stride, padding, dilation, transposed = call.args[:7]
    alone = signal.axes[1] == ALONE and signal.axes[-1] == TIME and weight.numel() == weight.shape[-1]
    if not alone or transposed or bias is not None or {*stride[:-1], 1} != {1} or any(padding[:-1]):
        return None
    beside, table = [Polynomial({})] * padding[-1], [exact(each, call.result.dtype) for each in weight.flatten()]
    steps, found = [*beside, *signal.steps, *beside], []
    for step in range(call.shape[-1]):
        heard = (steps[step * stride[-1] + place * dilation[-1]] * by for place, by in enumerate(table))
        found.append(reduce(add, heard))
    return signal.with_steps(found)


def _along_time(call: TracedCall, signal: FollowedSignal) -> FollowedSignal:
    """Return a convolution whose last axis is time: at each step a sum of what its columns make of some steps."""
    _, weight, bias, stride, padding, dilation, _, _, groups = call.args[:9]
    features = settled(replace(signal, axes=(TIME, *signal.axes[:-1])))[1]
    rank, after = weight.dim() - 3, call.shape[1:-1]
    if rank > 2 or groups != 1 or len(features) != rank + 1:
        call.refuse(f"is given features {features} over time in {groups} groups; expected images at most, in one")
    settings = {
        name: tuple(sizes[:-1])
        for name, sizes in (("stride", stride), ("padding", padding), ("dilation", dilation))
    }
    maps = [_column(call, features, weight[..., place], settings) for place in range(weight.shape[-1])]
    beside = [Polynomial({})] * padding[-1]
    steps = [*beside, *(viewed(step, signal.features, features, call) for step in signal.steps), *beside]
    held = Polynomial.of(ZERO if bias is None else exact(bias.reshape(-1, *[1] * rank), call.result.dtype))
    found = []
    for step in range(call.shape[-1]):
        heard = (image(by, steps[step * stride[-1] + place * dilation[-1]]) for place, by in enumerate(maps))
        found.append(reduce(add, heard, held))
    return FollowedSignal((BATCH, *[FEATURE] * len(after), TIME), tuple(found), after)


def _column(call: TracedCall, features: tuple[int, ...], weight: Tensor, settings: dict[str, Any]) -> FeatureMap:
    """Return what a convolution along time makes of one step: a dense layer, or a convolution of one axis less."""
    if weight.dim() == 2:
        made = _linear(weight, None)
        return FeatureMap(("mm", features, "()", digest(weight.t()), ""), made, True, line_of(call.node))
    kind: Any = (nn.Conv1d, nn.Conv2d)[weight.dim() - 3]

    def convolution() -> list[nn.Module]:
        """Return the layer."""
        size = tuple(weight.shape[2:])
        return [_loaded(kind(weight.shape[1], weight.shape[0], size, bias=False, **settings), weight, None)]

    return FeatureMap((call.name, features, str(settings), digest(weight)), convolution, True, line_of(call.node))


@reads("bmm")
def batched(call: TracedCall) -> FollowedSignal:
    """Return W·x where a matrix is one for all samples, which have an axis of one entry in front."""
    signal, weight = call.args[:2]
    if not isinstance(signal, FollowedSignal) or isinstance(weight, FollowedSignal) or signal.axes[0] != ALONE:
        call.refuse(INSTEAD["bmm"])
    features = settled(signal)[1]
    if len(features) != 1 or len(weight) != 1:
        call.refuse(INSTEAD["bmm"])
    key = ("mm", features, "()", digest(weight[0]), "")
    by = FeatureMap(key, _linear(weight[0].t(), None), True, line_of(call.node))
    return FollowedSignal(signal.axes, tuple(image(by, step) for step in signal.steps), (weight.shape[-1],))


@reads("native_batch_norm", "_native_batch_norm_legit_no_training", "_native_batch_norm_legit")
def normalized(call: TracedCall) -> list[Any]:
    """Return a batch norm by running statistics; what it returns besides is of no use."""
    signal, weight, bias, mean, variance, *rest = call.args
    training = rest[0] if len(rest) == 3 else False
    if training or mean is None:
        call.refuse("takes the statistics of the batch; expected running ones (track_running_stats=True)")
    if len(settled(signal)[0]) != 1:
        call.refuse("takes samples for channels; expected (batch, channels, ...)")
    count = len(mean)
    kind = nn.BatchNorm1d if len(settled(signal)[1]) < 3 else nn.BatchNorm2d

    def made() -> list[nn.Module]:
        """Return the layer."""
        layer = kind(count, eps=rest[-1], affine=weight is not None).to(mean.dtype)
        own = {"weight": weight, "bias": bias, "running_mean": mean, "running_var": variance}
        layer.load_state_dict({name: value for name, value in own.items() if value is not None}, strict=False)
        return [layer.eval()]

    if frames_of(call.node) in call.entrywise:
        return [_entrywise(call, made()[0]), None, None]
    if any(spikes and graded for step in signal.steps for spikes, graded in step.terms):  # what a spike resets
        raise PotentialNormalized(frames_of(call.node), f"{line_of(call.node)}: normalizes a potential")
    weights = (weight, bias, mean, variance)
    return [mapped(call, signal, made, weights, rest[-1], homogeneous=False), None, None]


class PotentialNormalized(ConversionRefused):
    """A batch norm of what a neuron keeps, as a threshold and a scale of channels: of its line, at all steps."""

    def __init__(self, frames: tuple[tuple[str, int], ...], told: str) -> None:
        super().__init__(told)
        self.frames = frames


def _entrywise(call: TracedCall, norm: Any) -> FollowedSignal:
    """Return a batch norm as a factor and a constant of each channel, which potentials go through as they are."""
    norm, signal = norm.double(), call.args[0]
    factor = torch.rsqrt(norm.running_var + norm.eps) * (1.0 if norm.weight is None else norm.weight)
    shift = (0.0 if norm.bias is None else norm.bias) - norm.running_mean * factor
    shape = (-1, *[1] * (len(settled(signal)[1]) - 1))
    by, beside = (exact(each.detach().reshape(shape), torch.float64) for each in (factor, shift))
    return signal.with_steps([step * by + Polynomial.of(beside) for step in signal.steps])


@reads("avg_pool2d", "avg_pool1d")
def pooled(call: TracedCall) -> FollowedSignal:
    """Return an average pool."""
    given: list[Any] = [*call.args, None, None]
    signal, window, stride, padding = given[:4]
    ceil, counted, divisor = (
        call.option(4, "ceil_mode", False),
        call.option(5, "count_include_pad", True),
        call.option(6, "divisor_override", None),
    )
    if divisor is not None:
        call.refuse("has a divisor of its own")
    kind = getattr(nn, f"AvgPool{call.name[-2:]}")
    sizes = [_whole(each) for each in (window, stride or window, padding or 0)]
    if signal.axes[-2:] == (ALONE, FEATURE) and len(signal.features) == 1:
        return _of_vector(call, signal, kind(*sizes, ceil, counted))
    return mapped(call, signal, lambda: [kind(*sizes, ceil, counted)], (), (sizes, ceil, counted))


def _of_vector(call: TracedCall, signal: FollowedSignal, pool: nn.Module) -> FollowedSignal:
    """Return means of neighbours among the entries of a vector, by a matrix."""
    one = torch.eye(*signal.features, dtype=call.result.dtype)
    weight = pool(one.unsqueeze(1)).squeeze(1).t()
    lead = (axis for axis in signal.axes[:-1] if axis != ALONE)
    vector = FollowedSignal((*lead, FEATURE), signal.steps, signal.features)
    found = mapped(call, vector, _linear(weight, None), (weight,))
    return FollowedSignal(signal.axes, found.steps, (len(weight),))


def _whole(sizes: Any) -> Any:
    sizes = tuple(sizes) if isinstance(sizes, list | tuple) else sizes
    return sizes[0] if isinstance(sizes, tuple) and len(sizes) == 1 else sizes


@reads("_adaptive_avg_pool2d", "adaptive_avg_pool2d", "adaptive_avg_pool1d")
def adapted_pool(call: TracedCall) -> FollowedSignal:
    """Return an average pool of a size that fits."""
    axes = 1 if call.name.endswith("1d") else 2
    made = _adaptive(call, settled(call.args[0])[1], call.shape[-axes:])
    return mapped(call, call.args[0], lambda: [made()], (), call.shape[-axes:])


def _adaptive(call: TracedCall, features: tuple[int, ...], after: tuple[int, ...]) -> Callable[[], Any]:
    have = features[-len(after) :]
    if len(features) != len(after) + 1:
        call.refuse(f"is given features {features}, expected {len(after) + 1} axes")
    if any(size % count for size, count in zip(have, after, strict=True)):
        return lambda: AdaptiveAverage(have, after)
    windows = tuple(size // count for size, count in zip(have, after, strict=True))
    return lambda: nn.AvgPool1d(windows[0]) if len(after) == 1 else nn.AvgPool2d(windows)  # pyright: ignore


@reads("sum", "mean")
def reduced(call: TracedCall) -> FollowedSignal:
    """Return a sum or a mean over time, or the mean over all positions of an image, or of a sequence."""
    signal, axes = call.args[0], call.option(1, "dim", None)
    places = [place % len(signal.axes) for place in (axes if isinstance(axes, list) else [])]
    if [signal.axes[place] for place in places] == [TIME]:
        return over_time(call, places[0])
    lead, features = settled(signal)
    behind = list(range(len(lead) + 1, len(lead) + len(features)))
    keeps = call.option(2, "keepdim", False)
    some = 0 < len(places) < len(signal.features) and all(signal.axes[place] == FEATURE for place in places)
    if some and sorted(places) != behind:
        return _along_features(call, places, keeps)
    if sorted(places) != behind or call.name != "mean" or not behind:
        call.refuse("sums or averages what is neither time nor all positions of an image; use a layer for it")
    pool = _adaptive(call, features, (1,) * len(behind))
    return mapped(call, signal, lambda: [pool()] if keeps else [pool(), nn.Flatten()], (), keeps)


def _along_features(call: TracedCall, places: list[int], keeps: bool) -> FollowedSignal:
    """Return a sum or a mean over some axes of features, by a matrix."""
    signal = call.args[0]
    known = [place for place, axis in enumerate(signal.axes) if axis == FEATURE]
    over = [1 + known.index(place) for place in places]
    operation = torch.sum if call.name == "sum" else torch.mean
    found = rearranged(call, signal, lambda units: operation(units, over), "summed")
    left = (ALONE if place in places else axis for place, axis in enumerate(signal.axes))
    axes = tuple(axis for place, axis in enumerate(left) if keeps or place not in places)
    return replace(found, axes=axes)


@reads("max_pool2d_with_indices", "max_pool2d", "max_pool1d", "max_pool1d_with_indices")
def max_pooled(call: TracedCall) -> Any:
    """Return a max pool; places of maxima are of no use."""
    signal, window = call.args[:2]
    stride, padding = call.option(2, "stride", None) or window, call.option(3, "padding", 0)
    sizes = [_whole(each) for each in (window, stride, padding, call.option(4, "dilation", 1))]
    ceil = call.option(5, "ceil_mode", False)
    kind = next(each for each in MAX_POOLS if each.__name__ == ("MaxPool2d" if "2d" in call.name else "MaxPool1d"))
    found = mapped(call, signal, lambda: [kind(*sizes, ceil_mode=ceil)], (), (sizes, ceil))
    return [found, None] if "indices" in call.name else found


@reads("constant_pad_nd")
def padded(call: TracedCall) -> FollowedSignal:
    """Return features in a frame of zeros."""
    sizes: Any = tuple(call.args[1])
    value = call.option(2, "value", 0) or 0
    if value != 0:
        call.refuse(f"pads by {value:g}, expected 0")
    signal = call.args[0]
    if signal.axes[-1] == TIME and not any(sizes[2:]) and min(sizes) >= 0:
        before, behind = ([Polynomial({})] * size for size in sizes[:2])
        return signal.with_steps([*before, *signal.steps, *behind])
    if len(sizes) == 2 and signal.axes[-1] == FEATURE and len(signal.features) == 1 and min(sizes) >= 0:
        whole = signal.features[0] + sum(sizes)
        by = placing(signal.features, 0, sizes[0], whole, line_of(call.node))
        return replace(signal, steps=tuple(placed(by, step, call) for step in signal.steps), features=(whole,))
    if len(sizes) not in (2, 4):
        call.refuse(f"pads {len(sizes) // 2} axes, expected those of an image, or of a sequence")
    return mapped(call, signal, lambda: [(nn.ZeroPad1d if len(sizes) == 2 else nn.ZeroPad2d)(sizes)], (), sizes)  # pyright: ignore[reportArgumentType]


@reads("reflection_pad1d", "reflection_pad2d", "replication_pad1d", "replication_pad2d")
def bordered(call: TracedCall) -> FollowedSignal:
    """Return features in a frame of their own, which is a part of the convolution behind it."""
    return mapped(call, call.args[0], None, (), tuple(call.args[1]))


def _border(signal: FollowedSignal) -> tuple[FollowedSignal, dict[str, Any]] | None:
    """Return the signal within a frame that all steps have, and how a convolution makes it; None without one."""
    parts = [next(iter(step.terms), ONE)[1] for step in signal.steps if len(step.terms) == 1]
    maps = {part.map for part in parts if isinstance(part, Image) and "tion_pad" in part.map.key[0]}
    if len(maps) != 1 or len(parts) < len(signal.steps):
        return None
    (by,) = maps
    sizes = [int(each) for each in by.key[2].strip("()").split(",") if each.strip()]
    if sizes[::2] != sizes[1::2]:
        return None
    inner = [part.signal * step.coefficient(part) for part, step in zip(parts, signal.steps, strict=True)]  # pyright: ignore
    mode = "reflect" if by.key[0].startswith("refl") else "replicate"
    found = FollowedSignal(signal.axes, tuple(inner), by.key[1])
    return found, {"padding": tuple(sizes[::-2]), "padding_mode": mode}


@reads("pixel_shuffle")
def shuffled(call: TracedCall) -> FollowedSignal:
    """Return channels as pixels."""
    return mapped(call, call.args[0], lambda: [nn.PixelShuffle(call.args[1])], (), call.args[1])


@reads("upsample_nearest2d")
def upsampled(call: TracedCall) -> FollowedSignal:
    """Return an image whose pixels are repeated."""
    before, after = settled(call.args[0])[1][-2:], call.shape[-2:]
    if any(size % count for size, count in zip(after, before, strict=True)):
        told = f"enlarges {'×'.join(map(str, before))} to {'×'.join(map(str, after))}"
        call.refuse(f"{told}, expected a scale_factor that is a whole number")
    factors = tuple(float(size // count) for size, count in zip(after, before, strict=True))
    return mapped(call, call.args[0], lambda: [nn.Upsample(scale_factor=factors)], (), after)  # pyright: ignore[reportArgumentType]
