"""The handwritten digits that come with scikit-learn: 1797 real images, 8×8, no download."""

from pathlib import Path

import numpy as np
import torch

from .splits import Dataset, Split, split_off

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
