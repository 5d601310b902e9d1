"""Find the multipliers of a `ChainCertificate` by cvxpy. Nothing here is proof: the certificate's check is.

Several layers in one LMI, about the surrogate network: tighter than the product of its layer gains.

A chain of layers over T steps in one LMI: a certificate of the surrogate network's gain, by multipliers.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ...models.constants import reals
from ..arithmetic import UNDERFLOW, multiply_up
from ..gains.neuron_gains import check_horizon, neuron_gain
from ..norms import matrix_norm
from .certificates import Exact, Rows, SurrogateCertificate, as_rows, finite, is_positive_definite, surrogate_maps
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
    storage, multipliers, estimate = _solve_surrogate(lams, rows, steep, product)
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


def _solve_surrogate(
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


@dataclass(frozen=True)
class ChainCertificate:
    """An end-to-end ℓ2 gain of the *surrogate network*, where functions with slopes in [0, L] replace thresholds.

    It says nothing about the spiking network, whose thresholds have no such slopes. Layers k = 1..D, no reset:

        v_k[t] = λ_k v_k[t−1] + a_k[t]·W_k s_{k−1}[t],   s_k = φ_k(v_k),   s_0 = w,   y = W_{D+1} s_D.

    Theorem. With h_k = σ_max(H_k·diag(a_k)) and c_k = L_k h_k, ‖Δy‖₂ ≤ γ‖Δw‖₂ over the T steps if τ ≥ 0 and

        γ²|x_0|² − |W_{D+1}x_D|² − Σ_k 2x_kᵀτ_k(c_k W_k x_{k−1} − x_k) ≥ 0   for all x.

    Proof. (i) Call this matrix M. It couples x_{k−1} with x_k only, so it is a sum of matrices M_k ⪰ 0 in
    (x_{k−1}, x_k) alone (block elimination from one end). (ii) [A, X; Xᵀ, B] ⪰ 0 and ‖K‖ ≤ 1 give
    [I⊗A, K⊗X; ·, I⊗B] ⪰ 0: for orthogonal K by congruence with diag(K⊗I, I), and a contraction is a mean of
    orthogonal ones. With K = H_k·diag(a_k)/h_k and the sum over k, the form of all T steps is ≥ 0 at (Δw, Δs).
    (iii) Each Δs(LΔv − Δs) ≥ 0, so its multiplier terms only help: γ²‖Δw‖² − ‖Δy‖² ≥ 0. ∎

    No storage over the potentials is needed, λ = 1 and DLIF are covered, and γ never exceeds the product, which is
    the case τ_k = (a number)·I. Over an infinite horizon this is exact for its multipliers: at frequency 0 the LMI
    with storages says the same.

    Attributes:
        decays, scales: λ_k and a_k; () for a = 1.
        horizon: T, or inf.
        weights: W_k, the readout last.
        slopes: L_k.
        multipliers: τ for each neuron, layer by layer.
        gain: γ.
        product: Π c_k‖W_k‖₂·‖W_{D+1}‖₂, which it is compared with; not proven by `check`.

    References: fazlyab2019efficient
    """

    decays: tuple[float, ...]
    scales: tuple[tuple[float, ...], ...]
    horizon: float
    weights: tuple[Rows, ...]
    slopes: tuple[float, ...]
    multipliers: tuple[float, ...]
    gain: float
    product: float

    def check(self) -> bool:
        """Return True only if h_k is a proven upper end, τ ≥ 0, and the form is proven positive definite."""
        if not finite(self.decays, *self.scales, *self.weights, self.slopes, self.multipliers, self.gain):
            return False
        if min(self.multipliers) < 0.0 or not self.gain >= 0.0 or min(self.slopes) < 0.0:
            return False
        if not len(self.decays) == len(self.scales) == len(self.slopes) == len(self.weights) - 1 >= 1:
            return False
        factors = chain_factors(self.decays, self.scales, self.horizon, self.slopes)
        return finite(factors) and is_positive_definite(self._form(factors))

    def _form(self, factors: tuple[float, ...]) -> Exact:
        """Return M, congruent by powers of two so that its diagonal is near 1."""
        arrays = [np.asarray(w, dtype=np.float64) for w in self.weights]
        sizes = [arrays[0].shape[1], *(len(w) for w in arrays[:-1])]
        ends = np.cumsum(sizes)
        if len(self.multipliers) != sum(sizes[1:]):
            raise ValueError("multipliers: expected one for each hidden neuron")
        squares = np.concatenate([np.full(sizes[0], self.gain), np.zeros(sum(sizes[1:]))])
        twice = np.concatenate([np.zeros(sizes[0]), 2.0 * np.array(self.multipliers)])
        square = Exact.of(squares[None])
        total = _diagonal(Exact(square.values * square.values, 2 * square.exponent)) + _diagonal(
            Exact.of(twice[None])
        )
        for k, (array, factor) in enumerate(zip(arrays[:-1], factors, strict=True), 1):
            tau = np.array(self.multipliers[ends[k - 1] - sizes[0] : ends[k] - sizes[0]])
            coupling = _scaled_rows(_scaled_rows(Exact.of(array), np.full(len(array), factor)), tau)
            placed = _placed(coupling, (ends[k - 1], ends[k - 1] - sizes[k - 1]), len(squares))
            total = total - placed - placed.T
        last = Exact.of(arrays[-1])
        total = total - _placed(last.T @ last, (ends[-2], ends[-2]), len(squares))
        return _balanced(total)


def chain_factors(
    decays: tuple[float, ...], scales: tuple[tuple[float, ...], ...], horizon: float, slopes: tuple[float, ...]
) -> tuple[float, ...]:
    """Return c_k = L_k·σ_max(H_k·diag(a_k)), as proven upper ends."""
    return tuple(
        multiply_up(slope, neuron_gain(decay, horizon, input_scale=scale or None))
        for decay, scale, slope in zip(decays, scales, slopes, strict=True)
    )


def _diagonal(row: Exact) -> Exact:
    return Exact(np.diag(row.values[0]), row.exponent)


def _scaled_rows(matrix: Exact, factors: np.ndarray) -> Exact:
    exact = Exact.of(factors[None])
    return Exact(matrix.values * exact.values.T, matrix.exponent + exact.exponent)


def _placed(part: Exact, corner: tuple[int, int], size: int) -> Exact:
    values = np.zeros((size, size), dtype=object)
    rows, columns = part.values.shape
    values[corner[0] : corner[0] + rows, corner[1] : corner[1] + columns] = part.values
    return Exact(values, part.exponent)


def _balanced(matrix: Exact) -> Exact:
    """Return D·M·D with D = diag(2^−e_i), 4^e_i near M's diagonal: as definite as M, and better conditioned."""
    half = np.array([max(int(x), 1).bit_length() // 2 for x in np.diag(matrix.values)])
    shift = [int(x) for x in half.max() - half]
    up = np.array([1 << x for x in shift], dtype=object)
    return Exact(matrix.values * up[:, None] * up[None, :], 2 * int(half.max()))


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
