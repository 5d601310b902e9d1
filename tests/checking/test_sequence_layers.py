# pyright: reportArgumentType=false, reportOptionalMemberAccess=false
"""Layers of sequences (channels, length) as the checker reads them are torch's own."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from spikecert import LIF, LInf, SpikingNetwork, save
from spikecert.certify.proofs import Prover
from spikecert.checking import Refused, check, read_network
from spikecert.checking.maps.layers import read_layer
from spikecert.checking.network.graph import Through
from spikecert.checking.network.model import FORMAT as NETWORK
from spikecert.checking.numbers.exact import ARITHMETIC, Dyadic
from spikecert.checking.short import FORMAT as PROOF
from spikecert.models.files.storage import read_tensors, write_tensors
from support.exact_numbers import exact, made, values

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same'")

SINGLE, DOUBLE = ARITHMETIC[np.dtype("<f4")], ARITHMETIC[np.dtype("<f8")]


def conv(size=3, **options) -> nn.Conv1d:
    return nn.Conv1d(4, 4, size, **options)


LAYERS = {
    "conv": conv(),
    "conv without bias": conv(bias=False),
    "stride and padding": conv(stride=2, padding=2),
    "dilation": conv(2, dilation=3),
    "groups": conv(groups=2, padding=1),
    "a channel a group": nn.Conv1d(4, 8, 3, groups=4),
    "same": conv(4, padding="same"),
    "same, dilated": conv(3, padding="same", dilation=2),
    "valid": conv(padding="valid"),
    "reflect": conv(padding=2, padding_mode="reflect"),
    "replicate": conv(padding=3, padding_mode="replicate"),
    "circular": conv(5, padding=4, padding_mode="circular"),
    "pool": nn.AvgPool1d(2),
    "pool by 3": nn.AvgPool1d(3, stride=1),
    "padded pool": nn.AvgPool1d(4, 2, padding=2),
    "padding not counted": nn.AvgPool1d(3, 2, padding=1, count_include_pad=False),
    "rounded up": nn.AvgPool1d(4, 3, ceil_mode=True),
    "rounded up, padded": nn.AvgPool1d(4, 3, padding=1, ceil_mode=True),
    "rounded up, padded, not counted": nn.AvgPool1d(4, 3, padding=2, ceil_mode=True, count_include_pad=False),
    "batch norm": nn.BatchNorm1d(4),
    "batch norm without weights": nn.BatchNorm1d(4, affine=False),
}
FIELDS = {
    nn.Conv1d: (
        "in_channels",
        "out_channels",
        "kernel_size",
        "stride",
        "padding",
        "dilation",
        "groups",
        "padding_mode",
    ),
    nn.AvgPool1d: ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad"),
    nn.BatchNorm1d: ("num_features", "eps", "momentum", "affine"),
}


def described(layer: nn.Module) -> dict:
    """Return the layer as a model file describes it: lists for tuples."""
    found = {name: getattr(layer, name) for name in FIELDS[type(layer)]}
    found = {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}
    bias = {"bias": layer.bias is not None} if isinstance(layer, nn.Conv1d) else {}
    return {"type": type(layer).__name__, **found, **bias}


def read(layer: nn.Module, dtype: torch.dtype):
    """Return the checker's layer, in the arithmetic of a dtype."""
    tensors = {f"layers.0.{name}": x.to(dtype).numpy() for name, x in layer.state_dict().items()}
    known = read_layer(tensors, "layers.0", described(layer))
    assert not tensors
    return known


def filled(layer: nn.Module, generator: torch.Generator) -> nn.Module:
    """Return the layer in float64 with small whole numbers; a batch norm's variances are squares."""
    for parameter in layer.parameters():
        parameter.data = torch.randint(-8, 9, parameter.shape, generator=generator).float()
    if isinstance(layer, nn.BatchNorm1d):
        layer.eps = 0.0
        assert layer.running_mean is not None
        assert layer.running_var is not None
        layer.running_mean.copy_(torch.randint(-8, 9, (4,), generator=generator))
        layer.running_var.copy_(4.0 ** torch.randint(0, 3, (4,), generator=generator))
    return layer.double().eval()


@pytest.mark.parametrize("length", [6, 7, 9])
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_of_sequences_is_torchs_own(name, length):
    generator = torch.Generator().manual_seed(length)
    layer = filled(LAYERS[name], generator)
    affine, shape = read(layer, torch.float64).over((4, length), DOUBLE)
    batch = torch.randint(-20, 21, (3, 4, length), generator=generator).double()
    with torch.no_grad():
        run = layer(batch)
    assert shape == tuple(run.shape[1:])
    found = made(Through(0, affine), exact(batch.flatten(1)).T)
    whole = not isinstance(layer, nn.AvgPool1d)  # sums of whole numbers are exact, quotients by 3 are not
    assert np.all(abs(found - exact(run.flatten(1)).T) <= (0 if whole else 1e-14))


@pytest.mark.parametrize("name", LAYERS)
def test_a_run_in_float32_is_within_the_layers_error(name):
    generator = torch.Generator().manual_seed(0)
    layer = filled(LAYERS[name], generator).float()
    for parameter in layer.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator)
    affine, _ = read(layer, torch.float32).over((4, 7), SINGLE)
    batch = torch.randn(8, 4, 7, generator=generator)
    with torch.no_grad():
        run = exact(layer(batch).flatten(1)).T
    sizes = Dyadic.of(batch.flatten(1).abs().amax(0)[:, None].double())
    found = made(Through(0, affine), exact(batch.flatten(1)).T)
    assert np.all(abs(run - found) <= values(affine.measured(sizes, SINGLE)[1]))


