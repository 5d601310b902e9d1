"""Move the events that matter, then flip the entries that matter."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch

from ...perturbations import EventChange, Perturbation
from ...replay import margins
from ..base import Attack, Search, Target
from ..lead import Lead
from .spike_flips import SpikeFlips
from .spike_shifts import SpikeShifts


@dataclass(frozen=True)
class EventChanges(Attack):
    """Runs an attack by moves, and from the worst recording that it finds one by flips; then flips alone.

    Args:
        moves, flips: the two attacks.
    """

    moves: SpikeShifts = field(default_factory=SpikeShifts)
    flips: SpikeFlips = field(default_factory=SpikeFlips)
    name: str = "event-change"
    accepts: ClassVar[tuple[type[Perturbation], ...]] = (EventChange,)

    def propose(self, target: Target, generator: torch.Generator) -> Search:
        """Yield the worst points after each attack."""
        threat, lead = target.perturbation, Lead.start(target)
        assert isinstance(threat, EventChange)
        standing = target.everyone
        moved = target.inputs.clone()
        for attack, part, start in (
            (self.moves, threat.shifts, target.inputs),
            (self.flips, threat.flips, moved),
            (self.flips, threat.flips, target.inputs),
        ):
            index = standing.nonzero().flatten()
            labels = target.labels[index]
            found = attack(
                target.network, start[index], labels, part, generator, expired=target.expired, ties=target.ties
            )
            if attack is self.moves:
                moved[index] = found.inputs
            lead.note(index, found.inputs, margins(found.logits, labels, target.ties))
            standing = yield lead.points
