"""How a signal goes through layers: affine ones take all steps at once, those with a state follow a rule."""

from collections.abc import Callable

from torch import Tensor

from ..elements.layers import Layers, PerStep, Residual, plain
from ..elements.neurons import LIF, Run, in_full
from ..elements.recurrent import Recurrent
from ..elements.synapses import Synapse
from .membrane import count_spikes
from .sparse import run_sparsely

Timed = LIF | Synapse | PerStep
Fire = Callable[[Timed, Tensor], Tensor]
"""From a layer that goes by the step, and its current (time, batch, ...), to its spikes or what it filters."""
STATEFUL = (LIF, Synapse, PerStep)
"""Layers whose steps are not alike: they are told T, and where a part begins."""
SILENT = (Synapse, PerStep)
"""Those of them that do not fire."""


def run_through(layers: Layers, signal: Tensor, fire: Fire) -> Tensor:
    """Run `layers` on a signal (time, batch, ...), where time is 1 for a constant signal.

    Args:
        layers: of a network.
        signal: what enters them.
        fire: what layers with a state do.
    """
    for layer in layers:
        if isinstance(layer, Residual):
            paths = (layer.branch, layer.shortcut)
            signal = _sum(*(run_through(path, signal, fire) for path in paths))
        elif isinstance(layer, STATEFUL):
            signal = fire(layer, signal)
        else:
            signal = run_sparsely(layer, signal)
    return signal


def _sum(branch: Tensor, shortcut: Tensor) -> Tensor:
    """Return the sum of both, which may differ in time alone: torch would repeat other axes to make them fit."""
    if branch.shape[1:] != shortcut.shape[1:]:
        shapes = f"{tuple(branch.shape[2:])} and {tuple(shortcut.shape[2:])}"
        raise ValueError(f"inputs: a Residual was to add {shapes}, expected equal shapes")
    return branch + shortcut


def run_layers(
    layers: Layers, signal: Tensor, num_steps: int, record: Callable[[Run], None] | None = None
) -> Tensor:
    """Run `layers` for `num_steps` steps, and hand each spiking layer's run to `record`."""
    return run_through(layers, signal, _firing(num_steps, record))


def _firing(num_steps: int, record: Callable[[Run], None] | None) -> Fire:
    def fire(neuron: Timed, current: Tensor) -> Tensor:
        """Return a layer's spikes, and record its run if that is asked for."""
        if record is None or isinstance(neuron, SILENT):
            return neuron(current, num_steps)
        run = neuron.run(current, num_steps)
        record(run)
        return run.spikes

    return fire


def run_to_mean(
    layers: Layers, signal: Tensor, num_steps: int, record: Callable[[Run], None] | None = None
) -> Tensor:
    """Return the mean over time, (1, batch, ...), of what `run_layers` returns: spikes are counted, not kept."""
    last = layers[-1] if record is None and len(layers) else None
    if isinstance(last, LIF) and type(last).forward is LIF.forward and plain(last):
        current = in_full(run_through(layers[:-1], signal, _firing(num_steps, None)))
        return count_spikes(current, last.scale(num_steps), last.dynamics, num_steps) / num_steps
    return mean_over_time(run_layers(layers, signal, num_steps, record))


def mean_over_time(signal: Tensor) -> Tensor:
    """Return the mean of a signal, (1, batch, ...): its gradient stays an expanded view, which mean() writes."""
    return signal.sum(0, keepdim=True) / len(signal)


def listen_to(currents: list[Tensor], num_steps: int) -> Fire:
    """Return a rule that fires and keeps the currents alone, which is faster than whole runs."""

    def fire(neuron: Timed, current: Tensor) -> Tensor:
        """Return a layer's spikes and keep its current."""
        if isinstance(neuron, Recurrent):
            run = neuron.run(current, num_steps)
            currents.append(run.current)
            return run.spikes
        spikes = neuron(current, num_steps)
        if isinstance(neuron, SILENT):
            return spikes
        currents.append(in_full(current).expand_as(spikes))
        return spikes

    return fire
