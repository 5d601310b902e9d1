"""What a network was trained on is taken from beside it, and never code."""

import os
from pathlib import Path
from typing import Any

import pytest

from spikecert.asking.trained_on import completed, read_trained_on

NAMES = ("data", "label", "class-names", "root", "range", "features", "norm", "epsilon", "samples", "set")
KEYS = {name: f"asked__{name}" for name in NAMES}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "data.toml").write_text(
        'data = "./../mine.csv"\nlabel = "fault"\nclass-names = "no,yes"\nfeatures = "features.toml"\n'
        'range = "-1.0,90.0"\nepsilon = "0.5"\n'
    )
    return tmp_path / "network.safetensors"


def known(model: Path, optional: bool = False, keys: dict[str, str] = KEYS, **typed: Any) -> dict[str, Any]:
    given = dict.fromkeys(KEYS.values()) | {"asked__model": str(model)}
    given |= {KEYS[name]: value for name, value in typed.items()}
    return completed(given, keys, optional)


def test_what_was_not_typed_is_taken_from_the_description(model: Path) -> None:
    found = known(model)
    assert found["asked__data"] == str(model.parent.parent / "mine.csv")
    assert found["asked__features"] == str(model.parent / "features.toml")
    assert (found["asked__label"], found["asked__class-names"]) == ("fault", "no,yes")
    assert (found["asked__range"], found["asked__epsilon"]) == (None, "0.5")


def test_what_was_typed_stays(model: Path) -> None:
    assert known(model, label="other")["asked__label"] == "other"
    assert known(model, epsilon="2degC:heat")["asked__epsilon"] == "2degC:heat"
    balls = known(model, norm="l2")
    assert (balls["asked__features"], balls["asked__range"], balls["asked__epsilon"]) == (None, "-1.0,90.0", None)
    other = known(model, data="other.csv")
    assert (other["asked__data"], other["asked__features"]) == ("other.csv", str(model.parent / "features.toml"))
    assert known(model, data="digits")["asked__features"] is None


def test_a_typed_epsilon_is_of_the_norm_that_is_described(model: Path) -> None:
    (model.parent / "data.toml").write_text('data = "nmnist"\nnorm = "flips"\nepsilon = "1"\n')
    assert (known(model)["asked__norm"], known(model)["asked__epsilon"]) == ("flips", "1")
    typed = known(model, epsilon="2")
    assert (typed["asked__norm"], typed["asked__epsilon"]) == ("flips", "2")
    assert known(model, norm="linf")["asked__epsilon"] is None
    keys = {name: key for name, key in KEYS.items() if name != "norm"}
    assert known(model, keys=keys)["asked__epsilon"] is None


def test_a_command_without_features_takes_the_range(model: Path) -> None:
    keys = {name: key for name, key in KEYS.items() if name != "features"}
    assert known(model, keys=keys)["asked__range"] == "-1.0,90.0"


def test_data_that_are_asked_about_only_with_samples_are_not_taken_without(model: Path) -> None:
    assert known(model, optional=True)["asked__data"] is None
    assert known(model, optional=True, samples="3")["asked__data"] is not None


def test_no_description_and_no_network_change_nothing(tmp_path: Path) -> None:
    assert known(tmp_path / "network.safetensors")["asked__data"] is None
    assert completed({"asked__data": None}, KEYS, False) == {"asked__data": None}


@pytest.mark.parametrize("named", ["zoo:mnist-linf-0.1", "mine.py:Network"])
def test_a_network_that_is_no_file_is_described_nowhere(model: Path, monkeypatch, named: str) -> None:
    monkeypatch.chdir(model.parent)
    given = dict.fromkeys(KEYS.values()) | {"asked__model": named}
    assert completed(given, KEYS, False) == given


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('data = "evil.py:run"', "which would run code"),
        ('model = "x"', "got 'model', expected texts for data, label"),
        ("data = 3", "got 'data', expected texts"),
        ("data = [", "is no TOML file"),
    ],
)
def test_what_is_no_description_is_refused(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "data.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=told):
        read_trained_on(path)


def test_paths_are_seen_from_the_current_folder(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "data.toml").write_text('data = "mnist"\nroot = "../DATA"\n')
    monkeypatch.chdir(tmp_path)
    assert read_trained_on(Path("runs/data.toml")) == {"data": "mnist", "root": os.path.normpath("DATA")}
