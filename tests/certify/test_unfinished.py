"""Ctrl-C while samples are decided: what is proven by then is told, and nothing that was lost counts as proven."""

import copy
from typing import Any

import pytest
import torch

from spikecert import LInf, RateDraws, SpikeFlip, SpikeShift, StuckNeurons, Verdict, verify
from spikecert.asking import Threat
from spikecert.certify.branching.nodes.decisions import NodePool
from spikecert.certify.branching.search import OpenNodes
from spikecert.certify.questions.classes import ClassGoal
from spikecert.certify.replay import margins
from spikecert.certify.verdicts import Unfinished
from spikecert.certify.verifiers import TRAINS, Ladder
from spikecert.certify.verifiers.events import EventSplitting
from spikecert.certify.verifiers.trains import BoundVerifier
from spikecert.reports import Plan
from spikecert.reports.making.parts import Interrupted, measure_in_parts
from support.fleets import Here
from support.searches import EPSILON, Given, brief, searched

SLOW = brief(4)


@pytest.fixture(scope="module")
def case() -> Given:
    """Return a network and samples whose search takes some batches, with its own answers."""
    return searched()


@pytest.fixture(scope="module")
def decided(case: Given) -> list[Verdict]:
    """Return what an undisturbed search says."""
    return verify(*case, LInf(EPSILON), SLOW)


@pytest.fixture(scope="module")
def sampled(case: Given) -> list[float]:
    """Return the least margin of 500 allowed inputs of each sample."""
    network, inputs, labels = case
    around = inputs[:, None] + EPSILON * (2 * torch.rand(5, 500, 4) - 1)
    near = LInf(EPSILON).project(around.flatten(0, 1), inputs.repeat_interleave(500, 0))
    with torch.no_grad():
        found = margins(network(near), labels.repeat_interleave(500))
    return found.view(5, 500).amin(1).tolist()


