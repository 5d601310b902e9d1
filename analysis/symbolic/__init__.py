"""The theory as objects: `theorems()` lists, `theorem(name)` finds, `.verify()` replays the derivation."""

from .dynamics import (
    NO_GAIN_ACROSS_SPIKES,
    PATTERN_HARD,
    PATTERN_SOFT,
    PERTURBATION_IDENTITY,
    SIMPLIFIED_SOLUTION,
)
from .layers import BOUNDED_REAL, DLIF_GAIN, L2_MARGIN, LAYER_GAIN
from .loops import ERROR_GAIN, KEPT_MEMBRANES, NO_LIMIT_POINT
from .spectral import FINITE_L2, INFINITE_L2, LOSS_LINK, QUOTED_L2_GAIN, TRANSFER_FUNCTION, counterexample
from .sums import L1_GAIN, L2_LINF_GAIN, LINF_GAIN, Derivation, ProofError, Refutation, Theorem

_THEOREMS = (
    PERTURBATION_IDENTITY,
    SIMPLIFIED_SOLUTION,
    TRANSFER_FUNCTION,
    INFINITE_L2,
    FINITE_L2,
    LINF_GAIN,
    L1_GAIN,
    L2_LINF_GAIN,
    DLIF_GAIN,
    LAYER_GAIN,
    LOSS_LINK,
    PATTERN_HARD,
    PATTERN_SOFT,
    NO_GAIN_ACROSS_SPIKES,
    BOUNDED_REAL,
    L2_MARGIN,
    NO_LIMIT_POINT,
    ERROR_GAIN,
    KEPT_MEMBRANES,
    QUOTED_L2_GAIN,
)


def theorems() -> tuple[Theorem, ...]:
    """Return all theorems, in the order in which they build on each other."""
    return _THEOREMS


def theorem(name: str) -> Theorem:
    """Return the theorem of that name.

    Raises:
        ValueError: for an unknown name.

    >>> theorem("transfer-function").verify().theorem
    'transfer-function'
    """
    for item in _THEOREMS:
        if item.name == name:
            return item
    raise ValueError(f"name: got {name!r}, expected one of {', '.join(item.name for item in _THEOREMS)}")


__all__ = ["Derivation", "ProofError", "Refutation", "Theorem", "counterexample", "theorem", "theorems"]
