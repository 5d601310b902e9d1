"""What a bound leaves open of each layer's spikes, beside what runs show to change."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ...models.circuit import Circuit, Fired, Recurred, circuit
from ...models.networks import SpikingNetwork
from ..bounds.propagation import signals_of
from ..bounds.signals.signals import SpikeBound
from ..perturbations import Perturbation
from ..verdicts import SoundnessError


@dataclass(frozen=True)
class LayerOpenness:
    """One spiking layer over the set around a sample.

    Attributes:
        name: of the module.
        neurons: how many there are.
        open: by step, the share of neurons of which the bound doesn't know whether they fire.
        changed: by step, the share of neurons that fired in some of the runs and in others did not.
    """

    name: str
    neurons: int
    open: tuple[float, ...]
    changed: tuple[float, ...]

    @property
    def mean_open(self) -> float:
        """Return the share of all (neuron, step) pairs that are open."""
        return sum(self.open) / len(self.open)

    @property
    def mean_changed(self) -> float:
        """Return the share of all (neuron, step) pairs that were seen to change."""
        return sum(self.changed) / len(self.changed)

    @property
    def unseen(self) -> float:
        """Return how much of what is open no run showed: what the bound may have lost in this layer or before."""
        return self.mean_open - self.mean_changed


@torch.no_grad()
def openness(
    network: SpikingNetwork, sample: Tensor, perturbation: Perturbation, runs: Tensor, spikes: SpikeBound
) -> tuple[LayerOpenness, ...]:
    """Return what `spikes` leaves open of each spiking layer, in the order in which they run.

    Args:
        network: in evaluation mode.
        sample: (1, ...).
        perturbation: the set around it.
        runs: members of the set, (N, ...).
        spikes: how spikes are bounded.

    Raises:
        SoundnessError: if a run leaves the bound.
    """
    made, trace = circuit(network), network.trace(runs)
    known = signals_of(made, perturbation.enclosure(sample), spikes)
    firing = network.neurons[: -1 if network.reads_potentials else None]  # a neuron that is read never fires
    found = []
    for neuron, fired in zip(firing, trace.spikes, strict=False):
        place = _place(made, neuron)
        ends, name = known[place].steps(), made.nodes[place].name
        low, high = (end.flatten(2).cpu() for end in (ends.lower, ends.upper))
        seen = fired.flatten(2).cpu()
        if ((seen < low) | (seen > high)).any():
            raise SoundnessError(f"a run leaves what is known of {name}")
        changed = seen.amin(1) < seen.amax(1)
        found.append(
            LayerOpenness(
                name,
                seen.shape[2],
                tuple((low < high)[:, 0].double().mean(1).tolist()),
                tuple(changed.double().mean(1).tolist()),
            )
        )
    return tuple(found)


def _place(made: Circuit, neuron: torch.nn.Module) -> int:
    """Return the place of the node in which a layer of neurons fires."""
    for place, node in enumerate(made.nodes):
        if isinstance(node, Fired | Recurred) and neuron in (node.layer, getattr(node.layer, "neuron", None)):
            return place
    raise ValueError(f"network: no node of its circuit is {type(neuron).__name__}")
