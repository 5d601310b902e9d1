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

from dataclasses import dataclass

import torch
from torch import Tensor

from ...models.rules import Leaky


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


@dataclass(frozen=True)
class SegmentEnds:
    """The ends of both segments: `points` v and `values` of the output, (4, batch, ...); silent first, then fired.

    Where a segment is empty, the other one's ends stand in for it, so that a minimum over all four is right.
    """

    points: Tensor
    values: Tensor
    silent: Tensor
    fired: Tensor


@dataclass(frozen=True)
class Plane:
    """slope·z + spike·s + offset."""

    slope: Tensor
    spike: Tensor
    offset: Tensor


def spike_ends(lower: Tensor, upper: Tensor, neuron: RelaxedLayer) -> SegmentEnds:
    """Return the ends of s over z in [lower, upper]."""
    points, silent, fired = _segments(lower, upper, neuron)
    zero = torch.zeros_like(points[0])
    return _filled(points, torch.stack([zero, zero, zero + 1.0, zero + 1.0]), silent, fired)


def residue_ends(lower: Tensor, upper: Tensor, neuron: RelaxedLayer) -> SegmentEnds:
    """Return the ends of λ·u over z in [lower, upper]."""
    points, silent, fired = _segments(lower, upper, neuron)
    kept = {
        "zero": torch.zeros_like(points[2:]),
        "subtract": points[2:] - neuron.rule.drop,
        "none": points[2:],
    }
    values = torch.cat([points[:2], kept[neuron.rule.reset]]) * neuron.rule.decay
    return _filled(points, values, silent, fired)


def _segments(lower: Tensor, upper: Tensor, neuron: RelaxedLayer) -> tuple[Tensor, Tensor, Tensor]:
    low, high = lower - neuron.slack, upper + neuron.slack
    points = torch.stack([low, high.clamp_max(neuron.surely), low.clamp_min(neuron.perhaps), high])
    return points, low <= neuron.surely, high >= neuron.perhaps


def _filled(points: Tensor, values: Tensor, silent: Tensor, fired: Tensor) -> SegmentEnds:
    exists = torch.stack([silent, silent, fired, fired])
    return SegmentEnds(
        torch.where(exists, points, points.roll(2, 0)),
        torch.where(exists, values, values.roll(2, 0)),
        silent,
        fired,
    )


def value_range(ends: SegmentEnds) -> tuple[Tensor, Tensor]:
    """Return the least and the greatest value of the output."""
    return ends.values.amin(0), ends.values.amax(0)


def best_slope(ends: SegmentEnds, neuron: RelaxedLayer, sign: float) -> Tensor:
    """Return the slope, without s, of the lower (sign 1) or upper (−1) line that is closest at the middle.

    The height at the middle, less |slope|·slack, is concave in the slope and has its corners at the slopes of
    the lines through two ends and at 0.
    """
    middle = (ends.points[0] + ends.points[3]) * 0.5
    slopes = torch.stack([torch.zeros_like(middle), *_chords(ends)])
    offsets = _least(sign * ends.values.unsqueeze(1), sign * slopes, ends.points.unsqueeze(1))
    heights = sign * slopes * middle + offsets - slopes.abs() * neuron.slack
    return slopes.gather(0, heights.argmax(0, keepdim=True)).squeeze(0)


def _chords(ends: SegmentEnds) -> list[Tensor]:
    chords = []
    for i in range(4):
        for j in range(i):
            run, rise = ends.points[i] - ends.points[j], ends.values[i] - ends.values[j]
            usable = run.abs() > 0
            chords.append(torch.where(usable, rise / torch.where(usable, run, 1.0), 0.0))
    return chords


def line(ends: SegmentEnds, slope: Tensor, neuron: RelaxedLayer, sign: float) -> Plane:
    """Return the best line of that slope below (sign 1) or above (−1) the output; `slope` may lead with axes."""
    offset = _least(sign * ends.values, sign * slope, ends.points)
    slack = _slack(ends, slope, torch.zeros_like(offset), neuron)
    return Plane(slope, torch.zeros_like(slope), sign * (offset - slack))


def plane(ends: SegmentEnds, slope: Tensor, neuron: RelaxedLayer, sign: float) -> Plane:
    """Return the best plane of that slope in v below (sign 1) or above (−1) the output, with a share of s."""
    silent = _least(sign * ends.values[:2], sign * slope, ends.points[:2])
    fired = _least(sign * ends.values[2:], sign * slope, ends.points[2:])
    spike = sign * torch.where(ends.silent & ends.fired, fired - silent, 0.0)
    slack = _slack(ends, slope, spike, neuron)
    return Plane(slope, spike, sign * (silent - slack))


def _least(values: Tensor, slope: Tensor, points: Tensor) -> Tensor:
    """Return the minimum over the ends of value − slope·point."""
    least = values[0] - slope * points[0]
    for value, point in zip(values[1:], points[1:], strict=True):
        least = least.minimum(value - slope * point)
    return least


def _slack(ends: SegmentEnds, slope: Tensor, spike: Tensor, neuron: RelaxedLayer) -> Tensor:
    """Return by how much an offset must give way: for the run's rounding, and for that of the bound itself."""
    size = ends.values.abs().amax(0) + slope.abs() * ends.points.abs().amax(0) + spike.abs()
    return slope.abs() * neuron.slack + neuron.relative * size
