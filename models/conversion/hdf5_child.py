"""A program of its own that reads an HDF5 file: `python hdf5_child.py FILE` writes its content to standard output.

libhdf5 hangs or crashes on some broken files, and a small file may unpack to any size. So a process reads it that
has limits, and hands on an .npz archive: JSON of the groups, in which {"array": k} stands for array k. Nothing of
this library is imported.
"""

import io
import json
import resource
import sys
from typing import Any

import h5py
import numpy as np

MOST_MEMORY = 3 * 2**30
MOST_SECONDS = 30
MOST_BYTES = 2**29
"""Of all arrays together, unpacked."""
MOST_PARTS = 100_000
DEEPEST = 16


class UnpackedFile:
    """The groups of a file as plain data, and their arrays apart."""

    def __init__(self) -> None:
        self.arrays: list[np.ndarray] = []
        self.bytes = self.parts = 0

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
        if item.is_virtual or item.external:
            raise ValueError(f"it keeps {name!r} in another file")
        self.bytes += int(item.size or 0) * item.dtype.itemsize
        if self.bytes > MOST_BYTES:
            raise ValueError(f"its arrays have more than {MOST_BYTES} bytes")
        value = item[()]
        if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biuf":
            self.arrays.append(np.asarray(value))
            return {"array": len(self.arrays) - 1}
        return _text(value.tolist() if isinstance(value, np.ndarray) else value)


def _text(value: Any) -> Any:
    """Return strings, or nested lists of them."""
    if isinstance(value, list):
        return [_text(item) for item in value]
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, str):
        return value
    raise ValueError(f"got data of type {type(value).__name__}, expected numbers or text")


def main(path: str) -> bytes:
    """Return the archive of the group "node"."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_SECONDS, MOST_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    content = UnpackedFile()
    with h5py.File(path, "r") as file:
        tree = content.group(file["node"])
    held = io.BytesIO()
    text = np.frombuffer(json.dumps(tree).encode(), dtype=np.uint8)
    arrays: dict[str, Any] = {f"a{index}": array for index, array in enumerate(content.arrays)}
    np.savez(held, tree=text, **arrays)
    return held.getvalue()


if __name__ == "__main__":
    try:
        sys.stdout.buffer.write(main(sys.argv[1]))
    except Exception as error:  # h5py raises whatever a broken file makes it meet
        sys.exit(" ".join(str(error).split())[:300] or type(error).__name__)
