"""Neurons that rest behind their spikes, or start elsewhere: what they become, and what is refused."""

from importlib import import_module
from typing import Any

import pytest
import torch
from spikingjelly.activation_based import neuron
from torch import Tensor, nn

from spikecert import ConversionRefused, SpikingNetwork, convert, from_norse, to_nir
from spikecert.models import LIF, Recurrent, RefractoryLIF
from support.foreign import snntorch

norse: Any = import_module("norse.torch")


def resting(rho: float, threshold: float = 0.1) -> Any:
    """Return a cell of λ = .9 and κ = .8."""
    inner = norse.LIFParameters(v_th=torch.tensor(threshold))
    return norse.LIFRefracCell(norse.LIFRefracParameters(inner, torch.tensor(rho)))


@pytest.mark.parametrize(("rho", "rest"), [(1.0, 1), (2.0, 2), (2.5, 3), (50.0, 7)])
def test_a_rest_that_is_counted_down_is_one_within_its_steps(strong, sample, rho: float, rest: int):
    module = norse.SequentialState(strong(16, 12), resting(rho), nn.Linear(12, 3))
    made = convert(module, sample, num_steps=8)
    (layer,) = made.network.neurons
    assert isinstance(layer, RefractoryLIF)
    assert (layer.rest, layer.start) == (rest, 0.0)
    assert made.check.rates[0] > 0
    state, total, far = None, torch.zeros(200, 3), 9.0 * torch.randn(200, 16)
    with torch.no_grad():
        for _ in range(8):
            found, state = module(far, state)
            total = total + found
        torch.testing.assert_close(made.network(far), total / 8)


@pytest.mark.parametrize(
    "cell",
    [
        lambda: resting(float("nan")),
        lambda: norse.LIFRefracCell(norse.LIFRefracParameters(norse.LIFParameters(v_reset=torch.tensor(-0.5)))),
    ],
    ids=["no number", "held elsewhere"],
)
def test_other_rests_are_refused_by_name(strong, sample, cell: Any):
    module = norse.SequentialState(strong(16, 12), cell(), nn.Linear(12, 3))
    with pytest.raises(ConversionRefused) as caught:
        from_norse(module, sample, num_steps=8)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("rho", [0.0, -1.0])
def test_without_a_rho_nothing_rests(strong, sample, rho: float):
    network = from_norse(
        norse.SequentialState(strong(16, 12), resting(rho), nn.Linear(12, 3)), sample, num_steps=9
    )
    assert not any(isinstance(layer, RefractoryLIF) for layer in network.layers)


class First(nn.Module):
    """Spikes of Norse's latency encoder, one for each input, and a dense layer."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.encoder = norse.SpikeLatencyLIFEncoder(steps, norse.LIFParameters(v_th=torch.tensor(0.2)))
        self.last = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.last(spikes) for spikes in self.encoder(x)])


@pytest.mark.parametrize("steps", [4, 5, 9])
def test_a_latency_encoder_is_a_neuron_and_a_mask_of_what_has_fired(sample, steps: int):
    module = First(steps)
    found = convert(module, sample * 4)
    assert len(found.check.rates) == 3
    assert all(rate > 0 for rate in found.check.rates)
    inputs = torch.rand(400, 16, generator=torch.Generator().manual_seed(2)) * 9 - 1
    with torch.no_grad():
        ours, theirs = found.network(inputs), module(inputs).mean(0)
    assert torch.allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("rho", [1.0, 3.0])
def test_loops_that_rest_come_in_with_their_synapse(strong, sample, rho: float):
    inner = norse.LIFParameters(v_th=torch.tensor(0.1))
    cell = norse.LIFRefracRecurrentCell(12, 12, norse.LIFRefracParameters(inner, torch.tensor(rho)))
    made = convert(norse.SequentialState(strong(16, 12), cell, nn.Linear(12, 3)), sample, num_steps=6)
    (layer,) = made.network.neurons
    assert isinstance(layer, Recurrent)
    assert isinstance(layer.neuron, RefractoryLIF)
    assert layer.neuron.rest == rho
    assert layer.synapse is not None
    assert made.check.rates[0] > 0


def test_nir_has_no_neurons_that_rest(sample):
    with pytest.raises((TypeError, ConversionRefused), match="Refractory"):
        to_nir(SpikingNetwork(nn.Linear(16, 3), RefractoryLIF(0.5, rest=2), num_steps=4), sample)


@pytest.mark.parametrize(("leak", "reset", "start"), [(0.0, -0.2, 2.0), (0.25, 0.0, 2.5)])
def test_a_reset_elsewhere_is_a_start(strong, sample, leak: float, reset: float, start: float):
    options = {"v_leak": torch.tensor(leak), "v_reset": torch.tensor(reset), "v_th": torch.tensor(0.3)}
    cell = norse.LIFBoxCell(norse.LIFBoxParameters(**options))
    made = convert(norse.SequentialState(strong(16, 12), cell, nn.Linear(12, 3)), sample, num_steps=9)
    layer = made.network.layers[1]
    assert isinstance(layer, RefractoryLIF)
    assert (layer.rest, round(layer.start, 5)) == (0, start)
    assert made.check.rates[0] > 0


@pytest.mark.parametrize(("kind", "threshold", "amount"), [("IFNode", 0.5, 1.0), ("LIFNode", 1.0, 2.0)])
def test_a_soft_reset_starts_by_another_threshold(strong, sample, kind: str, threshold: float, amount: float):
    node: Any = getattr(neuron, kind)(v_reset=None)
    node.set_reset_value("v", 0.5)
    made = convert(nn.Sequential(strong(16, 12), node, nn.Linear(12, 3)), sample, num_steps=5)
    layer = made.network.layers[1]
    assert isinstance(layer, LIF)
    assert (layer.dynamics.threshold, layer.dynamics.drop) == (threshold, amount)
    assert made.check.rates[0] > 0


def test_a_start_above_the_threshold_is_a_start(strong, sample):
    options = {"v_leak": torch.tensor(0.25), "v_reset": torch.tensor(0.1), "v_th": torch.tensor(0.2)}
    cell = norse.LIFBoxCell(norse.LIFBoxParameters(**options))
    module = norse.SequentialState(strong(16, 12), cell, nn.Linear(12, 3))
    network = from_norse(module, sample, num_steps=4)
    state, total, far = None, torch.zeros(40, 3), 9.0 * torch.randn(40, 16)
    with torch.no_grad():
        for _ in range(4):
            found, state = module(far, state)
            total = total + found
        torch.testing.assert_close(network(far), total / 4)


def test_a_delayed_reset_that_loses_its_input_is_a_rest(strong, sample):
    """snnTorch's Lapicque resets to zero a step late, and loses what comes in then."""
    for neuron_kind in (
        snntorch.Lapicque(0.5, init_hidden=True, reset_mechanism="zero"),
        snntorch.Synaptic(0.7, 0.8, init_hidden=True, reset_mechanism="zero"),
    ):
        made = convert(nn.Sequential(strong(16, 12), neuron_kind, nn.Linear(12, 3)), sample, num_steps=5)
        (layer,) = made.network.neurons
        assert isinstance(layer, RefractoryLIF)
        assert layer.rest == 1
        assert made.check.rates[0] > 0
