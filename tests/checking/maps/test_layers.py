# pyright: reportAttributeAccessIssue=false
"""Affine layers as the checker reads them are torch's own: the exact map, its box, and how far a run may stray."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from spikecert import LIF, Normalize, Share, SpikingNetwork, save
from spikecert.checking import Refused, read_network
from spikecert.checking.events.inputs import Inputs
from spikecert.checking.kernel.contexts import Context
from spikecert.checking.kernel.network import KernelNodes
from spikecert.checking.kernel.numbers import ONE
from spikecert.checking.maps.layers import Flatten, Unflatten
from spikecert.checking.network.graph import Through, arrange
from spikecert.checking.network.model import FORMAT
from spikecert.checking.numbers.exact import ARITHMETIC, Dyadic
from spikecert.models import AdaptiveAverage
from spikecert.models.files.storage import read_tensors, write_tensors
from support.exact_numbers import exact, made, values

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same'")


def conv(**options) -> nn.Module:
    return nn.Conv2d(2, 4, options.pop("size", 3), **options)


LAYERS = {
    "linear": ((5,), nn.Linear(5, 4)),
    "linear without bias": ((5,), nn.Linear(5, 4, bias=False)),
    "conv": ((2, 5, 6), conv()),
    "conv without bias": ((2, 5, 6), conv(bias=False)),
    "strides": ((2, 7, 6), conv(stride=(2, 3), padding=(1, 2))),
    "dilation": ((2, 7, 6), conv(dilation=(2, 1), padding=2)),
    "groups": ((2, 5, 5), conv(groups=2, padding=1)),
    "an even kernel, same": ((2, 5, 6), conv(size=(2, 4), padding="same")),
    "valid": ((2, 5, 6), conv(padding="valid")),
    "same, dilated": ((2, 5, 6), conv(size=(3, 2), dilation=(1, 3), padding="same")),
    "reflect": ((2, 5, 6), conv(padding=(2, 1), padding_mode="reflect")),
    "replicate": ((2, 3, 3), conv(padding=3, padding_mode="replicate")),
    "circular": ((2, 3, 4), conv(padding=(3, 2), padding_mode="circular")),
    "pool": ((2, 4, 6), nn.AvgPool2d(2)),
    "pool by 9": ((2, 7, 6), nn.AvgPool2d(3, stride=(2, 1))),
    "padded pool": ((2, 5, 5), nn.AvgPool2d(3, 2, padding=1)),
    "padding not counted": ((2, 5, 5), nn.AvgPool2d((3, 2), 2, padding=1, count_include_pad=False)),
    "rounded up": ((2, 5, 6), nn.AvgPool2d(2, 2, ceil_mode=True)),
    "rounded up, padded": ((2, 5, 7), nn.AvgPool2d(3, 2, padding=1, ceil_mode=True)),
    "rounded up, padded, not counted": (
        (2, 6, 7),
        nn.AvgPool2d((2, 3), (3, 2), padding=1, ceil_mode=True, count_include_pad=False),
    ),
    "a last window that would begin in the padding": ((1, 2, 3), nn.AvgPool2d(2, 3, padding=1, ceil_mode=True)),
    "transposed": ((2, 3, 2), nn.ConvTranspose2d(2, 3, (2, 3), (2, 1), (0, 1), (1, 0))),
    "transposed, groups": ((4, 2, 3), nn.ConvTranspose2d(4, 2, 2, 1, 1, 0, 2, False, (1, 2))),
    "transposed sequences": ((2, 4), nn.ConvTranspose1d(2, 2, 3, 2, 1, 1)),
    "zeros around": ((2, 3, 2), nn.ZeroPad2d((1, 0, -1, 2))),
    "zeros at both ends": ((2, 3), nn.ZeroPad1d((-1, 2))),
    "upsampling": ((2, 2, 3), nn.Upsample(scale_factor=(2, 4))),
    "upsampling of sequences": ((2, 3), nn.Upsample(scale_factor=2)),
    "pixel shuffle": ((8, 2, 3), nn.PixelShuffle(2)),
    "averages that overlap": ((2, 5, 3), AdaptiveAverage((5, 3), (3, 2))),
    "averages that repeat": ((2, 1, 2), AdaptiveAverage((1, 2), (3, 7))),
    "averages of sequences": ((2, 7), AdaptiveAverage((7,), (3,))),
    "batch norm": ((5,), nn.BatchNorm1d(5)),
    "batch norm over a sequence": ((3, 4), nn.BatchNorm1d(3)),
    "batch norm of images": ((2, 3, 4), nn.BatchNorm2d(2)),
    "batch norm without weights": ((2, 3, 4), nn.BatchNorm2d(2, affine=False, eps=0.01)),
    "share": ((2, 3), Share()),
    "normalisation": ((3, 2, 2), Normalize((0.49, 0.48, 0.45), (0.2, 0.21, 0.19))),
}


def filled(layer: nn.Module, dtype: torch.dtype, seed: int) -> nn.Module:
    """Return the layer with random weights and statistics, some of them large or tiny."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in layer.parameters():
        spread = 10.0 ** torch.randint(-3, 3, parameter.shape, generator=generator)
        parameter.data = (torch.randn(parameter.shape, generator=generator) * spread).to(dtype)
    if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d) and not isinstance(layer, Normalize):
        assert layer.running_mean is not None
        assert layer.running_var is not None
        layer.running_mean.copy_(torch.randn(layer.num_features, generator=generator) * 10)
        layer.running_var.copy_(10.0 ** (torch.rand(layer.num_features, generator=generator) * 12 - 8))
    return layer.to(dtype).eval()


