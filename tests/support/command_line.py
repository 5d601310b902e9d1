"""The command line, run in this process."""

from collections.abc import Callable
from typing import NamedTuple

import pytest

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
