"""MNIST and Fashion-MNIST from their usual IDX files, plain or gzipped.

The handwritten digits that come with scikit-learn are beside them: 1797 real images, 8×8, no download.
"""

import math
from pathlib import Path

import numpy as np
import torch

from .splits import Dataset, Split, find, first, from_bytes, packed, split_off

HELD_OUT_SHARE = 12  # one twelfth of the training images: 5,000 of 60,000
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts its files."""

_FOLDERS = {"mnist": ("MNIST/raw", "mnist"), "fashion-mnist": ("FashionMNIST/raw", "fashion-mnist")}
_UNSIGNED_BYTE = 8
MOST_BYTES, MOST_SAMPLES = 2**26, 100_000
"""Of one file; the largest published one has 60,000 images, 47 million bytes."""


def search_list(name: str, root: Path | None) -> list[Path]:
    """Return the folders that are searched: root, torchvision's layout under it, then Debian's package."""
    folders = [] if root is None else [root, *(root / folder for folder in _FOLDERS[name]), root / "raw"]
    return [*folders, DEBIAN_FOLDER] if name == "fashion-mnist" else folders


def load_idx(name: str, root: Path | None, seed: int) -> Dataset:
    """Return the 28×28 images of `name`, the validation split cut off the training images.

    Raises:
        FileNotFoundError, ValueError: if a file is missing or broken.

    References: lecun1998mnist, xiao2017fashion
    """
    train, validation = split_off(*_whole(name, "train", root), seed)
    test, _ = _whole(name, "t10k", root)
    if test.inputs.shape[1:] != train.inputs.shape[1:]:
        sizes = " and ".join(str(list(split.inputs.shape[2:])) for split in (train, test))
        raise ValueError(f"dataset: got images of sizes {sizes} to train and to test, expected one size")
    return Dataset(name, train, validation, test, tuple(train.inputs.shape[1:]), classes=10)


def _whole(name: str, part: str, root: Path | None) -> tuple[Split, int]:
    images = read_idx(_find(name, f"{part}-images-idx3-ubyte", root), dimensions=3)
    path = _find(name, f"{part}-labels-idx1-ubyte", root)
    labels = read_idx(path, dimensions=1)
    if len(images) != len(labels) or labels.max(initial=0) > 9:
        raise ValueError(f"dataset: {path} does not fit its images, expected a label 0 to 9 for each")
    return from_bytes(images[:, None], labels), len(labels) // HELD_OUT_SHARE


def _find(name: str, file: str, root: Path | None) -> Path:
    advice = "put the four IDX files of the data set (plain or .gz) into a folder and pass it as root"
    if name == "fashion-mnist":
        advice += ", or install Debian's package dataset-fashion-mnist"
    return find(name, file, search_list(name, root), advice)


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """Return the unsigned bytes of an IDX file: 0, 0, type, number of dimensions, sizes, then the values.

    What is packed is unpacked as far as the header says, and no further.

    Raises:
        ValueError: for a file that is broken, or too large.
    """
    start = 4 + 4 * dimensions
    content = packed(path, MOST_BYTES + start)
    head = first(path, content, start)
    if len(head) < start or tuple(head[:4]) != (0, 0, _UNSIGNED_BYTE, dimensions):
        raise ValueError(f"dataset: {path} is no IDX file of bytes with {dimensions} dimensions")
    sizes = [int(size) for size in np.frombuffer(head[4:], dtype=">u4")]
    expected = math.prod(sizes)
    if not 0 < expected <= MOST_BYTES or sizes[0] > MOST_SAMPLES:
        limits = f"1 to {MOST_BYTES} values of at most {MOST_SAMPLES} samples"
        raise ValueError(f"dataset: {path} is for {expected} values of {sizes[0]} samples, expected {limits}")
    values = first(path, content, start + expected + 1)[start:]
    if len(values) != expected:
        got = "more" if len(values) > expected else len(values)
        raise ValueError(f"dataset: {path} holds {got} values, expected the {expected} that its header names")
    return np.frombuffer(values, dtype=np.uint8).reshape(sizes)


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