def read(layer: nn.Module, shape, dtype, folder):
    """Return the layer as a node, and the shape behind it; a neuron and a Flatten follow it in the network."""
    with torch.no_grad():
        width = layer(torch.zeros(2, *shape, dtype=dtype))[0].numel()
    network = SpikingNetwork(layer, LIF(), nn.Flatten(), nn.Linear(width, 2).to(dtype), num_steps=1)
    save(network, folder / "network.safetensors")
    known = read_network(folder / "network.safetensors")
    return arrange(known, shape).nodes[1], known.arithmetic


@pytest.mark.parametrize("name", sorted(LAYERS))
@settings(max_examples=4)
@given(
    st.sampled_from([torch.float32, torch.float64]),
    st.integers(0, 2**31),
    st.sampled_from([1e-3, 1.0, 300.0]),
)
def test_a_layer_is_torchs_own_within_its_error(tmp_path_factory, name, dtype, seed, size):
    shape, layer = LAYERS[name]
    layer = filled(layer, dtype, seed)
    node, arithmetic = read(layer, shape, dtype, tmp_path_factory.mktemp("layers"))
    generator = torch.Generator().manual_seed(seed + 1)
    batch = torch.randn((8, *shape), generator=generator).sign() * size
    batch[4:] *= torch.rand((4, *shape), generator=generator)
    batch = batch.to(dtype)
    with torch.no_grad():
        run = exact(layer(batch).flatten(1)).T
        wide = layer.double()(batch.double()).flatten(1).T.numpy()
    layer.to(dtype)
    found, sizes = (
        made(node, exact(batch.flatten(1)).T),
        Dyadic.of(batch.flatten(1).abs().amax(0)[:, None].double()),
    )
    assert found.shape == run.shape
    assert np.allclose(found.astype(float), wide, rtol=1e-9, atol=1e-9 * np.abs(wide).max())
    assert np.all(abs(run - found) <= values(node.affine.measured(sizes, arithmetic)[1]))


@pytest.mark.parametrize(
    "name",
    [
        *("linear", "groups", "circular", "padding not counted", "batch norm of images"),
        *("transposed", "zeros around", "pixel shuffle"),
    ],
)
def test_the_box_and_the_pull_back_of_a_layer_are_exact(tmp_path, name):
    shape, layer = LAYERS[name]
    node, _ = read(filled(layer, torch.float32, 3), shape, torch.float32, tmp_path)
    assert isinstance(node, Through)
    generator, count = np.random.default_rng(0), node.affine.matrix.shape[1]
    low = generator.normal(size=(count, 1))
    high = low + generator.integers(0, 2, size=(count, 1))
    weight = np.stack([made(node, column[:, None])[:, 0] for column in np.eye(count, dtype=int).astype(object)], 1)
    bias = made(node, np.zeros((count, 1), dtype=int).astype(object))
    weight = weight - bias
    ends = np.minimum(weight * low.T, weight * high.T).sum(1), np.maximum(weight * low.T, weight * high.T).sum(1)
    middle, radius = (low + high) / 2, (high - low) / 2
    inputs = Inputs.around(middle.reshape(shape), radius.reshape(shape), -100.0, 100.0)
    context = Context(KernelNodes.over(read_network(tmp_path / "network.safetensors"), inputs), 1)
    found = context.spans(1, context.step(0))
    for side, expected in zip((found.low, found.high), ends, strict=True):
        assert np.allclose(np.array(side) / ONE, (expected + bias[:, 0]).astype(float), atol=1e-9)
    costs = generator.integers(-3, 4, size=(len(bias), 2))
    pulled = values(node.affine.matrix.T @ Dyadic.of(costs))
    assert np.all(abs(pulled - weight.T @ costs) == 0)
    assert np.all(values(node.affine.sizes @ Dyadic.of(np.ones((count, 1))))[:, 0] == abs(weight).sum(1))


def test_moduli_count_each_product_of_a_run(tmp_path):
    """Where padding repeats a pixel, weights may cancel; their roundings do not."""
    layer = nn.Conv2d(1, 1, (1, 3), padding=(0, 1), padding_mode="replicate")
    layer.load_state_dict({"weight": torch.tensor([[[[1.0, -1.0, 0.0]]]]), "bias": torch.zeros(1)})
    node, arithmetic = read(layer, (1, 1, 2), torch.float32, tmp_path)
    ones = Dyadic.of(np.ones((2, 1)))
    assert values(node.affine.moduli @ ones)[:, 0].tolist() == [2, 2]
    assert np.all(values(node.affine.measured(ones, arithmetic)[1]) >= 2 * arithmetic.gamma(3))
    assert values(node.affine.sizes @ ones)[:, 0].tolist() == [0, 2]


