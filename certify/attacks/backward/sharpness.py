"""ASSG: a surrogate as wide as potentials have been far from their thresholds, neuron by neuron, step by step."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ....models.constants import settle, share
from .base import Slopes, SlopesOfRun

LEAST = 1e-4


@dataclass(frozen=True)
class AdaptiveSharpness(SlopesOfRun):
    """The adaptive sharpness surrogate gradient (ASSG).

    For each neuron, step and sample, over the iterations of an attack, from M = 1 and D = 0 on,

        M ← .9·M + .1·|x|,   D ← .9·D + .1·||x| − M|,   α = w/(M + 1.5·D + 10⁻⁴),   w = 2·tan(πA/2)/π,
        h(x) = (α/2)/(1 + (παx/2)²),   x = (v − θ)/θ:

    so that a share A of a gradient vanishes where |x| is what it has been.

    Args:
        vanishing: A ∈ (0, 1).
        fading: .9, the share of M and D that an iteration keeps.
        relaxed: 1.5, the weight of D.
        through_reset: let gradients go through resets, too; theirs do not.

    References: wang2025towards
    """

    vanishing: float = 0.85
    fading: float = 0.9
    relaxed: float = 1.5
    through_reset: bool = False

    def __post_init__(self) -> None:
        settle(self, share, "vanishing", "fading")

    def remembered(self) -> Slopes:
        """Return the slopes of one layer, which remember its runs."""
        return _Sharpness(self)


class _Sharpness(Slopes):
    """M and D of one layer, (T, samples, ...) each."""

    def __init__(self, asked: AdaptiveSharpness) -> None:
        self.asked = asked
        self.known: list[Tensor] = []

    def __call__(self, distance: Tensor, rows: Tensor | None) -> Tensor:
        """Take a run into account, and return its slopes."""
        rows = torch.arange(distance.shape[1], device=distance.device) if rows is None else rows
        mean, deviation = self._rows(distance, rows)
        size, kept = distance.abs(), self.asked.fading
        mean = kept * mean + (1.0 - kept) * size
        deviation = kept * deviation + (1.0 - kept) * (size - mean).abs()
        for known, now in zip(self.known, (mean, deviation), strict=True):
            known[:, rows] = now
        width = 2.0 * math.tan(0.5 * math.pi * self.asked.vanishing) / math.pi
        alpha = width / (mean + self.asked.relaxed * deviation + LEAST)
        return (0.5 * alpha / (1.0 + (0.5 * math.pi * alpha * distance) ** 2)).nan_to_num(nan=0.0)

    def _rows(self, like: Tensor, rows: Tensor) -> list[Tensor]:
        """Return M and D of these samples, 1 and 0 of those that are new."""
        count, shape = int(rows.max()) + 1, like.shape[2:]
        known = self.known[0].shape[1] if self.known else 0
        if count > known:
            new = [like.new_full((len(like), count - known, *shape), start) for start in (1.0, 0.0)]
            old = self.known or [part[:, :0] for part in new]
            self.known = [torch.cat(pair, 1) for pair in zip(old, new, strict=True)]
        return [part[:, rows] for part in self.known]
