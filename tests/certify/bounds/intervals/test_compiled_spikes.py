"""The compiled bounds: bitwise what torch's operations compute, for every reset."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikecert.certify.bounds.intervals.fired import step_graph
from spikecert.certify.bounds.intervals.interval import StepSpikes
from spikecert.certify.bounds.signals.box import Box, Spread
from spikecert.certify.bounds.signals.membrane import Pull
from spikecert.certify.bounds.signals.signals import InputSignal
from spikecert.certify.bounds.trains.train_table import table_like
from spikecert.certify.bounds.trains.trains import StepTable, StepTrains, step_spikes
from spikecert.certify.rounding import Rounding
from spikecert.models import LIF
from spikecert.models.circuit import leaky_rule
from spikecert.models.rules import Leaky
from spikecert.testing import neurons
from support.eager import interval_counts, interval_steps
from support.examples import examples

DTYPES = (torch.float32, torch.float64)


def equal(found: Box, expected: Box) -> bool:
    return torch.equal(found.lower, expected.lower) and torch.equal(found.upper, expected.upper)


@st.composite
def currents(draw: st.DrawFn, constant: bool | None = None) -> tuple[Spread, int]:
    """Boxes of currents of any shape, half of them such that potentials meet a threshold exactly, some points."""
    steps, width = draw(st.integers(1, 7)), draw(st.sampled_from((1, 3, 31, 128, 389)))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    same = draw(st.booleans()) if constant is None else constant
    middle, radius = torch.randn(2, 1 if same else steps, 3, width, generator=generator).double()
    if draw(st.booleans()):
        middle, radius = (middle * 4).round() / 8, (radius * 4).round() / 8
    dtype = draw(st.sampled_from(DTYPES))
    return Spread(middle.to(dtype), radius.abs().to(dtype)), steps


@examples(60)
@given(data=st.data(), known=currents())
def test_steps_and_sums_are_bitwise_those_of_torch(data: st.DataObject, known: tuple[Spread, int]):
    spread, steps = known
    dynamics = data.draw(neurons(steps, scaled=False)).dynamics
    tie = data.draw(st.sampled_from((0.0, 1e-6)))
    pull = Pull(spread, steps, dynamics.threshold + tie, dynamics.threshold - tie)
    row = torch.randn(steps, generator=torch.Generator().manual_seed(steps)).to(spread.middle)
    rule, asked = Leaky.of(dynamics), (row[None], torch.stack((row, -row)), row.new_full((1, steps), 0.25))
    steps_, counts, graph = interval_steps(pull, rule).box, interval_counts(pull, rule), step_graph(pull, rule)
    eager = {
        StepSpikes: [
            steps_,
            steps_.combined(asked[0]),
            steps_.combined(asked[1]),
            counts.scaled(row.new_full((1,), 0.25)),
        ],
        StepTrains: [graph.box.spread.box, *map(graph.combine, asked)],
    }
    torch.set_num_threads(2)  # the kernel's work in two parts
    for kind, expected in eager.items():
        compiled = kind(pull, rule)
        found = [compiled.spread().box, *map(compiled.combine, asked)]
        assert all(map(equal, found, expected))


@examples(60)
@given(data=st.data(), known=currents(constant=True))
def test_steps_of_a_table_are_bitwise_those_of_torch(data: st.DataObject, known: tuple[Spread, int]):
    spread, steps = known
    neuron, rounding = data.draw(neurons(steps)), Rounding(torch.float32, spread.middle.dtype)
    signal = InputSignal(spread.box, steps)
    found = step_spikes(signal, leaky_rule(neuron, steps), rounding)
    assert isinstance(found, StepTable)
    assert equal(found.spread().box, found._trains.spread().box)
    assert equal(found.spread().box, found._trains.steps())


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_current_at_the_very_end_of_a_row_has_the_same_steps(dtype: torch.dtype):
    neuron, rounding = LIF(0.9), Rounding(torch.float32, dtype)
    table = table_like(leaky_rule(neuron, 6), 6, rounding, dtype, torch.device("cpu"))
    assert table is not None
    ends = torch.cat((table.lower[1:], table.upper[:-1]))[None, None]
    pull = Pull(Spread(ends, torch.zeros_like(ends)), 6)
    found = StepTable(pull, leaky_rule(neuron, 6), table)
    assert equal(found.spread().box, found._trains.spread().box)
    assert len(found._trains.last.unique()) > 3
