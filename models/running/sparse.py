"""Dense layers whose signal is mostly 0, as spikes are: the gradient of their weights costs what is not 0.

With G = dL/dy, (rows, outputs), and a signal X, (rows, inputs), the gradient is dL/dW = Gᵀ·X. Where at most
`SHARE` of X is other than 0, `kernels/sources/sparse.c` adds up those rows of G alone. What a network
computes does not depend on it: the forward pass is torch's own, and gradients are the same but for the order of
their sums.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear

from ...kernels.loading import REALS
from ...kernels.sparse import sparse_kernel
from ..elements.layers import plain, run_affine

SHARE = 0.25
"""Up to this share of numbers other than 0 the sparse product is surely the faster one."""
WORTH = 1 << 22
"""The least rows·inputs·outputs of a product that is worth to ask."""


class SparseLinear(torch.autograd.Function):
    """(signal, weight, bias) → linear(signal, weight, bias), with the gradient of weights as above.

    A signal's last axis is its inputs; those before it are rows.
    """

    @staticmethod
    def forward(ctx: Any, signal: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return what torch's layer returns."""
        rows = signal.flatten(0, -2)  # as `apply_affine` does it, which decides how sums are rounded
        ctx.save_for_backward(rows, weight)
        ctx.shape, ctx.biased = signal.shape, bias is not None
        return linear(rows, weight, bias).unflatten(0, signal.shape[:-1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the gradients of signal, weights and bias."""
        signal, weight = ctx.saved_tensors
        grad = grad.flatten(0, -2).contiguous()
        total = grad.sum(0)
        to_signal = (grad @ weight).view(ctx.shape) if ctx.needs_input_grad[0] else None
        return to_signal, _of_weights(grad, signal, total), total if ctx.biased else None


def run_sparsely(layer: nn.Module, signal: Tensor) -> Tensor:
    """Run a layer without a state on a signal, (time, batch, ...), as `run_affine` does.

    The gradients of a dense layer in training are found as above. A layer with a hook, or that autocast runs in
    another type, is run as it is.
    """
    if not _fits(layer, signal):
        return run_affine(layer, signal)
    return SparseLinear.apply(signal, layer.weight, layer.bias)  # type: ignore[return-value]


def _fits(layer: nn.Module, signal: Tensor) -> bool:
    """Return whether a layer is a dense one in training, of a signal and weights that the kernel takes."""
    if type(layer) is not nn.Linear or not (layer.training and torch.is_grad_enabled() and plain(layer)):
        return False
    weight = layer.weight
    fits = signal.dim() == 3 and signal.dtype == weight.dtype and signal.shape[2] == weight.shape[1]
    worth = weight.requires_grad and signal.shape[:2].numel() * weight.numel() >= WORTH
    here = signal.device.type == weight.device.type == "cpu" and not torch.is_autocast_enabled("cpu")
    return fits and worth and here and signal.dtype in REALS


def _of_weights(grad: Tensor, signal: Tensor, total: Tensor) -> Tensor:
    """Return Gᵀ·X; by torch where much of X is not 0, or some of G is not finite, which the kernel may not see."""
    finite = bool(torch.isfinite(total.sum()))
    found = sparse_kernel(signal.dtype).transposed_product(grad, signal.contiguous(), SHARE) if finite else None
    return grad.T @ signal if found is None else found
