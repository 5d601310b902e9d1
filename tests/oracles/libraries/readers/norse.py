"""Norse: first-order "box" neurons, and second-order ones, whose synapse is a layer of its own.

    v[t] = u[t−1] + a·((e − u[t−1]) + x[t]),  a = dt/τ,  spikes at v > θ,  u = r (hard) or v − θ;  v starts from e.

LIFCell and LICell put i[t] = (1 − dt/τ_syn)·i[t−1] + x[t], which no spike resets, in the place of x.
LIFRecurrentCell and LIFRecurrent filter W·x[t] + V·s[t−1] so, with both matrices their own; LILinearCell is an
LICell behind a matrix. ConstantCurrentLIFEncoder is a first-order neuron that takes its input once for all
steps, and starts from 0. LIFRefracCell stays at r for ⌈ρ⌉ steps behind a spike, ρ its rho_reset, while its
synapse goes on; and so, for good, does SpikeLatencyLIFEncoder, of which only the first spike comes.
"""

import math
import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from spikecert.models.conversion.refusal import ConversionRefused

from ..constants import entries, library_of, uniform
from ..neurons import ForeignNeuron
from ..observing.functions import fires_at
from ..observing.observing import ForeignLibrary

BOX = ("LIFBoxCell", "LIBoxCell")
SYNAPTIC = ("LIFCell", "LIF", "LICell", "LI")
RECURRENT = ("LIFRecurrentCell", "LIFRecurrent")
ENCODERS = ("ConstantCurrentLIFEncoder", "SpikeLatencyLIFEncoder")
"""Neurons that are given their input once for all steps, and start from 0."""
RESTING = "LIFRefracCell"
STEPS = {
    **dict.fromkeys(("LIFCell", "LIF"), "lif_feed_forward_step"),
    **dict.fromkeys(("LICell", "LI"), "li_feed_forward_step"),
    **dict.fromkeys(("IAFCell", "IAF"), "iaf_feed_forward_step"),
    **dict.fromkeys(RECURRENT, "lif_step"),
    "LIFBoxCell": "lif_box_feed_forward_step",
    "LIBoxCell": "li_box_feed_forward_step",
    RESTING: "lif_refrac_feed_forward_step",
}
"""What runs a step of each."""
INTEGRATE = ("IAFCell", "IAF")
SILENT = ("LIBoxCell", "LICell", "LI", "LILinearCell")
"""Integrators: they put out potentials."""
OVER_TIME = ("LIF", "LI", "IAF", "LIFRecurrent", "Lift")
"""Modules that take all steps in one call."""
CONTAINERS = ("SequentialState", "Lift")


def _read(module: nn.Module, name: str) -> ForeignNeuron | None:
    kind = type(module).__name__
    if library_of(module) != "norse" or kind in CONTAINERS:
        return None
    name = f"{name} ({kind})"
    _check_step(module, name, STEPS.get(kind))
    return replace(_neuron(module, name, kind), at_once=kind in OVER_TIME)


def _neuron(module: Any, name: str, kind: str) -> ForeignNeuron:
    if kind in INTEGRATE:
        return _integrate(module, name)
    if kind in BOX or kind in SYNAPTIC:
        return _leaky(module, name, kind)
    if kind in RECURRENT:
        return _recurrent(module, name)
    if kind == "LILinearCell":
        return replace(_leaky(module, name, kind), front=_dense(module.input_weights))
    if kind in ENCODERS:
        rest = module.seq_length if kind == ENCODERS[1] else 0
        return replace(_leaky(module, name, kind), start=0.0, rest=rest)
    if kind == RESTING:
        return _resting(module, name)
    known = ", ".join((*BOX, *INTEGRATE, *SYNAPTIC, *RECURRENT, "LILinearCell", RESTING, *ENCODERS))
    raise ConversionRefused(f"{name}: is no neuron or layer that is known, expected one of {known}")


