"""Fractions for numbers of the checker and of torch, and the exact value of an affine node."""

from fractions import Fraction

import numpy as np
from torch import Tensor

from spikecert.checking.numbers.exact import Dyadic


def values(numbers: Dyadic) -> np.ndarray:
    """Return fractions."""
    return np.array([Fraction(int(x), 1 << numbers.shift) for x in numbers.ints.flat]).reshape(numbers.shape)


def exact(tensor: Tensor) -> np.ndarray:
    """Return a tensor's numbers as fractions."""
    return np.array([Fraction(x) for x in tensor.double().flatten().tolist()]).reshape(tuple(tensor.shape))


def made(node, source: np.ndarray) -> np.ndarray:
    """Return an affine node's exact value for its source's, (m, k) of fractions."""
    matrix, found = node.affine.matrix, np.zeros((node.affine.matrix.shape[0], source.shape[1]), dtype=object)
    weights = values(Dyadic(matrix.ints, matrix.shift))
    np.add.at(found, matrix.row, weights[:, None] * source[matrix.column])
    return found + values(node.affine.bias)
