"""Neurons of one layer whose constants differ, all at once: what drives each of them.

The rounding of a neuron's recursion goes by its own λ, θ and d (see membrane.py): all of that is elementwise.
"""

from dataclasses import dataclass

from torch import Tensor

from ....models.elements.varied import Varied
from ...rounding import Rounding, recursion_slack, tie
from .membrane import Drive
from .signals import Signal


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
    def of(rule: Varied, like: Tensor) -> "Lanes":
        """Return the constants of `rule` for currents like (time, batch, *features)."""
        alike = len(set(rule.decay)) == 1
        decay = rule.decay[0] if alike else rule.values("decay", like)
        return Lanes(decay, rule.values("threshold", like), rule.values("drop", like), rule.reset)


def lane_drive(current: Signal, rule: Varied, rounding: Rounding) -> Drive:
    """Return the widened boxes of `current` for neurons of `rule`; see `membrane.drive`.

    Raises:
        OverflowError: where a potential may overflow.
    """
    box = current.steps()
    widest = box.upper.amax(0).maximum(box.lower.amin(0).neg())
    slack = lane_slack(widest.double(), rule, current.num_steps, rounding).to(widest)
    threshold = rule.values("threshold", box.lower.double())
    wide = tie(threshold, rounding)
    shape = (current.num_steps, *box.lower.shape[1:])
    lower, upper = (box.lower - slack).expand(shape), (box.upper + slack).expand(shape)
    return Drive(lower, upper, slack, (threshold + wide).to(widest), (threshold - wide).to(widest))


def lane_slack(widest: Tensor, rule: Varied, num_steps: int, rounding: Rounding) -> Tensor:
    """Return what each neuron's recursion may add to its current, whose modulus is at most `widest`, (batch, ...).

    Raises:
        OverflowError: where a potential may overflow.
    """
    decay, threshold, drop = (rule.values(name, widest[None]) for name in ("decay", "threshold", "drop"))
    return recursion_slack(widest, decay, threshold.maximum(drop), num_steps, rounding)
