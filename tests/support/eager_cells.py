"""Cells, and pairs of them (F9, F9b), by torch's own operations: what cells.c must agree with bitwise."""

from dataclasses import dataclass

import torch
from torch import Tensor

from spikecert.certify.bounds.cells.automaton import CellRanges, Cells, Pairs, candidates, merged, targets
from spikecert.certify.bounds.cells.looking_through import Inflow
from spikecert.certify.bounds.signals.windows import Box
from spikecert.models.rules import Leaky


def cell_ranges(inflow: Inflow, rule: Leaky, count: int, row: Tensor, decay: float) -> CellRanges:
    """Return what K cells a neuron say of each step.

    Args:
        inflow: what drives the neurons.
        rule: of the layer.
        count: K.
        row, decay: of the sum that is asked for; `row` is (T,).
    """
    cells, found = Cells.start(inflow.slack, count), []
    for t, weight in enumerate(row.tolist()):
        reached = candidates(cells, inflow, t, rule, weight, decay)
        cells = merged(reached, targets(reached, count), count)
        found.append((_spikes(reached), *_ranges(cells)))
    spikes, *others = (_stacked(boxes) for boxes in zip(*found, strict=True))
    return CellRanges(spikes, *others)


def _ranges(cells: Cells) -> tuple[Box, ...]:
    """Return the ranges of S, of u and of the sum: hulls over the cells that are alive, (...)."""
    dead = ~cells.alive
    pairs = ((cells.least, cells.most), (cells.low, cells.high), (cells.shortest, cells.longest))
    return tuple(
        Box(least.masked_fill(dead, torch.inf).amin(0), most.masked_fill(dead, -torch.inf).amax(0))
        for least, most in pairs
    )


def _spikes(reached: Cells) -> Box:
    """Return whether a spike is certain, and whether it is possible, as 0 or 1, (...) each."""
    silent, fires = reached.alive.chunk(2)
    return Box((~silent.any(0)).to(reached.least.dtype), fires.any(0).to(reached.least.dtype))


def _stacked(boxes: tuple[Box, ...]) -> Box:
    return Box(torch.stack([box.lower for box in boxes]), torch.stack([box.upper for box in boxes]))


PAIRS = 16
"""Pairs that go at once, so that their cells stay in cache."""


@dataclass(frozen=True)
class _PairCells:
    """Cells of P pairs: ends of S and of u, each (2, C, P), and the least N_y − N_k that leads there, (C, P).

    Cells that no run reaches have N_y − N_k = ∞ and ends 0.
    """

    least: Tensor
    most: Tensor
    low: Tensor
    high: Tensor
    ahead: Tensor


def least_differences(pairs: Pairs, rule: Leaky, side: int) -> Tensor:
    """Return a lower bound of N_y − N_k for each pair, (P,); ∞ where no run exists."""
    starts = range(0, pairs.strip.lower.shape[1], PAIRS)
    return torch.cat([_least_of(_some(pairs, slice(start, start + PAIRS)), rule, side) for start in starts])


def _some(pairs: Pairs, chosen: slice) -> Pairs:
    return Pairs(pairs.inflow.part(chosen), Box(pairs.strip.lower[:, chosen], pairs.strip.upper[:, chosen]))


def _least_of(pairs: Pairs, rule: Leaky, side: int) -> Tensor:
    start = pairs.inflow.lower.new_zeros(2, 1, pairs.strip.lower.shape[1])
    cells = _PairCells(start, start, start, start, start[0])
    for t in range(len(pairs.inflow.lower)):
        cells = _merged_pairs(_stepped(cells, pairs, t, rule), side)
    return cells.ahead.amin(0)


def _stepped(cells: _PairCells, pairs: Pairs, t: int, rule: Leaky) -> _PairCells:
    """Return what each cell becomes for each of the four pairs of spikes, 4C cells."""
    parts = [_fired(cells, pairs, t, rule, spikes) for spikes in ((0, 0), (0, 1), (1, 0), (1, 1))]
    ends = (torch.cat([getattr(part, name) for part in parts], 1) for name in ("least", "most", "low", "high"))
    return _PairCells(*ends, ahead=torch.cat([part.ahead for part in parts]))


