"""The verifiers, by name."""

from dataclasses import dataclass

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


@dataclass(frozen=True)
class Step:
    """What "auto" asks in its turn, of the samples that are still open: where it answers, and what that takes."""

    verifier: Verifier
    asked: str
    costs: str


def ladder() -> tuple[Step, ...]:
    """Return what "auto" asks, cheapest first: most samples need only the first steps."""
    quick, thorough = (AttackSearch(ATTACKS[name]()) for name in ("ensemble-fast", "ensemble"))
    complete = Complete(Search(patience=PATIENCE), enumeration=None, programs=None)
    return (
        Step(OneChange(), "changed events that are walked", "a walk a change, 2 to 4 s at most"),
        Step(Listed(long_loops, name="listed-loops"), "small sets, loops of many steps", "a run a member"),
        Step(TRAINS, "everything", "a bound of the whole set: a graph a neuron"),
        Step(
            Listed(enumeration=Enumeration(PACE)),
            "small sets of events",
            "a walk a member, a second at most",
        ),
        Step(quick, "everything", "gradients from few starts"),
        Step(Linear(), "layers that prices reach", "a climb a margin, each step a bound"),
        Step(
            EventSplitting(), "changed events that fall into pieces", "a bound a part, until its patience is out"
        ),
        Step(thorough, "everything", "gradients from many starts, under several losses"),
        Step(BitSplitting(), "rate codes of given draws", "a window's search, until nothing is gained"),
        Step(
            complete,
            "functions of the first layer's trains",
            "a bound and a short climb a node, 1 GiB of work at most",
        ),
        Step(Milp(patience=PATIENCE), "everything that a program says exactly", "a linear program a node"),
    )


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
        lambda: Ladder(tuple(step.verifier for step in ladder())),
        "runs bounds, attacks, lists of small sets, the complete search and HiGHS, until one decides",
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
    "Step",
    "Verifier",
    "ladder",
]
