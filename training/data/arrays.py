"""An .npz archive of one's own arrays as a data set.

Data whose targets are numbers, as a `Dataset`: what a regressor or a controller learns.
"""

import math
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...files import Archive, FileKind
from ...models.constants import at_least
from ...models.validation import one_line
from .mnist import load_digits_splits
from .own import checked_limits, cut_parts, inputs_of, own_dataset, pair_of
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
_BEGINNINGS = {b"\x93NUMPY\x01\x00": 2, b"\x93NUMPY\x02\x00": 4}
"""Of an array, and in how many bytes the length of its header follows."""


def load_arrays(path: Path, seed: int, limits: tuple[float, float] = (0.0, 1.0)) -> Dataset:
    """Return the data set of an archive: `own_dataset` of its arrays.

    It holds inputs and labels of all samples, or those of each split, as train_inputs, train_labels and so on.
    Real targets, (samples,) or (samples, outputs), are called targets in the place of labels. Event frames,
    (samples, T, ...), are called events; an array of texts called names are the classes'. Nothing is
    unpickled, and nothing is unpacked before its name and its size are known to be expected.

    Raises:
        FileNotFoundError, ValueError: for a file that is missing, broken, too large, or of other arrays.
    """
    try:
        return _data_of(path, Archive(ARCHIVE.content(path), MOST), seed, limits)
    except (TypeError, ValueError) as error:
        told = one_line(error)
        raise ValueError(told if told.startswith("dataset:") else f"dataset: {path} {told}") from error


def _data_of(path: Path, archive: Archive, seed: int, limits: tuple[float, float]) -> Dataset:
    names = {member.removesuffix(".npy"): member for member in archive.sizes}
    splits = {part for part in PARTS if any(name.startswith(part) for name in names)}
    kind = "events" if any(name.endswith("events") for name in names) else "inputs"
    told = "targets" if any(name.endswith("targets") for name in names) else "labels"
    wanted = {f"{part}{name}" for part in splits or {""} for name in (kind, told)}
    if names.keys() - {"names"} != wanted or (splits and not {"train_", "test_"} <= splits):
        raise ValueError(f"holds {', '.join(sorted(names)) or 'nothing'}, {_EXPECTED}")
    texts = _texts(archive.read(names["names"])) if "names" in names else []
    held = {name: _array(archive.read(names[name]), "biuf") for name in sorted(wanted)}
    settings = {"events": kind == "events", "seed": seed, "limits": limits}

    def pair(part: str) -> tuple[np.ndarray, np.ndarray] | None:
        return (held[f"{part}{kind}"], held[f"{part}{told}"]) if f"{part}{told}" in held else None

    parts = map(pair, PARTS if splits else ("",))
    if told == "labels":
        return own_dataset(str(path), *parts, names=texts, **settings)
    if texts:
        raise ValueError("holds names beside targets, expected them beside labels")
    return regression_dataset(str(path), *parts, **settings)


def _texts(content: bytes) -> list[str]:
    """Return the names of classes."""
    if len(content) > MOST_TEXT:
        raise ValueError(f"holds names of {len(content)} bytes, expected at most {MOST_TEXT}")
    found = _array(content, "U").ravel()
    if found.view(np.uint32).max(initial=0) > sys.maxunicode:
        raise ValueError("holds names of numbers that are no characters")
    return found.tolist()


def _array(content: bytes, kinds: str) -> np.ndarray:
    """Return one array of dtypes of these kinds, whose header must agree with its length."""
    width = _BEGINNINGS.get(content[:8], 0)
    start = 8 + width + int.from_bytes(content[8 : 8 + width], "little")
    header = _HEADER.fullmatch(content[8 + width : start])
    if not width or header is None:
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
