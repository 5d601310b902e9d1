"""Certified networks that come with the package: their files, and what was proved of each."""

from .entry import Entry, Proven
from .keeping import load_zoo, names, pack, zoo

__all__ = ["Entry", "Proven", "load_zoo", "names", "pack", "zoo"]
