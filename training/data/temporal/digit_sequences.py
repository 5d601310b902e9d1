"""The digits piece by piece: rows from above, or blocks of pixels, one at each step."""

from pathlib import Path

from torch import Tensor

from ..digit_events import SIDE
from ..digits import load_digits_splits
from ..splits import Dataset, Split

BLOCKS: dict[str, tuple[int, int]] = {"digit-rows": (1, SIDE), "digit-blocks": (2, 2)}
"""Height and width of what is seen at one step."""


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
