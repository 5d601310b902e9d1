"""The ways to a neuron's gain: closed form, SVD, LMI. One signature, one table."""

import math
from collections.abc import Callable, Sequence

import torch

from ...models.constants import at_least, share
from ..lmi import BoundedRealCertificate, TimeVaryingCertificate, bounded_real, lif, time_varying
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
