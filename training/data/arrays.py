"""An .npz archive of one's own arrays as a data set.

Data whose targets are numbers, as a `Dataset`: what a regressor or a controller learns.
"""

import math
import re
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...files import Archive, FileKind
from ...models.constants import at_least
from ...models.validation import one_line
from .digit_events import DEFAULT_STEPS
from .mnist import load_digits_splits
from .own import checked_limits, cut_parts, inputs_of, limits_of, own_dataset, pair_of
from .recordings.own_recordings import FIELDS, binned
from .splits import Dataset, Split


def regression_dataset(
    name: str,
    train: Any,
    validation: Any = None,
    test: Any = None,
    *,
    events: bool = False,
    seed: int = 0,
    limits: tuple[float, float] = (0.0, 1.0),
) -> Dataset:
    """Return a data set of one's own samples whose targets are real: numbers that outputs should be.

    Each part is a pair (inputs, targets) of tensors or arrays, samples first; targets are (samples, outputs), or
    (samples,) of one output. Parts that are missing are cut off, as `own_dataset` does.

    Args:
        name: for records and messages.
        train, validation, test: the parts.
        events: whether inputs are event frames of 0 and 1, (samples, T, ...).
        seed: of the cuts.
        limits: the least and the greatest value that inputs may have.

    Raises:
        TypeError, ValueError: for parts that don't fit, one line each.

    >>> x = torch.rand(40, 2)
    >>> regression_dataset("sums", (x, x.sum(1))).classes
    1
    """
    seed, limits = at_least(0)("seed", seed), checked_limits(limits)
    last = None if test is None else _real_split("test", test, events, limits)
    middle = None if validation is None else _real_split("validation", validation, events, limits)
    first, middle, last = cut_parts(_real_split("train", train, events, limits), middle, last, seed)
    for told, part in (("validation", middle), ("test", last)):
        for what, ours, theirs in (("inputs", part.inputs, first.inputs), ("targets", part.labels, first.labels)):
            if ours.shape[1:] != theirs.shape[1:]:
                got, wanted = tuple(ours.shape[1:]), tuple(theirs.shape[1:])
                raise ValueError(f"{told}: got {what} of shape {got}, expected {wanted} as train")
    shape = tuple(first.inputs.shape[1:])
    steps, frame = (shape[0], shape[1:]) if events else (None, shape)
    return Dataset(name, first, middle, last, frame, first.labels.shape[1], steps, (), limits)


def load_digit_values(name: str, root: Path | None, seed: int) -> Dataset:
    """Return the digits with what they stand for as their targets: one number from 0 to 9."""
    digits = load_digits_splits(name, root, seed)
    parts = [
        Split(part.inputs, part.labels.float()[:, None]) for part in (digits.train, digits.validation, digits.test)
    ]
    return Dataset(name, *parts, shape=digits.shape, classes=1)


def _real_split(told: str, part: Any, events: bool, limits: tuple[float, float]) -> Split:
    """Return one part as inputs and targets that are checked."""
    inputs, targets = pair_of(told, part)
    if targets.dtype == torch.bool or targets.is_complex() or targets.dim() not in (1, 2) or not targets.numel():
        got = f"targets of {targets.dtype} and shape {tuple(targets.shape)}"
        raise ValueError(f"{told}: got {got}, expected numbers, (samples,) or (samples, outputs)")
    if len(targets) != len(inputs):
        raise ValueError(f"{told}: got {len(targets)} targets for {len(inputs)} inputs")
    found: Tensor = targets.float().reshape(len(targets), -1)
    if not bool(found.isfinite().all()):
        raise ValueError(f"{told}: got targets of NaN or inf, expected finite numbers")
    return Split(inputs_of(told, inputs, events, limits), found)


