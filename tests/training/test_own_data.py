"""Data of one's own: tensors, arrays, samples by index, archives, and functions that the command line calls.

Folders of pictures, limits and names of classes: what own data may be besides arrays in [0, 1].
"""

import io
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from spikecert import dataset, mlp, save
from spikecert.cli import main
from spikecert.training import own_dataset

INPUTS, LABELS = torch.rand(60, 5, generator=torch.Generator().manual_seed(0)), torch.arange(60) % 3


class Samples:
    """What torchvision's and tonic's data sets are: a length, and (input, label) by index."""

    def __len__(self) -> int:
        return len(LABELS)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return INPUTS[index].numpy(), int(LABELS[index])


@pytest.mark.parametrize("part", [(INPUTS, LABELS), (INPUTS.numpy(), LABELS.numpy()), Samples()])
def test_all_forms_give_the_same_splits(part):
    found = own_dataset("mine", part, seed=3)
    assert (len(found.train), len(found.validation), len(found.test)) == (44, 4, 12)
    assert (found.shape, found.classes, found.num_steps) == ((5,), 3, None)
    both = torch.cat([found.train.inputs, found.validation.inputs, found.test.inputs])
    assert torch.equal(both.sort(0).values, INPUTS.sort(0).values)
    for split in (found.train, found.test):
        for row, label in zip(split.inputs, split.labels, strict=True):
            assert label == LABELS[(row == INPUTS).all(1)].item()


def test_given_splits_stay_as_they_are_and_bytes_become_shares():
    images = torch.randint(0, 256, (9, 1, 4, 4), dtype=torch.uint8)
    found = own_dataset(
        "mine", (images, torch.arange(9)), (images[:2], torch.tensor([3, 1])), (images[4:], torch.arange(5))
    )
    assert torch.equal(found.test.inputs, images[4:].float() / 255)
    assert torch.equal(found.validation.labels, torch.tensor([3, 1]))
    assert (found.shape, found.classes) == ((1, 4, 4), 9)


def test_events_keep_their_steps():
    events = (torch.rand(20, 6, 4) < 0.5).float()
    found = own_dataset("mine", (events, torch.arange(20) % 2), events=True)
    assert (found.num_steps, found.shape) == (6, (4,))
    assert found.train.inputs.dtype == torch.uint8


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ((INPUTS * 3, LABELS), "train: got inputs from .* expected \\[0, 1\\]; say the range"),
        ((INPUTS * torch.nan, LABELS), "train: got inputs from nan"),
        ((INPUTS, LABELS.float()), "train: got labels of torch.float32"),
        ((INPUTS, LABELS - 1), "train: got labels of torch.int64 from -1"),
        ((INPUTS, LABELS[:-1]), "train: got labels of shape \\(59,\\) for 60 inputs"),
        ((INPUTS > 0.5, LABELS), "train: got inputs of torch.bool, expected bytes, whole numbers or floats"),
        (((INPUTS * 2**26).long(), LABELS), "train: got whole numbers beyond 16777216, which float32 rounds"),
        (((INPUTS * 9).long(), LABELS), "train: got inputs from 0 to 8, expected"),
        ((np.array(["a"]), np.array([1])), "train: got an array of <U1, expected numbers"),
        (([1, 2], [3, 4]), "train: got list of 2 samples|train: got inputs of shape"),
        (7, "train: got int, expected a pair"),
        ({7, 8}, "train: got set, expected a pair"),
        ([np.array([0.5, 1.0])] * 60, "train: got list of 60 samples, expected a pair"),
        ((INPUTS[:0], LABELS[:0]), "train: got inputs of shape \\(0, 5\\)"),
    ],
)
def test_what_does_not_fit_is_told_in_one_line(part, told):
    with pytest.raises((TypeError, ValueError), match=told):
        own_dataset("mine", part)


def test_an_archive_is_a_data_set_by_its_path(tmp_path: Path):
    place = tmp_path / "mine.npz"
    np.savez_compressed(place, inputs=INPUTS.numpy(), labels=LABELS.numpy())
    found, same = dataset(str(place), seed=3), own_dataset("mine", (INPUTS, LABELS), seed=3)
    assert torch.equal(found.test.inputs, same.test.inputs)
    assert dataset("mine.npz", tmp_path).name == str(place)
    few, bytes_ = INPUTS[:7].numpy(), LABELS[:7].numpy().astype(np.uint8)
    np.savez(place, train_inputs=INPUTS.numpy(), train_labels=LABELS.numpy(), test_inputs=few, test_labels=bytes_)
    assert torch.equal(dataset(str(place)).test.inputs, INPUTS[:7])


def test_broken_and_hostile_archives_are_refused(tmp_path: Path):
    place = tmp_path / "mine.npz"
    np.savez(place, inputs=np.array([{1: 2}], dtype=object), labels=LABELS.numpy())
    with pytest.raises(ValueError, match=r"holds an array of \|O, expected numbers"):
        dataset(str(place))
    np.savez(place, other=INPUTS.numpy())
    with pytest.raises(ValueError, match=r"mine\.npz holds other, expected inputs"):
        dataset(str(place))
    place.write_bytes(b"no archive")
    with pytest.raises(ValueError, match="is no zip archive"):
        dataset(str(place))
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (1 << 40, 5)})
    with zipfile.ZipFile(place, "w") as archive:
        archive.writestr("inputs.npy", header.getvalue() + b"12345678")
        archive.writestr("labels.npy", b"")
    with pytest.raises(ValueError, match="in 8 bytes"):
        dataset(str(place))
    with pytest.raises(FileNotFoundError, match=r"expected an \.npz archive"):
        dataset(str(tmp_path / "none.npz"))


def test_the_command_line_takes_an_archive_and_a_function(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    torch.manual_seed(0)
    save(mlp((5, 8, 3), 2), tmp_path / "network.safetensors")
    np.savez(tmp_path / "mine.npz", inputs=INPUTS.numpy(), labels=LABELS.numpy())
    (tmp_path / "mine.py").write_text(
        "import torch\n\ndef data():\n    return torch.linspace(0, 1, 300).view(60, 5), torch.arange(60) % 3\n"
    )
    for data in (tmp_path / "mine.npz", f"{tmp_path / 'mine.py'}:data"):
        words = ["attack", str(tmp_path / "network.safetensors"), "--data", str(data), "--samples", "4"]
        assert main([*words, "--method", "fgsm", "--epsilon", "0.1"]) == 0
        assert "fgsm" in capsys.readouterr().out


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
    with pytest.raises(ValueError, match=r"got inputs from -1 to 1, expected \[0, 1\]; say the range"):
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
