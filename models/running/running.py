"""How a signal goes through layers: affine ones take all steps at once, those with a state follow a rule."""

from collections.abc import Callable

from torch import Tensor, nn

from ..elements.layers import Residual, apply_affine
from ..elements.neurons import LIF, Run, in_full
from ..elements.recurrent import Recurrent
from ..elements.registry import ELEMENTS
from ..elements.synapses import Synapse

Fire = Callable[[LIF | Synapse, Tensor], Tensor]
"""From a layer with a state over time, and its current (time, batch, ...), to its spikes or what it filters."""
STATEFUL = (LIF, Synapse)


def run_through(layers: nn.ModuleList, signal: Tensor, fire: Fire) -> Tensor:
    """Run `layers` on a signal (time, batch, ...), where time is 1 for a constant signal."""
    for layer in layers:
        if isinstance(layer, Residual):
            signal = _sum(run_through(layer.branch, signal, fire), run_through(layer.shortcut, signal, fire))
        elif isinstance(layer, STATEFUL):
            signal = fire(layer, signal)
        else:
            element = ELEMENTS.get(type(layer))
            run = apply_affine if element is None or element.run is None else element.run
            signal = run(layer, signal)
    return signal


def _sum(branch: Tensor, shortcut: Tensor) -> Tensor:
    """Return the sum of both, which may differ in time alone: torch would repeat other axes to make them fit."""
    if branch.shape[1:] != shortcut.shape[1:]:
        shapes = f"{tuple(branch.shape[2:])} and {tuple(shortcut.shape[2:])}"
        raise ValueError(f"inputs: a Residual was to add {shapes}, expected equal shapes")
    return branch + shortcut


def run_layers(
    layers: nn.ModuleList, signal: Tensor, num_steps: int, record: Callable[[Run], None] | None = None
) -> Tensor:
    """Run `layers` for `num_steps` steps, and hand each spiking layer's run to `record`."""

    def fire(neuron: LIF | Synapse, current: Tensor) -> Tensor:
        """Return a layer's spikes, and record its run if that is asked for."""
        if record is None or isinstance(neuron, Synapse):
            return neuron(current, num_steps)
        run = neuron.run(current, num_steps)
        record(run)
        return run.spikes

    return run_through(layers, signal, fire)


def listen_to(currents: list[Tensor], num_steps: int) -> Fire:
    """Return a rule that fires and keeps the currents alone, which is faster than whole runs."""

    def fire(neuron: LIF | Synapse, current: Tensor) -> Tensor:
        """Return a layer's spikes and keep its current."""
        if isinstance(neuron, Recurrent):
            run = neuron.run(current, num_steps)
            currents.append(run.current)
            return run.spikes
        spikes = neuron(current, num_steps)
        if isinstance(neuron, Synapse):
            return spikes
        currents.append(in_full(current).expand_as(spikes))
        return spikes

    return fire