ARCHIVE = FileKind("dataset", "an .npz archive of arrays", most=2**33)
ARRAY = FileKind("dataset", "an array", most=2**33)
MOST, MOST_TEXT = 2**33, 2**20
"""Bytes that an archive may hold, unpacked, and its names of classes."""
PARTS = ("train_", "validation_", "test_")
_EXPECTED = (
    "expected inputs and labels, or train_inputs, train_labels, test_inputs, test_labels and maybe "
    "validation_inputs, validation_labels (events in the place of inputs for frames of 0 and 1, targets in that "
    "of labels for numbers)"
)
_HEADER = re.compile(
    rb"\{'descr': '([<>=|]?([a-zA-Z])\d{0,9})', 'fortran_order': (True|False), "
    rb"'shape': \(((?:\d{1,18}L?, ?){0,32}(?:\d{1,18}L?)?)\),? ?\}\s*"
)
"""What NumPy writes before the values of an array."""
_FIELD = re.compile(rb"\('([a-z]{1,10})', '([<>|][iufb][1248])'\)")
_TABLE = re.compile(
    rb"\{'descr': \[((?:\('[a-z]{1,10}', '[<>|][iufb][1248]'\)(?:, )?){2,5})\], 'fortran_order': False, "
    rb"'shape': \((\d{1,18}),\),? ?\}\s*"
)
"""The same of an array of events, whose fields have names."""
_BEGINNINGS = {b"\x93NUMPY\x01\x00": 2, b"\x93NUMPY\x02\x00": 4}
"""Of an array, and in how many bytes the length of its header follows."""


@dataclass(frozen=True)
class _Folder:
    """Arrays of a folder, as an archive has them."""

    path: Path

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Return the names of the arrays, with their sizes, which nobody asks for."""
        return {item.name: 0 for item in sorted(self.path.iterdir()) if not item.name.startswith(".")}

    def read(self, name: str) -> bytes:
        """Return a file's content."""
        return ARRAY.content(self.path / name)


def has_arrays(path: Path) -> bool:
    """Return whether a folder holds arrays."""
    return path.is_dir() and any(item.suffix == ".npy" for item in path.iterdir())


def load_arrays(
    path: Path,
    seed: int,
    limits: tuple[float, float] | None = None,
    num_steps: int = DEFAULT_STEPS,
    duration: float | None = None,
) -> Dataset:
    """Return the data set of an archive, or of a folder of arrays, *.npy: `own_dataset` of these.

    It holds inputs and labels of all samples, or those of each split, as train_inputs, train_labels and so on.
    Real targets, (samples,) or (samples, outputs), are called targets in the place of labels. Event frames,
    (samples, T, ...), are called events; an array of texts called names are the classes'. Recordings of events are
    arrays t, x, maybe y and p, and recording, (events,) each, or one array called events with these fields, beside
    a label for each recording: `binned` into `num_steps` frames. Nothing is unpickled, and nothing is unpacked
    before its name and its size are known to be expected.

    Raises:
        FileNotFoundError, ValueError: for a file that is missing, broken, too large, or of other arrays.
    """
    try:
        archive = _Folder(path) if has_arrays(path) else Archive(ARCHIVE.content(path), MOST)
        return _data_of(path, archive, seed, limits, num_steps, duration)
    except (TypeError, ValueError) as error:
        told = one_line(error)
        raise ValueError(told if told.startswith("dataset:") else f"dataset: {path} {told}") from error


def _data_of(
    path: Path,
    archive: Archive | _Folder,
    seed: int,
    limits: tuple[float, float] | None,
    num_steps: int,
    duration: float | None,
) -> Dataset:
    names = {member.removesuffix(".npy"): member for member in archive.sizes}
    if {"t", "x"} <= names.keys():
        return _recorded(path, archive, names, seed, num_steps, duration)
    splits = {part for part in PARTS if any(name.startswith(part) for name in names)}
    kind = "events" if any(name.endswith("events") for name in names) else "inputs"
    told = "targets" if any(name.endswith("targets") for name in names) else "labels"
    wanted = {f"{part}{name}" for part in splits or {""} for name in (kind, told)}
    if names.keys() - {"names"} != wanted or (splits and not {"train_", "test_"} <= splits):
        raise ValueError(f"holds {', '.join(sorted(names)) or 'nothing'}, {_EXPECTED}")
    texts = _texts(archive.read(names["names"])) if "names" in names else []
    contents = {name: archive.read(names[name]) for name in sorted(wanted)}
    if (events := contents.get("events")) is not None and _TABLE.match(events[_start(events)[0] :]):
        return _recorded(path, archive, names, seed, num_steps, duration)
    if duration is not None:
        raise ValueError(f"holds no recordings of events, expected none for duration {duration}")
    held = {name: _array(content, "biuf") for name, content in contents.items()}
    if limits is None:
        inputs = [held[name] for name in held if name.endswith("inputs") and held[name].dtype != np.uint8]
        limits = limits_of(np.concatenate([array.ravel() for array in inputs])) if inputs else (0.0, 1.0)
    settings = {"events": kind == "events", "seed": seed, "limits": limits}

    def pair(part: str) -> tuple[np.ndarray, np.ndarray] | None:
        return (held[f"{part}{kind}"], held[f"{part}{told}"]) if f"{part}{told}" in held else None

    parts = map(pair, PARTS if splits else ("",))
    if told == "labels":
        return own_dataset(str(path), *parts, names=texts, **settings)
    if texts:
        raise ValueError("holds names beside targets, expected them beside labels")
    return regression_dataset(str(path), *parts, **settings)


