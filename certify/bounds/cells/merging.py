"""Cells one step at a time (automaton.py): what silence and a spike make of each, and which of these merge.

Prices on cells (price_cells.py) are found by these; ranges alone by cells.c, which merges as they do.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ....models.rules import Leaky
from ..signals.inflow import Inflow

NOWHERE = -1
"""Where a move leads that does not exist."""


@dataclass(frozen=True)
class Cells:
    """Cells at one step, each (K, ...); numbers of cells that no run reaches are 0.

    Attributes:
        least, most: ends of S.
        low, high: ends of u.
        shortest, longest: ends of the sum that is asked for.
        alive: which cells a run may reach.
    """

    least: Tensor
    most: Tensor
    low: Tensor
    high: Tensor
    shortest: Tensor
    longest: Tensor
    alive: Tensor

    @staticmethod
    def start(like: Tensor, count: int) -> "Cells":
        """Return the one cell before the first step, for neurons `like`, (...)."""
        ends = like.new_zeros(6, count, *like.shape)
        alive = torch.zeros_like(ends[0], dtype=torch.bool)
        alive[0] = True
        return Cells(*ends, alive=alive)


def candidates(cells: Cells, inflow: Inflow, t: int, rule: Leaky, weight: float, decay: float) -> Cells:
    """Return what silence (the first K) and a spike (the others) make of each cell, before any merge.

    S is cut to (L − u)/d, but for whole counts: d·S was taken from L where v was cut, so that no u leaves S.
    """
    lower, upper = inflow.lower[t], inflow.upper[t]
    least, most = cells.least * rule.decay, cells.most * rule.decay
    low = (lower - most * rule.drop).maximum(cells.low * rule.decay + inflow.low[t])
    high = (upper - least * rule.drop).minimum(cells.high * rule.decay + inflow.high[t])
    alive = cells.alive & (low <= high)
    quiet, fires = alive & (low <= inflow.surely), alive & (high >= inflow.perhaps)
    low = torch.cat((low, low.clamp_min(inflow.perhaps) - rule.drop))
    high = torch.cat((high.clamp_max(inflow.surely), high - rule.drop))
    least, most = torch.cat((least, least + 1.0)), torch.cat((most, most + 1.0))
    if not _apart(cells, inflow, rule):
        least, most = least.maximum((lower - high) / rule.drop), most.minimum((upper - low) / rule.drop)
    shortest, longest = cells.shortest * decay, cells.longest * decay
    shortest = torch.cat((shortest, shortest + weight))
    longest = torch.cat((longest, longest + weight))
    alive = torch.cat((quiet, fires)) & (least <= most)
    return Cells(least, most, low, high, shortest, longest, alive)


def _apart(cells: Cells, inflow: Inflow, rule: Leaky) -> bool:
    """Return whether no two counts merge: S stays whole where λ = 1."""
    return rule.decay == 1.0 and len(cells.alive) > len(inflow.lower)


def targets(found: Cells, count: int) -> Tensor:
    """Return which of `count` cells each candidate merges into, or `NOWHERE`, (2K, ...).

    A neuron's candidates keep apart while there are few enough; else they go into uniform bins of S, which hold
    counts apart where λ = 1.
    """
    rank = found.alive.cumsum(0)
    middle = (found.least + found.most) * 0.5
    first = middle.masked_fill(~found.alive, torch.inf).amin(0)
    last = middle.masked_fill(~found.alive, -torch.inf).amax(0)
    width = ((last - first) / (count - 1)).clamp_min(1e-300)
    bins = ((middle - first) / width).round().clamp(0, count - 1)
    target = torch.where(rank[-1] <= count, rank - 1, bins.nan_to_num(0.0).long())
    return target.masked_fill(~found.alive, NOWHERE)


def merged(found: Cells, target: Tensor, count: int) -> Cells:
    """Return the hulls of what reaches each cell."""
    target = torch.where(target == NOWHERE, count, target)

    def hull(values: Tensor, how: str) -> Tensor:
        reached = values.new_zeros(count + 1, *values.shape[1:])
        return reached.scatter_reduce_(0, target, values, how, include_self=False)[:count]

    lower = (hull(values, "amin") for values in (found.least, found.low, found.shortest))
    upper = (hull(values, "amax") for values in (found.most, found.high, found.longest))
    least, low, shortest = lower
    most, high, longest = upper
    alive = hull(found.alive.to(least.dtype), "amax") > 0
    return Cells(least, most, low, high, shortest, longest, alive)
