"""NIR's neurons as torch modules: their equations, by forward Euler steps.

    LIF   v += (dt/τ)·((v_leak − v) + R·x)         IF   v += dt·R·x
    CubaLIF   i += (dt/τ_syn)·(w_in·x − i),  v += (dt/τ_mem)·((v_leak − v) + R·i)

spikes at v > v_threshold, then v = v_reset, or v − d where a spike subtracts. Constants are arrays and apply
elementwise.

NIR's nodes that look at one entry at a time: Scale, y = s·x; Threshold, y = 1[x > θ]; I, v += dt·R·x.

What a spike leaves of a potential in a NIR graph: v_reset, as NIR defines it, or what many exporters mean.

    "zero"      v = v_reset
    "subtract"  v = v − d,  d = θ, or the node's `reset_amount`

NIR has no field for it. A caller says it for all neurons; else the metadata of a node, of the graph that it is in,
or of one around that do. `to_nir` writes {"reset": "zero" or "subtract"} to each node, and `reset_amount` where d
is not the threshold that is written; other tools' own words for it are read as well.
"""

import reprlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...constants import positive
from ..refusal import ConversionRefused


class ScalingNode(nn.Module):
    """A Scale node; its factors stay float64 and are rounded to the input's dtype."""

    def __init__(self, node: Any, name: str) -> None:
        super().__init__()
        self.name, self.scale = f"{name} (nir Scale)", _numbers(node.scale, f"{name} (nir Scale)")

    def forward(self, x: Tensor) -> Tensor:
        """Return s·x."""
        return x * self.scale.to(x)


class StepNode(nn.Module):
    """A Threshold node: neurons without memory."""

    def __init__(self, node: Any, name: str) -> None:
        super().__init__()
        self.name, self.threshold = f"{name} (nir Threshold)", _numbers(node.threshold, f"{name} (nir Threshold)")

    def forward(self, x: Tensor) -> Tensor:
        """Return 1 where x > θ, else 0."""
        return (x > self.threshold.to(x)).to(x)


class IntegratorNode(nn.Module):
    """An I node; keeps v from call to call until `restart`."""

    def __init__(self, node: Any, name: str, dt: float) -> None:
        super().__init__()
        self.name, self.gain = f"{name} (nir I)", dt * _numbers(node.r, f"{name} (nir I)")
        self.restart()

    def restart(self) -> None:
        """Go back to v = 0."""
        self.v: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Return v after one more step."""
        self.v = (torch.zeros_like(x) if self.v is None else self.v) + self.gain.to(x) * x
        return self.v


def _numbers(values: Any, name: str) -> Tensor:
    array = np.asarray(values)
    if np.iscomplexobj(array) or not np.isfinite(array.astype(np.float64)).all():
        raise ConversionRefused(f"{name}: has constants that are no finite real numbers")
    return torch.from_numpy(array.astype(np.float64))


KEYS = ("reset", "reset_mechanism", "reset_method", "reset_mode", "reset_type")
WORDS = {
    **dict.fromkeys(("zero", "hard", "to_zero", "reset_to_zero", "v_reset", "reset_value", "constant"), "zero"),
    **dict.fromkeys(("subtract", "soft", "subtractive", "subtraction", "reset_subtract"), "subtract"),
    **dict.fromkeys(("reset_by_subtraction", "threshold_subtraction", "membrane_subtract"), "subtract"),
}
"""What snnTorch, Norse, sinabs and the papers call the two resets."""


@dataclass(frozen=True)
class Reset:
    """How a neuron resets.

    Attributes:
        kind: "zero" or "subtract".
        amount: what subtracting takes away; None for the threshold.
        told: whether the caller or the graph says so.
    """

    kind: str = "zero"
    amount: float | None = None
    told: bool = True


def resets(graph: Any, kinds: tuple[str, ...], choice: str | None) -> dict[str, Reset]:
    """Return how each node of some kinds resets, by its name among the nodes of `flattened` graphs.

    Args:
        graph: with graphs in it.
        kinds: of the nodes.
        choice: what the caller says, of all of them; None: what the metadata say.

    Raises:
        ConversionRefused: for metadata that name another reset, or two.
    """
    return dict(_within(graph, "", kinds, choice, Reset(told=False)))


def _within(
    graph: Any, prefix: str, kinds: tuple[str, ...], choice: str | None, around: Reset
) -> Iterator[tuple[str, Reset]]:
    around = _said(graph, prefix[:-1] or "graph", choice) or around
    for name, node in graph.nodes.items():
        if type(node).__name__ == "NIRGraph":
            yield from _within(node, f"{prefix}{name}.", kinds, choice, around)
        elif type(node).__name__ in kinds:
            yield f"{prefix}{name}", _said(node, f"{prefix}{name}", choice) or around


def _said(node: Any, name: str, choice: str | None) -> Reset | None:
    """Return the reset that the caller or the metadata of one node say; None for neither."""
    metadata = getattr(node, "metadata", None)
    metadata = metadata if isinstance(metadata, dict) else {}
    kind = choice or _kind(metadata, name)
    if kind is None:
        return None
    amount = metadata.get("reset_amount") if kind == "subtract" else None
    try:
        return Reset(kind, None if amount is None else positive("reset_amount", amount))
    except (TypeError, ValueError) as error:
        raise ConversionRefused(f"{name}: {error}") from error


def _kind(metadata: dict[Any, Any], name: str) -> str | None:
    said = {key: metadata[key] for key in KEYS if key in metadata}
    texts = (value.decode("utf8", "replace") if isinstance(value, bytes) else value for value in said.values())
    found = {WORDS.get(str(text).lower().replace("-", "_").replace(" ", "_")) for text in texts}
    if None in found or len(found) > 1:
        expected = 'expected "zero" or "subtract"; give reset'
        raise ConversionRefused(f"{name}: its metadata say {reprlib.repr(said)}, {expected}")
    return next(iter(found), None)


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
