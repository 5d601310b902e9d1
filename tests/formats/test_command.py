"""`spikecert vnnlib`, and the benchmark set in the competition's form, on a set made for the test."""

import csv
import gzip
import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch

from spikecert.formats import read_counterexample, read_onnx, read_vnnlib, robustness, write_vnnlib
from spikecert.models import load, save
from support.command_line import Outcome

from .conftest import small

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "vnncomp"


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Return a network, a property that holds and one that is violated."""
    network = small()
    save(network, tmp_path / "network.safetensors")
    sample = torch.tensor([0.5, 0.5])
    with torch.no_grad():
        label = int(network(sample[None]).argmax())
    safe = write_vnnlib(robustness(sample, sample, label, 3))
    unsafe = write_vnnlib(robustness(sample, sample, (label + 1) % 3, 3), "2.0")
    (tmp_path / "safe.vnnlib").write_text(safe, encoding="utf-8")
    (tmp_path / "unsafe.vnnlib.gz").write_bytes(gzip.compress(unsafe.encode()))
    return tmp_path / "network.safetensors", tmp_path / "safe.vnnlib", tmp_path / "unsafe.vnnlib.gz"


def test_what_holds_and_what_is_violated(
    run: Callable[..., Outcome], files: tuple[Path, Path, Path], tmp_path: Path
):
    model, safe, unsafe = files
    holds = run("vnnlib", model, safe, "--out", tmp_path / "safe.txt")
    assert (holds.status, holds.out.split(":")[0]) == (0, "holds")
    assert (tmp_path / "safe.txt").read_text() == "holds\n"
    violated = run("vnnlib", model, unsafe, "--timeout", 30, "--legacy", "--out", tmp_path / "unsafe.txt")
    assert (violated.status, violated.out.split(":")[0]) == (1, "sat")
    found = read_counterexample((tmp_path / "unsafe.txt").read_text())
    assert found is not None
    with torch.no_grad():
        assert load(model)(torch.tensor([found[0]]))[0].tolist() == found[1]


def test_the_result_of_a_newer_property_is_as_that_version_has_it(
    run: Callable[..., Outcome], files: tuple[Path, Path, Path], tmp_path: Path
):
    """Section 5.3 of VNN-LIB 2.0: name, type and shape of each tensor, then its elements, one a line."""
    model, _, unsafe = files
    run("vnnlib", model, unsafe, "--legacy", "--out", tmp_path / "result.txt")
    word, inputs, *lines = (tmp_path / "result.txt").read_text().splitlines()
    assert (word, inputs, lines[:3]) == ("sat", "X float32 [2]", ["0.5", "0.5", "Y float32 [3]"])
    with torch.no_grad():
        assert [float(line) for line in lines[3:]] == load(model)(torch.tensor([[0.5, 0.5]]))[0].tolist()


def test_json_alone(run: Callable[..., Outcome], files: tuple[Path, Path, Path]):
    model, _, unsafe = files
    outcome = run("vnnlib", model, unsafe, "--json")
    told = json.loads(outcome.out)
    assert outcome.err == ""
    assert told["result"] == "violated"
    assert told["counterexample"] == [0.5, 0.5]
    assert len(told["outputs"]) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("MODEL",), "property: got none"),
        (("MODEL", "/nowhere.vnnlib"), "/nowhere.vnnlib"),
        (("MODEL", "MODEL"), "is no text file"),
        (("/nowhere.safetensors", "SAFE"), "path: got /nowhere.safetensors"),
        (("MODEL", "SAFE", "--timeout", "-1"), "timeout: got '-1'"),
        (("MODEL", "SAFE", "--verifier", "magic"), "verifier: got 'magic'"),
    ],
)
def test_bad_input_is_one_line(
    run: Callable[..., Outcome], files: tuple[Path, Path, Path], arguments: tuple[str, ...], message: str
):
    places = {"MODEL": files[0], "SAFE": files[1]}
    outcome = run("vnnlib", *(places.get(argument, argument) for argument in arguments))
    assert (outcome.status, outcome.out) == (2, "")
    assert message in outcome.err
    assert outcome.err.count("\n") == 1


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"vnncomp_{name}", BENCHMARK / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    generate = script("generate")
    entry = generate.Entry("digits", (8,), 2, (0.01, 0.3), 20.0)
    path = tmp_path_factory.mktemp("vnncomp")
    assert generate.write(path, (entry,), seed=1, samples=3, epochs=3) == 6
    return path


def lines(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_a_set_is_the_same_for_the_same_seed(folder: Path, tmp_path: Path):
    generate = script("generate")
    generate.write(tmp_path, (generate.Entry("digits", (8,), 2, (0.01, 0.3), 20.0),), seed=1, samples=3, epochs=3)
    for path in [*sorted(folder.glob("vnnlib/*")), folder / "instances.csv"]:
        assert (tmp_path / path.relative_to(folder)).read_bytes() == path.read_bytes()


def test_every_instance_names_files_and_a_time(folder: Path):
    for model, question, seconds in lines(folder / "instances.csv"):
        network, prop = read_onnx(folder / model), read_vnnlib(folder / question)
        assert prop.num_inputs == 64
        assert network(torch.zeros(1, 64)).shape == (1, prop.num_outputs)
        assert float(seconds) == 20


def test_a_set_is_decided_by_one_command(run: Callable[..., Outcome], folder: Path):
    assert run("vnnlib", folder / "instances.csv", "--verifier", "milp", "--out", folder / "results").status == 1
    head, *whole = lines(folder / "results" / "results.csv")
    assert head == ["network", "property", "result", "seconds", "verifier", "reason"]
    assert [row[:2] for row in whole] == [row[:2] for row in lines(folder / "instances.csv")]
    assert {row[2] for row in whole} == {"holds", "violated"}
