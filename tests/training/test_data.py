"""Data sets: splits that share nothing, and readers held against small files in the real formats.

Data sets from strangers: limits on what a file may hold, and a small file takes little memory.
"""

import gzip
import pickle
import re
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from spikecert.training import Dataset, Split, dataset
from spikecert.training.data.cifar import LAYOUTS, read_batch
from spikecert.training.data.mnist import MOST_BYTES, MOST_SAMPLES, read_idx
from spikecert.training.data.recordings.neuromorphic import SHD, read_recording, read_words


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


def refused(read: Callable[[], object]) -> tuple[int, str]:
    """Return the megabytes that a reader took to refuse a file, and what it said."""
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"^dataset: ") as caught:
            read()
        return tracemalloc.get_traced_memory()[1] // 2**20, str(caught.value)
    finally:
        tracemalloc.stop()


def head(*sizes: int) -> bytes:
    return struct.pack(f">BBBB{len(sizes)}I", 0, 0, 8, len(sizes), *sizes)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (head(10, 28, 28), "holds more values, expected the 7840 that its header names"),
        (head(2**32 - 1, 2**32 - 1, 2**32 - 1), f"expected 1 to {MOST_BYTES} values"),
        (head(MOST_SAMPLES, 28, 28), f"expected 1 to {MOST_BYTES} values"),
        (b"", "is no IDX file"),
    ],
)
def test_packed_images_are_unpacked_as_far_as_their_header_says(
    tmp_path: Path, start: bytes, message: str
) -> None:
    """Nine megabytes, which would be nine thousand."""
    content = gzip.compress(start + bytes(2**23), 9) + gzip.compress(bytes(2**23), 9) * 1000
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(content)
    taken, said = refused(lambda: read_idx(path, dimensions=3))
    assert message in said
    assert taken < 100


@pytest.mark.parametrize("sizes", [(MOST_SAMPLES + 1, 1, 1), (0, 28, 28), (5, 0, 28)])
def test_an_idx_file_of_no_images_or_too_many_is_refused(tmp_path: Path, sizes: tuple[int, int, int]) -> None:
    path = tmp_path / "images"
    path.write_bytes(head(*sizes) + bytes(sizes[0] * sizes[1] * sizes[2]))
    with pytest.raises(ValueError, match=r"is for .* values of .* samples, expected 1 to"):
        read_idx(path, dimensions=3)


def test_images_of_another_size_to_test_are_refused(tmp_path: Path) -> None:
    for part, count, side in (("train", 480, 8), ("t10k", 20, 9)):
        images = head(count, side, side) + bytes(count * side * side)
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(images)
        labels = head(count) + bytes(k % 10 for k in range(count))
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(labels)
    with pytest.raises(ValueError, match=r"got images of sizes \[8, 8\] and \[9, 9\] to train and to test"):
        dataset("mnist", tmp_path)


def test_a_packed_batch_is_unpacked_as_far_as_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "data_batch_1.gz"
    path.write_bytes(gzip.compress(b"\x80\x02") + gzip.compress(bytes(2**23), 9) * 1000)
    taken, said = refused(lambda: read_batch(path, LAYOUTS["cifar10"]))
    assert "has more than 69828608 bytes unpacked, expected at most 69828608" in said
    assert taken < 200


def test_a_recording_that_is_too_large_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "00001.bin"
    path.write_bytes(bytes(5 * 10**6))
    with pytest.raises(ValueError, match="has 5000000 bytes, expected at most 4194304"):
        read_recording(path, num_steps=5)


def ragged(file: h5py.File, name: str, count: int, kind: type[np.generic]) -> h5py.Dataset:
    return file.create_dataset(f"spikes/{name}", (count,), dtype=h5py.vlen_dtype(kind))


