"""SpikingJelly: `IFNode`, `LIFNode`, `ParametricLIFNode`, single- or multi-step.

    h = v + (x − (v − r))/τ  (decay_input),   v − (v − r)/τ + x  (otherwise),   v + x  (IFNode),

spikes at h ≥ θ, and v = r (hard) or h − θ (soft, r = 0); v starts from r. So λ = 1 − 1/τ, and with decay_input the
input's share 1/τ is a gain. The recurrent containers around a neuron add x and its last spikes, or multiply both
by one matrix: W·(x, s[t−1]) + b.
"""

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from spikecert.models.conversion.refusal import ConversionRefused
from spikecert.models.linear_maps.sharing import Share

from ..constants import library_of, uniform
from ..layers import is_of, kind_of
from ..neurons import ForeignNeuron
from ..observing.functions import adds, fires_at
from ..observing.observing import ForeignLibrary

CONTAINERS = ("LinearRecurrentContainer", "ElementWiseRecurrentContainer")


def _read(module: nn.Module, name: str) -> ForeignNeuron | None:
    kind = type(module).__name__
    if library_of(module) == "spikingjelly" and kind in CONTAINERS:
        return _container(module, f"{name} ({kind})")
    if library_of(module) != "spikingjelly" or ".neuron" not in type(module).__module__:
        return None
    name = f"{name} ({kind})"
    if kind == "IFNode":
        return _node(module, name, decay=1.0, gain=1.0)
    if kind == "LIFNode":
        return _leaky(module, name, 1.0 / module.tau)  # type: ignore[operator]
    if kind == "ParametricLIFNode":
        with torch.no_grad():
            return _leaky(module, name, uniform(module.w.sigmoid(), name, "w"))  # type: ignore[operator]
    raise ConversionRefused(f"{name}: has dynamics of its own, expected IFNode, LIFNode or ParametricLIFNode")


def _container(module: Any, name: str) -> ForeignNeuron:
    """Return the neuron of a container, and what it hears itself through."""
    found = _read(module.sub_module, f"{name}.sub_module")
    if found is None or found.feedback is not None:
        kind = kind_of(module.sub_module)
        raise ConversionRefused(f"{name}: holds a {kind}, expected one IFNode, LIFNode or ParametricLIFNode")
    if found.at_once:
        found.refuse('is in step mode "m" inside of a container, which takes the batch for time; expected "s"')
    found = replace(found, at_once=module.step_mode == "m")
    if kind_of(module) == "LinearRecurrentContainer":
        return replace(found, front=_columns(module, 0), feedback=_columns(module, module.rc.out_features))
    if not adds(module.element_wise_function):
        found.refuse("its element_wise_function is no sum of its two arguments, expected one")
    return replace(found, feedback=Share())


def _columns(module: Any, start: int) -> nn.Linear:
    """Return the part of a container's matrix that reads x, from column 0 on, or its last spikes."""
    whole, size = module.rc, module.rc.out_features
    if kind_of(whole) != "Linear" or not is_of(whole, "torch") or whole.in_features != 2 * size:
        raise ConversionRefused(f"{kind_of(module)}: has {whole}, expected a Linear of as many inputs as spikes")
    layer = nn.Linear(size, size, bias=whole.bias is not None and start == 0, dtype=whole.weight.dtype)
    layer.weight.data = whole.weight.detach()[:, start : start + size].clone()
    if whole.bias is not None and start == 0:
        layer.bias.data = whole.bias.detach().clone()
    return layer


def _leaky(node: Any, name: str, share: float) -> ForeignNeuron:
    return _node(node, name, decay=1.0 - share, gain=share if node.decay_input else 1.0)


def _node(node: Any, name: str, decay: float, gain: float) -> ForeignNeuron:
    threshold = uniform(node.v_threshold, name, "v_threshold")
    fires, start = fires_at(node.surrogate_function, name), uniform(node._memories_rv["v"], name, "first v")
    if getattr(node, "_neuron_precision", None) is not None:
        raise ConversionRefused(f"{name}: computes in a precision of its own, expected that of its input")
    told = {"threshold": threshold, "start": start, "fires_at": fires, "at_once": node.step_mode == "m"}
    if node.v_reset is None:
        own = {"reset": "subtract", "drop": threshold, **told}
        return ForeignNeuron(name, decay, gain, **own)
    rest = uniform(node.v_reset, name, "v_reset")
    if rest != start:  # one that was set later is not what the node runs by
        raise ConversionRefused(
            f"{name}: resets to {rest:g} but starts at {start:g}, expected one potential for both"
        )
    return ForeignNeuron(name, decay, gain, rest, reset="zero", level=rest, **told)


def _reset(module: nn.Module) -> None:
    for part in module.modules():
        if library_of(part) == "spikingjelly" and hasattr(part, "reset"):
            part.reset()  # type: ignore[operator]


def _multistep(module: nn.Module) -> bool:
    return any(getattr(part, "step_mode", "s") == "m" or _of_sequences(part) for part in module.modules())


def _of_sequences(part: nn.Module) -> bool:
    """Return whether a container takes all steps at once, and no single one."""
    return "s" not in getattr(part, "supported_step_mode", lambda: "s")()  # type: ignore[operator]


SPIKINGJELLY = ForeignLibrary("spikingjelly", _read, _reset, _multistep)
