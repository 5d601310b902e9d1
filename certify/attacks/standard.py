"""The standard attack: one fixed list of attacks, so that what is left means the same wherever it is told.

Its members, their order and their budgets are version 4: a change of any is another version. It has no parameters,
and each member runs on the samples that still stand. Version 2 was version 1 with logits over moves (PIL) for
events that move; version 3 lets the gradients of ASSG go beside resets, as its authors do, and keeps one member
through them; version 4 ends with all members of small sets of events.

References: wang2025towards, croce2020reliable

The worst of several attacks: one surrogate's gradient hides what another's finds.

An attack that goes where a proof fails: branch and bound, for the inputs at which its parts are least.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from ...models.constants import at_least, settle
from ...models.dynamics import Arctan, Sigmoid, Surrogate, Triangle
from ..branching.question import MarginQuestion
from ..branching.search import Search as TreeSearch
from ..perturbations import EventChange, Perturbation, RangedSet, SpikeFlip, SpikeShift
from ..perturbations.others import of_others
from ..replay import margins, replays
from .backward import AdaptiveArctan, AdaptiveSharpness, PotentialDependent, RateGradient
from .base import Attack, Lead, Search, Target, Tried
from .blind import AnyDraws, Gaussian, Square
from .events.event_changes import EventChanges, ListedEvents, RandomEvents
from .events.greedy import SpikeFlips, SpikeShifts
from .events.published import ProjectedLogits, SparseFlips
from .pgd import APGD, FGSM, PGD, SAPGD


@dataclass(frozen=True)
class Guided(Attack):
    """The search of the verifier "complete", for what it breaks: each part's least inputs, and steps from there.

    Of networks that this search does not reach, it tries nothing.

    Args:
        nodes: after how many parts of its set, about, a sample is given up.

    Raises:
        TypeError, ValueError: for less than one.
    """

    nodes: int = 256
    name: str = "guided"
    accepts: ClassVar[tuple[type[Perturbation], ...]] = (RangedSet,)
    foreign: ClassVar[bool] = False

    def __post_init__(self) -> None:
        settle(self, at_least(1), "nodes")

    def propose(self, target: Target, generator: torch.Generator) -> Search:
        """Yield the counterexamples that the search finds."""
        with torch.no_grad():
            found = self._counterexamples(target)
        points = target.inputs.clone()
        for index, point in found.items():
            points[index] = point
        yield points

    def _counterexamples(self, target: Target) -> dict[int, Tensor]:
        logits = target.network(target.inputs)
        left = torch.ones_like(logits, dtype=torch.bool).scatter(1, target.labels[:, None], False)
        asked = target.network, target.inputs, target.labels, target.perturbation, left
        try:
            question = MarginQuestion.of_margins(*asked, target.ties)
            if question.roots() is None:
                return {}
            search = TreeSearch(patience=self.nodes * question.bytes_each)
            answer = search.run(question, partial(_breaks, target), None, target.expired)
        except OverflowError:  # bounds say nothing of such runs, so nothing leads there
            return {}
        return {} if answer is None else answer.counterexamples


def _breaks(target: Target, candidate: Tensor, index: int) -> bool:
    one = slice(index, index + 1)
    allowed = bool(target.perturbation.contains(candidate[None], target.inputs[one]).all())
    return allowed and replays(target.network, candidate, int(target.labels[index]), target.ties)


SHARP: tuple[Surrogate, ...] = (Triangle(0.5), Sigmoid(0.25))
WIDE: tuple[Surrogate, ...] = (Triangle(2.0), Arctan(4.0))
OTHERS: tuple[Surrogate, ...] = (AdaptiveArctan(), *SHARP, Triangle(2.0), Arctan(1.0))
"""Surrogates tried besides the network's own: what is hidden at one width shows at another."""


def first_member() -> Attack:
    """Return a few steps across the whole set by a wide surrogate: what falls at all mostly falls to these."""
    return PGD(steps=10, restarts=1, step_size=1.0, surrogate=AdaptiveArctan(4.0), name="large steps")


def quick_members() -> tuple[Attack, ...]:
    """Return large steps, FGSM, noise, and PGD over six surrogates and two losses."""
    losses = ("cross-entropy", "margin")
    own = tuple(PGD(steps=20, restarts=2, loss=loss) for loss in losses)
    others = tuple(
        PGD(steps=10, restarts=1, loss=loss, surrogate=surrogate) for surrogate in OTHERS for loss in losses
    )
    return (first_member(), FGSM(), Gaussian(), *others, *own)


def thorough_members() -> tuple[Attack, ...]:
    """Return the quick members, then APGD over losses, surrogates and target classes, and Square."""
    following = AdaptiveArctan()
    walks = (APGD(loss="cross-entropy"), APGD(loss="dlr"), APGD(loss="cross-entropy", surrogate=following))
    sharp = tuple(APGD(steps=50, loss="dlr", surrogate=surrogate) for surrogate in SHARP)
    wide = tuple(APGD(steps=50, loss="cross-entropy", surrogate=surrogate) for surrogate in WIDE)
    aimed = tuple(APGD(steps=50, rank=rank) for rank in (1, 2, 3))
    return (*quick_members(), *walks, *sharp, *wide, *aimed, Square(queries=400, share=0.1))


def quick_flips() -> tuple[Attack, ...]:
    """Return the spike-flip search under the network's own surrogate, on two losses."""
    return tuple(SpikeFlips(loss=loss) for loss in ("margin", "cross-entropy"))


def thorough_flips() -> tuple[Attack, ...]:
    """Return the quick members, then wider searches over other surrogates."""
    return (*quick_flips(), *(SpikeFlips(trials=32, swaps=50, surrogate=surrogate) for surrogate in OTHERS))


