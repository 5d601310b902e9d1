"""The standard attack: one fixed list of attacks, so that what is left means the same wherever it is told.

Its members, their order and their budgets are version 3: a change of any is another version. It has no parameters,
and each member runs on the samples that still stand. Version 2 was version 1 with logits over moves (PIL) for
events that move; version 3 lets the gradients of ASSG go beside resets, as its authors do, and keeps one member
through them.

References: wang2025towards, croce2020reliable
"""

from ..branching.guided import Guided
from .apgd import APGD
from .backward import AdaptiveArctan, AdaptiveSharpness, PotentialDependent, RateGradient
from .base import Attack
from .blind.square import Square
from .ensemble import Ensemble, thorough_flips, thorough_members, thorough_shifts
from .events.event_changes import EventChanges
from .events.projected_logits import ProjectedLogits
from .events.random_events import RandomEvents
from .events.sparse_flips import SparseFlips
from .events.spike_flips import SpikeFlips
from .events.spike_shifts import SpikeShifts
from .sapgd import SAPGD

STANDARD, VERSION = "standard", 3
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
    return (SparseFlips(), *wide, RandomEvents(1000))


def more_shifts() -> tuple[Attack, ...]:
    """Return what it adds to those by moves."""
    wide = (SpikeShifts(trials=32, swaps=50, surrogate=backward) for backward in (AdaptiveSharpness(), *RATES))
    logits = (ProjectedLogits(restarts=2), ProjectedLogits(surrogate=AdaptiveSharpness()))
    return (*logits, *wide, RandomEvents(1000, name="random-events, 1000"))


def standard() -> Ensemble:
    """Return the standard attack."""
    flips, shifts = (*thorough_flips(), *more_flips()), (*thorough_shifts(), *more_shifts())
    changes = (EventChanges(), RandomEvents(1000))
    return Ensemble(standard_members(), flips, STANDARD, shifts, changes)
