"""The gain of a neuron behind synapses: H·diag(a) after the filters F_1, …, F_m over time, as a proven upper end.

    ‖H·diag(a)·F_1⋯F_m‖_{p→q}, all matrices T × T.

Filters over time commute with the affine layers between them and the neuron, so that a layer's map is
(H·diag(a)·F ⊗ W), and the theorem of `gains` holds with |H·diag(a)|·F, whose entries are nonnegative, in the place
of H·diag(a). Two upper ends, of which the lesser counts:

* the product ‖H·diag(a)‖_{p→q}·Π‖F_i‖_{p→p}. A delay only moves a sequence, which makes no norm greater: it counts
  as 1. Over an infinite horizon it is the gain for ℓ1→ℓ1, ℓ2→ℓ2 and ℓ∞→ℓ∞: of kernels ≥ 0 that is Σ_n h[n];
* over up to `LARGEST` steps, the norm of the explicit product. Its entries are at least the exact ones: each
  factor's are rounded up, and a sum of T products of numbers ≥ 0 loses at most a share γ_{T+2}, and underflow.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ...models.elements.synapses import TemporalFilter
from ..arithmetic.intervals import accumulated, multiply_up
from ..lmi import BoundedRealCertificate, bounded_real, cuba
from ..norms import matrix_norm
from .gain_methods import METHODS, response_matrix
from .neuron_gains import neuron_gain

LARGEST = 256
"""The most steps whose matrices are multiplied."""


def filtered_gain(
    filters: Sequence[TemporalFilter],
    decay: float,
    horizon: float,
    input_norm: str,
    output_norm: str,
    input_scale: Sequence[float] | None,
    method: str = "closed_form",
) -> float:
    """Return a proven upper end of ‖H·diag(a)·F_1⋯F_m‖_{p→q} over T steps.

    Args:
        filters: F, none for the gain of the neuron alone.
        decay, horizon, input_norm, output_norm, input_scale: as of `neuron_gain`.
        method: of `METHODS`. "lmi" is the bounded real lemma for one synapse and a neuron without input scale, a
            bound for all horizons; "svd", and what the lemma is not for, are as "closed_form".

    >>> round(filtered_gain([TemporalFilter(0.5)], 0.5, 3, "linf", "linf", None), 6)
    2.75
    """
    if not filters:
        return METHODS[method](decay, horizon, input_norm, output_norm, input_scale)
    if method == "lmi" and (input_norm, output_norm) == ("l2", "l2"):
        found = filter_certificate(filters, decay, input_scale)
        if found is not None:
            return found.gain
    alone = neuron_gain(decay, horizon, input_norm, output_norm, input_scale)
    product = multiply_up(alone, *(neuron_gain(item.decay, horizon, input_norm, input_norm) for item in filters))
    if math.isinf(horizon) or horizon > LARGEST:
        return product
    composed = _composed(filters, decay, int(horizon), input_scale)
    return min(product, matrix_norm(composed, input_norm, output_norm).upper)


def filter_certificate(
    filters: Sequence[TemporalFilter], decay: float, input_scale: Sequence[float] | None
) -> BoundedRealCertificate | None:
    """Return the bounded real lemma's certificate of one synapse before a neuron; None where it is not for it."""
    if len(filters) != 1 or input_scale is not None or max(decay, filters[0].decay) >= 1.0:
        return None
    found = bounded_real(cuba(decay, filters[0].decay))
    return found if isinstance(found, BoundedRealCertificate) else None


def _composed(
    filters: Sequence[TemporalFilter], decay: float, horizon: int, input_scale: Sequence[float] | None
) -> Tensor:
    """Return |H·diag(a)|·F_1⋯F_m in float64, no entry below the exact one."""
    found = response_matrix(decay, horizon, input_scale)
    growth, lost = 1.0 + 2.0 * accumulated(horizon + 2), 2 * horizon * torch.finfo(torch.float64).tiny
    for item in filters:
        late = min(item.delay, horizon)
        kernel = response_matrix(item.decay, horizon).roll(late, 0)
        kernel[:late] = 0.0
        found = (found @ kernel) * growth + lost
    return found
