"""N-MNIST from its usual files: Train/<digit>/*.bin and Test/<digit>/*.bin, 40 bits an event."""

from pathlib import Path

import numpy as np
import torch

from ....files import FileKind
from ..digit_events import frames
from ..splits import Dataset, Split, split_off

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
