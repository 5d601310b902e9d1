"""The kernel that walks exact inputs: what it finds is what torch does, and holds for runs."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert import LIF, SpikeFlip, SpikingNetwork
from spikecert.certify.bounds.points import PointSignals, Said, chain, compiled_signals, point_signals, walker
from spikecert.certify.boxes import point_bounds
from spikecert.certify.problem import Problem
from spikecert.certify.verifiers.enumeration import Enumeration
from spikecert.models import Recurrent, RefractoryLIF, Residual, Share, Synapse, VariedLIF
from spikecert.models.circuit import circuit
from support.chains import drawn_chain, drawn_inputs
from support.oracles import every_flip, least_margin

SEEDS = st.integers(0, 2**31)


def told(network: SpikingNetwork, points: Tensor, said: Said) -> PointSignals:
    found = compiled_signals(circuit(network), points, said)
    assert found is not None
    return found


def assert_alike(one: PointSignals, other: PointSignals, network: SpikingNetwork):
    """Assert that what is known of the last layer that fires, and which spike is open, is the same."""
    made = circuit(network)
    last = made.nodes.index(made.fired[-1])
    assert torch.equal(one.known[last].steps().lower, other.known[last].steps().lower)
    assert torch.equal(one.known[last].steps().upper, other.known[last].steps().upper)
    assert torch.equal(one.opened, other.opened)


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS)
def test_the_kernel_finds_what_torch_does(seed: int):
    """Of many rows, and both ways of the first open spikes, three times over."""
    network = drawn_chain(seed)
    points = drawn_inputs(network, seed, 5).double()
    said = Said.nothing(points)
    for _ in range(4):
        found = told(network, points, said)
        assert_alike(found, point_signals(circuit(network), points, said), network)
        some = (found.opened[:, 0] >= 0).nonzero().flatten()[:8]
        if not len(some):
            break
        points = points[some].repeat(2, *[1] * (points.dim() - 1))
        said = said.among(some).both_ways(found.opened[some])


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS)
def test_no_spike_of_a_run_escapes(seed: int):
    """Nor where what is said is what the run does: of layers before the last one all spikes that are open."""
    network = drawn_chain(seed)
    inputs, made = drawn_inputs(network, seed), circuit(network)
    with torch.no_grad():
        runs = [run.double() for run in network.trace(inputs).spikes[: len(made.fired)]]
    last, said, rows = made.nodes.index(made.fired[-1]), Said.nothing(inputs), torch.arange(len(inputs))
    while len(rows):
        found = told(network, inputs[rows].double(), said)
        box = found.known[last].steps()
        assert bool(((runs[-1][:, rows] >= box.lower) & (runs[-1][:, rows] <= box.upper)).all())
        some = (found.opened[:, 0] >= 0).nonzero().flatten()
        rows, opened = rows[some], found.opened[some]
        spikes = [runs[layer][t, row, j] for row, (t, layer, j) in zip(rows, opened.tolist(), strict=True)]
        ways = torch.tensor([[2 * int(spike) - 1] for spike in spikes], dtype=torch.long).view(-1, 1)
        marks = torch.cat((opened, ways), 1)[:, None]
        said = Said(torch.cat((said.among(some).marks, marks), 1))


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS)
def test_lists_are_decided_as_runs_say(seed: int):
    network = drawn_chain(seed, 5)
    inputs = drawn_inputs(network, seed, 2).round().abs()
    with torch.no_grad():
        labels = network(inputs).argmax(1)
    for index, verdict in enumerate(Enumeration().decide(Problem(network, inputs, labels, SpikeFlip(1)))):
        exact = least_margin(network, every_flip(inputs[index], 1), int(labels[index]))
        assert verdict.status == "unknown" or (verdict.status == "verified") == (exact > 0)


def swept(reset: str) -> SpikingNetwork:
    """Return 400 neurons that come close to θ at step 4, each another 1e-8 of it, and 8 that they hear at each."""
    drawn = torch.Generator().manual_seed(0)
    first, heard = nn.Linear(6, 408), nn.Linear(408, 408)
    rows, echoes = torch.rand(1, 6, generator=drawn) * 0.1, torch.rand(1, 8, generator=drawn) * 0.02
    first.weight.data, heard.weight.data = rows.expand(408, 6).clone(), torch.zeros(408, 408)
    heard.weight.data[:400, 400:] = echoes
    first.bias.data, heard.bias.data = torch.full((408,), 5.0), torch.full((408,), 0.01)
    first.bias.data[:400] = torch.linspace(-2e-6, 2e-6, 400)
    quiet, network = (
        SpikingNetwork(
            *(first, Synapse(0.7), Recurrent(LIF(0.9, 1.0, kind), heard, Synapse(0.5))),
            num_steps=4,
            encoding="none",
            readout="spikes",
        ).eval()
        for kind in ("none", reset)
    )
    with torch.no_grad():
        most = float(quiet.trace(torch.ones(1, 4, 6)).potentials[0][3, 0, 200])
    for part in (first.weight, heard.weight[:400], heard.bias[:400]):
        part.data /= most
    return network


@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
def test_what_rounds_is_paid_as_torch_pays_it(reset: str):
    network, points = swept(reset), torch.ones(1, 4, 6).double()
    found = told(network, points, Said.nothing(points))
    expected = point_signals(circuit(network), points, Said.nothing(points))
    assert_alike(found, expected, network)
    box = found.known[3].steps()
    opened = (box.lower < box.upper).sum((1, 2)).tolist()
    assert opened[:3] == [0, 0, 0]
    assert 20 < opened[3] < 380


def test_rows_are_walked_as_they_are_alone():
    """Whatever the row before is, and by two threads as by one."""
    network = drawn_chain(30, 40)
    inputs = drawn_inputs(network, 3, 6).double()
    inputs[3, 20:], inputs[5] = inputs[2, 20:], inputs[4]
    whole = told(network, inputs, Said.nothing(inputs))
    alone = [told(network, row[None], Said.nothing(row[None])) for row in inputs]
    torch.set_num_threads(2)
    shared = told(network, inputs, Said.nothing(inputs))
    assert torch.equal(whole.opened, torch.cat([one.opened for one in alone]))
    assert_alike(whole, shared, network)
    made = circuit(network)
    last = made.nodes.index(made.fired[-1])
    found = torch.cat([one.known[last].steps().upper for one in alone], 1)
    assert torch.equal(whole.known[last].steps().upper, found)
    assert network.num_steps > 20
    assert 0 < float(found.mean()) < 1


def test_numbers_that_may_overflow_are_left_to_torch():
    first, last = nn.Linear(1, 1, bias=False), nn.Linear(1, 2)
    first.weight.data.fill_(1e37)
    network = SpikingNetwork(first, LIF(1.0, reset="none"), last, num_steps=40, encoding="none").eval()
    points = torch.ones(1, 40, 1).double()
    assert compiled_signals(circuit(network), points, Said.nothing(points)) is None
    with pytest.raises(OverflowError, match="may reach"):
        point_bounds(Problem(network, points, torch.tensor([0]), SpikeFlip(0)))
    nothing = points * torch.nan
    assert compiled_signals(circuit(network), nothing, Said.nothing(nothing)) is None


def dense(*between: nn.Module) -> SpikingNetwork:
    return SpikingNetwork(nn.Linear(2, 2), *between, nn.Linear(2, 2), num_steps=4, encoding="none").eval()


@pytest.mark.parametrize(
    "network",
    [
        dense(Synapse(0.5, 1), LIF()),
        dense(Recurrent(LIF(), nn.Linear(2, 2), Synapse(0.5, 2))),
        dense(Recurrent(LIF(), Share())),
        dense(RefractoryLIF(0.9, 1.0, rest=1)),
        dense(VariedLIF(torch.tensor([0.5, 0.9]), torch.ones(2))),
        dense(nn.Linear(2, 2), LIF()),
        dense(LIF(), Residual([nn.Linear(2, 2), LIF()])),
        dense(),
    ],
)
def test_layers_that_are_not_known_are_walked_by_torch(network: SpikingNetwork):
    made = circuit(network)
    assert chain(made) is None
    assert walker(made) is point_signals


def test_images_are_renamed_before_they_are_walked():
    network = SpikingNetwork(
        nn.Flatten(), nn.Linear(8, 3), LIF(0.9), num_steps=5, encoding="none", readout="spikes"
    )
    points = torch.rand(3, 5, 2, 2, 2).round().double()
    said = Said.nothing(points)
    assert_alike(told(network.eval(), points, said), point_signals(circuit(network), points, said), network)
