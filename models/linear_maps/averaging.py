"""Maps without weights: averages over windows, flattening, and `Share` and `WholeInput`, entry by entry.

nn.Flatten and nn.Unflatten: they only rename coordinates.

Maps that take each entry by itself: `Share`, y = c·x, and `WholeInput`.

WholeInput: what a chip takes, whole numbers between two ends, as they are.

Layers that move numbers: padding by zeros, nearest upsampling, pixel shuffles.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..constants import real, whole, wholes
from ..elements.registry import Extent, Whole, each, one_or_each
from .base import LinearMap, Products, Shape, check_axes, greatest, lowers
from .convolution import OneRowMap


class AdaptiveAverage(nn.Module):
    """The adaptive average pool of signals of one size; its windows may overlap, differ in size, or repeat.

    Window i of n along an axis of m entries holds those from ⌊i·m/n⌋ to ⌈(i + 1)·m/n⌉ − 1.

    Args:
        inputs: (height, width) of the images, or (length,) of the sequences, that it takes.
        outputs: those that it makes.

    Raises:
        TypeError, ValueError: for sizes that are not 1 or 2 whole numbers above 0.
    """

    def __init__(self, inputs: Sequence[int], outputs: Sequence[int]) -> None:
        super().__init__()
        self.inputs: tuple[int, ...] = wholes("inputs", inputs)
        self.outputs: tuple[int, ...] = wholes("outputs", outputs)
        sizes = (*self.inputs, *self.outputs)
        if len(self.inputs) != len(self.outputs) or len(self.inputs) not in (1, 2) or min(sizes) < 1:
            raise ValueError(
                f"outputs: got {self.outputs} of {self.inputs}, expected 1 or 2 sizes above 0 of both"
            )

    def forward(self, signal: Tensor) -> Tensor:
        """Return the averages, (batch, channels, *outputs)."""
        axes = len(self.inputs)
        if signal.dim() != 2 + axes or tuple(signal.shape[2:]) != self.inputs:
            raise ValueError(f"inputs: got {tuple(signal.shape)}, expected (batch, channels, *{self.inputs})")
        pool = F.adaptive_avg_pool1d if axes == 1 else F.adaptive_avg_pool2d
        return pool(signal, self.outputs)  # pyright: ignore[reportArgumentType]

    def extra_repr(self) -> str:
        """Return the sizes."""
        return f"{self.inputs}, {self.outputs}"


SIZES = each(Extent, 1) | each(Extent, 2)
"""Of sequences or of images."""


@dataclass(frozen=True, eq=False)
class WindowsMap(LinearMap):
    """y = R·x·Cᵀ for images x, R and C the averages along rows and columns. No entry is below 0, so |W| = W.

    Attributes:
        inputs, outputs: (height, width).
        order: the power that each entry of W is raised to.
    """

    rank: ClassVar[int | None] = 3
    channelwise: ClassVar[bool] = True
    keeps_zeros: ClassVar[bool] = True

    inputs: tuple[int, int]
    outputs: tuple[int, int]
    order: int = 1

    def linear(self, x: Tensor) -> Tensor:
        """Return R·x·Cᵀ."""
        check_axes(self, x, 3)
        return self._averages(x, self.order)

    def _averages(self, x: Tensor, order: int) -> Tensor:
        rows, columns = (_matrix(*sizes).to(x) ** order for sizes in zip(self.inputs, self.outputs, strict=True))
        return rows @ x @ columns.T

    def apply(self, x: Tensor) -> Tensor:
        """Return the averages as the run computes them."""
        check_axes(self, x, 3)
        return F.adaptive_avg_pool2d(x, self.outputs)

    def absolute(self) -> "WindowsMap":
        """Return this map."""
        return self

    def squared(self, x: Tensor) -> Tensor:
        """Return (W∘W)·x."""
        return self._averages(x, 2 * self.order)

    def power(self, order: int) -> "WindowsMap":
        """Return the map of W's powers."""
        return WindowsMap(self.inputs, self.outputs, order)

    def mixes(self, before: int) -> int:
        """Return 1 where each input reaches this layer once."""
        return 1 if before == 2 else 0

    @property
    def terms(self) -> int:
        """Return the size of the largest window, and the divisions of R and C besides the one of the run."""
        return _most(self.inputs, self.outputs, 1) + 2

    @property
    def depth(self) -> int:
        """Return the terms of an average, of its adjoint, and the divisions."""
        return self.terms + _most(self.inputs, self.outputs, 0) + 4

    def takes(self, features: Shape) -> None:
        """Raise ValueError for images of another size."""
        if len(features) != 3 or features[1:] != self.inputs:
            raise ValueError(f"inputs: got features {features}, expected (channels, *{self.inputs})")

    def __repr__(self) -> str:
        """Return name and sizes."""
        return f"AdaptiveAverage({self.inputs} → {self.outputs})"


