"""Linear plants under controllers that are linear but for a bounded error: what holds of them for all time."""

from .practical import PracticalStability, Round

__all__ = ["PracticalStability", "Round"]
