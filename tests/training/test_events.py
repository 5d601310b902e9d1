"""Event data sets: readers held against small files in the real formats, and events made from the digits."""

import gzip
import math
import re
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from spikecert.cli import main
from spikecert.models import LIF, SpikingNetwork
from spikecert.training import dataset, digit_events, fit
from spikecert.training.data.digit_events import REACH, _path, frames
from spikecert.training.data.recordings import neuromorphic as heidelberg
from spikecert.training.evaluation import accuracy

Event = tuple[int, int, int, int]
"""x, y, polarity, microseconds."""


def forty_bits(*events: Event) -> bytes:
    words = [(x << 32) | (y << 24) | (on << 23) | time for x, y, on, time in events]
    return b"".join(word.to_bytes(5, "big") for word in words)


def write_nmnist(root: Path, per_digit: int = 6) -> None:
    generator = np.random.default_rng(0)
    for part, count in (("Train", per_digit), ("Test", 1)):
        for digit in range(10):
            folder = root / part / str(digit)
            folder.mkdir(parents=True)
            for k in range(count):
                xy = generator.integers(0, 34, (20, 2))
                events = [(int(x), int(y), digit % 2, 1000 * k) for x, y in xy]
                (folder / f"{k:05d}.bin").write_bytes(forty_bits(*events))


@pytest.mark.parametrize("folder", [".", "NMNIST"])
def test_nmnist_files_are_read(tmp_path: Path, folder: str) -> None:
    write_nmnist(tmp_path / folder, per_digit=24)
    first = tmp_path / folder / "Test" / "0" / "00000.bin"
    events = [(3, 5, 1, 0), (3, 5, 1, 10), (33, 0, 0, 29_999), (0, 33, 1, 30_000), (1, 2, 0, 8_000_000)]
    first.write_bytes(forty_bits(*events))
    data = dataset("nmnist", tmp_path, num_steps=10)
    assert (len(data.train), len(data.validation), len(data.test)) == (220, 20, 10)
    assert (data.shape, data.classes, data.num_steps) == ((2, 34, 34), 10, 10)
    assert data.train.inputs.dtype == torch.uint8
    assert data.test.labels.tolist() == list(range(10))
    expected = torch.zeros(10, 2, 34, 34, dtype=torch.uint8)
    for place in ((0, 1, 5, 3), (0, 0, 0, 33), (1, 1, 33, 0), (9, 0, 2, 1)):  # step, polarity, y, x
        expected[place] = 1
    assert torch.equal(data.test.inputs[0], expected)
    per_polarity = data.test.inputs.flatten(3).amax(3).amax(1)  # (samples, polarity)
    assert per_polarity[1:, 1].tolist() == [digit % 2 for digit in range(1, 10)]


def test_nmnist_clock_overflow_moves_what_follows(tmp_path: Path) -> None:
    write_nmnist(tmp_path, per_digit=24)
    file = tmp_path / "Test" / "0" / "00000.bin"
    overflow = (0, 240, 0, 0)
    file.write_bytes(forty_bits((1, 1, 0, 8000), overflow, (2, 1, 0, 5), overflow, (3, 1, 0, 5)))
    seen = dataset("nmnist", tmp_path, num_steps=75).test.inputs[0, :, 0, 1]  # 4 ms a frame
    assert seen.nonzero().tolist() == [[2, 1], [2, 2], [4, 3]]  # at 8, 8.197 and 16.389 ms


def no_digit(root: Path) -> None:
    for file in (root / "Train" / "7").iterdir():
        file.unlink()


def half_event(root: Path) -> None:
    file = root / "Train" / "3" / "00001.bin"
    file.write_bytes(file.read_bytes()[:-2])


def empty(root: Path) -> None:
    (root / "Train" / "3" / "00001.bin").write_bytes(b"")


def outside(root: Path) -> None:
    (root / "Train" / "2" / "00000.bin").write_bytes(forty_bits((34, 0, 0, 0)))


def one_outside(root: Path) -> None:
    events = ((1, 2, 0, 0), (34, 3, 1, 5), (4, 5, 0, 9))
    (root / "Train" / "2" / "00000.bin").write_bytes(forty_bits(*events))


def only_overflow(root: Path) -> None:
    (root / "Train" / "2" / "00000.bin").write_bytes(forty_bits((0, 240, 0, 0)))


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (no_digit, FileNotFoundError, r"nmnist needs Train/7/\*.bin .* pass it as root"),
        (half_event, ValueError, "00001.bin holds 98 bytes, expected whole events of 5"),
        (empty, ValueError, "00001.bin holds 0 bytes"),
        (outside, ValueError, "is no N-MNIST recording, expected events with x and y below 34"),
        (one_outside, ValueError, "is no N-MNIST recording, expected events with x and y below 34"),
        (only_overflow, ValueError, "is no N-MNIST recording"),
    ],
)
def test_a_broken_nmnist_is_one_clear_error(
    tmp_path: Path, damage: Callable[[Path], None], error: type[Exception], message: str
) -> None:
    write_nmnist(tmp_path)
    damage(tmp_path)
    with pytest.raises(error, match=message) as caught:
        dataset("nmnist", tmp_path)
    assert "\n" not in str(caught.value)


