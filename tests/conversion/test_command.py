"""`spikecert convert`: NIR files, Python objects, and refusals with status 2."""

import json
from pathlib import Path

import nir
import pytest
import torch
from safetensors.torch import save_file

from spikecert import LIF, load, mlp, to_nir
from support.command_line import run

__all__ = ["run"]

CODE = """
import snntorch, torch
from torch import nn

def made():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(64, 12), snntorch.Leaky(beta=0.9, init_hidden=True), nn.Linear(12, 10))
    module[0].weight.data.mul_(2.0)
    return module

def population():
    torch.manual_seed(0)
    neurons = [snntorch.Leaky(0.9, init_hidden=True) for _ in range(2)]
    module = nn.Sequential(nn.Linear(64, 12), neurons[0], nn.Linear(12, 50), neurons[1])
    module[0].weight.data.mul_(2.0)
    module[2].weight.data.mul_(4.0)
    return module

def pair():
    return made(), torch.rand(5, 64)

module = made()
def fails():
    raise RuntimeError("two\\nlines")
number = 3
"""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(CODE, encoding="utf-8")
    return path


def test_a_nir_file_becomes_a_network(run, tmp_path):
    torch.manual_seed(0)
    network, sample = mlp((6, 8, 3), num_steps=5), torch.rand(4, 6)
    nir.write(tmp_path / "network.nir", to_nir(network, sample))
    out = tmp_path / "network.safetensors"
    found = run("convert", tmp_path / "network.nir", "--out", out, "--json")
    assert found.status == 0, found.err
    told = json.loads(found.out)
    assert told["mismatches"] == [0]
    assert told["num_steps"] == 5
    assert load(out).num_steps == 5


def unsaid(folder: Path) -> Path:
    """Write a NIR file of neurons that subtract, which it does not say."""
    torch.manual_seed(0)
    graph = to_nir(mlp((6, 8, 3), num_steps=5, neuron=LIF(0.9, 0.3, "subtract", ">")), torch.rand(4, 6))
    graph.nodes["lif"].metadata = {}
    nir.write(folder / "graph.nir", graph)
    return folder / "graph.nir"


def test_a_reset_that_a_file_does_not_say_is_chosen_or_warned_of(run, tmp_path):
    out = tmp_path / "network.safetensors"
    for reset in ("zero", "subtract"):
        found = run("convert", unsaid(tmp_path), "--out", out, "--reset", reset)
        assert (found.status, load(out).neurons[0].reset) == (0, reset), found.err
        assert "warning" not in found.err
    found = run("convert", unsaid(tmp_path), "--out", out)
    assert (found.status, load(out).neurons[0].reset) == (0, "zero")
    told, wrote = found.err.splitlines()
    assert told.startswith("spikecert: warning: graph: neither it nor reset says how neurons reset (lif)")
    assert "reset='subtract'" in told
    assert wrote.startswith("wrote ")
    found = run("convert", unsaid(tmp_path), "--out", out, "--dt", 1e-9, "--reset", "zero")
    assert found.status == 2
    assert found.err.startswith("spikecert: graph: layer 0 of its neurons never fires on what it was compared on")
    assert run("convert", unsaid(tmp_path), "--out", out, "--dt", 1e-9, "--reset", "zero", "--silent").status == 0


def test_recorded_outputs_confirm_a_file_and_without_them_all_that_is_said_says_so(run, tmp_path):
    torch.manual_seed(0)
    network, inputs = mlp((64, 12, 10), num_steps=5), torch.rand(20, 64)
    nir.write(tmp_path / "network.nir", to_nir(network, inputs))
    given, out = tmp_path / "recorded.safetensors", tmp_path / "network.safetensors"
    with torch.no_grad():
        save_file({"inputs": inputs, "outputs": network(inputs)}, given)
    command = ("convert", tmp_path / "network.nir", "--out", out)
    assert "not confirmed by its source" not in run(*command, "--recorded", given).out
    assert not load(out).unconfirmed
    save_file({"inputs": inputs, "outputs": torch.zeros(20, 10)}, given)
    assert run(*command, "--recorded", given).status == 2
    for held, reason in (
        ({"inputs": inputs}, "holds ['inputs'], expected inputs and outputs"),
        (None, "is no safetensors"),
    ):
        given.write_bytes(b"no") if held is None else save_file(held, given)
        found = run(*command, "--recorded", given)
        assert (found.status, found.err.count("\n")) == (2, 1)
        assert found.err.startswith(f"spikecert: recorded: {given} {reason}")
    assert "* not confirmed by its source" in run(*command).out
    assert load(out).unconfirmed
    asked = ("--data", "digits", "--samples", 30, "--epsilon", "1e-4")
    made = run("certify", out, *asked, "--out", tmp_path / "made", "--proof", tmp_path / "proofs")
    assert made.err.startswith(f"{out}: not confirmed by its source\n")
    pages = [page for page in (tmp_path / "made").iterdir() if page.suffix in (".html", ".md", ".json", ".csv")]
    assert pages
    assert [page.name for page in pages if "not confirmed by its source" not in page.read_text("utf-8")] == []
    checked = run("check-proof", tmp_path / "proofs", "--model", out).out.splitlines()
    assert len(checked) > 1
    assert all("not confirmed by its source" in line for line in checked[:-1])
    radii = run("radius", out, *asked[:3], 2, "--verifier", "trains", "--tolerance", 0.1, "--json")
    assert json.loads(radii.out)["network"] == "network.safetensors (not confirmed by its source)"


