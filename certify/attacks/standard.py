"""The standard attack: one fixed list of attacks, so that what is left means the same wherever it is told.

Its members, their order and their budgets are version 1: a change of any is another version. It has no parameters,
and each member runs on the samples that still stand, from the worst inputs that those before it found.

References: wang2025towards, croce2020reliable
"""

from ..branching.guided import Guided
from .apgd import APGD
from .backward import AdaptiveArctan, AdaptiveSharpness, PotentialDependent, RateGradient
from .base import Attack
from .ensemble import Ensemble, thorough_flips, thorough_members, thorough_shifts
from .events.event_changes import EventChanges
from .events.random_events import RandomEvents
from .sapgd import SAPGD
from .square import Square

VERSION = 1
LOSSES = ("cross-entropy", "dlr", "margin")


def standard_members() -> tuple[Attack, ...]:
    """Return the attacks on real-valued sets: the ensemble's, then walks by more gradients, Square, search."""
    *ensemble, square = thorough_members()
    sharp = tuple(SAPGD(loss=loss) for loss in LOSSES)
    walks = tuple(APGD(loss=loss, surrogate=AdaptiveSharpness(), restarts=2) for loss in LOSSES)
    wide = tuple(SAPGD(loss=loss, surrogate=AdaptiveArctan(4.0), restarts=2) for loss in LOSSES[:2])
    others = (PotentialDependent(), *(RateGradient(kind) for kind in ("hart", "bptr", "rga")))
    more = tuple(APGD(surrogate=surrogate) for surrogate in others)
    aimed = tuple(APGD(rank=rank, surrogate=AdaptiveSharpness()) for rank in range(1, 6))
    return (*ensemble, square, *sharp, *walks, *wide, *more, *aimed, Square(queries=2000, share=0.1), Guided())


def standard() -> Ensemble:
    """Return the standard attack."""
    flips, shifts = thorough_flips(), thorough_shifts()
    changes = (EventChanges(), RandomEvents(1000))
    return Ensemble(standard_members(), flips, "standard", shifts, changes)
