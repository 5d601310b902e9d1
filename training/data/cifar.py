"""CIFAR-10 and CIFAR-100 from their usual Python files.

These files are pickles, and unpickling runs whatever a file asks for. The unpickler here knows the few names
that an array of numbers needs and refuses every other.
"""

import io
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .files import find, read
from .splits import Dataset, Split, from_bytes, split_off

HELD_OUT_SHARE = 10  # one tenth of the training images: 5,000 of 50,000


@dataclass(frozen=True)
class _Layout:
    folder: str
    train: tuple[str, ...]
    test: str
    labels: bytes
    classes: int


_LAYOUTS = {
    "cifar10": _Layout(
        "cifar-10-batches-py", tuple(f"data_batch_{k}" for k in range(1, 6)), "test_batch", b"labels", 10
    ),
    "cifar100": _Layout("cifar-100-python", ("train",), "test", b"fine_labels", 100),
}


def load_cifar(name: str, root: Path | None, seed: int) -> Dataset:
    """Return the 3×32×32 images of `name`, the validation split cut off the training images.

    Raises:
        FileNotFoundError, ValueError: if a file is missing, broken or asks for more than arrays of numbers.

    References: krizhevsky2009cifar
    """
    layout = _LAYOUTS[name]
    whole = _split(name, layout, layout.train, root)
    train, validation = split_off(whole, len(whole) // HELD_OUT_SHARE, seed)
    test = _split(name, layout, (layout.test,), root)
    return Dataset(name, train, validation, test, (3, 32, 32), layout.classes)


def _split(name: str, layout: _Layout, files: tuple[str, ...], root: Path | None) -> Split:
    folders = [] if root is None else [root, root / layout.folder]
    advice = f"unpack the data set's Python version so that root/{layout.folder} holds it, and pass root"
    parts = [_batch(find(name, file, folders, advice), layout) for file in files]
    images, labels = (np.concatenate(part) for part in zip(*parts, strict=True))
    return from_bytes(images, labels)


def _batch(path: Path, layout: _Layout) -> tuple[np.ndarray, np.ndarray]:
    content = _unpickle(path)
    try:
        images, labels = np.asarray(content[b"data"]), np.asarray(content[layout.labels])
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(f"dataset: {path} lacks the entries of a CIFAR batch: {error}") from error
    if images.dtype != np.uint8 or images.shape[1:] != (3072,) or labels.shape != images.shape[:1]:
        raise ValueError(f"dataset: {path} holds no batch of 3072 bytes and one label a sample")
    if labels.dtype.kind not in "iu" or not ((labels >= 0) & (labels < layout.classes)).all():
        raise ValueError(f"dataset: {path} holds a label outside 0 to {layout.classes - 1}")
    return images.reshape(-1, 3, 32, 32), labels


def _unpickle(path: Path) -> Any:
    try:
        return _ArraysOnly(io.BytesIO(read(path)), encoding="bytes").load()
    except Exception as error:  # a broken pickle may raise anything
        raise ValueError(f"dataset: {path} is no pickle of plain arrays: {error}") from error


class _ArraysOnly(pickle.Unpickler):
    """An unpickler that resolves the names an array needs, and no other."""

    def find_class(self, module: str, name: str) -> Any:
        """Return what `module.name` stands for, if arrays need it.

        Raises:
            pickle.UnpicklingError: for any other name.
        """
        if (module, name) not in _ADMITTED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which arrays of numbers do not need")
        return _ADMITTED[module, name]


def _latin_bytes(text: str, encoding: str) -> bytes:
    """Do what _codecs.encode does for the bytes of old protocols, and nothing else it could."""
    if encoding not in ("latin1", b"latin1"):
        raise pickle.UnpicklingError(f"it asks for the codec {encoding!r}")
    return text.encode("latin1")


_RECONSTRUCT = np.ndarray(0).__reduce__()[0]

_ADMITTED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("_codecs", "encode"): _latin_bytes,
}
