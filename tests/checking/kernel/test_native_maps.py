# pyright: reportOptionalMemberAccess=false, reportArgumentType=false, reportCallIssue=false, reportIndexIssue=false
# pyright: reportOperatorIssue=false
"""The native kernel reads convolutions, norms, pools and sums as the run has them; it refuses proofs of others."""

from fractions import Fraction
from math import isqrt
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from spikecert import LIF, LInf, Residual, SpikingNetwork, save
from spikecert.certify.proofs import Disproved, Prover
from spikecert.checking import Network, read_network
from spikecert.checking import short as native
from spikecert.checking.certificates import elaborate
from spikecert.checking.kernel import check_certificate
from spikecert.checking.maps.pooling import Maxima
from spikecert.checking.network.graph import arrange

from .conftest import Kept
from .natively import HERE, refusal, told

SIZES = (4, 5, 6)
"""Channels, height and width of the inputs."""


def neurons(reset: str = "zero") -> LIF:
    return LIF(decay=0.8, threshold=0.3, reset=reset)


def saved(layers: list[nn.Module], path: Path) -> tuple[SpikingNetwork, Network]:
    """Return a network of images, with neurons and a readout behind its layers, and as the checker reads it."""
    layers = layers if isinstance(layers[-1], nn.Linear) else behind(layers)
    network = SpikingNetwork(*layers, num_steps=3)
    save(network, path)
    return network, read_network(path)


def behind(layers: list[nn.Module]) -> list[nn.Module]:
    maps = [layer for layer in layers if not isinstance(layer, LIF)]
    width = nn.Sequential(*maps).eval()(torch.zeros(1, *SIZES)).numel()
    torch.manual_seed(int(width))
    return [*layers, neurons(), nn.Flatten(), nn.Linear(width, 3)]


def proven(layers: list[nn.Module], path: Path) -> list[str]:
    """Return a certificate of some sample that the kernel in Python accepts."""
    network, read = saved(layers, path)
    for sample in torch.rand(20, *SIZES):
        try:
            proof = Prover.of(network).prove(sample, int(network(sample[None]).argmax()), LInf(0.002), 20.0)
        except Disproved:
            continue
        proof.save(path.with_suffix(".proof"))
        lines = list(elaborate(path.with_suffix(".proof"), read, joint=False))
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
    settings["stride"] = 1 if padding == "same" else stride
    return nn.Conv2d(4, 4, kernel, **settings)  # pyright: ignore[reportArgumentType]


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


def _small(inputs: int = 4, outputs: int = 2) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def _norm(size: int, images: bool = True, **changed) -> nn.Module:
    """Return a batch norm in evaluation with statistics of its own."""
    norm = nn.BatchNorm2d(size) if images else nn.BatchNorm1d(size)
    for part in (norm.weight.data, norm.running_var):
        part.copy_(torch.rand(size) + 0.5)
    for part in (norm.bias.data, norm.running_mean):
        part.copy_(torch.rand(size) - 0.5)
    for name, value in changed.items():
        getattr(norm, name).data.fill_(value)
    return norm.eval()


def _normed(**changed) -> list[nn.Module]:
    return behind([_small(), _norm(2, **changed), neurons(), _small(2), _norm(2, **changed)])


def _pool(**settings) -> list[nn.Module]:
    """Return an average of spikes that other neurons read."""
    return [_small(), neurons(), nn.AvgPool2d(3, 2, 1, **settings), nn.Conv2d(2, 3, 2), neurons(), nn.Flatten()]


def _greatest(*settings, first: int = 4, **named) -> list[nn.Module]:
    """Return a max pool of spikes that other neurons read."""
    return [_small(first), neurons("subtract"), nn.MaxPool2d(*settings, **named)]


def _sum(shortcut: list[nn.Module]) -> list[nn.Module]:
    branch = [_small(2), neurons("subtract"), _small(2)]
    return [_small(), neurons(), Residual(branch, shortcut), neurons(), nn.Flatten(), nn.Linear(60, 3)]


