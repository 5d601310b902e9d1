"""Digits networks with proofs, trained once, and a way to change a file and seal it again."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from spikecert import L2, LIF, LInf, Residual, SpikingNetwork, dataset, fit, mlp, save, verify
from spikecert.certify.proofs import Prover, Unproven
from spikecert.training import CrossEntropy
from support.command_line import run
from support.proofs import KINDS

__all__ = ["run"]

EPSILON = 0.02
DIGITS, SECONDS = 50, 0.5
"""Among how many digits at once one is sought that needs a split, and how long each is searched on average."""


class Proven(NamedTuple):
    """A network, its file, and a proof of one digit with its parts."""

    network: SpikingNetwork
    model: Path
    proof: Path
    sample: Tensor
    label: int
    leaves: int


def trained(network: SpikingNetwork, data: Any = None) -> SpikingNetwork:
    """Return the network after a few epochs on digits."""
    data = dataset("digits") if data is None else data
    return fit(network, data, CrossEntropy(), epochs=8, optimizer="adam", learning_rate=5e-3).network


def dense(sizes: tuple[int, ...], reset: str = "zero") -> SpikingNetwork:
    """Return a dense network over four steps that knows digits."""
    torch.manual_seed(0)
    return trained(mlp(sizes, num_steps=4, neuron=LIF(decay=0.9, reset=reset)))


def convolutional() -> SpikingNetwork:
    """Return a network of images that knows digits: convolutions, batch norms, a pool."""
    torch.manual_seed(0)
    first = [nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4), LIF(0.9)]
    second = [nn.Conv2d(4, 6, 2), nn.BatchNorm2d(6), LIF(0.9), nn.AvgPool2d(3), nn.Flatten(), nn.Linear(6, 10)]
    return trained(SpikingNetwork(*first, *second, num_steps=4), as_images(dataset("digits")))


def as_images(data: Any) -> Any:
    """Return digits as images (1, 8, 8)."""
    if hasattr(data, "inputs"):
        return replace(data, inputs=data.inputs.unflatten(1, (1, 8, 8)))
    parts = {name: getattr(data, name) for name in ("train", "validation", "test")}
    return replace(data, **{name: as_images(part) for name, part in parts.items()}, shape=(1, 8, 8))


def searched(network: SpikingNetwork, inputs: Tensor, labels: Tensor, ball: Any) -> list[tuple[Tensor, int]]:
    """Return the samples, with their labels, that "linear" leaves open and a short search verifies."""
    bounded = verify(network, inputs, labels, ball, "linear")
    left = torch.tensor([found.status == "unknown" for found in bounded])
    decided = verify(network, inputs[left], labels[left], ball, "complete", timeout=SECONDS)
    pairs = zip(decided, inputs[left], labels[left].tolist(), strict=True)
    return [(sample, label) for found, sample, label in pairs if found.status == "verified"]


def first_branched(prover: Prover, ball: Any) -> tuple[Any, Tensor, int]:
    """Return the first proof with a split, its sample and its label.

    Digits are asked for proofs only where bounds leave them open and a search of all of them together does not.
    """
    data = dataset("digits").test
    inputs = as_images(data).inputs if isinstance(prover.network.layers[0], nn.Conv2d) else data.inputs
    parts = zip(inputs.split(DIGITS), data.labels.split(DIGITS), strict=True)
    for sample, label in (found for part in parts for found in searched(prover.network, *part, ball)):
        try:
            proof = prover.prove(sample, label, ball, timeout=5.0)
        except Unproven:
            continue
        if proof.leaves > len(proof.trees):
            return proof, sample, label
    raise AssertionError("no digit needs a split")


def made(folder: Path, network: SpikingNetwork, ball: Any = None) -> Proven:
    """Save a network and a proof of one digit."""
    model, path = folder / "network.safetensors", folder / "digit.proof"
    save(network, model)
    proof, sample, label = first_branched(Prover.of(network), LInf(EPSILON) if ball is None else ball)
    proof.save(path, note="a digit")
    return Proven(network, model, path, sample, label, proof.leaves)


@pytest.fixture(scope="session")
def shallow(tmp_path_factory: pytest.TempPathFactory) -> Proven:
    """Return 64-24-10 with a proof."""
    return made(tmp_path_factory.mktemp("shallow"), dense((64, 24, 10)))


@pytest.fixture(scope="session")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Proven:
    """Return 64-16-12-10 with a proof."""
    return made(tmp_path_factory.mktemp("deep"), dense((64, 16, 12, 10)))


@pytest.fixture(scope="session")
def soft(tmp_path_factory: pytest.TempPathFactory) -> Proven:
    """Return 64-12-10-10 with subtracting resets and a proof."""
    return made(tmp_path_factory.mktemp("soft"), dense((64, 12, 10, 10), "subtract"))


@pytest.fixture(scope="session")
def ball(tmp_path_factory: pytest.TempPathFactory) -> Proven:
    """Return 64-12-10 with a proof of an ℓ2 ball."""
    return made(tmp_path_factory.mktemp("ball"), dense((64, 12, 10)), L2(0.15))


def behind(*layers: nn.Module, readout: str) -> SpikingNetwork:
    """Return a network with these layers behind 64-14-LIF that knows digits."""
    torch.manual_seed(0)
    return trained(SpikingNetwork(nn.Linear(64, 14), LIF(0.9), *layers, num_steps=4, readout=readout))


@pytest.fixture(scope="session")
def residual(tmp_path_factory: pytest.TempPathFactory) -> Proven:
    """Return a network with two residual sums, one of them with two paths, and a proof."""
    first = Residual([nn.Linear(14, 14), LIF(0.9)])
    second = Residual([nn.Linear(14, 10), LIF(0.9), nn.Linear(10, 10)], [nn.Linear(14, 10)])
    return made(tmp_path_factory.mktemp("residual"), behind(first, second, readout="mean"))


@pytest.fixture(scope="session")
def spikes(tmp_path_factory: pytest.TempPathFactory) -> Proven:
    """Return a network whose logits are mean spikes, with a proof."""
    return made(tmp_path_factory.mktemp("spikes"), behind(nn.Linear(14, 10), LIF(0.9), readout="spikes"))


@pytest.fixture(scope="session")
def counts(tmp_path_factory: pytest.TempPathFactory) -> Proven:
    """Return a network that subtracts and whose logits are mean spikes, with a proof by cells."""
    torch.manual_seed(0)
    layers = nn.Linear(64, 14), LIF(0.9, reset="subtract"), nn.Linear(14, 10), LIF(0.9, reset="subtract")
    network = trained(SpikingNetwork(*layers, num_steps=4, readout="spikes"))
    return made(tmp_path_factory.mktemp("counts"), network)


@pytest.fixture(scope="session")
def potential(tmp_path_factory: pytest.TempPathFactory) -> Proven:
    """Return a network whose logits are last potentials, with a proof."""
    last = LIF(0.9, reset="none")
    return made(tmp_path_factory.mktemp("potential"), behind(nn.Linear(14, 10), last, readout="potential"))


@pytest.fixture(scope="session")
def timed(tmp_path_factory: pytest.TempPathFactory) -> Proven:
    """Return a network with an input at each step, and a proof that fixes spikes."""
    folder = tmp_path_factory.mktemp("timed")
    torch.manual_seed(44)
    network = SpikingNetwork(nn.Linear(4, 10), LIF(0.9), nn.Linear(10, 3), num_steps=4, encoding="none").eval()
    for parameter in network.parameters():
        parameter.data *= 2.5
    sample = torch.rand(4, 4)
    label = int(network(sample[None]).argmax())
    proof = Prover.of(network).prove(sample, label, LInf(0.1))
    assert proof.leaves > len(proof.trees)
    save(network, folder / "network.safetensors")
    proof.save(folder / "sample.proof", note="a digit")
    return Proven(network, folder / "network.safetensors", folder / "sample.proof", sample, label, proof.leaves)


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Proven:
    """Return a convolutional network with a proof."""
    return made(tmp_path_factory.mktemp("images"), convolutional(), LInf(0.01))


@pytest.fixture
def sealed(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that changes a file's description and tensors and writes it anew, with a right hash."""
    import json

    from spikecert.models.files.storage import read_tensors, write_tensors

    def seal(source: Path, form: str, change: Callable[[dict[str, Any], dict[str, Tensor]], None]) -> Path:
        text, tensors = read_tensors(source, form)
        described = json.loads(text)
        change(described, tensors)
        write_tensors(tmp_path / source.name, form, json.dumps(described), tensors)
        return tmp_path / source.name

    return seal


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def proven(request, kind):
    return request.getfixturevalue(kind)