class Interrupts:
    """Raises KeyboardInterrupt once a method was called `after` times, when it has done its work."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: type, name: str, after: int) -> None:
        self.left, inner = after, getattr(owner, name)

        def method(*arguments: object, **named: object) -> object:
            found = inner(*arguments, **named)
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
            return found

        monkeypatch.setattr(owner, name, method)


@pytest.mark.parametrize("after", [1, 2, 3])
@pytest.mark.parametrize(("owner", "name"), [(NodePool, "take"), (NodePool, "put"), (OpenNodes, "close")])
def test_what_was_underway_counts_as_open(
    case: Given,
    decided: list[Verdict],
    sampled: list[float],
    owner: type,
    name: str,
    after: int,
    monkeypatch: pytest.MonkeyPatch,
):
    Interrupts(monkeypatch, owner, name, after)
    with pytest.raises(Unfinished) as caught:
        verify(*case, LInf(EPSILON), SLOW)
    for early, late, least in zip(caught.value.verdicts, decided, sampled, strict=True):
        assert early.status in (late.status, "unknown")
        if early.status == "unknown":
            assert early.margin is not None
            assert early.margin <= least
            assert "interrupted" in early.reason


def test_a_ladder_keeps_what_its_rungs_had(case: Given, monkeypatch: pytest.MonkeyPatch):
    bounds = verify(*case, LInf(EPSILON), TRAINS)
    Interrupts(monkeypatch, NodePool, "take", 3)
    with pytest.raises(Unfinished, match=r"interrupted with \d of 5 samples decided") as caught:
        verify(*case, LInf(EPSILON), Ladder((TRAINS, SLOW)))
    for early, late in zip(bounds, caught.value.verdicts, strict=True):
        assert late.status != "unknown" or (late.margin or -torch.inf) >= (early.margin or -torch.inf)
    assert {verdict.verifier for verdict in caught.value.verdicts} >= {"complete"}


@pytest.mark.parametrize("verifier", [TRAINS, SLOW, "auto", "milp"])
def test_what_bounds_of_a_batch_have_is_kept(case: Given, verifier: Any, monkeypatch: pytest.MonkeyPatch):
    """Ctrl-C comes within the second bound of five samples, of which the first one decides some."""
    asked = *case, LInf(EPSILON / 4)
    first = verify(*asked, BoundVerifier("trains", TRAINS.stages[:1]))
    inner, calls = ClassGoal.bounds, list[int]()

    def bounds(self: ClassGoal, made: Any, box: Any, labels: torch.Tensor, *rest: Any) -> torch.Tensor:
        calls.append(len(labels))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return inner(self, made, box, labels, *rest)

    monkeypatch.setattr(ClassGoal, "bounds", bounds)
    with pytest.raises(Unfinished) as caught:
        verify(*asked, verifier)
    found = caught.value.verdicts
    assert [each.status for each in found] == [each.status for each in first]
    assert [each.margin for each in found] == [each.margin for each in first]
    assert {each.status for each in found} == {"verified", "unknown"}
    assert all("interrupted" in each.reason for each in found if each.status == "unknown")


def test_what_is_known_before_layers_are_looked_at_is_kept(case: Given, monkeypatch: pytest.MonkeyPatch):
    asked = *case, LInf(EPSILON / 4), TRAINS
    whole = verify(*asked)
    monkeypatch.setattr("spikecert.certify.verifiers.trains.marked", interrupted)
    with pytest.raises(Unfinished) as caught:
        verify(*asked)
    assert caught.value.verdicts == tuple(whole)
    assert {each.status for each in whole} == {"verified", "unknown"}


def interrupted(*_: object) -> None:
    """Stand for what Ctrl-C comes in."""
    raise KeyboardInterrupt


def test_samples_that_had_no_turn_are_open(case: Given, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("spikecert.certify.answering.CHUNK", 2)
    Interrupts(monkeypatch, NodePool, "take", 1)
    with pytest.raises(Unfinished) as caught:
        verify(*case, LInf(EPSILON), SLOW)
    *_, last = caught.value.verdicts
    assert len(caught.value.verdicts) == 5
    assert (last.status, last.margin, last.ties) == ("unknown", None, "strict")


def test_batches_that_are_finished_are_told(case: Given, monkeypatch: pytest.MonkeyPatch):
    def progress(_: str, done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(Unfinished) as caught:
        verify(*case, LInf(EPSILON), "trains", engine=Here(), batch=2, progress=progress)
    assert [verdict.margin is None for verdict in caught.value.verdicts] == [True] * 2 + [False] * 3


def test_a_record_of_the_last_size_holds_the_bounds(case: Given, monkeypatch: pytest.MonkeyPatch):
    plan = Plan(Threat.of("linf", EPSILON), (), ("complete", "trains"))
    Interrupts(monkeypatch, NodePool, "take", 1)
    with pytest.raises(Interrupted) as caught:
        measure_in_parts("network", *case, plan)
    assert caught.value.samples == 5
    found = caught.value.finished
    assert found is not None
    rows = [row.verdicts for row in found.rows]
    assert any("interrupted" in row["complete"].reason and row["complete"].margin is not None for row in rows)
    assert all(row["trains"].status == "unknown" for row in rows)
    Interrupts(monkeypatch, NodePool, "take", 1)
    other = Plan(Threat.of("linf", (EPSILON, 0.2)), (), ("complete",))
    with pytest.raises(Interrupted) as caught:
        measure_in_parts("network", *case, other)
    assert caught.value.finished is None


@pytest.mark.parametrize(
    ("threat", "encoding", "verifier", "name", "after"),
    [
        (LInf(0.001), "rate", "trains", "enclosure", 3),
        (StuckNeurons(1), "direct", "enumeration", "enclosure", 3),
        (SpikeFlip(1), "none", "enumeration", "members", 3),
        (SpikeShift(1, merge="add"), "none", EventSplitting(), "members", 8),
    ],
)
def test_samples_that_are_asked_one_by_one_keep_what_they_had(
    case: Given, threat: Any, encoding: str, verifier: Any, name: str, after: int, monkeypatch: pytest.MonkeyPatch
):
    network, (_, inputs, _) = copy.deepcopy(case[0]), case
    network.encoding, draws = encoding, torch.rand(4, 5, 4, dtype=torch.float64)
    network.draws = RateDraws(draws)
    inputs = (inputs[:, None] > draws.movedim(0, 1)).float() if encoding == "none" else inputs
    with torch.no_grad():
        asked = network, inputs, network(inputs).argmax(1), threat, verifier
    whole = verify(*asked)
    Interrupts(monkeypatch, type(threat), name, after)
    with pytest.raises(Unfinished) as caught:
        verify(*asked)
    found = caught.value.verdicts
    decided = [verdict for verdict in found if verdict.status != "unknown"]
    assert len(found) == 5
    assert 2 <= len(decided) < 5
    assert decided == whole[: len(decided)]


def test_progress_that_interrupts_loses_nothing(case: Given, decided: list[Verdict]):
    with pytest.raises(Unfinished) as caught:
        verify(*case, LInf(EPSILON), SLOW, progress=interrupted)
    assert [verdict.status for verdict in caught.value.verdicts] == [verdict.status for verdict in decided]
