"""Whatever reads a file of a user: a pipe, a device, a socket or a folder in its place is refused at once."""

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from spikecert import from_nir, from_xylo, load, load_record, mlp, save
from spikecert.analysis import load_certificates
from spikecert.certify.engines.certification import BatchStore
from spikecert.certify.engines.work import Batch
from spikecert.checking import Refused, check, read_network
from spikecert.checking.kernel import check_file
from spikecert.formats import read_onnx, read_vnnlib
from spikecert.protocols.results import load_run
from spikecert.reports.making.combining import load_radii
from spikecert.reports.making.parts import PartStore, Radii
from spikecert.runs.configuration import load_configuration
from spikecert.runs.plants import load_plant
from spikecert.training import dataset
from spikecert.training.journal import HISTORY, epochs_of
from spikecert.training.state import CHECKPOINT, CheckpointStore


def of_checker(path: Path) -> None:
    network = path.with_name("network.safetensors")
    save(mlp((3, 4, 2), 2).eval(), network)
    check(path, network)


def of_kernel(path: Path) -> None:
    network = path.with_name("network.safetensors")
    save(mlp((3, 4, 2), 2).eval(), network)
    check_file(path, read_network(network))


def of_batches(path: Path) -> None:
    store = BatchStore(path.parent, {"problem": 1})
    (path.parent / "batch-000000.safetensors").symlink_to(path)
    store.open({0: Batch(0, torch.zeros(1), torch.zeros(1), 0)})


def of_problem(path: Path) -> None:
    (path.parent / "problem.json").symlink_to(path)
    BatchStore(path.parent, {"problem": 1}).open({})


def of_parts(path: Path) -> None:
    (path.parent / "part-000000.json").symlink_to(path)
    PartStore(path.parent).load(0, 1, Radii)


def of_checkpoint(path: Path) -> None:
    (path.parent / CHECKPOINT).symlink_to(path)
    CheckpointStore(path.parent, {}).restore(None)  # type: ignore[arg-type]


def of_history(path: Path) -> None:
    (path.parent / HISTORY).symlink_to(path)
    epochs_of(path.parent)


def of_pictures(path: Path) -> None:
    for name in ("boot", "shirt"):
        (path.parent / "clothes" / name).mkdir(parents=True)
        (path.parent / "clothes" / name / "1.png").symlink_to(path)
    dataset("clothes", path.parent)


def of_data(name: str, *files: str) -> Callable[[Path], object]:
    def read(path: Path) -> None:
        for file in files:
            (path.parent / file).parent.mkdir(parents=True, exist_ok=True)
            (path.parent / file).symlink_to(path)
        dataset(name, path.parent)

    return read


READERS: dict[str, Callable[[Path], object]] = {
    "model": load,
    "record": load_record,
    "certificates": load_certificates,
    "xylo": from_xylo,
    "radii": load_radii,
    "configuration": load_configuration,
    "plant": load_plant,
    "record as configuration": lambda path: load_configuration(linked(path, "record.json")),
    "property": read_vnnlib,
    "packed property": lambda path: read_vnnlib(linked(path, "property.vnnlib.gz")),
    "NIR graph": lambda path: from_nir(str(path), num_steps=2),
    "checked model": read_network,
    "proof": of_checker,
    "certificate of a proof": of_kernel,
    "batch": of_batches,
    "problem": of_problem,
    "part": of_parts,
    "checkpoint": of_checkpoint,
    "result": lambda path: load_run(path, "key"),
    "history": of_history,
    "ONNX": lambda path: read_onnx(linked(path, "network.onnx")),
    "archive": lambda path: dataset(str(linked(path, "mine.npz"))),
    "picture": of_pictures,
    "IDX": of_data("mnist", "train-images-idx3-ubyte"),
    "packed IDX": of_data("mnist", "train-images-idx3-ubyte.gz"),
    "CIFAR-10": of_data("cifar10", "data_batch_1"),
    "CIFAR-100": of_data("cifar100", "train"),
    "N-MNIST": of_data("nmnist", *(f"Train/{digit}/1.bin" for digit in range(10))),
    "SHD": of_data("shd", "shd_train.h5"),
    "SSC": of_data("ssc", "ssc_train.h5"),
    "DVS-Gesture": of_data("dvs-gesture", "trials_to_train.txt"),
}


def linked(path: Path, name: str) -> Path:
    (path.parent / name).symlink_to(path)
    return path.parent / name


@pytest.fixture(params=["a pipe", "a device", "a folder", "a socket"])
def thing(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, str]:
    path = tmp_path / "thing"
    if request.param == "a pipe":
        os.mkfifo(path)
    elif request.param == "a device":
        path.symlink_to("/dev/zero")
    elif request.param == "a folder":
        path.mkdir()
    else:
        monkeypatch.chdir(tmp_path)  # a socket's path is short
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    return path, request.param


@pytest.mark.timeout(30)
@pytest.mark.parametrize("name", READERS)
def test_it_is_refused_at_once_in_one_line(name: str, thing: tuple[Path, str]) -> None:
    path, kind = thing
    started = time.monotonic()
    with pytest.raises(ValueError, match=f"is {kind}, expected a regular file") as caught:
        READERS[name](path)
    assert time.monotonic() - started < 5
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, Refused) == (name in ("checked model", "proof", "certificate of a proof"))
