"""Planes below and above a spike and a reset: what is sound does not depend on how the slope was chosen.

Let v be a potential in [l, u]. Silent (s = 0) is possible for v ≤ θ + tie, firing (s = 1) for v ≥ θ − tie; between
the two both are. So the pairs (v, s) lie on two segments, and both outputs are affine on each:

    spike      s             silent 0     fired 1
    residue    λ·u           silent λ·v   fired 0 (reset "zero"), λ(v − d) ("subtract"), λ·v ("none")

An affine function lies below an output on a segment iff it does at its two ends. Hence for any slope p
the best intercepts are minima over ends: c over the silent ends, q + c over the fired ones, of output − p·v, and

    output ≥ p·v + q·s + c,

the upper plane alike with maxima. The spike itself may not use s: q = 0, and c is the minimum over all four ends.

Rounding. The relaxed v stands for the potential of the run; what auto_LiRPA knows is z = v − e, the exact
value of λu[t−1] + a[t]I[t] at the run's own u and I, with |e| ≤ slack. So [l, u] is the interval of z widened by
the slack, and a plane of slope p in v is one in z once its intercept gives way by |p|·`slack`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from torch import Tensor

from ...models.rules import Leaky

LOWER, UPPER = 1.0, -1.0
"""The sign of a plane below the output, and of one above."""


@dataclass(frozen=True)
class RelaxedLayer:
    """One spiking layer, as its bounds see it.

    Attributes:
        rule: its constants.
        slack: a bound of |v − z|, (1 or batch, ...), float64.
        surely, perhaps: v above the first fires for certain, v at or above the second may fire.
        relative: a bound of the relative error of a sum that auto_LiRPA computes.
    """

    rule: Leaky
    slack: Tensor
    surely: float
    perhaps: float
    relative: float


class Plane(NamedTuple):
    """slope·z + spike·s + offset."""

    slope: Tensor
    spike: Tensor
    offset: Tensor


@dataclass(frozen=True)
class JumpSegments(ABC):
    """The ends of both segments: `points` v and `values` of an output, (4, batch, ...); silent first, then fired.

    Where a segment is empty, the other one's ends stand in for it, so that a minimum over all four is right.
    """

    neuron: RelaxedLayer
    points: Tensor
    values: Tensor
    silent: Tensor
    fired: Tensor

    @classmethod
    def over(cls, lower: Tensor, upper: Tensor, neuron: RelaxedLayer) -> Self:
        """Return those over z in [lower, upper]."""
        low, high = lower - neuron.slack, upper + neuron.slack
        points = torch.stack([low, high.clamp_max(neuron.surely), low.clamp_min(neuron.perhaps), high])
        spikes = points.new_tensor([0.0, 0.0, 1.0, 1.0]).reshape(-1, *([1] * low.dim())).expand_as(points)
        values = cls.output(neuron.rule, points, spikes)
        silent, fired = low <= neuron.surely, high >= neuron.perhaps
        exists = torch.stack([silent, silent, fired, fired])
        points, values = (torch.where(exists, ends, ends.roll(2, 0)) for ends in (points, values))
        return cls(neuron, points, values, silent, fired)

    @staticmethod
    @abstractmethod
    def output(rule: Leaky, potential: Tensor, spike: Tensor) -> Tensor:
        """Return the output of a potential that fired or did not."""

    @abstractmethod
    def slope(self, sign: float) -> Tensor:
        """Return the slope of a plane where none has been optimised."""

    @abstractmethod
    def joined(self, silent: Tensor, fired: Tensor) -> tuple[Tensor, Tensor]:
        """Return the intercepts that a plane uses on both segments, from the best ones of each."""

    def plane(self, slope: Tensor, sign: float) -> Plane:
        """Return the best plane of that slope below or above the output; `slope` may lead with axes."""
        heights = [sign * (value - slope * point) for value, point in zip(self.values, self.points, strict=True)]
        silent, fired = self.joined(heights[0].minimum(heights[1]), heights[2].minimum(heights[3]))
        spike = sign * torch.where(self.silent & self.fired, fired - silent, 0.0)
        size = self.values.abs().amax(0) + slope.abs() * self.points.abs().amax(0) + spike.abs()
        slack = slope.abs() * self.neuron.slack + self.neuron.relative * size
        return Plane(slope, spike, sign * (silent - slack))


class SpikeSegments(JumpSegments):
    """Those of s, which may not use itself."""

    @staticmethod
    def output(rule: Leaky, potential: Tensor, spike: Tensor) -> Tensor:
        """Return the spike."""
        return spike

    def slope(self, sign: float) -> Tensor:
        """Return the slope of the line that is closest at the middle.

        The height at the middle, less |slope|·slack, is concave in the slope and has its corners at the slopes of
        the lines through two ends and at 0.
        """
        middle = (self.points[0] + self.points[3]) * 0.5
        run, rise = ((ends[2:, None] - ends[:2]).flatten(0, 1) for ends in (self.points, self.values))
        slopes = torch.cat([torch.zeros_like(run[:1]), torch.where(run == 0, 0.0, rise / run)])
        least = (sign * (self.values[:, None] - slopes * self.points[:, None])).amin(0)
        heights = sign * slopes * middle + least - slopes.abs() * self.neuron.slack
        return slopes.gather(0, heights.argmax(0, keepdim=True)).squeeze(0)

    def joined(self, silent: Tensor, fired: Tensor) -> tuple[Tensor, Tensor]:
        """Return the lower one twice."""
        least = silent.minimum(fired)
        return least, least


class ResidueSegments(JumpSegments):
    """Those of λ·u, with planes in v and s: what they say of s is left to the spike, which joins both its uses.

    That is far tighter than a line in v alone, which relaxes the same jump a second time.
    """

    @staticmethod
    def output(rule: Leaky, potential: Tensor, spike: Tensor) -> Tensor:
        """Return λ·u."""
        if rule.reset == "zero":
            return rule.decay * (potential * (1.0 - spike))
        if rule.reset == "subtract":
            return rule.decay * (potential - rule.drop * spike)
        return rule.decay * potential

    def slope(self, sign: float) -> Tensor:
        """Return the slope of the longer segment, on which the plane is then exact."""
        rule, (low, last, first, high) = self.neuron.rule, self.points
        longer = self.silent & ~(self.fired & (high - first > last - low))
        return torch.where(longer, rule.decay, 0.0 if rule.reset == "zero" else rule.decay).to(low)

    def joined(self, silent: Tensor, fired: Tensor) -> tuple[Tensor, Tensor]:
        """Return both."""
        return silent, fired
