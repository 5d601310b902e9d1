"""AT+Reg's step of the weights: what it leaves alone, where it leads, and its place in `fit`."""

import pytest
import torch
from torch import Tensor, nn

from spikecert.models import LIF, SpikingNetwork, mlp
from spikecert.training import CrossEntropy, Retraction, dataset, fit


def orthonormal(rows: int, columns: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    tall = torch.linalg.qr(torch.randn(max(rows, columns), min(rows, columns), generator=generator).double())[0]
    return tall.T if rows < columns else tall


def flattened(layer: nn.Module) -> Tensor:
    assert isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d)
    return layer.weight.detach().flatten(1)


LAYERS = [nn.Linear(9, 4), nn.Linear(4, 9), nn.Conv2d(2, 5, 3), nn.Conv2d(1, 12, 3), nn.Conv1d(3, 4, 2)]


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_orthonormal_weights_are_fixed_points(layer: nn.Linear | nn.Conv1d | nn.Conv2d) -> None:
    layer.double()
    layer.weight.data = orthonormal(*flattened(layer).shape).reshape(layer.weight.shape)
    before = layer.weight.detach().clone()
    for _ in range(50):
        Retraction(0.3)(layer)
    torch.testing.assert_close(layer.weight.detach(), before, rtol=0, atol=1e-13)


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_singular_values_move_as_stated_and_go_to_one(layer: nn.Linear | nn.Conv1d | nn.Conv2d) -> None:
    torch.manual_seed(0)
    layer.double().reset_parameters()
    values, rule = torch.linalg.svdvals(flattened(layer)), Retraction(0.1)
    assert bool((values - 1).abs().max() > 0.1)
    rule(layer)
    expected = values + 0.1 * values * (1 - values**2)
    torch.testing.assert_close(torch.linalg.svdvals(flattened(layer)), expected.sort(descending=True).values)
    for _ in range(300):
        rule(layer)
    torch.testing.assert_close(torch.linalg.svdvals(flattened(layer)), torch.ones_like(values))


def test_only_weights_move() -> None:
    torch.manual_seed(0)
    network = SpikingNetwork(nn.Linear(4, 3), nn.BatchNorm1d(3), LIF(), nn.Linear(3, 2), num_steps=2)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    Retraction(0.1)(network)
    moved = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved == {"layers.0.weight", "layers.3.weight"}


def test_fit_retracts_after_each_step() -> None:
    """A strong retraction without weight decay ends near orthonormal rows; training alone does not."""
    torch.manual_seed(0)
    network, data = mlp((64, 32, 10), 4, LIF(0.9)), dataset("digits")
    distances = []
    for rule in (Retraction(0.2), None):
        run = fit(network, data, CrossEntropy(), epochs=2, weight_decay=0.0, learning_rate=0.02, after_step=rule)
        distances.append(float((torch.linalg.svdvals(flattened(run.network.layers[0])) - 1).abs().max()))
    assert distances[0] < 0.05 < distances[1]
