"""Shifts of recordings: each is the recording moved as a whole, all moves happen; seeds; its place in `fit`."""

import re
from dataclasses import replace
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from spikecert import LIF, CrossEntropy, SpikingNetwork, dataset, fit, mlp
from spikecert.models import network_hash
from spikecert.training import EventAugmentation

COUNT = 400


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def events() -> Tensor:
    """Return recordings whose entries all differ and are above 0."""
    return torch.arange(1, 1 + COUNT * 3 * 2 * 4 * 5).reshape(COUNT, 3, 2, 4, 5).double()


def by_loop(recordings: Tensor, move: tuple[int, ...]) -> Tensor:
    """Return recordings moved by steps, rows and columns."""
    found = torch.zeros_like(recordings)
    _, steps, _, rows, columns = recordings.shape
    for t, y, x in product(range(steps), range(rows), range(columns)):
        goal = t + move[0], y + move[1], x + move[2]
        if all(0 <= place < size for place, size in zip(goal, (steps, rows, columns), strict=True)):
            found[:, goal[0], :, goal[1], goal[2]] = recordings[:, t, :, y, x]
    return found


@pytest.mark.parametrize(("pixels", "steps"), [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_recordings_move_as_a_whole_and_by_all_moves(events: Tensor, pixels: int, steps: int) -> None:
    before = events.clone()
    found = EventAugmentation(pixels, steps)(events, seeded())
    ranges = [range(-reach, reach + 1) for reach in (steps, pixels, pixels)]
    moves = list(product(*ranges))
    fitting = torch.stack([(by_loop(events, move) == found).flatten(1).all(1) for move in moves])
    assert bool((fitting.sum(0) == 1).all())
    assert bool(fitting.any(1).all())
    assert events.equal(before)


def test_the_generator_decides(events: Tensor) -> None:
    rule = EventAugmentation(1, 1)
    assert rule(events, seeded(1)).equal(rule(events, seeded(1)))
    assert not rule(events, seeded(1)).equal(rule(events, seeded(2)))


def test_what_moves_further_than_the_recording_is_gone() -> None:
    found = EventAugmentation(0, 9)(torch.ones(200, 1, 3), seeded())
    assert set(found.flatten(1).sum(1).tolist()) == {0.0, 3.0}


def test_training_with_it_differs_and_repeats() -> None:
    data = dataset("digit-events", num_steps=3)
    data = replace(data, train=data.train.take(torch.arange(20)), validation=data.validation.take(torch.arange(4)))
    torch.manual_seed(0)
    layers = mlp((128, 8, 10), num_steps=3, neuron=LIF(decay=0.9)).layers
    network = SpikingNetwork(nn.Flatten(), *layers, num_steps=3, encoding="none")
    chosen = [EventAugmentation(1), EventAugmentation(1), EventAugmentation(0, 1), None]
    one, again, other, none = (
        network_hash(fit(network, data, CrossEntropy(), epochs=1, augmentation=rule).last) for rule in chosen
    )
    assert one == again
    assert len({one, other, none}) == 3


@pytest.mark.parametrize(
    ("wrong", "message"), [({"pixels": -1}, "pixels: got -1"), ({"steps": -2}, "steps: got -2")]
)
def test_bad_settings_are_named(wrong: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EventAugmentation(**wrong)


@pytest.mark.parametrize(("rule", "shape"), [(EventAugmentation(1), (2, 3, 4)), (EventAugmentation(0, 1), (2,))])
def test_recordings_that_lack_an_axis_are_refused(rule: EventAugmentation, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=re.escape(f"augmentation: got inputs {shape[1:]}")):
        rule(torch.ones(shape), seeded())
