"""Neurons of one layer whose constants differ, all at once: what drives each of them.

The rounding of a neuron's recursion goes by its own λ, θ and d (see membrane.py): all of that is elementwise.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ...models.varied import Varied
from .membrane import Drive
from .rounding import Rounding
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
    tie = 8 * rounding.unit * threshold
    shape = (current.num_steps, *box.lower.shape[1:])
    lower, upper = (box.lower - slack).expand(shape), (box.upper + slack).expand(shape)
    return Drive(lower, upper, slack, (threshold + tie).to(widest), (threshold - tie).to(widest))


def lane_slack(widest: Tensor, rule: Varied, num_steps: int, rounding: Rounding) -> Tensor:
    """Return what each neuron's recursion may add to its current, whose modulus is at most `widest`, (batch, ...).

    Raises:
        OverflowError: where a potential may overflow.
    """
    decay, threshold, drop = (rule.values(name, widest[None]) for name in ("decay", "threshold", "drop"))
    steps = torch.stack([decay**k for k in range(num_steps)]).sum(0)
    span = threshold.maximum(drop)
    size = float((steps * (widest + span)).max())
    if not size <= rounding.largest:
        raise OverflowError(f"a membrane potential may reach {size:.3g}, beyond {rounding.dtype}")
    share = 8 * rounding.unit * (decay * steps + 1.0)
    return widest * share + (share * span + rounding.smallest)
