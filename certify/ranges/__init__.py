"""Proven and attained ends of what a network's outputs can be over a set."""

from .image import image_range
from .ranges import OutputRange, output_range, proved_range

__all__ = ["OutputRange", "image_range", "output_range", "proved_range"]
