"""Local receptive fields: where they lie, what they weigh, where thresholds start; training keeps them.

The firing start: every layer's currents get the mean and spread that are asked for, so that all layers fire.
"""

import math

import pytest
import torch
from torch import Tensor, nn

from spikecert.models import LIF, Recurrent, Residual, SpikingNetwork, Synapse, VariedLIF, mlp, strided
from spikecert.training import CertifiedLoss, CrossEntropy, LocalFields, dataset, fit, start_firing
from spikecert.training.settings import _blob, _fields


def first_weights(network: SpikingNetwork) -> Tensor:
    layer = next(module for module in network.layers if isinstance(module, nn.Linear))
    return layer.weight.detach()


def started(fields: LocalFields, images: Tensor, neurons: int = 200, theta: float = 0.7) -> SpikingNetwork:
    torch.manual_seed(0)
    network = mlp((images[0].numel(), neurons, 10), 2, LIF(0.5, theta))
    fields.start(network, images)
    return network


@pytest.mark.parametrize(("height", "width", "channels"), [(28, 28, 1), (8, 8, 1), (6, 9, 3), (1, 1, 2)])
def test_each_field_is_one_spot_of_one_channel_with_the_norm(height: int, width: int, channels: int) -> None:
    fields = LocalFields(height, width, 0.3, 1.5, opposed=0.0, norm=2.0, reach=2.0)
    weights, inside = _fields(fields, 300, channels * height * width)
    assert torch.equal(weights > 0, inside > 0)  # a blob has no other sign
    torch.testing.assert_close(weights.abs().sum(1), torch.full((300,), 2.0, dtype=torch.float64))
    spots = inside.view(300, channels, height, width)
    assert torch.equal(spots.flatten(2).any(2).sum(1), torch.ones(300, dtype=torch.long))
    seen = spots.any(1)
    for axis, size in ((2, height), (1, width)):
        line = seen.any(axis).double()  # rows, then columns, that the field touches
        places = torch.arange(size)
        extent = (line * places).amax(1) - torch.where(line > 0, places, size).amin(1)
        assert bool((extent <= 2 * 2.0 * 1.5).all())


def test_opposed_fields_sum_to_zero_and_are_the_share_asked_for() -> None:
    weights, _ = _fields(LocalFields(opposed=0.5), 2000, 784)
    negative = (weights < 0).any(1)
    assert 0.45 < float(negative.double().mean()) < 0.52
    torch.testing.assert_close(weights[negative].sum(1), torch.zeros(int(negative.sum())).double())


def test_each_neuron_is_at_its_threshold_on_one_image() -> None:
    images = dataset("digits").train.inputs
    network = started(LocalFields(8, 8), images, theta=0.7)
    layer = network.layers[0]
    assert isinstance(layer, nn.Linear)
    nearest = (layer(images) - 0.7).detach().abs().amin(0)
    assert float(nearest.max()) < 1e-5


def test_a_field_falls_off_as_a_gaussian_up_to_its_reach() -> None:
    middle, sigma = torch.full((1, 1, 1), 3.0).double(), torch.full((1, 1, 1), 1.5).double()
    (blob,) = _blob(LocalFields(7, 7, reach=1.5), middle, middle, sigma)
    for row, column in ((3, 3), (3, 4), (1, 3), (2, 4)):
        squared = (row - 3) ** 2 + (column - 3) ** 2
        assert float(blob[row, column]) == pytest.approx(math.exp(-squared / (2 * 1.5**2)))
    assert float(blob[3, 6]) == 0.0  # 3 pixels off, and 2.25 are reached


def test_a_narrow_field_between_pixels_keeps_the_nearest() -> None:
    middle, sigma = torch.full((1, 1, 1), 2.4).double(), torch.full((1, 1, 1), 0.001).double()
    (blob,) = _blob(LocalFields(5, 5), middle, middle, sigma)
    assert (float(blob[2, 2]), float(blob.sum())) == (1.0, 1.0)


def test_all_fields_may_have_one_size() -> None:
    equal = LocalFields(8, 8, smallest=1.0, largest=1.0)
    assert _fields(equal, 30, 64)[0].shape == (30, 64)
    with pytest.raises(ValueError, match=r"^largest: got 0\.9, expected a finite number of at least 1"):
        LocalFields(8, 8, smallest=1.0, largest=0.9)


def test_seeds_decide_and_repeat() -> None:
    images = dataset("digits").train.inputs
    one, again = (first_weights(started(LocalFields(8, 8), images)) for _ in range(2))
    assert torch.equal(one, again)
    assert not torch.equal(one, first_weights(started(LocalFields(8, 8, seed=1), images)))


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_fit_keeps_weights_outside_at_zero(optimizer: str) -> None:
    data, fields = dataset("digits"), LocalFields(8, 8, largest=1.0)
    network = started(fields, data.train.inputs, 32)
    outside = _fields(fields, 32, 64)[1] == 0
    assert bool(outside.any())
    for rule in (fields, None):
        run = fit(network, data, CrossEntropy(), epochs=1, optimizer=optimizer, after_step=rule)
        weights = first_weights(run.network)
        assert bool((weights[outside] == 0).all()) is (rule is not None)
        assert not torch.equal(weights[~outside], first_weights(network)[~outside])


@pytest.mark.parametrize(
    "first", [nn.Conv1d(1, 4, 1), nn.Conv2d(1, 4, 1), nn.Linear(9, 4), nn.Linear(4, 4, bias=False)]
)
def test_a_first_layer_that_has_no_fields_is_refused(first: nn.Module) -> None:
    network = SpikingNetwork(first, nn.Flatten(), LIF(), nn.Linear(4, 2), num_steps=2)
    with pytest.raises(ValueError, match=r"its first layer is .*, expected Linear over 2×2 pixels, with bias"):
        LocalFields(2, 2)(network)


def test_local_fields_certify_more_than_a_dense_start() -> None:
    """The same eight epochs of interval training, with and without the fields."""
    data, fields = dataset("digits"), LocalFields(8, 8, largest=1.5)
    torch.manual_seed(0)
    dense = mlp((64, 128, 10), 1, LIF(0.5))
    local = started(fields, data.train.inputs, 128, theta=1.0)
    objective = CertifiedLoss(0.05, bounds="trains")
    shares = [
        fit(network, data, objective, epochs=8, optimizer="adam", weight_decay=0.0, after_step=rule)
        .history[-1]
        .robust_accuracy
        for network, rule in ((dense, None), (local, fields))
    ]
    assert shares[0] is not None
    assert shares[1] is not None
    assert shares[1] > shares[0] + 0.05


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
