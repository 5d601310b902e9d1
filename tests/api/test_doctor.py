"""`spikecert doctor`: what is missing or refused is said, with its cure, and what is there is said to be."""

import importlib.metadata
import json
from pathlib import Path

import pytest
import torch

from spikecert.cli import main
from spikecert.kernels.building import Unit
from spikecert.runs import health
from spikecert.runs.health import Symptom, checkup


@pytest.fixture(autouse=True)
def few_data(monkeypatch: pytest.MonkeyPatch):
    """Look for two data sets only: one that is there, one that is not."""
    from spikecert.training import data

    monkeypatch.setattr(data, "EVENTS", {})
    monkeypatch.setattr(data, "IMAGES", {name: data.IMAGES[name] for name in ("digits", "mnist")})


def by_name(root: Path | None = None) -> dict[str, Symptom]:
    return {symptom.name: symptom for symptom in checkup(root)}


def test_what_is_there_is_said(tmp_path: Path):
    found = by_name(tmp_path)
    assert found["torch"].told == torch.__version__
    assert found["digits"].told.startswith("1197 / 300 / 300 samples")
    assert found["subnormal numbers"] == Symptom(
        "arithmetic", "subnormal numbers", "kept", True, found["subnormal numbers"].cure
    )
    assert not found["mnist"].good
    assert str(tmp_path) in found["mnist"].cure
    assert all(symptom.cure for symptom in found.values() if not symptom.good)


def test_what_certifying_refuses_is_said():
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    flushed = torch.set_flush_denormal(True)
    try:
        found = by_name()
    finally:
        torch.set_float32_matmul_precision(before)
        torch.set_flush_denormal(False)
    assert not found["float32 products"].good
    assert "high" in found["float32 products"].told
    assert found["subnormal numbers"].good is not flushed


def test_a_missing_package_says_what_it_is_for(monkeypatch: pytest.MonkeyPatch):
    version = importlib.metadata.version

    def without(name: str) -> str:
        if name in ("auto_LiRPA", "numpy"):
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(importlib.metadata, "version", without)
    found = by_name()
    assert (found["auto_LiRPA"].told, found["auto_LiRPA"].good) == ("not installed", False)
    assert '"lirpa"' in found["auto_LiRPA"].cure
    assert not found["numpy"].good


def test_a_kernel_that_is_missing_says_why(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(health, "UNITS", (Unit("nothing", "double", ""),))
    found = by_name()["libraries"]
    assert not found.good
    assert "nothing-double.so does not load" in found.told
    assert "make setup" in found.cure


def test_more_threads_than_cores_are_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 10**6)
    assert not by_name()["cores"].good


def test_it_prints_a_table_or_json(capsys: pytest.CaptureFixture[str]):
    assert main(["doctor"]) == 0
    told = capsys.readouterr().out
    for topic in ("versions", "machine", "arithmetic", "kernels", "proofs", "data"):
        assert f"\n{topic}\n" in told
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"topic", "name", "told", "good", "cure"} == set(found[0])
    assert "digits" in {symptom["name"] for symptom in found}
