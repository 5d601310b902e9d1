"""Tasks of two pulses that make themselves: none can be told step by step, so that a network needs its memory.

A recording holds two pulses, of `channels` events at one step each, a few steps apart and at a random place.
Kinds of pulses have channels of their own; what a class is lies in their order and distance alone:

    order         two kinds, each once: which came first
    delayed-xor   two bits, one after the other, a kind for 0 and one for 1: whether they differ
    gap           one kind twice: whether the second comes in the next step, or after 6 or 7
    coincidence   two kinds in any order: as "gap"
    copying       two of four kinds: which came first

What a recording holds at its steps, their order aside, tells "order", "gap" and "coincidence" no better than a
guess, and "copying" by half. Of "delayed-xor" it tells whether the bits differ, but not in a sum over steps of
what single steps are worth: three of four. A jitter of one step of all events leaves every class as it is.

The digits piece by piece, one at each step: rows from above, or blocks of pixels; or two whole ones in turn.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ....models.constants import at_least
from ....models.validation import check_choice
from ..digit_events import DEFAULT_STEPS, SIDE
from ..mnist import load_digits_splits
from ..splits import Dataset, Split

APART = (4, 6)
"""Steps between two pulses, at least and at most."""

NEAR, FAR = (1, 1), (6, 7)
"""Steps between two pulses that belong together, and between two that do not."""

TRAIN, HELD_OUT = 1000, 300

Kinds = Tensor
"""Which kinds the first and the second pulse are of, (samples, 2)."""


@dataclass(frozen=True)
class Pulses:
    """A task.

    Attributes:
        kinds: how many kinds of pulses there are.
        classes: how many classes.
        drawn: (samples, generator) ↦ kinds of both pulses and labels.
        distances: the least and the greatest distance of both pulses, by class; one for all classes.
    """

    kinds: int
    classes: int
    drawn: Callable[[int, torch.Generator], tuple[Kinds, Tensor]]
    distances: tuple[tuple[int, int], ...]

    @property
    def least_steps(self) -> int:
        """Return the least T that holds both pulses."""
        return 1 + max(most for _, most in self.distances)


def pulses(
    task: str, num_steps: int = DEFAULT_STEPS, channels: int = 1, samples: int = TRAIN, seed: int = 0
) -> Dataset:
    """Return a task of two pulses as uint8 frames (samples, num_steps, kinds·channels) of events.

    Args:
        task: "order", "delayed-xor", "gap", "coincidence" or "copying".
        num_steps: T, enough for both pulses.
        channels: events of one pulse, ≥ 1, each of a channel of its own.
        samples: of training, ≥ 1; 300 for validation and 300 for the test come with them.
        seed: of the recordings.

    Raises:
        ValueError: for an unknown task, or too few steps.

    >>> data = pulses("order", channels=2)
    >>> data.train.inputs.shape, data.classes
    (torch.Size([1000, 10, 4]), 2)
    """
    check_choice("task", task, tuple(TASKS))
    chosen, num_steps = TASKS[task], at_least(1)("num_steps", num_steps)
    channels, samples, seed = (
        at_least(1)("channels", channels),
        at_least(1)("samples", samples),
        at_least(0)("seed", seed),
    )
    if num_steps < chosen.least_steps:
        raise ValueError(f"num_steps: got {num_steps}, expected at least {chosen.least_steps} for {task!r}")
    generator = torch.Generator().manual_seed(seed)
    train, validation, test = (
        _recorded(chosen, count, num_steps, channels, generator) for count in (samples, HELD_OUT, HELD_OUT)
    )
    return Dataset(task, train, validation, test, (chosen.kinds * channels,), chosen.classes, num_steps)


def load_pulses(name: str, root: Path | None, seed: int, num_steps: int) -> Dataset:
    """Return a task with its usual channels and samples; `root` is not used."""
    return pulses(name, num_steps, seed=seed)


def _recorded(task: Pulses, count: int, num_steps: int, channels: int, generator: torch.Generator) -> Split:
    kinds, labels = task.drawn(count, generator)
    ends = torch.tensor(task.distances)[labels % len(task.distances)]
    distance = ends[:, 0] + _below(ends[:, 1] - ends[:, 0] + 1, generator)
    start = _below(num_steps - distance, generator)
    frames = torch.zeros(count, num_steps, task.kinds, channels, dtype=torch.uint8)
    for place, step in enumerate((start, start + distance)):
        frames[torch.arange(count), step, kinds[:, place]] = 1
    return Split(frames.flatten(2), labels)


def _below(most: Tensor, generator: torch.Generator) -> Tensor:
    """Return whole numbers from 0 to below each of `most`."""
    return (torch.rand(most.shape, generator=generator) * most).long().minimum(most - 1)


def _whole(most: int, count: int, generator: torch.Generator) -> Tensor:
    return torch.randint(most, (count,), generator=generator)


def _of_two(count: int, generator: torch.Generator) -> tuple[Kinds, Tensor]:
    """Return two different kinds, and which is first."""
    label = _whole(2, count, generator)
    return torch.stack((label, 1 - label), 1), label


def _bits(count: int, generator: torch.Generator) -> tuple[Kinds, Tensor]:
    bits = torch.stack([_whole(2, count, generator) for _ in range(2)], 1)
    return bits, bits[:, 0] ^ bits[:, 1]


def _alike(count: int, generator: torch.Generator) -> tuple[Kinds, Tensor]:
    return torch.zeros(count, 2, dtype=torch.long), _whole(2, count, generator)


def _together(count: int, generator: torch.Generator) -> tuple[Kinds, Tensor]:
    return _of_two(count, generator)[0], _whole(2, count, generator)


def _symbols(count: int, generator: torch.Generator) -> tuple[Kinds, Tensor]:
    first = _whole(4, count, generator)
    return torch.stack((first, (first + 1 + _whole(3, count, generator)) % 4), 1), first


TASKS: dict[str, Pulses] = {
    "order": Pulses(2, 2, _of_two, (APART,)),
    "delayed-xor": Pulses(2, 2, _bits, (APART,)),
    "gap": Pulses(1, 2, _alike, (FAR, NEAR)),
    "coincidence": Pulses(2, 2, _together, (FAR, NEAR)),
    "copying": Pulses(4, 4, _symbols, (APART,)),
}


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
