"""The paper's networks for images: their layers, their sizes, and the normalisation in front of them."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from spikecert.models import (
    DLIF,
    LIF,
    Normalize,
    Share,
    SpikingNetwork,
    architecture,
    load,
    network_hash,
    save,
    strided,
    vgg5,
    vgg11,
    wrn16_4,
)
from spikecert.models.elements.layers import walk

Builder = Callable[..., SpikingNetwork]
BUILDERS = {"vgg5": vgg5, "vgg11": vgg11, "wrn16_4": wrn16_4}
SMALL = 1 / 16


def widths(network: SpikingNetwork) -> list[str]:
    """Return convolutions and dense layers as "c" and "d" with their widths, and pools as "p"."""
    found: list[str] = []
    for layer in walk(network.layers):
        if isinstance(layer, nn.AvgPool2d):
            found.append("p")
        elif isinstance(layer, nn.Conv2d | nn.Linear):
            found.append(f"{'c' if isinstance(layer, nn.Conv2d) else 'd'}{len(layer.weight)}")
    return found


def parameters(build: Builder, classes: int) -> int:
    with torch.device("meta"):  # sizes alone: the full networks hold up to 245 MB
        network = build(classes=classes, normalize=None)
    return sum(parameter.numel() for parameter in network.parameters())


def test_vgg_has_the_papers_layers() -> None:
    eleven = "c4 p c8 c16 p c32 c32 c32 p c32 c32 d256 d256 d10"
    assert widths(vgg11(width=SMALL)) == eleven.split()
    assert widths(vgg5(width=SMALL, classes=100)) == ["c4", "p", "c8", "c8", "p", "d256", "d256", "d100"]
    kinds = [type(layer).__name__ for layer in vgg5(width=SMALL).layers]
    block = ["Conv2d", "BatchNorm2d", "LIF"]
    pool, head = ["AvgPool2d"], ["Flatten", "Linear", "LIF", "Linear", "LIF", "Linear"]
    assert kinds == ["Normalize", *block, *pool, *block, *block, *pool, *head]


def test_the_wide_residual_network_is_sixteen_layers_deep() -> None:
    network = wrn16_4(width=SMALL)
    found = list(walk(network.layers))
    sides = [layer.kernel_size[0] for layer in found if isinstance(layer, nn.Conv2d)]
    assert (sides.count(3), sides.count(1)) == (13, 3)  # depth 16 = 6·2 + 4: the shortcuts count
    assert len(network.neurons) == 13
    before = [type(a) for a, b in itertools.pairwise(found) if isinstance(b, LIF)]
    assert set(before) == {nn.BatchNorm2d}


@pytest.mark.parametrize(("build", "count"), [(vgg5, 50_604_362), (vgg11, 61_374_026), (wrn16_4, 2_748_890)])
def test_full_sizes(build: Builder, count: int) -> None:
    """WRN16-4 has the 2.7 million of its authors."""
    assert parameters(build, 10) == count


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (2, 9, 14)])
def test_any_image_that_fits(build: Builder, shape: tuple[int, int, int]) -> None:
    network = build(shape, 7, num_steps=2, width=SMALL)
    assert network(torch.rand(2, *shape)).shape == (2, 7)


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
def test_they_run_as_the_plain_recursion(build: Builder, reference_logits: Callable[..., torch.Tensor]) -> None:
    torch.manual_seed(0)
    network = build((3, 8, 8), 5, 3, DLIF(3, 0.9, 0.3), width=SMALL).double()
    inputs = torch.rand(3, 3, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(network(inputs), reference_logits(network, inputs))
    assert any(bool(0.05 < spikes.mean() < 0.95) for spikes in network.trace(inputs).spikes[1:])


def test_the_papers_start() -> None:
    """Convolutions of variance 2/fan_out, dense layers as torch's with a bias of 0; by default otherwise."""
    torch.manual_seed(0)
    network = vgg5(width=0.25, initialization="paper", convolution_bias=True)
    for layer in walk(network.layers):
        if isinstance(layer, nn.Conv2d):
            assert float(layer.weight.detach().std()) == pytest.approx(
                (2 / (9 * layer.out_channels)) ** 0.5, rel=0.1
            )
            assert layer.bias is not None
        elif isinstance(layer, nn.Linear):
            assert float(layer.weight.detach().abs().max()) == pytest.approx(layer.in_features**-0.5, rel=0.01)
            assert not layer.bias.any()
    plain = vgg5(width=0.25)
    assert all(layer.bias is None for layer in plain.layers if isinstance(layer, nn.Conv2d))
    dense = next(layer for layer in plain.layers if isinstance(layer, nn.Linear))
    assert float(dense.weight.detach().std()) == pytest.approx((2 / dense.in_features) ** 0.5, rel=0.05)


