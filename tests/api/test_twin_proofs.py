"""Pairs of proofs: `equivalent --proof` writes them, `check-proof --twin` takes what is about one question."""

import copy
import json
import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from spikecert import LIF, SpikingNetwork, save


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a network, one with weights of six bits, and a third."""
    folder = tmp_path_factory.mktemp("builds")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = nn.Linear(64, 8), LIF(0.75), nn.Linear(8, 10)
    with torch.no_grad():
        layers[0].weight.mul_(3)
    a = SpikingNetwork(*layers, num_steps=3)
    b, c = copy.deepcopy(a), copy.deepcopy(a)
    with torch.no_grad():
        for build, parts in ((b, 31), (c, 30)):
            for name, parameter in build.named_parameters():
                if name.endswith("weight"):
                    step = parameter.abs().max() / parts
                    parameter.copy_((parameter / step).round() * step)
    for name, build in (("a", a), ("b", b), ("c", c)):
        save(build, folder / f"{name}.safetensors")
    return folder


@pytest.fixture
def proofs(run, folder, tmp_path) -> Path:
    """Return a folder of proofs of both builds."""
    done = run("equivalent", *_models(folder), "--samples", "6", "--epsilon", ".1/255,.2/255",
               "--proof", tmp_path / "proofs")  # fmt: skip
    assert "pairs of proofs" in done.err
    return tmp_path / "proofs"


def _models(folder: Path) -> tuple[Path, Path]:
    return folder / "a.safetensors", folder / "b.safetensors"


def _checked(run, folder: Path, proofs: Path, *options: str, twin: str = "b"):
    models = "--model", folder / "a.safetensors", "--twin", folder / f"{twin}.safetensors"
    return run("check-proof", proofs, *models, *options)


def test_pairs_are_accepted_and_counted_once(run, folder, proofs):
    done = _checked(run, folder, proofs, "--json")
    told = json.loads(done.out)
    assert done.status == 0
    assert told["equivalent"] == len(told["pairs"]) >= 4
    assert len({*told["networks"].values()}) == 2
    first = sorted((proofs / "a").iterdir())[0].name
    for side in "ab":
        shutil.copy(proofs / side / first, proofs / side / "copy.proof")
    again = json.loads(_checked(run, folder, proofs, "--json").out)
    assert (again["equivalent"], len(again["pairs"])) == (told["equivalent"], len(told["pairs"]) + 1)
    assert f"{told['equivalent']} equivalent, 0 refused" in _checked(run, folder, proofs).out


def test_a_second_run_seeks_no_proof_again(run, folder, proofs):
    before = {path: path.stat().st_mtime_ns for path in proofs.rglob("*.proof")}
    run("equivalent", *_models(folder), "--samples", "6", "--epsilon", ".1/255", "--proof", proofs)
    assert {path: path.stat().st_mtime_ns for path in proofs.rglob("*.proof")} == before


def test_proofs_of_other_questions_are_no_pair(run, folder, proofs):
    names = sorted(path.name for path in (proofs / "a").iterdir())
    small, great = (next(name for name in names if name.startswith("00000") and part in name)
                    for part in ("0.000392157", "0.000784314"))  # fmt: skip
    other = next(name for name in names if not name.startswith("00000"))
    for source, message in ((great, "different sets of inputs"), (other, "different samples")):
        kept = (proofs / "b" / small).read_bytes()
        shutil.copy(proofs / "b" / source, proofs / "b" / small)
        done = _checked(run, folder, proofs)
        assert done.status == 1
        assert f"REFUSED {small}: the proofs are about {message}" in done.out
        (proofs / "b" / small).write_bytes(kept)
    (proofs / "b" / small).unlink()
    done = _checked(run, folder, proofs)
    assert (done.status, f"REFUSED {small}: there is no proof of build b" in done.out) == (1, True)


def test_proofs_are_of_the_builds_that_are_named(run, folder, proofs):
    done = _checked(run, folder, proofs, twin="c")
    assert done.status == 1
    assert "0 equivalent" in done.out
    assert done.out.count("is about another network") == len(list((proofs / "a").iterdir()))
    swapped = run("check-proof", proofs, "--model", folder / "b.safetensors", "--twin", folder / "a.safetensors")
    assert swapped.status == 1
    asked = _checked(run, folder, proofs, "--epsilon", ".2/255")
    assert asked.status == 1
    assert "less than the 0.000784314 asked for" in asked.out


def test_what_is_no_question_is_one_line(run, folder, tmp_path):
    (tmp_path / "empty").mkdir()
    done = _checked(run, folder, tmp_path / "empty")
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert "expected a folder that holds a and b" in done.err
    done = run("equivalent", folder / "a.safetensors", "--target", "loihi", "--proof", tmp_path / "proofs")
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert "proof: got a folder beside --target" in done.err


def test_samples_alone_have_proofs_too(run, folder, tmp_path):
    done = run("equivalent", *_models(folder), "--samples", "3", "--proof", tmp_path / "proofs")
    assert done.status in (0, 1)
    told = json.loads(_checked(run, folder, tmp_path / "proofs", "--json").out)
    assert told["equivalent"] >= 1
    assert all("ε = 0 " in pair["told"] for pair in told["pairs"])
