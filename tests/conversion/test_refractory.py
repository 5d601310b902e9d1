"""Neurons that rest behind their spikes, or start elsewhere: what they become, and what is refused."""

from importlib import import_module
from typing import Any

import pytest
import torch
from spikingjelly.activation_based import neuron
from torch import Tensor, nn

from spikecert import ConversionRefused, convert, from_norse
from spikecert.models import LIF, RefractoryLIF

norse: Any = import_module("norse.torch")


def resting(rho: float, threshold: float = 0.1) -> Any:
    """Return a cell of λ = .9 and κ = .8."""
    inner = norse.LIFParameters(v_th=torch.tensor(threshold))
    return norse.LIFRefracCell(norse.LIFRefracParameters(inner, torch.tensor(rho)))


@pytest.mark.parametrize("rho", [1.0, 2.5, 50.0])
def test_a_rest_that_is_counted_down_is_refused(strong, sample, rho: float):
    module = norse.SequentialState(strong(16, 12), resting(rho), nn.Linear(12, 3))
    with pytest.raises(ConversionRefused):
        from_norse(module, sample, num_steps=9)


class First(nn.Module):
    """Spikes of Norse's latency encoder, one for each input, and a dense layer."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.encoder = norse.SpikeLatencyLIFEncoder(steps, norse.LIFParameters(v_th=torch.tensor(0.2)))
        self.last = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.last(spikes) for spikes in self.encoder(x)])


def test_a_latency_encoder_is_refused(sample):
    with pytest.raises(ConversionRefused):
        convert(First(7), sample)


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


def test_starts_that_no_layer_has_are_refused(strong, sample):
    options = {"v_leak": torch.tensor(0.25), "v_reset": torch.tensor(0.1), "v_th": torch.tensor(0.2)}
    cell = norse.LIFBoxCell(norse.LIFBoxParameters(**options))
    with pytest.raises(ConversionRefused):
        from_norse(norse.SequentialState(strong(16, 12), cell, nn.Linear(12, 3)), sample, num_steps=4)