def _matrix(size: int, count: int) -> Tensor:
    """Return 1/n where a window of n holds an entry, (count, size); windows as torch's own."""
    window = torch.arange(count, dtype=torch.int64)[:, None]
    start, end = window * size // count, -((window + 1) * size // -count)
    place = torch.arange(size)
    inside = (place >= start) & (place < end)
    return inside.double() / (end - start).double()


def _most(inputs: tuple[int, int], outputs: tuple[int, int], axis: int) -> int:
    """Return the most entries of a window (axis 1), or the most windows that hold an entry (axis 0)."""
    counts = [int((_matrix(*sizes) > 0).sum(axis).max()) for sizes in zip(inputs, outputs, strict=True)]
    return counts[0] * counts[1]


@lowers(AdaptiveAverage, fields={"inputs": SIZES, "outputs": SIZES})
def averages(layer: AdaptiveAverage) -> LinearMap:
    """Return the map of averages of images or of sequences."""
    if len(layer.inputs) == 2:
        return WindowsMap(layer.inputs, layer.outputs)  # pyright: ignore[reportArgumentType]
    return OneRowMap(WindowsMap((1, *layer.inputs), (1, *layer.outputs)))  # pyright: ignore[reportArgumentType]


@dataclass(frozen=True, eq=False)
class ReshapeMap(LinearMap):
    """The same numbers in the same order, under other axes."""

    reshapes: ClassVar[bool] = True
    keeps_zeros: ClassVar[bool] = True

    @abstractmethod
    def linear(self, x: Tensor) -> Tensor:
        """Return the reshaped signal."""

    def apply(self, x: Tensor) -> Tensor:
        """Return the reshaped signal."""
        return self.linear(x)

    def absolute(self) -> "ReshapeMap":
        """Return this map."""
        return self

    def squared(self, x: Tensor) -> Tensor:
        """Return the reshaped signal."""
        return self.linear(x)

    def power(self, order: int) -> "ReshapeMap":
        """Return this map."""
        return self

    def mixes(self, before: int) -> int:
        """Return what was known before."""
        return before

    @property
    def terms(self) -> int:
        """Return 0: nothing is computed."""
        return 0

    @property
    def depth(self) -> int:
        """Return 0: nothing is computed."""
        return 0

    @property
    def products(self) -> Products | None:
        """Return None: whoever asks must look through."""
        return None


@dataclass(frozen=True, eq=False)
class FlattenMap(ReshapeMap):
    """Axes `start` to `end` as one; the batch is axis 0 and no part of it."""

    start: int
    end: int

    def linear(self, x: Tensor) -> Tensor:
        """Return the flattened signal."""
        return x.flatten(self.start, self.end)

    def __repr__(self) -> str:
        """Return name and axes."""
        return f"Flatten({self.start}, {self.end})"


@dataclass(frozen=True, eq=False)
class _FlattenAll(FlattenMap):
    """One that leaves vectors."""

    rank: ClassVar[int | None] = 1


@lowers(nn.Flatten, fields={"start_dim": Whole, "end_dim": Whole})
def flatten(layer: nn.Flatten) -> FlattenMap:
    """Return the map of a Flatten.

    Raises:
        ValueError: for one that takes the batch as well.
    """
    if layer.start_dim == 0:
        raise ValueError(f"network: got {layer}, expected one that leaves the batch alone")
    kind = _FlattenAll if (layer.start_dim, layer.end_dim) == (1, -1) else FlattenMap
    return kind(layer.start_dim, layer.end_dim)


