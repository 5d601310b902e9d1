"""Whole vectors around a whole vector: what networks of whole numbers take in place of a ball of reals."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...models.linear_maps.entrywise import WholeInput
from ..bounds.signals.windows import Box
from .balls import LInf
from .base import EventSet, Members, Perturbation, uniform

DEFAULT_ENDS = (0.0, 1.0)
"""The range of valid inputs where a ball says none; a chip's own then takes its place."""


@dataclass(frozen=True)
class WholeLInf(LInf):
    """{x̃ whole : ‖x̃ − x‖∞ ≤ ε, lower ≤ x̃ ≤ upper} for whole x: its box of reals has these as its corners.

    `settled_set` makes it of an `LInf` for networks that take whole numbers; ends and ε are cut to whole numbers.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, cut in (("epsilon", math.floor), ("lower", math.ceil), ("upper", math.floor)):
            object.__setattr__(self, name, float(cut(getattr(self, name))))
        if self.lower > self.upper:
            raise ValueError("lower, upper: got a range without a whole number, expected one")

    def limits(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the ends of each feature: differences of whole numbers are exact."""
        return (inputs - self.epsilon).clamp_min(self.lower), (inputs + self.epsilon).clamp_max(self.upper)

    def enclosure(self, inputs: Tensor) -> Box:
        """Return the box."""
        return Box(*self.limits(inputs.double()))

    def project(self, candidates: Tensor, inputs: Tensor) -> Tensor:
        """Round, and clip each feature."""
        return super().project(candidates.nan_to_num(0.0).round(), inputs)

    def contains(self, candidates: Tensor, inputs: Tensor) -> Tensor:
        """Compare each feature with the ends, and with its nearest whole number."""
        return super().contains(candidates, inputs) & (candidates == candidates.round()).flatten(1).all(1)

    def sample(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """Draw each feature from the whole numbers between its ends."""
        low, high = self.limits(inputs)
        return (low + (uniform(inputs, generator) * (high - low + 1.0)).floor()).minimum(high)

    def check(self, inputs: Tensor) -> None:
        """Raise ValueError unless `inputs` are whole numbers within the ends."""
        super().check(inputs)
        if not bool((inputs == inputs.round()).all()):
            raise ValueError("inputs: got numbers that are not whole, expected what the chip takes")

    def members(self, sample: Tensor) -> Members:
        """Return all whole vectors, the last feature's turning over first."""
        low, high = (end.flatten().tolist() for end in self.limits(sample.double()))
        choices = [range(int(a), int(b) + 1) for a, b in zip(low, high, strict=True)]

        def batches(size: int) -> Iterator[Tensor]:
            """Yield the members."""
            vectors = itertools.product(*choices)
            while group := tuple(itertools.islice(vectors, size)):
                points = torch.tensor(group, dtype=torch.float64, device=sample.device)
                yield points.view(-1, *sample.shape)

        return Members(math.prod(len(each) for each in choices), batches)


def takes_whole(network: Any) -> WholeInput | None:
    """Return the layer by which a network takes whole numbers alone, or None."""
    layers = getattr(network, "layers", None)
    first = layers[0] if isinstance(layers, nn.ModuleList) and len(layers) else None
    return first if isinstance(first, WholeInput) else None


def settled_set(network: Any, perturbation: Perturbation) -> Perturbation:
    """Return the set that is meant: of a network of whole numbers the whole vectors of an ℓ∞ ball.

    Its ends [0, 1], the default of balls, stand for what the chip takes; others are cut with that.

    Raises:
        ValueError: for a set whose members are not whole.
    """
    layer = takes_whole(network)
    if layer is None or not isinstance(perturbation, Perturbation) or isinstance(perturbation, EventSet):
        return perturbation
    if type(perturbation) not in (LInf, WholeLInf):
        got = type(perturbation).__name__
        raise ValueError(f"perturbation: got {got}, expected LInf or events for a network of whole numbers")
    assert isinstance(perturbation, LInf)
    return settled_ball(perturbation, layer)


def settled_ball(ball: LInf, layer: WholeInput) -> WholeLInf:
    """Return the whole vectors of a ball that a layer takes."""
    ends = ball.lower, ball.upper
    low, high = (layer.least, layer.most) if ends == DEFAULT_ENDS else ends
    return WholeLInf(ball.epsilon, max(low, layer.least), min(high, layer.most))
