"""What a tie between logits means, what must be proven of each margin for that, and what integer counts add."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from ..models.circuit import Circuit, circuit
from ..models.networks import SpikingNetwork
from ..models.validation import check_choice
from .bounds.exact import CountedLogits, counted

ARGMAX, STRICT = "argmax", "strict"
TIES = (ARGMAX, STRICT)
APART = 2**-6
"""Logits of counts are told apart while what they are off is at most this share of a count."""


def settled_ties(network: SpikingNetwork, ties: str | None) -> str:
    """Return which function verdicts are about: what `ties` says, or what is usual for the network's readout.

    "argmax": the lowest index that attains the maximum, as torch.argmax and every user takes it. "strict": a tie
    is a failure, whichever index is lower. Counts tie often, so for readouts "spikes" and "first", and where a
    source sums spikes or votes, the default is "argmax"; for the others a tie is within the rounding error of
    being none, and the default is "strict".

    Raises:
        TypeError, ValueError: for another value.
    """
    if ties is None:
        converted = network.source is not None and network.source.boxes[-1].counts
        counts = network.readout in ("spikes", "first") or (
            converted and _told_apart(circuit(network)) is not None
        )
        return ARGMAX if counts else STRICT
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
        steps: how many counts make a logit of 1, as T of spike counts over T; None where logits are no counts.
        unit: by how much a logit may be off its count.
        lead: by how much more than 0 logits must differ so that a network's source says the same; then none tie.
    """

    ties: str
    steps: float | None
    unit: float
    lead: float = 0.0

    @classmethod
    def of(cls, circuit: Circuit, ties: str) -> Self:
        """Return the goal for a network."""
        found = _told_apart(circuit)
        counts = (None, 0.0) if found is None else (found.steps, found.unit)
        return cls(ties, *counts, circuit.allowance.least)

    def proven(self, margins: Tensor, labels: Tensor) -> Tensor:
        """Return whether bounds of margins, `tightened`, prove what is needed, (batch, classes) of bool."""
        if self.ties == STRICT or self.lead:
            return margins > self.lead
        return (margins > 0) | ((margins >= 0) & falls_to_label(labels, margins.shape[1]))

    def tightened(self, margins: Tensor) -> Tensor:
        """Return proven lower bounds of margins, raised where the readout counts spikes, (batch, classes).

        A logit is c/S for a count c, a whole number, but for at most ε (`counted` says of which networks: S = T
        and ε = 2u for readout "spikes"); equal counts have equal logits, and a greater one no lesser. Claim: if
        the run has m ≤ ẑ_y − ẑ_k, and j = ⌈(m − 8ε)·S⌉, then c_y − c_k ≥ j; if m > 0, then c_y − c_k ≥ 1.

        Proof. If c_y − c_k ≤ j − 1, then m ≤ (j − 1)/S + 2ε, so (m − 8ε)·S ≤ j − 1 − 6ε·S, of which the two
        float64 operations here lose no more than 2·2⁻⁵²·S·max|ẑ| ≤ 2ε·S; so its ceiling is at most j − 1, which
        contradicts the choice of j. Where ε = 0, logits are multiples of 1/S, a power of 2, and m·S is exact. And
        c_y ≤ c_k gives ẑ_y ≤ ẑ_k, so m > 0 excludes it.

        What follows of c_y − c_k ≥ j for the run's own logits: for j = 0 the margin is at least 0; elsewhere it is
        at least j/S − 2ε; for j ≥ 1 this is positive, as S·ε ≤ 2⁻⁶.
        """
        if self.steps is None:
            return margins
        count = ((margins - 8 * self.unit) * self.steps).ceil()
        count = torch.where(margins > 0, count.clamp_min(1.0), count)
        least = torch.where(count == 0, 0.0, count / self.steps - 8 * self.unit)
        return margins.maximum(least)

    def floor(self, labels: Tensor, classes: int) -> Tensor:
        """Return what a bound of each margin must exceed to be enough once `tightened`, (batch, classes), float64.

        0; where a tie falls to the label the greatest number below 0, or, where margins are counts over S, −1/S
        and what rounding needs: more than that is a count that is not less.
        """
        zero = torch.zeros(len(labels), classes, dtype=torch.float64, device=labels.device)
        if self.ties == STRICT or self.lead:
            return zero + self.lead
        below = -1.0 / self.steps + 16 * self.unit if self.steps is not None else -(2.0**-1074)
        return zero.masked_fill(falls_to_label(labels, classes), below)


def _told_apart(circuit: Circuit) -> CountedLogits | None:
    """Return what counts a network's logits are, where they are far enough apart, and its source's are, too."""
    found = counted(circuit) if circuit.allowance.counts else None
    return found if found is not None and found.steps * found.unit <= APART else None
