"""Several layers in one LMI, about the surrogate network: tighter than the product of its layer gains."""

import math
from collections.abc import Sequence

import numpy as np

from ...models.constants import reals
from ..arithmetic.definite import UNDERFLOW
from ..arithmetic.intervals import multiply_up
from ..gains.neuron_gains import neuron_gain
from ..norms import matrix_norm
from .certificates import SurrogateCertificate, surrogate_maps
from .exact import Rows, as_rows
from .solving import SolverError, import_cvxpy, solve_problem


def surrogate_gain(
    decays: Sequence[float], weights: Sequence[np.ndarray], slopes: Sequence[float]
) -> SurrogateCertificate:
    """Return a checked end-to-end ℓ2 gain (infinite horizon) of the surrogate network of dense layers.

    Args:
        decays: λ_k < 1, one a spiking layer.
        weights: W_k, one a spiking layer, and that of the readout.
        slopes: L_k, the steepest slope of each surrogate (`Surrogate.steepest`).

    Raises:
        ValueError: for lengths that do not fit, λ = 1, or (`SolverError`) where no certificate is found.

    References: fazlyab2019efficient
    """
    if not len(decays) == len(slopes) == len(weights) - 1 >= 1:
        raise ValueError(f"weights: got {len(weights)}, expected one more than decays = {len(decays)}")
    lams, steep = reals("decays", decays), reals("slopes", slopes)
    if not all(0.0 <= decay < 1.0 for decay in lams):
        raise ValueError(f"decays: got {lams}, expected numbers in [0, 1): the horizon is infinite")
    rows = tuple(as_rows(np.asarray(w, dtype=np.float64)) for w in weights)
    product = gain_product(lams, rows, steep)
    storage, multipliers, estimate = _solve(lams, rows, steep, product)
    for power in range(40):
        gain = estimate * (1.0 + 1e-6 * 2.0**power)
        found = SurrogateCertificate(lams, rows, steep, as_rows(storage), multipliers, gain, product)
        if found.check():
            return found
    raise SolverError("weights: the solver's multipliers do not certify any gain")


def gain_product(decays: Sequence[float], weights: Sequence[Rows], slopes: Sequence[float]) -> float:
    """Return the product of layer gains ‖W_k‖₂·L_k/(1−λ_k) and the readout's norm, rounded up."""
    gains = [neuron_gain(decay, math.inf) for decay in decays]
    norms = [matrix_norm(_tensor(w)).upper for w in weights]
    return multiply_up(*gains, *norms, *slopes)


def _tensor(rows: Rows):
    import torch

    return torch.tensor(rows, dtype=torch.float64)


def _solve(
    decays: tuple[float, ...], weights: tuple[Rows, ...], slopes: tuple[float, ...], product: float
) -> tuple[np.ndarray, tuple[float, ...], float]:
    """Minimise γ² over P and τ, the output in units of the product so that the numbers stay near 1."""
    cp = import_cvxpy()
    unit = max(product, UNDERFLOW)
    v_next, w, s, y = surrogate_maps(decays, weights)
    hidden, total = v_next.shape
    v = np.eye(hidden, total)
    slope = np.diag(np.concatenate([np.full(len(m), x) for m, x in zip(weights, slopes, strict=False)]))
    p, tau, square = cp.Variable((hidden, hidden), symmetric=True), cp.Variable(hidden), cp.Variable()
    cross = s.T @ cp.diag(tau) @ slope @ v_next
    form = (
        v_next.T @ p @ v_next - v.T @ p @ v + (y / unit).T @ (y / unit) - square * (w.T @ w)
        + cross + cross.T - 2 * s.T @ cp.diag(tau) @ s
    )  # fmt: skip
    margin = 1e-7
    constraints = [p >> margin * np.eye(hidden), tau >= 0, (form + form.T) / 2 << -margin * np.eye(total)]
    solve_problem(cp, cp.Problem(cp.Minimize(square), constraints), total)
    if p.value is None or tau.value is None or square.value is None:
        raise SolverError("weights: the solver found no multipliers")
    found = np.asarray(p.value) * unit**2
    multipliers = np.maximum(np.asarray(tau.value), 0.0) * unit**2
    return (found + found.T) / 2, tuple(map(float, multipliers)), unit * math.sqrt(max(float(square.value), 0.0))
