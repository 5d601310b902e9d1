"""Tables and recordings of one's own: what comes in is what was written, and what is none is told in one line."""

import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikecert import dataset
from spikecert.asking.boxes import FEATURES
from spikecert.training.data.features import draft, to_toml
from spikecert.training.data.recordings.own_recordings import binned
from spikecert.training.data.splits import Dataset
from spikecert.training.data.tables import load_table, read_table
from support.examples import examples

WIDE = (-1e6, 1e6)


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.csv"
    path.write_text(text, encoding="utf-8", newline="")
    return path


def rows(label: str = "fair,storm", count: int = 40) -> list[str]:
    names = label.split(",")
    return [f"{k / 4},{90 + k},{names[k % len(names)]}" for k in range(count)]


def whole(found: Dataset) -> tuple[torch.Tensor, torch.Tensor]:
    """Return all inputs and labels, by the last feature."""
    parts = found.train, found.validation, found.test
    inputs, labels = torch.cat([part.inputs for part in parts]), torch.cat([part.labels for part in parts])
    order = inputs.flatten(1)[:, -1].argsort()
    return inputs[order], labels[order]


@pytest.mark.parametrize("between", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_table_is_a_data_set_in_its_own_units(tmp_path: Path, between: str, end: str) -> None:
    lines = [line.replace(",", between) for line in ["temperature [degC],pressure (kPa),weather", *rows()]]
    path = written(tmp_path, "\ufeff" + end.join(lines) + end)
    found = dataset(str(path), limits=(0, 200), label=("weather",))
    assert (found.shape, found.classes, found.names) == ((2,), 2, ("fair", "storm"))
    assert found.features == (("temperature", "degC"), ("pressure", "kPa"))
    inputs, labels = whole(found)
    assert torch.equal(inputs, torch.tensor([[k / 4, 90.0 + k] for k in range(40)]))
    assert torch.equal(labels, torch.arange(40) % 2)


@pytest.mark.parametrize(
    ("label", "classes"),
    [("fair,storm", 2), ("3,0", 4), ("0.5,1.5", None), ("1.0,2.0", None), (" b , a ", 2)],
)
def test_texts_and_whole_numbers_are_classes_and_numbers_with_a_point_are_learned(
    tmp_path, label, classes
) -> None:
    found = load_table(written(tmp_path, "\n".join(["a,b,label", *rows(label)])), 0, WIDE)
    assert found.train.real == (classes is None)
    assert found.classes == (classes or 1)


def test_several_columns_are_what_is_learned_and_a_column_says_the_split(tmp_path: Path) -> None:
    parts = ["train"] * 6 + ["validation"] * 2 + ["test"] * 2
    lines = [f"{k},{k + 1},{2 * k}.0,{part}" for k, part in enumerate(parts)]
    found = load_table(written(tmp_path, "\n".join(["a,y,z,split", *lines])), 0, WIDE, ("y", "z"))
    assert [len(part) for part in (found.train, found.validation, found.test)] == [6, 2, 2]
    assert torch.equal(found.test.inputs, torch.tensor([[8.0], [9.0]]))
    assert torch.equal(found.test.labels, torch.tensor([[9.0, 16.0], [10.0, 18.0]]))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "has 0 columns of 0 lines"),
        ("a,label", "holds names and no sample"),
        ("label\n1", "has 1 columns"),
        ("a,a,label\n1,2,0", "has the name 'a' twice"),
        ("a,,label\n1,2,0", "has the name none for column 2"),
        ("a,label\n1,0\n2", "has 1 cells in line 3, expected 2"),
        ("a,label\n1,0\nRome,0", "holds 'Rome' in column 'a', sample 2, expected a finite number"),
        ("a,label\n1,0\n,1\n,0", "has an empty cell in 2 of 3 rows.*column 'a' is empty in 67 % of the rows"),
        ("a,label\nnan,0", "has no column but those of labels"),
        ("a,label\n1e999,0", "holds '1e999' in column 'a'"),
        ("a,label\n1,0.5\n2,inf", "holds 'inf' in column 'label'"),
        ('a,label\n"1,0', "is no table, line 2"),
        ("label,split\n1,train", "has no column but those of labels"),
        ("a,label,split\n1,0,train\n2,1,tset", "has 'tset' in its column split"),
        ("a,label,split\n1,0,train\n2,1,train", "has no train, or no test"),
    ],
)
def test_what_is_no_table_is_one_line(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told) as refused:
        dataset(str(written(tmp_path, text)))
    assert "\n" not in str(refused.value)


