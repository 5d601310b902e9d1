"""The Spiking Heidelberg Digits from their usual files, shd_train.h5 and shd_test.h5 (plain or gzipped)."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .events import frames
from .files import find, read
from .splits import Dataset, Split, split_off

HELD_OUT_SHARE = 12
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
    times, units, labels = _read(path)
    inputs = torch.empty((len(labels), num_steps, UNITS), dtype=torch.uint8)
    for k, row in enumerate(inputs):
        row.copy_(torch.from_numpy(_frames(path, k, times[k], units[k], num_steps)))
    return Split(inputs, torch.from_numpy(labels.astype(np.int64)))


def _read(path: Path) -> tuple[Any, Any, np.ndarray]:
    h5py = _h5py()
    content = read(path)
    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            times, units, labels = file["spikes/times"][:], file["spikes/units"][:], file["labels"][:]
    except (OSError, KeyError, AttributeError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"dataset: {path} is no complete SHD file: {error}") from error
    if not len(times) == len(units) == len(labels) or labels.dtype.kind not in "iu":
        raise ValueError(f"dataset: {path} is no SHD file, expected times, units and a label for each recording")
    if len(labels) == 0 or labels.min() < 0 or labels.max() >= CLASSES:
        raise ValueError(f"dataset: {path} holds a label outside 0 to {CLASSES - 1}, or none")
    return times, units, labels


def _frames(path: Path, row: int, times: np.ndarray, units: np.ndarray, num_steps: int) -> np.ndarray:
    times, units = np.asarray(times, np.float64), np.asarray(units, np.int64)
    if times.shape != units.shape or not (times >= 0).all() or not ((units >= 0) & (units < UNITS)).all():
        expected = f"a time of at least 0 and a unit from 0 to {UNITS - 1} for each event"
        raise ValueError(f"dataset: {path} is broken in recording {row}, expected {expected}")
    return frames(times, units, num_steps, DURATION, UNITS)


def _h5py() -> Any:
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("dataset: shd needs h5py; pip install 'spikecert[events]'") from error
    return h5py