@dataclass(frozen=True, eq=False)
class UnflattenMap(ReshapeMap):
    """Axis `axis` as several; the batch is axis 0 and stays."""

    axis: int
    sizes: tuple[int, ...]

    def linear(self, x: Tensor) -> Tensor:
        """Return the unflattened signal."""
        if self.axis % x.dim() == 0:
            raise ValueError(f"inputs: {self} was given {x.dim() - 1} axes, of which none is its own")
        return x.unflatten(self.axis, self.sizes)

    def __repr__(self) -> str:
        """Return name, axis and sizes."""
        return f"Unflatten({self.axis}, {self.sizes})"


@lowers(
    nn.Unflatten,
    fields={"dim": Whole, "unflattened_size": tuple[Whole, ...]},
    said=lambda layer: {"unflattened_size": tuple(layer.unflattened_size)},
)
def unflatten(layer: nn.Unflatten) -> UnflattenMap:
    """Return the map of an Unflatten.

    Raises:
        TypeError, ValueError: for one that parts the batch, or names its axes.
    """
    axis = whole("dim", layer.dim)
    if axis == 0:
        raise ValueError(f"network: got {layer}, expected one that leaves the batch alone")
    return UnflattenMap(axis, wholes("unflattened_size", tuple(layer.unflattened_size)))


class Share(nn.Module):
    """y = c·x for one learnable number c, such as the share of a path in a residual sum.

    Args:
        start: c of the untrained layer.

    Raises:
        TypeError, ValueError: for a start that is no finite number.

    >>> Share(0.5)(torch.ones(1, 2))
    tensor([[0.5000, 0.5000]], grad_fn=<MulBackward0>)
    """

    def __init__(self, start: float = 1.0) -> None:
        super().__init__()
        self.share: nn.Parameter = nn.Parameter(torch.full((1,), real("start", start)))

    def forward(self, signal: Tensor) -> Tensor:
        """Return c·x."""
        return signal * self.share


@dataclass(frozen=True, eq=False)
class ShareMap(LinearMap):
    """c, (1,), for inputs of any shape; `axes` is how many they have, where that is known."""

    share: Tensor
    axes: int | None = None

    def linear(self, x: Tensor) -> Tensor:
        """Return c·x, one product, as the run computes it."""
        return x * self.share.to(x)

    def absolute(self) -> "ShareMap":
        """Return |c|."""
        return replace(self, share=self.share.abs())

    def squared(self, x: Tensor) -> Tensor:
        """Return c²·x."""
        return x * self.share.to(x).square()

    def power(self, order: int) -> "ShareMap":
        """Return the map of |c|'s powers."""
        return replace(self, share=self.share.abs() ** order)

    def mixes(self, before: int) -> int:
        """Return what was known before: entries do not mix."""
        return before

    @property
    def terms(self) -> int:
        """Return 1."""
        return 1

    @property
    def depth(self) -> int:
        """Return 2: the product and, of a power, the number itself."""
        return 2

    @property
    def largest(self) -> float:
        """Return |c|."""
        return greatest(self.share)

    @property
    def products(self) -> Products:
        """Return x ↦ c·x, one term each."""
        return lambda x: self.linear(x).unsqueeze(-1)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Return c."""
        return (self.share,)

    def to(self, dtype: torch.dtype, device: torch.device | str | None = None) -> Self:
        """Return a detached copy."""
        return replace(self, share=self.share.detach().to(device, dtype))

    def at_rank(self, rank: int) -> "ShareMap":
        """Return the map for inputs of so many axes, which `module` asks for alone."""
        return replace(self, axes=rank)

    def __repr__(self) -> str:
        """Return the layer's name."""
        return "Share()"


@lowers(Share, fields={}, tensors=lambda _: {"share": (1,)})
def share(layer: Share) -> ShareMap:
    """Return the map of a share."""
    return ShareMap(layer.share)