def test_plain_integers_describe_the_same_layer():
    layer = filled(nn.Conv1d(4, 2, 3, stride=2, padding=1, dilation=2), torch.Generator().manual_seed(1))
    text = described(layer)
    plain = {name: value[0] if isinstance(value, list) else value for name, value in text.items()}
    tensors = {f"0.{name}": x.numpy() for name, x in layer.state_dict().items()}
    listed, single = (read_layer(dict(tensors), "0", each).over((4, 9), DOUBLE) for each in (text, plain))
    assert listed[1] == single[1]
    assert np.array_equal(listed[0].matrix.ints, single[0].matrix.ints)


WRONG = {
    "a pair": ({"kernel_size": [3, 3]}, "expected one integer"),
    "a float": ({"stride": 1.5}, "expected one integer"),
    "a stride of 0": ({"stride": [0]}, "expected at least 1"),
    "a negative padding": ({"padding": [-1]}, "expected at least 0"),
    "another size": ({"kernel_size": [2]}, "a weight of another size"),
    "groups": ({"groups": 3}, "groups that do not fit"),
    "a padding mode": ({"padding_mode": "mirror"}, "not known"),
    "a field": ({"bonus": 1}, "that is described otherwise"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_layer_of_sequences_that_is_described_wrongly_is_refused(name):
    change, message = WRONG[name]
    layer = conv()
    tensors = {f"0.{name}": x.numpy() for name, x in layer.state_dict().items()}
    with pytest.raises(Refused, match=message):
        read_layer(tensors, "0", described(layer) | change)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("conv", (4, 2)),
        ("conv", (4,)),
        ("conv", (4, 1, 7)),
        ("conv", (3, 7)),
        ("pool", (28,)),
        ("pool", (4, 1, 6)),
    ],
)
def test_sequences_that_do_not_fit_are_refused(name, shape):
    with pytest.raises(Refused, match=r"fit|larger than its image"):
        read(LAYERS[name], torch.float32).over(shape, SINGLE)


@pytest.mark.parametrize(("layer", "shape"), [(nn.BatchNorm2d(4), (4, 7)), (nn.BatchNorm1d(4), (4, 1, 7))])
def test_a_batch_norm_of_another_shape_is_refused(layer, shape):
    fields = {name: getattr(layer, name) for name in FIELDS[nn.BatchNorm1d]}
    tensors = {f"0.{name}": tensor.numpy() for name, tensor in layer.state_dict().items()}
    made = read_layer(tensors, "0", {"type": type(layer).__name__, **fields})
    with pytest.raises(Refused, match="does not fit its inputs"):
        made.over(shape, SINGLE)


def test_a_weight_of_images_is_refused():
    weight = {"0.weight": np.zeros((4, 4, 1, 3), "<f4"), "0.bias": np.zeros(4, "<f4")}
    with pytest.raises(Refused, match="a weight of another size"):
        read_layer(weight, "0", described(conv()))


def of_images(layer: nn.Conv1d | nn.AvgPool1d) -> dict:
    """Return the description of the same layer over images of height 1."""
    heights = {"kernel_size": 1, "stride": 1, "dilation": 1, "padding": 0}
    found = described(layer)
    sizes = {name: [one, found[name][0]] for name, one in heights.items() if name in found}
    return found | sizes | {"type": found["type"].replace("1d", "2d")}


def test_a_proof_over_images_of_height_1_is_one_over_sequences(tmp_path):
    """The same numbers, described as layers of images and as layers of sequences, have the same proof."""
    torch.manual_seed(0)
    images = (
        nn.Conv2d(2, 4, (1, 3), padding=(0, 1)),
        nn.BatchNorm2d(4),
        LIF(0.9),
        nn.AvgPool2d((1, 2), (1, 2), (0, 0)),
    )
    network = SpikingNetwork(*images, nn.Flatten(), nn.Linear(16, 3), num_steps=4).eval()
    sample = torch.rand(2, 1, 8)
    label = int(network(sample[None]).argmax())
    model, proof = tmp_path / "network.safetensors", tmp_path / "sample.proof"
    save(network, model)
    Prover.of(network).prove(sample, label, LInf(1e-3), 20.0).save(proof)
    before = check(proof, model)
    text, tensors = read_tensors(model, NETWORK)
    description = json.loads(text)
    layers = nn.Conv1d(2, 4, 3, padding=1), nn.AvgPool1d(2)
    assert [description["layers"][place] for place in (0, 3)] == [of_images(layer) for layer in layers]
    description["layers"][0], description["layers"][3] = map(described, layers)
    description["layers"][1]["type"] = "BatchNorm1d"
    tensors["layers.0.weight"] = tensors["layers.0.weight"].squeeze(2)
    write_tensors(model, NETWORK, json.dumps(description), tensors)
    claim, parts = read_tensors(proof, PROOF)
    claimed = json.dumps(json.loads(claim) | {"network": read_network(model).digest})
    write_tensors(proof, PROOF, claimed, parts | {"sample": parts["sample"].squeeze(1)})
    found = check(proof, model)
    assert found.sample.shape == (2, 8)
    assert (found.label, found.margin, found.leaves) == (label, before.margin, before.leaves)
