"""What was seen of one layer of a module."""

from dataclasses import dataclass

from torch import Tensor, nn

from .data_flow import Origin
from .neurons import ForeignNeuron


@dataclass(frozen=True)
class ObservedLayer:
    """One layer: its input, where that comes from, its output, and its neuron, None for other layers.

    Signals are (T or 1, batch, ...); `place` is the line of the user's code that calls it first, if there is one.
    """

    name: str
    module: nn.Module
    neuron: ForeignNeuron | None
    origin: Origin
    given: Tensor
    gave: Tensor
    place: str = ""