def test_a_wide_residual_network_with_shares(tmp_path: Path) -> None:
    """Each sum is convex at the start, trains, and comes back from a file; shares of 1 make the plain sum."""
    torch.manual_seed(0)
    shared = wrn16_4((3, 8, 8), 5, 3, LIF(0.9, 0.3), width=SMALL, residual="shares").eval()
    shares = [layer for layer in walk(shared.layers) if isinstance(layer, Share)]
    assert [float(layer.share.detach()) for layer in shares] == [0.5] * 12
    inputs = torch.rand(4, 3, 8, 8)
    save(shared, tmp_path / "n")
    assert torch.equal(load(tmp_path / "n")(inputs), shared(inputs))
    torch.nn.functional.cross_entropy(shared(inputs), torch.arange(4)).backward()
    assert any(bool(layer.share.grad.any()) for layer in shares if layer.share.grad is not None)
    plain = wrn16_4((3, 8, 8), 5, 3, LIF(0.9, 0.3), width=SMALL).eval()
    plain.load_state_dict({name: tensor for name, tensor in shared.state_dict().items() if "share" not in name})
    for layer in shares:
        nn.init.ones_(layer.share)
    assert torch.equal(plain(inputs), shared(inputs))


def test_architecture_strings_take_the_settings() -> None:
    assert architecture("vgg5:1/16", (3, 8, 8), 4, convolution_bias=True).layers[1].bias is not None
    with pytest.raises(ValueError, match=r"^residual: vgg5 has no such setting, but convolution_bias, init"):
        architecture("vgg5", (3, 8, 8), 4, residual="shares")
    with pytest.raises(ValueError, match=r"^residual: got 'product'"):
        architecture("wrn16_4:1/16", (3, 8, 8), 4, residual="product")
    with pytest.raises(ValueError, match=r"^initialization: mlp has no such setting, but none"):
        architecture("mlp:4", (4,), 2, initialization="paper")


def test_strided_networks_halve_the_image_and_have_no_pool() -> None:
    network = architecture("strided:4-6-9", (3, 12, 12), 5, 3, LIF(1.0, reset="subtract"))
    weights = [tuple(layer.weight.shape) for layer in network.layers if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert weights == [(4, 3, 4, 4), (6, 4, 4, 4), (9, 6 * 3 * 3), (5, 9)]
    assert network(torch.rand(2, 3, 12, 12)).shape == (2, 5)
    assert len({id(neuron) for neuron in network.neurons}) == 3
    for widths in ((4,), (4, 0), ()):
        with pytest.raises(ValueError, match=r"^widths: got \("):
            strided(widths=widths)
    with pytest.raises(ValueError, match=r"^input_shape: got \(1, 3, 3\), expected at least 4×4"):
        strided((1, 3, 3), widths=(2, 2, 2))
    with pytest.raises(ValueError, match=r"^input_shape: got \(1, 7, 8\), expected at least 8×8"):
        strided((1, 7, 8), widths=(2, 2, 2, 2))
    with pytest.raises(ValueError, match=r'^architecture: got "strided:a", expected widths joined by -'):
        architecture("strided:a", (1, 8, 8), 2)
    with pytest.raises(ValueError, match=r"^architecture: got 7, expected one of "):
        architecture(7, (1, 8, 8), 2)  # type: ignore[arg-type]


def test_each_spiking_layer_has_a_neuron_of_its_own() -> None:
    neurons = vgg5(width=SMALL, num_steps=4, neuron=DLIF(4, 0.5)).neurons
    assert len({id(neuron) for neuron in neurons}) == 5
    assert {neuron.dynamics.decay for neuron in neurons} == {0.5}


@pytest.mark.parametrize("name", BUILDERS)
def test_architecture_strings(name: str) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        found = architecture(f"{name}:1/16", (3, 8, 8), 4, 5, LIF(0.5))
        torch.manual_seed(0)
        assert network_hash(found) == network_hash(BUILDERS[name]((3, 8, 8), 4, 5, LIF(0.5), width=SMALL))


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
def test_saved_and_loaded(build: Builder, tmp_path: Path) -> None:
    network = build((3, 8, 8), 5, 3, width=SMALL, normalize=Normalize((0.1, 0.2, 0.3), (0.4, 0.5, 0.6)))
    save(network, tmp_path / "n")
    found = load(tmp_path / "n")
    inputs = torch.rand(2, 3, 8, 8)
    assert torch.equal(found(inputs), network.eval()(inputs))
    assert isinstance(found.layers[0], Normalize)
    assert not found.train().layers[0].training


def test_normalization_is_fixed_and_affine() -> None:
    mean, std = (0.2, 0.7), (0.3, 1.5)
    layer = Normalize(mean, std)
    inputs = torch.rand(4, 2, 3, 5)
    expected = (inputs - torch.tensor(mean).view(2, 1, 1)) / torch.tensor(std).view(2, 1, 1)
    torch.testing.assert_close(layer.train()(inputs), expected)
    torch.testing.assert_close(layer(10 * inputs), layer(10 * inputs), rtol=0, atol=0)
    assert [*layer.parameters()] == []
    assert not SpikingNetwork(layer, nn.Conv2d(2, 2, 1), num_steps=1).train().layers[0].training


def test_the_network_takes_pixels() -> None:
    """With the normalisation inside, the input is the image: the same as normalising before a network without."""
    torch.manual_seed(0)
    network = vgg5((3, 8, 8), 4, 3, width=SMALL).eval()
    inputs = torch.rand(5, 3, 8, 8)
    outside = SpikingNetwork(*network.layers[1:], num_steps=3).eval()
    assert torch.equal(network(inputs), outside(network.layers[0](inputs)))
