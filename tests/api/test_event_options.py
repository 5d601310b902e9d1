"""Which events change, and how, said on the command line: records say it, and repeat it."""

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from spikecert import (
    LIF,
    CertifiedEvents,
    CrossEntropy,
    EventChange,
    SpikeFlip,
    SpikeShift,
    SpikingNetwork,
    dataset,
    load_record,
    save,
    verify,
)
from spikecert.asking.question import ChangedEvents
from spikecert.asking.run_files import TrainStep
from spikecert.asking.values import number
from spikecert.certify import EventRegion
from spikecert.protocols.planning import objective as protocol_objective
from spikecert.reports.pages.wording import assumptions, essentials
from spikecert.reports.pages.wording import verdict as sentence
from spikecert.runs import building
from support.command_line import run as run

COMMON = "--data", "digit-events", "--samples", "4"


@pytest.fixture(scope="module")
def network() -> SpikingNetwork:
    torch.manual_seed(0)
    return SpikingNetwork(
        nn.Flatten(), nn.Linear(128, 6), LIF(0.8, 0.2), nn.Linear(6, 10), num_steps=3, encoding="none"
    ).eval()


@pytest.fixture(scope="module")
def path(network, tmp_path_factory):
    place = tmp_path_factory.mktemp("events") / "net.safetensors"
    save(network, place)
    return place


CERTIFIED = [
    (
        ("--norm", "flips", "--epsilon", "2", "--kind", "insert", "--where", "steps=0:2,rows=1:4"),
        SpikeFlip(2, "insert", EventRegion(steps=(0, 2), rows=(1, 4))),
        "at most ε events in steps 0 to 1, rows 1 to 3 may be inserted",
    ),
    (
        ("--norm", "shift", "--epsilon", "3", "--budget", "count", "--jitter", "1", "--border", "leave"),
        SpikeShift(1, 3, border="leave"),
        "at most ε events may come earlier or later, each by at most 1 steps, those at the border may leave",
    ),
    (
        ("--norm", "shift", "--epsilon", "1", "--budget", "jitter", "--count", "2", "--merge", "add"),
        SpikeShift(1, 2, merge="add"),
        "each event may come up to ε steps earlier or later, at most 2 of them, two in one entry are two",
    ),
    (
        ("--norm", "flips+shift", "--epsilon", "1", "--jitter", "1", "--count", "2", "--kind", "delete"),
        EventChange(SpikeFlip(1, "delete"), SpikeShift(1, 2)),
        "earlier or later, at most 2 of them, each by at most 1 steps; and at most ε events may be deleted",
    ),
]


@pytest.mark.parametrize(("told", "threat", "words"), CERTIFIED)
def test_what_is_certified_is_what_was_said(run, network, path, tmp_path, told, threat, words):
    out = tmp_path / "out"
    found = run("certify", path, *COMMON, *told, "--verifier", "trains", "--no-gains", "--out", out)
    assert found.status in (0, 1)
    record = load_record(out / "record.json")
    data = dataset("digit-events", num_steps=3).test
    wanted = verify(network, data.inputs[:4].float(), data.labels[:4], threat, "trains")
    assert [row.verdicts["trains"].status for row in record.models[0].rows] == [item.status for item in wanted]
    assert record.threat.around(record.focus) == threat
    assert words in assumptions(record)[0]
    assert words in essentials(record)[0][1]
    assert all(f"{key} {value}" in record.command for key, value in zip(told[4::2], told[5::2], strict=True))
    assert told[5].partition("=")[0] in sentence(record)
    assert run("report", out / "record.json", "--out", tmp_path / "page.tex").status == 0


def test_radii_of_a_budget_join_the_record_of_the_same_changes(run, path, tmp_path):
    told = *COMMON, "--norm", "shift", "--budget", "count", "--jitter", "1"
    assert run("certify", path, *told, "--epsilon", "2", "--verifier", "interval", "--no-gains", "--out", tmp_path)
    assert run("radius", path, *told, "--verifier", "interval", "--out", tmp_path).status == 0
    attach = "report", tmp_path / "record.json", "--radii", tmp_path / "radii.json"
    assert run(*attach).status == 0
    content = json.loads((tmp_path / "radii.json").read_text())
    assert (content["threat"]["budget"], content["threat"]["jitter"]) == ("count", 1)
    del content["threat"]["jitter"]
    (tmp_path / "radii.json").write_text(json.dumps(content))
    assert "radii: got radii of sets that differ from the record's in their jitter" in run(*attach).err


