"""How far a controller is from a linear one, and which of its inputs each output can depend on."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ...analysis.loops.practical import Rows
from ...models.circuit import Fired, Mapped, Node, Read, circuit
from ...models.networks import SpikingNetwork
from ...models.rules import plain


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


OWN = ("mean", "spikes", "potential")
"""Readouts in which each output is of one neuron, or of one entry."""


def influencing(network: SpikingNetwork, seen: int) -> Tensor:
    """Return which inputs each output can depend on, (outputs, seen) of bool: paths of weights that are not 0.

    A weight of 0 adds exactly 0 to each sum, in whatever order. Where there is more than affine maps and leaky
    neurons that are on their own, one row says that all inputs count.
    """
    made, found = circuit(network), torch.eye(seen, dtype=torch.float64)  # one row an input
    for index, node in enumerate(made.nodes[1:]):
        chained = node.sources == (index,)
        if chained and isinstance(node, Mapped):
            found = (node.map.to(torch.float64).absolute().linear(found.to(made.device)) > 0).double()
        elif not (chained and _on_its_own(node)):
            return torch.ones((1, seen), dtype=torch.bool)
    return found.cpu().T > 0


def _on_its_own(node: Node) -> bool:
    """Return whether each entry of a node goes by the same entry of what it reads."""
    if isinstance(node, Read):
        return node.readout in OWN
    return isinstance(node, Fired) and plain(node.rule)
