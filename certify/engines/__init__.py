"""Certifying a set of samples: in deterministic batches, by processes or by machines, resumably."""

from .base import Engine
from .certification import ENGINES, Repeated, certify_set
from .cluster import Ray
from .fleet import Fleet
from .local import Local

__all__ = ["ENGINES", "Engine", "Fleet", "Local", "Ray", "Repeated", "certify_set"]
