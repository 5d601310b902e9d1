"""Jobs, batches and verdicts as bytes.

What an engine answers is compared with what it was asked, by `python -O` too.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from spikecert.certify import L2, LInf, Perturbation, PixelBox, SpikeFlip, Verdict, verify
from spikecert.certify.engines import Engine
from spikecert.certify.engines.work import JOB, Batch, Decided, Job, batches, decide
from spikecert.certify.perturbations.described import describe_set
from spikecert.models import LIF, RateDraws, mlp, network_hash
from spikecert.models.files.storage import pack, unpack
from support.fleets import STATUSES, same, small_set

SETS = (LInf(0.1), L2(1 / 3, -0.7, 2.0), SpikeFlip(3), PixelBox(torch.tensor([0.1, 1 / 3, 1e-30]), 0.1, 0.7))


@pytest.mark.parametrize("perturbation", SETS, ids=lambda found: type(found).__name__)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_job_survives_the_way(perturbation: Perturbation, dtype: torch.dtype) -> None:
    network = mlp((3, 4, 2), num_steps=3, neuron=LIF(decay=0.7)).to(dtype)
    network.encoding, network.draws = "rate", RateDraws(17)
    job = Job("digest", network, perturbation, "linear", 0.1, "cpu", "argmax")
    again = Job.unpack(job.pack())
    assert network_hash(again.network) == network_hash(network)
    assert again.network.dtype == dtype
    assert not again.network.training
    assert again.perturbation == perturbation
    found = again.problem, again.verifier, again.timeout, again.device, again.ties
    assert found == ("digest", "linear", 0.1, "cpu", "argmax")


def test_a_batch_and_its_verdicts_survive_the_way() -> None:
    batch = Batch(7, torch.rand(3, 2, dtype=torch.float64), torch.tensor([0, 2, 1]), 2**31 - 1)
    again = Batch.unpack(batch.pack())
    assert (again.index, again.seed) == (7, 2**31 - 1)
    assert again.inputs.equal(batch.inputs)
    assert again.labels.equal(batch.labels)
    verdicts = (
        Verdict("verified", 1 / 3, None, "trains", 0.25, "ε ≤ ½"),
        Verdict("unknown", None, None, "auto", 0.5, ""),
        Verdict("falsified", -0.1, batch.inputs[0], "attack", 0.75, "found"),
    )
    found = Decided.unpack(Decided("digest", 7, verdicts).pack())
    assert (found.problem, found.index) == ("digest", 7)
    assert same(found.verdicts, verdicts)
    assert [verdict.seconds for verdict in found.verdicts] == [0.25, 0.5, 0.75]
    assert found.verdicts[2].counterexample is not None
    assert found.verdicts[2].counterexample.dtype == torch.float64


@pytest.mark.parametrize("verifier", STATUSES)
def test_a_batch_alone_has_the_verdicts_of_verify(verifier: str) -> None:
    case = small_set(verifier)
    job = Job("digest", *case[:1], case.perturbation, case.verifier, None, "cpu", "strict").pack()
    (batch,) = batches(case.inputs, case.labels, 100, seed=3)
    found = Decided.unpack(decide(job, batch.pack()))
    assert same(found.verdicts, verify(*case, seed=batch.seed))
    assert {verdict.status for verdict in found.verdicts} == STATUSES[verifier]


def test_a_job_of_another_version_is_refused() -> None:
    text, tensors = unpack(Job("d", mlp((3, 2, 2)), LInf(0.1), "trains", None, "cpu", "strict").pack(), JOB)
    other = pack(JOB, json.dumps({**json.loads(text), "version": "0.0.7"}), tensors)
    with pytest.raises(ValueError, match=r"version: got a job of spikecert 0\.0\.7"):
        Job.unpack(other)


def test_a_changed_job_is_refused() -> None:
    content = bytearray(Job("d", mlp((3, 2, 2)), LInf(0.1), "trains", None, "cpu", "strict").pack())
    content[-1] ^= 1
    with pytest.raises(ValueError, match="was changed after it was saved"):
        Job.unpack(bytes(content))


def test_a_set_of_ones_own_is_refused() -> None:
    @dataclass(frozen=True)
    class Wider(LInf):
        pass

    with pytest.raises(TypeError, match="perturbation: got Wider, expected one of LInf, L2, PixelBox, SpikeFlip"):
        describe_set(Wider(0.1))


def test_batches_and_seeds_depend_on_the_arguments_alone() -> None:
    inputs, labels = torch.arange(10.0)[:, None], torch.arange(10)
    found = batches(inputs, labels, 4, seed=0)
    assert [batch.labels.tolist() for batch in found] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert [batch.seed for batch in found] == [batch.seed for batch in batches(inputs, labels, 4, seed=0)]
    seeds = {batch.seed for seed in range(50) for batch in batches(inputs, labels, 1, seed)}
    assert len(seeds) == 500
    assert all(0 <= seed < 2**31 for seed in seeds)


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
        verify(network, inputs, labels, LInf(0.0), "trains", engine=Wrong(change), batch=2)
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
        verify(mlp((4, 3, 2), num_steps=2).eval(), inputs, labels, LInf(0.0), engine=Noise(list))
    assert "\n" not in str(caught.value)


def test_it_is_so_without_assertions() -> None:
    lines = (
        "import sys; sys.path.append('../..')",
        "import test_work as t",
        "for change, told in t.CHANGES.values():",
        "    t.expect(told, t.refused(change))",
    )
    code = "\n".join(lines)
    run = subprocess.run(
        [sys.executable, "-O", "-c", code], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
