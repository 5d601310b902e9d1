"""Splits of a search as the checker makes them: a current between two rows leaves each row on its own side.

Multipliers of a search, written as numbers that a proof can hold.
"""

import warnings
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from spikecert import LIF, LInf, SpikingNetwork
from spikecert.certify.branching.question import MarginQuestion
from spikecert.certify.proofs.tree import CheckerSplits, RowSplits, narrowing_of
from spikecert.checking.certificates.elaborating import row_middles
from spikecert.checking.certificates.trials import LeafTrials
from spikecert.checking.conclusions import Conclusions
from spikecert.checking.events.inputs import Inputs
from spikecert.checking.kernel.neurons import KernelNeuron
from spikecert.checking.kernel.numbers import ONE
from spikecert.checking.kernel.tables import followed
from spikecert.checking.network.model import parse_network
from spikecert.checking.network.neurons import Described
from spikecert.checking.numbers.exact import ARITHMETIC
from spikecert.models.files.storage import to_bytes

Trains = list[tuple[int, ...]]


def splits_of(neuron: LIF, steps: int, least: float) -> tuple[RowSplits, LeafTrials]:
    """Return the splits of two neurons whose currents are the input, in [least, 1.5], and what the checker has."""
    linear = torch.nn.Linear(1, 2)
    linear.weight.data.fill_(1.0)
    linear.bias.data.zero_()
    network = SpikingNetwork(linear, neuron, torch.nn.Linear(2, 2), num_steps=steps).eval()
    sample, ball = torch.ones(1), LInf(0.5, lower=least, upper=1.5)
    question = MarginQuestion.of_margins(
        network, sample[None], torch.tensor([0]), ball, torch.tensor([[0, 1]]) > 0
    )
    roots = question.roots()
    assert roots is not None
    inputs = Inputs.around(sample.numpy(), np.array([10.0]), least, 1.5)
    goal = partial(Conclusions.of_class, label=0, ties="strict")
    trials = LeafTrials.of(parse_network(to_bytes(network), "network"), inputs, goal, 0, 0)
    assert trials.split_by_rows
    splits = CheckerSplits.of(question.staged(roots)[0].stages[0], trials)
    assert isinstance(splits, RowSplits)
    return splits, trials


def listed(trains: object) -> Trains:
    return [tuple(int(spike) for spike in train) for train in np.asarray(trains)]


def apart(splits: RowSplits, trials: LeafTrials, place: int) -> list[bool | None] | None:
    """Return for each of the checker's rows whether it belongs to the left of a split; None: to both.

    None for a split that no current makes: one of the left lies at or above one of the right.
    """
    rows = listed(splits.table.trains)
    sides = [{row <= place for row, train in enumerate(rows) if train == own} for own in listed(trials.trains)]
    left = [middle for middle, side in zip(trials.middles, sides, strict=True) if side == {True}]
    right = [middle for middle, side in zip(trials.middles, sides, strict=True) if side == {False}]
    if left and right and max(left) >= min(right):
        return None
    return [True in side if len(side) == 1 else None for side in sides]


@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
@pytest.mark.parametrize("decay", [1.0, 0.9, 0.5])
@pytest.mark.parametrize("steps", [1, 4, 7])
def test_each_row_lies_on_its_side(reset: str, decay: float, steps: int):
    """Except for rows that rounding alone reaches and that the two tables order otherwise."""
    splits, trials = splits_of(LIF(decay, reset=reset), steps, -1.5)  # pyright: ignore[reportArgumentType]
    reached, places = trials.everything, range(len(splits.table.trains) - 1)
    wanted = [apart(splits, trials, place) for place in places]
    assert 2 * sum(side is None for side in wanted) <= len(places)
    for place, sides in zip(places, wanted, strict=True):
        left, right = trials.sides(reached, 1, splits.value(place))
        assert (left[0] == reached[0]).all()
        assert (right[0] == reached[0]).all()
        assert (left[1] ^ right[1])[reached[1]].all()
        for row, side in enumerate(sides or []):
            assert not reached[1][row] or side in (None, bool(left[1][row]))


def test_rows_that_the_checker_leaves_out_are_on_neither_side():
    splits, trials = splits_of(LIF(1.0, reset="subtract"), 4, 0.4)
    checked = listed(trials.trains)
    assert len(checked) < len(splits.table.trains)
    place = listed(splits.table.trains).index((0, 1, 1, 1))
    left, right = trials.sides(trials.everything, 0, splits.value(place))
    assert [checked[row] for row in np.nonzero(right[0])[0]] == [
        (1, 0, 1, 1),
        (1, 1, 0, 1),
        (1, 1, 1, 0),
        (1, 1, 1, 1),
    ]
    assert int(left[0].sum()) + 4 == len(checked)


SCALES = {"ones": [1.0] * 6, "others": [1.0, -0.5, 0.0, 1.25, 0.75, -2.0]}


@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("scale", SCALES)
def test_a_rows_middle_is_that_of_all_currents_that_give_its_train(reset: str, decay: float, scale: str):
    """Whichever currents a layer has: those of a table over the whole range, in exact numbers."""
    factors = tuple(map(Fraction, SCALES[scale]))
    described = Described(Fraction(decay), Fraction(1), reset, Fraction(1), factors)
    neuron = KernelNeuron.of(described, ARITHMETIC[np.dtype("<f4")])
    wanted = {
        (train, low + high < 0): (low + high) / 2 / ONE
        for train, (low, high) in followed(neuron, [(-2 * ONE, 0), (0, 2 * ONE)])
    }
    for currents in ([(-2 * ONE, 2 * ONE)], [(ONE // 3, ONE), (-ONE, -ONE // 2), (-2 * ONE, -ONE - ONE // 3)]):
        names = {(train, low + high < 0) for train, (low, high) in followed(neuron, currents)} & wanted.keys()
        assert names
        trains, negative = zip(*names, strict=True)
        found = row_middles(neuron, trains, negative, 2.0)
        assert found == pytest.approx([wanted[name] for name in names], abs=1e-6)


class Asked:
    """Stands for a question whose search went beyond single precision."""

    def narrowing(self, node: Any) -> tuple[torch.Tensor, ...]:
        """Return neurons, slabs and multipliers."""
        numbers = torch.tensor([[1e300, -1e300, 0.5]], dtype=torch.float64)
        return torch.tensor([0]), torch.tensor([0, 1, 2]), numbers


def test_multipliers_beyond_single_precision_are_cut_to_it():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = narrowing_of(Asked(), None)  # pyright: ignore[reportArgumentType]
    assert found is not None
    most = np.finfo(np.float32).max
    assert found.multipliers.tolist() == [[float(most), -float(most), 0.5]]
