"""Linear plants under controllers that are linear but for a bounded error: what holds of them for all time."""

from .ellipsoid import EllipsoidRound, EllipsoidStability
from .kept import KeptStability, LoopRound, PracticalStability

__all__ = ["EllipsoidRound", "EllipsoidStability", "KeptStability", "LoopRound", "PracticalStability"]
