"""The firing start: every layer's currents get the mean and spread that are asked for, so that all layers fire."""

import pytest
import torch
from torch import nn

from spikecert.models import LIF, Recurrent, Residual, SpikingNetwork, Synapse, VariedLIF, mlp, strided
from spikecert.training import start_firing


def counting(threshold: float = 1.0) -> LIF:
    return LIF(1.0, threshold, reset="subtract")


@pytest.mark.parametrize("threshold", [1.0, 0.3])
def test_currents_have_the_mean_and_the_spread(threshold: float) -> None:
    torch.manual_seed(0)
    network, images = strided((1, 12, 12), 3, 4, counting(threshold), (4, 6, 9)), torch.rand(300, 1, 12, 12)
    start_firing(network, images, mean=0.25, spread=0.6)
    for current in network.trace(images).currents:
        channels = current.detach().transpose(0, 2).flatten(1)
        torch.testing.assert_close(channels.mean(1), torch.full((channels.shape[0],), 0.25 * threshold))
        torch.testing.assert_close(
            channels.std(1, correction=0), torch.full((channels.shape[0],), 0.6 * threshold)
        )


def test_all_layers_fire_where_the_usual_weights_are_silent() -> None:
    torch.manual_seed(0)
    network, images = strided((1, 28, 28), 10, 4, counting(), (8, 8, 8, 16)), torch.rand(50, 1, 28, 28)
    assert not network.trace(images).spikes[-1].any()
    start_firing(network, images)
    rates = [float(spikes.detach().mean()) for spikes in network.trace(images).spikes]
    assert all(0.1 < rate < 0.5 for rate in rates)


def test_one_image_is_enough() -> None:
    network = strided((1, 8, 8), 3, 2, counting(), (2, 3))
    start_firing(network, torch.rand(1, 1, 8, 8))
    assert all(bool(weight.isfinite().all()) for weight in network.parameters())
    with pytest.raises(ValueError, match=r"^inputs: "):
        start_firing(network, torch.rand(0, 1, 8, 8))


def test_a_dead_input_leaves_finite_weights() -> None:
    network = mlp((3, 4, 2), 2, counting())
    start_firing(network, torch.zeros(20, 3))
    assert all(bool(weight.isfinite().all()) for weight in network.parameters())
    torch.testing.assert_close(network.trace(torch.zeros(2, 3)).currents[0], torch.full((2, 2, 4), 0.3))


@pytest.mark.parametrize(
    ("network", "told"),
    [
        (SpikingNetwork(nn.Linear(3, 3), nn.BatchNorm1d(3), LIF(), nn.Linear(3, 2), num_steps=2), "BatchNorm1d"),
        (SpikingNetwork(nn.Linear(3, 3), Residual([nn.Linear(3, 3)]), LIF(), num_steps=2), "Residual"),
        (SpikingNetwork(nn.Linear(3, 3), LIF(), LIF(), nn.Linear(3, 2), num_steps=2), "LIF"),
        (SpikingNetwork(nn.Linear(3, 4), nn.AvgPool1d(2), LIF(), nn.Linear(2, 2), num_steps=2), "LIF"),
        (SpikingNetwork(nn.Linear(3, 3), Synapse(0.5), LIF(), nn.Linear(3, 2), num_steps=2), "Synapse"),
        (SpikingNetwork(nn.Linear(3, 3), Residual([LIF()]), nn.Linear(3, 2), num_steps=2), "Residual"),
        (SpikingNetwork(nn.Linear(3, 3), Recurrent(LIF(), nn.Linear(3, 3)), num_steps=2), "Recurrent"),
        (SpikingNetwork(nn.Linear(3, 2), VariedLIF(0.5, torch.tensor([1.0, 2.0])), num_steps=2), "VariedLIF"),
        (SpikingNetwork(nn.Linear(3, 3, bias=False), LIF(), nn.Linear(3, 2), num_steps=2), "LIF"),
    ],
)
def test_other_networks_are_refused(network: SpikingNetwork, told: str) -> None:
    with pytest.raises(ValueError, match=rf"^network: got {told}, expected a chain"):
        start_firing(network, torch.rand(5, 3))
