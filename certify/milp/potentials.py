"""Where each potential may lie at each step, by what the bounds know of the layer."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ...models.rules import Leaky
from ..bounds.intervals.interval import StepSpikes
from ..bounds.signals.membrane import Drive
from ..bounds.trains.train_graph import GraphTrains


@dataclass(frozen=True)
class Potentials:
    """Boxes of v before the reset, and which spikes are open.

    Attributes:
        lower, upper: ends of v[t], (T, ...).
        certain, possible: whether each spike surely, or perhaps, happens, (T, ...) of bool.
    """

    lower: Tensor
    upper: Tensor
    certain: Tensor
    possible: Tensor


def graph_potentials(found: GraphTrains) -> Potentials:
    """Return the hull, over the last spikes that a path may have, of what the graph reached."""
    alive = torch.zeros_like(found.ends)
    alive[0] = True
    lower, upper = [], []
    for t, (low, high) in enumerate(found.reach):
        there = alive[: t + 1] & (low <= high)
        lower.append(torch.where(there, low, torch.inf).amin(0))
        upper.append(torch.where(there, high, -torch.inf).amax(0))
        alive[: t + 1] = there & (low <= found.drives.surely)
        alive[t + 1] = found.edges[t].any(0)
    return Potentials(torch.stack(lower), torch.stack(upper), found.box.lower > 0, found.box.upper > 0)


def interval_potentials(found: StepSpikes, drives: Drive, rule: Leaky) -> Potentials:
    """Return the intervals of the per-step recursion, in which an open spike joins both cases of the reset."""
    certain, possible = found.box.lower > 0, found.box.upper > 0
    low = high = torch.zeros_like(drives.lower[0])
    lower, upper = [], []
    for t in range(len(drives.lower)):
        low = rule.decay * low + drives.lower[t]
        high = rule.decay * high + drives.upper[t]
        lower.append(low)
        upper.append(high)
        low, high = _after(low, high, certain[t], possible[t], drives, rule)
    return Potentials(torch.stack(lower), torch.stack(upper), certain, possible)


def _after(
    low: Tensor, high: Tensor, certain: Tensor, possible: Tensor, drives: Drive, rule: Leaky
) -> tuple[Tensor, Tensor]:
    """Return the hull of what the reset makes of both cases."""
    if rule.reset == "none":
        return low, high
    zero = torch.zeros_like(low)
    drop = rule.drop
    fired = (zero, zero) if rule.reset == "zero" else (low.clamp_min(drives.perhaps) - drop, high - drop)
    silent_low = torch.where(certain, torch.inf, low)
    silent_high = torch.where(certain, -torch.inf, high.clamp_max(drives.surely))
    silent_high = torch.where(possible, silent_high, high)
    return (
        silent_low.minimum(torch.where(possible, fired[0], torch.inf)),
        silent_high.maximum(torch.where(possible, fired[1], -torch.inf)),
    )
