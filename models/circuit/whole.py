"""Circuits of whole numbers: every signal of a run is whole, and so exact in float64 in every order of summation.

**Statement.** Let inputs, weights and biases be whole, and let every layer that fires be of a rule of whole
numbers. While Σ|w||x| + |b| ≤ 2^51, each product, each partial sum and each potential of a run is a whole number
below 2^53, which float64 holds: nothing rounds, whatever the order or the blocking, with fused multiply-adds or
without. *Proof:* no operation leaves the whole numbers of at most 53 bits, so none has anything to round. ∎
Bounds compute with middles and radii, whole multiples of ½: the same holds for them in units of ½ up to 2^52, so
2^51 is enough.

So `Rounding.whole` pays nothing, and refuses sums that may pass 2^51. What a readout divides (spike counts by T)
rounds as elsewhere, and is paid for by the readout.
"""

import torch

from ..elements.integers import Stepped
from ..linear_maps.base import LinearMap
from ..linear_maps.convolution import ConvolutionMap
from ..linear_maps.dense import DenseMap
from ..linear_maps.entrywise import WholeInputMap
from ..linear_maps.flattening import ReshapeMap
from ..linear_maps.selecting import SelectionMap
from ..rules import Rule, plain
from .nodes import Chosen, Circuit, Filtered, Fired, Input, Mapped, Node, Read, Recurred

MAPS: tuple[type[LinearMap], ...] = (DenseMap, ConvolutionMap, ReshapeMap, SelectionMap)
"""Those whose outputs are whole where weights and inputs are."""
LARGEST = 2.0**31
"""Of a weight's modulus."""


def whole_input(circuit: Circuit) -> WholeInputMap | None:
    """Return what a circuit takes, if it is one of whole numbers; None for all others."""
    first = circuit.nodes[1]
    return first.map if isinstance(first, Mapped) and isinstance(first.map, WholeInputMap) else None


def check_whole(circuit: Circuit) -> None:
    """Raise ValueError for a circuit that is whole in part: one that begins so, or has a rule of whole numbers.

    Of a circuit that is not whole at all nothing is asked.
    """
    marked = any(isinstance(node, Mapped) and isinstance(node.map, WholeInputMap) for node in circuit.nodes)
    if not marked and not any(node.rule is not None and node.rule.whole for node in circuit.spiking):
        return
    if whole_input(circuit) is None:
        raise ValueError("network: got integer neurons without a WholeInput as the first layer, expected it there")
    if circuit.dtype != torch.float64:
        raise ValueError(f"network: got {circuit.dtype}, expected torch.float64 for whole numbers")
    for node in circuit.nodes:
        if trouble := _trouble(node, circuit):
            told = "expected whole numbers alone in a network that begins with a WholeInput"
            raise ValueError(f"network: {node.name or 'it'} {trouble}, {told}")


def _trouble(node: Node, circuit: Circuit) -> str:
    """Return why a node's numbers may not be whole, or nothing."""
    if isinstance(node, Input):
        return "" if node.encoding in ("direct", "none") else f"has encoding {node.encoding!r}"
    if isinstance(node, Mapped):
        return _map_trouble(node)
    if isinstance(node, Filtered):
        return "" if node.filter.moves else f"is a synapse of decay {node.filter.decay}"
    if isinstance(node, Chosen):
        return "is of its own at each step"
    if isinstance(node, Fired):
        return "" if node.rule.whole else f"has neurons of rule {type(node.rule).__name__}"
    if isinstance(node, Recurred):
        return "hears its own spikes"
    return _read_trouble(node, circuit) if isinstance(node, Read) else ""


def _map_trouble(node: Mapped) -> str:
    if isinstance(node.map, WholeInputMap) and node.sources != (0,):
        return "is a WholeInput behind another layer"
    if not isinstance(node.map, MAPS):
        return f"is {node.map}"
    for tensor in node.map.tensors:
        if not bool(((tensor == tensor.round()) & (tensor.abs() <= LARGEST)).all()):
            return f"has weights that are not whole, or above {LARGEST:.0f}"
    return ""


def _read_trouble(node: Read, circuit: Circuit) -> str:
    if node.readout == "mean":
        return 'is read as a mean, which divides by T (readout="potential" does not)'
    if node.rule is not None:
        if isinstance(node.rule, Stepped) and not node.rule.leak.keeps and node.readout != "potential":
            return f"reads potentials that leak by {node.readout!r}"
        return "" if _adds(node.rule) else "is read by neurons whose potentials are no sums of whole numbers"
    last = circuit.last
    if node.readout in ("spikes", "first") and isinstance(last, Fired) and getattr(last.rule, "most", 1) > 1:
        return f"is read by spikes of neurons that may fire {getattr(last.rule, 'most', 1)} times a step"
    return ""


def _adds(rule: Rule) -> bool:
    """Return whether potentials are sums of currents: they keep all, or nothing, or all but one unit a step."""
    if isinstance(rule, Stepped):
        unit = rule.leak.cut == "dash" and rule.leak.shift >= rule.bits - 1
        return (rule.leak.keeps or unit) and rule.synapse is None and not rule.towards
    return plain(rule) and rule.decay in (0.0, 1.0) and rule.scale is None and rule.reset == "none"
