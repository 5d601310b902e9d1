"""The native kernel reads convolutions as the run has them: proofs of networks of random shapes, and of others."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from spikecert import LIF, LInf, SpikingNetwork, save
from spikecert.certify.certificates import elaborate
from spikecert.certify.proofs import Disproved, Prover
from spikecert.checking import Network, read_network
from spikecert.checking.kernel import check_certificate, native

from .conftest import Kept
from .natively import HERE, refusal, told

SIZES = (4, 5, 6)
"""Channels, height and width of the inputs."""


def saved(layers: list[nn.Module], path: Path) -> tuple[SpikingNetwork, Network]:
    """Return a network of images, with neurons and a readout behind its layers, and as the checker reads it."""
    width = nn.Sequential(*layers)(torch.zeros(1, *SIZES)).numel()
    torch.manual_seed(int(width))
    network = SpikingNetwork(
        *layers, LIF(decay=0.8, threshold=0.3), nn.Flatten(), nn.Linear(width, 3), num_steps=3
    )
    save(network, path)
    return network, read_network(path)


def proven(layers: list[nn.Module], path: Path) -> list[str]:
    """Return a certificate of some sample that the kernel in Python accepts."""
    network, read = saved(layers, path)
    for sample in torch.rand(20, *SIZES):
        try:
            proof = Prover.of(network).prove(sample, int(network(sample[None]).argmax()), LInf(0.002), 20.0)
        except Disproved:
            continue
        proof.save(path.with_suffix(".proof"))
        lines = list(elaborate(path.with_suffix(".proof"), read))
        check_certificate(iter(lines), read)
        return lines
    raise AssertionError("no sample has a proof")


def drawn(seed: int) -> nn.Conv2d:
    """Return a convolution with each of its settings drawn."""
    generator = np.random.default_rng(seed)
    kernel, dilation, stride = (tuple(map(int, generator.integers(1, most, 2))) for most in (4, 3, 4))
    padding = ["same", "valid", tuple(map(int, generator.integers(0, 3, 2)))][seed % 3]
    settings = {"padding": padding, "dilation": dilation, "groups": (1, 2, 4)[seed // 2 % 3], "bias": seed % 4 > 0}
    torch.manual_seed(seed)
    return nn.Conv2d(4, 4, kernel, stride=1 if padding == "same" else stride, **settings)


@HERE
@pytest.mark.filterwarnings("ignore:Using padding")  # a copy that torch makes
@pytest.mark.parametrize("seed", range(9))
def test_convolutions_of_random_shapes_are_accepted(seed, tmp_path):
    layer, path = drawn(seed), tmp_path / "network.safetensors"
    assert native.check_native(path, proven([layer], path)).startswith("class "), layer


@HERE
@pytest.mark.parametrize("changed", ["dilation", "flipped", "order"])
def test_a_certificate_of_another_convolution_is_refused_by_both(changed, tmp_path):
    torch.manual_seed(0)
    layer, path = nn.Conv2d(4, 4, 3, padding=1), tmp_path / "network.safetensors"
    lines = proven([layer], path)
    if changed == "dilation":
        layer.dilation, layer.padding = (2, 2), (2, 2)
    else:
        layer.weight.data = (
            layer.weight.data.flip(3) if changed == "flipped" else layer.weight.data.transpose(0, 1)
        )
    read = saved([layer], path)[1]
    lines = told(lines, network=read.digest)
    assert "record" in refusal(path, lines)
    assert "record" in Kept(read, ()).refusal(lines)
