"""Maps that take each entry by itself: `Share`, y = c·x, and `WholeInput`.

WholeInput: what a chip takes, whole numbers between two ends, as they are.
"""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor, nn

from ..constants import real, whole
from ..elements.registry import Whole
from .averaging import ReshapeMap
from .base import LinearMap, Products, greatest, lowers


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
