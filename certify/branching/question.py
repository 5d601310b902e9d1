"""What a search is about: specifications of samples of one network, over one set of inputs around each.

Deciding the first spiking layer's trains decides a network that is `gated`: where every chain behind that layer
starts from spikes. Proof by induction over the spiking layers in execution order. The current of layer k > 1 is a
sum of affine maps of spikes of layers before k, none of them of the input (a residual sum is one of these sums,
whether its shortcut carries spikes or currents made of spikes). If those trains are known the current is known at
each step, and with it the membrane, from u[0] = 0 on, and the train. The logits are such a sum too. So the margin
is a function of the first layer's trains, and a node that leaves one train to each of its neurons is a leaf.

Where a sum carries the input itself past the first layer, a later current still moves with the input after all
first-layer trains are decided: `roots` refuses.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...models.networks import SpikingNetwork
from ...models.neurons import LIF
from ..bounds.price_search import bytes_each
from ..bounds.prices import Specifications
from ..bounds.rounding import Rounding
from ..bounds.signals import Signal
from ..bounds.stages import Staged, staged
from ..bounds.train_graph import GraphTrains
from ..bounds.train_table import TableTrains
from ..bounds.trains import window_spikes
from ..perturbations import Perturbation
from .decisions import Restricted, root
from .nodes import Nodes, Splits


@dataclass(frozen=True)
class Question:
    """Margins to bound.

    Attributes:
        network: in evaluation mode.
        inputs, labels: the samples, (batch, ...), (batch,).
        perturbation: the set around each.
        specifications: row r asks for coefficients[r]·logits of sample samples[r].
    """

    network: SpikingNetwork
    inputs: Tensor
    labels: Tensor
    perturbation: Perturbation
    specifications: Specifications

    @staticmethod
    def of_margins(
        network: SpikingNetwork, inputs: Tensor, labels: Tensor, perturbation: Perturbation, left: Tensor
    ) -> "Question":
        """Ask for logit_y − logit_k wherever `left`, (batch, classes) of bool, is set."""
        samples, classes = left.nonzero(as_tuple=True)
        coefficients = torch.zeros(len(samples), left.shape[1], dtype=torch.float64, device=inputs.device)
        coefficients.scatter_(1, labels[samples, None], 1.0).scatter_(1, classes[:, None], -1.0)
        return Question(network, inputs, labels, perturbation, Specifications(samples, coefficients))

    def samples(self, nodes: Nodes) -> Tensor:
        """Return the sample of each node, (N,)."""
        return self.specifications.samples[nodes.row]

    def staged(self, nodes: Nodes) -> tuple[Staged, Tensor]:
        """Return the network with one row of the batch per node, and which nodes are empty, (N,) of bool."""
        restricted: list[Restricted] = []

        def spikes(current: Signal, neuron: LIF, rounding: Rounding) -> Signal:
            """Restrict the first layer to what each node has decided."""
            if restricted:
                return window_spikes(current, neuron, rounding)
            found = window_spikes(current, neuron, rounding)
            assert isinstance(found, TableTrains | GraphTrains)
            restricted.append(nodes.decisions.restrict(found))
            return restricted[0].found

        enclosure = self.perturbation.enclosure(self.inputs[self.samples(nodes)])
        network = staged(self.network, enclosure, spikes, sums=True)
        assert network is not None
        (first,) = restricted
        split = first.split.view(network.stages[0].lower.shape[1:])
        stages = (replace(network.stages[0], split=split), *network.stages[1:])
        return replace(network, stages=stages), first.empty

    def roots(self) -> Nodes | None:
        """Return one node per row that has decided nothing, or None where branching does not reach the network."""
        if len(self.specifications.samples) == 0 or self.network.encoding == "rate":
            return None
        network = self._whole()
        if network is None or not network.gated:
            return None
        return _roots(network, len(self.specifications.samples))

    @property
    def bytes_each(self) -> int:
        """Return about how many bytes it takes to bound a node, where there are roots."""
        network = self._whole()
        assert network is not None
        return bytes_each(network)

    def _whole(self) -> Staged | None:
        """Return the network over the first sample's set."""
        return staged(self.network, self.perturbation.enclosure(self.inputs[:1]), sums=True)


def _roots(network: Staged, count: int) -> Nodes:
    device = network.row.device
    prices = [
        torch.zeros(1, len(stage.lower), stage.lower[0, 0].numel(), device=device).expand(count, -1, -1)
        for stage in reversed(network.stages)
    ]
    none = torch.zeros(count, dtype=torch.long, device=device)
    bound = torch.full((count,), -torch.inf, dtype=torch.float64, device=device)
    row = torch.arange(count, device=device)
    return Nodes(row, bound, root(network.stages[0].found, count), tuple(prices), Splits(none, none))
