"""Encoders of other libraries that draw their spikes: run with the draws of our own rate code in their place.

A Poisson encoder fires where a fresh number of [0, 1) is below its input, at each step. No two runs are the same,
so nothing could be compared; and what is proven of a network is proven for its draws. So a conversion runs the
module with an encoder that compares the same inputs with `RateDraws`, and becomes a network of encoding "rate" with
these. An encoder that takes a share f of its input fires where u < f·x: its draws are u/f.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..encoding import RateDraws
from .constants import library_of
from .refusal import ConversionRefused

ENCODERS = {("spikingjelly", "PoissonEncoder"), ("norse", "PoissonEncoder"), ("norse", "PoissonEncoderStep")}
"""Library and type of what fires at random, by its input."""


@dataclass(frozen=True)
class Encoder:
    """An encoder, and where it is within the module that it is converted with."""

    parent: nn.Module
    key: str
    module: nn.Module

    @property
    def share(self) -> float:
        """Return which share of its input is the probability of a spike."""
        return float(getattr(self.module, "dt", 1.0) * getattr(self.module, "f_max", 1.0))

    @property
    def steps(self) -> int | None:
        """Return T of an encoder that makes all steps of one input, None for one that makes one a call."""
        steps = getattr(self.module, "seq_length", None)
        return None if steps is None else int(steps)


class DrawnSpikes(nn.Module):
    """Stands for an encoder: fires where draws are below the input.

    Args:
        draws: of all steps, of inputs of `features`; None: nothing fires, and calls are counted alone.
        steps: T, None where it is not known yet.
        features: the shape of one input of the module.
        whole: whether one call makes all steps.
    """

    def __init__(self, draws: RateDraws | None, steps: int | None, features: tuple[int, ...], whole: bool) -> None:
        super().__init__()
        self.draws, self.steps, self.features, self.whole = draws, steps, features, whole
        self.calls = 0
        known = draws is not None and steps is not None
        self.thresholds = draws.thresholds(steps, features) if known else None  # type: ignore[union-attr, arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Return the spikes of a step; of all steps where x has them, or where one call makes them."""
        step = self.whole or x[0].numel() == math.prod(self.features)
        self.calls += 1 if step else len(x)
        if self.thresholds is None or self.steps is None:
            return torch.zeros_like(x)
        drawn = self.thresholds
        if step and not self.whole:
            drawn = drawn[(self.calls - 1) % self.steps].view(x.shape[1:])
        else:
            drawn = drawn.view(self.steps, 1, *x.shape[1 if self.whole else 2 :])
        return (drawn < x.double()).to(x)


def drawing_encoder(module: nn.Module) -> Encoder | None:
    """Return the one encoder of a module that draws its spikes, None where there is none.

    Raises:
        ConversionRefused: for several, and for a share of the input that is no number in (0, 1].
    """
    found = [
        Encoder(parent, key, part)
        for parent in module.modules()
        for key, part in parent.named_children()
        if (library_of(part), type(part).__name__) in ENCODERS
    ]
    if len(found) > 1:
        raise ConversionRefused(f"module: has {len(found)} encoders that draw at random, expected one")
    if found and not 0.0 < found[0].share <= 1.0:
        raise ConversionRefused(
            f"{found[0].key}: fires by {found[0].share:g} of its input, expected a share in (0, 1]"
        )
    return found[0] if found else None


@contextmanager
def in_place_of(encoder: Encoder, stand_in: DrawnSpikes) -> Iterator[None]:
    """Run a module with `stand_in` where its encoder is, which is put back afterwards."""
    setattr(encoder.parent, encoder.key, stand_in)
    try:
        yield
    finally:
        setattr(encoder.parent, encoder.key, encoder.module)


def draws_of(encoder: Encoder, steps: int, features: tuple[int, ...], seed: int) -> RateDraws:
    """Return draws from a seed as a network has them, u/f where an encoder takes a share f of its input."""
    drawn = RateDraws(seed)
    return drawn if encoder.share == 1.0 else RateDraws(drawn.thresholds(steps, features) / encoder.share)
