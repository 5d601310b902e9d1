"""nn.Linear: y = W·x + b along the last axis."""

import math
from dataclasses import dataclass, replace

from torch import Tensor, nn
from torch.nn import functional as F

from ..elements.registry import Size, has_bias, weights
from .base import Products, Shape, WeightedMap, exact, lowers, nonzeros


@dataclass(frozen=True, eq=False)
class DenseMap(WeightedMap):
    """W and b of a dense layer; `roundings` more in each weight, where a scale was folded into them."""

    offset: Tensor | None = None
    roundings: int = 0

    def linear(self, x: Tensor) -> Tensor:
        """Return W·x."""
        return F.linear(x, self.weight.to(x))

    def apply(self, x: Tensor) -> Tensor:
        """Return W·x + b as the run computes it."""
        return F.linear(x, self.weight.to(x), None if self.offset is None else self.offset.to(x))

    def squared(self, x: Tensor) -> Tensor:
        """Return (W∘W)·x."""
        return F.linear(x, self.weight.square().to(x))

    @property
    def bias(self) -> Tensor:
        """Return b, (outputs,) or a zero."""
        return exact(self.offset, self.weight)

    @property
    def terms(self) -> int:
        """Return the number of inputs."""
        return self.weight.shape[1]

    def active(self, size: Tensor) -> Tensor:
        """Return the number of entries that are not 0, of all outputs one."""
        return nonzeros(size, -1)

    @property
    def depth(self) -> int:
        """Return rows + columns of W."""
        return sum(self.weight.shape) + self.roundings

    @property
    def products(self) -> Products:
        """Return x ↦ W_ij·x_j, of x with few entries other than 0 those alone."""
        return self._products

    def _products(self, x: Tensor) -> Tensor:
        few = max(1, int((x != 0).sum(-1).max()))
        if 2 * few > x.shape[-1]:
            return x.unsqueeze(-2) * self.weight
        index = (x != 0).byte().topk(few).indices
        return (self.weight.T[index] * x.gather(-1, index).unsqueeze(-1)).transpose(-1, -2)

    def takes(self, features: Shape) -> None:
        """Raise ValueError unless inputs are vectors of the layer's size."""
        if features != (self.terms,):
            raise ValueError(f"inputs: got features {features}, expected ({self.terms},){self.cure(features)}")

    def cure(self, shape: Shape) -> str:
        """Return how to make one row of inputs that have as many numbers, or ""."""
        same = math.prod(shape) == self.terms
        return "; put nn.Flatten() in front of the layers (convert --flat does)" if same else ""

    def square(self, size: int) -> Shape | None:
        """Return the only shape, whatever `size` is."""
        return (self.terms,)

    def scaled(self, factor: Tensor, roundings: int, rank: int) -> "DenseMap | None":
        """Return the scaled rows; of images a dense layer makes the last axis, not the channels."""
        if rank > 1:
            return None
        return replace(
            self, weight=self.weight * factor[:, None], offset=None, roundings=self.roundings + roundings
        )

    def __repr__(self) -> str:
        """Return name and sizes."""
        rows, columns = self.weight.shape
        return f"Linear({columns} → {rows})"


@lowers(
    nn.Linear,
    fields={"bias": bool, "in_features": Size, "out_features": Size},
    said=has_bias,
    tensors=lambda dense: weights((dense.out_features, dense.in_features), dense.out_features, dense.bias),
)
def dense(layer: nn.Linear) -> DenseMap:
    """Return the map of a dense layer."""
    return DenseMap(layer.weight, layer.bias)
