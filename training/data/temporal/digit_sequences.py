"""The digits piece by piece, one at each step: rows from above, or blocks of pixels; or two whole ones in turn."""

from pathlib import Path

import torch
from torch import Tensor

from ..digit_events import SIDE
from ..mnist import load_digits_splits
from ..splits import Dataset, Split

BLOCKS: dict[str, tuple[int, int]] = {"digit-rows": (1, SIDE), "digit-blocks": (2, 2)}
"""Height and width of what is seen at one step."""

RECALL_STEPS, COMPANIONS = 4, 4
"""Steps of "digit-recall", and digits that come behind each one of training."""


def load_digit_sequences(name: str, root: Path | None, seed: int) -> Dataset:
    """Return the digits as sequences of values in [0, 1], (samples, T, pixels); `root` is not used.

    "digit-rows" are 8 steps of 8 pixels, "digit-blocks" 16 steps of 2×2 pixels, row by row. The cuts are those of
    "digits".
    """
    still = load_digits_splits(name, None, seed)
    parts = (still.train, still.validation, still.test)
    train, validation, test = (_cut(part, *BLOCKS[name]) for part in parts)
    steps, pixels = train.inputs.shape[1:]
    return Dataset(name, train, validation, test, (pixels,), still.classes, steps)


def _cut(split: Split, height: int, width: int) -> Split:
    images: Tensor = split.inputs.view(-1, SIDE // height, height, SIDE // width, width)
    return Split(images.transpose(2, 3).flatten(3).flatten(1, 2).contiguous(), split.labels)


def load_digit_recall(name: str, root: Path | None, seed: int) -> Dataset:
    """Return sequences of two digits of different kinds, (samples, 4, 64): the class is that of the first.

    Digits come at steps 1 and 3, with nothing between and behind. Each digit of a split of "digits" comes first,
    once, or `COMPANIONS` times in training, each time with another one drawn behind it. What is seen, its order
    aside, tells the class by half; `root` is not used.
    """
    still = load_digits_splits(name, None, seed)
    generator = torch.Generator().manual_seed(seed)
    train = _recalled(still.train, COMPANIONS, generator)
    validation, test = (_recalled(part, 1, generator) for part in (still.validation, still.test))
    return Dataset(name, train, validation, test, (SIDE * SIDE,), still.classes, RECALL_STEPS)


def _recalled(split: Split, times: int, generator: torch.Generator) -> Split:
    labels, inputs = split.labels.repeat(times), split.inputs.flatten(1).repeat(times, 1)
    others = (split.labels != labels[:, None]).double()
    second = torch.multinomial(others, 1, generator=generator).squeeze(1)
    shown = inputs.new_zeros(len(inputs), RECALL_STEPS, inputs.shape[1])
    shown[:, 0], shown[:, 2] = inputs, inputs[second]
    return Split(shown, labels)
