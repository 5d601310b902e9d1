"""A reset that takes away more or less than the threshold: no run escapes any bound, and none is idle."""

import itertools
from pathlib import Path
from runpy import run_path
from typing import Any

import pytest
import torch
from torch import Tensor

from spikecert.certify.bounds.intervals.interval import interval_spikes
from spikecert.certify.bounds.signals.box import Box
from spikecert.certify.bounds.signals.membrane import drive
from spikecert.certify.bounds.signals.signals import InputSignal
from spikecert.certify.bounds.trains.train_graph import graph_trains
from spikecert.certify.bounds.trains.trains import train_spikes
from spikecert.certify.milp.steps import graph_potentials
from spikecert.certify.rounding import Rounding
from spikecert.models import LIF
from spikecert.models.circuit import leaky_rule
from spikecert.models.running.membrane import simulate
from spikecert.training.bounds.spike_ends import potential_ends

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
