"""How large each node of a run may be, and how far from the exact maps of the run's own inputs and spikes."""

import numpy as np

from ..events.inputs import Inputs
from ..maps.filters import Filter
from ..maps.pooling import Maxima
from ..numbers.arithmetic import Arithmetic
from ..numbers.exact import Dyadic, whole
from .graph import Entrance, Graph, Mean, Node, Spikes, Sum, Through

Measure = tuple[Dyadic, Dyadic]
"""Of a node: a bound of the modulus of what the run has there, and of its error, (n, 1) each."""


def measured(graph: Graph, inputs: Inputs, arithmetic: Arithmetic) -> list[Measure]:
    """Return the measures of each node; what it passes on of the errors before it is added to its own.

    Raises:
        Refused: where the run may overflow.
    """
    found: list[Measure] = []
    for node in graph.nodes:
        found.append(_measure(node, found, inputs, arithmetic))
    return found


def _measure(node: Node, found: list[Measure], inputs: Inputs, arithmetic: Arithmetic) -> Measure:
    if isinstance(node, Entrance):
        return inputs.size, inputs.size * 0
    if isinstance(node, Sum):
        (size, error), (other, more) = found[node.first], found[node.second]
        size, error = size + other, error + more
        return _with(size, error, node.error(size, arithmetic))
    size, error = found[node.source]
    if isinstance(node, Spikes):
        ones = whole(np.ones((len(size.ints), 1), dtype=int))
        return ones, ones * 0
    if isinstance(node, Maxima):
        return node.windows.largest(size), node.windows.largest(error)
    if isinstance(node, Filter):
        return node.measured(size, error, arithmetic)
    if isinstance(node, Mean):
        return _with(size, error, node.error(size, arithmetic))
    assert isinstance(node, Through)
    affine = node.affine
    return _with(affine.moduli @ size + affine.offset, affine.sizes @ error, affine.error(size, arithmetic))


def _with(size: Dyadic, error: Dyadic, own: Dyadic) -> Measure:
    return size + own, error + own
