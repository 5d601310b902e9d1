"""A small network on digits, saved once, and a way to run the command line in this process."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from spikecert import dataset, mlp, save
from spikecert.building import fresh_network, neuron
from spikecert.cli import main


class Outcome(NamedTuple):
    """Exit status and what was written."""

    status: int
    out: str
    err: str


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Return a function that runs `spikecert` with arguments."""

    def call(*arguments: object) -> Outcome:
        status = main([str(argument) for argument in arguments])
        written = capsys.readouterr()
        return Outcome(status, str(written.out), str(written.err))

    return call


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of an untrained network for digits."""
    path = tmp_path_factory.mktemp("model") / "network.safetensors"
    save(fresh_network("mlp:8", dataset("digits"), 4, neuron("lif", 4, 0.9, 1.0, "zero"), 0), path)
    return path


@pytest.fixture(scope="session")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a network that does not fit digits."""
    path = tmp_path_factory.mktemp("foreign") / "network.safetensors"
    save(mlp((3, 4, 2)), path)
    return path
