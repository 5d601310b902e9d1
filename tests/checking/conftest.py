"""Digits networks with proofs, trained once, and a way to change a file and seal it again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from spikecert import LIF, LInf, SpikingNetwork, dataset, fit, mlp, save
from spikecert.certify.proofs import Prover, Unproven
from spikecert.training import CrossEntropy

EPSILON = 0.02


class Proven(NamedTuple):
    """A network, its file, and a proof of one digit with its parts."""

    network: SpikingNetwork
    model: Path
    proof: Path
    sample: Tensor
    label: int
    leaves: int


def trained(sizes: tuple[int, ...], steps: int, reset: str = "zero") -> SpikingNetwork:
    """Return a network after a few epochs on digits."""
    torch.manual_seed(0)
    network = mlp(sizes, num_steps=steps, neuron=LIF(decay=0.9, reset=reset))
    return fit(network, dataset("digits"), CrossEntropy(), epochs=8, optimizer="adam", learning_rate=5e-3).network


def first_branched(prover: Prover) -> tuple[Any, Tensor, int]:
    """Return the first proof with a split, its sample and its label."""
    data = dataset("digits").test
    for sample, label in zip(data.inputs, data.labels.tolist(), strict=True):
        try:
            proof = prover.prove(sample, label, LInf(EPSILON), timeout=5.0)
        except Unproven:
            continue
        if proof.leaves > len(proof.trees):
            return proof, sample, label
    raise AssertionError("no digit needs a split")


def made(folder: Path, network: SpikingNetwork) -> Proven:
    """Save a network and a proof of one digit."""
    model, path = folder / "network.safetensors", folder / "digit.proof"
    save(network, model)
    proof, sample, label = first_branched(Prover.of(network))
    proof.save(path, note="a digit")
    return Proven(network, model, path, sample, label, proof.leaves)


@pytest.fixture(scope="session")
def shallow(tmp_path_factory: pytest.TempPathFactory) -> Proven:
    """Return 64-24-10 with a proof."""
    return made(tmp_path_factory.mktemp("shallow"), trained((64, 24, 10), 4))


@pytest.fixture(scope="session")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Proven:
    """Return 64-16-12-10 with a proof."""
    return made(tmp_path_factory.mktemp("deep"), trained((64, 16, 12, 10), 4))


@pytest.fixture
def sealed(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that changes a file's description and tensors and writes it anew, with a right hash."""
    import json

    from spikecert.models.storage import read_tensors, write_tensors

    def seal(source: Path, form: str, change: Callable[[dict[str, Any], dict[str, Tensor]], None]) -> Path:
        text, tensors = read_tensors(source, form)
        described = json.loads(text)
        change(described, tensors)
        write_tensors(tmp_path / source.name, form, json.dumps(described), tensors)
        return tmp_path / source.name

    return seal
