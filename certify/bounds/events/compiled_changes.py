"""`changes.c` where there is a compiler and it pays: the greatest of all products of changes and gains, summed."""

from functools import lru_cache

import torch
from torch import Tensor

from ....kernels.changes import MOST, CompiledChanges
from ....kernels.loading import load

WORTH = 2**20
"""Products of fewer numbers are not worth a compiler."""

Pairs = list[tuple[Tensor, Tensor]]
"""Changes (T, batch, outputs…, n) and gains (k, T, d), ≥ 0 all."""


def eager_rises(pairs: Pairs, most: int | None) -> Tensor:
    """Return the sums of the `most` greatest products of each row; None: of all, (k, batch, outputs…)."""
    if most is None:
        sums = [torch.tensordot(gain.sum(2), change.sum(-1), 1) for change, gain in pairs]
        return torch.stack(sums).sum(0)
    pooled = torch.cat([_pooled(*pair) for pair in pairs], -1)
    return pooled.amax(-1) if most == 1 else pooled.topk(most).values.sum(-1)


def compiled_rises(pairs: Pairs, most: int | None) -> Tensor | None:
    """Return what `eager_rises` does, in one pass over what is not 0; None where that is not to be had."""
    change, gain = pairs[0]
    size = len(gain) * sum(change.numel() * gain.shape[2] for change, gain in pairs)
    if size < WORTH or change.device.type != "cpu" or change.dtype != torch.float64 or (most or 0) > MOST:
        return None
    kernel = changes_kernel()
    return None if isinstance(kernel, str) else _rises(kernel, pairs, most)


@lru_cache
def changes_kernel() -> CompiledChanges | str:
    """Return the kernel if its sums of a probe are torch's, or why there is none."""
    return load("changes.c", torch.float64, CompiledChanges.of, _agrees)


def _rises(kernel: CompiledChanges, pairs: Pairs, most: int | None) -> Tensor:
    """Return what the kernel finds."""
    if most is None:
        pairs = [(change.sum(-1, keepdim=True), gain.sum(2, keepdim=True)) for change, gain in pairs]
    shape = pairs[0][0].shape[1:-1]
    flat = [(change.flatten(1, -2).transpose(1, 2), gain) for change, gain in pairs]
    return kernel.rises(flat, most).unflatten(1, shape)


def _pooled(change: Tensor, gain: Tensor) -> Tensor:
    """Return all products of a row's changes and gains, (k, batch, outputs…, T·n·d)."""
    each = change.movedim(0, -2).unsqueeze(-1)  # (batch, outputs…, T, n, 1)
    return (each * gain.reshape(len(gain), *([1] * (each.dim() - 3)), gain.shape[1], 1, gain.shape[2])).flatten(-3)


def _agrees(built: CompiledChanges, dtype: torch.dtype) -> bool:
    """Return whether sums of all and of the greatest are torch's; two of the rows share their last gains."""
    generator = torch.Generator().manual_seed(0)
    draw = [torch.rand(shape, generator=generator, dtype=dtype) for shape in ((7, 1, 41, 3), (7, 1, 41, 2))]
    gains = [torch.rand(shape, generator=generator, dtype=dtype) for shape in ((5, 7, 1), (5, 7, 2))]
    for gain in gains:
        gain[2, 3:] = gain[1, 3:]
    pairs = [
        ((one - 0.4).clamp_min(0), (other - 0.4).clamp_min(0)) for one, other in zip(draw, gains, strict=True)
    ]
    found = [(_rises(built, pairs, most), eager_rises(pairs, most)) for most in (None, 1, 3, MOST)]
    return all(torch.allclose(*pair, rtol=1e-13, atol=0.0) for pair in found)