def _recorded(
    path: Path,
    archive: Archive | _Folder,
    names: dict[str, str],
    seed: int,
    num_steps: int,
    duration: float | None,
) -> Dataset:
    """Return the frames of recordings of events."""
    arrays = names.keys() - {"labels", "names"}
    if "labels" not in names or arrays - {*FIELDS, "events"}:
        raise ValueError(f"holds {', '.join(sorted(names))}, expected labels beside {', '.join(FIELDS)}")
    if "events" in names:
        events = _fields(archive.read(names["events"]))
    else:
        events = {name: _array(archive.read(names[name]), "biuf") for name in sorted(arrays)}
    labels = _array(archive.read(names["labels"]), "biu")
    texts = _texts(archive.read(names["names"])) if "names" in names else []
    frames = binned(events, labels.size, num_steps, duration)
    return own_dataset(str(path), (frames, labels), names=texts, events=True, seed=seed)


def _texts(content: bytes) -> list[str]:
    """Return the names of classes."""
    if len(content) > MOST_TEXT:
        raise ValueError(f"holds names of {len(content)} bytes, expected at most {MOST_TEXT}")
    found = _array(content, "U").ravel()
    if found.view(np.uint32).max(initial=0) > sys.maxunicode:
        raise ValueError("holds names of numbers that are no characters")
    return found.tolist()


def _start(content: bytes) -> tuple[int, int]:
    """Return where the header of an array begins and ends; both 0 for what is none."""
    width = _BEGINNINGS.get(content[:8], 0)
    return (8 + width, 8 + width + int.from_bytes(content[8 : 8 + width], "little")) if width else (0, 0)


def _fields(content: bytes) -> dict[str, np.ndarray]:
    """Return the fields of an array of events."""
    begin, start = _start(content)
    header = _TABLE.fullmatch(content[begin:start])
    told = [] if header is None else _FIELD.findall(header[1])
    if header is None or not {name.decode() for name, _ in told} <= {*FIELDS} or len({*told}) < len(told):
        raise ValueError(f"holds events of other fields, expected {', '.join(FIELDS)}")
    dtype = np.dtype([(name.decode(), kind.decode()) for name, kind in told])
    if int(header[2]) * dtype.itemsize != len(content) - start:
        raise ValueError(f"holds {header[2].decode()} events of {dtype.itemsize} bytes in {len(content) - start}")
    found = np.frombuffer(content, dtype, offset=start)
    return {name: found[name].astype(dtype[name].newbyteorder("=")) for name in dtype.names or ()}


def _array(content: bytes, kinds: str) -> np.ndarray:
    """Return one array of dtypes of these kinds, whose header must agree with its length."""
    begin, start = _start(content)
    header = _HEADER.fullmatch(content[begin:start])
    if not begin or header is None:
        raise ValueError("holds what is no array of numbers or texts as NumPy writes it")
    kind, fortran, shape = header[1].decode(), header[3] == b"True", _sizes(header[4])
    if header[2].decode() not in kinds:
        raise ValueError(f"holds an array of {kind}, expected numbers, and texts as names alone")
    dtype = np.dtype(kind)
    size = len(content) - start
    if math.prod(shape) * dtype.itemsize != size or not dtype.itemsize:
        raise ValueError(f"holds an array of shape {shape} and {dtype} in {size} bytes")
    found = np.frombuffer(content, dtype, offset=start).reshape(shape, order="F" if fortran else "C")
    return found.astype(dtype.newbyteorder("="))


def _sizes(text: bytes) -> tuple[int, ...]:
    return tuple(int(size.rstrip(b"L ")) for size in text.split(b",") if size.strip())