FLAT = {
    "all": (nn.Flatten(), (24,)),
    "the first two": (nn.Flatten(1, 2), (6, 4)),
    "the last two": (nn.Flatten(2), (2, 12)),
    "nothing": (nn.Flatten(2, 2), (2, 3, 4)),
}


@pytest.mark.parametrize("name", FLAT)
def test_flatten_is_torchs_own(tmp_path, name):
    layer, expected = FLAT[name]
    network = SpikingNetwork(nn.Conv2d(2, 2, 1), LIF(), layer, nn.Linear(24, 2), num_steps=1)
    save(network, tmp_path / "network.safetensors")
    known = read_network(tmp_path / "network.safetensors").layers[2]
    assert isinstance(known, Flatten)
    assert known.over((2, 3, 4), ARITHMETIC[np.dtype("<f4")])[1] == expected
    assert tuple(layer(torch.zeros(1, 2, 3, 4)).shape[1:]) == expected


def test_unflatten_is_torchs_own(tmp_path):
    layer = nn.Unflatten(-1, (2, -1))
    network = SpikingNetwork(nn.Linear(4, 6), layer, LIF(), nn.Flatten(), nn.Linear(6, 2), num_steps=1)
    save(network, tmp_path / "network.safetensors")
    known = read_network(tmp_path / "network.safetensors").layers[1]
    assert isinstance(known, Unflatten)
    assert known.over((6,), ARITHMETIC[np.dtype("<f4")]) == (None, (2, 3))
    for shape in ((7,), (2, 7)):
        with pytest.raises(Refused, match="does not fit"):
            known.over(shape, ARITHMETIC[np.dtype("<f4")])


def test_an_upsampling_whose_indices_may_round_has_no_proof_form(tmp_path):
    layers = nn.Conv2d(1, 1, 1), nn.Upsample(scale_factor=3), LIF(), nn.Flatten(), nn.Linear(36, 2)
    save(SpikingNetwork(*layers, num_steps=1), tmp_path / "network.safetensors")
    with pytest.raises(Refused, match="no proof form for an upsampling"):
        read_network(tmp_path / "network.safetensors")


WRONG = {
    "a field": (lambda layer: layer.update(bonus=1), "that is described otherwise"),
    "a type": (lambda layer: layer.update(type="Dropout"), "no proof form for a Dropout layer"),
    "a padding mode": (lambda layer: layer.update(padding_mode="mirror"), "that is not known"),
    "a named padding": (lambda layer: layer.update(padding="full"), "no proof form for padding 'full'"),
    "a stride of 0": (lambda layer: layer.update(stride=[0, 1]), "expected at least 1"),
    "a negative padding": (lambda layer: layer.update(padding=[-1, 0]), "expected at least 0"),
    "a number for a pair": (lambda layer: layer.update(dilation=1.5), "expected a pair of integers"),
    "groups": (lambda layer: layer.update(groups=2), "groups that do not fit"),
    "another size": (lambda layer: layer.update(kernel_size=[2, 3]), "a weight of another size"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_layer_that_is_described_wrongly_is_refused(tmp_path, name):
    change, message = WRONG[name]
    network = SpikingNetwork(nn.Conv2d(1, 1, 2), LIF(), nn.Flatten(), nn.Linear(4, 2), num_steps=1)
    save(network, tmp_path / "network.safetensors")
    text, tensors = read_tensors(tmp_path / "network.safetensors", FORMAT)
    description = json.loads(text)
    change(description["layers"][0])
    write_tensors(tmp_path / "network.safetensors", FORMAT, json.dumps(description), tensors)
    with pytest.raises(Refused, match=message):
        read_network(tmp_path / "network.safetensors")


UNFIT = {
    "too few channels": (1, 3, 3),
    "no image": (9,),
    "a kernel larger than the image": (2, 1, 1),
    "another size for the Linear layer": (2, 4, 4),
}


@pytest.mark.parametrize("name", UNFIT)
def test_inputs_that_do_not_fit_are_refused(tmp_path, name):
    network = SpikingNetwork(nn.Conv2d(2, 1, 2), LIF(), nn.Flatten(), nn.Linear(4, 2), num_steps=1)
    save(network, tmp_path / "network.safetensors")
    with pytest.raises(Refused, match=r"fit|larger than its image"):
        arrange(read_network(tmp_path / "network.safetensors"), UNFIT[name])


def test_a_tensor_that_belongs_to_no_layer_is_refused(tmp_path):
    save(SpikingNetwork(nn.Linear(2, 2), LIF(), nn.Linear(2, 2), num_steps=1), tmp_path / "network.safetensors")
    text, tensors = read_tensors(tmp_path / "network.safetensors", FORMAT)
    write_tensors(tmp_path / "network.safetensors", FORMAT, text, tensors | {"layers.1.delay": torch.ones(2)})
    with pytest.raises(Refused, match=r"layers\.1\.delay, which belongs to no layer"):
        read_network(tmp_path / "network.safetensors")
