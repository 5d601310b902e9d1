"""Which verifiers answer for networks of whole numbers, and what "auto" is of them."""

from .attacks import ATTACKS
from .perturbations import EventSet, Perturbation
from .verifiers.base import Verifier
from .verifiers.enumeration import Enumeration
from .verifiers.ladder import Ladder
from .verifiers.search import AttackSearch
from .verifiers.trains import INTERVAL, TRAINS

KNOWN = '"interval", "trains", "enumeration" or "auto"'


def on_integers(verifier: Verifier, perturbation: Perturbation) -> Verifier:
    """Return what decides whole sets around samples of a network of whole numbers.

    "auto" is bounds, an attack without gradients, and the list of small sets.

    Raises:
        ValueError: for a verifier that knows real inputs alone.
    """
    if verifier in (INTERVAL, TRAINS) or isinstance(verifier, Enumeration):
        return verifier
    search = AttackSearch(ATTACKS["random-events" if isinstance(perturbation, EventSet) else "square"]())
    if isinstance(verifier, AttackSearch):
        return search if verifier.attack.by_gradient else verifier
    if isinstance(verifier, Ladder):
        return Ladder((TRAINS, search, Enumeration()), verifier.name)
    raise ValueError(f"verifier: got {verifier.name!r}, expected {KNOWN} for a network of whole numbers")
