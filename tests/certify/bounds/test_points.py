"""Inputs that are known exactly: no run escapes the boxes of a walk, nor a bound of both ways of an open spike."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert import LIF, SpikeFlip, SpikingNetwork, verify
from spikecert.certify import boxes as forks
from spikecert.certify.bounds.points import PointWalk, Said, point_signals
from spikecert.certify.bounds.propagation import input_signal, propagate
from spikecert.certify.bounds.signals.affine import affine_map
from spikecert.certify.bounds.signals.derived import FilteredSignal
from spikecert.certify.bounds.signals.windows import Box, Spread
from spikecert.certify.bounds.trains.recurrent import FeedbackLoop, Known
from spikecert.certify.bounds.trains.trains import step_spikes
from spikecert.certify.boxes import point_bounds
from spikecert.certify.problem import Problem
from spikecert.certify.replay import margins
from spikecert.certify.rounding import Rounding
from spikecert.certify.verifiers import VERIFIERS
from spikecert.certify.verifiers.enumeration import Listed, long_loops
from spikecert.models import Recurrent, Synapse
from spikecert.models.circuit import Fired, Recurred, circuit
from spikecert.models.rules import Leaky
from support.oracles import every_flip, least_margin
from support.recurrent import fill, recurrent_networks

SEEDS = st.integers(0, 2**31)
DTYPES = st.sampled_from([torch.float32, torch.float64])


def events(network: SpikingNetwork, seed: int, batch: int = 4) -> Tensor:
    first = network.layers[0]
    assert isinstance(first, nn.Linear)
    shape = (network.num_steps,) * network.timed + (first.in_features,)
    drawn = torch.rand(batch, *shape, generator=torch.Generator().manual_seed(seed))
    return drawn.round().to(network.dtype)


def looping(seed: int, steps: int, reset: str, decay: float, dtype: torch.dtype, width: int = 6) -> SpikingNetwork:
    """Return a network in which a layer hears itself, and a synapse and a layer behind it, as Braille's has."""
    layers = [nn.Linear(3, width), Recurrent(LIF(decay, 1.0, reset), nn.Linear(width, width), Synapse(0.7))]
    last = [nn.Linear(width, 3), Synapse(0.6), LIF(decay, 1.0, reset)]
    network = SpikingNetwork(*layers, *last, num_steps=steps, encoding="none", readout="spikes")
    fill(network, False, torch.Generator().manual_seed(seed))
    for parameter in network.parameters():
        parameter.data *= 0.5
    return network.to(dtype).eval()


def all_said(runs: list[Tensor]) -> Said:
    """Return what says all spikes of runs, (T, rows, n) each."""
    marks = list[Tensor]()
    for t in range(len(runs[0])):
        for layer, run in enumerate(runs):
            spikes = run[t].flatten(1).long()
            place = torch.tensor([t, layer]).expand(*spikes.shape, 2)
            neuron = torch.arange(spikes.shape[1]).expand_as(spikes)
            marks.append(torch.cat((place, neuron[..., None], 2 * spikes[..., None] - 1), 2))
    return Said(torch.cat(marks, 1))


@settings(max_examples=25, deadline=None)
@given(network=recurrent_networks(most_steps=6), seed=SEEDS)
def test_no_spike_of_a_run_escapes(network: SpikingNetwork, seed: int):
    """On grids, too, where currents lie on thresholds; and none does of the runs that all was said of."""
    inputs, made = events(network, seed), circuit(network)
    with torch.no_grad():
        spikes = network.trace(inputs).spikes[: len(made.fired)]
    firing = [node for node in made.nodes if isinstance(node, Fired | Recurred)]
    runs = dict(zip(firing, (each.double() for each in spikes), strict=True))
    for said in (Said.nothing(inputs), all_said(list(runs.values()))):
        known = dict(zip(made.nodes, point_signals(made, inputs.double(), said).known, strict=True))
        for node, run in runs.items():
            box = known[node].steps()
            assert bool(((run >= box.lower) & (run <= box.upper)).all())
    for node, run in runs.items():
        assert torch.equal(known[node].steps().lower, run)


