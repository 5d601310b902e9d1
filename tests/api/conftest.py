"""A small network on digits, saved once, and the command line."""

from pathlib import Path

import pytest

from spikecert import dataset, mlp, save
from spikecert.runs.building import fresh_network, neuron
from support.command_line import run

__all__ = ["run"]


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
