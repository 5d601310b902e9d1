"""Products of spikes, as SEW's AND and IAND: neurons without memory, where both signals are proven to be 0 or 1.

    a·b = 1[a + b ≥ 3/2],      a·(1 − b) = 1[a − b ≥ 1/2],      a, b ∈ {0, 1},

and sums of such numbers are exact in floats. Thresholds are halfway between two sums, so that bounds, which pay
for rounding, leave no spike open that a and b decide.
"""

from collections.abc import Iterator, Mapping

from torch import Tensor, nn

from spikecert.models.conversion.refusal import ConversionRefused
from spikecert.models.elements.max_pooling import MAX_POOLS

from ..layers import is_of, kind_of
from ..neurons import ForeignNeuron
from .data_flow import Adjusted, Gate, Gave, Joined, Origin, told, value
from .observed_layers import ObservedLayer
from .places import at

POOLS = tuple(kind.__name__ for kind in MAX_POOLS)


def with_gates(layers: Mapping[str, ObservedLayer], gates: Mapping[str, Gate]) -> dict[str, ObservedLayer]:
    """Return layers and, as layers, the gates that some layer is given; each gate behind the gates that it reads.

    Raises:
        ConversionRefused: for a product of signals that are not proven to be 0 or 1.
    """
    known = dict(layers)
    for observed in layers.values():
        for gate in _read(observed.origin, gates):
            if gate.name not in known:
                known[gate.name] = _observed(gate, known)
    return known


def _read(origin: Origin, gates: Mapping[str, Gate]) -> Iterator[Gate]:
    """Yield the gates that a signal is made of, the first ones first."""
    if isinstance(origin, Joined):
        yield from _read(origin.one, gates)
        yield from _read(origin.other, gates)
    elif isinstance(origin, Adjusted):
        yield from _read(origin.source, gates)
    elif origin.name in gates:
        gate = gates[origin.name]
        yield from _read(gate.current, gates)
        yield gate


def _observed(gate: Gate, layers: Mapping[str, ObservedLayer]) -> ObservedLayer:
    """Return a gate as a layer of neurons without memory."""
    for source in (gate.one, gate.other):
        if not _is_binary(source, layers):
            raise ConversionRefused(
                f"module: multiplies {told(gate.one)} by {told(gate.other)}{at(gate.place)}, and {told(source)} "
                "is no layer's spikes; expected products of spikes, a·b or a·(1 − b), or by constants"
            )
    one, other, current = (
        value(part, lambda name: layers[name].gave) for part in (gate.one, gate.other, gate.current)
    )
    if one is None or other is None or current is None:
        raise ConversionRefused(
            f"module: multiplies {told(gate.one)} by {told(gate.other)}, of another shape{at(gate.place)}"
        )
    neuron = ForeignNeuron(gate.name, 0.0, threshold=gate.threshold, reset="none", fires_at=">=")
    gave: Tensor = one * (1 - other) if gate.inverted else one * other
    return ObservedLayer(gate.name, nn.Identity(), neuron, gate.current, current, gave)


def _is_binary(origin: Origin, layers: Mapping[str, ObservedLayer]) -> bool:
    """Return whether a signal is proven to be 0 or 1: spikes, their products, and their maxima."""
    if not isinstance(origin, Gave) or origin.name not in layers:
        return False
    observed = layers[origin.name]
    if observed.neuron is not None:
        return observed.neuron.threshold is not None
    pools = kind_of(observed.module) in POOLS and is_of(observed.module, "torch", "spikingjelly")
    return pools and _is_binary(observed.origin, layers)
