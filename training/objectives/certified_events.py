"""Bounds over sets of events in the loss: cross-entropy of the worst logits when events come, go or move."""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ...certify.perturbations import EventChange, SpikeFlip, SpikeShift
from ...certify.verifiers import TRAINS
from ...models.constants import nonnegative, settle, share
from ...models.networks import SpikingNetwork
from ...models.validation import check_choice
from ..bounds.event_sets import Threat, worst_of_events
from ..bounds.interval_bounds import BOUNDS
from ..data import Split
from .base import Loss, Objective
from .certified_loss import bounded
from .judging import certified_share
from .schedules import Weight, as_share, full, rising


@dataclass(frozen=True)
class CertifiedEvents(Objective):
    """L = (1−κ)·CE(f(x), y) + κ·ℓ_q(z, y),  z_k ≥ f_k(x̃) − f_y(x̃) for every recording x̃ of a set; z_y = 0.

    The set is one of flips, of moves, or of both. Of the first layer's currents each step's worst ones are taken:
    those of the budget's greatest weights. Where bounds are of sums over time, by "windows" and without leak by
    "prefix", one budget is shared by all steps, and an event that moves counts once: this is exact for prefix
    sums of events that flip or add up. From there bounds go on as in `CertifiedLoss`, and ℓ_q is that of it. They
    pay no rounding: what is proved is for `verify` to say.

    Budget and κ rise linearly from 0 over the first `ramp` of the run, or follow schedules of their own; between
    two whole budgets bounds lie on a straight line. Where all events may move, the range of each entry grows.
    `fit` picks the epoch with the most validation samples (of the first 1,000) that "trains" certifies on the
    whole set.

    Args:
        threat: a `SpikeFlip`, a `SpikeShift` or an `EventChange`. A budget of steps in all counts each move as one
            step here, and is exact in `verify`.
        bounds: "interval", "trains", "windows" or "prefix", as of `CertifiedLoss`; for events over time "trains"
            is "interval".
        weight: κ ∈ [0, 1], or a schedule.
        ramp: the share of the run, in [0, 1], over which budget and κ rise where they are numbers.
        share: of the budget, in [0, 1], or a schedule.
        q: of ℓ_q, in [0, 1].
        margin: of bounds "prefix", as a share of each threshold, ≥ 0: a spike that less than this decides counts
            as open. A small one (.01) leaves room for the rounding that a proof pays.

    Raises:
        TypeError: for another set.
        ValueError: for a number outside its range, or unknown bounds.

    >>> from spikecert import SpikeFlip
    >>> CertifiedEvents(SpikeFlip(4), ramp=0.5).at(0.25).share
    0.5

    References: liang2022toward, gowal2018effectiveness, zhang2018generalized
    """

    threat: Threat
    bounds: str = "interval"
    weight: Weight = 0.5
    ramp: float = 0.5
    share: Weight = 1.0
    q: float = 0.0
    margin: float = 0.0

    def __post_init__(self) -> None:
        if type(self.threat) not in (SpikeFlip, SpikeShift, EventChange):
            got = type(self.threat).__name__
            raise TypeError(f"threat: got {got}, expected a SpikeFlip, a SpikeShift or an EventChange")
        check_choice("bounds", self.bounds, BOUNDS)
        settle(self, as_share, "weight", "share")
        settle(self, share, "ramp", "q")
        settle(self, nonnegative, "margin")
        if self.margin and self.bounds != "prefix":
            raise ValueError(
                f'margin: got {self.margin:g} with bounds {self.bounds!r}, expected 0, or bounds "prefix"'
            )

    def at(self, progress: float) -> Self:
        """Return this loss with the share of the budget and the weight of that moment."""
        part, weight = (rising(value, self.ramp).at(progress) for value in (self.share, self.weight))
        return replace(self, share=part, weight=weight, ramp=0.0)

    def loss(
        self, network: SpikingNetwork, inputs: Tensor, labels: Tensor, generator: torch.Generator | None
    ) -> Loss:
        """Return the loss at full budget and weight, with "clean", "certified" (ℓ_q of the bound) and "share".

        Raises:
            ValueError: for inputs, or a network, that the set is not about.
        """
        weight, part = full(self.weight), full(self.share)
        worst = worst_of_events(network, inputs, labels, self.threat, self.bounds, part, self.margin)
        certified = bounded(worst, labels, self.q)
        with torch.set_grad_enabled(torch.is_grad_enabled() and weight < 1.0):
            clean = cross_entropy(network(inputs), labels)
        total = (1.0 - weight) * clean + weight * certified
        told = {"clean": clean.detach(), "certified": certified.detach()}
        return Loss(total, {**told, "share": total.new_tensor(part)})

    def robust_accuracy(self, network: SpikingNetwork, split: Split, seed: int) -> float:
        """Return the share of the first samples of `split` that "trains" certifies on the whole set."""
        return certified_share(network, split, self.threat, TRAINS, seed)
