"""What a tie between logits means, what must be proven of each margin for that, and what integer counts add."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from ..models.circuit import Circuit
from ..models.networks import SpikingNetwork
from ..models.validation import check_choice

ARGMAX, STRICT = "argmax", "strict"
TIES = (ARGMAX, STRICT)
MOST_STEPS_TIMES_UNIT = 2**-6
"""Counts over T steps are told apart by their float means while T times the dtype's ε stays below this."""


def settled_ties(network: SpikingNetwork, ties: str | None) -> str:
    """Return which function verdicts are about: what `ties` says, or what is usual for the network's readout.

    "argmax": the lowest index that attains the maximum, as torch.argmax and every user takes it. "strict": a tie
    is a failure, whichever index is lower. Spike counts tie often, so for readout "spikes" the default is
    "argmax"; for the others a tie is within the rounding error of being none, and the default is "strict".

    Raises:
        TypeError, ValueError: for another value.
    """
    if ties is None:
        return ARGMAX if network.readout in ("spikes", "first") else STRICT
    check_choice("ties", ties, TIES)
    return ties


def falls_to_label(labels: Tensor, classes: int) -> Tensor:
    """Return whether a tie with class k falls to the label under "argmax": where k > y, (batch, classes)."""
    return torch.arange(classes, device=labels.device) > labels[:, None]


@dataclass(frozen=True)
class Goal:
    """What a verdict needs of the margins logit_y − logit_k: above 0, or, where a tie falls to y, at least 0.

    Attributes:
        ties: "argmax" or "strict".
        steps: T where logits are spike counts over T, 1 where they are steps of first spikes; None for others.
        unit: the ε of the run's dtype.
        whole: whether logits are whole numbers that the run holds exactly.
        lead: by how much more than 0 logits must differ so that a network's source says the same; then none tie.
    """

    ties: str
    steps: int | None
    unit: float
    whole: bool = False
    lead: float = 0.0

    @classmethod
    def of(cls, circuit: Circuit, ties: str) -> Self:
        """Return the goal for a network."""
        unit = torch.finfo(circuit.dtype).eps
        steps = {"spikes": circuit.num_steps, "first": 1}.get(circuit.read.readout)
        counts = steps is not None and circuit.num_steps * unit <= MOST_STEPS_TIMES_UNIT
        return cls(ties, steps if counts else None, unit, circuit.whole and steps is None, circuit.allowance.least)

    def proven(self, margins: Tensor, labels: Tensor) -> Tensor:
        """Return whether bounds of margins, `tightened`, prove what is needed, (batch, classes) of bool."""
        if self.ties == STRICT or self.lead:
            return margins > self.lead
        return (margins > 0) | ((margins >= 0) & falls_to_label(labels, margins.shape[1]))

    def tightened(self, margins: Tensor) -> Tensor:
        """Return proven lower bounds of margins, raised where the readout counts spikes, (batch, classes).

        A logit of readout "spikes" is fl(c/T): the sum of T spikes, each 0 or 1, which is an integer c ≤ T < 2²⁴
        and so exact in any order, divided by T (or multiplied by 1/T) in the run's dtype of ε = 2u. Claim: if the
        run has m ≤ fl(c_y/T) − fl(c_k/T), and j = ⌈(m − 8ε)·T⌉, then c_y − c_k ≥ j; if m > 0, then c_y − c_k ≥ 1.

        Proof. One rounding of a quotient, or two of a product, move a number of at most 1 by at most ε, so that
        |fl(c/T) − c/T| ≤ ε. If c_y − c_k ≤ j − 1, then m ≤ (j − 1)/T + 2ε, so (m − 8ε)·T ≤ j − 1 − 6ε·T, of which
        the two float64 operations here lose no more than 2·2⁻⁵²·T ≤ 2ε·T; so its ceiling is at most j − 1, which
        contradicts the choice of j. And rounding is monotone, by the same operation for every class: c_y ≤ c_k
        gives fl(c_y/T) ≤ fl(c_k/T), so m > 0 excludes it.

        What follows of c_y − c_k ≥ j for the run's own logits: equal counts have bitwise equal logits and a
        greater one has no lesser logit, so for j = 0 the margin is at least 0; elsewhere it is at least j/T − 2ε;
        for j ≥ 1 this is positive, as T·ε ≤ 2⁻⁶. Where an affine layer follows, pools and votes among them, sums
        of rounded means tie no longer where counts do: nothing of this applies there, and margins stay as they
        are. Steps of first spikes, −τ, are integers that the run holds exactly: counts over 1.
        """
        if self.whole:  # a whole number that is at least m is at least ⌈m⌉
            return margins.ceil()
        if self.steps is None:
            return margins
        count = ((margins - 8 * self.unit) * self.steps).ceil()
        count = torch.where(margins > 0, count.clamp_min(1.0), count)
        least = torch.where(count == 0, 0.0, count / self.steps - 8 * self.unit)
        return margins.maximum(least)

    def floor(self, labels: Tensor, classes: int) -> Tensor:
        """Return what a bound of each margin must exceed to be enough once `tightened`, (batch, classes), float64.

        0; where a tie falls to the label the greatest number below 0, or, where margins are counts over T, −1/T
        and what rounding needs: more than that is a count that is not less.
        """
        zero = torch.zeros(len(labels), classes, dtype=torch.float64, device=labels.device)
        if self.ties == STRICT or self.lead:
            return zero + self.lead
        below = -1.0 / self.steps + 16 * self.unit if self.steps is not None else -(2.0**-1074)
        return zero.masked_fill(falls_to_label(labels, classes), below)