def test_a_small_shd_file_that_names_one_recording_many_times_is_refused(tmp_path: Path) -> None:
    """Each entry leads to the same events: a megabyte of them is a hundred."""
    path = tmp_path / "shd_train.h5"
    with h5py.File(path, "w") as file:
        for name, kind in (("times", np.float16), ("units", np.uint16)):
            rows = ragged(file, name, 200, kind)
            rows[0] = np.zeros(2**19, kind)
            for k in range(1, 200):
                rows[k] = np.zeros(1, kind)
        file["labels"] = np.zeros(200, np.uint16)
    content = bytearray(path.read_bytes())
    with h5py.File(path, "r") as file:
        places = [file[f"spikes/{name}"].id.get_offset() for name in ("times", "units")]  # type: ignore[union-attr]
    for place in places:
        assert place is not None
        content[place : place + 200 * 16] = content[place : place + 16] * 200
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"is no complete SHD file: its times have more than \d+ bytes"):
        read_words(path, SHD, num_steps=2)


@pytest.mark.parametrize("broken", ["external", "virtual", "link", "matrix", "objects", "texts"])
def test_an_shd_file_of_another_kind_is_refused(tmp_path: Path, broken: str) -> None:
    path, other = tmp_path / "shd_train.h5", tmp_path / "other"
    other.write_bytes(bytes(100))
    with h5py.File(path, "w") as file:
        for name, kind in (("times", np.float16), ("units", np.uint16)):
            rows = ragged(file, name, 2, kind)
            for k in range(2):
                rows[k] = np.zeros(3, kind)
        if broken == "external":
            file.create_dataset("labels", (2,), "u2", external=[(str(other), 0, 4)])
        elif broken == "virtual":
            layout = h5py.VirtualLayout((2,), "u2")
            layout[:] = h5py.VirtualSource(str(other), "labels", (2,))
            file.create_virtual_dataset("labels", layout)
        elif broken == "link":
            file["labels"] = h5py.ExternalLink(str(other), "labels")
        elif broken == "matrix":
            file["labels"] = np.zeros((2, 1), np.uint16)
        else:
            file["labels"] = np.zeros(2, np.uint16)
            del file["spikes/times"]
            kind = h5py.string_dtype() if broken == "texts" else np.float16
            file.create_dataset("spikes/times", (2,), dtype=kind)
    with pytest.raises(ValueError, match=r"is no complete SHD file: (it lacks|it keeps|expected)"):
        read_words(path, SHD, num_steps=2)


def array(head: str, values: bytes = b"") -> bytes:
    """Return a member of an archive; `head` is what stands behind the word shape."""
    text = f"{{'descr': '{head}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + values


def shaped(kind: str, shape: str) -> str:
    return f"{kind}', 'fortran_order': False, 'shape': {shape}"


LABELS = array(shaped("<i8", "(2,)"), np.arange(2).tobytes())
INPUTS = array(shaped("<f4", "(2, 2)"), bytes(16))


