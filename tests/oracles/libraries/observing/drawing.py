"""Encoders of other libraries that draw their spikes: run with the draws of our own rate code in their place.

A Poisson encoder fires where a fresh number u of [0, 1) is below its input x, at each step. No two runs are the
same, so nothing could be compared; and what is proven of a network is proven for its draws. So a conversion runs
the module with an encoder that compares the same inputs with `RateDraws`, and becomes a network of encoding "rate"
with these. An encoder that takes a share f of its input fires where u < f·x: its draws are u/f. SpikingJelly's
fires at u = x, too, which comes once in 2²⁴ draws of float32; `RateDraws` are of float64, and ours does not.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from torch import Tensor, nn

from spikecert.models.conversion.refusal import ConversionRefused
from spikecert.models.running.encoding import RateDraws

from ..constants import library_of, uniform
from .watching import check_plain

DRAWING = {("spikingjelly", "PoissonEncoder"), ("norse", "PoissonEncoder"), ("norse", "PoissonEncoderStep")}
"""Library and type of what fires at random, by its input."""


@dataclass(frozen=True)
class Encoder:
    """An encoder, and where it is within the module that it is converted with.

    Attributes:
        parent, key: the module that holds it, and its name there.
        module: itself.
        name: within the whole module.
    """

    parent: nn.Module
    key: str
    module: nn.Module
    name: str

    @property
    def share(self) -> float:
        """Return which share of its input is the probability of a spike."""
        return uniform(getattr(self.module, "dt", 1.0) * getattr(self.module, "f_max", 1.0), self.name, "f_max·dt")

    @property
    def steps(self) -> int | None:
        """Return T of an encoder that makes all steps of one input, None for one that makes one a call."""
        steps = getattr(self.module, "seq_length", None)
        return None if steps is None else int(steps)

    def check(self) -> None:
        """Raise unless it runs by its type's own methods alone, with a share in (0, 1]."""
        check_plain({self.name: self.module})
        if self.module._forward_hooks or self.module._forward_pre_hooks:
            raise ConversionRefused(f"{self.name}: has a forward hook, expected none on an encoder that draws")
        if not (0.0 < self.share <= 1.0 and math.isfinite(1.0 / self.share)):
            raise ConversionRefused(
                f"{self.name}: fires by {self.share:g} of its input, expected a share in (0, 1]"
            )


class DrawnSpikes(nn.Module):
    """Stands for an encoder: fires where draws are below the input.

    Args:
        encoder: what it stands for.
        draws: of all steps, of inputs of `features`; None: nothing fires, and calls are counted alone.
        steps: T; 1 where calls are counted.
        features: the shape of one input of the module.

    Raises:
        ValueError: for draws of another shape.
        ConversionRefused: when it is called, for inputs of another size.
    """

    def __init__(self, encoder: Encoder, draws: RateDraws | None, steps: int, features: tuple[int, ...]) -> None:
        super().__init__()
        self.name, self.whole, self.calls = encoder.name, encoder.steps is not None, 0
        self.step_mode = getattr(encoder.module, "step_mode", "s")
        self.draws, self.steps, self.size, self.axes = draws, steps, math.prod(features), len(features)
        self.thresholds = None if draws is None else draws.thresholds(steps, features)

    def forward(self, x: Tensor) -> Tensor:
        """Return the spikes of a step; of all steps where x has them, or where one call makes them."""
        alone = len(x) == self.steps and x.shape[1] == 1 and x.dim() > 1 + self.axes
        single = x[0].numel() == self.size and not alone
        self._check(x, single)
        self.calls += 1 if single else len(x)
        if self.thresholds is None:
            return x.new_zeros(x.shape)
        if single and not self.whole:
            return self._fired(x, self.thresholds[(self.calls - 1) % self.steps].view(x.shape[1:]))
        return self._fired(x, self.thresholds.view(self.steps, 1, *x.shape[1 if self.whole else 2 :]))

    def _fired(self, x: Tensor, thresholds: Tensor) -> Tensor:
        return (thresholds < x.double()).to(x)

    def _check(self, x: Tensor, single: bool) -> None:
        """Raise unless x holds inputs of the module's own size, of one step or of all of them."""
        known = self.thresholds is None or len(x) == self.steps
        sequence = not self.whole and x.dim() > 2 and x[0, 0].numel() == self.size and known
        if not single and not sequence:
            raise ConversionRefused(
                f"{self.name}: draws its spikes, and is given inputs of shape {tuple(x.shape)}; expected it to be "
                "first, with as many steps as the network"
            )


def drawing_encoder(module: nn.Module) -> Encoder | None:
    """Return the one encoder of a module that draws its spikes, None where there is none.

    Raises:
        ConversionRefused: for several, for one that is changed, and for a share of the input outside of (0, 1].
    """
    found = [
        Encoder(parent, key, part, f"{path}.{key}" if path else key)
        for path, parent in module.named_modules()
        for key, part in parent.named_children()
        if (library_of(part), type(part).__name__) in DRAWING
    ]
    if len(found) > 1:
        names = ", ".join(encoder.name for encoder in found)
        raise ConversionRefused(f"module: has {len(found)} encoders that draw at random, {names}; expected one")
    if found:
        found[0].check()
    return found[0] if found else None


@contextmanager
def in_place_of(encoder: Encoder, stand_in: DrawnSpikes) -> Iterator[None]:
    """Run a module with `stand_in` where its encoder is, which is put back afterwards."""
    encoder.parent._modules[encoder.key] = stand_in
    try:
        yield
    finally:
        encoder.parent._modules[encoder.key] = encoder.module


def draws_of(encoder: Encoder, steps: int, features: tuple[int, ...], seed: int) -> RateDraws:
    """Return draws from a seed as a network has them, u/f where an encoder takes a share f of its input."""
    drawn = RateDraws(seed)
    return drawn if encoder.share == 1.0 else RateDraws(drawn.thresholds(steps, features) / encoder.share)