@settings(max_examples=25, deadline=None)
@given(network=recurrent_networks(most_steps=6), seed=SEEDS)
def test_no_margin_of_a_run_is_below(network: SpikingNetwork, seed: int):
    inputs = events(network, seed)
    with torch.no_grad():
        logits = network(inputs).double()
    labels = logits.argmax(1)
    lower = point_bounds(Problem(network, inputs.double(), labels, SpikeFlip(0)))
    assert bool((margins(logits, labels) >= lower.amin(1)).all())
    gaps = logits.gather(1, labels[:, None]) - logits
    assert bool((gaps.scatter(1, labels[:, None], torch.inf) >= lower).all())


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS, inputs=st.integers(1, 40))
def test_no_current_of_a_first_layer_escapes(seed: int, inputs: int):
    """What its products round is paid by the events of each step, of which some have none."""
    generator = torch.Generator().manual_seed(seed)
    layers = nn.Linear(inputs, 9), LIF(), nn.Linear(9, 2)
    network = SpikingNetwork(*layers, num_steps=6, encoding="none").eval()
    events = (torch.rand(3, 6, inputs, generator=generator) * torch.rand(3, 6, 1, generator=generator)).round()
    known = point_signals(circuit(network), events.double(), Said.nothing(events)).known[1].spread()
    with torch.no_grad():
        run = network.trace(events).currents[0].double()
    assert bool(((run - known.middle).abs() <= known.radius).all())
    silent = events.transpose(0, 1).amax(2) == 0
    if bool(silent.any()) and not bool(silent.all()):
        assert bool((known.radius[silent] < known.radius[~silent].amin(0)).all())


def test_a_spike_on_its_threshold_is_taken_both_ways():
    """v = 1 = θ at each step: the class hangs on whether that fires, and the lesser bound is the silent one's."""
    first, last = nn.Linear(1, 1, bias=False), nn.Linear(1, 2)
    first.weight.data.fill_(1.0)
    last.weight.data.copy_(torch.tensor([[1.0], [0.0]]))
    last.bias.data.copy_(torch.tensor([0.25, 0.0]))
    inputs, label = torch.ones(1, 3, 1), torch.tensor([0])
    network = SpikingNetwork(first, LIF(0.0), last, num_steps=3, encoding="none").eval()
    lower = point_bounds(Problem(network, inputs.double(), label, SpikeFlip(0)))
    assert float(lower[0, 1]) == pytest.approx(0.25, abs=1e-5)
    last.bias.data.copy_(torch.tensor([-0.25, 0.0]))
    assert float(point_bounds(Problem(network, inputs.double(), label, SpikeFlip(0)))[0, 1]) < 0


def test_what_is_not_wholly_settled_is_not_proven(monkeypatch: pytest.MonkeyPatch):
    """Three open spikes in a row, two of which must be there: with too few ways the sample is given up."""
    first, last = nn.Linear(1, 1, bias=False), nn.Linear(1, 2, bias=False)
    first.weight.data.fill_(1.0)
    last.weight.data.copy_(torch.tensor([[1.0], [-1.0]]))
    network = SpikingNetwork(first, LIF(0.0), last, num_steps=3, encoding="none").eval()
    problem = Problem(network, torch.ones(2, 3, 1).double(), torch.tensor([0, 0]), SpikeFlip(0))
    assert bool((point_bounds(problem)[:, 1] <= 0).all())
    monkeypatch.setattr(forks, "MOST_WAYS", 1)
    assert bool((point_bounds(problem)[:, 1] <= 0).all())


