"""The table of trains under constant whole currents: each current's own train, and no other."""

import pytest
import torch

from spikecert.certify.bounds.automata.paths import path_trains
from spikecert.certify.bounds.automata.whole import WRAPS, whole_table, whole_trains
from spikecert.certify.bounds.signals.signals import InputSignal
from spikecert.certify.bounds.signals.windows import Box
from spikecert.certify.rounding import Rounding
from spikecert.models.elements.integers import NOTHING_LOST, Stepped
from support.chips import CHIPS, Chip

WHOLE = Rounding(torch.float64, whole=True)
STEPS = 7


def rule_of(chip: Chip) -> Stepped:
    return chip.neuron().stepped


def run(rule: Stepped, currents: torch.Tensor) -> torch.Tensor:
    residue, spikes = currents.new_zeros(3, len(currents)), []
    for _ in range(STEPS):
        _, spike, residue = rule.step(residue, currents)
        spikes.append(spike)
    return torch.stack(spikes, 1)


@pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: chip.name)
def test_each_current_has_one_row_and_that_is_its_train(chip: Chip):
    rule = rule_of(chip)
    low, high = -(2**9), 2**12
    table = whole_table(rule, STEPS, low, high)
    assert table is not None
    assert table.lower[0] == low
    assert table.upper[-1] == high
    assert torch.equal(table.upper[:-1] + 1, table.lower[1:])
    currents = torch.arange(low, high + 1, dtype=torch.float64)
    rows = torch.searchsorted(table.upper, currents)
    assert torch.equal(table.trains[rows], run(rule, currents).nan_to_num(WRAPS))


@pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: chip.name)
def test_trains_of_an_interval_are_those_of_its_currents(chip: Chip):
    """Rows that weigh steps differently tell trains apart; paths hold them all."""
    rule, generator = rule_of(chip), torch.Generator().manual_seed(0)
    middle = torch.randint(-300, 900, (20, 5), generator=generator).double()
    width = torch.randint(0, 60, (20, 5), generator=generator).double()
    signal = InputSignal(Box((middle - width)[None], (middle + width)[None]), STEPS)
    rows = torch.randn(6, STEPS, generator=generator, dtype=torch.float64)
    try:
        found = whole_trains(signal, rule, WHOLE)
    except OverflowError:
        assert rule.overflow == "refuse"
        return
    values, steps, wider = found.combine(rows), found.steps(), path_trains(signal, rule, WHOLE)
    for index in range(middle.numel()):
        low, high = (float((middle + sign * width).flatten()[index]) for sign in (-1, 1))
        trains = run(rule, torch.arange(low, high + 1, dtype=torch.float64))
        sums = trains @ rows.T
        assert torch.allclose(values.lower.flatten(1)[:, index], sums.amin(0))
        assert torch.allclose(values.upper.flatten(1)[:, index], sums.amax(0))
        assert torch.equal(steps.lower.flatten(1)[:, index], trains.amin(0))
        assert torch.equal(steps.upper.flatten(1)[:, index], trains.amax(0))
    assert bool((wider.steps().lower <= steps.lower).all() and (wider.steps().upper >= steps.upper).all())
    assert bool((wider.combine(rows).lower <= values.lower + 1e-9).all())
    assert torch.equal(found.magnitude(), steps.upper.amax(0))


def test_a_current_that_may_wrap_is_refused():
    rule = Stepped(NOTHING_LOST, 127, reset="none", bits=8, overflow="refuse")
    ends = torch.tensor([[[10.0]]], dtype=torch.float64)
    assert whole_trains(InputSignal(Box(ends, ends), 3), rule, WHOLE).steps().upper.amax() == 0
    with pytest.raises(OverflowError, match="8 bits, where a chip would wrap"):
        whole_trains(InputSignal(Box(ends, ends + 90), 3), rule, WHOLE)
    with pytest.raises(OverflowError, match="a sum of currents may reach 9000000"):
        whole_trains(InputSignal(Box(ends, ends + 8_999_990), 3), Stepped(NOTHING_LOST, 9), WHOLE)


def test_a_table_that_is_too_long_is_none():
    assert whole_table(Stepped(NOTHING_LOST, 1000, reset="subtract", most=255), 40, 0, 2**16) is None
