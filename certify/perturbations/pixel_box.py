"""A box with a radius for each feature."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .boxes import BoxSet
from .ranged import settle_range


@dataclass(frozen=True, eq=False)
class PixelBox(BoxSet):
    """{x̃ : |x̃_i − x_i| ≤ radius_i for each feature i, lower ≤ x̃ ≤ upper}.

    Two boxes are equal iff their numbers are.

    Args:
        radius: ≥ 0, with the shape of one sample (or one that broadcasts to it); copied, as float64.
        lower, upper: the range of valid inputs.

    Raises:
        TypeError: for a radius that is no tensor of real numbers.
        ValueError: for a radius below 0, NaN or inf, or lower > upper.

    >>> PixelBox(torch.tensor([0.1, 0.0])).contains(torch.tensor([[0.55, 0.5]]), torch.tensor([[0.5, 0.5]]))
    tensor([True])
    """

    radius: Tensor
    lower: float = 0.0
    upper: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.radius, Tensor) or self.radius.dtype == torch.bool or self.radius.is_complex():
            got = getattr(self.radius, "dtype", type(self.radius).__name__)
            raise TypeError(f"radius: got {got}, expected a tensor of real numbers")
        radius = self.radius.detach().double().clone()
        if not bool((torch.isfinite(radius) & (radius >= 0)).all()):
            raise ValueError("radius: got a negative number, NaN or inf, expected finite numbers of at least 0")
        settle_range(self)
        object.__setattr__(self, "radius", radius)

    @property
    def norm(self) -> str:
        """Return "box"."""
        return "box"

    @property
    def extent(self) -> Tensor:
        """Return the radii, float64."""
        return self.radius

    def check(self, inputs: Tensor) -> None:
        """Raise ValueError unless `inputs` lie in [lower, upper] and the radii fit one sample."""
        super().check(inputs)
        features = tuple(inputs.shape[1:])
        if _broadcast(tuple(self.radius.shape), features) != features:
            raise ValueError(f"radius: got shape {tuple(self.radius.shape)}, expected one sample's {features}")

    def _key(self) -> tuple[object, ...]:
        return tuple(self.radius.shape), tuple(self.radius.flatten().tolist()), self.lower, self.upper

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, PixelBox) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())


def _broadcast(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, ...] | None:
    try:
        return tuple(torch.broadcast_shapes(first, second))
    except RuntimeError:
        return None
