"""What the strategies draw: valid, varied, and some of it exactly on thresholds."""

import pytest
import torch
from hypothesis import find, given, settings
from hypothesis import strategies as st
from torch import nn

from spikecert import L2, LIF, LInf, SpikeFlip, SpikingNetwork
from spikecert.certify import PixelBox
from spikecert.testing import (
    cases,
    event_cases,
    image_networks,
    inputs,
    networks,
    neurons,
    perturbations,
    points,
    sequence_networks,
    spike_trains,
)
from support.examples import examples

FEW = settings(max_examples=30)


@FEW
@given(st.data())
def test_inputs_fit_the_networks(data: st.DataObject) -> None:
    network = data.draw(networks())
    batch = data.draw(inputs(network, batch=3))
    assert network(batch).shape[0] == 3
    assert not network.training
    assert 0 <= float(batch.min()) <= float(batch.max()) <= 1
    threat = data.draw(perturbations(("linf", "l2", "box"), features=batch.shape[1:]))
    threat.check(batch)
    assert bool(threat.contains(threat.sample(batch, torch.Generator().manual_seed(0)), batch).all())


@FEW
@given(st.data())
def test_images_fit_image_networks(data: st.DataObject) -> None:
    network = data.draw(image_networks())
    batch = data.draw(inputs(network, shape=(1, 6, 6)))
    assert network(batch).shape == (4, 3)


@examples(100)
@given(st.data(), st.integers(8, 10))
def test_sequences_fit_sequence_networks(data: st.DataObject, length: int) -> None:
    network = data.draw(sequence_networks(length))
    batch = data.draw(inputs(network, shape=(1, length)))
    assert network(batch).shape == (4, 3)


@FEW
@given(st.data())
def test_events_and_flips_fit_each_other(data: st.DataObject) -> None:
    network = data.draw(networks(encodings=("none",)))
    threat = data.draw(perturbations(("l0",)))
    assert isinstance(threat, SpikeFlip)
    threat.check(data.draw(inputs(network, events=True)))


@FEW
@given(spike_trains(5, 2, 3))
def test_trains_are_binary(trains: torch.Tensor) -> None:
    assert trains.shape == (5, 2, 3)
    assert bool(((trains == 0) | (trains == 1)).all())


def test_trains_shrink_to_silence() -> None:
    assert not find(spike_trains(4, 2), lambda trains: True).any()
    assert int(find(spike_trains(4, 2), lambda trains: bool(trains.any())).sum()) == 1


@pytest.mark.parametrize("rare", [
    lambda case: case.network.timed,
    lambda case: case.network.dtype == torch.float64,
    lambda case: len(case.network.neurons) > 1,
    lambda case: len(set(case.labels.tolist())) > 1,
    lambda case: any(bool((v == n.dynamics.threshold).any()) for v, n in zip(
        case.network.trace(case.inputs).potentials, case.network.neurons, strict=True)),
])  # fmt: skip
def test_what_matters_is_drawn(rare) -> None:
    assert rare(find(cases(), rare, settings=settings(max_examples=500)))


@FEW
@given(cases(), event_cases())
def test_labels_are_the_networks_own(case, events) -> None:
    assert bool((case.network(case.inputs).argmax(1) == case.labels).all())
    assert bool((events.network(events.events).argmax(1) == events.labels).all())
    tried = points(case, 6, torch.Generator().manual_seed(0))
    assert all(bool(LInf(case.epsilon).contains(batch, case.inputs).all()) for batch in tried)


def test_settings_are_kept() -> None:
    only = find(networks(features=5, neuron=LIF(0.5, reset="subtract"), dtypes=(torch.float64,)), lambda _: True)
    assert only.dtype == torch.float64
    assert only.neurons[0].dynamics.reset == "subtract"
    assert only.layers[0].in_features == 5
    scale = find(neurons(3, scaled=True, reset="none"), lambda _: True).scale(3)
    assert scale is not None
    assert scale.shape == (3,)
    assert isinstance(find(perturbations(("l2",), most=0.1), lambda threat: threat.epsilon > 0.01), L2)
    with pytest.raises(ValueError, match="radius"):
        find(perturbations(("box",), features=(3,)), lambda _: True).check(torch.rand(2, 4))
    assert isinstance(find(perturbations(("box",), features=(3,)), lambda _: True), PixelBox)


def test_inputs_need_a_shape_for_images() -> None:
    network = SpikingNetwork(nn.Conv2d(1, 2, 3), LIF(), nn.Flatten(), nn.Linear(8, 2), num_steps=2)
    with pytest.raises(ValueError, match=r"^shape: got None"):
        find(inputs(network), lambda _: True)
