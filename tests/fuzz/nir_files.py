"""NIR files: HDF5 whose bytes are changed, or whose groups and data sets are."""

import io
import random
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import torch
from torch import nn

from spikecert import LIF, SpikingNetwork, from_nir, mlp, to_nir

from .mutators import mutate_bytes

NUMBERS = (0, -1, 1, 2, 7, 10**6, 2**31, 2**62, 0.5, 1e-30, 1e30, float("nan"), float("inf"))
VALUES = (*NUMBERS, b"LIF", b"soft", b"", b"\xff\xfe", "Conv2d")
SIZES = (1, 2, 4, 1000, 4096, 65_536, 2**31, -1)
LARGE = ((10**6,), (11_000, 11_000), (2**31, 2**20), (1, 1, 3000, 3000), (3, 70_000))
KINDS = ("f4", "f8", "f2", "c8", "i1", "u8", "?", "S9")
SHAPES = ((), (0,), (1,), (2, 3), (1, 1, 1, 1), (3, 0), (50, 50))


def seeds() -> list[bytes]:
    """Return files of a dense and a convolutional network."""
    torch.manual_seed(0)
    image = SpikingNetwork(nn.Conv2d(1, 2, 3), LIF(0.9), nn.Flatten(), nn.Linear(8, 2), num_steps=2)
    networks = ((mlp((3, 4, 2), 2, LIF(0.9, reset="subtract")), (3,)), (image, (1, 4, 4)))
    return [_written(network.eval(), shape) for network, shape in networks]


def _written(network: SpikingNetwork, shape: tuple[int, ...]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.nir"
        nir.write(path, to_nir(network, torch.rand(1, *shape)))
        return path.read_bytes()


def read(data: bytes) -> None:
    """Read a file and convert what it holds, for as many steps as it says."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "graph: ", UserWarning
        )  # of a reset that is not said any more, or silence
        path = Path(folder) / "network.nir"
        path.write_bytes(data)
        from_nir(str(path), silent=True)


def mutate(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Return a file of which data sets were changed, dropped, moved or renamed; or with other bytes changed."""
    held = io.BytesIO(data)
    try:
        with h5py.File(held, "r+") as file:
            for _ in range(rng.choice((1, 1, 2, 4))):
                _change(rng, file)
    except (OSError, ValueError, KeyError, RuntimeError, TypeError):
        return mutate_bytes(rng, data, others)
    return held.getvalue()


def _change(rng: random.Random, file: Any) -> None:
    names: list[str] = []
    file.visit(names.append)
    if not names:
        return
    name, other = rng.choice(names), rng.choice(names)
    kind = rng.randrange(5)
    if kind == 0:
        del file[name]
    elif kind == 1:
        file.move(name, f"{name}x")
    elif kind == 2:
        file.copy(file[other], file, name=f"{name}/copy" if isinstance(file[name], h5py.Group) else f"{name}2")
    elif isinstance(file[name], h5py.Dataset) and rng.random() < 0.3:
        _resize(rng, file, name)
    elif isinstance(file[name], h5py.Dataset):
        value = rng.choice(VALUES)
        filled = isinstance(value, int | float) and rng.random() < 0.6
        del file[name]
        file[name] = np.full(rng.choice(SHAPES), value) if filled else value


def _resize(rng: random.Random, file: Any, name: str) -> None:
    """Put another size, or an array of which nothing is stored, in the place of an array of numbers."""
    held = file[name]
    if held.dtype.kind not in "iuf":
        return
    shape, kind = held.shape, held.dtype
    if kind.kind == "f":
        del file[name]
        file.create_dataset(name, shape=rng.choice((shape, *LARGE)), dtype=rng.choice(KINDS), chunks=True)
    else:
        del file[name]
        file[name] = np.full(shape, rng.choice(SIZES))
