"""Certifying a set of samples: in deterministic batches, by processes or by machines, resumably."""

from .certification import ENGINES, Fleet, Repeated
from .cluster import Ray
from .local import Local
from .work import Engine

__all__ = ["ENGINES", "Engine", "Fleet", "Local", "Ray", "Repeated"]
