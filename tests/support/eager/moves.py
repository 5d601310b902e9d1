"""What moves.c says of moved events, by torch's operations: neurons are open from their first doubt on."""

import torch
from torch import Tensor

from spikecert.kernels.moves import CompiledMoves, MovingLayer


def eager_sums(
    layer: MovingLayer, constants: tuple[float, ...], reset: str, rows: Tensor
) -> tuple[Tensor, Tensor]:
    """Return what `moves.c` does, (k, M, n) each, but for neurons being open from the first doubt on."""
    decay, surely, perhaps, drop, unit, span, smallest = constants
    columns = layer.columns[layer.event]
    low, high = torch.zeros_like(columns), torch.zeros_like(columns)
    opened = torch.zeros_like(columns, dtype=torch.bool)
    ends = rows.new_zeros(2, len(rows), *columns.shape)
    for t, row in enumerate(rows.T):
        sign = (layer.after == t).to(columns) - (layer.before == t).to(columns)
        added = (sign * layer.factors[t])[:, None] * columns
        least, greatest = layer.lower[t] + added, layer.upper[t] + added
        size = decay * high.maximum(-low) + greatest.maximum(-least) + span
        slack = unit * size + smallest
        low, high = decay * low + (least - slack), decay * high + (greatest + slack)
        fires, may = low > surely, high >= perhaps
        opened = opened | (fires != may) | ~(low <= high)
        left = {"zero": (low * 0.0, high * 0.0), "subtract": (low - drop, high - drop), "none": (low, high)}[reset]
        low, high = (torch.where(fires, *pair) for pair in zip(left, (low, high), strict=True))
        weights = row.view(-1, 1, 1)
        ends[0] += torch.where(opened, weights.clamp_max(0.0), fires * weights)
        ends[1] += torch.where(opened, weights.clamp_min(0.0), fires * weights)
    return ends[0], ends[1]


def agrees(built: CompiledMoves) -> bool:
    """Return whether the sums of 37 neurons over 11 steps are torch's, or between them, for each reset."""
    generator = torch.Generator().manual_seed(0)
    lower, columns, rows = (
        torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((11, 37), (5, 37), (3, 11))
    )
    event, before = torch.arange(15) % 5, torch.arange(15) % 11
    after = torch.cat((torch.arange(14) * 3 % 11, torch.tensor([-1])))
    factors = torch.linspace(0.5, 1.5, 11, dtype=torch.float64)
    layer = MovingLayer(lower, lower + 0.01, factors, columns, event, before, after)
    for decay, reset in ((0.9, "zero"), (1.0, "subtract"), (0.5, "none")):
        asked = layer, (decay, 1.001, 0.999, 1.0, 1e-6, 1.0, 1e-30), reset, rows
        (low, high), (least, most) = built.sums(*asked), eager_sums(*asked)
        inside = (low >= least - 1e-12) & (high <= most + 1e-12) & (low <= high)
        known = (most - least).abs() <= 1e-12
        if not bool(inside.all()) or not torch.allclose(low[known], high[known], rtol=0.0, atol=1e-12):
            return False
    return True