def archived(path: Path, kind: int = zipfile.ZIP_DEFLATED, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


def refused_archive(path: Path) -> tuple[int, str]:
    return refused(lambda: dataset(str(path)))


def test_a_member_of_an_archive_is_not_unpacked_before_its_name_is_known(tmp_path: Path) -> None:
    path = archived(tmp_path / "mine.npz", junk=bytes(2**27), inputs=INPUTS, labels=LABELS)
    taken, said = refused_archive(path)
    assert re.search(r"mine.npz unpacks to 1342\d{5} bytes", said)
    assert taken < 3
    taken, said = refused_archive(archived(path, junk=bytes(2**24), inputs=INPUTS, labels=LABELS))
    assert "holds inputs, junk, labels, expected inputs and labels" in said
    assert taken < 3


def test_an_archive_is_unpacked_in_proportion(tmp_path: Path) -> None:
    large = array(shaped("<f4", f"(2, {2**24})"), bytes(2**27))
    taken, said = refused_archive(archived(tmp_path / "mine.npz", inputs=large, labels=LABELS))
    assert re.search(r"unpacks to 134218000 bytes, expected at most 7\d{7} of 1\d{5} that are packed; one", said)
    assert taken < 3


@pytest.mark.parametrize("kind", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_makes_more_at_once_than_is_asked_for_does_not_unpack_archives(tmp_path: Path, kind: int) -> None:
    _, said = refused_archive(archived(tmp_path / "mine.npz", kind, inputs=INPUTS, labels=LABELS))
    assert said.endswith("mine.npz is packed by another method than deflate")


def test_an_archive_of_many_members_is_refused(tmp_path: Path) -> None:
    path = archived(tmp_path / "mine.npz", zipfile.ZIP_DEFLATED, **{f"a{k}": b"" for k in range(1001)})
    assert refused_archive(path)[1].endswith("holds more than 1000 members")


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"labels": array(shaped("<i8", "(True,)"), bytes(8))}, "holds what is no array"),
        ({"labels": array(shaped("<i8", "(-1, -2)"), bytes(16))}, "holds what is no array"),
        ({"labels": array(shaped("<i8", "(" + "1" * 400 + ")"), bytes(16))}, "holds what is no array"),
        ({"labels": array("<i8' + __import__('os')", bytes(16))}, "holds what is no array"),
        ({"labels": array(shaped("<i3", "(2,)"), bytes(6))}, "data type '<i3' not understood"),
        ({"labels": array(shaped("|a8", "(2,)"), bytes(16))}, "holds an array of |a8, expected numbers"),
        ({"labels": array(shaped("<U2", "(2,)"), bytes(16))}, "holds an array of <U2, expected numbers"),
        ({"labels": array(shaped("<u2", "(2,)"), bytes(4))}, "too few to cut off"),
        ({"labels": b"\x93NUMPY\x03\x00" + LABELS[8:]}, "holds what is no array"),
        ({"labels": LABELS[:9]}, "holds what is no array"),
        ({"inputs": array(shaped("<f4", "(2, 0)"))}, "got inputs of shape (2, 0)"),
        ({"inputs": array(shaped("<f4", "(" + "1," * 33 + ")"), bytes(4))}, "holds what is no array"),
        ({"names": array(shaped("<U1", "(1,)"), b"\xff\xff\xff\x7f")}, "numbers that are no characters"),
        ({"names": array(shaped(">U1", "(1,)"), b"\x7f\xff\xff\xff")}, "numbers that are no characters"),
        ({"names": array(shaped("<U0", "(5,)"))}, "holds an array of shape (5,) and <U0"),
        ({"names": array(shaped("<U1", f"({2**18},)"), bytes(2**20))}, "expected at most 1048576"),
    ],
)
def test_arrays_that_numpy_does_not_write_are_one_line(
    tmp_path: Path, members: dict[str, bytes], message: str
) -> None:
    path = archived(tmp_path / "mine.npz", zipfile.ZIP_DEFLATED, **{"inputs": INPUTS, "labels": LABELS, **members})
    _, said = refused_archive(path)
    assert message in said
    assert "\n" not in said


def test_an_archive_in_each_form_that_numpy_writes_is_read(tmp_path: Path) -> None:
    inputs = np.asfortranarray(np.linspace(0, 1, 120, dtype=">f4").reshape(40, 3))
    labels, names = np.arange(40, dtype=np.uint8) % 2, np.array(["é", "日本"])
    np.savez(tmp_path / "mine.npz", inputs=inputs, labels=labels, names=names)
    found = dataset(str(tmp_path / "mine.npz"))
    assert found.names == ("é", "日本")
    rows = {tuple(row) for part in (found.train, found.validation, found.test) for row in part.inputs.tolist()}
    assert rows == {tuple(row) for row in inputs.tolist()}
    old = shaped("<i8", "(40L,)"), (np.arange(40) % 2).tobytes()
    archived(tmp_path / "old.npz", inputs=array(shaped("|u1", "(40, 1)"), bytes(40)), labels=array(*old))
    assert len(dataset(str(tmp_path / "old.npz")).train) == 29
