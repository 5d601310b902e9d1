"""Certificates: a gain, or its absence, with a witness that exact arithmetic checks without a solver.

Linear systems x₊ = Ax + Bw, y = Cx + Dw: simplified perturbation dynamics of neurons and recurrent layers.

Definiteness of matrices of rationals, decided without a solver: elimination, or Cholesky with a margin.

Floats are rationals with a power of two below, so matrices become integers over one power of two, products are
exact, and a small matrix is decided by fraction-free elimination. A larger one is rounded to float64 once, which
moves it by at most u‖M‖_F, and decided by `smallest_eigenvalue_bound` of M − σI.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
import torch

from ...models.constants import real
from ..arithmetic import UNIT, smallest_eigenvalue_bound

EXACT_SIZE = 24
"""Up to this size elimination in integers; above it Cholesky with a margin."""

Rows = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, eq=False)
class Exact:
    """The matrix values·2^−exponent, values Python integers."""

    values: np.ndarray
    exponent: int

    @classmethod
    def of(cls, rows: Sequence[Sequence[float]] | np.ndarray) -> "Exact":
        """Return a matrix of floats, exactly."""
        array = np.atleast_2d(np.asarray(rows, dtype=np.float64))
        ratios = [[float(x).as_integer_ratio() for x in row] for row in array]
        exponent = max((bottom.bit_length() - 1 for row in ratios for _, bottom in row), default=0)
        values = np.empty(array.shape, dtype=object)
        for r, row in enumerate(ratios):
            for c, (top, bottom) in enumerate(row):
                values[r, c] = top << (exponent - (bottom.bit_length() - 1))
        return cls(values, exponent)

    @property
    def T(self) -> "Exact":
        """Return the transpose."""
        return Exact(self.values.T, self.exponent)

    def __matmul__(self, other: "Exact") -> "Exact":
        return Exact(self.values.dot(other.values), self.exponent + other.exponent)

    def __add__(self, other: "Exact") -> "Exact":
        exponent = max(self.exponent, other.exponent)
        first, second = (
            self.values * (1 << (exponent - self.exponent)),
            other.values * (1 << (exponent - other.exponent)),
        )
        return Exact(first + second, exponent)

    def __neg__(self) -> "Exact":
        return Exact(-self.values, self.exponent)

    def __sub__(self, other: "Exact") -> "Exact":
        return self + -other

    def is_symmetric(self) -> bool:
        """Return whether the matrix equals its transpose."""
        return bool((self.values == self.values.T).all())

    def to_float(self) -> np.ndarray:
        """Return the matrix, each entry correctly rounded."""
        unit = 1 << self.exponent
        return np.array([[int(x) / unit for x in row] for row in self.values], dtype=np.float64)


def block(rows: Sequence[Sequence[Exact]]) -> Exact:
    """Return the block matrix."""
    exponent = max(item.exponent for row in rows for item in row)
    parts = [[item.values * (1 << (exponent - item.exponent)) for item in row] for row in rows]
    return Exact(np.block(parts), exponent)


def is_positive_definite(matrix: Exact) -> bool:
    """Return True only if the symmetric matrix is proven positive definite."""
    if not matrix.is_symmetric():
        return False
    if len(matrix.values) <= EXACT_SIZE:
        return _eliminates(matrix.values)
    return _has_margin(matrix.to_float())


def _eliminates(values: np.ndarray) -> bool:
    """Bareiss elimination: all leading minors, in integers; positive definite iff all are positive."""
    work, previous = values.copy(), 1
    for index in range(len(work)):
        pivot = work[index, index]
        if pivot <= 0:
            return False
        rest = work[index + 1 :, index + 1 :] * pivot - np.outer(
            work[index + 1 :, index], work[index, index + 1 :]
        )
        work[index + 1 :, index + 1 :] = rest // previous
        previous = pivot
    return True


def _has_margin(matrix: np.ndarray) -> bool:
    """λ_min(M) ≥ σ − (Cholesky's rounding) − u‖M‖_F − u·max diagonal, for a σ that makes this positive."""
    trace = float(np.trace(matrix))
    if not (np.isfinite(matrix).all() and trace > 0):
        return False
    moved = 4.0 * UNIT * float(np.linalg.norm(matrix)) + 4.0 * UNIT * trace
    shift = 4.0 * (len(matrix) + 4) * UNIT * trace + 2.0 * moved
    lowest = smallest_eigenvalue_bound(torch.from_numpy(matrix - shift * np.eye(len(matrix))))
    return lowest is not None and shift + lowest - moved > 0.0


def as_rows(array: np.ndarray) -> Rows:
    """Return an array as nested tuples, for frozen certificates."""
    return tuple(tuple(float(x) for x in row) for row in np.atleast_2d(array))


@dataclass(frozen=True)
class LinearSystem:
    """A discrete-time linear system, from the perturbation w of the current to that of the potential, y.

    Args:
        a, b, c, d: its matrices, as rows of floats.

    Raises:
        ValueError: for shapes that do not fit, NaN or inf.
    """

    a: Rows
    b: Rows
    c: Rows
    d: Rows

    def __post_init__(self) -> None:
        a, b, c, d = self.arrays
        if not (a.shape[0] == a.shape[1] == b.shape[0] == c.shape[1] and d.shape == (c.shape[0], b.shape[1])):
            raise ValueError(f"system: got A {a.shape}, B {b.shape}, C {c.shape}, D {d.shape}, which do not fit")
        if not all(np.isfinite(x).all() for x in (a, b, c, d)):
            raise ValueError("system: got NaN or inf, expected finite matrices")

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return A, B, C, D as arrays."""
        return np.array(self.a), np.array(self.b), np.array(self.c), np.array(self.d)

    @property
    def spectral_radius(self) -> float:
        """Return about max |eigenvalue of A|."""
        return float(np.abs(np.linalg.eigvals(np.array(self.a))).max())


def _system(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> LinearSystem:
    return LinearSystem(*(as_rows(np.asarray(x, dtype=np.float64)) for x in (a, b, c, d)))


def lif(decay: float) -> LinearSystem:
    """Return ε[t] = λε[t−1] + w[t], output ε[t].

    >>> lif(0.5).a
    ((0.5,),)
    """
    a = np.array([[real("decay", decay)]])
    return _system(a, np.eye(1), a, np.eye(1))


def cuba(decay: float, synaptic: float) -> LinearSystem:
    """Return the current-based neuron i[t] = αi[t−1] + w[t], v[t] = λv[t−1] + i[t], output v."""
    decay, synaptic = real("decay", decay), real("synaptic", synaptic)
    a = np.array([[synaptic, 0.0], [synaptic, decay]])
    return _system(a, np.ones((2, 1)), a[1:], np.ones((1, 1)))


def adaptive(decay: float, adaptation: float, coupling: float) -> LinearSystem:
    """Return a neuron with adaptation: v[t] = λv[t−1] − b[t−1] + w[t], b[t] = ρb[t−1] + κv[t], output v.

    The product κλ is rounded to a float; the system is the one with that float.
    """
    decay, adaptation, coupling = real("decay", decay), real("adaptation", adaptation), real("coupling", coupling)
    a = np.array([[decay, -1.0], [coupling * decay, adaptation - coupling]])
    return _system(a, np.array([[1.0], [coupling]]), a[:1], np.ones((1, 1)))


def recurrent(decay: float, weights: np.ndarray, input_weights: np.ndarray | None = None) -> LinearSystem:
    """Return a recurrent layer ε[t] = (λI + V)ε[t−1] + W w[t], output ε.

    Args:
        decay: λ.
        weights: V, (n, n): the recurrent weights, each spike replaced by its potential (slope 1).
        input_weights: W, (n, inputs); default I.
    """
    size = len(weights)
    a = real("decay", decay) * np.eye(size) + np.asarray(weights, dtype=np.float64)
    b = np.eye(size) if input_weights is None else np.asarray(input_weights, dtype=np.float64)
    return _system(a, b, a, b)


@dataclass(frozen=True)
class BoundedRealCertificate:
    """‖y‖₂ ≤ gain·‖w‖₂ over every horizon, by the bounded real lemma.

    Attributes:
        system: A, B, C, D.
        storage: P, symmetric.
        gain: γ.

    References: theorem "bounded-real"
    """

    system: LinearSystem
    storage: Rows
    gain: float

    def check(self) -> bool:
        """Return True only if P ≻ 0 and [AᵀPA−P+CᵀC, AᵀPB+CᵀD; ·, BᵀPB+DᵀD−γ²I] ≺ 0 are proven."""
        if not finite(self.storage, self.gain):
            return False
        a, b, c, d = (Exact.of(x) for x in self.system.arrays)
        p, gamma = Exact.of(self.storage), Exact.of(self.gain * np.eye(b.values.shape[1]))
        if p.values.shape != a.values.shape or not is_positive_definite(p) or not self.gain >= 0.0:
            return False
        corner = a.T @ p @ b + c.T @ d
        dissipation = block(
            [[p - a.T @ p @ a - c.T @ c, -corner], [-corner.T, gamma @ gamma - b.T @ p @ b - d.T @ d]]
        )
        return is_positive_definite(dissipation)


@dataclass(frozen=True)
class NoFiniteGain:
    """A witness that a layer whose output is its state (C = A, D = B) has no finite ℓ2 gain over infinite time.

    Proof. V(x) = xᵀPx strictly falls along x₊ = Ax. The impulse w leaves x = Bw with V(x) < 0, so V(x[t]) ≤ V(Bw)
    < 0 for all later t, hence ‖x[t]‖² ≥ |V(Bw)|/‖P‖: the output never decays and its ℓ2 norm is infinite. ∎

    Attributes:
        system: the layer.
        storage: P, symmetric and not positive semidefinite, with P − AᵀPA ≻ 0.
        impulse: w.
        spectral_radius: about max |eigenvalue of A| (not proven; the witness is).
    """

    system: LinearSystem
    storage: Rows
    impulse: tuple[float, ...]
    spectral_radius: float
    gain: float = float("inf")

    def check(self) -> bool:
        """Return True only if both conditions are proven."""
        if self.system.c != self.system.a or self.system.d != self.system.b:
            return False
        if not finite(self.storage, self.impulse):
            return False
        a, b = Exact.of(self.system.a), Exact.of(self.system.b)
        p, x = Exact.of(self.storage), b @ Exact.of([[value] for value in self.impulse])
        return is_positive_definite(p - a.T @ p @ a) and bool((x.T @ p @ x).values[0, 0] < 0)


@dataclass(frozen=True)
class TimeVaryingCertificate:
    """‖ε‖₂ ≤ gain·‖w‖₂ over T steps of ε[t] = λε[t−1] + a[t]w[t], by storages V_t = p_t·ε[t]².

    Attributes:
        decay: λ.
        scale: a, of length T.
        storage: p_1 … p_T ≥ 0; p_0 is free, since ε[0] = 0.
        gain: γ.

    References: theorem "dlif-gain"
    """

    decay: float
    scale: tuple[float, ...]
    storage: tuple[float, ...]
    gain: float

    def check(self) -> bool:
        """Return True only if V_t − V_{t−1} + ε[t]² ≤ γ²w[t]² is proven at every step, in rationals.

        With q = p_t + 1 the form −[qλ²−p_{t−1}, qλa; ·, qa²−γ²] must be positive semidefinite: its diagonal and
        its determinant are nonnegative.
        """
        if not self.scale or not finite(self.decay, self.scale, self.storage, self.gain):
            return False
        if len(self.scale) != len(self.storage) or self.gain < 0.0:
            return False
        levels = [Fraction(p) for p in self.storage]
        lam, square = Fraction(self.decay), Fraction(self.gain) ** 2
        first = square >= (levels[0] + 1) * Fraction(self.scale[0]) ** 2
        steps = zip(pairwise(levels), self.scale[1:], strict=True)
        return (
            first and min(levels) >= 0 and all(_dissipates(lam, square, *pair, Fraction(a)) for pair, a in steps)
        )


def _dissipates(lam: Fraction, square: Fraction, before: Fraction, after: Fraction, a: Fraction) -> bool:
    q = after + 1
    first, last = before - q * lam**2, square - q * a**2
    return first >= 0 and last >= 0 and first * last >= (q * lam * a) ** 2


@dataclass(frozen=True)
class SurrogateCertificate:
    """An end-to-end ℓ2 gain of the *surrogate network*, where functions with slopes in [0, L] replace thresholds.

    It says nothing about the spiking network, whose thresholds have no such slopes. Layers k = 1..D, all times:

        v_k₊ = λ_k v_k + W_k s_{k−1},   s_k = φ_k(v_k₊) with 0 ≤ slope ≤ L_k,   s_0 = w,   y = W_{D+1} s_D.

    Proof. For two runs, Δs(LΔv₊ − Δs) ≥ 0 in each neuron. If P ⪰ 0, τ ≥ 0 and, as a form in (v, w, s),
    ΔV + |y|² − γ²|w|² + Σ 2τΔs(LΔv₊ − Δs) ≤ 0, then ΔV + |y|² ≤ γ²|w|² at each step; sum over the steps. ∎

    Attributes:
        decays, weights, slopes: λ_k, W_k (the readout last) and L_k.
        storage: P over all potentials.
        multipliers: τ for each neuron.
        gain: γ.
        product: the product of layer gains that it is compared with.

    References: fazlyab2019efficient
    """

    decays: tuple[float, ...]
    weights: tuple[Rows, ...]
    slopes: tuple[float, ...]
    storage: Rows
    multipliers: tuple[float, ...]
    gain: float
    product: float

    def check(self) -> bool:
        """Return True only if P ≻ 0, τ ≥ 0 and the negative of the form is proven positive definite."""
        if not finite(self.decays, *self.weights, self.slopes, self.storage, self.multipliers, self.gain):
            return False
        p = Exact.of(self.storage)
        if not is_positive_definite(p) or min(self.multipliers) < 0.0 or not self.gain >= 0.0:
            return False
        return is_positive_definite(-self._form(p))

    def _form(self, p: Exact) -> Exact:
        """Return the matrix of the form in (v, w, s)."""
        v_next, w, s, y = surrogate_maps(self.decays, self.weights)
        v = Exact.of(np.eye(p.values.shape[0], v_next.shape[1]))
        next_map, w_map, s_map, y_map = (Exact.of(x) for x in (v_next, w, s, y))
        tau, slope = Exact.of(np.diag(self.multipliers)), Exact.of(np.diag(self._slopes()))
        gamma = Exact.of(self.gain * np.eye(w.shape[0]))
        cross = s_map.T @ tau @ slope @ next_map
        return (
            next_map.T @ p @ next_map - v.T @ p @ v + y_map.T @ y_map - w_map.T @ gamma @ gamma @ w_map
            + cross + cross.T - s_map.T @ (tau + tau) @ s_map
        )  # fmt: skip

    def _slopes(self) -> np.ndarray:
        return np.concatenate(
            [np.full(len(w), slope) for w, slope in zip(self.weights, self.slopes, strict=False)]
        )


def finite(*numbers: float | Sequence[float] | Rows) -> bool:
    """Return whether all numbers are finite: a certificate with NaN proves nothing."""
    return all(bool(np.isfinite(np.asarray(item, dtype=np.float64)).all()) for item in numbers)


def surrogate_maps(
    decays: tuple[float, ...], weights: tuple[Rows, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the maps from (v, w, s) to v₊, w, s and y, as matrices."""
    arrays = [np.array(w) for w in weights]
    sizes = [len(w) for w in arrays[:-1]]
    hidden, inputs = sum(sizes), arrays[0].shape[1]
    total = 2 * hidden + inputs
    v_next, w, s = np.zeros((hidden, total)), np.zeros((inputs, total)), np.zeros((hidden, total))
    w[:, hidden : hidden + inputs] = np.eye(inputs)
    s[:, hidden + inputs :] = np.eye(hidden)
    row, column = 0, hidden
    for decay, array, size in zip(decays, arrays, sizes, strict=False):
        v_next[row : row + size, row : row + size] = decay * np.eye(size)
        v_next[row : row + size, column : column + array.shape[1]] = array
        column += array.shape[1]
        row += size
    y = arrays[-1] @ s[-sizes[-1] :]
    return v_next, w, s, y
