"""Induced norms of an operator: choose the sharpest proven method that its size and structure allow."""

from ..arithmetic.intervals import Interval, add_up, multiply_up, root_up
from ..expressions import Reference
from ..gains.neuron_gains import check_norm
from ..operators import INPUT, LayerOperator, Peaks
from .composed import composed_norm
from .held import held_norm


def operator_norm(operator: LayerOperator, input_norm: str = "l2", output_norm: str = "l2") -> Interval:
    """Return a proven interval of max ‖Ax‖_q/‖x‖_p for the operator in front of a spiking layer.

    Behind max pools it is that of max ‖Ax − Ay‖_q/‖x − y‖_p, with 0 for its lower end.

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
    own = _linear_norm(operator, input_norm, output_norm)
    if not operator.peaks:
        return own
    return Interval(0.0, multiply_up(own.upper, _reach(operator, input_norm)))


def _linear_norm(operator: LayerOperator, input_norm: str, output_norm: str) -> Interval:
    held = held_norm(operator, input_norm, output_norm)
    return held if held is not None else composed_norm(operator, input_norm, output_norm)


def _reach(operator: LayerOperator, norm: str) -> float:
    """Return an upper end of ‖what the operator reads‖/‖signals‖, maxima among it, for changes in one norm.

    With c_i the Lipschitz constant of each max pool: (1 + Σ c_i^p)^{1/p}, 1 for what is read without a pool.
    """
    parts = [_lipschitz(peak, norm) for peak in operator.peaks.values()]
    parts += [1.0] * any(index >= INPUT for index in operator.sources)
    if norm == "linf":
        return max(parts)
    total = 0.0
    for part in parts:
        total = add_up(total, part if norm == "l1" else multiply_up(part, part))
    return total if norm == "l1" else root_up(total)


def _lipschitz(peak: Peaks, norm: str) -> float:
    """Return m^{1/p} times the norm of what is pooled."""
    inner = peak.inner
    if isinstance(inner.expression, Reference):
        before = _reach(inner, norm) if inner.peaks else 1.0
    else:
        before = operator_norm(inner, norm, norm).upper
    share = {"l1": float(peak.shared), "l2": root_up(float(peak.shared)), "linf": 1.0}[norm]
    return multiply_up(share, before)
