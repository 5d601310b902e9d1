"""A NIR graph as a torch module: its equations, by forward Euler steps, node by node.

    LIF   v += (dt/τ)·((v_leak − v) + R·x)         IF   v += dt·R·x
    CubaLIF   i += (dt/τ_syn)·(w_in·x − i),  v += (dt/τ_mem)·((v_leak − v) + R·i)

spikes at v > v_threshold, then v = v_reset. Constants are arrays and apply elementwise. This is what conversions
of graphs are compared with: it shares nothing with `LIF`.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .refusal import ConversionRefused

FIRING = ("LIF", "CubaLIF", "IF")
INTEGRATING = ("LI", "CubaLI")
LARGEST = 1 << 16
"""The largest kernel, stride, padding or dilation that is taken for one."""


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
    """

    def __init__(self, node: Any, name: str, dt: float) -> None:
        super().__init__()
        self.kind, self.name, self.dt = type(node).__name__, name, dt
        given = {key: getattr(node, key, None) for key in CONSTANTS}
        _check_constants(self.kind, given)
        known = {key: np.array(value, dtype=np.float64) for key, value in given.items() if value is not None}
        self.constants = {key: torch.from_numpy(value) for key, value in known.items()}
        self.restart()

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
        self.v = torch.where(fired, c["v_reset"].to(x), self.v)
        return fired.to(x)


def _check_constants(kind: str, given: dict[str, Any]) -> None:
    """Raise unless a neuron has all constants that its equation names, as real numbers."""
    needed = NEEDED[kind] + (("v_threshold", "v_reset") if kind in FIRING else ())
    missing = [key for key in needed if given[key] is None]
    if missing:
        raise ConversionRefused(f"graph: has a {kind} without {missing[0]}")
    if any(np.iscomplexobj(value) for value in given.values()):
        raise ConversionRefused(f"graph: has a {kind} with complex constants, expected real numbers")


class SumPool(nn.Module):
    """Sum pooling."""

    def __init__(self, kernel: tuple[int, ...], stride: tuple[int, ...], padding: tuple[int, ...]) -> None:
        super().__init__()
        self.kernel, self.stride, self.padding = kernel, stride, padding

    def forward(self, x: Tensor) -> Tensor:
        """Return the sums over windows."""
        area = self.kernel[0] * self.kernel[1]
        return nn.functional.avg_pool2d(x, self.kernel, self.stride, self.padding) * area  # type: ignore[arg-type]

    def as_convolution(self, channels: int, dtype: torch.dtype) -> nn.Module:
        """Return the same as a convolution with weights of 1, each channel for itself."""
        layer = nn.Conv2d(
            channels,
            channels,
            self.kernel,  # type: ignore[arg-type]
            self.stride,  # type: ignore[arg-type]
            self.padding,  # type: ignore[arg-type]
            groups=channels,
            bias=False,
        )
        nn.init.ones_(layer.weight)
        return layer.to(dtype)


class EulerGraph(nn.Module):
    """A chain of nodes; one call is one step."""

    def __init__(self, nodes: dict[str, nn.Module]) -> None:
        super().__init__()
        self.nodes = nn.ModuleDict(nodes)

    def forward(self, x: Tensor) -> Tensor:
        """Take one step."""
        for node in self.nodes.values():
            x = node(x)
        return x


def executable(graph: Any, dt: float) -> EulerGraph:
    """Return the module of a graph that is one chain from its input to its output.

    Raises:
        ConversionRefused: for another graph, or a node that is not known.
    """
    parts = enumerate(chain(graph))
    return EulerGraph(
        {f"{index}:{name.replace('.', '_')}": _made(node, name, dt) for index, (name, node) in parts}
    )