WRONG = [
    (("--kind", "insert"), "kind: got one with --norm linf, expected --norm flips"),
    (("--norm", "flips", "--where", "rows=0:99"), "rows: got (0, 99), expected at most the recording's"),
    (("--norm", "shift", "--budget", "jitter", "--epsilon", "3"), "jitter: got 3, expected less than"),
    (("--norm", "flips+shift", "--jitter", "3"), "jitter: got 3, expected less than"),
]
"""What tests/asking does not ask: what only recordings tell."""


@pytest.mark.parametrize(("told", "words"), WRONG, ids=[" ".join(told) for told, _ in WRONG])
def test_what_makes_no_sense_is_one_line(run, path, told, words):
    size = () if "--epsilon" in told else ("--epsilon", "1")
    found = run("certify", path, *COMMON, *told, *size, "--verifier", "interval", "--no-gains")
    assert (found.status, found.out, found.err.count("\n")) == (2, "", 1)
    assert words in found.err


def test_flips_beside_moves_have_no_radius(run, path, tmp_path):
    told = *COMMON, "--norm", "flips+shift", "--jitter", "1"
    asked = "--epsilon", "1", "--verifier", "interval", "--no-gains", "--out", tmp_path
    assert run("certify", path, *told, *asked).status in (0, 1)
    assert "These sets have no radius" in (tmp_path / "report.html").read_text()
    page = (tmp_path / "report.md").read_text()
    assert "These sets have no radius" in page
    assert "--radii" not in page
    found = run("radius", path, *told)
    assert (found.status, found.out) == (2, "")
    assert "norm: got flips beside moves, which have no radius" in found.err


def test_a_jitter_has_no_radius(run, path):
    found = run("radius", path, *COMMON, "--norm", "shift", "--budget", "jitter")
    assert found.status == 2
    assert "budget: got 'jitter'" in found.err


TRAINED = [
    (("certified-flips", "3", "--kind", "insert", "--where", "steps=0:2"), "SpikeFlip(count=3, kind='insert'"),
    (("certified-shift", "2", "--budget", "count", "--jitter", "1"), "SpikeShift(jitter=1, count=2, total=None"),
    (("certified-shift", "4", "--border", "leave"), "SpikeShift(jitter=None, count=None, total=4"),
]


@pytest.mark.parametrize(("told", "words"), TRAINED)
def test_what_is_trained_against_is_what_was_said(run, tmp_path, monkeypatch, told, words):
    seen = []

    def stop(network, samples, aim, *_, **__):
        seen.append(aim)
        raise ValueError("stopped: got enough")

    monkeypatch.setattr("spikecert.runs.building.fit", stop)
    options = "--data", "digit-events", "--num-steps", "3", "--neuron", "lif", "--out", tmp_path / "out"
    assert run("train", *options, "--objective", told[0], "--size", *told[1:]).status == 2
    assert isinstance(seen[0], CertifiedEvents)
    assert words in repr(seen[0].threat)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        (("certified", "--jitter", "1"), "jitter: got one with objective certified, expected certified-shift"),
        (("certified-flips", "--jitter", "1"), "jitter: got one with norm flips, expected norm shift"),
        (("certified-shift", "--kind", "insert"), "kind: got one with norm shift, expected norm flips"),
        (("certified-flips",), "size: got 0.0156863, expected a whole number"),
        (("certified-shift", "--size", "1", "--total", "2"), "total: got 2, expected none"),
        (("certified-flips", "--size", "-1"), "size: got '-1', expected a number from 0 on"),
    ],
)
def test_events_that_make_no_sense_in_training_are_refused(run, tmp_path, told, message):
    found = run("train", "--data", "digit-events", "--out", tmp_path / "out", "--objective", *told)
    assert found.status == 2
    assert message in found.err


def test_run_files_and_protocols_name_them():
    events = ChangedEvents(budget="count", jitter=1)
    step = TrainStep(objective="cross-entropy+certified-shift", size=number(2), events=events)
    assert building.objective(step) == CrossEntropy() + CertifiedEvents(SpikeShift(1, 2))
    threat = {"kind": "SpikeFlip", "count": 2, "where": {"kind": "EventRegion", "steps": [0, 2]}}
    found = protocol_objective([{"kind": "CertifiedEvents", "threat": threat, "weight": 0.25}])
    assert found == CertifiedEvents(SpikeFlip(2, where=EventRegion(steps=(0, 2))), weight=0.25)
    with pytest.raises(ValueError, match="budget: got one with objective certified, expected certified-shift"):
        building.objective(replace(step, objective="certified"))
    with pytest.raises(ValueError, match="kind: got one with norm shift, expected norm flips"):
        building.objective(replace(step, events=ChangedEvents(kind="insert")))
