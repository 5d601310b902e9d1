"""How far a controller is from a linear one, and which of its inputs each output can depend on."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...analysis.loops.practical import Rows
from ...models.elements.neurons import LIF
from ...models.networks import SpikingNetwork


@dataclass(frozen=True, eq=False)
class ErrorGain:
    """How far a controller is from a linear one, over a box of states.

    Attributes:
        K: the linear one, u ≈ Kx.
        box: one radius a state.
        error: proven, one number an input of the plant.
        attained: the greatest errors that runs had.
        witness: what the network saw in these runs, times its scale: the states where C is None, (inputs, seen).
        closed: whether each error is within its tolerance of what was attained.
    """

    K: Rows
    box: tuple[float, ...]
    error: tuple[float, ...]
    attained: tuple[float, ...]
    witness: Tensor
    closed: bool


def influencing(network: SpikingNetwork, seen: int) -> Tensor:
    """Return which inputs each output can depend on, (outputs, seen) of bool: paths of weights that are not 0.

    A weight of 0 adds exactly 0 to each sum, in whatever order. Of layers other than `Linear` and neurons that are
    on their own all paths count.
    """
    found = torch.eye(seen, dtype=torch.bool)
    for layer in network.layers:
        if type(layer) is nn.Linear and layer.in_features == len(found):
            found = (layer.weight.detach().cpu() != 0).float() @ found.float() > 0
        elif type(layer) is not LIF:
            return torch.ones((1, seen), dtype=torch.bool)
    return found
