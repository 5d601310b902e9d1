"""The greatest of all products of changes and gains, summed: `changes.c`, in one pass over what is not 0."""

import torch
from torch import Tensor

from ....kernels.changes import MOST, changes_kernel

Pairs = list[tuple[Tensor, Tensor]]
"""Changes (T, batch, outputs…, n) and gains (k, T, d), ≥ 0 all."""


def rises(pairs: Pairs, most: int | None) -> Tensor:
    """Return the sums of the `most` greatest products of each row; None: of all, (k, batch, outputs…)."""
    if most is not None and most > MOST:
        return torch.cat([_pooled(*pair) for pair in pairs], -1).topk(most).values.sum(-1)
    if most is None:
        pairs = [(change.sum(-1, keepdim=True), gain.sum(2, keepdim=True)) for change, gain in pairs]
    like = pairs[0][0]
    flat = [(change.flatten(1, -2).transpose(1, 2).cpu(), gain.cpu()) for change, gain in pairs]
    return changes_kernel().rises(flat, most).unflatten(1, like.shape[1:-1]).to(like.device)


def _pooled(change: Tensor, gain: Tensor) -> Tensor:
    """Return all products of a row's changes and gains, (k, batch, outputs…, T·n·d)."""
    each = change.movedim(0, -2).unsqueeze(-1)  # (batch, outputs…, T, n, 1)
    return (each * gain.reshape(len(gain), *([1] * (each.dim() - 3)), gain.shape[1], 1, gain.shape[2])).flatten(-3)