MAPS = {
    "a pool": lambda: [*_pool(), nn.Linear(12, 3)],
    "a pool rounded up": lambda: [*_pool(ceil_mode=True, count_include_pad=False), nn.Linear(18, 3)],
    "a pool of inputs": lambda: [nn.AvgPool2d(2), _small(), neurons(), nn.Flatten(), nn.Linear(12, 3)],
    "neurons behind a pool": lambda: [
        _small(),
        neurons(),
        nn.AvgPool2d(2),
        neurons(),
        nn.Flatten(),
        nn.Linear(12, 3),
    ],
    "a pool that is read": lambda: [_small(), neurons(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(12, 3)],
    "a max pool": lambda: behind([*_greatest(2), neurons(), nn.Conv2d(2, 3, 2)]),
    "a max pool of windows that overlap": lambda: behind([*_greatest(3, 1, 1), nn.Conv2d(2, 3, 2)]),
    "a max pool rounded up": lambda: behind(
        [*_greatest(2, 2, dilation=(1, 2), ceil_mode=True), nn.Conv2d(2, 3, 2)]
    ),
    "a max pool that is read": lambda: [*_greatest(2), nn.Flatten(), nn.Linear(12, 3)],
    "two max pools": lambda: behind([*_greatest(2, 1), *_greatest(2, first=2)]),
    "a max pool of a max pool": lambda: behind([*_greatest(2, 1), nn.MaxPool2d(2), nn.Conv2d(2, 3, 1)]),
    "a max pool of vectors": lambda: [
        nn.Flatten(),
        nn.Linear(120, 9),
        neurons("subtract"),
        nn.MaxPool1d(3, 2, 1),
        nn.Linear(5, 4),
        neurons(),
        nn.Linear(4, 3),
    ],
    "a max pool beside its spikes": lambda: [
        nn.Flatten(),
        nn.Linear(120, 8),
        neurons(),
        Residual([nn.MaxPool1d(3, 1, 1)]),
        neurons("subtract"),
        nn.Linear(8, 3),
    ],
    "a chain": lambda: [
        _small(),
        nn.Conv2d(2, 2, 3),
        neurons(),
        _small(2),
        nn.Conv2d(2, 1, 3),
        neurons(),
        nn.Flatten(),
        nn.Linear(2, 3),
    ],
    "another padding": lambda: behind([nn.Conv2d(4, 2, 3, padding=1, padding_mode="reflect")]),
    "batch norms": _normed,
    "a batch norm without a bias": lambda: _normed(bias=0.0, running_mean=0.0),
    "a batch norm that forgets its input": lambda: _normed(weight=0.0, bias=1.0),
    "a batch norm of inputs": lambda: behind([_norm(4), _small()]),
    "a batch norm and a pool": lambda: behind([_small(), _norm(2), nn.AvgPool2d(2), neurons(), _norm(2)]),
    "a batch norm of vectors": lambda: [
        nn.Flatten(),
        nn.Linear(120, 5),
        _norm(5, images=False),
        neurons(),
        nn.Linear(5, 3),
    ],
    "a batch norm that is read": lambda: [
        nn.Flatten(),
        nn.Linear(120, 5),
        neurons(),
        _norm(5, images=False),
        nn.Linear(5, 3),
    ],
    "a sum of spikes": lambda: _sum([]),
    "a sum of two maps": lambda: _sum([_small(2)]),
    "a sum with the inputs": lambda: [
        nn.Flatten(),
        Residual([nn.Linear(120, 5), neurons(), nn.Linear(5, 4)], [nn.Linear(120, 4)]),
        neurons(),
        nn.Linear(4, 3),
    ],
    "a sum that is read": lambda: [
        nn.Flatten(),
        nn.Linear(120, 5),
        neurons(),
        Residual([nn.Linear(5, 5), neurons()]),
        nn.Linear(5, 3),
    ],
}


@HERE
@pytest.mark.parametrize("name", MAPS)
def test_what_a_run_makes_in_several_steps_is_accepted(name, tmp_path):
    torch.manual_seed(1)
    path = tmp_path / "network.safetensors"
    assert native.check_native(path, proven(MAPS[name](), path)).startswith("class ")


OTHERS = {
    "counted padding": (
        lambda: [*_pool(), nn.Linear(12, 3)],
        lambda: [*_pool(count_include_pad=False), nn.Linear(12, 3)],
    ),
    "another mean": (_normed, lambda: _normed(running_mean=0.25)),
    "another variance": (_normed, lambda: _normed(running_var=2.0)),
    "another weight": (_normed, lambda: _normed(weight=-1.0)),
    "another bias": (_normed, lambda: _normed(bias=0.5)),
    "another stride of a max pool": (
        lambda: behind([*_greatest(2, 1), nn.Conv2d(2, 2, 2, 2)]),
        lambda: behind([*_greatest(2, 1, 1), nn.Conv2d(2, 2, 3, 2)]),
    ),
    "an average for a maximum": (
        lambda: behind([*_greatest(2), nn.Conv2d(2, 3, 1)]),
        lambda: behind([*_greatest(2)[:-1], nn.AvgPool2d(2), nn.Conv2d(2, 3, 1)]),
    ),
    "less of a window": (
        lambda: behind([*_greatest(2), nn.Conv2d(2, 3, 1)]),
        lambda: behind([*_greatest(1, 2), nn.Conv2d(2, 3, 1)]),
    ),
    "another shortcut": (MAPS["a sum of spikes"], lambda: _sum([nn.AvgPool2d(1), nn.AvgPool2d(3, 1, 1)])),
}


@HERE
@pytest.mark.parametrize("seed", range(12))
def test_max_pools_of_random_shapes_are_accepted(seed, tmp_path):
    generator, path = np.random.default_rng(seed), tmp_path / "network.safetensors"
    kernel, stride = generator.integers(1, 4, 2), generator.integers(1, 3, 2)
    settings = {"padding": [int(k) // 2 for k in kernel], "ceil_mode": seed % 2 == 1}
    pool = nn.MaxPool2d(tuple(map(int, kernel)), tuple(map(int, stride)), **settings)  # pyright: ignore
    torch.manual_seed(seed)
    layers = [_small(), neurons(["zero", "subtract", "none"][seed % 3]), pool, nn.Conv2d(2, 3, 1)]
    assert native.check_native(path, proven(behind(layers), path)).startswith("class "), pool


@HERE
def test_a_max_pool_of_currents_is_refused_and_one_of_spikes_has_no_neurons(tmp_path):
    torch.manual_seed(1)
    path = tmp_path / "network.safetensors"
    lines = proven(behind([_small(), nn.MaxPool2d(2)]), path)
    assert "no rule for a max pool of other numbers than spikes" in refusal(path, lines)
    lines = proven([*_greatest(2), nn.Flatten(), nn.Linear(12, 3)], path)
    place = next(index for index, node in enumerate(_nodes(path)) if isinstance(node, Maxima))
    named = [f"graph {place} 0 1 1 1 1 0 0 -1 0 0 0 0" if line.startswith("class") else line for line in lines]
    assert "has no neurons" in refusal(path, named)


def _nodes(path: Path) -> tuple[object, ...]:
    return arrange(read_network(path), SIZES).nodes


@HERE
@pytest.mark.parametrize("name", OTHERS)
def test_a_certificate_of_another_map_is_refused_by_both(name, tmp_path):
    path, (made, other) = tmp_path / "network.safetensors", OTHERS[name]
    torch.manual_seed(1)
    lines = proven(made(), path)
    torch.manual_seed(1)
    read = saved(other(), path)[1]
    lines = told(lines, network=read.digest)
    assert "record" in refusal(path, lines)
    assert "record" in Kept(read, ()).refusal(lines)


@HERE
@pytest.mark.parametrize(
    "changed", [{"running_var": 1e-6}, {"running_var": 1e7}, {"weight": 1e4}, {"weight": 1e-38}]
)
def test_batch_norms_of_numbers_that_nothing_is_proven_about_are_refused(changed, tmp_path):
    path = tmp_path / "network.safetensors"
    torch.manual_seed(1)
    lines = proven(_normed(), path)
    torch.manual_seed(1)
    layers = _normed(**changed)
    layers[1].eps = layers[4].eps = 0.0  # pyright: ignore[reportAttributeAccessIssue]
    network = SpikingNetwork(*layers, num_steps=3)
    save(network, path)
    assert "no rule for a batch norm" in refusal(path, told(lines, network=read_network(path).digest))


@given(st.integers(0, 2**32), st.floats(-20, 20))
def test_what_is_assumed_of_batch_norms_holds_of_torch(seed, scale):
    """|run − (s·x + b − s·mean)| ≤ γ_17·(|s·x| + |b| + |s·mean|) + 2^−91, by torch and by (x − mean)·s + b."""
    torch.manual_seed(seed)
    norm = _norm(6, images=False)
    norm.running_mean.mul_(2.0**scale)
    norm.running_var.mul_(2.0 ** (scale / 2))
    x = torch.randn(4, 6) * 2.0**scale
    x[0] = norm.running_mean
    root = torch.sqrt(norm.running_var + norm.eps)
    runs = norm(x), (x - norm.running_mean) / root * norm.weight + norm.bias
    gamma = Fraction(17, 2**24) * (1 + Fraction(34, 2**24))
    for run in runs:
        for i, j in np.ndindex(4, 6):
            w, b, m, v = (
                Fraction(float(part[j].detach()))
                for part in (norm.weight, norm.bias, norm.running_mean, norm.running_var)
            )
            s = w / Fraction(isqrt(int((v + Fraction(norm.eps)) * 2**400)), 2**200)
            entry, got = Fraction(float(x[i, j])), Fraction(float(run[i, j].detach()))
            most = gamma * (abs(s * entry) + abs(b) + abs(s * m)) + Fraction(1, 2**91)
            assert abs(got - (s * entry + b - s * m)) <= most
