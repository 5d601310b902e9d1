"""Neurons of one layer whose constants differ, all at once: what drives each of them.

The rounding of a neuron's recursion goes by its own λ, θ and d (see membrane.py): all of that is elementwise.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ....models.linear_neuron import LinearNeuron
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
    wide = tie(threshold, rounding)
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
