"""A small set to certify, an engine in this process, and what counts as the same verdicts."""

from collections.abc import Generator, Sequence
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor, nn

from spikecert.certify import LInf, Perturbation, Verdict, verify
from spikecert.certify.engines import Engine
from spikecert.certify.engines.work import Batch, decide
from spikecert.models import LIF, Residual, SpikingNetwork


class Here(Engine):
    """Decides batches in this process, the last one first; gives up after `most`."""

    name = "here"

    def __init__(self, most: int | None = None) -> None:
        self.most = most
        self.decided: list[int] = []

    def run(self, job: bytes, batches: Sequence[Batch], workers: int | None) -> Generator[bytes, None, None]:
        for batch in reversed(batches):
            if len(self.decided) == self.most:
                raise ChildProcessError("engine: the test ends it")
            self.decided.append(batch.index)
            yield decide(job, batch.pack())


class Setting(NamedTuple):
    """The arguments of `verify`."""

    network: SpikingNetwork
    inputs: Tensor
    labels: Tensor
    perturbation: Perturbation
    verifier: str


STATUSES = {"auto": {"verified", "falsified"}, "linear": {"verified", "unknown"}}
"""What becomes of `small_set`, by the verifier."""


def small_set(verifier: str = "auto") -> Setting:
    """Return 22 samples, some of which are proven; bounds leave the others open, attacks break them."""
    torch.manual_seed(3)
    passed = Residual([nn.Linear(6, 12), LIF(0.9, 0.3), nn.Linear(12, 6)])  # the input passes
    network = SpikingNetwork(passed, nn.Linear(6, 3), num_steps=3).eval()
    inputs = torch.rand(22, 6, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        labels = network(inputs).argmax(1)
    return Setting(network, inputs, labels, LInf(0.02), verifier)


@cache
def expected(batch: int, verifier: str = "auto") -> tuple[Verdict, ...]:
    """Return the verdicts of `small_set`, decided here in such batches, the last first, once for all tests."""
    return tuple(verify(*small_set(verifier), engine=Here(), batch=batch))


def same(first: Sequence[Verdict], second: Sequence[Verdict]) -> bool:
    """Return whether two lists of verdicts agree in all but the seconds: in every bit."""
    return [plain(verdict) for verdict in first] == [plain(verdict) for verdict in second]


def plain(verdict: Verdict) -> tuple[object, ...]:
    """Return a verdict without its seconds."""
    found = None if verdict.counterexample is None else verdict.counterexample.tolist()
    return verdict.status, verdict.margin, found, verdict.verifier, verdict.reason
