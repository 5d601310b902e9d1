"""Find the multipliers of a `ChainCertificate` by cvxpy. Nothing here is proof: the certificate's check is."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from ...models.constants import reals
from ..arithmetic.intervals import multiply_up
from ..gains.neuron_gains import check_horizon
from ..norms import matrix_norm
from .chains import ChainCertificate, chain_factors
from .exact import Rows, as_rows
from .solving import SolverError, import_cvxpy, solve_problem
from .surrogates import _tensor

LARGEST_CHAIN = 320
"""Up to this many rows `stability` solves the LMI when asked: 128 take 5 s, 320 take 18 s."""


def chain_gain(
    decays: Sequence[float],
    weights: Sequence[np.ndarray],
    slopes: Sequence[float],
    horizon: float = math.inf,
    scales: Sequence[Sequence[float] | None] | None = None,
) -> ChainCertificate:
    """Return a checked end-to-end ℓ2 gain over T steps of the surrogate network of dense layers.

    Args:
        decays: λ_k, one a spiking layer; below 1 for an infinite horizon.
        weights: W_k, one a spiking layer, and that of the readout.
        slopes: L_k, the steepest slope of each surrogate (`Surrogate.steepest`).
        horizon: T, or inf.
        scales: a_k of a DLIF, or None for a = 1.

    Raises:
        ValueError: for lengths that do not fit, λ = 1 with an infinite horizon, or (`SolverError`) where no
            certificate is found.

    References: fazlyab2019efficient
    """
    if not len(decays) == len(slopes) == len(weights) - 1 >= 1:
        raise ValueError(f"weights: got {len(weights)}, expected one more than decays = {len(decays)}")
    rows = tuple(as_rows(np.asarray(w, dtype=np.float64)) for w in weights)
    if any(len(first) != len(second[0]) for first, second in pairwise(rows)):
        raise ValueError("weights: got matrices that do not fit, expected each to read what the one before gives")
    lams, steep = reals("decays", decays), reals("slopes", slopes)
    horizon = check_horizon(horizon) or math.inf
    given = scales or [None] * len(lams)
    gains = tuple(() if scale is None else reals("scales", scale) for scale in given)
    factors = chain_factors(lams, gains, horizon, steep)
    if not math.isfinite(max(factors)):
        raise ValueError(f"decays: got {lams}, expected numbers in [0, 1): the horizon is infinite")
    norms = [matrix_norm(_tensor(w)).upper for w in rows]
    product = multiply_up(*factors, *norms)
    multipliers, estimate = _multipliers(rows, factors, norms)
    for power in range(40):
        level = estimate * (1.0 + 1e-9 * 4.0**power)
        found = ChainCertificate(lams, gains, horizon, rows, steep, multipliers, level, product)
        if found.check():
            return found
    raise SolverError("weights: the solver's multipliers do not certify any gain")


def chain_rows(inputs: int, hidden: Sequence[int]) -> int:
    """Return the rows of the LMI: the hidden neurons, and as many inputs as the first layer can tell apart."""
    return sum(hidden) + min(inputs, hidden[0])


def _multipliers(
    weights: tuple[Rows, ...], factors: tuple[float, ...], norms: list[float]
) -> tuple[tuple[float, ...], float]:
    """Return τ and about γ, solved in units in which every layer has gain 1.

    With s_k = p_k x_k, p_k = Π_{j≤k} c_j‖W_j‖, and the output in units of the product Π, τ_k = τ'_k·(Π/p_k)².
    """
    if not min(norms) > 0.0 or not min(factors) > 0.0:
        raise SolverError("weights: got a layer of gain 0, expected none: the network's gain is 0")
    units = [np.asarray(w) / norm for w, norm in zip(weights, norms, strict=True)]
    if units[0].shape[1] > len(units[0]):  # only W₁x₀ matters: as many inputs as neurons are enough
        units[0] = np.asarray(np.linalg.qr(units[0].T, mode="r")).T
    found, level = _descend(units, _solve(units))
    behind = norms[-1] * np.cumprod([c * n for c, n in zip(factors, norms[:-1], strict=True)][::-1])[::-1]
    after = [*behind[1:], norms[-1]]
    taus = [tau * after_k**2 for tau, after_k in zip(found, after, strict=True)]
    return tuple(float(x) for x in np.concatenate(taus)), level * float(behind[0])


def _solve(units: list[np.ndarray]) -> list[np.ndarray]:
    """Minimise γ² over τ subject to the LMI."""
    cp = import_cvxpy()
    sizes = [units[0].shape[1], *(len(w) for w in units[:-1])]
    taus, square = [cp.Variable(n, nonneg=True) for n in sizes[1:]], cp.Variable()
    blocks = [[np.zeros((m, n)) for n in sizes] for m in sizes]
    blocks[0][0] = square * np.eye(sizes[0])
    for k, (tau, w) in enumerate(zip(taus, units[:-1], strict=True), 1):
        blocks[k][k] = 2 * cp.diag(tau)
        blocks[k][k - 1] = -cp.diag(tau) @ w
        blocks[k - 1][k] = blocks[k][k - 1].T
    blocks[-1][-1] = blocks[-1][-1] - units[-1].T @ units[-1]
    form = cp.bmat(blocks)
    constraint = (form + form.T) / 2 >> 1e-7 * np.eye(sum(sizes))
    solve_problem(cp, cp.Problem(cp.Minimize(square), [constraint]), sum(sizes))
    if any(tau.value is None for tau in taus):
        raise SolverError("weights: the solver found no multipliers")
    return [np.maximum(np.asarray(tau.value), 1e-9) for tau in taus]


def _descend(units: list[np.ndarray], taus: list[np.ndarray]) -> tuple[list[np.ndarray], float]:
    """Return τ, raised where 2τ − Q_k is not definite, and the γ that they give by elimination from the output.

    Q_D = WᵀW of the readout, Q_{k−1} = W_kᵀτ_k(2τ_k − Q_k)⁻¹τ_k W_k, and γ² = λ_max(Q_0).
    """
    form, kept = units[-1].T @ units[-1], []
    for w, tau in zip(units[-2::-1], taus[::-1], strict=True):
        factor, tau = _definite(tau, form)
        half = np.linalg.solve(factor, tau[:, None] * w)
        form = half.T @ half
        kept.append(tau)
    return kept[::-1], math.sqrt(max(float(np.linalg.eigvalsh(form)[-1]), 0.0))


def _definite(tau: np.ndarray, form: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    for power in range(40):
        raised = tau * (1.0 + (4.0**power - 1.0) * 1e-9) + (4.0**power - 1.0) * 1e-12
        try:
            return np.linalg.cholesky(2.0 * np.diag(raised) - form), raised
        except np.linalg.LinAlgError:
            continue
    raise SolverError("weights: the solver's multipliers do not certify any gain")
