"""A network as a NIR graph, where NIR can say it: resets, no input scale, spikes strictly above a threshold.

λ = 1 − dt/τ and R = τ/dt undo each other in one forward Euler step, v[t] = λ·v[t−1] + x[t]; λ = 1 is an IF of
R = 1/dt. A neuron that fires at v ≥ θ gets the largest number below θ (in the network's dtype) as its threshold:
v > pred(θ) iff v ≥ θ, for every v of that dtype. Each neuron's metadata say which reset it has (nir_neurons.py):
tools that do not read them take a subtraction for a hard reset.

A synapse in front of such a layer is the current of a CubaLIF, κ = 1 − dt/τ_syn with w_in = τ_syn/dt; a delay is a
Delay.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...circuit import leaky_rule
from ...constants import positive
from ...elements.layers import Residual
from ...elements.neurons import LIF
from ...elements.recurrent import Recurrent
from ...elements.synapses import Synapse
from ...linear_maps.averaging import Share
from ...networks import SpikingNetwork
from ..refusal import ConversionRefused
from .nir_reading import DT, import_nir


def to_nir(network: SpikingNetwork, sample: Tensor, dt: float = DT) -> Any:
    """Return the `nir.NIRGraph` of a network; T, dt and readout go into its metadata.

    Args:
        network: of Linear, Conv2d, AvgPool2d, Flatten and LIF layers that reset, delays, synapses in front of
            neurons, and residual sums of them.
        sample: one batch of inputs, for their shape.
        dt: the time step that τ is counted in, seconds.

    Raises:
        TypeError: for a neuron of another recursion than LIF's.
        ConversionRefused: for a neuron that fires and does not reset, an input scale, batch norm, a rate code or a
            latency code.
        ImportError: without nir.

    References: pedersen2024neuromorphic
    """
    nir, dt = import_nir(), positive("dt", dt)
    if network.encoding == "rate":
        raise ConversionRefused("network: has encoding 'rate', whose draws NIR has not; expected direct or none")
    if network.encoding == "latency":
        raise ConversionRefused("network: has encoding 'latency', which NIR has not; expected direct or none")
    writer = _GraphWriter(nir, network, dt)
    signal = sample[:1, 0] if network.timed else sample[:1]
    first = writer.add(nir.Input(np.array(tuple(signal.shape[1:]))), [])
    with torch.no_grad():
        ends, signal = writer.written(network.layers, [first], signal, "")
    writer.add(nir.Output(np.array(tuple(signal.shape[1:]))), ends)
    graph = nir.NIRGraph(writer.nodes, writer.edges, type_check=False)
    graph.metadata = {"num_steps": network.num_steps, "dt": dt, "readout": network.readout}
    return graph


@dataclass
class _GraphWriter:
    """Writes layers as nodes, and sums as several edges to one node, which NIR adds up."""

    nir: Any
    network: SpikingNetwork
    dt: float
    nodes: dict[str, Any] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)

    def add(self, node: Any, sources: list[str]) -> str:
        """Add a node that is given the sum of others; return its name, that of its kind and a number."""
        kind = type(node).__name__.lower()
        count = sum(type(other) is type(node) for other in self.nodes.values())
        name = f"{kind}_{count}" if count else kind
        self.nodes[name] = node
        self.edges += [(source, name) for source in sources]
        return name

    def written(
        self, layers: nn.ModuleList, sources: list[str], signal: Tensor, prefix: str
    ) -> tuple[list[str], Tensor]:
        """Write layers that are given the sum of `sources`; return what their output is the sum of, and its shape.

        `signal` is one step of what they are given, of whose values only the shape counts.
        """
        synapse: Synapse | None = None
        for index, layer in enumerate(layers):
            name = f"{prefix}{index}"  # of the layer, for errors
            if isinstance(layer, Synapse):
                shape = tuple(signal.shape[1:])
                follows = layers[index + 1] if index + 1 < len(layers) else None
                sources = self._delayed(layer, shape, sources)
                synapse = _current_of(layer, follows, f"layer {name}")
            elif isinstance(layer, Residual):
                branch, made = self.written(layer.branch, sources, signal, f"{name}.branch.")
                shortcut, _ = self.written(layer.shortcut, sources, signal, f"{name}.shortcut.")
                sources, signal = self._distinct(name, [*branch, *shortcut]), made
            else:
                shape = tuple(signal.shape[1:])
                if isinstance(layer, Recurrent):
                    sources = [self._loop(layer, name, shape, synapse, sources)]
                else:
                    sources = [self.add(self._node(layer, name, shape, synapse), sources)]
                synapse = None
                signal = signal if isinstance(layer, LIF) else layer(signal)
        return sources, signal

    def _loop(
        self, layer: Recurrent, name: str, shape: tuple[int, ...], synapse: Synapse | None, sources: list[str]
    ) -> str:
        """Write a neuron, and the map of its own spikes that leads back to it."""
        told, own = f"layer {name} (Recurrent)", layer.synapse
        if synapse is not None:
            raise ConversionRefused(f"{told}: has a synapse before it, through which it would hear itself in NIR")
        if own is not None and own.delay:
            raise ConversionRefused(f"{told}: hears itself late by {own.delay + 1} steps, as no NIR neuron does")
        own = None if own is None else _current_of(own, layer.neuron, told)
        neuron = self.add(self._node(layer.neuron, name, shape, own), sources)
        heard = self.add(self._node(layer.feedback, f"{name}.feedback", shape, None), [neuron])
        self.edges.append((heard, neuron))
        return neuron

    def _distinct(self, name: str, sources: list[str]) -> list[str]:
        """Raise where a sum holds one signal twice: of two edges between the same nodes readers keep one."""
        if len(set(sources)) < len(sources):
            raise ConversionRefused(f"layer {name} (Residual): adds one signal twice, which NIR's edges can't say")
        return sources

    def _delayed(self, layer: Synapse, shape: tuple[int, ...], sources: list[str]) -> list[str]:
        """Write the delay of a synapse, if it has one."""
        if layer.delay == 0:
            return sources
        return [self.add(self.nir.Delay(np.full(shape, layer.delay * self.dt)), sources)]

    def _node(self, layer: nn.Module, name: str, shape: tuple[int, ...], synapse: Synapse | None) -> Any:
        told = f"layer {name} ({type(layer).__name__})"
        if isinstance(layer, LIF):
            final = layer is self.network.layers[-1] and self.network.reads_potentials
            node = _neuron(self.nir, layer, told, shape, self.network, final, self.dt)
            return node if synapse is None else _second_order(self.nir, node, synapse, told, self.dt)
        write = _WRITE.get(type(layer))
        if write is None:
            known = ", ".join(kind.__name__ for kind in (*_WRITE, LIF))
            raise ConversionRefused(f"{told}: is not written, expected one of {known}")
        return write(self.nir, layer, shape)


def _neuron(
    nir: Any, layer: LIF, name: str, shape: tuple[int, ...], network: SpikingNetwork, final: bool, dt: float
) -> Any:
    d = leaky_rule(layer, network.num_steps, name)
    if d.scale is not None:
        raise ConversionRefused(f"{name}: has an input scale over time, which NIR has not")
    tau = None if d.decay == 1.0 else dt / (1.0 - d.decay)
    full, zero = (lambda value: np.full(shape, value, dtype=np.float64)), np.zeros(shape)
    if final:
        if tau is None:
            raise ConversionRefused(f"{name}: integrates without a leak, which NIR's LI can't")
        return nir.LI(tau=full(tau), r=full(tau / dt), v_leak=zero)
    if d.reset == "none":
        raise ConversionRefused(f"{name}: has reset 'none', and neurons of NIR that fire reset")
    threshold, amount = torch.tensor([d.threshold, d.drop], dtype=network.dtype)
    if d.fires_at == ">=":
        threshold = torch.nextafter(threshold, torch.zeros_like(threshold))
    told: dict[str, Any] = {"reset": d.reset}
    if d.reset == "subtract" and amount != threshold:
        told["reset_amount"] = amount.item()
    ends = {"v_threshold": full(threshold.item()), "v_reset": zero, "metadata": told}
    if tau is None:
        return nir.IF(r=full(1.0 / dt), **ends)
    return nir.LIF(tau=full(tau), r=full(tau / dt), v_leak=zero, **ends)


def _current_of(layer: Synapse, follows: nn.Module | None, name: str) -> Synapse | None:
    """Return the synapse that the neuron behind it takes in; None for a delay alone."""
    if layer.decay == 0.0:
        return None
    if not isinstance(follows, LIF):
        raise ConversionRefused(f"{name} (Synapse): is in front of no neuron, and NIR has them in neurons only")
    if layer.decay == 1.0:
        raise ConversionRefused(f"{name} (Synapse): keeps all of its current, which NIR's synapses can't")
    return layer


def _second_order(nir: Any, node: Any, synapse: Synapse, name: str, dt: float) -> Any:
    """Return the CubaLIF or CubaLI of a LIF or LI behind a synapse."""
    if isinstance(node, nir.IF):
        raise ConversionRefused(f"{name}: integrates without a leak behind a synapse, which NIR's CubaLIF can't")
    tau = np.full(node.tau.shape, dt / (1.0 - synapse.decay))
    constants = {"tau_syn": tau, "tau_mem": node.tau, "r": node.r, "v_leak": node.v_leak, "w_in": tau / dt}
    if isinstance(node, nir.LI):
        return nir.CubaLI(**constants)
    ends = {"v_threshold": node.v_threshold, "v_reset": node.v_reset, "metadata": node.metadata}
    return nir.CubaLIF(**constants, **ends)


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()


def _linear(nir: Any, layer: Any, shape: tuple[int, ...]) -> Any:
    if layer.bias is None:
        return nir.Linear(weight=_array(layer.weight))
    return nir.Affine(weight=_array(layer.weight), bias=_array(layer.bias))


def _conv(nir: Any, layer: Any, shape: tuple[int, ...]) -> Any:
    if layer.padding_mode != "zeros":
        raise ConversionRefused(f"Conv2d: has padding_mode {layer.padding_mode!r}, and NIR zeros only")
    weight = _array(layer.weight)
    bias = np.zeros(len(weight), dtype=weight.dtype) if layer.bias is None else _array(layer.bias)
    return nir.Conv2d(
        input_shape=shape[1:],
        weight=weight,
        stride=layer.stride,
        padding=layer.padding,
        dilation=layer.dilation,
        groups=layer.groups,
        bias=bias,
    )


def _conv_of_sequences(nir: Any, layer: Any, shape: tuple[int, ...]) -> Any:
    if layer.padding_mode != "zeros":
        raise ConversionRefused(f"Conv1d: has padding_mode {layer.padding_mode!r}, and NIR zeros only")
    weight = _array(layer.weight)
    bias = np.zeros(len(weight), dtype=weight.dtype) if layer.bias is None else _array(layer.bias)
    padding = layer.padding if isinstance(layer.padding, str) else layer.padding[0]
    return nir.Conv1d(shape[1], weight, layer.stride[0], padding, layer.dilation[0], layer.groups, bias)


def _share(nir: Any, layer: Any, shape: tuple[int, ...]) -> Any:
    return nir.Scale(np.full(shape, float(layer.share.detach())))


def _pool(nir: Any, layer: Any, shape: tuple[int, ...]) -> Any:
    if layer.ceil_mode or layer.divisor_override is not None or (layer.padding and not layer.count_include_pad):
        raise ConversionRefused("AvgPool2d: has settings that NIR has not")
    pairs = (layer.kernel_size, layer.stride, layer.padding)
    return nir.AvgPool2d(*(np.broadcast_to(np.array(pair), (2,)).copy() for pair in pairs))


def _flatten(nir: Any, layer: Any, shape: tuple[int, ...]) -> Any:
    if (layer.start_dim, layer.end_dim) != (1, -1):
        raise ConversionRefused("Flatten: has dimensions of its own, expected all behind the batch")
    return nir.Flatten({"input": np.array(shape)}, 0, -1)


_WRITE: dict[type[nn.Module], Callable[..., Any]] = {
    nn.Linear: _linear,
    nn.Conv1d: _conv_of_sequences,
    nn.Conv2d: _conv,
    nn.AvgPool2d: _pool,
    nn.Flatten: _flatten,
    Share: _share,
}
