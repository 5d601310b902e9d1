"""The competition's three scripts, on a set made for the test, in the environment that the tests run in."""

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from spikecert import save
from spikecert.formats import read_counterexample, read_vnnlib, robustness, write_onnx, write_vnnlib

from .conftest import small

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "benchmarks" / "vnncomp" / "tool"


def script(name: str, *arguments: object) -> int:
    """Return the status of one of the scripts."""
    environment = {**os.environ, "SPIKECERT_ENV": str(Path(sys.executable).parents[1])}
    command = [str(SCRIPTS / name), *map(str, arguments)]
    return subprocess.run(command, env=environment, check=False, capture_output=True).returncode


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a network, and properties that hold and that are violated."""
    path = tmp_path_factory.mktemp("set")
    network = small()
    save(network, path / "net.safetensors")
    (path / "net.onnx").write_bytes(write_onnx(network, (2,)))
    sample = torch.tensor([[0.5, 0.5]])
    with torch.no_grad():
        label = int(network(sample).argmax())
    for name, asked in (("safe", label), ("unsafe", (label + 1) % 3)):
        text = write_vnnlib(robustness(sample, sample + 2**-9, asked, 3), "2.0")
        (path / f"{name}.vnnlib").write_text(text, encoding="utf-8")
    return path


def decided(folder: Path, network: object, name: str, seconds: float = 60) -> str:
    """Return the result file's text."""
    results = folder / "results.txt"
    results.write_text("unsat\n", encoding="utf-8")  # of the instance before
    place = folder / f"{name}.vnnlib"
    assert script("run_instance.sh", "v1", "spiking", network, place, results, seconds) == 0
    return results.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_scripts_decide_instances(folder: Path) -> None:
    network = folder / "net.onnx"
    assert script("install_tool.sh", "v1") == 0
    assert script("prepare_instance.sh", "v1", "spiking", network, folder / "safe.vnnlib") == 0
    assert decided(folder, network, "safe") == "unsat\n"
    text = decided(folder, f"[('network', '{network}')]", "unsafe")
    assert text.startswith("sat\nX float32 [1,2]\n")
    found = read_counterexample(text)
    assert found is not None
    session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
    (outputs,) = np.asarray(session.run(["Y"], {"X": torch.tensor([found[0]]).numpy()})[0])
    prop = read_vnnlib(folder / "unsafe.vnnlib")
    assert prop.violated([*map(Fraction, found[0])], [*map(Fraction, outputs.tolist())])


@pytest.mark.slow
def test_what_is_not_known_is_never_unsat(folder: Path, tmp_path: Path) -> None:
    foreign, broken = tmp_path / "net.onnx", folder / "broken.vnnlib"
    foreign.write_bytes((folder / "net.onnx").read_bytes())  # the same, but its network does not lie beside it
    broken.write_text("(assert", encoding="utf-8")
    for network, name in ((foreign, "safe"), (folder / "net.onnx", "broken")):
        assert script("prepare_instance.sh", "v1", "spiking", network, folder / f"{name}.vnnlib") != 0
        assert decided(folder, network, name) == "unknown\n"
    several = f"[('f', '{folder / 'net.onnx'}'), ('g', '{folder / 'net.onnx'}')]"
    assert decided(folder, several, "safe") == "unknown\n"
    assert decided(folder, folder / "net.onnx", "safe", 0.2) == "timeout\n"


@pytest.mark.parametrize("name", ["install_tool.sh", "prepare_instance.sh", "run_instance.sh"])
def test_another_version_of_the_rules_is_refused(name: str, tmp_path: Path) -> None:
    assert script(name, "v2", "spiking", "net.onnx", "p.vnnlib", tmp_path / "results.txt", "10") == 1
    assert not (tmp_path / "results.txt").exists()
