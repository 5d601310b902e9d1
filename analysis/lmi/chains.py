"""A chain of layers over T steps in one LMI: a certificate of the surrogate network's gain, by multipliers."""

from dataclasses import dataclass

import numpy as np

from ..arithmetic.intervals import multiply_up
from ..gains.neuron_gains import neuron_gain
from .certificates import finite
from .exact import Exact, Rows, is_positive_definite


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
