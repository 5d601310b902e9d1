"""A search that several processes share: the same verdicts, and no node is lost with a process."""

import os
import signal
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import torch
from torch import nn

from spikecert import L2, LIF, LInf, SpikingNetwork, Verdict, save, verify
from spikecert.certify.branching import workers as helper
from spikecert.certify.branching import workers as helpers
from spikecert.certify.branching import workers as sharing
from spikecert.certify.branching.bounding import Bounded, Climb
from spikecert.certify.branching.question import MarginQuestion
from spikecert.certify.branching.search import Search
from spikecert.certify.branching.workers import NodeCrew, Portion, bounded_here
from spikecert.certify.perturbations import Perturbation, PixelBox
from spikecert.certify.proofs import Prover
from spikecert.certify.search import Timed
from spikecert.checking import check
from support.processes import children, soon
from support.searches import EPSILON, Given, all_margins, brief, searched

SMALL = brief(8)


@pytest.fixture(scope="module")
def case() -> Given:
    return searched()


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
        assert program == "spikecert.certify.branching.workers"
        life = self.lives[len(self.started)] if len(self.started) < len(self.lives) else None
        self.started.append(Thread(there, life))
        return self.started[-1]


@pytest.mark.parametrize("lives", [[], [0, 1, 0, 0]])
def test_shared_searches_say_what_one_process_says(
    case: Given, alone: list[Verdict], threads: Threads, lives: list[int | None]
):
    """Whoever is gone, and whenever: in the end this process does the work itself."""
    threads.lives = lives
    found = verify(*case, LInf(EPSILON), SMALL, workers=3)
    assert [(v.status, v.margin) for v in found if v.status != "falsified"] == [
        (v.status, v.margin) for v in alone if v.status != "falsified"
    ]
    assert [v.status for v in found] == [v.status for v in alone]
    assert {v.status for v in found} == {"verified", "falsified"}
    assert sum(thread.parts for thread in threads.started) > 0
    assert len(threads.started) == 2 if not lives else len(threads.started) in (3, 4)


def wide() -> Given:
    network, inputs, labels = searched((6, 12, 8, 3), 5, 6)
    return network, inputs[1:3], labels[1:3]


def convolved() -> Given:
    """Return a network whose first layer is narrowed locally."""
    torch.manual_seed(2)
    neuron = LIF(1.0, reset="subtract")
    layers = nn.Conv2d(1, 3, 3, stride=2, padding=1), neuron, nn.Conv2d(3, 4, 2), deepcopy(neuron), nn.Flatten()
    network = SpikingNetwork(*layers, nn.Linear(16, 3), num_steps=4).eval()
    for name, parameter in network.named_parameters():
        if name.endswith("weight"):
            parameter.data *= 2.0
    inputs = torch.rand(4, 1, 6, 6)[1:2]
    return network, inputs, network(inputs).argmax(1)


@pytest.mark.parametrize(("made", "epsilon", "nodes"), [(wide, 0.03, 10), (convolved, 0.04, 10)])
def test_what_a_shared_search_verifies_has_a_proof(
    made: Callable[[], Given], epsilon: float, nodes: int, threads: Threads, tmp_path: Path
):
    """The checker, which shares nothing with the search, accepts a proof of each verdict, at a margin above 0."""
    network, inputs, labels = made()
    found, prover, most = verify(network, inputs, labels, LInf(epsilon), SMALL, workers=3), Prover.of(network), 0
    assert {verdict.status for verdict in found} == {"verified"}
    assert sum(thread.parts for thread in threads.started) > 0
    save(network, tmp_path / "network.safetensors")
    for sample, label in zip(inputs, labels.tolist(), strict=True):
        proof = prover.prove(sample, label, LInf(epsilon), 60.0)
        proof.save(tmp_path / "sample.proof")
        proven = check(tmp_path / "sample.proof", tmp_path / "network.safetensors")
        assert proven.margin > 0
        assert (proven.label, proven.epsilon) == (label, epsilon)
        most = max(most, proof.nodes)
    assert most > nodes


@pytest.mark.slow
def test_a_process_that_is_killed_loses_no_node(
    case: Given, alone: list[Verdict], monkeypatch: pytest.MonkeyPatch
):
    """Two real processes; each dies with its third part before it has read it."""
    ask, send, parts = helpers.Helpers.ask, helpers._Helper.send, Counter[int]()

    def patient(self: helpers.Helpers, question: MarginQuestion) -> None:
        ask(self, question)
        self._begun = 0.0
        assert soon(lambda: self.room and sum(helper.ready for helper in self._helpers) == 2, 120)

    def deadly(self: helpers._Helper, message: bytes) -> None:
        parts[self.process.pid] += message[:1] == helper.GIVEN
        last = parts[self.process.pid] == 3
        if last:
            os.kill(self.process.pid, signal.SIGSTOP)
        send(self, message)
        if last:
            os.kill(self.process.pid, signal.SIGKILL)

    monkeypatch.setattr(helpers, "AFTER", 0.0)
    monkeypatch.setattr(helpers.Helpers, "ask", patient)
    monkeypatch.setattr(helpers._Helper, "send", deadly)
    found = verify(*case, LInf(EPSILON), SMALL, workers=3)
    assert [(v.status, v.margin) for v in found if v.status != "falsified"] == [
        (v.status, v.margin) for v in alone if v.status != "falsified"
    ]
    assert [v.status for v in found] == [v.status for v in alone]
    assert {v.status for v in found} == {"verified", "falsified"}
    assert sum(count == 3 for count in parts.values()) >= 2
    assert not parts.keys() & set(children())


