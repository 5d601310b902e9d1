"""Data sets by name: `dataset` and its tables of loaders."""

from collections.abc import Callable, Sequence
from pathlib import Path

from ...models.constants import at_least, positive
from ...models.validation import check_choice
from .arrays import has_arrays, load_arrays, load_digit_values, regression_dataset
from .cifar import load_cifar
from .digit_events import DEFAULT_STEPS, digit_events, load_digit_events
from .folders import load_folder
from .mnist import load_digits_splits, load_idx
from .own import checked_limits, own_dataset
from .recordings.dvs_gesture import load_gestures
from .recordings.neuromorphic import load_nmnist, load_shd, load_ssc
from .splits import Dataset, Split
from .tables import SUFFIXES as TABLES
from .tables import load_table
from .temporal.pulses import load_digit_recall, load_digit_sequences, load_pulses, pulses

__all__ = [
    "EVENTS",
    "IMAGES",
    "Dataset",
    "Split",
    "dataset",
    "digit_events",
    "own_dataset",
    "pulses",
    "regression_dataset",
]

IMAGES: dict[str, Callable[[str, Path | None, int], Dataset]] = {
    "digits": load_digits_splits,
    "digit-values": load_digit_values,
    "digit-rows": load_digit_sequences,
    "digit-blocks": load_digit_sequences,
    "digit-recall": load_digit_recall,
    "fashion-mnist": load_idx,
    "mnist": load_idx,
    "cifar10": load_cifar,
    "cifar100": load_cifar,
}

EVENTS: dict[str, Callable[[str, Path | None, int, int], Dataset]] = {
    "digit-events": load_digit_events,
    "order": load_pulses,
    "delayed-xor": load_pulses,
    "gap": load_pulses,
    "coincidence": load_pulses,
    "copying": load_pulses,
    "nmnist": load_nmnist,
    "shd": load_shd,
    "ssc": load_ssc,
    "dvs-gesture": load_gestures,
}
"""Streams of events; the last argument is the number of frames that they are binned into."""


def dataset(
    name: str,
    root: str | Path | None = None,
    seed: int = 0,
    num_steps: int = DEFAULT_STEPS,
    limits: tuple[float, float] | None = None,
    label: Sequence[str] | None = None,
    duration: float | None = None,
    task: str | None = None,
    classes: Sequence[str] | None = None,
    features: Sequence[str] = (),
) -> Dataset:
    """Return the train, validation and test splits of a data set.

    Images are float32 in [0, 1]; events are uint8 frames of 0 and 1, (samples, num_steps, ...).

    Args:
        name: images: "digits" (embedded), "digit-values" (the same, what they stand for as real targets),
            "digit-rows" and "digit-blocks" (the same piece by piece, 8 or 16 steps), "digit-recall" (two of them,
            one after the other: which came first),
            "fashion-mnist", "mnist", "cifar10" or "cifar100"; events:
            "digit-events" (made from the digits), "order", "delayed-xor", "gap", "coincidence", "copying" (see
            `pulses`), "nmnist", "shd", "ssc" or "dvs-gesture"; or the path of an .npz archive of your own
            arrays, inputs and labels, or train_inputs, train_labels, test_inputs and so on (see `own_dataset`), or
            recordings of events (see `load_arrays`); of a folder of such arrays, *.npy; of a table, .csv or
            .parquet (see `load_table`); or of a folder of pictures, FOLDER/CLASS/*.png, or
            FOLDER/train/CLASS/*.png and so on.
        root: the folder of the files, in torchvision's layout or as downloaded. What is made from the digits, or
            makes itself, needs none; "fashion-mnist" is also looked for where Debian's package
            dataset-fashion-mnist puts it.
        seed: of the random cuts: the validation split of every data set and the test split of the digits; and of
            what makes itself.
        num_steps: T ≥ 1, how many frames events are binned into; images, and digits piece by piece, ignore it.
        limits: the smallest and the largest value of inputs in an archive or a table of your own; None: [0, 1]
            where they lie there, else their own ends.
        label: of a table: the columns of what is to be learned; None for "label", or the last column.
        duration: of recordings of events of your own: how long they are, in the unit of their times; None: until
            the last event of all.
        task: of a table: "classes" or "values", what is learned; None: by what the label column holds.
        classes: of a table: names of the classes in the order of a network's outputs; None: as it has them.
        features: of a table: names of the features that a network takes, so that categories get the same codes.

    Raises:
        ValueError: for an unknown name or a broken file.
        FileNotFoundError: for a missing file, with what to put where.
        ModuleNotFoundError: for "shd" without h5py.

    >>> digits = dataset("digits")
    >>> len(digits.train), len(digits.validation), len(digits.test), digits.shape
    (1197, 300, 300, (64,))
    """
    folder, seed = None if root is None else Path(root), at_least(0)("seed", seed)
    duration = None if duration is None else positive("duration", duration)
    of_table, of_arrays = (type(name) is str and name.lower().endswith(ends) for ends in (TABLES, ".npz"))
    of_arrays = of_arrays or (type(name) is str and has_arrays(_place(name, folder)))
    for option, value in (("label", label), ("task", task), ("classes", classes)):
        if value is not None and not of_table:
            got = value if isinstance(value, str) else ",".join(value)
            raise ValueError(f"{option}: got {got[:60]!r} for {name}, expected none: it is of a table")
    if of_table:
        return load_table(_place(name, folder), seed, limits, label, task, classes, features)
    if of_arrays:
        return load_arrays(_place(name, folder), seed, limits, at_least(1)("num_steps", num_steps), duration)
    if duration is not None:
        raise ValueError(
            f"duration: got {duration} for {name}, expected none: it is of recordings in an .npz archive"
        )
    if limits is not None and checked_limits(limits) != (0.0, 1.0):
        raise ValueError(f"limits: got {limits}, expected (0, 1) for {name}, or an archive or a table of your own")
    if type(name) is str and name not in (*IMAGES, *EVENTS) and _place(name, folder).is_dir():
        return load_folder(_place(name, folder), seed)
    check_choice("dataset", name, (*IMAGES, *EVENTS))
    if name in EVENTS:
        return EVENTS[name](name, folder, seed, at_least(1)("num_steps", num_steps))
    return IMAGES[name](name, folder, seed)


def _place(name: str, folder: Path | None) -> Path:
    return Path(name) if folder is None else folder / name
