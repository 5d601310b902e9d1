"""Data sets by name: `dataset` and its table of loaders."""

from collections.abc import Callable
from pathlib import Path

from ...models.validation import check_choice
from .cifar import load_cifar
from .digits import load_digits_splits
from .mnist import load_idx
from .splits import Dataset, Split

__all__ = ["DATASETS", "Dataset", "Split", "dataset"]

DATASETS: dict[str, Callable[[str, Path | None, int], Dataset]] = {
    "digits": load_digits_splits,
    "fashion-mnist": load_idx,
    "mnist": load_idx,
    "cifar10": load_cifar,
    "cifar100": load_cifar,
}


def dataset(name: str, root: str | Path | None = None, seed: int = 0) -> Dataset:
    """Return the train, validation and test splits of a data set; inputs are float32 in [0, 1].

    Args:
        name: "digits" (embedded), "fashion-mnist", "mnist", "cifar10" or "cifar100".
        root: the folder of the files, in torchvision's layout or as downloaded. "digits" needs none;
            "fashion-mnist" is also looked for where Debian's package dataset-fashion-mnist puts it.
        seed: of the random cuts: the validation split of every data set and the test split of "digits".

    Raises:
        ValueError: for an unknown name or a broken file.
        FileNotFoundError: for a missing file, with what to put where.

    >>> digits = dataset("digits")
    >>> len(digits.train), len(digits.validation), len(digits.test), digits.shape
    (1197, 300, 300, (64,))
    """
    check_choice("dataset", name, DATASETS)
    return DATASETS[name](name, None if root is None else Path(root), seed)