def chain(graph: Any) -> list[tuple[str, Any]]:
    """Return the nodes between input and output, in order."""
    kinds = {name: type(node).__name__ for name, node in graph.nodes.items()}
    inputs = [name for name, kind in kinds.items() if kind == "Input"]
    if len(inputs) != 1 or list(kinds.values()).count("Output") != 1:
        raise ConversionRefused("graph: has several inputs or outputs, expected one of each")
    found, place, seen = [], inputs[0], set()
    while kinds[place] != "Output":
        seen.add(place)
        following = [end for start, end in graph.edges if start == place]
        if len(following) != 1 or following[0] in seen:
            raise ConversionRefused(f"{place}: leads to {len(following)} nodes or back, expected one chain")
        place = following[0]
        if kinds.get(place) is None:
            raise ConversionRefused(f"graph: has an edge to {place!r}, which is no node")
        if sum(end == place for _, end in graph.edges) != 1:
            raise ConversionRefused(f"{place}: adds up several inputs, expected one chain")
        found.append((place, graph.nodes[place]))
    if len(seen) + 1 != len(kinds):
        raise ConversionRefused("graph: has nodes beside the chain from input to output")
    return found[:-1]


def _module(node: Any, name: str, dt: float) -> nn.Module:
    kind = type(node).__name__
    if kind in FIRING or kind in INTEGRATING:
        return EulerNeuron(node, name, dt)
    if kind not in _LAYERS:
        known = ", ".join((*_LAYERS, *FIRING, *INTEGRATING))
        raise ConversionRefused(f"{name} (nir {kind}): is no node that is known, expected one of {known}")
    return _LAYERS[kind](node).eval()


def _made(node: Any, name: str, dt: float) -> nn.Module:
    try:
        return _module(node, name, dt)
    except ConversionRefused:
        raise
    except (AttributeError, TypeError, ValueError, IndexError, RuntimeError, OverflowError) as error:
        reason = " ".join(str(error).split())
        raise ConversionRefused(f"{name} (nir {type(node).__name__}): can't be read: {reason}") from error


def _numbers(value: Any) -> tuple[int, ...]:
    numbers = np.broadcast_to(np.asarray(value).flatten(), (2,)).tolist()
    if not all(isinstance(number, int) and 0 <= number <= LARGEST for number in numbers):
        raise ConversionRefused(f"graph: has sizes {numbers}, expected integers from 0 to {LARGEST}")
    return tuple(numbers)


def _tensor(value: Any) -> nn.Parameter:
    array = np.array(value, dtype=np.float64 if np.asarray(value).dtype == np.float64 else np.float32)
    if not np.isfinite(array).all():
        raise ConversionRefused("graph: has weights that are not finite")
    return nn.Parameter(torch.from_numpy(array))


def _dense(node: Any) -> nn.Module:
    if np.ndim(node.weight) != 2:
        raise ConversionRefused(f"graph: has a weight of shape {np.shape(node.weight)}, expected a matrix")
    bias = getattr(node, "bias", None)
    layer = nn.Linear(node.weight.shape[1], node.weight.shape[0], bias is not None)
    layer.weight = _tensor(node.weight)
    if bias is not None:
        layer.bias = _tensor(bias)
    return layer


def _conv(node: Any) -> nn.Module:
    padding = node.padding.decode() if isinstance(node.padding, bytes) else node.padding
    layer = nn.Conv2d(
        node.weight.shape[1] * int(node.groups),
        node.weight.shape[0],
        node.weight.shape[2:],
        _numbers(node.stride),  # type: ignore[arg-type]
        padding if isinstance(padding, str) else _numbers(padding),  # type: ignore[arg-type]
        _numbers(node.dilation),  # type: ignore[arg-type]
        int(node.groups),
    )
    layer.weight, layer.bias = _tensor(node.weight), _tensor(node.bias)
    return layer


def _average(node: Any) -> nn.Module:
    return nn.AvgPool2d(_numbers(node.kernel_size), _numbers(node.stride), _numbers(node.padding))  # type: ignore[arg-type]


def _sum(node: Any) -> nn.Module:
    return SumPool(_numbers(node.kernel_size), _numbers(node.stride), _numbers(node.padding))


_LAYERS = {
    "Affine": _dense,
    "Linear": _dense,
    "Conv2d": _conv,
    "AvgPool2d": _average,
    "SumPool2d": _sum,
    "Flatten": lambda node: nn.Flatten(),
}