def test_texts_are_codes_and_rows_with_empty_cells_are_left_out(tmp_path: Path) -> None:
    lines = [f"id{k},{k}.5,{'?' if k == 5 else 'red' if k % 3 else 'blue'},{k % 2 * 2 - 1}" for k in range(60)]
    lines[7] = "id7,,red,1"
    path = written(tmp_path, "\n".join(["who,speed [m/s],colour,side", *lines]))
    data = dataset(str(path))
    assert data.features == (("speed", "m/s"), ("colour=blue", ""), ("colour=red", ""))
    assert (data.names, len(data.train) + len(data.validation) + len(data.test)) == (("-1", "1"), 58)
    inputs, labels = whole(data)
    kept = [k for k in range(60) if k not in (5, 7)]
    by_speed = inputs[:, 0].argsort()
    assert torch.equal(inputs[by_speed, 0], torch.tensor([k + 0.5 for k in kept]))
    assert torch.equal(inputs[by_speed, 2], torch.tensor([float(k % 3 > 0) for k in kept]))
    assert torch.equal(labels[by_speed], torch.tensor([k % 2 for k in kept]))
    told = " ".join(data.notes)
    assert "The last column, 'side', is what is learned" in told
    assert "Column 'who' has 60 different texts and was left out." in told
    assert "Column 'colour' became 2 columns of 0 and 1" in told
    assert "2 of 60 rows have an empty cell and were left out." in told


def test_none_is_a_text_and_no_empty_cell(tmp_path: Path) -> None:
    lines = [f"{k},{'none' if k % 3 else 'bearing'},{'none' if k % 2 else 'gear'}" for k in range(40)]
    data = dataset(str(written(tmp_path, "\n".join(["speed,sound,fault", *lines]))))
    assert data.names == ("gear", "none")
    assert [name for name, _ in data.features] == ["speed", "sound=bearing", "sound=none"]
    assert len(whole(data)[0]) == 40


def test_another_table_gets_the_codes_and_classes_of_the_network(tmp_path: Path) -> None:
    lines = [f"{k},{'red' if k % 2 else 'blue'},{'b' if k % 3 else 'c'}" for k in range(40)]
    path = written(tmp_path, "\n".join(["speed,colour,label", *lines]))
    features = ("speed", "colour=blue", "colour=green", "colour=red")
    data = load_table(path, 0, classes=("a", "b", "c"), features=features)
    assert [name for name, _ in data.features] == [*features]
    assert (data.names, data.classes) == (("a", "b", "c"), 3)
    inputs, labels = whole(data)
    assert int(labels.min()) == 1
    assert not bool(inputs[:, 2].any())
    with pytest.raises(ValueError, match="holds 'red' in column 'colour', expected one of the texts that"):
        load_table(path, 0, features=("speed", "colour=blue"))
    with pytest.raises(ValueError, match="holds 'c' in column 'label', expected one of the classes a, b"):
        load_table(path, 0, classes=("a", "b"))


@pytest.mark.parametrize(
    ("labels", "task", "real"),
    [
        ([k % 20 for k in range(60)], None, False),
        ([(k * 7) % 55 for k in range(60)], None, True),
        ([(k * 7) % 55 for k in range(60)], "classes", False),
        ([k % 2 for k in range(60)], "values", True),
        ([f"{k % 2}.0" for k in range(60)], None, True),
        ([f"{k % 2}.0" for k in range(60)], "classes", False),
    ],
)
def test_the_label_says_what_is_learned_unless_the_user_does(tmp_path: Path, labels, task, real: bool) -> None:
    path = written(tmp_path, "\n".join(["a,label", *(f"{k},{label}" for k, label in enumerate(labels))]))
    if task == "classes" and len({*labels}) > 30:
        with pytest.raises(ValueError, match="too few to cut off"):
            load_table(path, 0, task=task)
        return
    assert load_table(path, 0, task=task).train.real == real


def test_a_draft_is_read_off_the_training_rows_and_widened_for_the_others(tmp_path: Path) -> None:
    parts = ["train"] * 20 + ["test"] * 5
    lines = [f"{k if k < 20 else 50},{k % 2},{part}" for k, part in enumerate(parts)]
    (feature,) = draft(written(tmp_path, "\n".join(["speed,label,split", *lines])))
    assert (feature.range, feature.outside, feature.epsilon) == ((0.0, 50.0), 5, 1.0)


