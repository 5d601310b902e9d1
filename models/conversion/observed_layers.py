"""What was seen of one layer of a module, and of each of its calls."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from .data_flow import Origin
from .neurons import ForeignNeuron

ROUNDING = 256
"""How far outputs of two runs may be from each other, in roundings of the largest one."""


@dataclass(frozen=True)
class Call:
    """One call of a layer.

    Attributes:
        origin: where what it was given comes from.
        given, gave: its first input and output.
        states: those that it was given and those that it gave, besides.
        place: the line of the user's code that calls it, if there is one.
        zero: whether it was given zeros, and would be for any inputs.
    """

    origin: Origin | None
    given: Tensor
    gave: Tensor
    states: tuple[tuple[Tensor, ...], tuple[Tensor, ...]]
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