def write_words(
    file: Path,
    count: int,
    *,
    classes: int = 20,
    unit: int | None = None,
    time: float | None = None,
    label: int | None = None,
) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
    """Write a file as the data set's own: ragged float16 seconds, ragged uint16 units, uint16 labels."""
    generator = np.random.default_rng(count)
    times = [np.sort(generator.random(30 + k % 5)).astype(np.float16) for k in range(count)]
    units = [generator.integers(0, 700, len(row)).astype(np.uint16) for row in times]
    labels = (np.arange(count) % classes).astype(np.uint16)
    times[1][3] = times[1][3] if time is None else time
    units[1][3] = units[1][3] if unit is None else unit
    labels[1] = labels[1] if label is None else label
    with h5py.File(file, "w") as content:
        for name, rows, dtype in (("times", times, np.float16), ("units", units, np.uint16)):
            ragged = content.create_dataset(f"spikes/{name}", (count,), dtype=h5py.vlen_dtype(dtype))
            for k, row in enumerate(rows):
                ragged[k] = row
        content["labels"] = labels
    return times, units, labels


@pytest.mark.parametrize("compress", [True, False])
def test_shd_files_are_read(tmp_path: Path, compress: bool) -> None:
    write_words(tmp_path / "shd_train.h5", 480)
    times, units, labels = write_words(tmp_path / "shd_test.h5", 40)
    if compress:
        for file in tmp_path.glob("*.h5"):
            Path(f"{file}.gz").write_bytes(gzip.compress(file.read_bytes()))
            file.unlink()
    data = dataset("shd", tmp_path, num_steps=14)
    assert (len(data.train), len(data.validation), len(data.test)) == (440, 40, 40)
    assert (data.shape, data.classes, data.num_steps) == ((700,), 20, 14)
    assert data.test.labels.tolist() == labels.tolist()
    for row, (when, where) in enumerate(zip(times, units, strict=True)):
        expected = {(int(10 * float(t)), int(u)) for t, u in zip(when, where, strict=True)}
        assert {tuple(place) for place in data.test.inputs[row].nonzero().tolist()} == expected


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"unit": 700}, "is broken in recording 1, expected a time of at least 0 and a unit from 0 to 699"),
        ({"time": -0.5}, "is broken in recording 1"),
        ({"time": float("nan")}, "is broken in recording 1"),
        ({"label": 20}, "holds a label outside 0 to 19"),
    ],
)
def test_a_broken_shd_recording_is_one_clear_error(tmp_path: Path, damage: dict[str, float], message: str) -> None:
    write_words(tmp_path / "shd_train.h5", 300, **damage)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message):
        dataset("shd", tmp_path)


def test_ssc_files_are_read_some_recordings_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heidelberg, "TOGETHER", 30)
    (tmp_path / "SSC").mkdir()
    held = {
        part: write_words(tmp_path / "SSC" / f"ssc_{part}.h5", count, classes=35)
        for part, count in (("train", 71), ("valid", 30), ("test", 61))
    }
    data = dataset("ssc", tmp_path, num_steps=10)
    assert (data.shape, data.classes, data.num_steps) == ((700,), 35, 10)
    for part, split in (("train", data.train), ("valid", data.validation), ("test", data.test)):
        times, units, labels = held[part]
        assert split.labels.tolist() == labels.tolist()
        for row, when, where in zip(split.inputs, times, units, strict=True):
            expected = {(min(9, int(10 * float(t))), int(u)) for t, u in zip(when, where, strict=True)}
            assert {tuple(place) for place in row.nonzero().tolist()} == expected


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            {"unit": 700},
            "ssc_valid.h5 is broken in recording 1, expected a time of at least 0 and a unit from 0 to 699",
        ),
        ({"label": 35}, "ssc_valid.h5 holds a label outside 0 to 34"),
    ],
)
def test_a_broken_ssc_recording_is_one_clear_error(tmp_path: Path, damage: dict[str, float], message: str) -> None:
    write_words(tmp_path / "ssc_train.h5", 40, classes=35)
    write_words(tmp_path / "ssc_valid.h5", 40, classes=35, **damage)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message):
        dataset("ssc", tmp_path)


def test_a_broken_recording_behind_the_first_is_told_by_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heidelberg, "TOGETHER", 1)
    write_words(tmp_path / "ssc_train.h5", 4, classes=35, unit=700)
    with pytest.raises(ValueError, match="is broken in recording 1,"):
        dataset("ssc", tmp_path)


