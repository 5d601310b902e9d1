"""Which verifiers answer for networks of whole numbers, and what "auto" is of them."""

from .attacks import ATTACKS
from .perturbations import EventSet, Perturbation
from .verifiers.base import Verifier
from .verifiers.complete import Complete
from .verifiers.enumeration import Enumeration, InputSplitting
from .verifiers.search import AttackSearch, Ladder
from .verifiers.trains import INTERVAL, TRAINS

KNOWN = '"interval", "trains", "enumeration", "complete" or "auto"'
BOXES = 2**16
"""How many boxes of whole inputs are bounded at most."""


def on_integers(verifier: Verifier, perturbation: Perturbation) -> Verifier:
    """Return what decides whole sets around samples of a network of whole numbers.

    "auto" is bounds, an attack without gradients, and the list of small sets; "complete" splits boxes of whole
    inputs besides.

    Raises:
        ValueError: for a verifier that knows real inputs alone.
    """
    if verifier in (INTERVAL, TRAINS) or isinstance(verifier, Enumeration | InputSplitting):
        return verifier
    search = AttackSearch(ATTACKS["random-events" if isinstance(perturbation, EventSet) else "square"]())
    if isinstance(verifier, AttackSearch):
        return search if verifier.attack.by_gradient else verifier
    if isinstance(verifier, Complete):
        listed = () if verifier.enumeration is None else (verifier.enumeration,)
        split = () if isinstance(perturbation, EventSet) else (InputSplitting(BOXES),)
        return Ladder((TRAINS, search, *listed, *split), verifier.name)
    if isinstance(verifier, Ladder):
        return Ladder((TRAINS, search, Enumeration()), verifier.name)
    raise ValueError(f"verifier: got {verifier.name!r}, expected {KNOWN} for a network of whole numbers")
