"""Whether the C library gives memory that is freed back to the system, or keeps it."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4
"""How mallopt calls the free memory that is given back, the size of blocks that are apart, and how many may be."""
KEPT = {MMAP_MAX: 0, TRIM_THRESHOLD: 2**31 - 1}
USUAL = {MMAP_MAX: 1 << 16, TRIM_THRESHOLD: 62 << 20, MMAP_THRESHOLD: 31 << 20}
"""What glibc comes to by itself once a block of 31 MiB was freed, as `models.running.membrane` does."""


@contextmanager
def kept_memory() -> Iterator[None]:
    """Let glibc keep what is freed within the block, and give it back behind it.

    Each step of training frees what the next one asks for. Where that goes to the system and back, every page is a
    fault: 14,000 a step of three convolutions, a tenth of its time. Without glibc nothing changes.
    """
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    if not (hasattr(library, "mallopt") and hasattr(library, "malloc_trim")):
        yield
        return
    _set(library, KEPT)
    try:
        yield
    finally:
        _set(library, USUAL)
        library.malloc_trim(ctypes.c_size_t(0))


def _set(library: ctypes.CDLL, options: dict[int, int]) -> None:
    for name, value in options.items():
        library.mallopt(name, value)