def test_a_missing_ssc_file_is_one_line(tmp_path: Path) -> None:
    write_words(tmp_path / "ssc_train.h5", 40, classes=35)
    message = r"ssc needs the file ssc_valid.h5 .*; put ssc_train.h5, ssc_valid.h5 and ssc_test.h5"
    with pytest.raises(FileNotFoundError, match=message) as caught:
        dataset("ssc", tmp_path)
    assert "\n" not in str(caught.value)


def test_a_cut_or_foreign_shd_file_is_one_clear_error(tmp_path: Path) -> None:
    file = tmp_path / "shd_train.h5"
    write_words(file, 40)
    whole = file.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"no HDF5"):
        file.write_bytes(content)
        with pytest.raises(ValueError, match="is no complete SHD file") as caught:
            dataset("shd", tmp_path)
        assert "\n" not in str(caught.value)
    with h5py.File(file, "w") as other:
        other["labels"] = [0, 1]
    with pytest.raises(ValueError, match="is no complete SHD file"):
        dataset("shd", tmp_path)
    file.unlink()
    with pytest.raises(FileNotFoundError, match=r"shd needs the file shd_train.h5 .*pass it as root"):
        dataset("shd", tmp_path)


def test_without_h5py_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_words(tmp_path / "shd_train.h5", 20)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ModuleNotFoundError, match=re.escape("pip install h5py")):
        dataset("shd", tmp_path)


def test_binning_keeps_every_event_and_both_ends() -> None:
    times, places = np.array([0.0, 0.49, 0.5, 1.0, 9.0]), np.array([0, 1, 2, 3, 4])
    assert frames(times, places, 2, 1.0, 5).tolist() == [[1, 1, 0, 0, 0], [0, 0, 1, 1, 1]]


@pytest.mark.parametrize("name", ["digit-events", "nmnist", "shd", "ssc", "dvs-gesture"])
def test_no_step_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="num_steps: got 0, expected at least 1"):
        dataset(name, tmp_path, num_steps=0)


def test_digit_events_are_events_of_the_digits_in_the_same_cuts() -> None:
    data, digits = dataset("digit-events", num_steps=6), dataset("digits")
    assert data.train.inputs.shape == (1197, 6, 2, 8, 8)
    assert data.train.inputs.dtype == torch.uint8
    assert set(data.train.inputs.unique().tolist()) == {0, 1}
    for name in ("train", "validation", "test"):
        assert torch.equal(getattr(data, name).labels, getattr(digits, name).labels)
    clean = digit_events(6, noise=0.0)
    both = clean.test.inputs.float().prod(2)
    assert float(both.max()) == 0.0  # a pixel never grows darker and brighter in one step
    share = float((digit_events(6, noise=0.2).test.inputs != clean.test.inputs).float().mean())
    assert share == pytest.approx(0.2, abs=0.005)


def test_digits_move_along_a_triangle_and_back() -> None:
    half = REACH / 2
    side = half * math.sqrt(3)
    corners = [(0, REACH), (side, -half), (-side, -half), (0, REACH)]
    assert _path(3) == [pytest.approx(corner, abs=1e-12) for corner in corners]
    halves = [pytest.approx(((a + c) / 2, (b + d) / 2), abs=1e-12) for (a, b), (c, d) in pairwise(corners)]
    assert _path(6)[1::2] == halves


def test_the_seed_decides_digit_events() -> None:
    first, again, other = digit_events(4, seed=1), digit_events(4, seed=1), digit_events(4, seed=2)
    assert torch.equal(first.test.inputs, again.test.inputs)
    assert not torch.equal(first.test.inputs, other.test.inputs)


@pytest.mark.parametrize("noise", [-0.1, 1.1, float("nan")])
def test_a_noise_that_is_no_chance_is_refused(noise: float) -> None:
    with pytest.raises(ValueError, match="noise: got"):
        digit_events(noise=noise)


def test_a_network_learns_the_digits_from_their_events() -> None:
    torch.manual_seed(0)
    data = dataset("digit-events", num_steps=6)
    layers = (torch.nn.Flatten(), torch.nn.Linear(128, 64), LIF(0.9), torch.nn.Linear(64, 10))
    network = SpikingNetwork(*layers, num_steps=6, encoding="none")
    run = fit(network, data, epochs=10, optimizer="adam", learning_rate=5e-3)
    assert accuracy(run.network, data.test) >= 0.8


def test_the_command_line_trains_on_events(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("--data", "digit-events", "--network", "mlp:8-8", "--num-steps", "3", "--epochs", "1", "--json")
    assert main(["train", "--out", str(tmp_path), *asked]) == 0
    assert '"best_epoch": 1' in capsys.readouterr().out
