"""What a report shows of recordings of events: where they are, what came, went or moved.

Records of latency-coded networks: what is kept of a counterexample is the events that moved.
"""

from pathlib import Path

import pytest
import torch
from torch import nn

from spikecert import OneSpikeLIF, SpikingNetwork, measure, record, render
from spikecert.reports import Data, Plan, Threat
from spikecert.reports.pages.advice import advice
from spikecert.reports.pages.html_page import to_html
from spikecert.reports.pages.markdown import changed_events, recording, to_markdown
from spikecert.reports.records.schema import Counterexample


def case(shape: tuple[int, ...], before: tuple[int, ...], after: tuple[int, ...], size: int) -> Counterexample:
    """Return a recording with events at some places, before and after."""
    clean, perturbed = (tuple(float(place in places) for place in range(size)) for places in (before, after))
    return Counterexample(
        index=1,
        label=0,
        predicted=2,
        epsilon=2.0,
        found_by="spike-shift",
        shape=shape,
        clean=clean,
        perturbed=perturbed,
    )


FRAMES = case((3, 2, 2, 2), (0, 1, 5, 10), (0, 1, 13, 10, 23), 24)
OVER_TIME = case((3, 2), (0, 3), (2, 3, 5), 6)


def test_each_event_that_changed_is_told_once():
    assert changed_events(FRAMES) == [
        "row 0, column 1, on: from step 0 to step 1",
        "row 1, column 1, on: came at step 2",
    ]
    assert changed_events(OVER_TIME) == ["feature 0: from step 0 to step 1", "feature 1: came at step 2"]


def test_counts_of_events_are_told_each():
    twice = FRAMES.model_copy(update={"shape": (3, 1), "clean": (2.0, 0.0, 0.0), "perturbed": (0.0, 1.0, 0.0)})
    assert changed_events(twice) == ["feature 0: from step 0 to step 1", "feature 0: went at step 0"]


def test_frames_hold_the_events_of_their_step():
    found = recording(FRAMES)
    assert found is not None
    assert [frame.label for frame in found.frames] == ["step 0", "step 1", "step 2"]
    across = (340 - 2 * 8) / 3
    assert [(frame.x, frame.y) for frame in found.frames] == [(k * (across + 8), 14) for k in range(3)]
    off, on = found.frames[0].events
    assert (off.count("h"), on) == (2, "")  # a run of two: one rectangle, there and back
    assert [[mark.style for mark in frame.marks] for frame in found.frames] == [["gone"], ["new"], ["new"]]
    gone, new = found.frames[0].marks[0], found.frames[1].marks[0]
    assert gone.x - found.frames[0].x == pytest.approx(new.x - found.frames[1].x)
    assert (found.changed, found.more) == (2, 0)


def test_features_run_down_and_time_to_the_right():
    found = recording(OVER_TIME)
    assert found is not None
    (frame,) = found.frames
    assert [mark.style for mark in frame.marks] == ["gone", "new", "new"]
    assert frame.marks[0].y == frame.marks[1].y < frame.marks[2].y
    assert frame.marks[0].x < frame.marks[1].x < frame.marks[2].x
    assert frame.events[0].count("M") == 1


def test_what_is_no_recording_has_no_picture():
    assert recording(case((4,), (0,), (1,), 4)) is None


def test_pages_show_events_of_event_records_alone(handmade):
    plain = handmade()
    assert 'class="event-' not in to_html(plain)
    model = plain.models[0]
    epsilons = dict(zip(plain.threat.epsilons, (1.0, 2.0, 3.0), strict=True))
    rows = tuple(row.model_copy(update={"epsilon": epsilons[row.epsilon]}) for row in model.rows)
    points = tuple(point.model_copy(update={"epsilon": epsilons[point.epsilon]}) for point in model.points)
    changed = model.model_copy(
        update={"rows": rows, "points": points, "counterexamples": (FRAMES,), "radii": None}
    )
    record = handmade(threat=Threat.of("shift", (1, 2, 3)), models=(changed,), focus=2.0)
    page, text = to_html(record), to_markdown(record)
    for told in ("row 0, column 1, on: from step 0 to step 1", "row 1, column 1, on: came at step 2"):
        assert told in page
        assert told in text
    assert page.count('class="event-gone"') == 1
    assert page.count('class="event-new"') == 2
    lines = " ".join(advice(record))
    assert "--objective certified" not in lines
    assert "--proof" not in lines


def test_a_page_shows_the_events_of_the_code(tmp_path: Path):
    """The class of the brighter input: it falls when the event of step 0 comes as late as the one of step 2."""
    layers = nn.Linear(2, 2, bias=False), OneSpikeLIF(1.0, 0.5)
    layers[0].weight.data.copy_(torch.eye(2))
    network = SpikingNetwork(*layers, num_steps=4, encoding="latency", readout="first").eval()
    images, labels = torch.tensor([[1.0, 0.5], [1.0, 0.0]]), torch.tensor([0, 0])
    threat = Threat.of("shift", (1, 3))
    plan = Plan(threat, attacks=("spike-shift",), verifiers=("enumeration",))
    found = measure("latency", network, images, labels, plan)
    assert [row.verdicts["enumeration"].status for row in found.rows] == [
        *("verified", "verified"),
        *("falsified", "verified"),
    ]
    (case,) = found.counterexamples
    assert case.shape == (4, 2)
    assert torch.tensor(case.clean).view(4, 2).argmax(0).tolist() == [0, 2]
    moved = torch.tensor(case.perturbed).view(4, 2)
    assert moved.sum(0).tolist() == [1, 1]
    assert moved.argmax(0).tolist() != [0, 2]
    about = Data(name="two", split="test", samples=2, classes=2, shape=(2,), names=("left", "right"))
    page = Path(render(record([found], about, threat), tmp_path / "page.html")).read_text()
    assert "latency coding" in page
    assert "from step" in page
