"""CIFAR-10 and CIFAR-100 from their usual Python files.

These files are pickles, and unpickling runs whatever a file asks for. So they are not unpickled: `read_plain`
reads the few instructions that arrays of bytes, numbers and strings need, and refuses every other.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .files import find, read
from .plain_pickle import NotPlain, read_plain
from .splits import Dataset, Split, from_bytes, split_off

HELD_OUT_SHARE = 10  # one tenth of the training images: 5,000 of 50,000


_BYTES_A_SAMPLE, _BYTES_BESIDE = 2 * 3072, 2**23
"""The most that a file may have for a sample (Python 3 writes bytes as text in protocol 2), and for the rest."""


@dataclass(frozen=True)
class Layout:
    """Where a data set's files lie, and what they hold.

    Attributes:
        folder, train, test: the files.
        labels: the name of their entry.
        classes: how many there are.
        most: samples of one file.
    """

    folder: str
    train: tuple[str, ...]
    test: str
    labels: bytes
    classes: int
    most: int


_PARTS = tuple(f"data_batch_{k}" for k in range(1, 6))
LAYOUTS = {
    "cifar10": Layout("cifar-10-batches-py", _PARTS, "test_batch", b"labels", 10, most=10_000),
    "cifar100": Layout("cifar-100-python", ("train",), "test", b"fine_labels", 100, most=50_000),
}


def load_cifar(name: str, root: Path | None, seed: int) -> Dataset:
    """Return the 3×32×32 images of `name`, the validation split cut off the training images.

    Raises:
        FileNotFoundError, ValueError: if a file is missing, broken or asks for more than arrays of numbers.

    References: krizhevsky2009cifar
    """
    layout = LAYOUTS[name]
    whole = _split(name, layout, layout.train, root)
    train, validation = split_off(whole, len(whole) // HELD_OUT_SHARE, seed)
    test = _split(name, layout, (layout.test,), root)
    return Dataset(name, train, validation, test, (3, 32, 32), layout.classes)


def _split(name: str, layout: Layout, files: tuple[str, ...], root: Path | None) -> Split:
    folders = [] if root is None else [root, root / layout.folder]
    advice = f"unpack the data set's Python version so that root/{layout.folder} holds it, and pass root"
    parts = [read_batch(find(name, file, folders, advice), layout) for file in files]
    images, labels = (np.concatenate(part) for part in zip(*parts, strict=True))
    return from_bytes(images, labels)


def read_batch(path: Path, layout: Layout) -> tuple[np.ndarray, np.ndarray]:
    """Return images (samples, 3, 32, 32) and labels of one file.

    Raises:
        ValueError: for a file that is broken, too large, or holds more than arrays of bytes, numbers and strings.
    """
    try:
        content = read_plain(read(path, layout.most * _BYTES_A_SAMPLE + _BYTES_BESIDE))
    except NotPlain as error:
        raise ValueError(f"dataset: {path} is no pickle of plain arrays: {error}") from error
    if not isinstance(content, dict) or not {b"data", layout.labels} <= content.keys():
        raise ValueError(f"dataset: {path} lacks the entries of a CIFAR batch: data and {layout.labels.decode()}")
    images, labels = content[b"data"], content[layout.labels]
    fits = isinstance(images, np.ndarray) and images.ndim == 2 and images.shape[1] == 3072
    if not fits or not _counts(labels, len(images)):
        raise ValueError(f"dataset: {path} holds no batch of 3072 bytes and one label a sample")
    if len(labels) > layout.most:
        raise ValueError(f"dataset: {path} holds {len(labels)} samples, expected at most {layout.most}")
    if not all(0 <= label < layout.classes for label in labels):
        raise ValueError(f"dataset: {path} holds a label outside 0 to {layout.classes - 1}")
    return images.reshape(-1, 3, 32, 32), np.array(labels, np.int64)


def _counts(labels: object, count: int) -> bool:
    """Return whether labels are a list of so many whole numbers."""
    return isinstance(labels, list) and len(labels) == count and all(type(label) is int for label in labels)
