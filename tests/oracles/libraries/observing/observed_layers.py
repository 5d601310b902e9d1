"""What was seen of one layer of a module, and of each of its calls."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from spikecert.models.conversion.refusal import ConversionRefused

from ..neurons import ForeignNeuron
from .data_flow import Origin
from .states import GivenState

ROUNDING = 256
"""How far outputs of two runs may be from each other, in roundings of the largest one."""


@dataclass(frozen=True)
class Call:
    """One call of a layer.

    Attributes:
        origin: where what it was given comes from.
        given, gave: its first input and output.
        states: those that it was given and those after it, by name.
        place: the line of the user's code that calls it, if there is one.
        zero: whether it was given zeros, and would be for any inputs.
    """

    origin: Origin | None
    given: Tensor
    gave: Tensor
    states: tuple[Mapping[str, GivenState], Mapping[str, Tensor]]
    place: str = ""
    zero: bool = False

    @property
    def expands(self) -> bool:
        """Return whether it made all steps of one input: what it gave has an axis more."""
        return self.gave.dim() == self.given.dim() + 1


@dataclass(frozen=True)
class ObservedLayer:
    """One layer: its input, where that comes from, its output, and its neuron, None for other layers.

    Signals are (T or 1, batch, ...); `place` is the line of the user's code that calls it first, if there is one.
    Where a layer beside it hears the neuron's last spikes, `heard` is what that gave, (T, batch, ...): the
    neuron's input holds it besides what comes from `origin`.
    """

    name: str
    module: nn.Module
    neuron: ForeignNeuron | None
    origin: Origin
    given: Tensor
    gave: Tensor
    place: str = ""
    heard: Tensor | None = None

    def part(self, batch: int) -> "ObservedLayer":
        """Return it for the first `batch` samples."""
        heard = None if self.heard is None else self.heard[:, :batch]
        return replace(self, given=self.given[:, :batch], gave=self.gave[:, :batch], heard=heard)


def are_alike(one: Tensor, other: Tensor) -> bool:
    """Return whether two outputs are the same but for rounding, which depends on where numbers are in memory."""
    if torch.equal(one, other) or one.shape != other.shape or not one.is_floating_point():
        return torch.equal(one, other)
    return bool(((one - other).abs() <= ROUNDING * torch.finfo(one.dtype).eps * one.abs().max()).all())


def check_time(neuron: ForeignNeuron, calls: list[Call], steps: int, batch: int) -> None:
    """Raise unless a neuron is given what it takes: a step of the batch at each call, or all steps at once."""
    shape, once = tuple(calls[0].given.shape), len(calls) == 1
    if neuron.at_once:
        right, takes = once and shape[:2] == (steps, batch), "all steps at once, time and batch first"
    elif calls[0].expands:
        right, takes = once and shape[0] == batch, "its input once, batch first"
    else:
        alike = len(shape) > 1 and shape[0] == batch and all(call.given.shape == shape for call in calls)
        right, takes = alike and len(calls) == steps, "one step a call, batch first"
    if not right:
        neuron.refuse(f"takes {takes}, and is called {len(calls)} times in {steps} steps, with {shape}")


def signals_of(calls: list[Call], steps: int, batch: int, name: str) -> tuple[Tensor, Tensor]:
    """Return what a layer was given and gave, (T, batch, ...), or (1, batch, ...) where it was called once."""
    if len(calls) > 1:
        return torch.stack([call.given for call in calls]), torch.stack([call.gave for call in calls])
    return _over_time(calls[0].given, steps, batch, name), _over_time(calls[0].gave, steps, batch, name)


def _over_time(signal: Tensor, steps: int, batch: int, name: str) -> Tensor:
    """Return (T, batch, ...) or (1, batch, ...) of a signal that came in one call."""
    if signal.shape[:2] == (steps, batch) and signal.dim() > 2:
        return signal
    if signal.shape[0] == steps * batch:
        return signal.unflatten(0, (steps, batch))
    if signal.shape[0] == batch:
        return signal.unsqueeze(0)
    raise ConversionRefused(f"{name}: got a signal of shape {tuple(signal.shape)}, expected time and batch first")
