"""Features with names and units: how far each may move, and between which ends it lies."""

from typing import Annotated

import torch
from pydantic import Field, FiniteFloat, model_validator
from torch import Tensor

from ...certify.scales import BoxScale
from .part import Part

MOST_FEATURES = 4096
Size = Annotated[FiniteFloat, Field(ge=0)]


class Feature(Part):
    """One feature of a sample, in the unit of the data.

    Attributes:
        name: of it.
        unit: that its numbers are in; "" for none.
        size: how far it may move where ε = 1; 0: not at all.
        lower, upper: between which it stays.
    """

    name: Annotated[str, Field(min_length=1, max_length=200)]
    unit: Annotated[str, Field(max_length=40)] = ""
    size: Size
    lower: FiniteFloat
    upper: FiniteFloat

    @model_validator(mode="after")
    def _check_ends(self) -> "Feature":
        if not self.lower < self.upper:
            raise ValueError(f"range: got [{self.lower}, {self.upper}] of {self.name}, expected lower < upper")
        return self

    @property
    def told(self) -> str:
        """Return how far it moves, such as "temperature by 2 degC"."""
        return f"{self.name} by {self.size:g}{f' {self.unit}' if self.unit else ''}"


Features = Annotated[tuple[Feature, ...], Field(min_length=1, max_length=MOST_FEATURES)]


def spanned(features: tuple[Feature, ...]) -> tuple[float, float]:
    """Return the least and the greatest value that any of them has."""
    return min(feature.lower for feature in features), max(feature.upper for feature in features)


def box_scale(features: tuple[Feature, ...]) -> BoxScale:
    """Return the boxes in which each feature moves by ε times its own size, within its own ends."""
    return BoxScale(*(_column(features, name) for name in ("size", "lower", "upper")))


def in_words(features: tuple[Feature, ...]) -> str:
    """Return which features move by how much, and how many do not."""
    moving = [feature.told for feature in features if feature.size > 0]
    still = len(features) - len(moving)
    return ", ".join([*moving, *([f"{still} not at all"] if still else [])])


def _column(features: tuple[Feature, ...], name: str) -> Tensor:
    return torch.tensor([getattr(feature, name) for feature in features], dtype=torch.float64)
