"""An attack's own view of a network: the same spikes, gradients of the attacker's choice."""

import copy
from dataclasses import dataclass

from torch import Tensor, nn

from ....models.networks import SpikingNetwork
from ....models.surrogates import Surrogate
from .base import Backward, RunningRows


@dataclass(frozen=True)
class AttackView:
    """A network that shares its weights, frozen, and goes back by other gradients.

    Attributes:
        network: the view.
        rows: which of the attack's samples run, for gradients that remember them.
    """

    network: SpikingNetwork
    rows: RunningRows

    def __call__(self, points: Tensor) -> Tensor:
        """Return the logits, the same as the network's own."""
        return self.network(points)


def attack_view(network: SpikingNetwork, surrogate: "Surrogate | Backward | None") -> AttackView:
    """Return a view of `network` that goes back by `surrogate`; None keeps the network's own."""
    shared: dict[int, Tensor] = {
        id(p): nn.Parameter(p.detach(), requires_grad=False) for p in network.parameters()
    }
    shared |= {id(b): b for b in network.buffers()}
    view, rows = copy.deepcopy(network, shared), RunningRows()
    for neuron in getattr(view, "neurons", ()):  # attack_module runs others
        if isinstance(surrogate, Surrogate):
            neuron.surrogate = surrogate
        elif surrogate is not None:
            surrogate.attach(neuron, rows)
    return AttackView(view, rows)
