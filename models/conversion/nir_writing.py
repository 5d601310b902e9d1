"""A network as a NIR graph, where NIR can say it: hard resets, no input scale, spikes strictly above a threshold.

λ = 1 − dt/τ and R = τ/dt undo each other in one forward Euler step, v[t] = λ·v[t−1] + x[t]; λ = 1 is an IF of
R = 1/dt. A neuron that fires at v ≥ θ gets the largest number below θ (in the network's dtype) as its threshold:
v > pred(θ) iff v ≥ θ, for every v of that dtype.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..circuit import leaky_rule
from ..constants import positive
from ..layers import Residual
from ..networks import SpikingNetwork
from ..neurons import LIF
from .nir_reading import DT, import_nir
from .refusal import ConversionRefused


def to_nir(network: SpikingNetwork, sample: Tensor, dt: float = DT) -> Any:
    """Return the `nir.NIRGraph` of a network; T, dt and readout go into its metadata.

    Args:
        network: a chain of Linear, Conv2d, AvgPool2d, Flatten and hard-reset LIF layers.
        sample: one batch of inputs, for their shape.
        dt: the time step that τ is counted in, seconds.

    Raises:
        TypeError: for a neuron of another recursion than LIF's.
        ConversionRefused: for a soft reset, an input scale, batch norm, a residual sum, or a rate code.
        ImportError: without nir.

    References: pedersen2024neuromorphic
    """
    nir, dt = import_nir(), positive("dt", dt)
    if network.encoding == "rate":
        raise ConversionRefused("network: has encoding 'rate', whose draws NIR has not; expected direct or none")
    with torch.no_grad():
        shapes = _shapes(network, sample)
    nodes = [_node(nir, layer, index, shapes[index], network, dt) for index, layer in enumerate(network.layers)]
    ends = nir.Input(np.array(shapes[0])), nir.Output(np.array(shapes[-1]))
    graph = nir.NIRGraph.from_list(ends[0], *nodes, ends[1], type_check=False)
    graph.metadata = {"num_steps": network.num_steps, "dt": dt, "readout": network.readout}
    return graph


def _shapes(network: SpikingNetwork, sample: Tensor) -> list[tuple[int, ...]]:
    """Return the shape of one step before each layer, and behind the last."""
    signal = sample[:1, 0] if network.timed else sample[:1]
    shapes = [tuple(signal.shape[1:])]
    for index, layer in enumerate(network.layers):
        if isinstance(layer, Residual):
            raise ConversionRefused(f"layer {index} (Residual): NIR adds up signals, but no reader of chains does")
        signal = signal if isinstance(layer, LIF) else layer(signal)
        shapes.append(tuple(signal.shape[1:]))
    return shapes


def _node(
    nir: Any, layer: nn.Module, index: int, shape: tuple[int, ...], network: SpikingNetwork, dt: float
) -> Any:
    if isinstance(layer, LIF):
        final = index == len(network.layers) - 1 and network.readout == "potential"
        name = f"layer {index} ({type(layer).__name__})"
        return _neuron(nir, layer, name, shape, network, final, dt)
    write = _WRITE.get(type(layer))
    if write is None:
        known = ", ".join(kind.__name__ for kind in (*_WRITE, LIF))
        raise ConversionRefused(f"layer {index} ({type(layer).__name__}): is not written, expected one of {known}")
    return write(nir, layer, shape)


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
    if d.reset != "zero":
        raise ConversionRefused(f"{name}: has reset {d.reset!r}, and NIR a hard reset only")
    threshold = torch.tensor(d.threshold, dtype=network.dtype)
    if d.fires_at == ">=":
        threshold = torch.nextafter(threshold, torch.zeros_like(threshold))
    level = full(threshold.item())
    if tau is None:
        return nir.IF(r=full(1.0 / dt), v_threshold=level, v_reset=zero)
    return nir.LIF(tau=full(tau), r=full(tau / dt), v_leak=zero, v_threshold=level, v_reset=zero)


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
    nn.Conv2d: _conv,
    nn.AvgPool2d: _pool,
    nn.Flatten: _flatten,
}
