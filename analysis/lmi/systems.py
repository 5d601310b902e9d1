"""Linear systems x₊ = Ax + Bw, y = Cx + Dw: simplified perturbation dynamics of neurons and recurrent layers."""

from dataclasses import dataclass

import numpy as np

from ...models.constants import real
from .exact import Rows, as_rows


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
