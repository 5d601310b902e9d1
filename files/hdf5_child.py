"""A program of its own that reads HDF5: `python hdf5_child.py LAYOUT < FILE` writes arrays to standard output.

libhdf5 hangs or crashes on some broken files, and a small file may unpack to any size. So a process reads it that
has limits, gets bytes instead of a path, and hands on an .npz archive. Nothing of this library is imported.
"""

import io
import json
import resource
import sys
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np

MOST_MEMORY = 3 * 2**30
MOST_SECONDS = 30
MOST_BYTES, LEAST_BYTES, MOST_TIMES = 2**29, 2**26, 8
"""All arrays together may have so many bytes, but no more than `LEAST_BYTES` and so many times the file."""
MOST_PARTS = 100_000
MOST_RECORDINGS = 100_000
DEEPEST = 16


class UnpackedFile:
    """The groups of a file as plain data, and their arrays apart."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.arrays: list[np.ndarray] = []
        self.bytes: int = 0
        self.parts: int = 0

    def group(self, group: Any, depth: int = 0) -> dict[str, Any]:
        """Return a group.

        Raises:
            ValueError: for links out of it, deep nesting (a group in itself), or arrays that are too large.
        """
        if depth > DEEPEST:
            raise ValueError(f"its groups are nested more than {DEEPEST} deep")
        found = {}
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ValueError(f"it has a link at {name!r}, expected arrays and groups only")
            self.parts += 1
            if self.parts > MOST_PARTS:
                raise ValueError(f"it has more than {MOST_PARTS} parts")
            part = group[name]
            found[name] = self.group(part, depth + 1) if isinstance(part, h5py.Group) else self._value(part, name)
        return found

    def _value(self, item: Any, name: str) -> Any:
        check_kept_here(item, name)
        self.bytes += int(item.size or 0) * item.dtype.itemsize
        if self.bytes > self.most:
            raise ValueError(f"its arrays have more than {self.most} bytes")
        value = item[()]
        if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biuf":
            self.arrays.append(np.asarray(value))
            return {"array": len(self.arrays) - 1}
        return _text(value.tolist() if isinstance(value, np.ndarray) else value)


def check_kept_here(item: Any, name: str) -> None:
    """Raise ValueError for numbers that lie in another file."""
    if item.is_virtual or item.external:
        raise ValueError(f"it keeps {name!r} in another file")


def _text(value: Any) -> Any:
    """Return strings, or nested lists of them."""
    if isinstance(value, list):
        return [_text(item) for item in value]
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, str):
        return value
    raise ValueError(f"got data of type {type(value).__name__}, expected numbers or text")


def nir(file: Any, most: int) -> dict[str, np.ndarray]:
    """Return the group "node": JSON of the groups, in which {"array": k} stands for array k, and the arrays."""
    content = UnpackedFile(most)
    tree = content.group(file["node"])
    text = np.frombuffer(json.dumps(tree).encode(), dtype=np.uint8)
    return {"tree": text, **{f"a{index}": array for index, array in enumerate(content.arrays)}}


def spikes(file: Any, most: int) -> dict[str, np.ndarray]:
    """Return recordings of events one after another: times, units, how many each recording has, and labels."""
    times, units, labels = (_item(file, name) for name in ("spikes/times", "spikes/units", "labels"))
    if not times.shape == units.shape == labels.shape == (len(labels),):
        raise ValueError("expected times, units and a label for each recording")
    if len(labels) > MOST_RECORDINGS:
        raise ValueError(f"got {len(labels)} recordings, expected at most {MOST_RECORDINGS}")
    if labels.dtype.kind not in "iu":
        raise ValueError("expected whole numbers as labels")
    when, many = _joined(times, "times", "fiu", most)
    where, same = _joined(units, "units", "iu", most)
    if not np.array_equal(many, same):
        raise ValueError("expected a time and a unit for each event")
    return {"times": when, "units": where, "counts": many, "labels": labels[()]}


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


def _joined(ragged: Any, name: str, kinds: str, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the entries of all rows one after another, and how many each row has."""
    kind = h5py.check_vlen_dtype(ragged.dtype)
    if not isinstance(kind, np.dtype) or kind.kind not in kinds:
        raise ValueError(f"expected {name} of each recording as numbers")
    rows, held = [], 0
    for row in ragged:
        held += row.nbytes
        if held > most:
            raise ValueError(f"its {name} have more than {most} bytes")
        rows.append(row)
    joined = np.concatenate([np.zeros(0, kind), *rows])
    return joined, np.array([len(row) for row in rows], np.int64)


LAYOUTS: dict[str, Callable[[Any, int], dict[str, np.ndarray]]] = {"nir": nir, "spikes": spikes}
"""What is read of a file."""


def main(layout: str, content: bytes, out: Any) -> None:
    """Write the archive of what a layout names."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_SECONDS, MOST_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    most = min(MOST_BYTES, LEAST_BYTES + MOST_TIMES * len(content))
    with h5py.File(io.BytesIO(content), "r") as file:
        arrays: dict[str, Any] = LAYOUTS[layout](file, most)
    np.savez(out, **arrays)


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.stdin.buffer.read(), sys.stdout.buffer)
    except Exception as error:  # h5py raises whatever a broken file makes it meet
        sys.exit(" ".join(str(error).split())[:300] or type(error).__name__)
