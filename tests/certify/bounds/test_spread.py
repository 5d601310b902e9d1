"""Boxes as middle and radius: no run escapes the products by either library, and no rounding goes unpaid."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from spikecert.certify import LInf
from spikecert.certify.bounds.intervals import interval_spikes
from spikecert.certify.bounds.propagation import margin_bounds
from spikecert.certify.bounds.signals import affine as products
from spikecert.certify.bounds.signals.affine import affine_map
from spikecert.certify.bounds.signals.membrane import drive, pull
from spikecert.certify.bounds.signals.signals import InputSignal
from spikecert.certify.bounds.signals.windows import Box, Spread
from spikecert.certify.bounds.trains.train_graph import graph_trains
from spikecert.certify.bounds.trains.trains import step_spikes, train_spikes
from spikecert.certify.rounding import Rounding
from spikecert.models import LIF, mlp
from spikecert.models.circuit import circuit, leaky_rule
from spikecert.models.linear_maps import linear_map
from spikecert.models.rules import Leaky
from spikecert.testing import neurons
from support.examples import examples
from support.signals import affine_signal

QUICK = Rounding(torch.float32, torch.float32)
LIBRARIES = pytest.mark.parametrize("worth", [0, math.inf], ids=["onednn", "as the run"])


def random_box(steps: int, batch: int, features: int) -> Box:
    """Return boxes in float32, a third of them points."""
    low = torch.randn(steps, batch, features)
    return Box(low, low + torch.rand(low.shape) * (torch.rand(low.shape) > 0.3))


@LIBRARIES
@pytest.mark.parametrize("features", [1, 2, 7, 300])
@pytest.mark.parametrize(("bias", "size"), [(True, 1.0), (True, 1e-4), (False, 1.0)])
def test_the_spread_of_a_layer_holds_every_run_and_pays_for_its_own_rounding(
    monkeypatch: pytest.MonkeyPatch, worth: float, features: int, bias: bool, size: float
):
    monkeypatch.setattr(products, "WORTH", worth)
    torch.manual_seed(features)
    layer, box = nn.Linear(features, 6, bias=bias), random_box(4, 5, features)
    layer.weight.data *= size  # so small that all the rounding is the bias'
    wide = layer.weight.detach().double()
    added = torch.zeros(6).double() if layer.bias is None else layer.bias.detach().double()
    for magnitude in (box.magnitude.amax(0), box.magnitude.amax((0, 1))[None]):
        found = affine_map(linear_map(layer), torch.float32).spread(box.spread, magnitude, QUICK)
        assert found.middle.dtype == found.radius.dtype == torch.float32
        positive, negative = wide.clamp_min(0), wide.clamp_max(0)
        lower = box.lower.double() @ positive.T + box.upper.double() @ negative.T + added
        upper = box.upper.double() @ positive.T + box.lower.double() @ negative.T + added
        reach = magnitude.double() @ wide.abs().T + added.abs()
        run = features * 2**-24 * reach  # what the run may add
        image = found.box
        assert bool((image.lower.double() <= lower - run).all())
        assert bool((image.upper.double() >= upper + run).all())
        paid = 2 * QUICK.gamma(features) * reach + 1e-30
        assert bool((image.lower.double() >= lower - paid).all())
        assert bool((image.upper.double() <= upper + paid).all())


@LIBRARIES
def test_products_of_any_shape_are_those_of_torch(monkeypatch: pytest.MonkeyPatch, worth: float):
    monkeypatch.setattr(products, "WORTH", worth)
    torch.manual_seed(0)
    signal, weight = torch.randn(3, 5, 40)[:, ::2], torch.randn(40, 12).T
    for plus in (torch.randn(12), torch.zeros(1)):
        found = products.affine_rows(signal, weight, plus)
        torch.testing.assert_close(found, signal @ weight.T + plus, rtol=1e-5, atol=1e-5)


def test_onednn_is_left_alone_where_it_may_drop_bits(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(products, "WORTH", 0)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    signal, weight = torch.rand(2, 3, 4), torch.rand(5, 4)
    assert products.by_onednn(signal, weight)
    assert not products.by_onednn(signal.double(), weight.double())
    monkeypatch.setattr(products, "reduced_precision", lambda: "matmul precision 'medium'")
    assert not products.by_onednn(signal, weight)


@pytest.mark.parametrize("scale", [1.0, -1.0])
def test_a_run_that_may_overflow_is_refused_whatever_the_batch(scale: float):
    layer = nn.Linear(2, 1)
    layer.weight.data = scale * torch.tensor([[1e30, -1e30]])
    for batch in (1, 3):
        box = Box(torch.full((1, batch, 2), 1e7), torch.full((1, batch, 2), 2e7))
        signal = affine_signal(InputSignal(box, 2), layer, QUICK)
        assert bool(signal.spread().radius.isfinite().all())
        box = Box(torch.full((1, batch, 2), 1e8), torch.full((1, batch, 2), 2e8))
        with pytest.raises(OverflowError, match="a sum of products may reach"):
            affine_signal(InputSignal(box, 2), layer, QUICK).spread()


@examples(100)
@given(
    data=st.data(),
    steps=st.integers(1, 5),
    constant=st.booleans(),
    layer=st.sampled_from(["none", "flat", "linear"]),
)
def test_what_pulls_a_neuron_holds_what_drives_it(data: st.DataObject, steps: int, constant: bool, layer: str):
    torch.manual_seed(data.draw(st.integers(0, 2**31)))
    neuron, box = data.draw(neurons(steps)), random_box(1 if constant else steps, 3, 4)
    signal = InputSignal(Box(box.lower.double(), box.upper.double()), steps)
    rounding = Rounding(torch.float32)
    if layer != "none":
        signal = affine_signal(signal, nn.Flatten() if layer == "flat" else nn.Linear(4, 4), rounding)
    with torch.no_grad():
        pulled, drives = (
            pull(signal, leaky_rule(neuron, steps), rounding),
            drive(signal, leaky_rule(neuron, steps), rounding),
        )
    ends = pulled.current.box
    assert bool((ends.lower <= drives.lower + 1e-12).all())
    assert bool((ends.upper >= drives.upper - 1e-12).all())
    assert bool((ends.lower >= drives.lower - 1e-3).all())
    assert (pulled.surely, pulled.perhaps) == (drives.surely, drives.perhaps)


@examples(50)
@given(data=st.data(), steps=st.integers(1, 6), constant=st.booleans())
def test_steps_and_sums_without_the_trains_are_those_of_the_trains(
    data: st.DataObject, steps: int, constant: bool
):
    torch.manual_seed(data.draw(st.integers(0, 2**31)))
    neuron, box = (
        data.draw(neurons(steps, scaled=None if constant else False)),
        random_box(1 if constant else steps, 9, 50),
    )
    signal = InputSignal(Box(box.lower.double(), box.upper.double()), steps)
    rounding, rows = Rounding(torch.float32), torch.randn(2, steps).double()
    kept, forgotten = (
        train_spikes(signal, leaky_rule(neuron, steps), rounding),
        step_spikes(signal, leaky_rule(neuron, steps), rounding),
    )
    for mine, theirs in (
        (forgotten.steps(), kept.steps()),
        (forgotten.spread().box, kept.spread().box),
        (forgotten.combine(rows), kept.combine(rows)),
        (forgotten.combine(torch.ones(1, steps).double()), kept.combine(torch.ones(1, steps).double())),
    ):
        assert torch.equal(mine.lower, theirs.lower)
        assert torch.equal(mine.upper, theirs.upper)


def test_the_graph_is_no_wider_than_the_interval():
    torch.manual_seed(0)
    box = random_box(5, 7, 11)
    signal = InputSignal(Box(box.lower.double(), box.upper.double()), 5)
    spikes = interval_spikes(signal, Leaky(0.9), Rounding(torch.float32))
    graph = graph_trains(signal, Leaky(0.9), Rounding(torch.float32)).box
    assert bool((graph.lower >= spikes.box.lower).all() and (graph.upper <= spikes.box.upper).all())


def test_a_spread_has_the_ends_of_its_box():
    box = Box(torch.tensor([-1.0, 0.5]), torch.tensor([3.0, 0.5]))
    assert torch.equal(box.spread.middle, torch.tensor([1.0, 0.5]))
    assert torch.equal(box.spread.radius, torch.tensor([2.0, 0.0]))
    again = Spread(box.spread.middle, box.spread.radius).box
    assert torch.equal(again.lower, box.lower)
    assert torch.equal(again.upper, box.upper)


def test_margins_are_the_same_for_few_and_for_many_classes(monkeypatch: pytest.MonkeyPatch):
    torch.manual_seed(0)
    network = mlp((12, 20, 6), num_steps=4, neuron=LIF(0.9)).eval()
    inputs = torch.rand(9, 12)
    labels, box = network(inputs).argmax(1), LInf(0.05).enclosure(inputs)
    found = []
    for most in (0, 16):
        monkeypatch.setattr("spikecert.certify.bounds.propagation.FEW_CLASSES", most)
        found.append(margin_bounds(circuit(network), box, labels, interval_spikes))
    assert len(labels.unique()) > 1
    torch.testing.assert_close(found[0], found[1], rtol=1e-12, atol=1e-12)
