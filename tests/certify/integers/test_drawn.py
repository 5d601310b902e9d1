"""Integer neurons of drawn constants: every answer against all members of its set, run through the network.

The table of trains under constant whole currents: each current's own train, and no other.
"""

import random
from dataclasses import replace
from math import prod

import pytest
import torch
from torch import Tensor

from spikecert import LInf, SpikeFlip, Verdict, verify
from spikecert.certify.bounds.automata.paths import path_trains
from spikecert.certify.bounds.automata.whole import WRAPS, whole_table, whole_trains
from spikecert.certify.bounds.signals.signals import InputSignal
from spikecert.certify.bounds.signals.windows import Box
from spikecert.certify.rounding import Rounding
from spikecert.certify.verdicts import SoundnessError
from spikecert.models import WholeDecay
from spikecert.models.elements.integers import NOTHING_LOST, Stepped
from spikecert.models.rules import Label, Move, Range
from support.chips import CHIPS, Chip
from support.drawn_chips import MOST, members, network, neuron
from support.examples import THOROUGH

DRAWN = 2000 if THOROUGH else 48


def check(found: Verdict, outputs: Tensor, label: int) -> bool:
    """Hold an answer against the outputs of all members; return whether these differ."""
    others = outputs.clone()
    others[:, label] = -torch.inf
    lead = outputs[:, label] - others.amax(1)
    breaks = bool((outputs.argmax(1) != label).any() | outputs.isnan().any())
    breaks |= found.ties == "strict" and bool((lead <= 0).any())
    assert not (found.status == "verified" and breaks)
    assert found.status != "falsified" or breaks
    if found.status == "verified" and found.margin is not None:
        assert found.margin <= float(lead.min()) + 1e-9
    return len(outputs.unique(dim=0)) > 1


@torch.no_grad()
def campaign(seeds: range) -> tuple[int, int]:
    """Return how many answers were verified, and how many were about sets with several outputs."""
    verified, moving = 0, 0
    for seed in seeds:
        draw = random.Random(seed)
        made = network(draw)
        if made is None:
            continue
        shape = (made.num_steps, 2) if made.timed else (2,)
        numbers = [float(draw.randint(0, 1 if made.timed else MOST)) for _ in range(4 * prod(shape))]
        inputs = torch.tensor(numbers, dtype=torch.float64).view(4, *shape)
        outputs = made(inputs)
        if outputs.isnan().any():
            continue
        labels = outputs.argmax(1)
        threat = SpikeFlip(draw.choice((1, 1, 2))) if made.timed else LInf(draw.choice((0, 1, 2)))
        name, ties = (
            draw.choice(("interval", "trains", "auto", "enumeration", "complete")),
            draw.choice((None, "strict", "argmax")),
        )
        for sample, label, found in zip(
            inputs, labels.tolist(), verify(made, inputs, labels, threat, name, ties=ties), strict=True
        ):
            moving += check(found, made(members(sample, threat)), label)
            verified += found.status == "verified"
    return verified, moving


def test_no_answer_is_wrong():
    verified, moving = campaign(range(DRAWN))
    assert verified > DRAWN
    assert moving > DRAWN // 4


@torch.no_grad()
def test_real_ends_of_whole_currents_hold_all_trains():
    """Sets of events have ends that are outward by a few units in the last place, where f is not monotone."""
    changing = 0
    for seed in range(300):
        draw, generator = random.Random(seed), torch.Generator().manual_seed(seed)
        layer, steps = neuron(draw, 8), draw.choice((1, 2, 4))
        low = torch.randint(-9, 10, (steps, 1, 4), generator=generator).double()
        high = low + torch.randint(0, 3, low.shape, generator=generator)
        box = Box(low - 2.0**-40, high + 2.0**-40)
        try:
            known = path_trains(
                InputSignal(box, steps), layer.stepped, Rounding(torch.float64, whole=True)
            ).steps()
        except OverflowError:
            continue
        drawn = low + (torch.rand(steps, 200, 4, generator=generator).double() * (high - low + 1)).floor()
        spikes = layer(drawn, steps)
        assert bool(((known.lower <= spikes) & (spikes <= known.upper)).all()), (seed, layer)
        changing += len(spikes.flatten(2).unique(dim=1)[0]) > 1
    assert changing > 80


def test_a_layer_without_states_is_an_error():
    """What knows nothing possible of a neuron is broken, and says so in the place of a bound."""

    class Lost(Stepped):
        def moves(
            self, labels: tuple[Label, ...], state: tuple[Range, ...], current: Range, tie: float | Tensor
        ) -> tuple[Move, ...]:
            both = super().moves(labels, state, current, tie)
            return tuple(replace(move, possible=move.possible & False) for move in both)

    lost = Lost(WholeDecay("shift", 1), 2)
    box = Box(torch.zeros(3, 1, 2).double(), torch.ones(3, 1, 2).double())
    with pytest.raises(SoundnessError, match="no state of Lost is left at step 1"):
        path_trains(InputSignal(box, 3), lost, Rounding(torch.float64, whole=True))


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
