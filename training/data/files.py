"""Find and open the files of a data set; a missing or broken one is one clear error.

The handwritten digits that come with scikit-learn: 1797 real images, 8×8, no download.

Events as frames: streams of (time, place) binned into T binary frames.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from ...files import FileKind, beginning, unpacked
from .splits import Dataset, Split, split_off


def find(name: str, file: str, folders: Sequence[Path], advice: str) -> Path:
    """Return the first of `folders` that holds `file`, plain or with the suffix .gz.

    Raises:
        FileNotFoundError: if none does; the message says what to put where.
    """
    for folder in folders:
        for candidate in (folder / file, folder / f"{file}.gz"):
            if candidate.exists():
                return candidate
    searched = ", ".join(str(folder) for folder in folders) or "no folder, as root was not given"
    raise FileNotFoundError(f"dataset: {name} needs the file {file} (searched: {searched}); {advice}")


def packed(path: Path, most: int) -> bytes:
    """Return the content of a file as it is: at most `most` bytes, of a regular file."""
    return FileKind("dataset", "a file of the data set", most).content(path)


def read(path: Path, most: int) -> bytes:
    """Return the content of a file, unpacked if it is gzipped: at most `most` bytes, packed as well as unpacked.

    Raises:
        ValueError: for a file that holds more, is gzipped and broken, or is no regular file.
    """
    return _named(path, unpacked, packed(path, most), most)


def first(path: Path, content: bytes, count: int) -> bytes:
    """Return the first `count` bytes of what `packed` returned, unpacked if it is gzipped, and unpack no more.

    Raises:
        ValueError: where that much of it is broken.
    """
    return _named(path, beginning, content, count)


def _named(path: Path, unpack: Callable[[bytes, int], bytes], content: bytes, count: int) -> bytes:
    try:
        return unpack(content, count)
    except ValueError as error:
        raise ValueError(f"dataset: {path} {error}") from error


HELD_OUT = 300


def load_digits_splits(name: str, root: Path | None, seed: int) -> Dataset:
    """Return 1197 / 300 / 300 digits as 64 features in [0, 1]; `root` is not used.

    References: alpaydin1998digits
    """
    from sklearn.datasets import load_digits  # imported here: it takes a second

    images, targets = load_digits(return_X_y=True)
    inputs = torch.from_numpy(np.asarray(images, dtype=np.float32) / 16.0)
    whole = Split(inputs, torch.from_numpy(np.asarray(targets, dtype=np.int64)))
    rest, test = split_off(whole, HELD_OUT, seed)
    train, validation = split_off(rest, HELD_OUT, seed)
    return Dataset(name, train, validation, test, shape=(64,), classes=10)


DEFAULT_STEPS = 10
"""T where nobody says how many frames a stream is binned into."""


def frames(times: np.ndarray, places: np.ndarray, num_steps: int, duration: float, features: int) -> np.ndarray:
    """Return uint8 frames (num_steps, features): 1 where at least one event fell into a bin, 0 elsewhere.

    Args:
        times: of the events, (events,), in [0, ∞); the last bin also takes what comes after `duration`.
        places: the feature that each event is of, (events,), in [0, features).
        num_steps: T, the number of bins of equal length.
        duration: what the bins cover together, in the unit of `times`.
        features: of one frame.

    >>> frames(np.array([0.0, 0.9, 7.0]), np.array([0, 1, 1]), 2, 1.0, 3).tolist()
    [[1, 0, 0], [0, 1, 0]]
    """
    bins = np.minimum(times * (num_steps / duration), num_steps - 1).astype(np.int64)
    result = np.zeros((num_steps, features), np.uint8)
    result[bins, places] = 1
    return result
