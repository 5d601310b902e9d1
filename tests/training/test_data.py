"""Data sets: splits that share nothing, and readers held against small files in the real formats."""

import gzip
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spikecert.training import Dataset, Split, dataset


def test_digits_are_cut_in_three_that_share_nothing() -> None:
    digits = dataset("digits")
    parts = (digits.train, digits.validation, digits.test)
    assert [len(part) for part in parts] == [1197, 300, 300]
    assert digits.shape == (64,)
    assert digits.classes == 10
    pooled = torch.cat([part.inputs for part in parts])
    assert pooled.dtype == torch.float32
    assert (float(pooled.min()), float(pooled.max())) == (0.0, 1.0)
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    assert sorted(map(tuple, (pooled * 16).tolist())) == sorted(map(tuple, images.tolist()))
    assert torch.equal(torch.cat([part.labels for part in parts]).bincount(), torch.from_numpy(labels).bincount())
    for part in parts:  # stratified: each class within two samples of its share
        shares = torch.from_numpy(labels).bincount() * len(part) / len(labels)
        assert bool((part.labels.bincount() - shares).abs().le(2).all())


def test_the_seed_decides_the_cut() -> None:
    first, again, other = dataset("digits"), dataset("digits", seed=0), dataset("digits", seed=1)
    for name in ("train", "validation", "test"):
        assert torch.equal(getattr(first, name).inputs, getattr(again, name).inputs)
        assert not torch.equal(getattr(first, name).inputs, getattr(other, name).inputs)


def test_a_split_of_unequal_lengths_is_refused() -> None:
    with pytest.raises(ValueError, match="labels: got 2 for 3 inputs"):
        Split(torch.zeros(3, 1), torch.zeros(2))


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_mnist(folder: Path, compress: bool) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for part, count in (("train", 480), ("t10k", 50)):
        images = generator.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        for name, array in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", labels)):
            content = gzip.compress(idx(array)) if compress else idx(array)
            (folder / (name + ".gz" if compress else name)).write_bytes(content)
        written.append((images, labels))
    return written[1]


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize(
    ("name", "folder"),
    [("mnist", "."), ("mnist", "MNIST/raw"), ("fashion-mnist", "FashionMNIST/raw"), ("fashion-mnist", "raw")],
)
def test_idx_files_are_read(tmp_path: Path, name: str, folder: str, compress: bool) -> None:
    images, labels = write_mnist(tmp_path / folder, compress)
    data = dataset(name, tmp_path)
    assert (len(data.train), len(data.validation), len(data.test)) == (440, 40, 50)
    assert data.shape == (1, 28, 28)
    assert data.validation.labels.bincount().tolist() == [4] * 10
    assert torch.equal(data.test.labels, torch.from_numpy(labels).long())
    torch.testing.assert_close(data.test.inputs[:, 0] * 255, torch.from_numpy(images).float())


def break_magic(folder: Path) -> None:
    (folder / "t10k-images-idx3-ubyte").write_bytes(idx(np.zeros((2, 2), np.uint8)))


def cut_short(folder: Path) -> None:
    file = folder / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-1])


def cut_header(folder: Path) -> None:
    (folder / "train-labels-idx1-ubyte").write_bytes(b"\0\0\x08")


def cut_gzip(folder: Path) -> None:
    file = folder / "train-images-idx3-ubyte"
    file.write_bytes(gzip.compress(file.read_bytes())[:-9])


def other_labels(folder: Path) -> None:
    (folder / "t10k-labels-idx1-ubyte").write_bytes(idx(np.zeros(49, np.uint8)))


