"""A module that draws the spikes of its input by code of its own, as a function of them."""

from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor, nn

from ...conversion.encoders import DrawnSource
from ...conversion.refusal import ConversionRefused
from ...conversion.sources import Source, run_once
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
        drawn: what a run drew.
    """

    signed: bool = False
    drawn: tuple[Tensor, ...] = ()

    def check(self, inputs: Tensor) -> None:
        """Raise unless the module, as it draws on inputs, is that function of its events."""
        if self.signed and bool((inputs < 0).any()):
            raise ConversionRefused(f"{self.name}: {SIGNED}; got some down to {float(inputs.min()):g}")
        following, seed = DrawnEvents(inputs), torch.initial_seed()
        with torch.no_grad():
            expected = _fresh(self.source).run(inputs, following)
            found = _fresh(self.source)(torch.stack(following.found))
        drawn = [*self.drawn, *following.drawn]
        again = any(torch.equal(one, other) for one, other in combinations(drawn, 2))
        if again or torch.initial_seed() != seed:
            raise ConversionRefused(f"{self.name}: draws the same numbers again, expected fresh ones at each step")
        if not all(torch.equal(one, other) for one, other in zip(expected, found, strict=True)):
            raise ConversionRefused("module: is no function of the events that it draws of its input alone")


def _fresh(source: Source) -> DrivenByEvents:
    """Return a copy from its first states."""
    module = copied(source).module
    assert isinstance(module, DrivenByEvents)
    return module


def own_drawn_source(source: Source, inputs: Tensor, draws: Tensor | int) -> DrawnSource | None:
    """Return a module that draws as a function of its events; None where it draws otherwise.

    Args:
        source: the module; `rates`, whether it is asked about inputs from 0 on.
        inputs: some of its inputs.
        draws: those of a network, (T, ...), which may be of fewer steps, as what comes last may be of no use; or
            the seed of new ones.

    Raises:
        ConversionRefused: for events with signs where that is not so.
    """
    made, following = Source(DrivenByEvents(source).eval(), True, ending=source.ending), DrawnEvents(inputs)
    try:
        with torch.no_grad():
            _fresh(made).run(inputs, following)
    except ConversionRefused:
        return None
    steps, factor = len(following.found), following.factor
    if factor is None:
        return None
    if following.signed and not source.rates:
        raise ConversionRefused(f"{following.place}: {SIGNED}")
    if isinstance(draws, int):
        own = RateDraws(draws)
        given = own if factor == 1.0 else RateDraws(own.thresholds(steps, tuple(inputs.shape[1:])) * factor)
    else:
        given = RateDraws(torch.cat([draws, draws[-1:].expand(max(0, steps - len(draws)), *draws.shape[1:])]))
    return OwnDrawnSource(following.place, made, given, steps, following.signed, tuple(following.drawn))
