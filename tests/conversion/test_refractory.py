"""Norse's neurons that rest behind their spikes: what they become, and what is refused."""

from importlib import import_module
from typing import Any

import pytest
import torch
from spikingjelly.activation_based import neuron
from torch import Tensor, nn

from spikecert import ConversionRefused, check_conversion, convert, from_norse, to_nir
from spikecert.models import LIF, RefractoryLIF, Synapse

norse: Any = import_module("norse.torch")


def resting(rho: float, threshold: float = 0.1) -> Any:
    """Return a cell of λ = .9 and κ = .8."""
    inner = norse.LIFParameters(v_th=torch.tensor(threshold))
    return norse.LIFRefracCell(norse.LIFRefracParameters(inner, torch.tensor(rho)))


@pytest.mark.parametrize(("rho", "steps"), [(1.0, 1), (2.5, 3), (5.0, 5), (50.0, 50)])
def test_a_cell_rests_as_long_as_its_rho_lasts(strong, sample, rho: float, steps: int):
    module = norse.SequentialState(strong(16, 12), resting(rho), strong(12, 8), resting(rho), nn.Linear(8, 3))
    made = convert(module, sample, num_steps=9)
    layers = [layer for layer in made.network.layers if isinstance(layer, RefractoryLIF)]
    assert [layer.rest for layer in layers] == [steps, steps]
    assert sum(isinstance(layer, Synapse) for layer in made.network.layers) == 2
    assert min(made.check.rates) > 0
    drawn = torch.rand(40, 16, generator=torch.Generator().manual_seed(5))
    assert check_conversion(module, made.network, drawn, num_steps=9).matches


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


def test_a_latency_encoder_rests_for_good(sample):
    made = convert(First(7), sample)
    first = made.network.layers[0]
    assert isinstance(first, RefractoryLIF)
    assert first.rest == 7
    assert float(made.network.trace(sample).spikes[0].sum(0).max()) == 1.0


def other_step(module: Any) -> Any:
    step = module[1].activation
    module[1].activation = lambda *given: step(*given)
    return module


def test_what_does_not_rest_so_is_refused(strong, sample):
    module = norse.SequentialState(strong(16, 12), resting(2.0, 1e6), nn.Linear(12, 3))
    with pytest.raises(ConversionRefused, match="has an activation '<lambda>' of its own"):
        from_norse(other_step(module), sample, num_steps=4)
    with pytest.raises(ConversionRefused, match="rho_reset that is not finite"):
        from_norse(norse.SequentialState(strong(16, 12), resting(float("nan"))), sample, num_steps=4)
    with pytest.raises(ConversionRefused, match="LIFRefracRecurrentCell"):
        from_norse(norse.SequentialState(norse.LIFRefracRecurrentCell(16, 12)), sample, num_steps=4)
    module = norse.SequentialState(strong(16, 12), resting(2.0), nn.Linear(12, 3))
    network = from_norse(module, sample, num_steps=4)
    with pytest.raises((TypeError, ConversionRefused), match="Refractory"):
        to_nir(network, sample)


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
    with pytest.raises(ConversionRefused, match=r"starts from 0\.25, which is not below its threshold"):
        from_norse(norse.SequentialState(strong(16, 12), cell, nn.Linear(12, 3)), sample, num_steps=4)
