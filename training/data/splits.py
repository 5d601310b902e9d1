"""What a data set is here: three splits of inputs and labels, and how a split is cut off another.

Find and open the files of a data set; a missing or broken one is one clear error.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ...files import FileKind, beginning, unpacked


@dataclass(frozen=True)
class Split:
    """Samples: inputs (samples, ...) with values within the data set's limits, and integer labels (samples,), or
    real targets (samples, outputs).

    Event frames, (samples, T, ...) of 0 and 1, are kept as uint8, a quarter of float32: call `inputs.float()` on
    what a network is to see. `fit` and the command line do that batch by batch.
    """

    inputs: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        if len(self.inputs) != len(self.labels):
            raise ValueError(f"labels: got {len(self.labels)} for {len(self.inputs)} inputs, expected one each")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def real(self) -> bool:
        """Return whether labels are real numbers that a network's outputs should be."""
        return self.labels.is_floating_point()

    def take(self, indices: Tensor) -> "Split":
        """Return the samples at `indices`, in that order."""
        return Split(self.inputs[indices], self.labels[indices])


@dataclass(frozen=True)
class Dataset:
    """Train, validation and test splits of one task: classification, or regression where labels are real.

    Attributes:
        name: the name under which `dataset` knows it.
        train, validation, test: the splits; a model is fitted on the first, picked on the second and
            reported on the third.
        shape: of one sample; of one frame, where samples are event frames.
        classes: how many labels there are; how many numbers a target has, where they are real.
        num_steps: T of event frames, for networks with encoding "none"; None for images.
        names: of the classes, for reports; empty where they have none.
        limits: the least and the greatest value that an input may have.
        features: name and unit of each, where a table told them.
        label: names of a table's columns that are learned.
        notes: sentences that say what was decided about a table: codes of categories, rows left out.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    shape: tuple[int, ...]
    classes: int
    num_steps: int | None = None
    names: tuple[str, ...] = ()
    limits: tuple[float, float] = (0.0, 1.0)
    features: tuple[tuple[str, str], ...] = ()
    label: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def split_off(whole: Split, count: int, seed: int) -> tuple[Split, Split]:
    """Cut `count` samples off `whole`, each class in proportion; return (what remains, what was cut off).

    The one sample of a class that has no other remains: no part of it can be cut off.

    Raises:
        ValueError: where `whole` has too few samples for that.
    """
    from sklearn.model_selection import train_test_split  # imported here: it takes a second

    labels = None if whole.real else whole.labels.numpy()
    alone = np.zeros(len(whole), dtype=bool) if labels is None else np.bincount(labels)[labels] == 1
    several = np.flatnonzero(~alone)
    classes = 1 if labels is None else len(np.unique(labels[several]))
    if not classes <= count <= len(several) - classes:
        raise ValueError(f"dataset: got {len(whole)} samples, too few to cut off {count} of {classes} classes")
    kept = None if labels is None else labels[several]
    remaining, cut = train_test_split(several, test_size=count, random_state=seed, stratify=kept)
    remaining = np.concatenate([remaining, np.flatnonzero(alone)])
    return whole.take(torch.from_numpy(remaining)), whole.take(torch.from_numpy(cut))


def from_bytes(images: np.ndarray, labels: np.ndarray) -> Split:
    """Return a split of float32 inputs in [0, 1] from images of bytes."""
    inputs = torch.from_numpy(images.astype(np.float32)).div_(255.0)
    return Split(inputs, torch.from_numpy(labels.astype(np.int64)))


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
