"""Induced norms of an operator: choose the sharpest proven method that its size and structure allow."""

from ..intervals import Interval
from ..neuron_gains import check_norm
from ..operators import LayerOperator
from .composed import composed_norm
from .held import held_norm


def operator_norm(operator: LayerOperator, input_norm: str = "l2", output_norm: str = "l2") -> Interval:
    """Return a proven interval of max ‖Ax‖_q/‖x‖_p for the operator in front of a spiking layer.

    Args:
        operator: one of `layer_operators(network)`.
        input_norm, output_norm: "l1", "l2" or "linf" for p and q.

    Returns:
        Both ends true in floating point. Dense layers and operators with a side of at most 4096: to 1e-9 and
        better (except ℓ∞→ℓ1, ℓ∞→ℓ2 and ℓ2→ℓ1, which are NP-hard). Larger ones: `composed_norm`.

    Raises:
        ValueError: for an unknown norm.
    """
    check_norm("input_norm", input_norm)
    check_norm("output_norm", output_norm)
    held = held_norm(operator, input_norm, output_norm)
    return held if held is not None else composed_norm(operator, input_norm, output_norm)
