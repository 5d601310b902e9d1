"""Slices of a batch whose tensors stay in a core's cache while a recursion passes over them again and again."""

from collections.abc import Iterator

from torch import Tensor

BLOCK = 1 << 15
"""The most neurons, over samples, in one block: eight float32 buffers of that size are 1 MiB."""


def blocks(like: Tensor) -> Iterator[slice]:
    """Yield slices of the samples of `like`, (T, batch, ...): one slice on an accelerator.

    >>> import torch
    >>> list(blocks(torch.empty(1, 3, BLOCK // 2)))
    [slice(0, 2, None), slice(2, 4, None)]
    """
    batch = like.shape[1]
    rows = batch
    if like.device.type == "cpu":
        rows = BLOCK * batch // max(1, like[0].numel())
    for start in range(0, batch, max(1, rows)):
        yield slice(start, start + max(1, rows))
