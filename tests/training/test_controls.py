"""What memory is held against: counts tell an XOR apart, the order of two events takes all steps between them."""

import pytest
import torch
from torch import Tensor

from spikecert import dataset
from spikecert.training import Dataset, Split
from spikecert.training.controls import memory_controls


def recordings(labelled: str, count: int = 240, steps: int = 6, spread: int = 4) -> Dataset:
    """Return recordings of noise in `spread` channels, and of marks in two more, which tell the class.

    "order": which of two marks comes first, at the first and the last step; "xor": whether both are there or none,
    of which counts tell; "first": the first step alone.
    """
    source = torch.Generator().manual_seed(0)
    inputs = (torch.rand(count, steps, spread + 2, generator=source) < 0.5).to(torch.uint8)
    inputs[:, :, spread:] = 0
    first, last = torch.randint(2, (2, count), generator=source)
    if labelled == "order":
        inputs[torch.arange(count), 0, spread + first] = 1
        inputs[torch.arange(count), -1, spread + 1 - first] = 1
        labels = first
    else:
        inputs[:, 0, spread], inputs[:, -1, spread] = first.to(torch.uint8), last.to(torch.uint8)
        labels = first ^ last if labelled == "xor" else first

    def part(start: int, end: int) -> Split:
        return Split(inputs[start:end], labels[start:end])

    third = count // 3
    held = (part(third, third + 20), part(third + 20, count))
    return Dataset(labelled, part(0, third), *held, (spread + 2,), 2, steps)


def of(data: Dataset) -> dict[str, float]:
    found = memory_controls(data, seeds=1)
    assert found.new == len(found.distinct) > 100
    assert all(row.accuracy >= found.chance >= 0.5 for row in found.rows), (
        "a control below chance is an error of it"
    )
    return {row.name.partition(" in a row")[0]: row.accuracy for row in found.rows}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_each_control_finds_what_it_can_see() -> None:
    first = of(recordings("first"))
    assert first["1 step"] == 1.0
    assert first["5 steps"] > 0.9
    xor = of(recordings("xor"))
    assert xor["counts over time"] > 0.85, "a count of one mark is odd: no order is needed"
    assert xor["5 steps"] < 0.75
    order = of(recordings("order"))
    assert order["counts over time"] < 0.75, "both orders have the same counts"
    assert order["1 step"] == 1.0, "the first mark alone tells which"


def test_the_project_s_own_tasks_are_called_what_they_are() -> None:
    found = memory_controls(dataset("delayed-xor"), seeds=1)
    assert (len(found.distinct), found.new, found.recordings) == (60, 0, 300)
    assert found.best.name == "counts over time"
    assert found.best.accuracy == 1.0
    assert not found.needed(1.0)
    assert found.needed(1.3), "twenty points above the best"


def test_repeated_recordings_count_once() -> None:
    data = recordings("first")
    twice = Split(
        torch.cat((data.test.inputs[:7], data.test.inputs[:7], data.train.inputs[:3])), data.test.labels[:17]
    )
    found = memory_controls(Dataset("twice", data.train, data.validation, twice, data.shape, 2, data.num_steps), 1)
    assert found.distinct == tuple(range(7))
    assert (found.new, found.recordings) == (7, 17)


@pytest.mark.parametrize(
    ("inputs", "labels", "steps", "told"),
    [
        (torch.rand(9, 4), torch.arange(9) % 2, None, "no time"),
        (torch.rand(9, 3, 4), torch.rand(9, 1), 3, "real targets"),
    ],
)
def test_what_has_no_recordings_or_no_labels_is_refused(
    inputs: Tensor, labels: Tensor, steps: int | None, told: str
) -> None:
    split = Split(inputs, labels)
    with pytest.raises(
        ValueError, match=rf"controls: got mine, which has {told}, expected recordings with labels"
    ):
        memory_controls(Dataset("mine", split, split, split, (4,), 2, steps))
