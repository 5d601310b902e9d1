"""The verifiers, by name."""

from ..alike import Named
from ..attacks import ATTACKS
from ..bits.splitting import BitSplitting
from ..branching.search import Search
from ..listing import PACE
from .base import MarginVerifier, Verifier
from .complete import Complete, Milp
from .enumeration import Enumeration, Listed, OneChange, long_loops
from .events import EventSplitting
from .linear import Gain, Linear
from .lirpa import Lirpa
from .search import AttackSearch, Ladder
from .trains import INTERVAL, TRAINS, BoundVerifier

PATIENCE = 2**30
"""Work that "auto" spends on a sample where no time limit says when to stop, in bytes: 29,000 nodes of a 64-64-10
network, 1,800 of a 64-128-64-10 one, T = 8; 13 and 16 s on a busy core."""


def _auto() -> Verifier:
    """Return the ladder, cheapest first: most samples need only the first rungs.

    "milp" is asked last: its programs cost most.
    """
    quick, thorough = (AttackSearch(ATTACKS[name]()) for name in ("ensemble-fast", "ensemble"))
    searches = Complete(Search(patience=PATIENCE), enumeration=None, programs=None), Milp(patience=PATIENCE)
    soon = Listed(enumeration=Enumeration(PACE))
    first = OneChange(), Listed(long_loops, name="listed-loops"), TRAINS, soon, quick
    return Ladder((*first, Linear(), EventSplitting(), thorough, BitSplitting(), *searches))


VERIFIERS: dict[str, Named[Verifier]] = {
    "interval": Named(
        lambda: INTERVAL, "propagates one interval per neuron and time step: the published baseline"
    ),
    "trains": Named(
        lambda: TRAINS,
        "propagates the exact set of spike trains that each neuron can reach, and their window sums",
    ),
    "linear": Named(
        Linear, "prices the currents between layers on top of the exact spike trains, with optimised multipliers"
    ),
    "gain": Named(Gain, "weighs the distance to the threshold against proven norms: the ℓ2 route"),
    "lirpa": Named(Lirpa, "auto_LiRPA's linear relaxations on the unrolled network, with sound spike relaxations"),
    "milp": Named(
        Milp, "proves an exact encoding by a tree of linear programs; HiGHS proposes, and is not believed"
    ),
    "enumeration": Named(
        Enumeration, "runs every input of a set that has few of them, with the rounding of each run paid"
    ),
    "complete": Named(
        Complete, "splits the set by spike trains or programs until each part is proven or holds a counterexample"
    ),
    "auto": Named(
        _auto, "runs bounds, attacks, lists of small sets, the complete search and HiGHS, until one decides"
    ),
}

__all__ = [
    "INTERVAL",
    "TRAINS",
    "VERIFIERS",
    "AttackSearch",
    "BitSplitting",
    "BoundVerifier",
    "Complete",
    "Enumeration",
    "EventSplitting",
    "Gain",
    "Ladder",
    "Linear",
    "Lirpa",
    "MarginVerifier",
    "Milp",
    "Verifier",
]
