"""Directed rounding, intervals, and definiteness that holds in floating point."""