@pytest.mark.parametrize("name", ["made", "module"])
def test_python_objects_are_run_and_compared_on_data(run, code, tmp_path, name):
    out = tmp_path / "network.safetensors"
    found = run("convert", f"{code}:{name}", "--num-steps", 6, "--data", "digits", "--samples", 8, "--out", out)
    assert found.status == 0, found.err
    assert "all the same" in found.out
    assert load(out).neurons[0].dynamics.reset_amount == pytest.approx(1 / 0.9)


def test_modules_of_the_current_folder_and_samples_of_their_own(run, code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("convert", "mine:pair", "--num-steps", 6, "--out", "network.safetensors").status == 0
    shaped = run("convert", "mine:made", "--num-steps", 6, "--shape", 64, "--out", "other.safetensors")
    assert shaped.status == 0


def test_a_population_code_asks_for_its_classes(run, code, tmp_path):
    out = tmp_path / "network.safetensors"
    command = ("convert", f"{code}:population", "--num-steps", 4, "--data", "digits", "--samples", 8, "--out", out)
    found = run(*command)
    assert found.status == 2
    assert "got 50 outputs for data of 10 classes, expected --classes 10 for a population code" in found.err
    assert found.err.count("\n") == 1
    assert not out.exists()
    assert run(*command, "--classes", 10).status == 0
    assert load(out)(torch.rand(2, 64)).shape == (2, 10)


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("mine.py:made", (), "shape: got neither it nor --data"),
        ("mine.py:fails", ("--shape", "64"), "failed: RuntimeError: two lines"),
        ("mine.py:number", ("--shape", "64"), "graph: got int"),
        ("mine.py:none", ("--shape", "64"), "there is no none in it"),
        ("gone.py:made", ("--shape", "64"), "expected a Python file"),
        ("no_such_package_at_all:made", ("--shape", "64"), "ModuleNotFoundError"),
        ("mine.py:made", ("--shape", "0,2"), "shape: got '0', expected a whole number from 1 on"),
        ("mine.py:made", ("--shape", "5"), "can't run on inputs of shape"),
        ("none.nir", (), "expected a NIR file"),
        (
            "mine.py:made",
            ("--shape", "64", "--reset", "zero"),
            "reset: got one for a module, expected it of a NIR",
        ),
        ("mine.py:number", ("--reset", "soft"), "reset: got 'soft', expected one of zero, subtract"),
    ],
)
def test_refusals_are_one_line_and_status_2(run, code, tmp_path, monkeypatch, source, options, message):
    monkeypatch.chdir(tmp_path)
    found = run("convert", source, "--num-steps", 4, "--out", "network.safetensors", *options)
    assert found.status == 2
    assert message in found.err
    assert found.err.count("\n") == 1
    assert not (tmp_path / "network.safetensors").exists()


BY_HAND = """
import torch
from torch import nn

class Network(nn.Module):
    def __init__(self, late=False):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last, self.late = nn.Linear(6, 8), nn.Linear(8, 3), late
        self.first.weight.data.mul_(4.0)

    def forward(self, x):
        v, out = torch.zeros(len(x), 8), 0
        for _ in range(3):
            reset = (v > 1.0).float()
            v = 0.5 * v + self.first(x) - (reset if self.late else 0.0)
            spike = (v > 1.0).float()
            v = v if self.late else v * (1.0 - spike)
            out = out + self.last(spike)
        return out / 3

def late():
    return Network(True)

class Clamped(Network):
    def forward(self, x):
        return super().forward(x).clamp(0.0, 1.0)
"""


def test_without_a_file_to_write_it_tells_what_code_by_hand_computes(run, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(BY_HAND, encoding="utf-8")
    found = run("convert", f"{path}:Network", "--shape", "6", "--latex")
    assert found.status == 0, found.err
    assert (
        "LIF: keeps 0.5 of its potential in a step, fires at v > 1, starts from 0 again behind a spike"
        in found.out
    )
    assert r"u[t] = v[t]\,(1 - s[t])" in found.out
    told = json.loads(run("convert", f"{path}:late", "--shape", "6", "--json").out)
    assert "loses 2 by a spike, as a reset of 1 that comes a step late does" in told["layers"][1]["words"]
    assert told["num_steps"] == 3
    refused = run("convert", f"{path}:Clamped", "--shape", "6")
    assert refused.status == 2
    assert "mine.py:27: clamp: a lower bound" in refused.err


def test_help_says_that_the_file_is_run(run):
    assert "whole file is run" in " ".join(run("convert", "--help").out.split())


def test_equations_are_told_where_nothing_is_written(run, tmp_path):
    found = run("convert", "mine.py:Network", "--shape", "6", "--latex", "--out", tmp_path / "n.safetensors")
    assert (found.status, found.err.count("\n")) == (2, 1)
    assert "latex: got it beside --out" in found.err
