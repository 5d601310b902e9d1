"""Data of one's own: tensors, arrays, samples by index, archives, and functions that the command line calls."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from spikecert import dataset, mlp, own_dataset, save
from spikecert.cli import main

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
        ((INPUTS * 3, LABELS), "train: got inputs from .* expected \\[0, 1\\]; scale"),
        ((INPUTS * torch.nan, LABELS), "train: got inputs from nan"),
        ((INPUTS, LABELS.float()), "train: got labels of torch.float32"),
        ((INPUTS, LABELS - 1), "train: got labels of torch.int64 from -1"),
        ((INPUTS, LABELS[:-1]), "train: got labels of shape \\(59,\\) for 60 inputs"),
        ((INPUTS.long(), LABELS), "train: got inputs of torch.int64, expected bytes or floats"),
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
