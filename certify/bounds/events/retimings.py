"""Where an event at each step may go, and what it gains there."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Retimings:
    """The best moves from each step, by distance.

    Attributes:
        gains: the greatest values[t'] − values[t], or 0, over 0 < |t' − t| ≤ d, for d = 1..Δ, (..., T, Δ).
        targets: t' + Δ there; of those that vanish, a place behind all others, (..., T, Δ).
        jitter: Δ.
    """

    gains: Tensor
    targets: Tensor
    jitter: int

    @staticmethod
    def of(values: Tensor, jitter: int, leaves: bool, vanishes: bool) -> "Retimings":
        """Return the best moves toward greater `values`, (..., T).

        Args:
            values: of each step; outside, and for who vanishes, it is 0.
            jitter: Δ.
            leaves: whether events may go outside.
            vanishes: whether an event that moves may also vanish.
        """
        steps = values.shape[-1]
        padded = F.pad(values, (jitter, jitter), value=0.0 if leaves else -torch.inf)
        distances = range(1, jitter + 1)
        offsets = [sign * distance for distance in distances for sign in (1, -1)]
        reached = torch.stack([padded[..., jitter + o : jitter + o + steps] for o in offsets], -1)
        best = reached.cummax(-1)
        places = torch.arange(steps, device=values.device)[:, None] + jitter
        targets = places + torch.tensor(offsets, device=values.device)[best.indices[..., 1::2]]
        highest = best.values[..., 1::2]
        if vanishes:
            targets = torch.where(highest < 0, steps + 2 * jitter, targets)
            highest = highest.clamp_min(0)
        return Retimings((highest - values.unsqueeze(-1)).clamp_min(0), targets, jitter)

    def best(self, price: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the greatest gain less `price`, (S,), times distance, and where it leads, (S, ..., T) each.

        Without a price: the greatest gain.
        """
        if price is None:
            return self.gains[..., -1], self.targets[..., -1]
        distance = torch.arange(1, self.jitter + 1, dtype=self.gains.dtype, device=self.gains.device)
        net = (self.gains - distance * price.view(-1, *([1] * (self.gains.dim() - 1)))).max(-1)
        return net.values.clamp_min(0), self.targets.gather(-1, net.indices.unsqueeze(-1)).squeeze(-1)

    def moves(self, moving: Tensor, targets: Tensor) -> Tensor:
        """Return what the events that move change, (..., T): −1 where they were, 1 where they go."""
        steps = moving.shape[-1]
        there = self.gains.new_zeros(*moving.shape[:-1], steps + 2 * self.jitter + 1)
        there.scatter_add_(-1, targets, moving.to(there))
        return there[..., self.jitter : self.jitter + steps] - moving.to(there)
