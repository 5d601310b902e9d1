"""Certifying a set: the same verdicts whoever decides, and a folder that a run goes on from."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from spikecert.certify import L2, LInf, PixelBox, certify_set, verify
from spikecert.certify.engines.folder import PROBLEM
from spikecert.certify.engines.work import batches
from support.fleets import Here, Setting, expected, same, small_set


@pytest.fixture
def case() -> Setting:
    return small_set()


def test_the_order_of_batches_changes_nothing(case: Setting) -> None:
    """Backward, or forward by `verify` itself."""
    verdicts = expected(5)
    assert {verdict.status for verdict in verdicts} == {"verified", "falsified", "unknown"}
    parts = batches(case.inputs, case.labels, 5, seed=0)
    forward = [verify(case.network, p.inputs, p.labels, *case[3:], seed=p.seed) for p in parts]
    assert same(verdicts, [verdict for part in forward for verdict in part])


def test_a_run_goes_on_where_it_ended(case: Setting, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    with pytest.raises(ChildProcessError, match="the test ends it"):
        certify_set(*case, engine=Here(most=2), folder=folder, batch=5)
    assert sorted(path.name for path in folder.iterdir()) == [
        "batch-000003.safetensors",
        "batch-000004.safetensors",
        PROBLEM,
    ]
    engine = Here()
    told: list[tuple[str, int, int]] = []
    verdicts = certify_set(*case, engine=engine, folder=folder, batch=5, progress=lambda *what: told.append(what))
    assert engine.decided == [2, 1, 0]
    assert same(verdicts, expected(5))
    assert told == [("certify (auto, here)", done, 22) for done in (7, 12, 17, 22)]
    nothing = Here(most=0)
    assert same(certify_set(*case, engine=nothing, folder=folder, batch=5), verdicts)
    assert nothing.decided == []


def changed(case: Setting) -> dict[str, tuple[Setting, dict[str, Any]]]:
    """Return other problems, by the key that must be named."""
    network = small_set().network
    next(network.parameters()).data[0, 0] += 1e-3
    moved = case.inputs.clone()
    moved[21, 5] = 0.5
    return {
        "network": (case._replace(network=network), {}),
        "inputs": (case._replace(inputs=moved), {}),
        "labels": (case._replace(labels=(case.labels + 1) % 3), {}),
        "samples": (case._replace(inputs=case.inputs[:20], labels=case.labels[:20]), {}),
        "perturbation": (case._replace(perturbation=LInf(0.02 + 1e-17 * 8)), {}),
        "verifier": (case._replace(verifier="linear"), {}),
        "timeout": (case, {"timeout": 3.0}),
        "seed": (case, {"seed": 1}),
        "batch": (case, {"batch": 6}),
    }


@pytest.mark.parametrize("key", sorted(changed(small_set())))
def test_a_folder_of_another_problem_is_refused(case: Setting, tmp_path: Path, key: str) -> None:
    certify_set(*case._replace(verifier="trains"), engine=Here(), folder=tmp_path, batch=5)
    other, settings = changed(case._replace(verifier="trains"))[key]
    with pytest.raises(
        ValueError, match=rf"folder: .* holds another problem: .*{key} .* there, .* here"
    ) as caught:
        certify_set(*other, engine=Here(), folder=tmp_path, **{"batch": 5, **settings})
    assert "\n" not in str(caught.value)


def test_radii_per_feature_are_part_of_the_problem(case: Setting, tmp_path: Path) -> None:
    box = case._replace(perturbation=PixelBox(torch.full((6,), 0.01)), verifier="trains")
    certify_set(*box, engine=Here(), folder=tmp_path)
    with pytest.raises(ValueError, match="radius"):
        certify_set(*box._replace(perturbation=PixelBox(torch.full((6,), 0.02))), engine=Here(), folder=tmp_path)


def test_files_that_were_changed_or_moved_are_refused(case: Setting, tmp_path: Path) -> None:
    trains = case._replace(verifier="trains")
    first, second = tmp_path / "first", tmp_path / "second"
    certify_set(*trains, engine=Here(), folder=first, batch=5)
    certify_set(*trains._replace(perturbation=LInf(0.0)), engine=Here(), folder=second, batch=5)
    place = first / "batch-000001.safetensors"
    shutil.copy(second / place.name, place)
    with pytest.raises(ValueError, match="verdicts of another problem or batch"):
        certify_set(*trains, engine=Here(), folder=first, batch=5)
    shutil.copy(first / "batch-000000.safetensors", place)
    with pytest.raises(ValueError, match="verdicts of another problem or batch"):
        certify_set(*trains, engine=Here(), folder=first, batch=5)
    place.write_bytes(place.read_bytes().replace(b"unknown", b"ungnown").replace(b"verified", b"falsifie"))
    with pytest.raises(ValueError, match="was changed after it was saved"):
        certify_set(*trains, engine=Here(), folder=first, batch=5)
    place.write_bytes(b"")
    with pytest.raises(ValueError, match="is not a complete safetensors file"):
        certify_set(*trains, engine=Here(), folder=first, batch=5)


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_folder_with_something_else_is_refused(case: Setting, tmp_path: Path, content: str) -> None:
    (tmp_path / PROBLEM).write_text(content)
    with pytest.raises(ValueError, match=r"folder: .*problem\.json"):
        certify_set(*case, engine=Here(), folder=tmp_path)


def test_the_problem_is_written_in_plain_words(case: Setting, tmp_path: Path) -> None:
    certify_set(*case._replace(perturbation=L2(0.25), verifier="trains"), engine=Here(), folder=tmp_path, seed=9)
    told = json.loads((tmp_path / PROBLEM).read_text())
    assert told["perturbation"] == {"type": "L2", "epsilon": 0.25, "lower": 0.0, "upper": 1.0}
    assert (told["verifier"], told["seed"], told["samples"]) == ("trains", 9, 22)


BAD: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "engine": ({"engine": "mule"}, ValueError, "engine: got 'mule', expected one of local, ray"),
    "workers": ({"workers": 0}, ValueError, "workers: got 0"),
    "batch": ({"batch": 0}, ValueError, "batch: got 0"),
    "batch type": ({"batch": 2.0}, TypeError, "batch: got float"),
    "timeout": ({"timeout": 0}, ValueError, "timeout: got 0"),
    "verifier": ({"verifier": "magic"}, ValueError, "verifier: got 'magic'"),
}


@pytest.mark.parametrize("name", BAD)
def test_must_raise(case: Setting, name: str) -> None:
    settings, error, message = BAD[name]
    arguments: dict[str, Any] = {**case._asdict(), "engine": Here(), **settings}
    with pytest.raises(error, match=message):
        certify_set(**arguments)


def test_a_verifier_needs_a_name(case: Setting) -> None:
    from spikecert.certify.verifiers import TRAINS

    with pytest.raises(TypeError, match="verifier: got BoundVerifier, expected a name"):
        certify_set(*case[:4], TRAINS, engine=Here())  # pyright: ignore[reportArgumentType]
