"""Input currents of a spiking layer as boxes per step, scaled and widened so that bounds may use real numbers.

Adding what the run's recursion may stray by (`certify/rounding.py`) to the box of a·I[t] makes every
rounded run a run of the exact recursion on the widened box; the comparison with θ, rounded too, is taken as both
outcomes within `tie` of θ.

A potential that begins at u[0] = v₀ takes |v₀| more: |û[t]| ≤ λ^t·|v₀| + …, and what rounds v₀ itself is among
the 8u.

Neurons of one layer whose constants differ are driven all at once (`Lanes`): the rounding of each goes by its own
λ, θ and d, and all of that is elementwise.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ....kernels.graph import long_kernel
from ....models.linear_neuron import LinearNeuron
from ....models.rules import Leaky
from ...rounding import Rounding, recursion_slack
from ...rounding import tie as threshold_tie
from .signals import Signal, filter_rows
from .windows import Box, Spans, Spread


@dataclass(frozen=True)
class Drive:
    """What drives one spiking layer.

    Attributes:
        lower, upper: box of the scaled current a[t]·I[t], widened by the run's rounding, (T, batch, ...).
        slack: what the run's recursion may add to each scaled current, (batch, ...): part of the widening.
        surely: v above this fires for certain (θ + tie); one number, or one a neuron.
        perhaps: v at or above this may fire (θ − tie).
    """

    lower: Tensor
    upper: Tensor
    slack: Tensor
    surely: float | Tensor
    perhaps: float | Tensor

    @property
    def limits(self) -> tuple[float, float]:
        """Return `surely` and `perhaps` of a layer whose neurons share their threshold."""
        assert isinstance(self.surely, float)
        assert isinstance(self.perhaps, float)
        return self.surely, self.perhaps


def drive(current: Signal, rule: Leaky, rounding: Rounding, start: float = 0.0) -> Drive:
    """Return the widened, scaled boxes of `current` for neurons of `rule`, whose potentials begin at `start`."""
    box = current.steps()
    scaled = scaled_box(box, rule.scale_like(box.lower))
    lower, upper = scaled.lower, scaled.upper
    widest = upper.amax(0).maximum(lower.amin(0).neg_()) + abs(start)
    slack = recursion_slack(widest, rule.decay, rule.span, current.num_steps, rounding)
    tie = threshold_tie(rule.threshold, rounding)
    shape = (current.num_steps, *lower.shape[1:])
    return Drive(
        (lower - slack).expand(shape),
        (upper + slack).expand(shape),
        slack,
        rule.threshold + tie,
        rule.threshold - tie,
    )


def scaled_box(box: Box, scale: Tensor | None) -> Box:
    """Return the ends of a[t]·I[t], for factors a (T,), or None for a = 1."""
    if scale is None:
        return box
    scaled = scale.reshape(-1, *([1] * (box.lower.dim() - 1)))
    one, other = scaled * box.lower, scaled * box.upper
    return Box(one.minimum(other), one.maximum(other))


@dataclass(frozen=True)
class Pull:
    """What drives one spiking layer, with middle and radius in place of ends.

    Attributes:
        current: where the scaled current lies, widened by the run's rounding, (T, batch, ...) or, where it is the
            same at each step, (1, batch, ...).
        num_steps: T.
        surely, perhaps: as in `Drive`, where they are asked for.
    """

    current: Spread
    num_steps: int
    surely: float = math.inf
    perhaps: float = math.inf


def pull(current: Signal, rule: Leaky, rounding: Rounding) -> Pull:
    """Return what `drive` does, in fewer passes over memory."""
    spread = current.spread()
    spread = scaled_spread(spread, rule.scale_like(spread.middle))
    widest = spread.middle.abs().add_(spread.radius).amax(0)
    spread.radius.add_(recursion_slack(widest, rule.decay, rule.span, current.num_steps, rounding))
    tie = threshold_tie(rule.threshold, rounding)
    return Pull(spread, current.num_steps, rule.threshold + tie, rule.threshold - tie)


def scaled_spread(spread: Spread, scale: Tensor | None) -> Spread:
    """Return where a[t]·I[t] lies, for factors a (T,), or None for a = 1."""
    if scale is None:
        return spread
    scaled = scale.reshape(-1, *([1] * (spread.middle.dim() - 1)))
    return Spread(scaled * spread.middle, scaled.abs() * spread.radius)


def widened_windows(current: Signal, asked: Spans, ends: range, slack: Tensor) -> Box:
    """Return where C[τ,t] = Σ_{τ<k≤t} λ^{t−k}·a[k]·I[k] lies for all windows of `ends`, (windows, batch, ...).

    One box of the weighted sum is far tighter than the sum of the steps' boxes, since one train of a previous
    neuron serves all its steps (F5). Each step's rounding, at most `slack`, enters with weight λ^{t−k}.
    """
    if current.by_table is not None:
        lower, upper = long_kernel().table_windows(current.by_table, asked.ages, asked.factors, ends, slack)
        return Box(lower, upper)
    box = current.windowed(asked, ends)
    weights = asked.weights[asked.places(ends)[1]].to(slack)
    widening = slack * weights.reshape(-1, *([1] * slack.dim()))
    return Box(box.lower - widening, box.upper + widening)


def prefix_drive(current: Signal, rule: Leaky, slack: Tensor) -> Box:
    """Return the same of the windows that begin with step 1, (T, batch, ...)."""
    rows, weights = (filter_rows(current.num_steps, one) for one in (rule, replace(rule, scale=None)))
    box = current.combine(rows.to(slack.device))
    widening = slack * weights.to(slack.device).sum(1).reshape(-1, *([1] * slack.dim()))
    return Box(box.lower - widening, box.upper + widening)


@dataclass(frozen=True)
class Lanes:
    """The constants of each neuron, (*features), or one number where they share it.

    Attributes:
        decay, threshold, drop: λ, θ and d.
        reset: of all neurons.
    """

    decay: float | Tensor
    threshold: Tensor
    drop: Tensor
    reset: str

    @staticmethod
    def of(rule: LinearNeuron, like: Tensor) -> "Lanes":
        """Return the constants of `rule` for currents like (time, batch, *features)."""
        alike = len(set(rule.decay)) == 1
        decay, threshold, drop = rule.constants(like)
        return Lanes(rule.decay[0] if alike else decay, threshold, drop, rule.reset)  # pyright: ignore[reportArgumentType]


def lane_drive(current: Signal, rule: LinearNeuron, rounding: Rounding) -> Drive:
    """Return the widened boxes of `current` for neurons of `rule`; see `membrane.drive`.

    Raises:
        OverflowError: where a potential may overflow.
    """
    box = current.steps()
    widest = box.upper.amax(0).maximum(box.lower.amin(0).neg())
    slack = lane_slack(widest.double(), rule, current.num_steps, rounding).to(widest)
    threshold = torch.as_tensor(rule.constants(box.lower.double())[1])
    wide = threshold_tie(threshold, rounding)
    shape = (current.num_steps, *box.lower.shape[1:])
    lower, upper = (box.lower - slack).expand(shape), (box.upper + slack).expand(shape)
    return Drive(lower, upper, slack, (threshold + wide).to(widest), (threshold - wide).to(widest))


def lane_slack(widest: Tensor, rule: LinearNeuron, num_steps: int, rounding: Rounding) -> Tensor:
    """Return what each neuron's recursion may add to its current, whose modulus is at most `widest`, (batch, ...).

    Raises:
        OverflowError: where a potential may overflow.
    """
    decay, threshold, drop = rule.constants(widest[None])
    span = torch.as_tensor(threshold).maximum(torch.as_tensor(drop))
    return recursion_slack(widest, decay, span, num_steps, rounding)