@settings(max_examples=15, deadline=None)
@given(
    seed=SEEDS, reset=st.sampled_from(["zero", "subtract", "none"]), decay=st.sampled_from([0.0, 0.9, 0.99, 1.0])
)
def test_no_potential_of_a_float32_run_escapes(seed: int, reset: str, decay: float):
    """200 steps of currents that lie in no box but their own, with as much width as roundings need."""
    generator = torch.Generator().manual_seed(seed)
    currents, rule = torch.randn(200, 1, 7, generator=generator) * 0.4, Leaky(decay, 1.0, reset)
    walk = PointWalk.before(rule, torch.zeros(1, 1, 7, dtype=torch.float64), Rounding(torch.float32))
    left = torch.zeros(1, 7)
    for t in range(200):
        potential = left * decay + currents[t]
        spike = (potential >= 1.0).float()
        left = potential * (1 - spike) if reset == "zero" else potential - spike * (reset == "subtract")
        middle, said = currents[t : t + 1].double(), (2 * spike - 1).to(torch.int8)[None]
        walk = walk.after(Spread(middle, torch.zeros_like(middle)), said)
        assert bool(((left >= walk.left[0]) & (left <= walk.left[1])).all())
    assert float((walk.left[1] - walk.left[0]).max()) <= 1e-3 * (1 if decay < 1.0 else 10)


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS, decay=st.floats(0.1, 1.0), delay=st.integers(0, 3), steps=st.integers(1, 150))
def test_no_synapse_of_a_float32_run_escapes(seed: int, decay: float, delay: int, steps: int):
    synapse, generator = Synapse(decay, delay), torch.Generator().manual_seed(seed)
    entering = torch.randn(steps, 2, 5, generator=generator)
    exact = entering.double()
    source = Known(Box(exact, exact), exact.abs().amax(0))
    rounding = Rounding(torch.float32)
    signal = FilteredSignal(source, synapse.filter, rounding)
    with torch.no_grad():
        run = synapse(entering, num_steps=steps).double()
    box, sums = signal.steps(), FilteredSignal.combine(signal, torch.eye(steps, dtype=torch.float64))
    assert bool(((run >= box.lower) & (run <= box.upper)).all())
    assert bool((box.upper - box.lower <= sums.upper - sums.lower + 1e-12).all())


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS, reset=st.sampled_from(["zero", "subtract"]), steps=st.integers(1, 60))
def test_no_current_of_a_loop_escapes(seed: int, reset: str, steps: int):
    """Of float32, behind the spikes of the run; of one row as long as all are alike."""
    network = looping(seed, steps, reset, 0.95, torch.float32)
    inputs, made = events(network, seed), circuit(network)
    node = made.nodes[2]
    assert isinstance(node, Recurred)
    point = input_signal(made, Box(inputs.double(), inputs.double()))
    below, rounding = propagate(made, point, step_spikes, Rounding(made.dtype))[1], Rounding(made.dtype)
    follow = FeedbackLoop(below, affine_map(node.feedback), rounding, node.filter).follow()
    with torch.no_grad():
        trace = network.trace(inputs)
    before = torch.zeros_like(trace.spikes[0][:1]).double()
    for t in range(steps):
        found, run = follow(t, Box(before, before)), trace.currents[0][t].double()
        assert bool(((run - found.middle[0]).abs() <= found.radius[0]).all())
        before = trace.spikes[0][t : t + 1].double()


@settings(max_examples=8, deadline=None)
@given(seed=SEEDS, reset=st.sampled_from(["zero", "subtract"]), decay=st.sampled_from([0.9, 1.0]), dtype=DTYPES)
def test_long_lists_are_decided_as_runs_say(seed: int, reset: str, decay: float, dtype: torch.dtype):
    network = looping(seed, 34, reset, decay, dtype)
    inputs = events(network, seed, 2)
    with torch.no_grad():
        labels = network(inputs).argmax(1)
    problem = Problem(network, inputs, labels, SpikeFlip(1))
    for index, verdict in enumerate(Listed(long_loops).decide(problem)):
        exact = least_margin(network, every_flip(inputs[index], 1), int(labels[index]))
        assert verdict.status == "unknown" or (verdict.status == "verified") == (exact > 0)
        assert verdict.status != "unknown" or abs(exact) < 1e-6


def test_rows_that_are_alike_at_first_are_bounded_as_they_are_alone():
    network = looping(5, 40, "zero", 0.9, torch.float32)
    inputs = events(network, 5, 1).double().repeat(3, 1, 1)
    inputs[1, 30], inputs[2, 36] = 1.0 - inputs[1, 30], 1.0 - inputs[2, 36]
    labels = torch.zeros(3, dtype=torch.long)
    whole = Problem(network, inputs, labels, SpikeFlip(0))
    alone = [point_bounds(whole.subset(torch.tensor([index]))) for index in range(3)]
    assert torch.allclose(point_bounds(whole), torch.cat(alone), atol=1e-12)


def test_auto_lists_small_sets_of_long_loops_first_and_nothing_else():
    network = looping(7, 40, "zero", 0.9, torch.float64)
    inputs = events(network, 7, 1)
    with torch.no_grad():
        labels = network(inputs).argmax(1)
    found = verify(network, inputs, labels, SpikeFlip(1), VERIFIERS["auto"].make())[0]
    assert found.verifier == "enumeration"
    short = replace(Problem(network, inputs[:, :20], labels, SpikeFlip(1)))
    network.num_steps = 20
    assert Listed(long_loops).decide(short)[0].status == "unknown"


def test_a_walk_that_may_overflow_is_refused():
    """Currents that float32 holds, and whose sum over 40 steps it does not."""
    first, last = nn.Linear(1, 1, bias=False), nn.Linear(1, 2)
    first.weight.data.fill_(1e37)
    network = SpikingNetwork(first, LIF(1.0, reset="none"), last, num_steps=40, encoding="none").eval()
    problem = Problem(network, torch.ones(1, 40, 1).double(), torch.tensor([0]), SpikeFlip(0))
    with pytest.raises(OverflowError, match="may reach"):
        point_bounds(problem)
