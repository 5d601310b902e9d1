"""Bounds, gains and attacks know the normalisation in front of a network."""

import pytest
import torch
from torch import nn

from spikecert import LInf, attack, gain, verify, vgg5
from spikecert.analysis.patterns import pattern_radius
from spikecert.certify.replay import margins
from spikecert.certify.verifiers import INTERVAL, TRAINS, Linear, MarginVerifier
from spikecert.models import LIF, Normalize, SpikingNetwork

THREAT = LInf(0.01)


def small(dtype: torch.dtype = torch.float32) -> SpikingNetwork:
    torch.manual_seed(0)
    layers = (nn.Conv2d(2, 3, 3), LIF(0.9, 0.5), nn.Flatten(), nn.Linear(27, 3))
    return SpikingNetwork(Normalize((0.4, 0.6), (0.2, 0.5)), *layers, num_steps=4).to(dtype).eval()


def folded(network: SpikingNetwork) -> SpikingNetwork:
    """Return the network with the normalisation in the convolution's weights."""
    first, conv, *rest = network.layers
    assert isinstance(first, Normalize)
    assert isinstance(conv, nn.Conv2d)
    plain = nn.Conv2d(2, 3, 3).to(network.dtype)
    scale = 1 / first.running_var.sqrt()  # type: ignore[union-attr]
    plain.weight.data = conv.weight.data * scale[:, None, None]
    shift = (conv.weight.data * (first.running_mean * scale)[:, None, None]).sum((1, 2, 3))  # type: ignore
    plain.bias.data = conv.bias.data - shift  # type: ignore[union-attr]
    return SpikingNetwork(plain, *rest, num_steps=4).eval()


@pytest.mark.parametrize("verifier", [INTERVAL, TRAINS, Linear()], ids=lambda v: v.name)
def test_no_image_escapes(verifier: MarginVerifier) -> None:
    generator = torch.Generator().manual_seed(0)
    network, inputs = small(), torch.rand(16, 2, 5, 5, generator=generator)
    with torch.no_grad():
        labels = network(inputs).argmax(1)
        lower = verifier.margins(network, inputs, labels, THREAT)
        for _ in range(100):
            assert bool((margins(network(THREAT.sample(inputs, generator)).double(), labels) >= lower).all())
    assert bool((lower > 0).any())


def test_it_bounds_as_its_folded_form_does() -> None:
    network = small(torch.float64)
    inputs = torch.rand(16, 2, 5, 5, dtype=torch.float64)
    with torch.no_grad():
        labels = network(inputs).argmax(1)
    same = [TRAINS.margins(each, inputs, labels, THREAT) for each in (network, folded(network))]
    torch.testing.assert_close(*same)
    norms = [
        gain(each, input_shape=(2, 5, 5)).layers[0].operator_norm.upper for each in (network, folded(network))
    ]
    assert norms[0] == pytest.approx(norms[1])
    radii = [pattern_radius(each, inputs) for each in (network, folded(network))]
    torch.testing.assert_close(*radii)


def test_an_attack_stays_in_the_pixels_range_and_verdicts_follow() -> None:
    torch.manual_seed(0)
    network = vgg5((3, 8, 8), 4, 3, LIF(0.9, 0.3), width=1 / 32).eval()
    inputs = torch.rand(4, 3, 8, 8)
    with torch.no_grad():
        labels = network(inputs).argmax(1)
    found = attack(network, inputs, labels, LInf(8 / 255))
    assert bool((found.inputs >= 0).all() & (found.inputs <= 1).all())
    assert bool(((found.inputs - inputs).abs() <= 8 / 255 + 1e-7).all())
    assert {verdict.status for verdict in verify(network, inputs, labels, LInf(1e-6), "interval")} <= {
        "verified",
        "unknown",
    }
