"""NIR's neurons as torch modules: their equations, by forward Euler steps.

    LIF   v += (dt/τ)·((v_leak − v) + R·x)         IF   v += dt·R·x
    CubaLIF   i += (dt/τ_syn)·(w_in·x − i),  v += (dt/τ_mem)·((v_leak − v) + R·i)

spikes at v > v_threshold, then v = v_reset, or v − d where a spike subtracts (nir_resets.py). Constants are arrays
and apply elementwise.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..refusal import ConversionRefused
from .nir_resets import Reset

FIRING = ("LIF", "CubaLIF", "IF")
INTEGRATING = ("LI", "CubaLI")
NEEDED = {
    "LIF": ("tau", "r", "v_leak"),
    "LI": ("tau", "r", "v_leak"),
    "IF": ("r",),
    "CubaLIF": ("tau_mem", "tau_syn", "r", "v_leak", "w_in"),
    "CubaLI": ("tau_mem", "tau_syn", "r", "v_leak", "w_in"),
}
"""Of `CONSTANTS`, what the equation of each neuron names."""
CONSTANTS = ("tau", "tau_mem", "tau_syn", "r", "v_leak", "v_threshold", "v_reset", "w_in")


class EulerNeuron(nn.Module):
    """One neuron node; keeps v and i from call to call until `restart`.

    Its constants stay float64, whatever the module is cast to; what they make up is rounded to the input's dtype.

    Args:
        node: of NIR.
        name: its own, for messages.
        dt: the time step, seconds.
        reset: of one that fires.

    Attributes:
        assumed: whether it resets to zero because nobody says how.
    """

    def __init__(self, node: Any, name: str, dt: float, reset: Reset | None = None) -> None:
        super().__init__()
        self.kind, self.name, self.dt, self.reset = type(node).__name__, name, dt, reset or Reset()
        given = {key: getattr(node, key, None) for key in CONSTANTS}
        _check_constants(self.kind, given)
        known = {key: np.array(value, dtype=np.float64) for key, value in given.items() if value is not None}
        self.constants = {key: torch.from_numpy(value) for key, value in known.items()}
        self.assumed = not self.reset.told and not known["v_reset"].any()
        if self.kind in FIRING and self.reset.kind == "subtract":
            self._subtracting()
        self.restart()

    def _subtracting(self) -> None:
        """Check and keep what a spike takes away."""
        c, told = self.constants, f"{self.name} (nir {self.kind})"
        if bool((c["v_reset"] != 0).any()):
            lies = f"{float(c['v_reset'].min()):g}…{float(c['v_reset'].max()):g}"
            raise ConversionRefused(f"{told}: subtracts, and has a v_reset of {lies}, expected 0 or reset='zero'")
        amount = self.reset.amount
        c["drop"] = c["v_threshold"] if amount is None else torch.tensor(amount, dtype=torch.float64)
        if not bool((c["drop"] > 0).all()):
            raise ConversionRefused(f"{told}: subtracts a threshold that is not positive, expected one above 0")

    def restart(self) -> None:
        """Go back to the state before the first step: v = v_leak, and 0 for IF."""
        self.v: Tensor | None = None
        self.i: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Take one step; return spikes, or the potential of an integrator."""
        c = {name: value.to(x.device) for name, value in self.constants.items()}
        if self.v is None or self.i is None:
            start = torch.zeros(()) if self.kind == "IF" else c["v_leak"]
            self.v, self.i = start.to(x).expand_as(x).clone(), torch.zeros_like(x)
        if self.kind in ("CubaLIF", "CubaLI"):
            self.i = self.i + (self.dt / c["tau_syn"]).to(x) * (c["w_in"].to(x) * x - self.i)
            x = self.i
        if self.kind == "IF":
            self.v = self.v + (self.dt * c["r"]).to(x) * x
        else:
            share = (self.dt / c.get("tau", c.get("tau_mem"))).to(x)  # type: ignore[operator]
            self.v = self.v + share * ((c["v_leak"].to(x) - self.v) + c["r"].to(x) * x)
        if self.kind in INTEGRATING:
            return self.v
        fired = self.v > c["v_threshold"].to(x)
        left = self.v - c["drop"].to(x) if "drop" in c else c["v_reset"].to(x)
        self.v = torch.where(fired, left, self.v)
        return fired.to(x)


def _check_constants(kind: str, given: dict[str, Any]) -> None:
    """Raise unless a neuron has all constants that its equation names, as real numbers."""
    needed = NEEDED[kind] + (("v_threshold", "v_reset") if kind in FIRING else ())
    missing = [key for key in needed if given[key] is None]
    if missing:
        raise ConversionRefused(f"graph: has a {kind} without {missing[0]}")
    if any(np.iscomplexobj(value) for value in given.values()):
        raise ConversionRefused(f"graph: has a {kind} with complex constants, expected real numbers")
