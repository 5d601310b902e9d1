"""Data whose targets are numbers, as a `Dataset`: what a regressor or a controller learns."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...models.constants import at_least
from .mnist import load_digits_splits
from .own import checked_limits, cut_parts, inputs_of, pair_of
from .splits import Dataset, Split


def regression_dataset(
    name: str,
    train: Any,
    validation: Any = None,
    test: Any = None,
    *,
    events: bool = False,
    seed: int = 0,
    limits: tuple[float, float] = (0.0, 1.0),
) -> Dataset:
    """Return a data set of one's own samples whose targets are real: numbers that outputs should be.

    Each part is a pair (inputs, targets) of tensors or arrays, samples first; targets are (samples, outputs), or
    (samples,) of one output. Parts that are missing are cut off, as `own_dataset` does.

    Args:
        name: for records and messages.
        train, validation, test: the parts.
        events: whether inputs are event frames of 0 and 1, (samples, T, ...).
        seed: of the cuts.
        limits: the least and the greatest value that inputs may have.

    Raises:
        TypeError, ValueError: for parts that don't fit, one line each.

    >>> x = torch.rand(40, 2)
    >>> regression_dataset("sums", (x, x.sum(1))).classes
    1
    """
    seed, limits = at_least(0)("seed", seed), checked_limits(limits)
    last = None if test is None else _real_split("test", test, events, limits)
    middle = None if validation is None else _real_split("validation", validation, events, limits)
    first, middle, last = cut_parts(_real_split("train", train, events, limits), middle, last, seed)
    for told, part in (("validation", middle), ("test", last)):
        for what, ours, theirs in (("inputs", part.inputs, first.inputs), ("targets", part.labels, first.labels)):
            if ours.shape[1:] != theirs.shape[1:]:
                got, wanted = tuple(ours.shape[1:]), tuple(theirs.shape[1:])
                raise ValueError(f"{told}: got {what} of shape {got}, expected {wanted} as train")
    shape = tuple(first.inputs.shape[1:])
    steps, frame = (shape[0], shape[1:]) if events else (None, shape)
    return Dataset(name, first, middle, last, frame, first.labels.shape[1], steps, (), limits)


def load_digit_values(name: str, root: Path | None, seed: int) -> Dataset:
    """Return the digits with what they stand for as their targets: one number from 0 to 9."""
    digits = load_digits_splits(name, root, seed)
    parts = [
        Split(part.inputs, part.labels.float()[:, None]) for part in (digits.train, digits.validation, digits.test)
    ]
    return Dataset(name, *parts, shape=digits.shape, classes=1)


def _real_split(told: str, part: Any, events: bool, limits: tuple[float, float]) -> Split:
    """Return one part as inputs and targets that are checked."""
    inputs, targets = pair_of(told, part)
    if targets.dtype == torch.bool or targets.is_complex() or targets.dim() not in (1, 2) or not targets.numel():
        got = f"targets of {targets.dtype} and shape {tuple(targets.shape)}"
        raise ValueError(f"{told}: got {got}, expected numbers, (samples,) or (samples, outputs)")
    if len(targets) != len(inputs):
        raise ValueError(f"{told}: got {len(targets)} targets for {len(inputs)} inputs")
    found: Tensor = targets.float().reshape(len(targets), -1)
    if not bool(found.isfinite().all()):
        raise ValueError(f"{told}: got targets of NaN or inf, expected finite numbers")
    return Split(inputs_of(told, inputs, events, limits), found)
