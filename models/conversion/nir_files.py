"""What a NIR file, HDF5, may hold before anything of it is read: a stranger's file may be larger than it looks."""

from pathlib import Path
from typing import Any

from .refusal import ConversionRefused

MOST_BYTES = 1 << 29
"""Of all arrays together, unpacked, and of the file."""
MOST_PARTS = 100_000
DEEPEST = 16


def check_file(path: Path) -> None:
    """Raise ConversionRefused for links out of the file, deep nesting, or arrays too large to read."""
    import h5py

    with h5py.File(path, "r") as file:
        budget = [MOST_BYTES, MOST_PARTS]
        _check_group(h5py, file, budget, 0)


def _check_group(h5py: Any, group: Any, budget: list[int], depth: int) -> None:
    if depth > DEEPEST:
        raise ConversionRefused(f"graph: its file nests groups more than {DEEPEST} deep")
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise ConversionRefused(f"graph: its file has a link at {name!r}, expected arrays and groups only")
        part = group[name]
        budget[1] -= 1
        if isinstance(part, h5py.Group):
            _check_group(h5py, part, budget, depth + 1)
        else:
            _check_array(part, name, budget)
        if budget[1] < 0:
            raise ConversionRefused(f"graph: its file has more than {MOST_PARTS} parts")


def _check_array(array: Any, name: str, budget: list[int]) -> None:
    if array.is_virtual or array.external:
        raise ConversionRefused(f"graph: its file keeps {name!r} in another file")
    budget[0] -= int(array.size or 0) * array.dtype.itemsize
    if budget[0] < 0:
        raise ConversionRefused(f"graph: its arrays have more than {MOST_BYTES} bytes")
