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

Import auto_LiRPA, and keep what it does to the process to itself.

PyPI's 0.3 was written for torch below 1.13 and numpy below 2: two names are put back that its import asks for.
"""

import importlib
import logging
import sys
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from ...files.errors import SpikecertError
from ...models.deadline import TimeIsUp
from ...models.rules import Leaky
from ...models.validation import one_line

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


INSTALL = "pip install appdirs pyyaml ninja tqdm && pip install --no-deps auto_LiRPA==0.3"
DEPTH = 100_000
"""Calls within calls: auto_LiRPA walks the graph by recursion, once per step and layer."""


class LibraryError(SpikecertError, ValueError):
    """auto_LiRPA itself raised."""


def load() -> ModuleType:
    """Return the package auto_LiRPA.

    Raises:
        ImportError: where it is not installed, or can't be imported beside this torch; it says what to install.
    """
    sets: Any = ModuleType("numpy.lib.arraysetops")
    sets.isin = np.isin
    sys.modules.setdefault(sets.__name__, sets)
    try:
        with _contained():
            helper: Any = importlib.import_module("torch.onnx.symbolic_helper")
            if not hasattr(helper, "_set_opset_version"):
                helper._set_opset_version = None
            return importlib.import_module("auto_LiRPA")
    except (ImportError, AttributeError) as error:
        raise ImportError(
            f'verifier: "lirpa" needs auto_LiRPA, which can\'t be imported beside torch {torch.__version__}: '
            f"{error}; install with: {INSTALL}",
            name=error.name,
        ) from error


@contextmanager
def asking() -> Iterator[None]:
    """Call auto_LiRPA; what it raises becomes one line, but for what our own nodes raise on purpose."""
    try:
        with _contained():
            yield
    except (OverflowError, TimeIsUp):
        raise
    except Exception as error:
        told = one_line(error) or "no message"
        raise LibraryError(f"network: auto_LiRPA raised {type(error).__name__}: {told}") from error


@contextmanager
def _contained() -> Iterator[None]:
    """Drop warnings, allow deep recursion and make float64 torch's default; put all back, and the log handlers.

    auto_LiRPA makes some matrices in the default dtype, and α-CROWN even rounds its result to it, in either
    direction. Warnings are recorded, not ignored: its import adds a filter of its own, which would win.
    """
    root, depth, dtype = logging.getLogger(), sys.getrecursionlimit(), torch.get_default_dtype()
    handlers = list(root.handlers)
    try:
        with warnings.catch_warnings(record=True):
            warnings.simplefilter("ignore")
            sys.setrecursionlimit(max(depth, DEPTH))
            torch.set_default_dtype(torch.float64)
            yield
    finally:
        sys.setrecursionlimit(depth)
        torch.set_default_dtype(dtype)
        root.handlers[:] = handlers
