"""snnTorch: `Leaky` and `Lapicque`, whose reset comes one step late unless they are told otherwise, and synapses.

    v[t] = β·v[t−1] + x[t] − θ·1[v[t−1] > θ]  (default)  =  β·(v[t−1] − (θ/β)·s[t−1]) + x[t]:

a subtracting reset of θ/β before the decay. `Synaptic` puts i[t] = α·i[t−1] + x[t] in the place of x. Its delayed
reset to zero takes away what comes in at the step behind a spike, too: v[t] = 0 there, which no such neuron does.

`Alpha` fires on τ·Σ_n (α^n − β^n)·x[t−n]. Since α^n − β^n = (α − β)·Σ_{i+j=n−1} α^i·β^j, that is τ·(α − β) times a
synapse of decay α, one step late, in front of a neuron of decay β without reset. Resets reach into both currents.

`RLeaky` adds V·s[t−1], of a layer of its own, to x[t], and `RSynaptic` does so before its synapse. `RSynaptic`
looks at `reset_delay` and does nothing by it (1.0.0).
"""

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from spikecert.models.conversion.refusal import ConversionRefused

from ..constants import Constant, entries, every, library_of, settled, uniform
from ..layers import diagonal, plain_layer, refuse
from ..neurons import ForeignNeuron
from ..observing.functions import fires_at
from ..observing.observing import ForeignLibrary

RESETS = ("subtract", "zero", "none")
STATES = ("_base_sub", "_base_zero", "_base_int")
"""What computes a state, for each of `RESETS`."""


def _read(module: nn.Module, name: str) -> ForeignNeuron | None:
    if library_of(module) != "snntorch":
        return None
    kind = type(module).__name__
    if kind not in READ:
        reason = REASONS.get(kind, "dynamics of its own")
        raise ConversionRefused(f"{name} (snntorch {kind}): has {reason}, expected one of {', '.join(READ)}")
    return READ[kind](module, f"{name} ({kind})")


def _synaptic(synaptic: nn.Module, name: str) -> ForeignNeuron:
    if RESETS[int(synaptic.reset_mechanism_val)] == "zero" and synaptic.reset_delay:  # type: ignore[arg-type]
        raise ConversionRefused(
            f"{name}: resets to zero one step late, which takes away the current of that step, too; expected "
            "reset_delay=False, or to subtract"
        )
    alpha = uniform(synaptic.alpha, name, "alpha")
    return replace(_leaky(synaptic, name), synapse=min(max(alpha, 0.0), 1.0) or None)


def _alpha(neuron: nn.Module, name: str) -> ForeignNeuron:
    _check(neuron, name)
    reset = RESETS[int(neuron.reset_mechanism_val)]  # type: ignore[arg-type]
    if reset != "none":
        raise ConversionRefused(
            f"{name}: a spike resets its synaptic currents, too ({reset}), so they filter nothing; expected "
            'reset_mechanism="none"'
        )
    rise, fall = (torch.as_tensor(value).clamp(0, 1) for value in (neuron.alpha, neuron.beta))
    scale = fall.log() - rise.log()
    height = uniform(rise.log() / scale + 1, name, "tau_alpha")
    alpha, beta = uniform(rise, name, "alpha"), uniform(fall, name, "beta")
    fires = fires_at(neuron.spike_grad, name)  # type: ignore[arg-type]
    threshold = uniform(neuron.threshold, name, "threshold")
    constants = {"threshold": threshold, "reset": "none", "fires_at": fires, "synapse": alpha, "delay": 1}
    return ForeignNeuron(name, beta, height * (alpha - beta), **constants)


def _recurrent(leaky: Any, name: str) -> ForeignNeuron:
    """Return an RLeaky; its delayed reset to zero ignores a step's input, too, which no neuron here does."""
    found = _leaky(leaky, name)
    if found.reset == "zero" and leaky.reset_delay:
        found.refuse("a step after a spike it loses its input with its potential; expected reset_delay=False")
    return replace(found, feedback=_feedback(leaky.recurrent, name))


def _recurrent_synaptic(synaptic: Any, name: str) -> ForeignNeuron:
    """Return an RSynaptic, whose resets are those of a delayed Synaptic."""
    reset = RESETS[int(synaptic.reset_mechanism_val)]
    if reset == "zero":
        told = "resets to zero one step late, which takes away the current of that step, too"
        raise ConversionRefused(f"{name}: {told}; expected to subtract")
    if not synaptic.reset_delay and reset != "none":
        raise ConversionRefused(f"{name}: has reset_delay=False, by which RSynaptic does nothing; expected True")
    return replace(_synaptic(synaptic, name), feedback=_feedback(synaptic.recurrent, name))


