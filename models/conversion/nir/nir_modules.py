"""A NIR graph as a torch module, node by node; its neurons are in nir_neurons.py.

A Delay hands on what it was given so many steps before. This is what conversions of graphs are compared with: it
shares nothing with `LIF`.

Graphs in graphs as one graph, and the loops of neurons that hear themselves.

A recurrent edge carries what the neuron gave one step before, as in snnTorch's exports; the first step hears
zeros. Only the loop of a neuron and one affine node that reads it alone, and leads to it alone, is taken.
"""

import operator
from collections.abc import Callable, Iterator
from functools import reduce
from graphlib import CycleError, TopologicalSorter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...validation import one_line
from ..refusal import ConversionRefused
from .nir_neurons import FIRING, INTEGRATING, EulerNeuron, IntegratorNode, Reset, ScalingNode, StepNode, resets

Edges = list[tuple[str, str]]
DENSE = ("Affine", "Linear", "Conv2d")
"""Nodes through which a neuron may hear itself."""
MOST_LEVELS = 8
"""Graphs within each other."""


def flattened(graph: Any) -> tuple[dict[str, Any], Edges]:
    """Return the nodes and edges of a graph, those of graphs within it under their names.

    Raises:
        ConversionRefused: for graphs too deep within each other, or one with several inputs or outputs.
    """
    nodes, edges = dict(graph.nodes), [(str(start), str(end)) for start, end in graph.edges]
    for _ in range(MOST_LEVELS):
        inner = [name for name, node in nodes.items() if type(node).__name__ == "NIRGraph"]
        if not inner:
            return nodes, edges
        for name in inner:
            nodes, edges = _opened(name, nodes, edges)
    raise ConversionRefused(f"graph: holds graphs within each other, more than {MOST_LEVELS} deep")


def _opened(name: str, nodes: dict[str, Any], edges: Edges) -> tuple[dict[str, Any], Edges]:
    """Return a graph with the nodes of the graph `name` in its place."""
    inner = nodes[name].nodes
    ends = [[key for key, node in inner.items() if type(node).__name__ == kind] for kind in ("Input", "Output")]
    if any(len(found) != 1 for found in ends):
        raise ConversionRefused(f"{name} (NIRGraph): has several inputs or outputs, expected one of each")
    first, last = (f"{name}.{found[0]}" for found in ends)
    within = {f"{name}.{key}": node for key, node in inner.items() if f"{name}.{key}" not in (first, last)}
    strangers = sorted(within.keys() & nodes.keys())
    if strangers:
        raise ConversionRefused(f"graph: has two nodes {strangers[0]!r}")
    around = [(last if start == name else start, first if end == name else end) for start, end in edges]
    whole = around + [(f"{name}.{start}", f"{name}.{end}") for start, end in nodes[name].edges]
    made = {key: node for key, node in nodes.items() if key != name} | within
    return made, _passed(_passed(whole, first), last)


def _passed(edges: Edges, name: str) -> Edges:
    """Return edges that lead past a node, which hands on the sum of what it is given."""
    sources = [start for start, end in edges if end == name]
    found = [pair for edge in edges for pair in (_past(edge, name, sources) if name in edge else [edge])]
    if len(set(found)) < len(found):
        raise ConversionRefused(f"{name}: adds one signal twice, expected sums of different ones")
    return found


def _past(edge: tuple[str, str], name: str, sources: list[str]) -> Iterator[tuple[str, str]]:
    if edge[0] == name:
        yield from ((source, edge[1]) for source in sources)