class WholeInput(nn.Module):
    """y = x for whole numbers least ≤ x ≤ most; the first layer of a network of whole numbers, and its mark.

    Args:
        least, most: what the chip takes, such as 0 and 255.

    Raises:
        TypeError, ValueError: for ends that are no whole numbers, or in another order.

    >>> import torch
    >>> WholeInput(0, 15)(torch.tensor([[3.0, 15.0]]))
    tensor([[ 3., 15.]])
    """

    def __init__(self, least: int = 0, most: int = 255) -> None:
        super().__init__()
        self.least: int = whole("least", least)
        self.most: int = whole("most", most)
        if self.least > self.most:
            raise ValueError(f"least, most: got {self.least}, {self.most}, expected least ≤ most")

    def forward(self, signal: Tensor) -> Tensor:
        """Return the signal; a network that is run checks it before."""
        return signal

    def extra_repr(self) -> str:
        """Return the ends."""
        return f"least={self.least}, most={self.most}"


@dataclass(frozen=True, eq=False)
class WholeInputMap(ReshapeMap):
    """The same numbers; whole ones from `least` to `most`."""

    least: int
    most: int

    def linear(self, x: Tensor) -> Tensor:
        """Return x."""
        return x

    def __repr__(self) -> str:
        """Return name and ends."""
        return f"WholeInput({self.least}, {self.most})"


def taken(layer: WholeInput, signal: Tensor) -> Tensor:
    """Return the signal as a network runs on it.

    Raises:
        ValueError: unless all of it is whole and within the ends.
    """
    signal = signal.detach()
    fits = (signal == signal.round()) & (signal >= layer.least) & (signal <= layer.most)
    if not bool(fits.all()):
        other = float(signal[~fits].flatten()[0])
        told = f"expected whole numbers from {layer.least} to {layer.most}, which the chip takes"
        raise ValueError(f"inputs: got {other:g}, {told}")
    return signal


@lowers(WholeInput, fields={"least": Whole, "most": Whole}, run=taken)
def whole_input(layer: WholeInput) -> WholeInputMap:
    """Return the map of a WholeInput."""
    return WholeInputMap(whole("least", layer.least), whole("most", layer.most))


@dataclass(frozen=True, eq=False)
class SelectionMap(LinearMap):
    """Each output is one input or 0: a row of W has at most a single 1, so that |W| = W∘W = W.

    Attributes:
        repeats: whether an input may become several outputs.
    """

    repeats: ClassVar[bool] = False
    keeps_zeros: ClassVar[bool] = True

    @abstractmethod
    def linear(self, x: Tensor) -> Tensor:
        """Return the moved numbers."""

    def absolute(self) -> "SelectionMap":
        """Return this map."""
        return self

    def squared(self, x: Tensor) -> Tensor:
        """Return the moved numbers."""
        return self.linear(x)

    def power(self, order: int) -> "SelectionMap":
        """Return this map."""
        return self

    def mixes(self, before: int) -> int:
        """Return what was known before; 1 at most where an input is repeated: no output has two paths for one."""
        return min(before, 1) if self.repeats else before

    @property
    def terms(self) -> int:
        """Return 1."""
        return 1

    @property
    def depth(self) -> int:
        """Return 0: a number is moved, not rounded."""
        return 0

    @property
    def products(self) -> Products:
        """Return the one number that each output is."""
        return lambda x: self.linear(x).unsqueeze(-1)


@dataclass(frozen=True, eq=False)
class PadMap(SelectionMap):
    """Images with zeros around them.

    Attributes:
        sides: how many zeros left, right, above and below; negative ones cut the image.
    """

    rank: ClassVar[int | None] = 3
    channelwise: ClassVar[bool] = True

    sides: tuple[int, ...]

    def linear(self, x: Tensor) -> Tensor:
        """Return the padded images."""
        check_axes(self, x, 3)
        return F.pad(x, self.sides)

    def takes(self, features: Shape) -> None:
        """Raise ValueError for what is no image: of vectors the layer would pad the batch."""
        if len(features) != 3:
            raise ValueError(f"inputs: got features {features}, expected (channels, height, width)")


