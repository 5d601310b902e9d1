"""Products of a layer's weights with boxes in float32: by oneDNN where that is the faster library.

For float32 torch takes MKL, which runs at half the speed of oneDNN on processors with AVX-512 that it does not
know (AMD's); torch has both. A product in plain float32 is within γ_n·Σ|w||x| by either, whatever the order of
summation, and more is not asked of it (see rounding.py). The run itself is left alone.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from ...arithmetic import reduced_precision

WORTH = 1 << 22
"""Products of fewer multiplications are not worth oneDNN's copies."""


def affine_rows(signal: Tensor, weight: Tensor, plus: Tensor) -> Tensor:
    """Return W·x + c for each row, (rows, batch, outputs).

    Args:
        signal: x, (rows, batch, n).
        weight: W, (outputs, n).
        plus: c, (outputs,) or (1,).
    """
    plus = plus.expand(len(weight))
    if not by_onednn(signal, weight):
        return F.linear(signal, weight, plus)
    rows, own, added = (tensor.contiguous().to_mkldnn() for tensor in (signal.flatten(0, 1), weight, plus))
    return F.linear(rows, own, added).to_dense().unflatten(0, signal.shape[:2])


def by_onednn(signal: Tensor, weight: Tensor) -> bool:
    """Return whether oneDNN takes the product: large, plain float32 on a processor's wide units."""
    return (
        signal.numel() * len(weight) >= WORTH
        and signal.dtype == weight.dtype == torch.float32
        and signal.device.type == "cpu"
        and torch.backends.mkldnn.is_available()
        and torch.backends.cpu.get_cpu_capability() == "AVX512"
        and not reduced_precision()
    )
