"""Bounds in float32: they hold what float64 holds, cost only rounding, and leave float64 networks alone."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikecert.certify import L2, LInf
from spikecert.certify.bounds.intervals.interval import interval_spikes
from spikecert.certify.bounds.propagation import margin_bounds
from spikecert.certify.bounds.signals.box import Box
from spikecert.certify.bounds.signals.signals import SpikeBound
from spikecert.certify.bounds.trains.trains import step_spikes, train_spikes
from spikecert.certify.rounding import Rounding
from spikecert.models import LIF, mlp
from spikecert.models.circuit import circuit
from spikecert.testing import Case, cases
from support.examples import examples
from support.oracles import line_margin

BOUNDS = pytest.mark.parametrize("spikes", [interval_spikes, step_spikes], ids=["interval", "trains"])


@given(st.lists(st.floats(-1e30, 1e30) | st.floats(-1e-40, 1e-40) | st.just(0.0), min_size=1))
def test_rounding_outward_holds_the_box_and_little_else(values: list[float]):
    ends = torch.tensor(values, dtype=torch.float64)
    found = Box(ends, ends).outward(torch.float32)
    assert found.lower.dtype == found.upper.dtype == torch.float32
    assert bool((found.lower.double() < ends).all())
    assert bool((found.upper.double() > ends).all())
    assert bool((found.upper.double() - found.lower.double() <= 2e-6 * ends.abs() + 2e-30).all())


def test_rounding_outward_keeps_infinite_ends():
    ends = torch.tensor([torch.inf], dtype=torch.float64)
    found = Box(-ends, ends).outward(torch.float32)
    assert (float(found.lower), float(found.upper)) == (-torch.inf, torch.inf)


@BOUNDS
@examples(100)
@given(case=cases(dtypes=(torch.float32,)))
def test_float32_is_never_tighter(spikes: SpikeBound, case: Case):
    box = LInf(case.epsilon).enclosure(case.inputs)
    quick, full = (
        margin_bounds(circuit(case.network), box, case.labels, spikes, quick) for quick in (True, False)
    )
    assert quick.dtype == torch.float64
    assert bool((quick <= full + 1e-9 * (1 + full.abs())).all())


@BOUNDS
@examples(25)
@given(case=cases())
def test_float64_networks_and_balls_stay_in_float64(spikes: SpikeBound, case: Case):
    threats = (
        (LInf(case.epsilon), L2(case.epsilon)) if case.network.dtype == torch.float64 else (L2(case.epsilon),)
    )
    for box in (threat.enclosure(case.inputs) for threat in threats):
        quick, full = (
            margin_bounds(circuit(case.network), box, case.labels, spikes, quick) for quick in (True, False)
        )
        assert torch.equal(quick, full)


@BOUNDS
def test_float32_loses_only_rounding(spikes: SpikeBound):
    torch.manual_seed(0)
    network = mlp((64, 48, 32, 10), num_steps=6, neuron=LIF(decay=0.9)).eval()
    inputs = torch.rand(64, 64)
    labels, box = network(inputs).argmax(1), LInf(0.002).enclosure(inputs)
    quick, full = (margin_bounds(circuit(network), box, labels, spikes, quick) for quick in (True, False))
    assert float((quick == full).double().mean()) > 0.5


@BOUNDS
@examples(100)
@given(case=cases(features=1, most_layers=3, most_width=4, most_steps=4, dtypes=(torch.float32,)))
def test_float32_stays_below_the_exact_margin_on_a_line(spikes: SpikeBound, case: Case):
    case.network.encoding = "direct"
    inputs = case.inputs.reshape(len(case.inputs), -1)[:, :1]
    with torch.no_grad():
        labels, box = case.network(inputs).argmax(1), LInf(case.epsilon).enclosure(inputs)
        proven = margin_bounds(circuit(case.network), box, labels, spikes, quick=True).amin(1)
    lines = zip(box.lower[:, 0].tolist(), box.upper[:, 0].tolist(), labels.tolist(), strict=True)
    exact = [line_margin(case.network.double(), *line) for line in lines]
    assert bool((proven <= torch.tensor(exact, dtype=torch.float64) + 1e-9).all())


def test_trains_are_the_same_with_and_without_their_potentials():
    torch.manual_seed(0)
    network = mlp((16, 12, 8, 3), num_steps=5).eval()
    inputs = torch.rand(8, 16)
    labels, box = network(inputs).argmax(1), LInf(0.05).enclosure(inputs)
    assert torch.equal(
        *(margin_bounds(circuit(network), box, labels, spikes) for spikes in (step_spikes, train_spikes))
    )


def test_the_bound_pays_for_its_own_arithmetic():
    quick, full = Rounding(torch.float32, torch.float32), Rounding(torch.float32)
    assert quick.gamma(100) > 4.9 * full.gamma(100) > 4.9 * 100 * 2**-24
