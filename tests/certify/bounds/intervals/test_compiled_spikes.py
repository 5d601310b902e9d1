"""The compiled bounds: bitwise what torch's operations compute, for every reset.

The per-step baseline: no run of any neuron escapes it, whatever the reset.

What a spike leaves of both ends of a potential, against all potentials in between.
"""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikecert.certify.bounds.intervals import StepSpikes, after_reset, interval_spikes
from spikecert.certify.bounds.signals.membrane import Pull
from spikecert.certify.bounds.signals.signals import InputSignal
from spikecert.certify.bounds.signals.windows import Box, Spread
from spikecert.certify.bounds.trains.train_table import table_like
from spikecert.certify.bounds.trains.trains import StepTable, StepTrains, step_graph, step_spikes
from spikecert.certify.rounding import Rounding
from spikecert.models import LIF
from spikecert.models.circuit import leaky_rule
from spikecert.models.rules import Leaky
from spikecert.testing import neurons
from spikecert.testing.neurons import RESETS
from support.eager import interval_counts, interval_steps
from support.examples import examples
from support.graphs import boxes

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


@examples(400)
@given(data=st.data(), reset=RESETS)
def test_no_run_escapes_its_intervals(data: st.DataObject, reset: str):
    low, high = data.draw(boxes(6))
    neuron = data.draw(neurons(len(low), reset=reset))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 2**31)))
    ends = torch.tensor([low, high])[:, :, None, None]
    share = torch.rand((len(low), 256, 1), generator=generator)
    share[:, :128] = share[:, :128].round()
    currents = (ends[0] + share * (ends[1] - ends[0])).minimum(ends[1]).maximum(ends[0])
    signal = InputSignal(Box(ends[0].double(), ends[1].double()), len(low))
    found = interval_spikes(signal, leaky_rule(neuron, len(low)), Rounding(torch.float32))
    with torch.no_grad():
        spikes = neuron(currents, len(low))
    assert bool((spikes >= found.box.lower).all())
    assert bool((spikes <= found.box.upper).all())


VALUES = [-1.0, 0.0, 0.25, 0.75, 1.0, 1.25, 2.5]
ENDS = torch.tensor(
    [pair for pair in itertools.product(VALUES, VALUES) if pair[0] <= pair[1]], dtype=torch.float64
)
LIMITS = [(1.0, 1.0), (1.001, 0.999)]
"""Of a spike at v ≥ 1: hard ones, and those of bounds, which take both outcomes near the threshold."""


def spikes_of(ends: torch.Tensor, limits: tuple[float, float]) -> torch.Tensor:
    """Return the spikes that must be and those that may be."""
    surely, perhaps = limits
    must = ends[0] >= surely if surely == perhaps else ends[0] > surely
    return torch.stack((must, ends[1] >= perhaps)).double()


@pytest.mark.parametrize("limits", LIMITS)
@pytest.mark.parametrize(("reset", "drop"), [("zero", 1.0), ("subtract", 1.0), ("subtract", 0.3), ("none", 1.0)])
def test_it_is_the_hull_of_what_is_left_of_each_potential(reset: str, drop: float, limits: tuple[float, float]):
    """A potential between the limits may stay silent, and may fire."""
    ends = ENDS.T.contiguous()
    potential = torch.lerp(ends[:1], ends[1:], torch.linspace(0, 1, 2001, dtype=torch.float64)[:, None])
    fired = {"zero": 0.0 * potential, "subtract": potential - drop, "none": potential}[reset]
    silent = potential < 1.0 if limits == (1.0, 1.0) else potential <= limits[0]
    left = torch.cat((fired.where(~silent, potential), fired.where(potential >= limits[1], potential)))
    low, high = after_reset(ends, spikes_of(ends, limits), reset, limits, drop)
    assert bool((low <= left.amin(0) + 1e-12).all())
    assert bool((high >= left.amax(0) - 1e-12).all())
    assert bool((left.amin(0) - low <= 5e-3).all())
    assert bool((high - left.amax(0) <= 5e-3).all())


def test_gradients_go_through_decided_spikes_and_the_ends_of_open_ones_that_move():
    ends = torch.tensor([[0.2, 1.5, -0.5], [0.6, 2.0, 3.0]], dtype=torch.float64, requires_grad=True)
    spikes = spikes_of(ends.detach(), (1.0, 1.0)).requires_grad_()
    for reset, onto_ends, onto_spikes in (
        ("zero", [[1.0, 0.0, 1.0], [1.0, 0.0, 0.0]], [[-0.2, -1.5, 0.0], [-0.6, -2.0, 0.0]]),
        ("subtract", [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]], [[-1.0, -1.0, 0.0], [-1.0, -1.0, 0.0]]),
    ):
        total = after_reset(ends, spikes, reset, (1.0, 1.0), 1.0).sum()
        found = torch.autograd.grad(total, (ends, spikes))
        assert [each.tolist() for each in found] == [onto_ends, onto_spikes]
