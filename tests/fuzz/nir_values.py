"""Change what a NIR file says, and leave it a good HDF5 file."""

import io
import random
from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np

from .mutators import mutate_bytes

ODD = (0, 1, -1, 2, 3, 1e-30, 1e30, float("nan"), float("inf"), -float("inf"), 2**31, 2**62, 0.5)


class Values:
    """Puts odd numbers, shapes, types and names into the arrays of a file, or takes one away."""

    def __call__(self, draw: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
        """Return a changed file; what is no HDF5 file any more is left to the mutator of bytes."""
        buffer = io.BytesIO(data)
        try:
            with h5py.File(buffer, "a") as file:
                names: list[str] = []
                file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
                for _ in range(draw.randint(1, 3)):
                    self._change(file, draw.choice(names), draw)
        except (OSError, RuntimeError, KeyError, ValueError, TypeError, IndexError):
            return mutate_bytes(draw, data, others)
        return buffer.getvalue()

    def _change(self, file: Any, name: str, draw: random.Random) -> None:
        if name not in file:
            return
        value = file[name][()]
        del file[name]
        kind = draw.randrange(6)
        if kind == 0:
            return
        if isinstance(value, bytes) or kind == 1:
            file[name] = draw.choice(
                [b"LIF", b"Affine", b"IF", b"Flatten", b"Input", b"", b"\xff", 3, b"potential"]
            )
            return
        array = np.array(value)
        if array.dtype == object:
            file[name] = draw.choice([np.arange(3), b"edges"])
        elif kind == 2:
            file[name] = np.resize(array, draw.choice([(), (0,), (1,), (2, 2), (3, 1, 3), (array.size + 1,)]))
        else:
            file[name] = self._odd(array, draw)

    def _odd(self, array: np.ndarray, draw: random.Random) -> np.ndarray:
        flat = array.astype(draw.choice([array.dtype, np.float64, np.int64])).flatten()
        if flat.size:
            odd = draw.choice(ODD)
            limits = np.iinfo(flat.dtype) if flat.dtype.kind in "iu" else None
            flat[draw.randrange(flat.size)] = 0 if limits is not None and not abs(odd) <= limits.max else odd
        return flat.reshape(array.shape)
