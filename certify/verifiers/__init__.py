"""The verifiers, by name."""

from collections.abc import Callable

from ..attacks import ATTACKS
from .base import MarginVerifier, Verifier
from .bound import BoundVerifier
from .ladder import Ladder
from .linear import Linear
from .lirpa import Lirpa
from .search import AttackSearch
from .trains import INTERVAL, TRAINS


def _auto() -> Verifier:
    return Ladder((TRAINS, Linear(), AttackSearch(ATTACKS["ensemble"]())))


VERIFIERS: dict[str, Callable[[], Verifier]] = {
    "interval": lambda: INTERVAL,
    "trains": lambda: TRAINS,
    "linear": Linear,
    "lirpa": Lirpa,
    "auto": _auto,
}

__all__ = [
    "INTERVAL",
    "TRAINS",
    "VERIFIERS",
    "AttackSearch",
    "BoundVerifier",
    "Ladder",
    "Linear",
    "Lirpa",
    "MarginVerifier",
    "Verifier",
]
