"""Proven and attained ends of what a network's outputs can be over a set."""

from .ranges import OutputRange, output_range, proved_range

__all__ = ["OutputRange", "output_range", "proved_range"]
