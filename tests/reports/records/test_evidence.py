"""Counterexamples in a record: they replay, and their activity is what the network does."""

import pytest
import torch

from spikecert import mlp
from spikecert.models import LIF
from spikecert.reports import Plan, RadiusPlan, Threat, measure
from spikecert.reports.figures import scene
from spikecert.reports.records.evidence import HARDEST, RASTER, TRACED

THREAT = Threat(norm="linf", lower=0.0, upper=1.0, epsilons=(0.1, 0.3))


@pytest.fixture(scope="module")
def measured():
    torch.manual_seed(0)
    network = mlp((6, 60, 12, 3), num_steps=5, neuron=LIF(0.9, threshold=0.2)).eval()
    inputs = torch.rand(10, 6)
    labels = network(inputs).argmax(1)
    radii = RadiusPlan("trains", 1 / 32)
    return network, measure("net", network, inputs, labels, Plan(THREAT, ("pgd",), (), radii=radii))


def spikes(network, values):
    trace = network.trace(torch.tensor(values)[None])
    return [layer.flatten(1) for layer in trace.spikes], [layer.flatten(1) for layer in trace.potentials]


def test_activity_is_that_of_the_network(measured):
    network, found = measured
    assert 0 < len(found.counterexamples) <= HARDEST
    for case in found.counterexamples:
        clean, before = spikes(network, case.clean)
        perturbed, after = spikes(network, case.perturbed)
        assert [layer.name for layer in case.activity] == ["layers.1", "layers.3"]
        for k, layer in enumerate(case.activity):
            differing = (clean[k] != perturbed[k]).any(0)
            assert layer.changed == int(differing.sum())
            assert layer.neurons == len(differing)
            assert len(layer.shown) == min(layer.neurons, RASTER)
            traced = [neuron for neuron in layer.shown if neuron.clean_potentials]
            assert len(traced) == min(TRACED, layer.changed)
            for neuron in layer.shown:
                assert [int(digit) for digit in neuron.clean] == clean[k][:, neuron.index].int().tolist()
                assert [int(digit) for digit in neuron.perturbed] == perturbed[k][:, neuron.index].int().tolist()
            for neuron in traced:
                assert neuron.clean != neuron.perturbed
                assert list(neuron.clean_potentials) == pytest.approx(before[k][:, neuron.index].tolist())
                assert list(neuron.perturbed_potentials) == pytest.approx(after[k][:, neuron.index].tolist())


def test_the_nearest_known_counterexample_is_kept(measured):
    _, found = measured
    for case in found.counterexamples:
        distance = max(abs(a - b) for a, b in zip(case.clean, case.perturbed, strict=True))
        assert distance <= case.epsilon * (1 + 1e-6)
        assert case.epsilon <= found.radii.samples[case.index].upper
    assert "radius search" in {case.found_by for case in found.counterexamples}


def test_a_plan_has_the_tolerance_of_its_radii():
    assert Plan(THREAT, (), (), radii=RadiusPlan("trains", 1 / 32)).tolerance == 1 / 32
    assert Plan(THREAT, (), ()).tolerance == RadiusPlan().tolerance


def test_a_verifier_that_falsifies_gives_its_counterexample():
    torch.manual_seed(0)
    network = mlp((4, 5, 3), num_steps=3, neuron=LIF(0.9)).eval()
    inputs = torch.rand(12, 4)
    found = measure("net", network, inputs, network(inputs).argmax(1), Plan(THREAT, (), ("auto",)))
    broken = {row.index for row in found.rows if row.falsified}
    assert broken
    assert len(found.counterexamples) == min(len(broken), HARDEST)
    assert {case.index for case in found.counterexamples} <= broken


def test_the_scene_draws_what_changed(handmade):
    (case,) = handmade().models[0].counterexamples
    picture = scene(case)
    assert picture is not None
    (membrane,) = picture.membranes
    assert [spike.style for spike in membrane.spikes] == ["gone", "new"]
    assert membrane.spikes[0].x < membrane.spikes[1].x  # the spike moved from step 1 to step 2
    assert all(spike.y <= membrane.threshold_y for spike in membrane.spikes)  # at or above the threshold
    (raster,) = picture.rasters
    assert [cell.style for cell in raster.cells] == ["gone", "new", "both", "both"]
    assert len(raster.changed) == 1
    assert raster.text == "layer 0: 1 of 4 neurons changed their train (spikes of 2 neurons are shown)"
    assert scene(case.model_copy(update={"activity": ()})) is None