def test_other_data_have_no_columns_and_no_duration(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", inputs=np.zeros((20, 3)), labels=np.arange(20) % 2)
    for name, how, told in (
        ("digits", {"label": ("a",)}, "label: got 'a' for digits, expected none"),
        ("digits", {"duration": 3.0}, r"duration: got 3.0 for digits, expected none"),
        (str(tmp_path / "x.npz"), {"duration": 3.0}, "holds no recordings of events"),
        (str(tmp_path / "none.csv"), {}, "no such file, expected a table"),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=told):
            dataset(name, **how)  # type: ignore[arg-type]


def test_parquet_without_its_package_says_what_to_do(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    with pytest.raises(ModuleNotFoundError, match="needs pyarrow: pip install pyarrow, or save it as CSV"):
        dataset(str(tmp_path / "x.parquet"))


NUMBERS = st.tuples(st.floats(-1e6, 1e6, width=32), st.floats(1e-3, 0.1))


@given(st.lists(NUMBERS, min_size=10, max_size=24))
@examples(200)
def test_a_draft_holds_all_samples_and_reads_back(tmp_path_factory, values) -> None:
    folder = tmp_path_factory.mktemp("draft")
    lines = [f"{one!r},{other!r},{k % 2}" for k, (one, other) in enumerate(values)]
    path = written(folder, "\n".join(['"odd ""name"" \\ [µm]",b,label', *lines]))
    text = to_toml(path.name, draft(path))
    (folder / "features.toml").write_text(text, encoding="utf-8")
    read = FEATURES.read(str(folder / "features.toml"))
    assert [one.name for one in read] == [column.name for column in read_table(path)[:2]]
    assert read[0].unit == "µm"
    assert tomllib.loads(text).keys() == {one.name for one in read}
    for place, one in enumerate(read):
        column = [pair[place] for pair in values]
        assert one.range[0] <= min(column)
        assert max(column) <= one.range[1]
        assert 0 < one.epsilon <= (one.range[1] - one.range[0]) / 10


TIMES = np.array([0, 40, 99, 100, 5, 5, 260])
EVENTS = {"recording": np.array([0, 0, 0, 0, 1, 1, 1]), "t": TIMES, "x": np.array([0, 1, 2, 2, 1, 1, 0])}


@pytest.mark.parametrize("form", ["fields", "arrays", "folder"])
def test_recordings_of_events_become_frames(tmp_path: Path, form: str) -> None:
    held = {**EVENTS, "p": np.array([1, 0, 1, 1, 0, 0, 1], np.uint8)}
    many, labels, place = {name: np.tile(array, 20) for name, array in held.items()}, np.arange(40) % 2, tmp_path
    many["recording"] += np.repeat(np.arange(20) * 2, 7)
    if form == "folder":
        for name, array in {**many, "labels": labels}.items():
            np.save(place / f"{name}.npy", array)
    else:
        place = place / "mine.npz"
        table = np.zeros(140, [("recording", "<i4"), ("t", "<i8"), ("x", "<u2"), ("p", "|u1")])
        for name, array in many.items():
            table[name] = array
        arrays: dict[str, Any] = {"events": table} if form == "fields" else many
        np.savez(place, labels=labels, **arrays)
    found = dataset(str(place), num_steps=3, duration=300.0)
    assert (found.num_steps, found.shape, found.classes) == (3, (2, 3), 2)
    first, second = torch.zeros(2, 3, 2, 3, dtype=torch.uint8)
    first[0, 1, 0] = first[0, 0, 1] = first[0, 1, 2] = first[1, 1, 2] = 1
    second[0, 0, 1] = second[2, 1, 0] = 1
    for frames, label in zip(*whole(found), strict=True):
        assert torch.equal(frames, second if label else first)


def test_the_duration_is_that_of_the_last_event_where_nobody_says_another() -> None:
    found = binned(EVENTS, 2, 10)
    assert found.shape == (2, 10, 3)
    assert found[1, 9, 0] == 1
    assert not found[0, 4:].any()
    assert binned({"t": np.zeros(1), "x": np.zeros(1, int)}, 1, 4).sum() == 1


@pytest.mark.parametrize(
    ("changed", "count", "told"),
    [
        ({"t": TIMES - 1}, 2, "holds times that are negative"),
        ({"t": TIMES * np.nan}, 2, "holds times that are negative or no numbers"),
        ({"t": TIMES + 1000}, 2, "expected times from each recording's start"),
        ({"x": EVENTS["x"] - 1}, 2, "holds x of int64 from -1"),
        ({"x": EVENTS["x"] / 2}, 2, "holds x of float64"),
        ({"x": EVENTS["x"] * 10**8}, 2, "makes 2 recordings of 3 frames"),
        ({"x": EVENTS["x"][1:]}, 2, "expected t and x"),
        ({}, 3, "holds events of 2 recordings up to number 1 for 3 labels"),
        ({}, 1, "holds events of 2 recordings up to number 1 for 1 labels"),
    ],
)
def test_events_that_do_not_fit_are_refused(changed: dict[str, np.ndarray], count: int, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        binned({**EVENTS, **changed}, count, 3)


@pytest.mark.parametrize("kind", ["i1", "i2", "u2", "i4", "u4", "i8", "u8"])
def test_counts_of_any_whole_type_come_in_as_they_are(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, inputs=np.arange(60).reshape(20, 3).astype(kind), labels=np.arange(20) % 2)
    assert torch.equal(whole(dataset(str(path), limits=(0, 60)))[0].flatten(), torch.arange(60.0))
