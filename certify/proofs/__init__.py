"""Proofs that outlive the solver: trees of splits with prices, which `spikecert.checking` re-checks exactly."""

from .proof import Proof
from .proving import Prover, Refuted, Unproven

__all__ = ["Proof", "Prover", "Refuted", "Unproven"]
