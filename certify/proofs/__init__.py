"""Proofs that outlive the solver: trees of splits with prices, which `spikecert.checking` re-checks exactly."""

from .asked import Proof
from .proving import Disproved, Prover, Unproven

__all__ = ["Disproved", "Proof", "Prover", "Unproven"]
