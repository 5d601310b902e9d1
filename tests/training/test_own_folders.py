"""Folders of pictures, limits and names of classes: what own data may be besides arrays in [0, 1]."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from spikecert import dataset
from spikecert.training import own_dataset

NAMES = ("boot", "shirt")


def fill(folder: Path, mode: str = "L", count: int = 12, suffix: str = ".png") -> None:
    """Write pictures of two classes, of 3 × 4 pixels, that are as bright as their number."""
    for label, name in enumerate(NAMES):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for k in range(count):
            level = 10 * k + label
            Image.new(mode, (4, 3), level if mode == "L" else (level, 0, 255)).save(
                folder / name / f"{k:02}{suffix}"
            )


def test_a_folder_of_classes(tmp_path: Path) -> None:
    fill(tmp_path / "clothes")
    found = dataset("clothes", tmp_path)
    assert (found.shape, found.classes, found.names) == ((1, 3, 4), 2, NAMES)
    whole = torch.cat([part.inputs for part in (found.train, found.validation, found.test)])
    labels = torch.cat([part.labels for part in (found.train, found.validation, found.test)])
    assert len(whole) == 24
    levels = (whole * 255).round().amax((1, 2, 3)).int()
    assert torch.equal(levels % 10, labels.int())  # each with the label of its folder
    assert found.name == str(tmp_path / "clothes")


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".ppm"])
def test_a_folder_of_splits_in_colour(tmp_path: Path, suffix: str) -> None:
    fill(tmp_path / "train", "RGB", 20, suffix)
    fill(tmp_path / "test", "RGB", 2, suffix)
    found = dataset(str(tmp_path))
    assert (found.shape, len(found.test), len(found.train) + len(found.validation)) == ((3, 3, 4), 4, 40)
    assert found.test.inputs[2, :, 0, 0].tolist() == pytest.approx([1 / 255, 0.0, 1.0])
    assert found.test.labels.tolist() == [0, 0, 1, 1]


def strange(folder: Path) -> None:
    (folder / "boot" / "notes.txt").write_text("no picture")


def disguised(folder: Path) -> None:
    (folder / "boot" / "00.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n")


def cut(folder: Path) -> None:
    path = folder / "boot" / "00.png"
    path.write_bytes(path.read_bytes()[:40])


def larger(folder: Path) -> None:
    Image.new("L", (5, 5)).save(folder / "boot" / "00.png")


def clear(folder: Path) -> None:
    Image.new("RGBA", (4, 3)).save(folder / "boot" / "00.png")


def alone(folder: Path) -> None:
    fill(folder / "train")


def emptied(folder: Path) -> None:
    (folder / "hat").mkdir()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (strange, r"boot holds notes.txt, expected pictures \(.png"),
        (disguised, "00.png is no PNG, JPEG, BMP, PGM or PPM file"),
        (cut, "00.png can't be read"),
        (larger, "pixels, expected one size"),
        (clear, "00.png is of mode RGBA, expected grey or RGB of 8 bits"),
        (alone, "has train, expected train and test, or classes alone"),
        (emptied, "hat holds nothing, expected pictures"),
    ],
)
def test_folders_of_other_things_are_one_line(tmp_path: Path, change, told: str) -> None:
    fill(tmp_path)
    change(tmp_path)
    with pytest.raises(ValueError, match=f"^dataset: .*{told}") as caught:
        dataset(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_inputs_within_limits_of_their_own(tmp_path: Path) -> None:
    inputs, labels = np.linspace(-1, 1, 80, dtype=np.float32).reshape(40, 2), np.arange(40) % 2
    found = own_dataset("mine", (inputs, labels), names=NAMES, limits=(-1, 1))
    assert (found.limits, found.names, found.classes) == ((-1.0, 1.0), NAMES, 2)
    with pytest.raises(ValueError, match=r"got inputs from -1 to 1, expected \[0, 1\]; .*say their limits"):
        own_dataset("mine", (inputs, labels))
    with pytest.raises(ValueError, match="got inputs from -1 to 1"):
        own_dataset("mine", (inputs, labels), limits=(-1, 0.5))
    np.savez(tmp_path / "mine.npz", inputs=inputs, labels=labels, names=np.array(NAMES))
    again = dataset("mine.npz", tmp_path, limits=(-1, 1))
    assert (again.names, again.limits) == (NAMES, (-1.0, 1.0))
    for limits, told in (((1, 0), "limits: got 1 and 0"), ((0, float("nan")), "limits: got nan")):
        with pytest.raises(ValueError, match=told):
            own_dataset("mine", (inputs, labels), limits=limits)
    with pytest.raises(ValueError, match=r"^limits: got"):
        dataset("digits", limits=(-1, 1))
    with pytest.raises(ValueError, match=r"^names: got 3, expected one for each of 2 classes$"):
        own_dataset("mine", (inputs / 2 + 0.5, labels), names=("a", "b", "c"), classes=2)
