"""The ways to a neuron's gain: closed form, SVD, LMI. One signature, one table.

The gain of a neuron behind synapses: H·diag(a) after the filters F_1, …, F_m over time, as a proven upper end.

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
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ...models.constants import at_least, share
from ...models.elements.synapses import TemporalFilter
from ..arithmetic import accumulated, multiply_up
from ..lmi import BoundedRealCertificate, TimeVaryingCertificate, bounded_real, cuba, lif, time_varying
from ..norms import matrix_norm
from .neuron_gains import neuron_gain

GainMethod = Callable[[float, float, str, str, Sequence[float] | None], float]
"""(decay, horizon, input_norm, output_norm, input_scale) → a proven upper end of the neuron's gain."""

_LARGEST_MATRIX = 4096


def closed_form(
    decay: float, horizon: float, input_norm: str, output_norm: str, input_scale: Sequence[float] | None
) -> float:
    """Return `neuron_gain`."""
    return neuron_gain(decay, horizon, input_norm, output_norm, input_scale)


def svd(
    decay: float, horizon: float, input_norm: str, output_norm: str, input_scale: Sequence[float] | None
) -> float:
    """Return the proven norm of the explicit matrix H·diag(a): ℓ2 by `matrix_norm`, other norms in closed form.

    Entries λ^(t−k)·a[k] are rounded; H ≥ 0 grows with λ entry by entry, and so does the norm, so λ and |a| are
    raised until the computed entries are above the exact ones.
    """
    if (input_norm, output_norm) != ("l2", "l2"):
        return neuron_gain(decay, horizon, input_norm, output_norm, input_scale)
    if math.isinf(horizon) or horizon > _LARGEST_MATRIX:
        raise ValueError(f'horizon: got {horizon}, expected at most {_LARGEST_MATRIX} with method "svd"')
    return matrix_norm(response_matrix(decay, int(horizon), input_scale)).upper


def response_matrix(decay: float, horizon: int, input_scale: Sequence[float] | None = None) -> torch.Tensor:
    """Return |H·diag(a)| in float64, no entry below the exact one.

    Args:
        decay: λ ∈ [0, 1].
        horizon: T.
        input_scale: a, or None for a = 1.
    """
    decay, horizon = share("decay", decay), at_least(1)("horizon", horizon)
    powers, current = [1.0], 1.0
    for _ in range(horizon - 1):
        current = math.nextafter(current * decay, math.inf) if 0.0 < decay < 1.0 else decay * current
        powers.append(current)
    column = torch.tensor(powers, dtype=torch.float64)
    lag = torch.arange(horizon)[:, None] - torch.arange(horizon)[None, :]
    matrix = torch.where(lag >= 0, column[lag.clamp_min(0)], 0.0)
    if input_scale is None:
        return matrix
    scaled = matrix * torch.tensor(list(input_scale), dtype=torch.float64).abs()
    above = torch.nextafter(scaled, torch.full_like(scaled, math.inf))
    return torch.where((scaled > 0) & (matrix != 1.0), above, scaled)


def lmi(
    decay: float, horizon: float, input_norm: str, output_norm: str, input_scale: Sequence[float] | None
) -> float:
    """Return the gain of `lmi_certificate`, which passed its check; other norms than ℓ2 in closed form."""
    if (input_norm, output_norm) != ("l2", "l2") or (math.isinf(horizon) and decay >= 1.0):
        return neuron_gain(decay, horizon, input_norm, output_norm, input_scale)
    return lmi_certificate(decay, horizon, input_scale).gain


def lmi_certificate(
    decay: float, horizon: float, input_scale: Sequence[float] | None
) -> BoundedRealCertificate | TimeVaryingCertificate:
    """Return a certificate of a neuron's ℓ2 gain: the bounded real lemma, or storages over T steps."""
    if not math.isinf(horizon):
        return time_varying(decay, (1.0,) * int(horizon) if input_scale is None else input_scale)
    found = bounded_real(lif(decay))
    assert isinstance(found, BoundedRealCertificate)
    return found


METHODS: dict[str, GainMethod] = {"closed_form": closed_form, "svd": svd, "lmi": lmi}


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
