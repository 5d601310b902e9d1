"""The frozen answers: a sample of them is as it was, and what is lost, contradicted or unusable is told."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from answers import keeping
from answers.command import main
from answers.comparing import Comparison, accepted_losses
from answers.elements import ELEMENTS
from answers.keeping import FILE, Corpus, Unusable, read, write
from answers.level import INSIDE, KEPT, reached
from answers.questions import named, sample
from answers.sets import FAMILIES
from spikecert.certify.verifiers import VERIFIERS

ROOT = Path(__file__).resolve().parents[2]
NAME = "LIF zero/linf/class/trains"
VERIFIED, UNKNOWN = {"status": "verified", "margin": 0.25}, {"status": "unknown", "margin": -0.5}
FALSIFIED = {"status": "falsified"}
RANGE = {"status": "closed", "lower": -1.0, "upper": 1.0, "least": -0.9, "greatest": 0.9}


def became(before: Any, now: Any, strict: bool = True, accepted: Any = ()) -> Comparison:
    """Return what became of one answer."""
    return Comparison.of({NAME: {"answers": [before]}}, {NAME: {"answers": [now]}}, accepted, strict)


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (VERIFIED, UNKNOWN),
        (FALSIFIED, UNKNOWN),
        (VERIFIED, VERIFIED | {"margin": 0.25 * (1 - 2e-9)}),
        (UNKNOWN, UNKNOWN | {"margin": -0.5 * (1 + 2e-9)}),
        (UNKNOWN, {"status": "unknown"}),
        (RANGE, RANGE | {"upper": 1.0 + 3e-9}),
        (RANGE, RANGE | {"lower": -1.0 - 3e-9}),
        (RANGE, RANGE | {"status": "open"}),
        ({"status": "equivalent", "gap": 0.5}, {"status": "equivalent", "gap": 0.6}),
        ({"status": "proven", "bytes": 9}, {"status": "unproven", "why": "Unproven: no"}),
    ],
)
def test_what_is_lost_fails_at_the_kept_level_alone(before, now):
    found = became(before, now)
    assert found.fails
    assert found.counts() == {"lost": 1}
    other = became(before, now, strict=False)
    assert not other.failures
    assert other.fails == (other.now["decided"] < other.before["decided"])
    back = became(now, before)
    assert not back.fails
    assert back.counts()["lost"] == 0


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (UNKNOWN, VERIFIED),
        (UNKNOWN, FALSIFIED),
        (VERIFIED, VERIFIED | {"margin": 0.26}),
        (RANGE, RANGE | {"upper": 0.95}),
        ({"status": "unproven", "why": "Unproven: no"}, {"status": "proven", "bytes": 9}),
    ],
)
def test_what_is_better_is_counted(before, now):
    found = became(before, now)
    assert not found.fails
    assert found.counts() == {"better": 1}


def test_what_is_told_alone_is_no_loss():
    slightly = VERIFIED | {"margin": 0.25 * (1 - 5e-10)}
    assert became(VERIFIED, slightly).counts() == {"same": 1}
    sizes = {"status": "proven", "bytes": 100, "leaves": 3}, {"status": "proven", "bytes": 900, "leaves": 30}
    assert became(*sizes).counts() == {"same": 1}
    assert became(RANGE, RANGE | {"least": -0.8}).counts() == {"same": 1}


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    ("before", "now"),
    [
        (VERIFIED, FALSIFIED),
        (FALSIFIED, VERIFIED),
        (VERIFIED, VERIFIED | {"broken": True}),
        ({"status": "equivalent"}, {"status": "different"}),
    ],
)
def test_a_contradiction_fails_at_every_level_whatever_is_accepted(tmp_path, before, now, strict):
    found = became(before, now, strict, losses(tmp_path, NAME))
    assert found.fails
    assert found.counts() == {"contradicted": 1}


def test_verifiers_that_contradict_each_other_fail():
    asked = {NAME: {"answers": [VERIFIED]}, "LIF zero/linf/class/linear": {"answers": [FALSIFIED]}}
    found = Comparison.of(asked, asked, (), True)
    assert found.fails
    assert found.counts() == {"same": 2, "contradicted": 1}
    elsewhere = {NAME: {"answers": [VERIFIED]}, "LIF zero/l2/class/linear": {"answers": [FALSIFIED]}}
    assert not Comparison.of(elsewhere, elsewhere, (), True).fails


def test_refusals_are_answers_too():
    answered, refused = {NAME: {"answers": [UNKNOWN, UNKNOWN]}}, {NAME: {"refused": "ValueError: network: no"}}
    raised = {NAME: {"raised": "IndexError: list"}}
    assert Comparison.of(answered, refused, (), True).fails
    assert Comparison.of(refused, answered, (), True).counts() == {"better": 1}
    assert Comparison.of(refused, raised, (), True).fails
    assert Comparison.of(answered, {}, (), True).fails
    told = str(Comparison.of(answered, refused, (), True).failures[0])
    assert told == f"lost: {NAME} [-1]: unknown → refused: ValueError: network: no"


def losses(folder: Path, *questions: str, reason: str = "a bound that was wrong") -> Any:
    """Return a list of accepted losses, from a file."""
    path = folder / "accepted.toml"
    path.write_text("".join(f'[[accepted]]\nquestion = "{q}"\nreason = "{reason}"\n' for q in questions))
    return accepted_losses(path)


def test_an_accepted_loss_stands_and_one_that_is_idle_is_told(tmp_path):
    accepted = losses(tmp_path, "LIF zero/*/class/trains", "LIF none/*")
    found = became(VERIFIED, UNKNOWN, accepted=accepted)
    assert not found.fails
    assert [one.question for one in found.idle] == ["LIF none/*"]
    assert became(VERIFIED, UNKNOWN, accepted=accepted[1:]).fails


@pytest.mark.parametrize("text", ["[[accepted]]\nquestion = 'a'\n", "accepted = 3\n", "[[accepted\n"])
def test_a_list_of_losses_without_reasons_is_refused(tmp_path, text):
    path = tmp_path / "accepted.toml"
    path.write_text(text)
    with pytest.raises(Unusable, match=r"accepted\.toml: expected"):
        accepted_losses(path)
    with pytest.raises(Unusable, match=r"accepted\.toml: expected"):
        losses(tmp_path, NAME, reason=" ")


def test_at_another_level_as_many_must_be_decided():
    before = {f"a/linf/class/{k}": {"answers": [VERIFIED]} for k in range(200)}
    now = before | {f"a/linf/class/{k}": {"answers": [UNKNOWN]} for k in range(3)}
    assert Comparison.of(before, now, (), False).fails
    assert not Comparison.of(before, {**now, "a/linf/class/0": {"answers": [VERIFIED]}}, (), False).fails


def kept(path: Path, **changes: Any) -> Path:
    """Write the kept answers with changes to a file."""
    write(path, replace(read(FILE, KEPT), **changes))
    return path


def edited(path: Path, change: Any) -> Path:
    """Write the kept answers, their text changed, to a file."""
    path.write_text(change(FILE.read_text(encoding="utf-8")), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: text[:-200], "is broken: it is no file of answers"),
        (
            lambda text: text.replace('"status": "verified"', '"status": "falsified"', 1),
            "is broken: what it holds",
        ),
        (lambda text: text.replace('"weights": {', '"scales": {', 1), "is broken: a part is missing"),
        (lambda text: text.replace('"version": 1', '"version": 0', 1), "is of version 0, expected 1"),
        (lambda text: text.replace(f'"level": "{KEPT}"', '"level": "native"', 1), "was made at level 'native'"),
        (lambda text: "[]", "is broken: it is no file of answers"),
    ],
)
def test_what_can_not_be_used_is_told_in_one_line(tmp_path, monkeypatch, capsys, change, told):
    monkeypatch.setenv(INSIDE, KEPT)
    path = edited(tmp_path / "answers.json", change)
    assert main(["compare", "--kept", str(path)]) == 2
    said = capsys.readouterr()
    assert told in said.err
    assert len(said.err.splitlines()) == 1
    assert not said.out


def test_a_missing_file_and_other_weights_are_told_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(INSIDE, KEPT)
    assert main(["compare", "--kept", str(tmp_path / "none.json")]) == 2
    weights = {**read(FILE, KEPT).weights, "LIF zero": "0" * 12}
    path = kept(tmp_path / "answers.json", weights=weights)
    assert main(["compare", "--kept", str(path), "--only", NAME, "--processes", "1"]) == 2
    missing, other = capsys.readouterr().err.splitlines()
    assert missing.startswith("none.json: can't be read")
    assert other.startswith("LIF zero: its weights or samples have digest")


def planted(path: Path, **changes: Any) -> Path:
    """Write the kept answers with another first answer to one question."""
    answers = dict(read(FILE, KEPT).answers)
    first, *rest = answers[NAME]["answers"]
    return kept(path, answers={**answers, NAME: {"answers": [first | changes, *rest]}})


def test_a_greater_kept_margin_is_a_loss_that_names_the_question(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(INSIDE, KEPT)
    path = planted(tmp_path / "answers.json", margin=1e3)
    asked = ["compare", "--kept", str(path), "--only", NAME, "--processes", "1"]
    assert main(asked) == 1
    said = capsys.readouterr().out
    assert f"lost: {NAME} [0]: margin 1000 →" in said
    assert "1 questions: 0 better, 3 same, 1 lost, 0 contradicted" in said
    losses(tmp_path, "LIF zero/*", reason="planted")
    assert main([*asked, "--accepted", str(tmp_path / "accepted.toml")]) == 0
    assert "accepted: LIF zero/*: planted" in capsys.readouterr().out


def test_each_element_meets_each_set_and_each_verifier():
    sets, verifiers = dict[str, set[str]](), dict[str, set[str]]()
    for question in named().values():
        sets.setdefault(question.subject.name, set()).add(question.family)
        verifiers.setdefault(question.subject.name, set()).add(question.verifier)
    for subject in ELEMENTS:
        assert sets[subject.name] >= {family.name for family in FAMILIES}
        assert verifiers[subject.name] >= set(VERIFIERS)
    assert set(read(FILE, KEPT).answers) == set(named())


def test_nothing_kept_was_raised_or_is_trivial():
    answers = read(FILE, KEPT).answers
    assert not [name for name, answer in answers.items() if "raised" in answer]
    statuses = [one["status"] for answer in answers.values() for one in answer.get("answers", ())]
    for status in ("verified", "falsified", "unknown", "equivalent", "different", "proven", "closed"):
        assert statuses.count(status) >= 10, status
    shares = [statuses.count(status) / len(statuses) for status in ("verified", "falsified", "unknown")]
    assert min(shares) > 0.05, shares


def test_a_sample_of_the_answers_is_as_it_was():
    """Each element, set, kind and verifier, asked again at the level of the answers that are kept."""
    command = [sys.executable, str(ROOT / "benchmarks" / "answers"), "compare", "--sample"]
    inside = {name: value for name, value in os.environ.items() if name != INSIDE}
    done = subprocess.run(command, env=inside, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    chosen = sample(tuple(named().values()), read(FILE, KEPT).answers)
    assert done.stdout.splitlines()[-1].startswith(f"{len(chosen)} questions: ")
    if reached(KEPT):
        assert not done.stderr
    else:
        assert "does not reach" in done.stderr


def test_writing_and_reading_gives_the_same(tmp_path):
    numbers = {"status": "unknown", "margin": -0.1, "upper": float("inf")}
    made = Corpus(KEPT, {"a": "0"}, {"a/linf": [0.1, [0, 1]]}, {"a/linf/class/x": {"answers": [numbers]}})
    write(tmp_path / "answers.json", made)
    assert read(tmp_path / "answers.json", KEPT) == made
    lines = (tmp_path / "answers.json").read_text().splitlines()
    assert sum(line.startswith('"a/linf/class/x": ') for line in lines) == 1
    assert json.loads("\n".join(lines))["version"] == keeping.VERSION
