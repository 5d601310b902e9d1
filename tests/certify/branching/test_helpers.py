"""A search that several processes share: the same verdicts, and no node is lost with a process."""

import os
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection

import pytest
import torch

from spikecert import L2, LIF, LInf, SpikingNetwork, Verdict, mlp, verify
from spikecert.certify.branching import helper, helpers, sharing
from spikecert.certify.branching.bounding import Climb
from spikecert.certify.branching.crew import Portion, Timed, bounded_here
from spikecert.certify.branching.question import MarginQuestion
from spikecert.certify.branching.search import Search
from spikecert.certify.perturbations import Perturbation, PixelBox
from spikecert.certify.verifiers import Complete

EPSILON = 0.12
SMALL = Complete(Search(batch=8, start=Climb(2), climb=Climb(1)), enumeration=None)
Given = tuple[SpikingNetwork, torch.Tensor, torch.Tensor]


@pytest.fixture(scope="module")
def case() -> Given:
    torch.manual_seed(0)
    network = mlp((4, 8, 6, 3), num_steps=4, neuron=LIF(decay=0.9)).eval()
    for name, parameter in network.named_parameters():
        if name.endswith("weight"):
            parameter.data *= 3.0
    inputs = torch.rand(5, 4)
    with torch.no_grad():
        return network, inputs, network(inputs).argmax(1)


@pytest.fixture(scope="module")
def alone(case: Given) -> list[Verdict]:
    return verify(*case, LInf(EPSILON), SMALL)


class Thread:
    """What a process does, in a thread; a `mortal` one is gone when it would say what came of another part."""

    def __init__(self, there: Connection, mortal: int | None) -> None:
        self.there, self.left, self.parts = there, mortal, 0
        self.thread = threading.Thread(target=helper.serve, args=(self,), daemon=True)
        self.thread.start()

    def recv_bytes(self) -> bytes:
        return self.there.recv_bytes()

    def send_bytes(self, message: bytes) -> None:
        self.parts += message[:1] == helper.DONE
        if self.left is not None and self.parts > self.left:
            self.hang_up()
            raise OSError
        self.there.send_bytes(message)

    def hang_up(self) -> None:
        """Do what the end of a process does to its end of a pipe, also to a thread that reads it."""
        with socket.socket(fileno=os.dup(self.there.fileno())) as end:
            end.shutdown(socket.SHUT_RDWR)

    def kill(self) -> None:
        pass

    def wait(self) -> None:
        pass


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Iterator["Threads"]:
    found = Threads()
    monkeypatch.setattr(helpers, "AFTER", 0.0)
    monkeypatch.setattr("spikecert.processes.start", found.start)
    yield found
    for thread in found.started:
        thread.thread.join(10)
        assert not thread.thread.is_alive()


class Threads:
    """Starts threads for processes; `lives` says after how many parts each is gone."""

    def __init__(self) -> None:
        self.started: list[Thread] = []
        self.lives: list[int | None] = []

    def start(
        self, program: str, there: Connection, files: Sequence[int] = (), told: Mapping[str, str] | None = None
    ) -> Thread:
        assert program == "spikecert.certify.branching.helper"
        life = self.lives[len(self.started)] if len(self.started) < len(self.lives) else None
        self.started.append(Thread(there, life))
        return self.started[-1]


@pytest.mark.parametrize("lives", [[], [0, 1], [0, 0, 0, 0]])
def test_shared_searches_say_what_one_process_says(
    case: Given, alone: list[Verdict], threads: Threads, lives: list[int | None]
):
    """Whoever is gone, and whenever: in the end this process does the work itself."""
    threads.lives = lives
    found = verify(*case, LInf(EPSILON), SMALL, workers=2)
    assert [(v.status, v.margin) for v in found if v.status != "falsified"] == [
        (v.status, v.margin) for v in alone if v.status != "falsified"
    ]
    assert [v.status for v in found] == [v.status for v in alone]
    assert {v.status for v in found} == {"verified", "falsified"}
    assert sum(thread.parts for thread in threads.started) > 0
    assert len(threads.started) == 2 if not lives else len(threads.started) in (3, 4)


def test_what_fails_elsewhere_is_done_here(
    case: Given, alone: list[Verdict], threads: Threads, monkeypatch: pytest.MonkeyPatch
):
    def broken(question: MarginQuestion, part: Portion) -> Timed:
        raise RuntimeError

    monkeypatch.setattr(helper, "bounded_here", broken)
    found = verify(*case, LInf(EPSILON), SMALL, workers=2)
    assert [v.status for v in found] == [v.status for v in alone]


def test_time_is_up_whatever_processes_do(case: Given, threads: Threads, monkeypatch: pytest.MonkeyPatch):
    """Parts that are not back count as open."""
    gate = threading.Event()

    def stuck(question: MarginQuestion, part: Portion) -> Timed:
        gate.wait(20)
        return bounded_here(question, part)

    monkeypatch.setattr(helper, "bounded_here", stuck)
    try:
        found = verify(*case, LInf(EPSILON), replace(SMALL, search=replace(SMALL.search, batch=2)), 0.3, workers=2)
    finally:
        gate.set()
    assert {v.status for v in found} <= {"unknown", "falsified", "verified"}
    assert "unknown" in {v.status for v in found}


@pytest.mark.parametrize("threat", [LInf(0.1), L2(0.2), PixelBox(torch.full((4,), 0.1))])
def test_a_question_and_a_part_survive_the_way(case: Given, threat: Perturbation):
    """What is bounded there is bitwise what is bounded here."""
    network, inputs, labels = case
    left = torch.ones(5, 3, dtype=torch.bool).scatter(1, labels[:, None], False)
    question = MarginQuestion.of_margins(network, inputs, labels, threat, left)
    assert sharing.shareable(question)
    assert not sharing.shareable(replace(question, ranges=None))
    there, roots = sharing.unpack_question(sharing.pack_question(question)), question.roots()
    assert roots is not None
    part = Portion(roots, Climb(3), torch.rand(len(roots), roots.decisions.size))
    away = bounded_here(there, sharing.unpack_part(sharing.pack_part(part), roots))
    back, here = sharing.unpack_timed(sharing.pack_timed(away), roots), bounded_here(question, part)
    assert back.seconds == away.seconds
    for one, other in zip(back.bounded.nodes.tensors(), here.bounded.nodes.tensors(), strict=True):
        assert torch.equal(one, other)
    for name in ("splittable", "candidates", "margins"):
        assert torch.equal(getattr(back.bounded, name), getattr(here.bounded, name))
