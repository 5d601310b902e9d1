"""Certifying a set: the same verdicts whoever decides, and a folder that a run goes on from."""

import json
import re
import shutil
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from spikecert.certify import L2, LInf, PixelBox, Verdict, verify
from spikecert.certify.engines import Engine
from spikecert.certify.engines.certification import PROBLEM, Repeated
from spikecert.certify.engines.work import VERDICTS, Batch, Decided, Job, batches
from spikecert.models.files.storage import read_tensors, write_tensors
from support.fleets import STATUSES, Here, Setting, expected, same, small_set


@pytest.fixture
def case() -> Setting:
    return small_set()


@pytest.mark.parametrize("verifier", STATUSES)
def test_the_order_of_batches_changes_nothing(verifier: str) -> None:
    """Backward, or forward by `verify` itself."""
    case, verdicts = small_set(verifier), expected(5, verifier)
    assert {verdict.status for verdict in verdicts} == STATUSES[verifier]
    parts = batches(case.inputs, case.labels, 5, seed=0)
    forward = [verify(case.network, p.inputs, p.labels, *case[3:], seed=p.seed) for p in parts]
    assert same(verdicts, [verdict for part in forward for verdict in part])


def test_a_run_goes_on_where_it_ended(case: Setting, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    with pytest.raises(ChildProcessError, match="the test ends it"):
        verify(*case, engine=Here(most=2), resume=folder, batch=5)
    assert sorted(path.name for path in folder.iterdir()) == [
        "batch-000003.safetensors",
        "batch-000004.safetensors",
        PROBLEM,
    ]
    engine = Here()
    told: list[tuple[str, int, int]] = []
    verdicts = verify(*case, engine=engine, resume=folder, batch=5, progress=lambda *what: told.append(what))
    assert engine.decided == [2, 1, 0]
    assert same(verdicts, expected(5))
    assert told == [("certify (auto, here)", done, 22) for done in (7, 12, 17, 22)]
    nothing = Here(most=0)
    assert same(verify(*case, engine=nothing, resume=folder, batch=5), verdicts)
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
    verify(*case._replace(verifier="trains"), engine=Here(), resume=tmp_path, batch=5)
    other, settings = changed(case._replace(verifier="trains"))[key]
    with pytest.raises(
        ValueError, match=rf"resume: .* holds another problem: .*{key} .* there, .* here"
    ) as caught:
        verify(*other, engine=Here(), resume=tmp_path, **{"batch": 5, **settings})
    assert "\n" not in str(caught.value)


def test_radii_per_feature_are_part_of_the_problem(case: Setting, tmp_path: Path) -> None:
    box = case._replace(perturbation=PixelBox(torch.full((6,), 0.01)), verifier="trains")
    verify(*box, engine=Here(), resume=tmp_path)
    with pytest.raises(ValueError, match="radius"):
        verify(*box._replace(perturbation=PixelBox(torch.full((6,), 0.02))), engine=Here(), resume=tmp_path)


class Told(Engine):
    """Answers at once, whatever is true: every third sample is falsified, the others are verified."""

    name = "told"

    def __init__(self) -> None:
        self.decided: list[int] = []

    def run(self, job: bytes, batches: Sequence[Batch], workers: int | None) -> Generator[bytes, None, None]:
        problem = Job.unpack(job).problem
        for batch in batches:
            self.decided.append(batch.index)
            yield Decided(problem, batch.index, tuple(map(self._verdict, range(len(batch.labels))))).pack()

    @staticmethod
    def _verdict(place: int) -> Verdict:
        if place % 3:
            return Verdict("verified", 1.0 + place, None, "told", 0.5, "so it is")
        return Verdict("falsified", None, torch.full((6,), 0.25 * place), "told", 0.5, "so it is")


def again(case: Setting, folder: Path, why: str) -> None:
    """Assert that batch 1 is decided again and named, and that nothing else is."""
    engine, nothing = Told(), Here(most=0)
    with pytest.warns(Repeated) as caught:
        verdicts = verify(*case, engine=engine, resume=folder, batch=5)
    assert engine.decided == [1]
    assert [verdict.status for verdict in verdicts[5:10]] == [
        "falsified",
        *["verified"] * 2,
        "falsified",
        "verified",
    ]
    (line,) = [str(warning.message) for warning in caught]
    assert re.fullmatch(rf"resume: .*batch-000001\.safetensors is decided again: .*{why}.*", line)
    assert same(verify(*case, engine=nothing, resume=folder, batch=5), verdicts)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a finished run."""
    folder = tmp_path_factory.mktemp("finished") / "set"
    verify(*small_set(), engine=Told(), resume=folder, batch=5)
    return folder


@pytest.fixture
def place(finished: Path, tmp_path: Path) -> Path:
    """Return the file of batch 1, in a copy of the folder."""
    shutil.copytree(finished, tmp_path / "set")
    return tmp_path / "set" / "batch-000001.safetensors"


def test_a_file_that_was_cut_or_changed_is_decided_again(case: Setting, place: Path) -> None:
    content = place.read_bytes()
    place.write_bytes(content[: len(content) // 2])
    again(case, place.parent, "is not a complete safetensors file")
    place.write_bytes(b"")
    again(case, place.parent, "is not a complete safetensors file")
    place.write_bytes(content.replace(b"so it is", b"so it be"))
    again(case, place.parent, "was changed after it was saved")


def test_a_file_of_another_batch_or_problem_is_decided_again(case: Setting, place: Path, tmp_path: Path) -> None:
    shutil.copy(place.with_name("batch-000000.safetensors"), place)
    again(case, place.parent, "another problem or batch")
    other = tmp_path / "other"
    verify(*case._replace(perturbation=LInf(0.0)), engine=Told(), resume=other, batch=5)
    shutil.copy(other / place.name, place)
    again(case, place.parent, "another problem or batch")


def _row(text: dict[str, Any], tensors: dict[str, Tensor], **values: Any) -> None:
    text["verdicts"][0] |= values


CRAFTED: dict[str, tuple[Callable[[dict[str, Any], dict[str, Tensor]], object], str]] = {
    "no verdicts": (lambda text, tensors: text.pop("verdicts"), "verdicts: Field required"),
    "a key more": (lambda text, tensors: text.update(extra=1), "extra: Extra inputs"),
    "verdicts of another kind": (lambda text, tensors: text.update(verdicts={"0": 1}), "verdicts: "),
    "too few verdicts": (lambda text, tensors: text["verdicts"].pop(), "(counterexamples: |another problem)"),
    "an unknown status": (lambda text, tensors: _row(text, tensors, status="proven"), "verdicts.0.status: "),
    "a status that is a list": (lambda text, tensors: _row(text, tensors, status=[]), "verdicts.0.status: "),
    "a margin of words": (lambda text, tensors: _row(text, tensors, margin="1"), "verdicts.0.margin: "),
    "seconds that are none": (lambda text, tensors: _row(text, tensors, seconds=-1), "verdicts.0.seconds: "),
    "a row without a reason": (lambda text, tensors: text["verdicts"][0].pop("reason"), "reason: Field required"),
    "proven without a margin": (
        lambda text, tensors: (_row(text, tensors, status="verified", margin=None), tensors.pop("0", None)),
        "margin: got None",
    ),
    "proven and disproved": (
        lambda text, tensors: (
            _row(text, tensors, status="verified", margin=1.0),
            tensors.update({"0": torch.zeros(6)}),
        ),
        "has a replayed counterexample",
    ),
    "a counterexample of nothing": (lambda text, tensors: tensors.update(x=torch.zeros(6)), "counterexamples: "),
    "a counterexample of another shape": (
        lambda text, tensors: tensors.update({k: torch.zeros(2) for k in tensors} or {"0": torch.zeros(2)}),
        "counterexample",
    ),
    "a counterexample that is no number": (
        lambda text, tensors: tensors.update({k: torch.full((6,), torch.nan) for k in tensors}),
        "no input of this problem",
    ),
    "a counterexample of eighths": (
        lambda text, tensors: tensors.update({k: torch.zeros(6).to(torch.float8_e4m3fn) for k in tensors}),
        "no input of this problem",
    ),
}


@pytest.mark.parametrize("name", CRAFTED)
def test_a_crafted_file_is_decided_again(case: Setting, place: Path, name: str) -> None:
    change, why = CRAFTED[name]
    text, tensors = read_tensors(place, VERDICTS)
    told = json.loads(text)
    assert tensors, "the batch must hold a counterexample"
    change(told, tensors)
    write_tensors(place, VERDICTS, json.dumps(told), tensors)
    again(case, place.parent, why)


def test_a_file_whose_text_is_nested_deeply_is_decided_again(case: Setting, place: Path) -> None:
    write_tensors(place, VERDICTS, "[" * 100_000, {})
    again(case, place.parent, "text: Invalid JSON")


@pytest.mark.parametrize("content", ["{", "[]", "[" * 100_000])
def test_a_folder_with_something_else_is_refused(case: Setting, tmp_path: Path, content: str) -> None:
    (tmp_path / PROBLEM).write_text(content)
    with pytest.raises(ValueError, match=r"resume: .*problem\.json"):
        verify(*case, engine=Here(), resume=tmp_path)


def test_the_problem_is_written_in_plain_words(case: Setting, tmp_path: Path) -> None:
    verify(*case._replace(perturbation=L2(0.25), verifier="trains"), engine=Here(), resume=tmp_path, seed=9)
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
        verify(**arguments)


def test_a_verifier_needs_a_name(case: Setting) -> None:
    from spikecert.certify.verifiers import TRAINS

    with pytest.raises(TypeError, match="verifier: got TrainsVerifier, expected a name"):
        verify(*case[:4], TRAINS, engine=Here())  # pyright: ignore[reportArgumentType]
