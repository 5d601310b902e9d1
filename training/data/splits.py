"""What a data set is here: three splits of inputs and labels, and how a split is cut off another."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


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
