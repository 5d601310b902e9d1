"""Figures for papers: what they draw is what the record says; files are the same for the same record."""

from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from spikecert.reports import Record, plot, save_figures
from spikecert.reports.figures.plots import kinds_of
from spikecert.training import EpochMetrics

from .conftest import RADII


def drawn(record: Any, kind: str) -> list[Any]:
    """Return the axes of a figure."""
    return [*plot(record, kind).axes]


def test_figures_show_what_the_record_says(handmade):
    record = handmade("a", "b")
    assert kinds_of(record) == ("accuracy", "radii", "margins", "gains", "rasters")
    axes = drawn(record, "accuracy")
    assert [one.get_title() for one in axes] == ["a", "b"]
    lines = {line.get_label(): [*line.get_ydata()] for line in axes[0].get_lines()}
    assert lines["left by ensemble"] == [90, 80, 60]
    assert lines["proved by trains"] == [80, 60, 30]
    assert lines["clean"] == [90, 90]
    assert axes[0].get_ylabel() == "% of 10 samples", "one list of samples for attacks and proofs"
    lower, upper = (line.get_ydata() for line in drawn(record, "radii")[0].get_lines()[::-1])
    assert all(lower <= upper)
    assert [*lower[:-1]] == [end for end, _ in sorted(RADII, key=lambda ends: ends[::-1])]
    assert [*drawn(record, "margins")[0].get_lines()[0].get_ydata()] == sorted(
        row.verdicts["interval"].margin for row in record.models[0].rows if row.epsilon == record.focus
    )
    assert [bar.get_height() for bar in drawn(record, "gains")[0].patches] == [7.896]
    fired = {line.get_label(): [*line.get_xdata()] for line in drawn(record, "rasters")[0].get_lines()}
    assert fired == {"both": [0, 3], "sample": [1], "counterexample": [2]}


def test_what_a_record_lacks_is_told(handmade):
    plain = handmade("a").model_dump(by_alias=True)
    for model in plain["models"]:
        model.update(radii=None, gains=None, counterexamples=[])
    record = Record.model_validate(plain)
    with pytest.raises(ValueError, match=r"kind: got 'radii', expected one of 'accuracy', 'margins': .* no radii"):
        plot(record, "radii")
    with pytest.raises(ValueError, match=r"kind: got 'pie', expected"):
        plot(record, "pie")
    for kind, given in (("accuracy", None), ("training", record)):
        with pytest.raises(TypeError, match=r"record: got (NoneType|Record), expected a (Record|TrainingRun) for"):
            plot(given, kind)


def test_a_training_run_is_drawn_by_epoch():
    history = tuple(EpochMetrics(k, 1 / k, {}, 0.8, None if k == 1 else 0.5, 0.1, 1.0) for k in (1, 2, 3))
    loss, validation = drawn(SimpleNamespace(history=history), "training")
    assert [*loss.get_lines()[0].get_ydata()] == [1, 1 / 2, 1 / 3]
    robust = validation.get_lines()[1]
    assert robust.get_label() == "robust accuracy"
    assert str([*map(float, robust.get_ydata())]) == "[nan, 0.5, 0.5]"


def test_figures_are_files_of_the_same_bytes(handmade, tmp_path):
    record = handmade("a")
    found, again = save_figures(record, tmp_path / "one"), save_figures(record, tmp_path / "two")
    assert [path.name for path in found[:3]] == ["accuracy.svg", "accuracy.pdf", "accuracy.png"]
    assert len(found) == 15
    assert [path.read_bytes() for path in found] == [path.read_bytes() for path in again]
    assert found[0].read_text(encoding="utf-8").startswith("<?xml")
    assert found[1].read_bytes().startswith(b"%PDF")
    with Image.open(found[2]) as image:
        assert image.size == (680, 540)
