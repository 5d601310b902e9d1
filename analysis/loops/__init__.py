"""Linear plants under controllers that are linear but for a bounded error: what holds of them for all time."""

from .kept import KeptStability
from .practical import LoopRound, PracticalStability

__all__ = ["KeptStability", "LoopRound", "PracticalStability"]
