"""AT+Reg's step of the weights: what it leaves alone, where it leads, and its place in `fit`."""

import pytest
import torch
from torch import Tensor, nn

from spikecert.models import LIF, Residual, Share, SpikingNetwork, mlp
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


def test_a_share_of_the_rows_of_large_dense_layers() -> None:
    """Of 200 rows 60 move, as if they were the matrix; a layer of 199 and a convolution move whole."""
    torch.manual_seed(0)
    layers = nn.Linear(50, 200), nn.Linear(50, 199), nn.Conv2d(2, 250, 2)
    before = [flattened(layer).clone() for layer in layers]
    rule = Retraction(0.1, share=0.3)
    rule(nn.ModuleList(layers), torch.Generator().manual_seed(0))
    moved = [(flattened(layer) != old).any(1) for layer, old in zip(layers, before, strict=True)]
    assert [int(rows.sum()) for rows in moved] == [60, 199, 250]
    alone = nn.Linear(50, 60)
    alone.weight.data = before[0][moved[0]]
    Retraction(0.1)(alone)
    torch.testing.assert_close(flattened(layers[0])[moved[0]], flattened(alone))


def test_rows_come_from_the_generator() -> None:
    torch.manual_seed(0)
    start, found = nn.Linear(30, 300), []
    for seed in (1, 1, 2):
        layer = nn.Linear(30, 300)
        layer.load_state_dict(start.state_dict())
        Retraction(0.1, 0.3)(layer, torch.Generator().manual_seed(seed))
        found.append(flattened(layer))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


@pytest.mark.parametrize(
    ("shares", "expected"),
    [((0.7, 0.5), (0.6, 0.4)), ((0.25, 0.75), (0.25, 0.75)), ((1.5, 0.2), (1.0, 0.0)), ((-2.0, 0.0), (0.0, 1.0))],
)
def test_shares_stay_on_the_simplex(shares: tuple[float, float], expected: tuple[float, float]) -> None:
    """The nearest pair on the simplex; a share that stands alone is left as it is."""
    branch, shortcut, alone = (Share(value) for value in (*shares, 3.0))
    sums = Residual([nn.Linear(2, 2), branch], [shortcut])
    Retraction(0.1)(SpikingNetwork(nn.Linear(3, 2), sums, Residual([alone]), num_steps=1))
    torch.testing.assert_close(torch.cat((branch.share, shortcut.share)).detach(), torch.tensor(expected))
    assert float(alone.share.detach()) == 3.0
