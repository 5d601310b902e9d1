"""A program of its own that reads HDF5: `python hdf5_child.py LAYOUT START STOP < FILE` writes arrays to standard
output, of recordings those from START to STOP.

libhdf5 hangs or crashes on some broken files, and a small file may unpack to any size. So a process reads it that
has limits, gets bytes instead of a path, and hands on an .npz archive. Nothing of this library is imported.
"""

import io
import json
import math
import resource
import sys
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np

MOST_MEMORY = 3 * 2**30
"""Beside the file itself."""
MOST_SECONDS = 30
MOST_BYTES, LEAST_BYTES, MOST_TIMES = 2**29, 2**26, 8
"""All arrays together may have so many bytes, but no more than `LEAST_BYTES` and so many times the file."""
LEAST_TEXT = 2**20
"""Characters that names and texts may have, beside one for each byte of the file."""
MOST_PARTS = 100_000
MOST_RECORDINGS = 100_000
DEEPEST = 16


class UnpackedFile:
    """The groups of a file as plain data, and their arrays apart.

    Args:
        most: bytes of all arrays.
        text: characters of all names and texts: a file may lead to one of them many times.
    """

    def __init__(self, most: int, text: int) -> None:
        self.most, self.most_text = most, text
        self.arrays: list[np.ndarray] = []
        self.bytes: int = 0
        self.text: int = 0
        self.parts: int = 0

    def group(self, group: Any, depth: int = 0) -> dict[str, Any]:
        """Return a group.

        Raises:
            ValueError: for links out of it, deep nesting (a group in itself), or what is too large.
        """
        if depth > DEEPEST:
            raise ValueError(f"its groups are nested more than {DEEPEST} deep")
        found = {}
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ValueError(f"it has a link at {name!r}, expected arrays and groups only")
            self._count(1, len(name))
            part = group[name]
            found[name] = self.group(part, depth + 1) if isinstance(part, h5py.Group) else self._value(part, name)
        return found

    def _count(self, parts: int, text: int) -> None:
        """Note groups, arrays or texts, and their characters."""
        self.parts, self.text = self.parts + parts, self.text + text
        if self.parts > MOST_PARTS:
            raise ValueError(f"it has more than {MOST_PARTS} parts")
        if self.text > self.most_text:
            raise ValueError(f"its names and texts have more than {self.most_text} characters")

    def _value(self, item: Any, name: str) -> Any:
        check_kept_here(item, name)
        shape, kind = item.shape, item.dtype
        is_text = h5py.check_string_dtype(kind) is not None
        if shape is None or not (is_text or kind.kind in "biuf"):
            raise ValueError(f"got data of type {kind} at {name!r}, expected numbers or text")
        self.bytes += math.prod(max(1, side) for side in shape) * kind.itemsize
        if self.bytes > self.most:
            raise ValueError(f"its arrays have more than {self.most} bytes")
        if is_text:
            return self._texts(item)
        self.arrays.append(np.asarray(item[()]))
        return {"array": len(self.arrays) - 1}

    def _texts(self, item: Any) -> Any:
        """Return a string, or nested lists of them, each read by itself."""
        self._count(int(item.size), 0)
        found = np.empty(item.shape, object)
        for place in np.ndindex(item.shape):
            found[place] = item[place].decode()
            self._count(0, len(found[place]))
        return found.tolist()


def check_kept_here(item: Any, name: str) -> None:
    """Raise ValueError for numbers that lie in another file."""
    if item.is_virtual or item.external:
        raise ValueError(f"it keeps {name!r} in another file")


def nir(file: Any, size: int, _: slice) -> dict[str, np.ndarray]:
    """Return the group "node" of a NIR graph."""
    return _tree(file["node"], size)


def lava(file: Any, size: int, _: slice) -> dict[str, np.ndarray]:
    """Return the group "layer" of a network of lava-dl."""
    return _tree(file["layer"], size)


def _tree(group: Any, size: int) -> dict[str, np.ndarray]:
    """Return JSON of the groups, in which {"array": k} stands for array k, and the arrays."""
    content = UnpackedFile(_most(size), LEAST_TEXT + size)
    tree = content.group(group)
    text = np.frombuffer(json.dumps(tree).encode(), dtype=np.uint8)
    return {"tree": text, **{f"a{index}": array for index, array in enumerate(content.arrays)}}


def spikes(file: Any, size: int, rows: slice) -> dict[str, np.ndarray]:
    """Return some recordings of events one after another: times, units, how many each has, and all labels."""
    times, units, labels = (_item(file, name) for name in ("spikes/times", "spikes/units", "labels"))
    if not times.shape == units.shape == labels.shape == (len(labels),):
        raise ValueError("expected times, units and a label for each recording")
    if len(labels) > MOST_RECORDINGS:
        raise ValueError(f"got {len(labels)} recordings, expected at most {MOST_RECORDINGS}")
    if labels.dtype.kind not in "iu":
        raise ValueError("expected whole numbers as labels")
    when, many = _joined(times, rows, "times", "fiu", _most(size))
    where, same = _joined(units, rows, "units", "iu", _most(size))
    if not np.array_equal(many, same):
        raise ValueError("expected a time and a unit for each event")
    return {"times": when, "units": where, "counts": many, "labels": labels[()]}


def _most(size: int) -> int:
    """Return how many bytes the arrays of a file of `size` bytes may have."""
    return min(MOST_BYTES, LEAST_BYTES + MOST_TIMES * size)


def _item(file: Any, path: str) -> Any:
    """Return a data set that hard links lead to."""
    part = file
    for name in path.split("/"):
        if not isinstance(part, h5py.Group) or not isinstance(part.get(name, getlink=True), h5py.HardLink):
            raise ValueError(f"it lacks {path}")
        part = part[name]
    if not isinstance(part, h5py.Dataset) or part.shape is None or len(part.shape) != 1:
        raise ValueError(f"expected {path} to be a row")
    check_kept_here(part, path)
    return part


def _joined(ragged: Any, part: slice, name: str, kinds: str, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the entries of some rows one after another, and how many each row has."""
    kind = h5py.check_vlen_dtype(ragged.dtype)
    if not isinstance(kind, np.dtype) or kind.kind not in kinds:
        raise ValueError(f"expected {name} of each recording as numbers")
    rows, held = [], 0
    for index in range(len(ragged))[part]:
        row = ragged[index]
        held += row.nbytes
        if held > most:
            raise ValueError(f"its {name} have more than {most} bytes")
        rows.append(row)
    joined = np.concatenate([np.zeros(0, kind), *rows])
    return joined, np.array([len(row) for row in rows], np.int64)


LAYOUTS: dict[str, Callable[[Any, int, slice], dict[str, np.ndarray]]] = {
    "nir": nir,
    "lava": lava,
    "spikes": spikes,
}
"""What is read of a file."""


def main(layout: str, content: bytes, rows: slice, out: Any) -> None:
    """Write the archive of what a layout names."""
    most = MOST_MEMORY + len(content)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_SECONDS, MOST_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with h5py.File(io.BytesIO(content), "r") as file:
        arrays: dict[str, Any] = LAYOUTS[layout](file, len(content), rows)
    np.savez(out, **arrays)


if __name__ == "__main__":
    try:
        layout, start, stop = sys.argv[1:]
        main(layout, sys.stdin.buffer.read(), slice(int(start), int(stop)), sys.stdout.buffer)
    except Exception as error:  # h5py raises whatever a broken file makes it meet
        sys.exit(" ".join(str(error).split())[:300] or type(error).__name__)
