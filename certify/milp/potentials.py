"""Where each potential may lie at each step, by what the bounds know of the layer."""

from dataclasses import dataclass

import torch
from torch import Tensor

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