def _fired(cells: _PairCells, pairs: Pairs, t: int, rule: Leaky, spikes: tuple[int, int]) -> _PairCells:
    """Return the cells after a step with the spikes (s_y, s_k)."""
    spike = cells.least.new_tensor(spikes)[:, None, None]
    least, most = cells.least * rule.decay, cells.most * rule.decay
    bottom, top = _potentials(cells, pairs.inflow, t, rule, spikes)
    lower = pairs.inflow.lower[t][:, None].maximum(bottom + least * rule.drop)
    upper = pairs.inflow.upper[t][:, None].minimum(top + most * rule.drop)
    lower, upper = _cut_to_strip(lower, upper, pairs.strip.lower[t], pairs.strip.upper[t])
    least, most = least + spike, most + spike
    low = (lower - most * rule.drop).maximum(bottom - spike * rule.drop)
    high = (upper - least * rule.drop).minimum(top - spike * rule.drop)
    least, most = least.maximum((lower - high) / rule.drop), most.minimum((upper - low) / rule.drop)
    there = (bottom <= top) & (lower <= upper) & (low <= high) & (least <= most)
    ahead = (cells.ahead + (spikes[0] - spikes[1])).masked_fill(~there.all(0), torch.inf)
    return _PairCells(least, most, low, high, ahead)


def _potentials(
    cells: _PairCells, inflow: Inflow, t: int, rule: Leaky, spikes: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Return the ends of v, (2, C, P), cut by what each neuron's spike, or silence, needs."""
    low = cells.low * rule.decay + inflow.low[t][:, None]
    high = cells.high * rule.decay + inflow.high[t][:, None]
    needs = low.new_tensor([inflow.perhaps if spike else -torch.inf for spike in spikes])[:, None, None]
    stays = low.new_tensor([torch.inf if spike else inflow.surely for spike in spikes])[:, None, None]
    return low.maximum(needs), high.minimum(stays)


def _cut_to_strip(lower: Tensor, upper: Tensor, p: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
    """Cut boxes of (L_y, L_k), (2, C, P), to L_y − L_k ∈ [p, q]."""
    (a, c), (b, e) = lower, upper
    return (
        torch.stack((a.maximum(c + p), c.maximum(a - q))),
        torch.stack((b.minimum(e + q), e.minimum(b - p))),
    )


def _merged_pairs(cells: _PairCells, side: int) -> _PairCells:
    """Merge the cells of each pair into at most side²: those of one bin of (S_y, S_k) into their hull."""
    alive = cells.ahead < torch.inf
    rank = alive.cumsum(0)
    first, second = _bins(cells, alive, side)
    few = rank[-1] <= side**2
    size = int(torch.where(few, rank[-1], side**2).max())
    target = torch.where(alive, torch.where(few, rank - 1, first * side + second), size)

    def hull(values: Tensor, how: str) -> Tensor:
        reached = values.new_zeros(size + 1, values.shape[-1])
        return reached.scatter_reduce_(0, target, values, how, include_self=False)[:size]

    found = hull(alive.to(cells.ahead.dtype), "amax") > 0
    hulls = ((cells.least, "amin"), (cells.most, "amax"), (cells.low, "amin"), (cells.high, "amax"))
    ends = (torch.stack([hull(values, how) for values in both]) for both, how in hulls)
    return _PairCells(*ends, ahead=hull(cells.ahead, "amin").masked_fill(~found, torch.inf))


def _bins(cells: _PairCells, alive: Tensor, side: int) -> Tensor:
    """Return the bins of S_y and of S_k, (2, C, P); they hold counts apart where λ = 1."""
    middle = (cells.least + cells.most) * 0.5
    first = middle.masked_fill(~alive, torch.inf).amin(1, keepdim=True)
    last = middle.masked_fill(~alive, -torch.inf).amax(1, keepdim=True)
    width = ((last - first) / (side - 1)).clamp_min(1e-300)
    return ((middle - first) / width).round().clamp(0, side - 1).nan_to_num(0.0).long()
