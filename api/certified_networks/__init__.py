"""Certified networks that come with the package: their files, and what was proved of each."""

from .entry import Entry, Proven
from .keeping import entries, load_zoo, names, pack

__all__ = ["Entry", "Proven", "entries", "load_zoo", "names", "pack"]
