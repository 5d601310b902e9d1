"""What an engine answers is compared with what it was asked, by `python -O` too."""

import subprocess
import sys
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from spikecert.certify import LInf, certify_set
from spikecert.certify.engines import Engine
from spikecert.certify.engines.work import Batch, Decided, decide
from spikecert.models import mlp

Change = Callable[[list[Decided]], list[Decided]]


class Wrong(Engine):
    """Decides all batches, and changes what it answers."""

    name = "wrong"

    def __init__(self, change: Change) -> None:
        self.change = change

    def run(self, job: bytes, batches: Sequence[Batch], workers: int | None) -> Generator[bytes, None, None]:
        found = [Decided.unpack(decide(job, batch.pack())) for batch in batches]
        yield from (answer.pack() for answer in self.change(found))


ANOTHER = "of another problem or batch"
CHANGES: dict[str, tuple[Change, str]] = {
    "another problem's": (lambda a: [replace(each, problem="0" * 64) for each in a], ANOTHER),
    "a problem without a name": (lambda a: [replace(each, problem="") for each in a], ANOTHER),
    "batch 0 as batch 2": (lambda a: [replace(a[0], index=2), *a[:2]], ANOTHER),
    "one verdict too few": (lambda a: [replace(a[0], verdicts=a[0].verdicts[1:]), *a[1:]], ANOTHER),
    "one verdict too many": (lambda a: [*a[:2], replace(a[2], verdicts=a[2].verdicts * 2)], ANOTHER),
    "an answer twice": (lambda a: [a[0], *a], "batch 0, which is not open"),
    "a batch that nobody asked for": (lambda a: [*a, replace(a[0], index=7)], "batch 7, which is not open"),
    "no answer": (lambda a: [], "left batch 0 open"),
    "an answer less": (lambda a: a[:2], "left batch 2 open"),
}


def refused(change: Change) -> str:
    """Return the error of a set of 5 samples in batches of 2."""
    torch.manual_seed(0)
    network = mlp((4, 3, 2), num_steps=2).eval()
    inputs = torch.rand(5, 4)
    with torch.no_grad():
        labels = network(inputs).argmax(1)
    with pytest.raises(ValueError, match=r"^engine: ") as caught:
        certify_set(network, inputs, labels, LInf(0.0), "trains", engine=Wrong(change), batch=2)
    return str(caught.value)


def expect(told: str, found: str) -> None:
    """Raise unless an error says something, with assertions or without."""
    if told not in found:
        raise AssertionError(f"{found!r} lacks {told!r}")


@pytest.mark.parametrize("what", CHANGES)
def test_what_was_not_asked_is_refused_in_one_line(what: str) -> None:
    change, told = CHANGES[what]
    found = refused(change)
    assert told in found
    assert "'wrong'" in found
    assert "\n" not in found


def test_bytes_that_are_no_answer_are_refused() -> None:
    class Noise(Wrong):
        def run(self, job: bytes, batches: Sequence[Batch], workers: int | None) -> Generator[bytes, None, None]:
            yield b"verified"

    inputs, labels = torch.rand(2, 4), torch.tensor([0, 1])
    with pytest.raises(ValueError, match="engine: an answer of 'wrong' ") as caught:
        certify_set(mlp((4, 3, 2), num_steps=2).eval(), inputs, labels, LInf(0.0), engine=Noise(list))
    assert "\n" not in str(caught.value)


def test_it_is_so_without_assertions() -> None:
    lines = (
        "import test_answers as t",
        "for change, told in t.CHANGES.values():",
        "    t.expect(told, t.refused(change))",
    )
    code = "\n".join(lines)
    run = subprocess.run(
        [sys.executable, "-O", "-c", code], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
