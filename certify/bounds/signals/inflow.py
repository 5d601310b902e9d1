"""What drives a layer that subtracts: its currents step by step, and filtered by its own decay."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ....models.rules import Leaky
from ...rounding import Rounding
from ..cells.looking_through import filtered_current
from .box import Box
from .membrane import drive
from .signals import Signal


@dataclass(frozen=True)
class Inflow:
    """What drives N neurons; ends are (T, ...) each, rounding paid.

    Attributes:
        lower, upper: of the filtered current L[t] = Σ_{k≤t} λ^{t−k}·c[k].
        low, high: of the scaled current c[t].
        slack: what the run's recursion may add to each scaled current, (...): part of the widening.
        surely: v above this fires for certain (θ + tie).
        perhaps: v at or above this may fire (θ − tie).
    """

    lower: Tensor
    upper: Tensor
    low: Tensor
    high: Tensor
    slack: Tensor
    surely: float
    perhaps: float

    def at(self, samples: Tensor, neurons: Tensor) -> "Inflow":
        """Return what drives some neurons of some samples, tensors that broadcast; features are flattened."""
        ends = (ends.flatten(2)[:, samples, neurons] for ends in (self.lower, self.upper, self.low, self.high))
        slack = self.slack.flatten(1)[samples, neurons]
        return Inflow(*ends, slack=slack, surely=self.surely, perhaps=self.perhaps)

    def part(self, chosen: slice) -> "Inflow":
        """Return some neurons, by their last axis."""
        ends = (ends[..., chosen] for ends in (self.lower, self.upper, self.low, self.high, self.slack))
        return Inflow(*ends, surely=self.surely, perhaps=self.perhaps)


def inflow_of(current: Signal, rule: Leaky, rounding: Rounding) -> Inflow:
    """Return what `current` drives neurons of `rule` with."""
    drives = drive(current, rule, rounding)
    box = filtered_current(current, rule)
    slack = drives.slack * filter_sums(rule, box.lower)
    ends = Box(box.lower - slack, box.upper + slack)
    return Inflow(ends.lower, ends.upper, drives.lower, drives.upper, drives.slack, *drives.limits)


def filter_sums(rule: Leaky, like: Tensor) -> Tensor:
    """Return Σ_{k≤t} λ^{t−k} for each of the T rows of `like`, (T, 1, ...)."""
    powers = rule.decay ** torch.arange(len(like), dtype=like.dtype, device=like.device)
    return powers.cumsum(0).reshape(-1, *([1] * (like.dim() - 1)))
