"""The verifiers, by name."""

from collections.abc import Callable

from ..attacks import ATTACKS
from ..bounds.interval import interval_spikes
from ..bounds.trains import train_spikes, window_spikes
from .base import BoundVerifier, Verifier
from .ladder import Ladder
from .lirpa import Lirpa
from .search import AttackSearch

INTERVAL = BoundVerifier("interval", (interval_spikes,))
TRAINS = BoundVerifier("trains", (train_spikes, window_spikes))


def _auto() -> Verifier:
    return Ladder((TRAINS, AttackSearch(ATTACKS["ensemble"]())))


VERIFIERS: dict[str, Callable[[], Verifier]] = {
    "interval": lambda: INTERVAL,
    "trains": lambda: TRAINS,
    "lirpa": Lirpa,
    "auto": _auto,
}

__all__ = ["INTERVAL", "TRAINS", "VERIFIERS", "AttackSearch", "BoundVerifier", "Ladder", "Lirpa", "Verifier"]