def _integrate(cell: Any, name: str) -> ForeignNeuron:
    rest = entries(cell.p.v_reset, name, "v_reset")
    threshold = entries(cell.p.v_th, name, "v_th")
    fires = _fires_at(cell.p, name)
    return ForeignNeuron(name, 1.0, threshold=threshold, level=rest, start=rest, fires_at=fires, keeps=False)


def _recurrent(cell: Any, name: str) -> ForeignNeuron:
    """Return the neuron of a cell with matrices of its own: one for its input, one for its last spikes."""
    front, feedback = (_dense(weights) for weights in (cell.input_weights, cell.recurrent_weights))
    return replace(_leaky(cell, name, RECURRENT[0]), front=front, feedback=feedback)


def _dense(weights: Tensor) -> nn.Linear:
    """Return a matrix as a layer."""
    layer = nn.Linear(weights.shape[1], weights.shape[0], bias=False, dtype=weights.dtype)
    with torch.no_grad():
        layer.weight.copy_(weights)
    return layer


def _resting(cell: Any, name: str) -> ForeignNeuron:
    """Return the neuron of a cell that counts ρ down by 1 a step behind a spike, and fires again where it is 0."""
    steps = uniform(cell.p.rho_reset, name, "rho_reset")
    plain = SimpleNamespace(p=cell.p.lif, dt=cell.dt)
    return replace(_leaky(plain, name, RESTING), rest=max(0, math.ceil(min(steps, 2.0**31))))


def _check_step(cell: Any, name: str, expected: str | None) -> None:
    """Raise unless a cell runs, and starts, by the functions that its type is made with, where it holds any."""
    step = getattr(getattr(cell, "activation", None), "__name__", "") if expected else None
    if step != expected:
        raise ConversionRefused(f"{name}: has an activation {step!r} of its own, expected {expected}")
    if expected and cell.state_fallback != cell.initial_state:
        raise ConversionRefused(f"{name}: has a state_fallback of its own, expected its initial_state")


def _fires_at(p: Any, name: str) -> str:
    """Return what Norse's threshold function says of a tie."""
    threshold = sys.modules["norse.torch.functional.threshold"].threshold
    return fires_at(lambda potential: threshold(potential, p.method, p.alpha), name)


def _leaky(cell: Any, name: str, kind: str) -> ForeignNeuron:
    share = entries(cell.dt * cell.p.tau_mem_inv, name, "tau_mem_inv")
    rest = entries(cell.p.v_leak, name, "v_leak")
    filters = kind in (*SYNAPTIC, *RECURRENT, "LILinearCell", RESTING)
    synapse = 1.0 - uniform(cell.dt * cell.p.tau_syn_inv, name, "tau_syn_inv") if filters else 0.0
    constants = {"leak": rest, "start": rest, "synapse": synapse or None, "keeps": False}
    if kind in SILENT:
        return ForeignNeuron(name, 1.0 - share, share, threshold=None, reset="none", **constants)
    threshold = entries(cell.p.v_th, name, "v_th")
    constants["fires_at"] = _fires_at(cell.p, name)
    method = getattr(getattr(cell.p, "reset_method", None), "__name__", "reset_value")
    if method == "reset_subtract":
        return ForeignNeuron(
            name, 1.0 - share, share, threshold=threshold, reset="subtract", drop=threshold, **constants
        )
    if method != "reset_value":
        raise ConversionRefused(f"{name}: has reset_method {method}, expected reset_value or reset_subtract")
    level = entries(cell.p.v_reset, name, "v_reset")
    return ForeignNeuron(name, 1.0 - share, share, threshold=threshold, level=level, **constants)


def _reset(module: nn.Module) -> None:
    """Norse keeps its states outside of modules."""


def _multistep(module: nn.Module) -> bool:
    return any(library_of(part) == "norse" and type(part).__name__ in OVER_TIME for part in module.modules())


NORSE = ForeignLibrary("norse", _read, _reset, _multistep, stateful=True)
