"""Share: y = c·x for one number c."""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor, nn

from ..constants import real
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
