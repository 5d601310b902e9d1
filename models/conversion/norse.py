"""Norse: first-order "box" neurons, and second-order ones, whose synapse is a layer of its own.

    v[t] = u[t−1] + a·((e − u[t−1]) + x[t]),  a = dt/τ,  spikes at v > θ,  u = r (hard) or v − θ;  v starts from e.

LIFCell and LICell put i[t] = (1 − dt/τ_syn)·i[t−1] + x[t], which no spike resets, in the place of x.
"""

from typing import Any

from torch import Tensor, nn

from ..networks import SpikingNetwork
from .constants import entries, library_of, uniform
from .converting import converted
from .neurons import ForeignNeuron
from .observing import ForeignLibrary, Source
from .refusal import ConversionRefused

BOX = ("LIFBoxCell", "LIBoxCell")
SYNAPTIC = ("LIFCell", "LIF", "LICell", "LI")
INTEGRATE = ("IAFCell", "IAF")
SILENT = ("LIBoxCell", "LICell", "LI")
"""Integrators: they put out potentials."""
OVER_TIME = ("LIF", "LI", "IAF", "Lift")
"""Modules that take all steps in one call."""
CONTAINERS = ("SequentialState", "Lift")


def from_norse(
    module: nn.Module,
    sample: Tensor,
    num_steps: int | None = None,
    encoding: str = "direct",
    readout: str | None = None,
    seed: int = 0,
    classes: int | None = None,
    output: str | int | None = None,
) -> SpikingNetwork:
    """Return the `SpikingNetwork` that spikes as a Norse module does; refuse what can't.

    LICell and LI are taken last, where their last potential is the output.

    Args:
        module: with LIFBoxCell, IAFCell, LIBoxCell, or the above, and torch's affine layers, in one chain.
        sample: inputs as the network takes them, (batch, ...), or (batch, T, ...) with encoding "none"; the module
            is given time first.
        num_steps: T for a module that does one step a call, (input, state) → (output, state), as SequentialState
            does, or, with LIF, LI, IAF or Lift inside, takes a sequence of T copies of the input; None for one
            that loops over time itself.
        encoding, readout, seed, classes, output: as in `from_snntorch`.

    Raises:
        ConversionRefused: with the reason, for what has no equal here or does not match spike for spike.

    References: pehle2021norse
    """
    return converted(Source.of(NORSE, module, encoding, num_steps, output), sample, readout, seed, classes).network


def _read(module: nn.Module, name: str) -> ForeignNeuron | None:
    kind = type(module).__name__
    if library_of(module) != "norse" or kind in CONTAINERS:
        return None
    name = f"{name} ({kind})"
    if kind in INTEGRATE:
        return _integrate(module, name)
    if kind in BOX or kind in SYNAPTIC:
        return _leaky(module, name, kind)
    known = ", ".join((*BOX, *INTEGRATE, *SYNAPTIC))
    raise ConversionRefused(f"{name}: is no neuron or layer that is known, expected one of {known}")


def _integrate(cell: Any, name: str) -> ForeignNeuron:
    rest = entries(cell.p.v_reset, name, "v_reset")
    threshold = entries(cell.p.v_th, name, "v_th")
    return ForeignNeuron(name, 1.0, threshold=threshold, level=rest, start=rest)


def _leaky(cell: Any, name: str, kind: str) -> ForeignNeuron:
    share = entries(cell.dt * cell.p.tau_mem_inv, name, "tau_mem_inv")
    rest = entries(cell.p.v_leak, name, "v_leak")
    synapse = 1.0 - uniform(cell.dt * cell.p.tau_syn_inv, name, "tau_syn_inv") if kind in SYNAPTIC else 0.0
    constants = {"leak": rest, "start": rest, "synapse": synapse or None}
    if kind in SILENT:
        return ForeignNeuron(name, 1.0 - share, share, threshold=None, reset="none", **constants)
    threshold = entries(cell.p.v_th, name, "v_th")
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
