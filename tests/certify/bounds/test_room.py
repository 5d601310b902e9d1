"""Over many steps samples are bounded in parts, as they are together; one that does not fit is refused.

A reset that takes away more or less than the threshold: no run escapes any bound, and none is idle.
"""

import itertools
from pathlib import Path
from runpy import run_path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikecert import LIF, LInf, SpikingNetwork, mlp, verify
from spikecert.certify.bounds.intervals import interval_spikes
from spikecert.certify.bounds.long_trains import LONG
from spikecert.certify.bounds.signals.membrane import drive
from spikecert.certify.bounds.signals.signals import InputSignal
from spikecert.certify.bounds.signals.windows import Box
from spikecert.certify.bounds.trains.train_graph import graph_trains
from spikecert.certify.bounds.trains.trains import train_spikes
from spikecert.certify.milp.program import graph_potentials
from spikecert.certify.problem import Problem
from spikecert.certify.rounding import Rounding
from spikecert.certify.verifiers import TRAINS
from spikecert.certify.verifiers import trains as room
from spikecert.models.circuit import circuit, leaky_rule
from spikecert.models.running.membrane import simulate
from spikecert.training.bounds.spike_ends import potential_ends


def asked(reset: str, steps: int) -> tuple[SpikingNetwork, Tensor, Tensor]:
    torch.manual_seed(0)
    network = mlp((6, 8, 8, 3), num_steps=steps, neuron=LIF(0.9, 1.0, reset)).eval()
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            layer.weight.data *= 2.5
    inputs = torch.rand(5, 6, generator=torch.Generator().manual_seed(1))
    return network, inputs, network(inputs).argmax(1)


@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_parts_have_the_bounds_of_the_whole(reset: str, monkeypatch: pytest.MonkeyPatch):
    problem = Problem(*asked(reset, 33), LInf(0.02))
    whole = TRAINS.lower(problem)
    each = room.sample_bytes(circuit(problem.network), (6,))
    monkeypatch.setattr(room, "ROOM", 2 * each)
    assert room.at_once(problem.circuit, problem.inputs) == 2
    assert torch.allclose(TRAINS.lower(problem), whole, rtol=0.0, atol=1e-9)
    monkeypatch.setattr(room, "ROOM", 1)
    assert room.at_once(problem.circuit, problem.inputs) == 1
    assert whole.isfinite().any()


def test_what_a_sample_takes_grows_with_steps_neurons_and_labels():
    short, long = (circuit(asked("zero", steps)[0]) for steps in (32, 64))
    assert room.sample_bytes(short, (6,)) == 32 * 16 * (65 + 32)
    assert room.sample_bytes(long, (6,)) == 64 * 16 * (65 + 64)
    assert room.sample_bytes(circuit(asked("subtract", 32)[0]), (6,)) == 32 * 16 * 256


def test_few_steps_are_bounded_together(monkeypatch: pytest.MonkeyPatch):
    network, inputs, _ = asked("zero", LONG - 1)
    monkeypatch.setattr(room, "free_memory", lambda: 0)
    assert room.at_once(circuit(network), inputs) == len(inputs)


def test_a_sample_that_does_not_fit_what_is_free_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch):
    network, inputs, labels = asked("zero", 40)
    wanted = room.sample_bytes(circuit(network), (6,)) + room.SHARED * 40**2
    monkeypatch.setattr(room, "free_memory", lambda: wanted)
    assert room.at_once(circuit(network), inputs) > 1
    monkeypatch.setattr(room, "free_memory", lambda: wanted - 1)
    told = (
        r"^network: its bounds would take about 0\.0 GiB for a sample of T = 40 steps, expected at most .* free$"
    )
    with pytest.raises(room.NoRoom, match=told):
        room.at_once(circuit(network), inputs)
    for verdict in verify(network, inputs, labels, LInf(0.02), "trains"):
        assert (verdict.status, verdict.reason.split(":")[0]) == ("unknown", "network")


interval_potentials: Any = run_path(str(Path(__file__).parents[3] / "benchmarks" / "big_m.py"))[
    "interval_potentials"
]
STEPS, BOXES, RUNS = 6, 400, 200
CASES = list(itertools.product([0.3, 0.75, 1.25, 2.0], [0.5, 0.9, 1.0]))
SINGLE = Rounding(torch.float32)


def drawn(steps: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return boxes of currents, (steps, boxes, 1), some narrow, and runs in them, (steps, boxes, runs)."""
    generator = torch.Generator().manual_seed(0)
    low = torch.rand(steps, BOXES, 1, generator=generator) * 2.5 - 0.5
    high = low + torch.rand(steps, BOXES, 1, generator=generator) ** 3
    share = torch.rand(steps, BOXES, RUNS, generator=generator)
    share[:, :, : RUNS // 2] = share[:, :, : RUNS // 2].round()
    return low, high, (low + share * (high - low)).minimum(high).maximum(low)


def neuron(amount: float, decay: float) -> LIF:
    return LIF(decay, 1.0, "subtract", reset_amount=amount)


def check(found: Box, runs: Tensor) -> None:
    """Compare (T, boxes, 1) with (T, boxes, runs); some values must be decided, and some open."""
    assert bool((runs >= found.lower).all())
    assert bool((runs <= found.upper).all())
    decided = found.lower == found.upper
    assert 0.2 < float(decided.double().mean()) < 1.0
    assert float((runs.amin(2, keepdim=True) == runs.amax(2, keepdim=True))[decided].double().mean()) == 1.0


@pytest.mark.parametrize(("amount", "decay"), CASES)
@pytest.mark.parametrize("bound", [interval_spikes, train_spikes], ids=["interval", "graph"])
def test_no_spike_escapes_over_time(bound, amount: float, decay: float):
    low, high, currents = drawn(STEPS)
    signal = InputSignal(Box(low.double(), high.double()), STEPS)
    runs = simulate(currents, None, neuron(amount, decay).dynamics, STEPS)[1]
    check(bound(signal, leaky_rule(neuron(amount, decay), STEPS), SINGLE).steps(), runs)


@pytest.mark.parametrize(("amount", "decay"), CASES)
def test_no_train_escapes_the_table(amount: float, decay: float):
    low, high, currents = drawn(1)
    signal = InputSignal(Box(low.double(), high.double()), STEPS)
    runs = simulate(currents, None, neuron(amount, decay).dynamics, STEPS)[1]
    check(train_spikes(signal, leaky_rule(neuron(amount, decay), STEPS), SINGLE).steps(), runs)


@pytest.mark.parametrize(("amount", "decay"), CASES)
def test_no_potential_escapes(amount: float, decay: float):
    low, high, currents = drawn(STEPS)
    layer, signal = neuron(amount, decay), InputSignal(Box(low.double(), high.double()), STEPS)
    potentials = simulate(currents, None, layer.dynamics, STEPS)[0].double()
    rule = leaky_rule(layer, STEPS)
    graph = graph_potentials(graph_trains(signal, rule, SINGLE))
    per_step = interval_potentials(interval_spikes(signal, rule, SINGLE), drive(signal, rule, SINGLE), rule)
    trained = potential_ends(layer, Box(low.double(), high.double()), STEPS)
    for found in (graph, per_step, trained):
        assert bool((potentials >= found.lower - 1e-5).all())
        assert bool((potentials <= found.upper + 1e-5).all())
