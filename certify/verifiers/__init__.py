"""The verifiers, by name."""

from collections.abc import Callable

from ..attacks import ATTACKS
from ..branching.search import Search
from .base import MarginVerifier, Verifier
from .bound import BoundVerifier
from .complete import Complete
from .enumeration import Enumeration
from .gain import Gain
from .ladder import Ladder
from .linear import Linear
from .lirpa import Lirpa
from .milp import Milp
from .moves import MoveSplitting
from .search import AttackSearch
from .trains import INTERVAL, TRAINS

PATIENCE = 2**30
"""Work that "auto" spends on a sample where no time limit says when to stop, in bytes: 29,000 nodes of a 64-64-10
network, 1,800 of a 64-128-64-10 one, T = 8; 13 and 16 s on a busy core."""


def _auto() -> Verifier:
    """Return the ladder, cheapest first: most samples need only the first rungs.

    "milp" is asked last: its programs cost most.
    """
    quick, thorough = (AttackSearch(ATTACKS[name]()) for name in ("ensemble-fast", "ensemble"))
    searches = Complete(Search(patience=PATIENCE), enumeration=None, programs=None), Milp(patience=PATIENCE)
    return Ladder((TRAINS, quick, Linear(), MoveSplitting(), thorough, *searches))


VERIFIERS: dict[str, Callable[[], Verifier]] = {
    "interval": lambda: INTERVAL,
    "trains": lambda: TRAINS,
    "linear": Linear,
    "gain": Gain,
    "lirpa": Lirpa,
    "milp": Milp,
    "enumeration": Enumeration,
    "complete": Complete,
    "auto": _auto,
}

__all__ = [
    "INTERVAL",
    "TRAINS",
    "VERIFIERS",
    "AttackSearch",
    "BoundVerifier",
    "Complete",
    "Enumeration",
    "Gain",
    "Ladder",
    "Linear",
    "Lirpa",
    "MarginVerifier",
    "Milp",
    "MoveSplitting",
    "Verifier",
]
