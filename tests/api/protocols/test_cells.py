"""Each cell of the paper's tables runs as a whole on a few images, from CIFAR's own files to the table."""

from pathlib import Path

import pytest
import torch
from torch import nn

from spikecert import LInf, SpikingNetwork, attack, protocols
from spikecert.certify import PGD
from spikecert.protocols.planning import cells, objective
from spikecert.protocols.reproducing import Options, reproduce
from spikecert.protocols.running import PAPER
from spikecert.training import GaussianNoise, SingleStep
from spikecert.training.objectives import MSMPPD
from support.cifar_files import write_cifar

NETWORKS, DATA, KINDS = (
    ("vgg5", "vgg11", "wrn16-4"),
    ("cifar10", "cifar100"),
    ("natural", "gaussian", "at", "at-reg"),
)
ATTACKS = ("fgsm", "pgd7-paper")
CELLS = [f"{network}-{data}-{kind}" for network in NETWORKS for data in DATA for kind in KINDS]
FIRST = [name for name in CELLS if name.startswith("vgg5-cifar10-")] + [
    "vgg11-cifar10-at",
    "wrn16-4-cifar100-at-reg",
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cifar(tmp_path_factory.mktemp("cifar"))


def smoke(name: str, root: Path, folder: Path) -> protocols.Results:
    options = Options(root, epochs=1, samples=3, train_samples=12, width="1/64", only="DLIF")
    found = protocols.protocol(name)
    asked = found.evaluation.certification
    assert asked is not None
    one = asked.model_copy(update={"samples": 1, "verifiers": ("trains",)})
    few = one if name.startswith("vgg5") else None  # the others take a minute
    quick = found.evaluation.model_copy(update={"certification": few, "attacks": ATTACKS, "stability": False})
    return reproduce(found.model_copy(update={"evaluation": quick}), folder, options)


def check(results: protocols.Results, folder: Path) -> None:
    rho = 1 if "natural" in results.protocol.name else 2
    assert len(results.runs) == rho
    for run in results.runs:
        (point,) = run.points
        assert list(point.robust) == list(ATTACKS)
        assert [tally.samples for tally in run.certified] == [1, 1, 1] * results.protocol.name.startswith("vgg5")
        assert run.noise is not None
        assert run.alignment is not None
        assert run.best_epoch == run.epochs
        assert point.samples == 3
        assert all(0 <= robust <= point.clean for robust in point.robust.values())
    assert {path.name for path in folder.iterdir()} == {"runs", "results.json", "results.csv", "results.md"}
    assert len((folder / "results.csv").read_text().splitlines()) == 1 + rho


@pytest.mark.parametrize("name", FIRST)
def test_a_cell_runs(name: str, root: Path, tmp_path: Path) -> None:
    check(smoke(name, root, tmp_path), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(CELLS) - set(FIRST)))
def test_the_other_cells_run(name: str, root: Path, tmp_path: Path) -> None:
    check(smoke(name, root, tmp_path), tmp_path)


def test_every_cell_has_a_file() -> None:
    assert set(CELLS) <= set(protocols.names())


@pytest.mark.parametrize("name", CELLS)
def test_a_cell_is_the_papers(name: str) -> None:
    """Section 5 of the theory, number by number."""
    found = protocols.protocol(name)
    network, data, kind = found.architecture, found.data, name.split("-", 3 if "wrn" in name else 2)[-1]
    assert (network.replace("_", "-"), data) == tuple(name.removesuffix(f"-{kind}").rsplit("-", 1))
    assert (found.num_steps, found.decay, found.threshold) == (8, 0.99, 1.0)
    assert found.neurons == ("lif", "dlif")
    (evaluation,) = found.evaluation.epsilons
    assert evaluation == 8 / 255
    assert found.images == "all"
    residual = {"residual": "shares"} if "wrn" in name else {"convolution_bias": True}
    assert found.network == {**residual, "initialization": "paper"}
    certification = found.evaluation.certification
    assert certification is not None
    assert certification.epsilons == pytest.approx((1e-4, 0.1 / 255, 0.5 / 255))
    assert certification.verifiers == ("trains", "linear")
    assert found.evaluation.attacks == (*PAPER, "ensemble-fast")
    for cell in cells(found):
        settings, loss = cell.training, objective(cell.terms)
        assert (settings.epochs, settings.batch_size, settings.learning_rate) == (100, 64, 0.1)
        assert (settings.optimizer, settings.momentum, settings.schedule) == ("sgd", 0.9, "cosine-epochs")
        assert settings.augmentation == {"crop": 4, "flip": True, "cutout": 16}
        assert settings.weight_decay == (0.0 if kind == "at-reg" else 5e-4)
        assert settings.retraction == ({"beta": 5e-4, "share": 0.3} if kind == "at-reg" else None)
        if kind == "natural":
            continue
        assert isinstance(loss, MSMPPD)
        assert (loss.mix, loss.norm, loss.layers, loss.two_sided) == (0.5, "l2", "last", False)
        assert loss.batch_statistics == "separate"
        expected = GaussianNoise(8 / 255) if kind == "gaussian" else SingleStep(4 / 255, clamp=False)
        assert loss.perturbation == expected
    rows = [cell.row.removeprefix(cell.variant) for cell in cells(found)]
    both = [f", {neuron}, ρ = {rho}" for neuron in ("LIF", "DLIF") for rho in (0, 1)]
    assert rows == ([", LIF", ", DLIF"] if kind == "natural" else both)


@pytest.mark.parametrize(("steps", "size"), [(7, 2.55), (10, 2.0), (20, 1.0), (40, 0.5)])
def test_the_papers_attacks(steps: int, size: float) -> None:
    for name, random, iterate in ((f"pgd{steps}-paper", True, "last"), (f"pgd{steps}", False, "worst")):
        found = PAPER[name]
        assert isinstance(found, PGD)
        assert (found.steps, found.restarts, found.halve) == (steps, 1, False)
        assert found.step_size is not None
        assert found.step_size * 8 / 255 == pytest.approx(size / 255)
        assert (found.random_start, found.iterate, found.name) == (random, iterate, name)
    for loss in ("ce", "dlr"):
        assert PAPER[f"apgd10-{loss}"].steps == 10  # type: ignore[attr-defined]


def test_a_step_keeps_its_size_unless_it_is_halved() -> None:
    """Four steps of ε/8 on one logit that grows with x reach ε/2; with the last two halved, 3/8 of ε."""
    network = SpikingNetwork(nn.Linear(1, 2), num_steps=1).eval()
    network.layers[0].weight.data = torch.tensor([[0.0], [1.0]])
    network.layers[0].bias.data = torch.tensor([10.0, 0.0])
    sample, label = torch.tensor([[0.5]]), torch.tensor([0])
    for halve, share in ((False, 0.5), (True, 0.375)):
        method = PGD(steps=4, restarts=1, step_size=0.125, halve=halve)
        found = attack(network, sample, label, LInf(0.08), method).inputs
        assert float(found - sample) == pytest.approx(share * 0.08, rel=1e-5)