def label_ten(folder: Path) -> None:
    (folder / "t10k-labels-idx1-ubyte").write_bytes(idx(np.full(50, 10, np.uint8)))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (break_magic, "is no IDX file of bytes with 3 dimensions"),
        (cut_short, "expected the 376320 that its header names"),
        (cut_header, "is no IDX file"),
        (cut_gzip, "is not a complete gzip file"),
        (other_labels, "does not fit its images"),
        (label_ten, "expected a label 0 to 9"),
    ],
)
def test_a_broken_idx_file_is_one_clear_error(
    tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    write_mnist(tmp_path, compress=False)
    damage(tmp_path)
    with pytest.raises(ValueError, match=message):
        dataset("mnist", tmp_path)


def test_too_few_samples_is_one_clear_error(tmp_path: Path) -> None:
    write_mnist(tmp_path, compress=False)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(np.zeros((30, 28, 28), np.uint8)))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx((np.arange(30) % 10).astype(np.uint8)))
    with pytest.raises(ValueError, match="too few to cut off"):
        dataset("mnist", tmp_path)


def cifar_batch(count: int, key: bytes, classes: int, **extra: Any) -> dict[Any, Any]:
    generator = np.random.default_rng(count)
    pixels = generator.integers(0, 256, (count, 3072), dtype=np.uint8)
    content: dict[Any, Any] = {b"data": pixels, key: [k % classes for k in range(count)], b"batch_label": b"x"}
    return content | extra


def write_cifar10(root: Path, protocol: int) -> dict[bytes, Any]:
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for k in range(1, 6):
        (folder / f"data_batch_{k}").write_bytes(pickle.dumps(cifar_batch(20 + k, b"labels", 10), protocol))
    test = cifar_batch(30, b"labels", 10)
    (folder / "test_batch").write_bytes(pickle.dumps(test, protocol))
    return test


@pytest.mark.parametrize("protocol", [2, 4])
def test_cifar10_files_are_read(tmp_path: Path, protocol: int) -> None:
    test = write_cifar10(tmp_path, protocol)
    data = dataset("cifar10", tmp_path)
    assert (len(data.train), len(data.validation), len(data.test)) == (104, 11, 30)
    assert data.shape == (3, 32, 32)
    assert data.classes == 10
    pixels = torch.from_numpy(test[b"data"].reshape(30, 3, 32, 32)).float()
    torch.testing.assert_close(data.test.inputs * 255, pixels)
    assert data.test.labels.tolist() == test[b"labels"]


def test_cifar100_files_are_read(tmp_path: Path) -> None:
    for name, count in (("train", 1200), ("test", 200)):
        content = cifar_batch(count, b"fine_labels", 100, coarse_labels=[0])
        (tmp_path / name).write_bytes(pickle.dumps(content))
    data: Dataset = dataset("cifar100", tmp_path)
    assert data.classes == 100
    assert data.validation.labels.bincount(minlength=100).min() >= 1


class Bomb:
    """A pickle that makes a file when it is loaded the ordinary way."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (self.path, "w"))


def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    write_cifar10(tmp_path, 2)
    file = tmp_path / "cifar-10-batches-py" / "data_batch_3"
    file.write_bytes(pickle.dumps({b"data": Bomb(tmp_path / "boom"), b"labels": []}))
    with pytest.raises(ValueError, match=r"asks for .*open, which arrays of numbers do not need"):
        dataset("cifar10", tmp_path)
    assert not (tmp_path / "boom").exists()
    pickle.loads(file.read_bytes())[b"data"].close()
    assert (tmp_path / "boom").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no pickle of plain arrays"),
        (b"\x80\x04K", "is no pickle of plain arrays"),
        (pickle.dumps([1, 2]), "lacks the entries of a CIFAR batch"),
        (pickle.dumps({b"data": np.zeros((2, 3072), np.uint8)}), "lacks the entries"),
        (pickle.dumps({b"data": np.zeros((2, 9), np.uint8), b"labels": [0, 1]}), "holds no batch of 3072"),
        (pickle.dumps({b"data": np.zeros((2, 3072)), b"labels": [0, 1]}), "calls numpy.dtype with other"),
        (pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": [0]}), "one label a sample"),
        (pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": [0, 10]}), "a label outside 0 to 9"),
    ],
)
def test_a_broken_cifar_file_is_one_clear_error(tmp_path: Path, content: bytes, message: str) -> None:
    write_cifar10(tmp_path, 2)
    (tmp_path / "cifar-10-batches-py" / "test_batch").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        dataset("cifar10", tmp_path)
