"""Attacks that move events and flip entries: by gradient, at random, and all of a small set.

Random changes of events: a search without gradients, which masked gradients do not hide from.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from ....models.constants import at_least, settle
from ....models.networks import SpikingNetwork
from ...listing import listable, parts
from ...perturbations import EventChange, EventSet, Perturbation
from ...problem import Problem
from ...replay import margins
from ..base import Attack, Lead, Search, Target
from ..gradients import margins_at
from .greedy import SpikeFlips, SpikeShifts


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


@dataclass(frozen=True)
class RandomEvents(Attack):
    """Draws allowed inputs, and mixes each with the worst one so far.

    A mix takes some features of the one and some of the other, and is then projected into the set.

    Args:
        queries: inputs tried for each sample.

    Raises:
        TypeError, ValueError: for queries that are no integer above 0.
    """

    queries: int = 100
    name: str = "random-events"
    by_gradient: ClassVar[bool] = False
    accepts: ClassVar[tuple[type[Perturbation], ...]] = (EventSet, EventChange)

    def __post_init__(self) -> None:
        settle(self, at_least(1), "queries")

    def propose(self, target: Target, generator: torch.Generator) -> Search:
        """Yield the worst points: whenever a sample falls, and at the end."""
        lead, threat, index = Lead.start(target), target.perturbation, target.everyone.nonzero().flatten()
        for query in range(self.queries):
            inputs = target.inputs[index]
            points = threat.sample(inputs, generator)
            if query % 4:
                shape = len(index), 1, *inputs.shape[2:]
                drawn = torch.rand(shape, generator=generator, device=generator.device).to(inputs)
                points = threat.project(torch.where(drawn < 0.3, points, lead.points[index]), inputs)
            margins = margins_at(target.network, points, target.labels[index], target.ties)
            if lead.note(index, points, margins):
                standing = yield lead.points
                index = standing.nonzero().flatten()
        yield lead.points


@dataclass(frozen=True)
class ListedEvents(Attack):
    """Runs all members of small sets, but for those that a walk proves (certify/listing.py): none is missed.

    Of sets that are too large, and of walks that may overflow, it tries nothing.

    Args:
        patience: work that a sample's members may take, as `Enumeration` counts it: 1 to 2 s of one core.

    Raises:
        TypeError, ValueError: for less than none.
    """

    patience: int = 2**32
    name: str = "listed-events"
    by_gradient: ClassVar[bool] = False
    foreign: ClassVar[bool] = False
    accepts: ClassVar[tuple[type[Perturbation], ...]] = (EventSet, EventChange)

    def __post_init__(self) -> None:
        settle(self, at_least(0), "patience")

    @torch.no_grad()
    def propose(self, target: Target, generator: torch.Generator) -> Search:
        """Yield the worst members: whenever a sample falls, and at the end."""
        lead, network = Lead.start(target), target.network
        for index in target.everyone.nonzero() if isinstance(network, SpikingNetwork) else ():
            asked = network, target.inputs[index], target.labels[index], target.perturbation
            problem = Problem(*asked, ties=target.ties, stopped=target.expired)
            for points in self._left(problem):
                inputs = points.to(target.inputs.dtype)
                found = margins_at(network, inputs, target.labels[index].expand(len(inputs)), target.ties)
                worst = found.nan_to_num(torch.inf).argmin()[None]
                target.notes.unanswered.update(index[found.isnan().any()[None]].tolist())
                if lead.note(index, inputs[worst], found[worst]):
                    yield lead.points
                    break
        yield lead.points

    def _left(self, problem: Problem) -> Iterator[Tensor]:
        """Yield the members of one sample's set that no bound proves."""
        members, _ = listable(problem, self.patience)
        try:
            for *_, points in parts(problem, members) if members else ():
                if problem.expired():
                    return
                if points is not None:
                    yield points
        except OverflowError:  # bounds say nothing of such runs, so nothing leads there
            return
