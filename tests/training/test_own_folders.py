"""Folders of pictures, limits and names of classes: what own data may be besides arrays in [0, 1]."""

import tracemalloc
from collections.abc import Callable
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
        (larger, r"01.png is a picture of \(4, 3\) pixels, and others of \(5, 5\), expected one size"),
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


def bomb(folder: Path) -> None:
    Image.new("1", (9000, 9000)).save(folder / "boot" / "00.png")


def many(folder: Path) -> None:
    for path in folder.rglob("*.png"):
        Image.new("L", (1000, 1000)).save(path)


def unpacked_size(start: bytes, suffix: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / "boot" / f"00a{suffix}").write_bytes(start)

    return write


def scans(folder: Path) -> None:
    path = folder / "boot" / "00.jpg"
    Image.new("L", (4, 3)).save(path, progressive=True)
    content = path.read_bytes()
    place = content.index(b"\xff\xda")
    path.write_bytes(content[:place] + content[place:-2] * 101 + content[-2:])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (bomb, "00.png makes 81000000 pixels of 99.. bytes, with the pictures before it, expected at most 90"),
        (many, "makes 9000000 pixels of .* bytes, with the pictures before it, expected at most 8"),
        (unpacked_size(b"P5 999999999 999999999 255", ".pgm"), "00a.pgm is a picture of .999999999"),
        (unpacked_size(b"P6 -4 3 255 ", ".ppm"), "00a.ppm can't be read"),
        (unpacked_size(b"P6 4 3 255 ", ".ppm"), "00a.ppm can't be read"),
        (unpacked_size(b"BM", ".bmp"), "00a.bmp can't be read"),
        (unpacked_size(b"\xff\xd8\xff", ".jpg"), "00a.jpg can't be read"),
        (scans, "00.jpg has more than 100 scans"),
    ],
)
def test_a_small_folder_can_not_ask_for_much(tmp_path: Path, change: Callable[[Path], None], told: str) -> None:
    fill(tmp_path)
    change(tmp_path)
    tracemalloc.start()
    with pytest.raises(ValueError, match=f"^dataset: .*{told}") as caught:
        dataset(str(tmp_path))
    assert tracemalloc.get_traced_memory()[1] < 2**25
    tracemalloc.stop()
    assert "\n" not in str(caught.value)


def test_a_folder_of_plain_drawings_is_read(tmp_path: Path) -> None:
    """Much larger than their files, as drawings are."""
    for label, name in enumerate(NAMES):
        (tmp_path / name).mkdir()
        for k in range(10):
            picture = Image.new("RGB", (400, 400), (10 * k, label, 0))
            picture.paste((255, 0, 0), (50, 50, 60 + k, 90))
            picture.save(tmp_path / name / f"{k}.png")
    assert dataset(str(tmp_path)).shape == (3, 400, 400)


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
