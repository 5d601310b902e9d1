"""A box with a radius for each feature."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ...models.constants import real
from .balls import BoxSet
from .ranged import settle_range


@dataclass(frozen=True, eq=False)
class PixelBox(BoxSet):
    """{x̃ : |x̃_i − x_i| ≤ radius_i for each feature i, lower ≤ x̃ ≤ upper}.

    Two boxes are equal iff their numbers are.

    Args:
        radius: ≥ 0, with the shape of one sample (or one that broadcasts to it); copied, as float64.
        lower, upper: the range of valid inputs; a tensor has an end for each entry of the radius.

    Raises:
        TypeError: for a radius that is no tensor of real numbers.
        ValueError: for a radius below 0, NaN or inf, or lower > upper anywhere.

    >>> PixelBox(torch.tensor([0.1, 0.0])).contains(torch.tensor([[0.55, 0.5]]), torch.tensor([[0.5, 0.5]]))
    tensor([True])
    """

    radius: Tensor
    lower: float | Tensor = 0.0
    upper: float | Tensor = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.radius, Tensor) or self.radius.dtype == torch.bool or self.radius.is_complex():
            got = getattr(self.radius, "dtype", type(self.radius).__name__)
            raise TypeError(f"radius: got {got}, expected a tensor of real numbers")
        radius = self.radius.detach().double().clone()
        if not bool((torch.isfinite(radius) & (radius >= 0)).all()):
            raise ValueError("radius: got a negative number, NaN or inf, expected finite numbers of at least 0")
        object.__setattr__(self, "radius", radius)
        self._settle_ends()

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
        features = tuple(inputs.shape[1:])
        for name in ("lower", "upper", "radius"):
            shape = tuple(torch.as_tensor(getattr(self, name)).shape)
            if _broadcast(shape, features) != features:
                raise ValueError(f"{name}: got shape {shape}, expected one sample's {features}")
        super().check(inputs)

    def _settle_ends(self) -> None:
        """Convert both ends to floats, or to float64 tensors of the radius's shape.

        Raises:
            TypeError, ValueError: for ends that are no numbers, NaN, or leave no valid value between them.
        """
        ends = {name: getattr(self, name) for name in ("lower", "upper")}
        if not any(isinstance(end, Tensor) and end.dim() > 0 for end in ends.values()):
            settle_range(self)
            return
        for name, end in ends.items():
            object.__setattr__(self, name, self._settled(name, end))
        lower, upper = (torch.as_tensor(getattr(self, name), dtype=torch.float64) for name in ends)
        if not bool(((lower <= upper) & (lower < torch.inf) & (upper > -torch.inf)).all()):
            raise ValueError("lower, upper: got lower > upper, expected lower ≤ upper of each feature")

    def _settled(self, name: str, end: object) -> float | Tensor:
        if not isinstance(end, Tensor) or end.dim() == 0:
            return real(name, end, finite=False)
        if end.dtype == torch.bool or end.is_complex():
            raise TypeError(f"{name}: got {end.dtype}, expected real numbers")
        if end.shape != self.radius.shape:
            shapes = tuple(end.shape), tuple(self.radius.shape)
            raise ValueError(f"{name}: got shape {shapes[0]}, expected the radius's {shapes[1]}")
        if bool(end.isnan().any()):
            raise ValueError(f"{name}: got NaN, expected numbers")
        return end.detach().double().clone()

    def _key(self) -> tuple[object, ...]:
        tensors = (torch.as_tensor(value, dtype=torch.float64) for value in (self.radius, self.lower, self.upper))
        return tuple((tuple(tensor.shape), tuple(tensor.flatten().tolist())) for tensor in tensors)

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, PixelBox) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())


def _broadcast(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, ...] | None:
    try:
        return tuple(torch.broadcast_shapes(first, second))
    except RuntimeError:
        return None