@dataclass(frozen=True, eq=False)
class UpsampleMap(SelectionMap):
    """Each entry repeated along the axes behind the channels, as torch's own indices have it.

    Attributes:
        factors: one for each axis, or one for all of them.
    """

    repeats: ClassVar[bool] = True
    channelwise: ClassVar[bool] = True

    factors: tuple[int, ...]

    def linear(self, x: Tensor) -> Tensor:
        """Return the larger images, or sequences."""
        self.takes(tuple(x.shape[1:]))
        factor = float(self.factors[0]) if len(self.factors) == 1 else tuple(map(float, self.factors))
        return F.interpolate(x, scale_factor=factor, mode="nearest")  # pyright: ignore[reportArgumentType]

    @property
    def depth(self) -> int:
        """Return the copies of one entry, which the adjoint adds up."""
        return max(self.factors) ** 2 if len(self.factors) == 1 else self.factors[0] * self.factors[1]

    def takes(self, features: Shape) -> None:
        """Raise ValueError for vectors, and for a factor an axis that does not fit."""
        axes = len(features) - 1
        if axes not in (1, 2) or len(self.factors) not in (1, axes):
            raise ValueError(
                f"inputs: got features {features}, which an upsampling by {self.factors} does not fit"
            )


@dataclass(frozen=True, eq=False)
class ShuffleMap(SelectionMap):
    """Channels that become pixels, each group of factor² channels one larger image."""

    rank: ClassVar[int | None] = 3

    factor: int

    def linear(self, x: Tensor) -> Tensor:
        """Return the larger images; torch's own shuffle has no gradient of an empty batch."""
        check_axes(self, x, 3)
        (batch, channels, height, width), factor = x.shape, self.factor
        if channels % factor**2:
            raise ValueError(f"inputs: {self} was given {channels} channels, expected a multiple of {factor**2}")
        made = channels // factor**2
        parts = x.reshape(batch, made, factor, factor, height, width).permute(0, 1, 4, 2, 5, 3)
        return parts.reshape(batch, made, height * factor, width * factor)


def _sides(layer: Any) -> dict[str, Any]:
    return {"padding": zeros_at(layer)}


@lowers(nn.ZeroPad2d, fields={"padding": each(Whole, 4)}, said=_sides)
def padding(layer: nn.ZeroPad2d) -> PadMap:
    """Return the map of a padding of images by zeros."""
    return PadMap(zeros_at(layer))


@lowers(nn.ZeroPad1d, fields={"padding": each(Whole, 2)}, said=_sides)
def sequence_padding(layer: nn.ZeroPad1d) -> OneRowMap:
    """Return the map of a padding of sequences by zeros."""
    return OneRowMap(PadMap((*zeros_at(layer), 0, 0)))


def zeros_at(layer: nn.ZeroPad1d | nn.ZeroPad2d) -> tuple[int, ...]:
    """Return how many zeros a padding adds at each side, the last axis first.

    Raises:
        ValueError: for a value that was changed.
    """
    if layer.value != 0:
        raise ValueError(f"network: got {layer} of value {layer.value}, expected 0")
    return wholes("padding", tuple(layer.padding))


def _factors(layer: nn.Upsample) -> dict[str, Any]:
    """Return the factors as whole numbers."""
    factors = whole_factors(layer)
    return {"scale_factor": factors if isinstance(layer.scale_factor, tuple) else factors[0]}


@lowers(
    nn.Upsample,
    fields={"scale_factor": one_or_each(Extent, 1) | each(Extent, 2), "mode": Literal["nearest"]},
    said=_factors,
)
def upsampling(layer: nn.Upsample) -> UpsampleMap:
    """Return the map of a nearest upsampling.

    Raises:
        ValueError: for another mode, a size, or a factor that is no whole number.
    """
    return UpsampleMap(whole_factors(layer))


def whole_factors(layer: nn.Upsample) -> tuple[int, ...]:
    """Return the factors of a nearest upsampling by whole numbers.

    Raises:
        ValueError: for another upsampling.
    """
    plain = layer.size is None and layer.mode == "nearest" and not layer.recompute_scale_factor
    given = layer.scale_factor if isinstance(layer.scale_factor, tuple) else (layer.scale_factor,)
    if not plain or not all(factor is not None and factor >= 1 and factor == int(factor) for factor in given):
        raise ValueError(
            f"network: got {layer}, expected mode 'nearest' and a scale_factor that is a whole number"
        )
    return tuple(int(factor) for factor in given)  # pyright: ignore[reportArgumentType]


@lowers(nn.PixelShuffle, fields={"upscale_factor": Extent})
def shuffle(layer: nn.PixelShuffle) -> ShuffleMap:
    """Return the map of a pixel shuffle."""
    return ShuffleMap(whole("upscale_factor", layer.upscale_factor))