def without_loops(
    sources: dict[str, list[str]], kinds: dict[str, str], firing: tuple[str, ...]
) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Return what leads to each node besides loops, and the node through which each neuron hears itself.

    Args:
        sources: what leads to each node.
        kinds: of the nodes.
        firing: the kinds that fire.
    """
    loops: dict[str, str] = {}
    for name, found in sources.items():
        readers = [key for key, given in sources.items() if name in given]
        if kinds[name] not in DENSE or len(found) != 1 or readers != found or kinds[found[0]] not in firing:
            continue
        if found[0] not in loops and len(sources[found[0]]) > 1:
            loops[found[0]] = name
    left = {name: [key for key in found if loops.get(name) != key] for name, found in sources.items()}
    return left, loops


LARGEST = 1 << 16
"""The largest kernel, stride, padding or dilation that is taken for one."""


class SumPool(nn.Module):
    """Sum pooling."""

    def __init__(self, kernel: tuple[int, ...], stride: tuple[int, ...], padding: tuple[int, ...]) -> None:
        super().__init__()
        self.kernel, self.stride, self.padding = kernel, stride, padding

    def forward(self, x: Tensor) -> Tensor:
        """Return the sums over windows."""
        area = self.kernel[0] * self.kernel[1]
        return nn.functional.avg_pool2d(x, self.kernel, self.stride, self.padding) * area  # type: ignore[arg-type]


class DelayLine(nn.Module):
    """One Delay node; keeps what it was given from call to call until `restart`.

    Args:
        steps: by how many steps all its entries come late.
    """

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.restart()

    def restart(self) -> None:
        """Forget all that was given."""
        self.waiting: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        """Take one step; return what was given `steps` calls ago, 0 before."""
        self.waiting.append(x)
        return self.waiting.pop(0) if len(self.waiting) > self.steps else torch.zeros_like(x)


class EulerGraph(nn.Module):
    """Nodes, each given the sum of what its sources gave; one call is one step.

    Args:
        nodes: in an order in which none comes before its sources.
        sources: by name, of each node and of "" for the graph's output; "" there stands for the input.
        loops: the node through which a neuron hears what it gave one step before, by the neuron.
    """

    def __init__(
        self, nodes: dict[str, nn.Module], sources: dict[str, tuple[str, ...]], loops: dict[str, str]
    ) -> None:
        super().__init__()
        self.nodes, self.sources, self.loops = nn.ModuleDict(nodes), sources, loops
        self.restart()

    def restart(self) -> None:
        """Forget what neurons gave."""
        self.last: dict[str, Tensor] = {}

    def forward(self, x: Tensor) -> Tensor:
        """Take one step."""
        signals = {"": x}
        for name, node in self.nodes.items():
            if name not in self.loops.values():
                given = self._given(name, signals)
                signals[name] = node(given + self._heard(name, given) if name in self.loops else given)
        self.last = {name: signals[name] for name in self.loops}
        return self._given("", signals)

    def _heard(self, name: str, given: Tensor) -> Tensor:
        """Return what a neuron hears of itself."""
        before = self.last[name] if name in self.last else torch.zeros_like(given)
        found = self.nodes[self.loops[name]](before)
        if found.shape != given.shape:
            shapes = f"{tuple(found.shape[1:])} and {tuple(given.shape[1:])}"
            raise ConversionRefused(f"{name}: hears itself through a node that makes {shapes} of one shape")
        return found

    def _given(self, name: str, signals: dict[str, Tensor]) -> Tensor:
        """Return what a node is given, summed in the order of its sources."""
        return reduce(operator.add, (signals[source] for source in self.sources[name]))


def executable(graph: Any, dt: float, reset: str | None = None) -> EulerGraph:
    """Return the module of a graph without cycles, but for neurons that hear themselves.

    Args:
        graph: a `nir.NIRGraph`.
        dt: the time step, seconds.
        reset: "zero" or "subtract"; None: what the metadata say, else "zero".

    Raises:
        ConversionRefused: for another graph, or a node that is not known.
    """
    nodes, edges = flattened(graph)
    kinds = {name: type(node).__name__ for name, node in nodes.items()}
    sources, loops = without_loops(_sources(kinds, edges), kinds, FIRING)
    ends = {kind: name for name, kind in kinds.items()}
    order = [name for name in _ordered(sources) if name not in (ends["Input"], ends["Output"])]
    names = {name: f"{index}:{name.replace('.', '_')}" for index, name in enumerate(order)}
    names |= {ends["Input"]: "", ends["Output"]: ""}
    given = {names[name]: tuple(names[source] for source in found) for name, found in sources.items() if found}
    heard = {names[neuron]: names[node] for neuron, node in loops.items()}
    told = resets(graph, FIRING, reset)
    return EulerGraph({names[name]: _made(nodes[name], name, dt, told.get(name)) for name in order}, given, heard)


def _sources(kinds: dict[str, str], edges: list[tuple[str, str]]) -> dict[str, list[str]]:
    """Return what leads to each node, in the order of the edges."""
    if any(list(kinds.values()).count(end) != 1 for end in ("Input", "Output")):
        raise ConversionRefused("graph: has several inputs or outputs, expected one of each")
    sources: dict[str, list[str]] = {name: [] for name in kinds}
    for start, end in edges:
        stranger = next((name for name in (start, end) if name not in kinds), None)
        if stranger is not None:
            raise ConversionRefused(f"graph: has an edge at {stranger!r}, which is no node")
        if kinds[start] == "Output":
            raise ConversionRefused(f"{start} (Output): leads to {end!r}, expected it to be the end")
        sources[end].append(start)
    for name, found in sources.items():
        if bool(found) == (kinds[name] == "Input"):
            told = f"leads on from {found}" if found else "is given nothing"
            raise ConversionRefused(f"{name} ({kinds[name]}): {told}, expected a way from input to output")
    return sources


def _ordered(sources: dict[str, list[str]]) -> list[str]:
    """Return the nodes, each behind its sources."""
    try:
        return list(TopologicalSorter(sources).static_order())
    except CycleError as error:
        cycle = " → ".join(str(name) for name in error.args[1])
        expected = "no cycle, or a neuron that hears itself through one affine node alone"
        raise ConversionRefused(f"graph: is recurrent ({cycle}), expected {expected}") from error


def _module(node: Any, name: str, dt: float, reset: Reset | None) -> nn.Module:
    kind = type(node).__name__
    if kind in FIRING or kind in INTEGRATING:
        return EulerNeuron(node, name, dt, reset)
    if kind == "Delay":
        return DelayLine(_steps(node.delay, name, dt))
    if kind in _POINTWISE:
        return _POINTWISE[kind](node, name, dt)
    if kind not in _LAYERS:
        known = ", ".join((*_LAYERS, "Delay", *_POINTWISE, *FIRING, *INTEGRATING))
        raise ConversionRefused(f"{name} (nir {kind}): is no node that is known, expected one of {known}")
    return _LAYERS[kind](node).eval()


def _steps(delay: Any, name: str, dt: float) -> int:
    """Return a delay in steps of dt, one for all entries."""
    counts = np.unique(np.asarray(delay, dtype=np.float64) / dt)
    steps = round(float(counts[0]))
    if not 0 <= steps <= LARGEST or np.abs(counts - steps).max() > 1e-4:
        told = ", ".join(f"{count:g}" for count in counts[:3])
        raise ConversionRefused(f"{name} (nir Delay): waits {told} steps of dt, expected one whole number")
    return steps


def _made(node: Any, name: str, dt: float, reset: Reset | None) -> nn.Module:
    try:
        return _module(node, name, dt, reset)
    except ConversionRefused:
        raise
    except (AttributeError, TypeError, ValueError, IndexError, RuntimeError, OverflowError) as error:
        told = f"{name} (nir {type(node).__name__}): can't be read: {one_line(error)}"
        raise ConversionRefused(told) from error


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


def _conv_of_sequences(node: Any) -> nn.Module:
    padding = node.padding.decode() if isinstance(node.padding, bytes) else node.padding
    (stride, _), (dilation, _) = _numbers(node.stride), _numbers(node.dilation)
    groups = int(node.groups)
    layer = nn.Conv1d(
        node.weight.shape[1] * groups,
        node.weight.shape[0],
        node.weight.shape[2],
        stride,
        padding if isinstance(padding, str) else _numbers(padding)[0],
        dilation,
        groups,
    )
    layer.weight, layer.bias = _tensor(node.weight), _tensor(node.bias)
    return layer


_POINTWISE: dict[str, Callable[[Any, str, float], nn.Module]] = {
    "Scale": lambda node, name, dt: ScalingNode(node, name),
    "Threshold": lambda node, name, dt: StepNode(node, name),
    "I": IntegratorNode,
}
_LAYERS = {
    "Affine": _dense,
    "Linear": _dense,
    "Conv1d": _conv_of_sequences,
    "Conv2d": _conv,
    "AvgPool2d": _average,
    "SumPool2d": _sum,
    "Flatten": lambda node: nn.Flatten(),
}