def _feedback(recurrent: nn.Module, name: str) -> nn.Module:
    """Return the layer of its own spikes; one weight for each neuron is a diagonal."""
    if type(recurrent).__name__ != "RecurrentOneToOne":
        return plain_layer(recurrent, name) or refuse(recurrent, f"{name}.recurrent")
    weights = torch.as_tensor(recurrent.V).detach()
    return diagonal(weights, f"{name}: V")


def _leaky(leaky: nn.Module, name: str) -> ForeignNeuron:
    _check(leaky, name)
    beta = settled(torch.as_tensor(entries(leaky.beta, name, "beta"), dtype=torch.float64).clamp(0.0, 1.0))
    reset = RESETS[int(leaky.reset_mechanism_val)]  # type: ignore[arg-type]
    if reset == "subtract" and not leaky.reset_delay:
        raise ConversionRefused(
            f"{name}: subtracts without delay, which is no such neuron once a potential passes 2θ; "
            "expected reset_delay=True"
        )
    return _delayed(leaky, name, beta, 1.0)


def _lapicque(lapicque: nn.Module, name: str) -> ForeignNeuron:
    """Return the leaky neuron of λ = 1 − T/RC that takes T/C of its input."""
    _check(lapicque, name)
    if RESETS[int(lapicque.reset_mechanism_val)] == "zero":  # type: ignore[arg-type]
        raise ConversionRefused(
            f"{name}: resets to zero, by which snntorch's Lapicque loses the input of the step behind each spike; "
            'expected reset_mechanism "subtract" or "none", or Leaky'
        )
    step, capacity = (torch.as_tensor(value).double() for value in (lapicque.time_step, lapicque.C))
    decay = entries(1.0 - step / (torch.as_tensor(lapicque.R).double() * capacity), name, "decay 1 − T/RC")
    return _delayed(lapicque, name, decay, entries(step / capacity, name, "share T/C of the input"))


def _delayed(neuron: nn.Module, name: str, decay: Constant, gain: Constant) -> ForeignNeuron:
    """Return a neuron whose subtracting reset comes a step late."""
    threshold, drop = entries(neuron.threshold, name, "threshold"), None
    reset = RESETS[int(neuron.reset_mechanism_val)]  # type: ignore[arg-type]
    if reset == "subtract":
        if not every(decay > 0.0):
            raise ConversionRefused(f"{name}: has beta 0 and a delayed reset, which no decay can carry over")
        drop = threshold / decay
    fires = fires_at(neuron.spike_grad, name)  # type: ignore[arg-type]
    return ForeignNeuron(name, decay, gain, threshold=threshold, reset=reset, drop=drop, fires_at=fires)


def _check(leaky: nn.Module, name: str) -> None:
    for setting in ("inhibition", "state_quant"):
        if getattr(leaky, setting):
            raise ConversionRefused(f"{name}: has {setting}, expected none")
    runs = getattr(leaky.state_function, "__name__", "")
    if runs != STATES[int(leaky.reset_mechanism_val)]:  # type: ignore[arg-type]
        raise ConversionRefused(f"{name}: has another reset_mechanism than it was made with, and runs {runs}")
    factor = uniform(leaky.graded_spikes_factor, name, "graded_spikes_factor")
    if factor != 1.0:
        raise ConversionRefused(f"{name}: has graded spikes of {factor:g}, expected 1")


def _reset(module: nn.Module) -> None:
    for part in module.modules():
        if library_of(part) == "snntorch" and hasattr(part, "reset_mem"):
            part.reset_mem()  # type: ignore[operator]


READ = {
    "Leaky": _leaky,
    "Lapicque": _lapicque,
    "Synaptic": _synaptic,
    "Alpha": _alpha,
    "RLeaky": _recurrent,
    "RSynaptic": _recurrent_synaptic,
}
REASONS = {"LeakyParallel": "potentials that a ReLU keeps from falling below 0, at each step"}
"""Why other neurons do not come in."""

SNNTORCH = ForeignLibrary("snntorch", _read, _reset, multistep=lambda module: False)