def test_what_fails_elsewhere_is_done_here(
    case: Given, alone: list[Verdict], threads: Threads, monkeypatch: pytest.MonkeyPatch
):
    def broken(question: MarginQuestion, part: Portion) -> Timed[Bounded]:
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError
        return here(question, part)

    here = bounded_here
    monkeypatch.setattr(helper, "bounded_here", broken)
    found = verify(*case, LInf(EPSILON), SMALL, workers=3)
    assert [v.status for v in found] == [v.status for v in alone]


def test_answers_come_back_in_the_order_of_their_questions(case: Given, threads: Threads):
    question = all_margins(case, LInf(EPSILON))
    roots = question.roots()
    assert roots is not None
    with helpers.Helpers(lambda: 3) as crew:
        crew.ask(question)
        crew._begun = 0.0
        assert soon(lambda: crew.room and sum(helper.ready for helper in crew._helpers) == 2, 20)
        given = [roots.select(torch.tensor([row])) for row in range(5)]
        for nodes in given:
            crew.give(Portion(nodes, Climb(2), torch.ones(1, nodes.decisions.size)))
        assert [len(helper.parts) for helper in crew._helpers] == [2, 2], "and one that waits"
        for row in range(5):
            timed = crew.next(None)
            assert timed is not None
            assert timed.bounded.nodes.row.tolist() == [row]


class Late(NodeCrew):
    """Holds up to three parts before it bounds the oldest."""

    @property
    def size(self) -> int:
        return 3

    def __init__(self) -> None:
        self.given: list[Portion] = []

    def ask(self, question: MarginQuestion) -> None:
        self.question = question

    @property
    def room(self) -> bool:
        return len(self.given) < 3

    def give(self, part: Portion) -> None:
        self.given.append(part)

    def next(self, deadline: float | None) -> Timed[Bounded]:
        return bounded_here(self.question, self.given.pop(0))


@pytest.mark.parametrize("most", [3, 6, 9])
def test_what_several_have_counts_as_open_whenever_the_search_stops(case: Given, most: int):
    network, inputs, _ = case
    question = all_margins(case, LInf(0.3))
    around = inputs[:, None] + 0.3 * (2 * torch.rand(5, 400, 4) - 1)
    with torch.no_grad():
        logits = network(around.clamp(0, 1).flatten(0, 1)).view(5, 400, 3).double()
    rows, told = question.specifications, list[object]()
    least = (logits[rows.samples] * rows.coefficients[:, None]).sum(2).amin(1)
    found = Search(6, Climb(0), Climb(0)).run(
        question, lambda *_: False, None, lambda: len(told) > most, crew=Late(), told=told.append
    )
    assert found is not None
    assert found.expired
    assert bool((found.bound <= least + 1e-6).all())


def test_time_is_up_whatever_processes_do(case: Given, threads: Threads, monkeypatch: pytest.MonkeyPatch):
    """Parts that are not back count as open."""
    gate = threading.Event()

    def stuck(question: MarginQuestion, part: Portion) -> Timed[Bounded]:
        gate.wait(20)
        return bounded_here(question, part)

    monkeypatch.setattr(helper, "bounded_here", stuck)
    try:
        found = verify(*case, LInf(EPSILON), replace(SMALL, search=replace(SMALL.search, batch=2)), 0.3, workers=3)
    finally:
        gate.set()
    assert {v.status for v in found} <= {"unknown", "falsified", "verified"}
    assert "unknown" in {v.status for v in found}


@pytest.mark.parametrize("threat", [LInf(0.1), L2(0.2), PixelBox(torch.full((4,), 0.1))])
def test_a_question_and_a_part_survive_the_way(case: Given, threat: Perturbation):
    """What is bounded there is bitwise what is bounded here."""
    question = all_margins(case, threat)
    assert sharing.shareable(question)
    assert not sharing.shareable(replace(question, ranges=None))
    question = replace(
        question, specifications=replace(question.specifications, floor=torch.full((10,), -0.25).double())
    )
    there, roots = sharing.unpack_question(sharing.pack_question(question)), question.roots()
    assert roots is not None
    part = Portion(roots, Climb(3), torch.rand(len(roots), roots.decisions.size), 1e9)
    taken = sharing.unpack_part(sharing.pack_part(part), roots)
    assert (taken.climb, taken.until) == (part.climb, part.until)
    away = bounded_here(there, taken)
    back, here = sharing.unpack_timed(sharing.pack_timed(away), roots), bounded_here(question, part)
    assert back.seconds == away.seconds
    for one, other in zip(back.bounded.nodes.tensors(), here.bounded.nodes.tensors(), strict=True):
        assert torch.equal(one, other)
    for name in ("splittable", "candidates", "margins"):
        assert torch.equal(getattr(back.bounded, name), getattr(here.bounded, name))
