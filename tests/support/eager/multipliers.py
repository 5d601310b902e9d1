"""The multipliers of ranges.py by torch's own operations: what ranges.c must come close to."""

import torch
from torch import Tensor

from spikecert.kernels.search.ranges import Adam


def multipliers(rows: Tensor, ends: tuple[Tensor, Tensor], aims: Tensor, adam: Adam) -> Tensor:
    """Return good multipliers ν of each aim a: where −‖a − Σ ν_k·rows_k‖₁ + Σ ν_k⁺·least_k − ν_k⁻·most_k is great.

    Args:
        rows: of the slabs, (N, K, m), in units of the box.
        ends: least and most of each slab around the middle of the box, (N, K) each.
        aims: (N, A, m).
        adam: of the search.

    Returns:
        (N, A, K).
    """
    iterations = adam[0]
    least, most = (end[:, None] for end in ends)
    columns = rows.mT
    prices = aims.new_zeros(*aims.shape[:2], rows.shape[1])
    first, second, best = torch.zeros_like(prices), torch.zeros_like(prices), torch.zeros_like(prices)
    record = -aims.abs().sum(2)
    for count in range(1, iterations + 1):
        slope = torch.baddbmm(aims, prices, rows, alpha=-1.0)
        reached = slope.sign() @ columns  # minus the slabs' positions at the minimiser
        if count > 1:
            paid = torch.where(prices > 0, least, most).mul_(prices).sum(2)
            value = paid.sub_(slope.abs_().sum(2))
            torch.where((value > record)[..., None], prices, best, out=best)
            record = record.maximum(value)
        below, above = least + reached, most + reached
        gradient = torch.where(prices > 0, below, above)
        torch.where(prices == 0, below.clamp_min_(0.0).add_(above.clamp_max_(0.0)), gradient, out=gradient)
        prices = _stepped(prices, gradient, (first, second), count, adam)
    return best


def _stepped(prices: Tensor, gradient: Tensor, moments: tuple[Tensor, Tensor], count: int, adam: Adam) -> Tensor:
    """Take an Adam step; a multiplier that would change its sign stops at 0."""
    iterations, rate, (keep, keep_squares) = adam
    first, second = moments
    first.lerp_(gradient, 1 - keep)
    second.mul_(keep_squares).addcmul_(gradient, gradient, value=1 - keep_squares)
    rate *= 1.0 - 0.9 * count / iterations
    scale = rate * (1 - keep_squares**count) ** 0.5 / (1 - keep**count)
    moved = torch.addcdiv(prices, first, second.sqrt().add_(1e-8), value=scale)
    return moved.masked_fill_(prices * moved < 0, 0.0)
