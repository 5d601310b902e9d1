"""The Spiking Heidelberg Digits from their usual files, shd_train.h5 and shd_test.h5 (plain or gzipped)."""

from pathlib import Path

import numpy as np
import torch

from ...files import Unreadable, read_hdf5
from .events import frames
from .files import find, read
from .splits import Dataset, Split, split_off

HELD_OUT_SHARE = 12
MOST_BYTES = 2**29
"""Of one file, packed as well as unpacked."""
UNITS, CLASSES = 700, 20
DURATION = 1.4
"""Seconds that the frames cover: the longest recording."""


def load_shd(name: str, root: Path | None, seed: int, num_steps: int) -> Dataset:
    """Return the recordings as uint8 frames (samples, num_steps, 700), of 20 spoken digits.

    Raises:
        ModuleNotFoundError: without h5py.
        FileNotFoundError, ValueError: if a file is missing or broken.

    References: cramer2022heidelberg
    """
    whole = _part(name, "train", root, num_steps)
    train, validation = split_off(whole, len(whole) // HELD_OUT_SHARE, seed)
    test = _part(name, "test", root, num_steps)
    return Dataset(name, train, validation, test, (UNITS,), CLASSES, num_steps)


def _part(name: str, part: str, root: Path | None, num_steps: int) -> Split:
    folders = [] if root is None else [root, root / "SHD", root / "shd", root / "hdspikes"]
    advice = "put shd_train.h5 and shd_test.h5 (plain or .gz) into a folder and pass it as root"
    path = find(name, f"shd_{part}.h5", folders, advice)
    return read_shd(path, num_steps)


def read_shd(path: Path, num_steps: int) -> Split:
    """Return the recordings of one file.

    Raises:
        ModuleNotFoundError: without h5py.
        ValueError: for a file that is broken, or too large.
    """
    _check_h5py()
    content = read(path, MOST_BYTES)
    try:
        held = read_hdf5(content, "spikes")
    except Unreadable as error:
        raise ValueError(f"dataset: {path} is no complete SHD file: {error}") from error
    labels = held["labels"]
    if len(labels) == 0 or labels.min() < 0 or labels.max() >= CLASSES:
        raise ValueError(f"dataset: {path} holds a label outside 0 to {CLASSES - 1}, or none")
    ends = np.cumsum(held["counts"])
    inputs = torch.empty((len(labels), num_steps, UNITS), dtype=torch.uint8)
    for k, (row, end, count) in enumerate(zip(inputs, ends, held["counts"], strict=True)):
        part = slice(end - count, end)
        row.copy_(torch.from_numpy(_frames(path, k, held["times"][part], held["units"][part], num_steps)))
    return Split(inputs, torch.from_numpy(labels.astype(np.int64)))


def _frames(path: Path, row: int, times: np.ndarray, units: np.ndarray, num_steps: int) -> np.ndarray:
    times, units = np.asarray(times, np.float64), np.asarray(units, np.int64)
    if times.shape != units.shape or not (times >= 0).all() or not ((units >= 0) & (units < UNITS)).all():
        expected = f"a time of at least 0 and a unit from 0 to {UNITS - 1} for each event"
        raise ValueError(f"dataset: {path} is broken in recording {row}, expected {expected}")
    return frames(times, units, num_steps, DURATION, UNITS)


def _check_h5py() -> None:
    """Raise ModuleNotFoundError where the process that reads the file would lack h5py."""
    try:
        import h5py  # noqa: F401
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("dataset: shd needs h5py; pip install 'spikecert[events]'") from error
