"""Certified networks that come with the package: their files, and what was proved of each."""

from .keeping import Ablated, Entry, Proven, load_zoo, names, pack, zoo

__all__ = ["Ablated", "Entry", "Proven", "load_zoo", "names", "pack", "zoo"]
