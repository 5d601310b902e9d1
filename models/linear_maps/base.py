"""What an affine layer is to every reader, y = W·x + b for signals (batch, *shape), and which layers are known.

One file of this folder a kind of layer. A layer that no file registers is refused (`linear_map`): a reader never
guesses. A map holds the layer's own tensors, so that gradients reach them; `to` gives a detached copy.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self, TypeVar

import torch
from torch import Tensor, nn

from ..constants import whole
from ..elements.registry import ELEMENTS, Element, of_node, register

Shape = tuple[int, ...]
BATCHES = (1, 2, 16, 64)
"""Sizes of batches at which torch may choose another algorithm for convolutions (NNPACK's from 16 on)."""
Products = Callable[[Tensor], Tensor]
Maker = TypeVar("Maker", bound=Callable[..., "LinearMap"])


@dataclass(frozen=True, eq=False)
class LinearMap(ABC):
    """An affine layer in evaluation mode.

    Attributes:
        reshapes: whether it only renames coordinates.
        convolves: whether the run multiplies it by a convolution's algorithms.
        channelwise: whether it does the same to each channel of images, and mixes none.
        rank: how many axes its outputs have, without batch; None: as many as its inputs, or not known.
        keeps_zeros: whether each output is a mean or a copy of inputs, or 0: so that it is 0 where they are.
    """

    reshapes: ClassVar[bool] = False
    convolves: ClassVar[bool] = False
    channelwise: ClassVar[bool] = False
    rank: ClassVar[int | None] = None
    keeps_zeros: ClassVar[bool] = False

    @abstractmethod
    def linear(self, x: Tensor) -> Tensor:
        """Return W·x, in the dtype and on the device of x."""

    @abstractmethod
    def absolute(self) -> "LinearMap":
        """Return the map of |W|, or of a matrix with no entry below it, without bias; W itself where W ≥ 0."""

    @abstractmethod
    def squared(self, x: Tensor) -> Tensor:
        """Return at least (W∘W)·x, for x ≥ 0."""

    @property
    @abstractmethod
    def terms(self) -> int:
        """Return n, how many products the run sums for one output."""

    def active(self, size: Tensor) -> Tensor | None:
        """Return how many of the products of each output have an entry of `size` ≥ 0, (batch, ...), that is not 0.

        In float64, broadcastable to the outputs, and exact; None where the run does not plainly sum products, or
        the map does not say.
        """
        return None

    @property
    @abstractmethod
    def depth(self) -> int:
        """Return how many roundings lie between an entry of the input and one of the output, or of the adjoint."""

    @property
    def bias(self) -> Tensor:
        """Return b, broadcastable to one output; a zero where there is none."""
        return torch.zeros(())

    @property
    def bias_magnitude(self) -> Tensor:
        """Return the sum of moduli that the run adds up to form b."""
        return self.bias.abs()

    @property
    def largest(self) -> float:
        """Return a bound of the factors of the run's products, where a library may flush them to zero; else 0."""
        return 0.0

    @property
    def products(self) -> Products | None:
        """Return x ↦ the products W_i·x_i that each output sums, (batch, outputs…, terms), no entry twice in one.

        None where the map does not offer them.
        """
        return None

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Return the tensors of the layer that the map holds."""
        return ()

    def to(self, dtype: torch.dtype, device: torch.device | str | None = None) -> Self:
        """Return a detached copy in `dtype`, which must hold the layer's numbers exactly."""
        return self

    @property
    def algorithms(self) -> frozenset[str]:
        """Return the names of the algorithms by which torch convolves in the run, in batches of any size."""
        return frozenset()

    def check_run(self) -> None:  # noqa: B027 (most maps have nothing to check)
        """Raise OverflowError where the run's own arithmetic strays from W·x + b by more than rounding."""

    @property
    def ranged(self) -> Callable[[float], None] | None:
        """Return what raises OverflowError where the run may overflow for |x| up to a number, beside its sums.

        None where there is no more than those.
        """
        return None

    def apply(self, x: Tensor) -> Tensor:
        """Return W·x + b."""
        return self.linear(x) + self.bias.to(x)

    def takes(self, features: Shape) -> None:  # noqa: B027 (most maps take any)
        """Raise ValueError for a feature shape that the layer refuses, or would take silently for another."""

    def square(self, size: int) -> Shape | None:
        """Return the inputs of equal sides that the layer's weights fit; None where it has no weights."""
        return None

    def at_rank(self, rank: int) -> "LinearMap":
        """Return the map for inputs of `rank` axes, where it depends on that."""
        return self

    def scaled(self, factor: Tensor, roundings: int, rank: int) -> "LinearMap | None":
        """Return one map for this one and a factor for each channel behind it, or None where there is none."""
        return None

    def power(self, order: int) -> "LinearMap":
        """Return the map of |W|'s entries to the power `order`, 1 or 2, each once."""
        raise NotImplementedError(f"{type(self).__name__} has no powers, and says so by `mixes`")

    def mixes(self, before: int) -> int:
        """Return 2 if each input reaches at most one output, 1 if it does by at most one path, 0 if not known.

        Args:
            before: the same of what stands in front.
        """
        return 0

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape of one output for inputs of `shape`; ValueError where the map can't take it."""
        try:
            return tuple(self.linear(torch.empty(1, *shape, dtype=torch.float64, device="meta")).shape[1:])
        except (RuntimeError, ValueError, IndexError) as error:
            told = " ".join(str(error).split())
            raise ValueError(f"input_shape: {self} can't take {shape}: {told}{self.cure(shape)}") from error

    def cure(self, shape: Shape) -> str:
        """Return what to do about inputs of a shape that the map can't take, or ""."""
        return ""


@dataclass(frozen=True, eq=False)
class WeightedMap(LinearMap):
    """A layer with weights, which enter W once each or, by a padding that repeats pixels, in sums.

    Attributes:
        weight, offset: W or its kernel, and b.
    """

    weight: Tensor
    offset: Tensor | None

    def absolute(self) -> Self:
        """Return the map of the weights' moduli: its entries are at least |W|'s."""
        return replace(self, weight=self.weight.abs(), offset=None)

    def power(self, order: int) -> Self:
        """Return the map of the weights' powers."""
        return replace(self, weight=self.weight.abs() ** order, offset=None)

    def mixes(self, before: int) -> int:
        """Return 1 where each input reaches this layer once."""
        return 1 if before == 2 else 0

    @property
    def largest(self) -> float:
        """Return the greatest modulus of a weight."""
        return greatest(self.weight)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Return the weights and b."""
        return (self.weight,) if self.offset is None else (self.weight, self.offset)

    def to(self, dtype: torch.dtype, device: torch.device | str | None = None) -> Self:
        """Return a detached copy."""
        offset = None if self.offset is None else self.offset.detach().to(device, dtype)
        return replace(self, weight=self.weight.detach().to(device, dtype), offset=offset)


def lowers(*kinds: type[nn.Module], **files: Any) -> Callable[[Maker], Maker]:
    """Register what makes the map of a layer of exactly these types.

    Args:
        kinds: the types.
        files: what a file says of them: `fields` and, where there are some, the others of `Element`.
    """

    def registered(make: Maker) -> Maker:
        """Note what makes the maps, and hand it back."""
        for kind in kinds:
            register(Element(kind, "mapped", make, **files))
        return make

    return registered


def affine_types() -> tuple[type[nn.Module], ...]:
    """Return the layer types that have a map."""
    return of_node("mapped")


def linear_map(layer: nn.Module) -> LinearMap:
    """Return the map of an affine layer, by its exact type: a subclass may run otherwise.

    Raises:
        TypeError: for a type that no file of this folder registers.
        ValueError: for settings that have no fixed affine map.
    """
    element = ELEMENTS.get(type(layer))
    if element is None or element.node != "mapped" or element.lower is None:
        known = ", ".join(kind.__name__ for kind in affine_types())
        raise TypeError(f"network: got a layer of type {type(layer).__name__}, expected one of {known}")
    return element.lower(layer)


def pair(name: str, value: Any) -> tuple[int, int]:
    """Return a setting of both axes of an image as plain integers."""
    both = tuple(value) if isinstance(value, tuple | list) else (value, value)
    if len(both) != 2:
        raise ValueError(f"{name}: got {value!r}, expected a number or one for each axis")
    return whole(name, both[0]), whole(name, both[1])


@torch.no_grad()
def convolved_by(
    weight: Tensor,
    bias: Tensor | None,
    settings: tuple[Shape, Shape, Shape],
    groups: int,
    more: Shape | None = None,
) -> frozenset[str]:
    """Return the names of the algorithms that torch chooses for a convolution of images, alone and in batches.

    Args:
        weight, bias: of the layer.
        settings: stride, padding and dilation.
        groups: of channels.
        more: the output padding of a transposed convolution; None for one that is not.
    """
    stride, padding, dilation = settings
    channels = weight.shape[1] * groups if more is None else weight.shape[0]
    sides = (gap * (size - 1) + 1 for gap, size in zip(dilation, weight.shape[2:], strict=True))
    image = weight.new_empty(1, channels, *sides)
    given = (stride, padding, dilation, more is not None, more or (0, 0), groups)
    batches = (image.repeat(size, 1, 1, 1) for size in BATCHES)
    library: Any = torch._C
    chosen = [library._select_conv_backend(batch, weight, bias, *given) for batch in batches]
    unnamed = int(library._ConvBackend.Mkldnn) + 1  # torch gives this one no name in Python
    return frozenset("MkldnnTranspose" if int(each) == unnamed else each.name for each in chosen)


def check_axes(layer: LinearMap, x: Tensor, axes: int) -> None:
    """Raise ValueError unless signals have a batch and `axes` more: torch would take the batch for channels."""
    if x.dim() != 1 + axes:
        raise ValueError(f"inputs: {layer} was given {x.dim() - 1} axes, expected {axes} behind the batch")


def greatest(weight: Tensor) -> float:
    """Return max |w|, in one pass."""
    low, high = weight.detach().aminmax()
    return max(-float(low), float(high))


def nonzeros(size: Tensor, axis: int) -> Tensor:
    """Return how many entries ≥ 0 along an axis, which is kept with length 1, are not 0, in float64.

    Of float32 they are counted in float32, exactly up to 2^24.
    """
    assert size.shape[axis] <= 2**24
    return size.sign().sum(axis, keepdim=True).double()


def exact(parameter: Tensor | None, like: Tensor) -> Tensor:
    """Return a parameter in the dtype of `like`, a zero for None."""
    return like.new_zeros(1) if parameter is None else parameter
