"""Certificates of the proofs that release 0.1 wrote."""

from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from spikecert.checking import Network, Refused, read_network
from spikecert.checking.certificates import elaborate
from spikecert.checking.kernel import check_certificate

FOLDER = Path(__file__).parents[1] / "proofs-0.1"


class Kept(NamedTuple):
    """A network, and the lines of a certificate about it."""

    network: Network
    lines: tuple[str, ...]

    def refusal(self, lines) -> str:
        """Return why the kernel refuses lines, nothing where it accepts them; whatever else it raises is a bug."""
        told = ""
        try:
            check_certificate(iter(lines), self.network)
        except Refused as error:
            told = str(error)
        assert told.isprintable()
        return told

    def replaced(self, index: int, *lines: str) -> list[str]:
        """Return the lines, one of them replaced."""
        return [*self.lines[:index], *lines, *self.lines[index + 1 :]]


@cache
def made(name: str) -> Kept:
    network = read_network(FOLDER / f"{name}.safetensors")
    return Kept(network, tuple(elaborate(FOLDER / f"{name}.proof", network)))


@pytest.fixture
def kept(request) -> Kept:
    """Return the certificate of a kept proof, by name."""
    return made(request.param)