def quick_shifts() -> tuple[Attack, ...]:
    """Return the retiming search under the network's own surrogate, on two losses."""
    return tuple(SpikeShifts(loss=loss) for loss in ("margin", "cross-entropy"))


def thorough_shifts() -> tuple[Attack, ...]:
    """Return the quick members, then wider searches over other surrogates, and one without gradients."""
    wider = (SpikeShifts(trials=32, swaps=50, surrogate=surrogate) for surrogate in OTHERS)
    return (*quick_shifts(), *wider, RandomEvents(200))


@dataclass(frozen=True)
class Ensemble(Attack):
    """Runs each member on the samples that still stand.

    Args:
        members: attacks on real-valued sets; default `thorough_members()`.
        flips: attacks on `SpikeFlip`; default `thorough_flips()`.
        shifts: attacks on `SpikeShift`; default `thorough_shifts()`.
        changes: attacks on `EventChange`; default: moves and then flips, and random changes.

    Sets of other packages are drawn from, whatever the members.
    """

    members: tuple[Attack, ...] = field(default_factory=thorough_members)
    flips: tuple[Attack, ...] = field(default_factory=thorough_flips)
    name: str = "ensemble"
    shifts: tuple[Attack, ...] = field(default_factory=thorough_shifts)
    changes: tuple[Attack, ...] = (EventChanges(), RandomEvents(200))
    accepts: ClassVar[tuple[type[Perturbation], ...]] = (Perturbation,)

    def __post_init__(self) -> None:
        for name in ("members", "flips", "shifts", "changes"):
            for member in getattr(self, name):
                if not isinstance(member, Attack):
                    raise TypeError(f"{name}: got {type(member).__name__}, expected attacks")

    def propose(self, target: Target, generator: torch.Generator) -> Search:
        """Yield the worst inputs after each member, which starts from those of the members before."""
        members = self._members(target.perturbation)
        lead = Lead.start(target)
        standing = yield lead.points
        for member in members:
            index = standing.nonzero().flatten()
            inputs, labels = target.inputs[index], target.labels[index]
            asked = target.network, inputs, labels, target.perturbation, generator, lead.points[index]
            result = member(*asked, target.expired, target.ties)
            fell = int(result.success.sum())
            target.notes.unanswered.update(index[sorted(result.unanswered)].tolist())
            target.notes.members.append(Tried(member.told, len(index), fell, member.by_gradient))
            lead.note(index, result.inputs, margins(result.logits, labels, target.ties))
            standing = yield lead.points

    def _members(self, perturbation: Perturbation) -> tuple[Attack, ...]:
        """Return the attacks on a set; of one of another package members are drawn."""
        if of_others(perturbation):
            return (AnyDraws(),)
        if isinstance(perturbation, SpikeFlip):
            return self.flips
        if isinstance(perturbation, EventChange):
            return self.changes
        return self.shifts if isinstance(perturbation, SpikeShift) else self.members


def quick_ensemble() -> Ensemble:
    """Return the cheap ensemble, for use inside a verifier: gradients only, few restarts."""
    return Ensemble(quick_members(), quick_flips(), "ensemble-fast", quick_shifts(), (EventChanges(),))


STANDARD, VERSION = "standard", 4
RATES = tuple(RateGradient(kind) for kind in ("hart", "bptr", "rga"))
LOSSES = ("cross-entropy", "dlr", "margin")


def standard_members() -> tuple[Attack, ...]:
    """Return the attacks on real-valued sets: the ensemble's, then walks by more gradients, Square, search."""
    *ensemble, square = thorough_members()
    sharp = tuple(SAPGD(loss=loss) for loss in LOSSES)
    walks = tuple(APGD(loss=loss, surrogate=AdaptiveSharpness(), restarts=2) for loss in LOSSES)
    wide = tuple(SAPGD(loss=loss, surrogate=AdaptiveArctan(4.0), restarts=2) for loss in LOSSES[:2])
    more = tuple(
        APGD(surrogate=backward)
        for backward in (AdaptiveSharpness(through_reset=True), PotentialDependent(), *RATES)
    )
    aimed = tuple(APGD(rank=rank, surrogate=AdaptiveSharpness()) for rank in range(1, 6))
    return (
        *ensemble,
        square,
        *sharp,
        *walks,
        *wide,
        *more,
        *aimed,
        Square(queries=2000, share=0.1, name="square, 2000"),
        Guided(),
    )


def more_flips() -> tuple[Attack, ...]:
    """Return what the standard attack adds to the ensemble's attacks by flips."""
    wide = (SpikeFlips(trials=32, swaps=50, surrogate=backward) for backward in (AdaptiveSharpness(), *RATES))
    return (SparseFlips(), *wide, RandomEvents(1000), ListedEvents())


def more_shifts() -> tuple[Attack, ...]:
    """Return what it adds to those by moves."""
    wide = (SpikeShifts(trials=32, swaps=50, surrogate=backward) for backward in (AdaptiveSharpness(), *RATES))
    logits = (ProjectedLogits(restarts=2), ProjectedLogits(surrogate=AdaptiveSharpness()))
    return (*logits, *wide, RandomEvents(1000, name="random-events, 1000"), ListedEvents())


def standard() -> Ensemble:
    """Return the standard attack."""
    flips, shifts = (*thorough_flips(), *more_flips()), (*thorough_shifts(), *more_shifts())
    changes = (EventChanges(), RandomEvents(1000), ListedEvents())
    return Ensemble(standard_members(), flips, STANDARD, shifts, changes)
