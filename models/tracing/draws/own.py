"""A module that draws the spikes of its input by code of its own, as a function of them."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...conversion.encoders import DrawnSource
from ...conversion.refusal import ConversionRefused
from ...conversion.sources import Source, restart, run_once
from ...running.encoding import RateDraws
from ..tracing import copied
from .events import SIGNED, DrawnEvents


class DrivenByEvents(nn.Module):
    """A module as a function of the events that it drew, (T, batch, ...); its input is no number."""

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.inner = copied(source).module
        self.how = {"num_steps": source.num_steps, "output": source.output, "stateful": source.stateful}

    def forward(self, events: Tensor) -> tuple[Tensor, ...]:
        """Return what the module gives of events.

        Raises:
            ConversionRefused: where it draws at fewer steps, or does something else with its input.
        """
        x = torch.full_like(events[0], torch.nan)
        following = DrawnEvents(x, events)
        found = self.run(x, following)
        if len(following.found) != len(events):
            raise ConversionRefused("module: does not draw once at each step; expected that")
        return found

    def run(self, x: Tensor, following: DrawnEvents) -> tuple[Tensor, ...]:
        """Run the module, and follow what it draws."""
        with following:
            found = run_once(Source(self.inner, False, **self.how), x)
        if following.refused:
            raise ConversionRefused(following.refused)
        return found


@dataclass(frozen=True)
class OwnDrawnSource(DrawnSource):
    """A module that draws by code of its own, as a function of events.

    Attributes:
        signed: whether its events have the sign of the input.
    """

    signed: bool = False

    def check(self, inputs: Tensor) -> None:
        """Raise unless the module, as it draws on inputs, is that function of its events."""
        if self.signed and bool((inputs < 0).any()):
            raise ConversionRefused(f"{self.name}: {SIGNED}; got some down to {float(inputs.min()):g}")
        driven = self.source.module
        assert isinstance(driven, DrivenByEvents)
        following = DrawnEvents(inputs)
        with torch.no_grad():
            restart(driven)
            expected = driven.run(inputs, following)
            restart(driven)
            found = driven(torch.stack(following.found))
            restart(driven)
        if not all(torch.equal(one, other) for one, other in zip(expected, found, strict=True)):
            raise ConversionRefused("module: is no function of the events that it draws of its input alone")


def own_drawn_source(source: Source, inputs: Tensor, draws: RateDraws | int) -> DrawnSource | None:
    """Return a module that draws as a function of its events; None where it draws otherwise.

    Args:
        source: the module; `rates`, whether it is asked about inputs from 0 on.
        inputs: some of its inputs.
        draws: those of a network, or the seed of new ones.

    Raises:
        ConversionRefused: for events with signs where that is not so, or a network's draws that are no multiples.
    """
    driven = DrivenByEvents(source).eval()
    following = DrawnEvents(inputs)
    try:
        with torch.no_grad():
            driven.run(inputs, following)
    except ConversionRefused:
        return None
    restart(driven)
    steps, factor = len(following.found), following.factor
    if factor is None:
        return None
    if following.signed and not source.rates:
        raise ConversionRefused(f"{following.place}: {SIGNED}")
    if isinstance(draws, int):
        own = RateDraws(draws)
        draws = own if factor == 1.0 else RateDraws(own.thresholds(steps, tuple(inputs.shape[1:])) * factor)
    elif factor != 1.0 and isinstance(draws.seed, int):
        told = f"compares {factor:g} times what it draws, and the network's draws are of a seed, once"
        raise ConversionRefused(f"{following.place}: {told}; expected draws that are as much greater")
    made = Source(driven, True, ending=source.ending)
    return OwnDrawnSource(following.place, made, draws, steps, following.signed)
