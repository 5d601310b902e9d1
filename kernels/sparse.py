"""sparse.c: the gradient of weights whose signal is mostly 0."""

import ctypes
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from .loading import INT, REAL, WHOLE, address, fields, load


class _SparseShapes(ctypes.Structure):
    """The struct Shapes in sparse.c."""

    _fields_ = fields(REAL, "share", WHOLE, "rows inputs outputs", INT, "threads")


@dataclass(frozen=True)
class CompiledSparse:
    """sparse.c, loaded for one floating-point type. All tensors are contiguous."""

    functions: ctypes.CDLL

    def transposed_product(self, grad: Tensor, signal: Tensor, share: float) -> Tensor | None:
        """Return Gᵀ·X, (outputs, inputs), of G, (rows, outputs), and X, (rows, inputs); None where X is too full.

        A row of G counts only where X is not 0: NaN and inf elsewhere are not seen.

        Args:
            grad, signal: G and X.
            share: the most of any 256 columns of X that may be other than 0.
        """
        shapes = _SparseShapes(share, len(grad), signal.shape[1], grad.shape[1], torch.get_num_threads())
        product = grad.new_empty(grad.shape[1], signal.shape[1])
        left = self.functions.transposed_product(ctypes.byref(shapes), *map(address, (grad, signal, product)))
        return None if left else product


@lru_cache
def sparse_kernel(dtype: torch.dtype) -> CompiledSparse:
    """Return the kernel for a floating-point type."""
    return load("sparse", dtype, CompiledSparse)
