"""How large each node of a run may be, and how far from the exact maps of the run's own inputs and spikes.

A bound of a modulus is 0 only where the run has 0: a spike's where it surely does not fire. Behind the last layer
that keeps time the run may take the mean first: it is no larger than some step's number. A synapse mixes steps.
"""

from ..events.inputs import Inputs
from ..maps.affine import Filter
from ..maps.pooling import Maxima
from ..numbers.exact import Arithmetic, Dyadic, marks
from .graph import Entrance, Node, Spikes, Sum, Through

Measure = tuple[Dyadic, Dyadic]
"""Of a node: a bound of the modulus of what the run has there, and of its error, (n, 1) or (n, T) each."""


def measure_of(node: Node, found: list[Measure], inputs: Inputs, arithmetic: Arithmetic) -> Measure:
    """Return the measures of a node that is no spikes, from those of the nodes before it.

    Raises:
        Refused: where the run may overflow.
    """
    if isinstance(node, Entrance):
        return inputs.size, inputs.size * 0
    if isinstance(node, Sum):
        (size, error), (other, more) = found[node.first], found[node.second]
        size, error = size + other, error + more
        own = node.error(size, arithmetic) * marks(size)
        return size + own, error + own
    assert not isinstance(node, Spikes)
    size, error = found[node.source]
    if isinstance(node, Through):
        made, own = node.affine.measured(size, arithmetic)
        return made, node.affine.sizes @ error + own
    if isinstance(node, Maxima):
        return node.windows.largest(size), node.windows.largest(error)
    size, error = (Dyadic(part.ints.max(1, keepdims=True), part.shift) for part in (size, error))
    if isinstance(node, Filter):
        return node.measured(size, error, arithmetic)
    own = node.error(size, arithmetic) * marks(size)
    return size + own, error + own
