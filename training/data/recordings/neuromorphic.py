"""N-MNIST from its usual files: Train/<digit>/*.bin and Test/<digit>/*.bin, 40 bits an event.

The Heidelberg data sets of spoken words, SHD and SSC, from their usual files (.h5, plain or gzipped).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ....files import FileKind, Unreadable, read_hdf5
from ..digit_events import frames
from ..splits import Dataset, Split, find, read, split_off

HELD_OUT_SHARE = 12  # one twelfth of the training recordings: 5,000 of 60,000
SIDE, CLASSES = 34, 10
DURATION = 300_000.0
"""Microseconds that the frames cover: three saccades of a tenth of a second."""

RECORDING = FileKind("dataset", "an N-MNIST recording", most=2**22)
_BYTES = 5
_OVERFLOW_ROW = 240  # no event: the clock of what follows starts 2¹³ µs later
_OVERFLOW = 1 << 13
_FOLDERS = (".", "NMNIST", "N-MNIST", "nmnist")


def load_nmnist(name: str, root: Path | None, seed: int, num_steps: int) -> Dataset:
    """Return the recordings as uint8 frames (samples, num_steps, 2, 34, 34), polarity off first.

    Raises:
        FileNotFoundError, ValueError: if a folder is missing or a file is broken.

    References: orchard2015converting
    """
    whole = _part(name, "Train", root, num_steps)
    train, validation = split_off(whole, len(whole) // HELD_OUT_SHARE, seed)
    test = _part(name, "Test", root, num_steps)
    return Dataset(name, train, validation, test, (2, SIDE, SIDE), CLASSES, num_steps)


def _part(name: str, part: str, root: Path | None, num_steps: int) -> Split:
    files = [(path, digit) for digit in range(CLASSES) for path in _recordings(name, part, digit, root)]
    inputs = torch.empty((len(files), num_steps, 2, SIDE, SIDE), dtype=torch.uint8)
    for row, (path, _) in zip(inputs, files, strict=True):
        row.copy_(torch.from_numpy(read_recording(path, num_steps)))
    return Split(inputs, torch.tensor([digit for _, digit in files]))


def _recordings(name: str, part: str, digit: int, root: Path | None) -> list[Path]:
    folders = [] if root is None else [root / folder / part / str(digit) for folder in _FOLDERS]
    recordings = next((files for folder in folders if (files := sorted(folder.glob("*.bin")))), [])
    if not recordings:
        searched = ", ".join(str(folder.parent.parent) for folder in folders) or "no folder, as root was not given"
        advice = "unpack Train.zip and Test.zip of N-MNIST into one folder and pass it as root"
        raise FileNotFoundError(f"dataset: {name} needs {part}/{digit}/*.bin (searched: {searched}); {advice}")
    return recordings


def read_recording(path: Path, num_steps: int) -> np.ndarray:
    """Return the frames of one recording; byte 0 is x, byte 1 is y, then one bit of polarity, 23 of time in µs.

    Raises:
        ValueError: for a file that is broken, or too large.
    """
    content = np.frombuffer(RECORDING.content(path), np.uint8)
    if len(content) == 0 or len(content) % _BYTES:
        raise ValueError(f"dataset: {path} holds {len(content)} bytes, expected whole events of {_BYTES}")
    events = content.reshape(-1, _BYTES).astype(np.int64)
    x, y, on = events[:, 0], events[:, 1], events[:, 2] >> 7
    times = ((events[:, 2] & 127) << 16) | (events[:, 3] << 8) | events[:, 4]
    overflow = y == _OVERFLOW_ROW
    times = (times + _OVERFLOW * np.cumsum(overflow))[~overflow]
    x, y, on = (values[~overflow] for values in (x, y, on))
    if len(times) == 0 or max(x.max(), y.max()) >= SIDE:
        raise ValueError(f"dataset: {path} is no N-MNIST recording, expected events with x and y below {SIDE}")
    places = (on * SIDE + y) * SIDE + x
    return frames(times, places, num_steps, DURATION, 2 * SIDE * SIDE).reshape(num_steps, 2, SIDE, SIDE)


SPOKEN_HELD_OUT = 12
UNITS = 700
TOGETHER = 10_000
"""Recordings that one process unpacks."""


@dataclass(frozen=True)
class Words:
    """One of the data sets.

    Attributes:
        name: by which its files begin, in capitals.
        classes: how many words.
        duration: seconds that the frames cover: the longest recording.
        most: bytes of one file, packed as well as unpacked.
    """

    name: str
    classes: int
    duration: float
    most: int


SHD = Words("SHD", 20, 1.4, 2**29)
SSC = Words("SSC", 35, 1.0, 2**32)


def load_shd(name: str, root: Path | None, seed: int, num_steps: int) -> Dataset:
    """Return the recordings as uint8 frames (samples, num_steps, 700), of 20 spoken digits.

    Raises:
        ModuleNotFoundError: without h5py.
        FileNotFoundError, ValueError: if a file is missing or broken.

    References: cramer2022heidelberg
    """
    whole = _spoken_part(name, SHD, "train", root, num_steps)
    train, validation = split_off(whole, len(whole) // SPOKEN_HELD_OUT, seed)
    test = _spoken_part(name, SHD, "test", root, num_steps)
    return Dataset(name, train, validation, test, (UNITS,), SHD.classes, num_steps)


def load_ssc(name: str, root: Path | None, _: int, num_steps: int) -> Dataset:
    """Return the recordings as `load_shd` does, of 35 spoken commands; it comes with recordings to validate on."""
    train, validation, test = (
        _spoken_part(name, SSC, part, root, num_steps) for part in ("train", "valid", "test")
    )
    return Dataset(name, train, validation, test, (UNITS,), SSC.classes, num_steps)


def _spoken_part(name: str, words: Words, part: str, root: Path | None, num_steps: int) -> Split:
    small = words.name.lower()
    folders = [] if root is None else [root, *(root / folder for folder in (words.name, small, "hdspikes"))]
    every = "shd_train.h5 and shd_test.h5" if words is SHD else "ssc_train.h5, ssc_valid.h5 and ssc_test.h5"
    path = find(
        name, f"{small}_{part}.h5", folders, f"put {every} (plain or .gz) into a folder and pass it as root"
    )
    return read_words(path, words, num_steps)


def read_words(path: Path, words: Words, num_steps: int) -> Split:
    """Return the recordings of one file.

    Raises:
        ModuleNotFoundError: without h5py.
        ValueError: for a file that is broken, or too large.
    """
    _check_h5py(words.name.lower())
    content = read(path, words.most)
    labels, parts, start = np.zeros(0), [], 0
    while start == 0 or start < len(labels):
        try:
            held = read_hdf5(content, "spikes", slice(start, start + TOGETHER))
        except Unreadable as error:
            raise ValueError(f"dataset: {path} is no complete {words.name} file: {error}") from error
        labels = held["labels"]
        if len(labels) == 0 or labels.min() < 0 or labels.max() >= words.classes:
            raise ValueError(f"dataset: {path} holds a label outside 0 to {words.classes - 1}, or none")
        parts.append(_inputs(path, words, start, held, num_steps))
        start += TOGETHER
    return Split(torch.cat(parts) if len(parts) > 1 else parts[0], torch.from_numpy(labels.astype(np.int64)))


def _inputs(path: Path, words: Words, start: int, held: dict[str, np.ndarray], num_steps: int) -> torch.Tensor:
    counts = held["counts"]
    inputs = torch.empty((len(counts), num_steps, UNITS), dtype=torch.uint8)
    for k, (row, end, count) in enumerate(zip(inputs, np.cumsum(counts), counts, strict=True), start):
        part = slice(end - count, end)
        times, units = np.asarray(held["times"][part], np.float64), np.asarray(held["units"][part], np.int64)
        if times.shape != units.shape or not (times >= 0).all() or not ((units >= 0) & (units < UNITS)).all():
            expected = f"a time of at least 0 and a unit from 0 to {UNITS - 1} for each event"
            raise ValueError(f"dataset: {path} is broken in recording {k}, expected {expected}")
        row.copy_(torch.from_numpy(frames(times, units, num_steps, words.duration, UNITS)))
    return inputs


def _check_h5py(name: str) -> None:
    """Raise ModuleNotFoundError where the process that reads the file would lack h5py."""
    try:
        import h5py  # noqa: F401
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"dataset: {name} needs h5py; pip install h5py") from error
