"""Neurons that are stuck: networks in which some are, and what is known of spikes where some are."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...models.elements.neurons import LIF, Run
from ...models.networks import SpikingNetwork
from ..bounds.signals.signals import DerivedSignal
from ..bounds.signals.windows import Box


@dataclass(frozen=True)
class Fault:
    """One stuck neuron: at which place of which spiking layer, and whether it fires at each step or at none."""

    layer: int
    neuron: int
    fires: bool


@dataclass(frozen=True)
class Masks:
    """Which neurons of a layer are stuck at silence and which at firing, (n, *features) of bool each."""

    silent: Tensor
    firing: Tensor

    def applied(self, spikes: Tensor) -> Tensor:
        """Return spikes (time, batch, *features) with the stuck ones in their place."""
        return spikes.masked_fill(self.silent, 0.0).masked_fill(self.firing, 1.0)


class _Stuck:
    """What stands behind a layer: a hook of `forward`."""

    def __init__(self, masks: Masks) -> None:
        self.masks: Masks = masks

    def __call__(self, layer: LIF, given: object, spikes: Tensor) -> Tensor:
        return self.masks.applied(spikes)


class _StuckRun:
    """A layer's `run` with the stuck spikes in its record."""

    def __init__(self, layer: LIF, masks: Masks) -> None:
        self.run = layer.run
        self.masks: Masks = masks

    def __call__(self, current: Tensor, num_steps: int) -> Run:
        run = self.run(current, num_steps)
        return replace(run, spikes=self.masks.applied(run.spikes))


def stuck_layers(network: SpikingNetwork) -> list[LIF]:
    """Return the layers that fire, in order of execution: all but one whose potentials are read."""
    neurons = list(network.neurons)
    return neurons[:-1] if network.reads_potentials else neurons


@torch.no_grad()
def features_of(network: SpikingNetwork, inputs: Tensor) -> list[torch.Size]:
    """Return the shape of each layer's neurons, as one sample finds them."""
    found: list[torch.Size] = []
    hooks = [
        layer.register_forward_hook(lambda layer, given, spikes: found.append(spikes.shape[2:]))
        for layer in stuck_layers(network)
    ]
    try:
        network(inputs[:1])
    finally:
        for hook in hooks:
            hook.remove()
    return found


def masks_of(members: Sequence[Sequence[Fault]], features: Sequence[torch.Size], like: Tensor) -> list[Masks]:
    """Return the masks of each layer, a row a member."""
    masks = []
    for layer, shape in enumerate(features):
        both = torch.zeros(2, len(members), shape.numel(), dtype=torch.bool)
        for row, faults in enumerate(members):
            for fault in faults:
                if fault.layer == layer:
                    both[int(fault.fires), row, fault.neuron] = True
        silent, firing = both.to(like.device).unflatten(2, tuple(shape))
        masks.append(Masks(silent, firing))
    return masks


@contextmanager
def stuck(network: SpikingNetwork, masks: Sequence[Masks]) -> Iterator[SpikingNetwork]:
    """Run a network for a while with stuck neurons, those of each sample by its own row of the masks."""
    layers = stuck_layers(network)
    hooks = [layer.register_forward_hook(_Stuck(mask)) for layer, mask in zip(layers, masks, strict=True)]
    try:
        yield network
    finally:
        for hook in hooks:
            hook.remove()


def stuck_member(
    network: SpikingNetwork, faults: Sequence[Fault], features: Sequence[torch.Size]
) -> SpikingNetwork:
    """Return a copy that runs with these neurons stuck, in `forward`, `trace` and gradients alike."""
    found = copy.deepcopy(network)
    masks = masks_of([faults], features, next(found.parameters()))
    for layer, mask in zip(stuck_layers(found), masks, strict=True):
        if bool(mask.silent.any() | mask.firing.any()):
            layer.run = _StuckRun(layer, mask)  # type: ignore[method-assign]
            layer.register_forward_hook(_Stuck(mask))
    return found


def faults_of(member: SpikingNetwork) -> tuple[Fault, ...]:
    """Return which neurons of a member are stuck; none of a network that `stuck_member` has not made."""
    found = []
    for layer, neuron in enumerate(stuck_layers(member)):
        if isinstance(run := vars(neuron).get("run"), _StuckRun):
            for fires, mask in ((False, run.masks.silent), (True, run.masks.firing)):
                found += [Fault(layer, place, fires) for place in mask[0].flatten().nonzero().flatten().tolist()]
    return tuple(found)


@dataclass(frozen=True)
class MaskedSpikes(DerivedSignal):
    """Spikes of which some are stuck, those of each sample by its own row of the masks: exactly 0 or 1 there."""

    masks: Masks
    binary = True

    @property
    def constant(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return False."""
        return False

    def steps(self) -> Box:
        """Return the spikes step by step."""
        box = self.source.steps()
        return self._with(box, box.lower.new_ones(len(box.lower)))

    def combine(self, rows: Tensor) -> Box:
        """Return sums over time: 0 of a silent neuron, and Σ_t rows[k,t] of one that always fires."""
        return self._with(self.source.combine(rows), rows.sum(1))

    def _with(self, box: Box, total: Tensor) -> Box:
        full = total.reshape(-1, *([1] * (box.lower.dim() - 1))).to(box.lower)
        lower, upper = (
            torch.where(self.masks.firing, full, end.masked_fill(self.masks.silent, 0.0))
            for end in (box.lower, box.upper)
        )
        return Box(lower, upper)

    def magnitude(self) -> Tensor:
        """Return 1 where a neuron may fire at some step, and 0 elsewhere."""
        return self.masks.applied(self.source.magnitude())
