"""An .npz archive of one's own arrays as a data set."""

import io
import math
from pathlib import Path
from typing import Any

import numpy as np

from ...files import FileKind, members
from .own import own_dataset
from .splits import Dataset

ARCHIVE = FileKind("dataset", "an .npz archive of arrays", most=2**33)
MOST = 2**33
"""Bytes that an archive may hold, unpacked."""
PARTS = ("train_", "validation_", "test_")
_EXPECTED = (
    "expected inputs and labels, or train_inputs, train_labels, test_inputs, test_labels and maybe "
    "validation_inputs, validation_labels (events in the place of inputs for frames of 0 and 1)"
)


def load_arrays(path: Path, seed: int, limits: tuple[float, float] = (0.0, 1.0)) -> Dataset:
    """Return the data set of an archive: `own_dataset` of its arrays.

    It holds inputs and labels of all samples, or those of each split, as train_inputs, train_labels and so on.
    Event frames, (samples, T, ...), are called events; an array of texts called names are the classes'. Nothing is
    unpickled.

    Raises:
        FileNotFoundError, ValueError, TypeError: for a file that is missing, broken, or of other arrays.
    """
    held = _arrays(path)
    names = held.pop("names", np.array([], "U1"))
    splits = {part for part in PARTS if any(name.startswith(part) for name in held)}
    events = any(name.endswith("events") for name in held)
    kind = "events" if events else "inputs"
    wanted = {f"{part}{name}" for part in splits or {""} for name in (kind, "labels")}
    if set(held) != wanted or (splits and not {"train_", "test_"} <= splits):
        raise ValueError(f"dataset: {path} holds {', '.join(sorted(held)) or 'nothing'}, {_EXPECTED}")

    def pair(part: str) -> tuple[np.ndarray, np.ndarray] | None:
        return (held[f"{part}{kind}"], held[f"{part}labels"]) if f"{part}labels" in held else None

    settings = {"events": events, "seed": seed, "names": names.ravel().tolist(), "limits": limits}
    try:
        if not splits:
            return own_dataset(str(path), pair(""), **settings)
        return own_dataset(str(path), *map(pair, PARTS), **settings)
    except (TypeError, ValueError) as error:
        raise type(error)(f"dataset: {path}: {error}") from error


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays by name, none of them larger than what the file says of itself."""
    try:
        held = members(ARCHIVE.content(path), MOST)
        return {name.removesuffix(".npy"): _array(content) for name, content in held.items()}
    except ValueError as error:
        told = str(error)
        raise type(error)(told if told.startswith("dataset:") else f"dataset: {path} {told}") from error


def _array(content: bytes) -> np.ndarray:
    """Return one array of numbers, whose header must agree with its length."""
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    readers: dict[tuple[int, int], Any] = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise ValueError(f"holds an array of version {version}, expected 1.0 or 2.0")
    shape, fortran, dtype = readers[version](file)
    if dtype.kind not in "biufU":
        raise ValueError(f"holds an array of {dtype}, expected numbers, or texts")
    rest = content[file.tell() :]
    if math.prod(shape) * dtype.itemsize != len(rest):
        raise ValueError(f"holds an array of shape {shape} and {dtype} in {len(rest)} bytes")
    found = np.frombuffer(rest, dtype).reshape(shape, order="F" if fortran else "C")
    return found.astype(dtype.newbyteorder("="))
