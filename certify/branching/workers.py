"""Who bounds the nodes of a search beside this process: several that are sent parts of it as bytes.

A question, a part of its search and what came of it as bytes: what processes that help with a search say.

The bytes are those of a safetensors file with JSON in its header: nothing is pickled, and nothing is executed.

Several processes that bound the nodes of one search.

A search by several processes of this machine: one keeps the frontier, and all bound its nodes.

A process that bounds parts of a search for another one, and what the two say to each other.
"""

import json
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from queue import SimpleQueue
from types import TracebackType
from typing import Protocol

import torch
from torch import Tensor

from ... import processes
from ...models.files.storage import from_bytes, pack, to_bytes, unpack
from ..bounds.prices.prices import Specifications
from ..perturbations.described import build_set, describe_set
from ..search import Crew, Timed
from .bounding import Bounded, Climb, bound_nodes
from .nodes.decisions import Nodes
from .question import MarginQuestion


@dataclass(frozen=True)
class Portion:
    """Nodes that are bounded at once.

    Attributes:
        nodes: N of them, at the prices where they start.
        climb: how theirs are found.
        weights: of all that may be split, what experience says, (N, neurons).
        until: `time.perf_counter()`, of any process of this machine, at which to climb no further; None: never.
    """

    nodes: Nodes
    climb: Climb
    weights: Tensor
    until: float | None = None


class NodeCrew(Crew[Portion, Bounded], Protocol):
    """Bounds parts of questions."""

    def ask(self, question: MarginQuestion) -> None:
        """Take up a question; parts of another one that are not back are forgotten."""
        ...


def bounded_here(question: MarginQuestion, part: Portion) -> Timed[Bounded]:
    """Bound a part in this process."""
    started = time.perf_counter()
    bounded = bound_nodes(question, part.nodes, part.climb, part.weights, part.until)
    return Timed(bounded, len(part.nodes), time.perf_counter() - started)


QUESTION, PART, BOUNDED = "spikecert.question/1", "spikecert.part/1", "spikecert.bounded/1"


def pack_question(question: MarginQuestion) -> bytes:
    """Return a question as bytes.

    Raises:
        TypeError, ValueError: for a network or a threat model that has no such form.
    """
    told, tensors = describe_set(question.perturbation)
    specifications = question.specifications
    text = {"perturbation": told, "ties": question.ties}
    network = torch.frombuffer(bytearray(to_bytes(question.network)), dtype=torch.uint8)
    given = {"network": network, "inputs": question.inputs, "labels": question.labels}
    given |= {"samples": specifications.samples, "coefficients": specifications.coefficients}
    given |= {} if specifications.floor is None else {"floor": specifications.floor}
    return pack(QUESTION, json.dumps(text), {**{f"set.{name}": x for name, x in tensors.items()}, **given})


def unpack_question(content: bytes) -> MarginQuestion:
    """Return the question of `pack_question`."""
    text, tensors = unpack(content, QUESTION)
    told = json.loads(text)
    network = from_bytes(tensors["network"].numpy().tobytes()).eval()
    own = {name.removeprefix("set."): x for name, x in tensors.items() if name.startswith("set.")}
    specifications = Specifications(tensors["samples"], tensors["coefficients"], tensors.get("floor"))
    return MarginQuestion(
        network,
        tensors["inputs"],
        tensors["labels"],
        build_set(told["perturbation"], own),
        specifications,
        told["ties"],
    )


def shareable(question: MarginQuestion) -> bool:
    """Return whether `unpack_question` gives the same question: on the CPU, and narrowed as usual."""
    usual = MarginQuestion(*(getattr(question, field.name) for field in fields(question)[:6]))
    same = (question.ranges, question.spikes) == (usual.ranges, usual.spikes)
    return same and question.rows is None and question.network.device.type == "cpu"


def pack_part(part: Portion) -> bytes:
    """Return a part as bytes."""
    text = json.dumps({"climb": asdict(part.climb), "until": part.until})
    return pack(PART, text, {**_listed(part.nodes.tensors()), "weights": part.weights})


def unpack_part(content: bytes, like: Nodes) -> Portion:
    """Return the part of `pack_part`, its nodes of the kind of `like`."""
    text, tensors = unpack(content, PART)
    told = json.loads(text)
    weights = tensors.pop("weights")
    climb = Climb(**{**told["climb"], "momenta": tuple(told["climb"]["momenta"])})
    return Portion(_nodes(tensors, like), climb, weights, told["until"])


def pack_timed(timed: Timed[Bounded]) -> bytes:
    """Return what came of a part as bytes."""
    bounded = timed.bounded
    rest = {"splittable": bounded.splittable, "candidates": bounded.candidates, "margins": bounded.margins}
    return pack(BOUNDED, json.dumps({"seconds": timed.seconds}), {**_listed(bounded.nodes.tensors()), **rest})


def unpack_timed(content: bytes, like: Nodes) -> Timed[Bounded]:
    """Return what `pack_timed` was given."""
    text, tensors = unpack(content, BOUNDED)
    rest = [tensors.pop(name) for name in ("splittable", "candidates", "margins")]
    nodes = _nodes(tensors, like)
    return Timed(Bounded(nodes, *rest), len(nodes), json.loads(text)["seconds"])


def _listed(tensors: Sequence[Tensor]) -> dict[str, Tensor]:
    return {f"{place:03d}": tensor for place, tensor in enumerate(tensors)}


def _nodes(tensors: dict[str, Tensor], like: Nodes) -> Nodes:
    return like.rebuilt([tensors[name] for name in sorted(tensors)])


READY, ASKED, GIVEN, DONE, FAILED = b"?", b"q", b"p", b"+", b"-"
"""The first byte of a message: the process is there; a question; a part; what came of it; that nothing did."""


def main() -> None:
    """Bound parts until the pipe ends: the body of a process, which is told its end of the pipe."""
    torch.set_num_threads(1)
    serve(Connection(int(sys.argv[1])))


def serve(connection: Connection) -> None:
    """Answer what comes, until the other end is gone."""
    asked = None
    messages: SimpleQueue[bytes] = SimpleQueue()
    answers: SimpleQueue[bytes] = SimpleQueue()
    talk = threading.Thread(target=_tell, args=(connection, answers), daemon=True)
    threading.Thread(target=_listen, args=(connection, messages), daemon=True).start()
    talk.start()
    answers.put(READY)
    while message := messages.get():
        if message[:1] == ASKED:
            asked = _taken_up(message[1:])
        else:
            answers.put(_answer(asked, message[1:]))
    answers.put(b"")
    talk.join()


def _tell(connection: Connection, answers: "SimpleQueue[bytes]") -> None:
    """Say what comes. The other end may be at work and not listen: meanwhile the next part is begun."""
    try:
        while answer := answers.get():
            connection.send_bytes(answer)
    except OSError:  # the parent is gone
        return


def _listen(connection: Connection, messages: "SimpleQueue[bytes]") -> None:
    """Take messages as they come, so that who sends one never waits for who sends another; b"" is the end."""
    try:
        while True:
            messages.put(connection.recv_bytes())
    except (EOFError, OSError):
        messages.put(b"")


def _taken_up(content: bytes) -> tuple[MarginQuestion, Nodes] | None:
    """Return a question and nodes of its kind; None where it can't be taken up here."""
    try:
        question = unpack_question(content)
        like = question.roots()
    except Exception:  # whoever asked does the work: it has the same to say there
        return None
    return None if like is None else (question, like)


@torch.no_grad()
def _answer(asked: tuple[MarginQuestion, Nodes] | None, content: bytes) -> bytes:
    if asked is None:
        return FAILED
    question, like = asked
    try:
        return DONE + pack_timed(bounded_here(question, unpack_part(content, like)))
    except Exception:  # as above
        return FAILED


AFTER = 0.5
"""Seconds of search, counted from when the first part was bounded and kernels so were built, after which processes
are started: an easy sample is decided before one is there."""
AHEAD = 2
"""Parts that a process has at most: one under work, and the next."""
MOST_DEATHS = 3
"""So many processes are replaced; then those that are left do the work, and in the end this one does."""


@dataclass(eq=False)
class _Given:
    """A part, and what came of it, once something did."""

    part: Portion
    timed: Timed[Bounded] | None = None
    to: "_Helper | None" = None


@dataclass(eq=False)
class _Helper:
    """A process, this end of its pipe, whether it is there, and what it was given and has not answered."""

    process: "subprocess.Popen[bytes]"
    connection: Connection
    ready: bool = False
    parts: deque[_Given] = field(default_factory=deque)

    def send(self, message: bytes) -> None:
        """Say something; a process that is dead shows when its answer is waited for."""
        try:
            self.connection.send_bytes(message)
        except OSError:
            return

    def stop(self) -> None:
        """End the process, whatever it does."""
        self.process.kill()
        self.process.wait()
        self.connection.close()


class Helpers(NodeCrew):
    """This process and others of one torch thread each. What a dead one was given goes to others or is done here.

    While this one waits for the oldest part it bounds one that it kept: with W processes, W − 1 are started.

    Args:
        count: says how many processes may work now, this one among them; below 2 it works alone.
    """

    def __init__(self, count: Callable[[], int]) -> None:
        self._count, self._helpers, self._deaths = count, list[_Helper](), 0
        self._given, self._message, self._begun = deque[_Given](), None, None

    def __enter__(self) -> "Helpers":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for helper in self._helpers:
            helper.stop()
        self._helpers.clear()

    @property
    def size(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return how many processes may work, this one among them."""
        return max(1, self._count())

    def ask(self, question: MarginQuestion) -> None:
        """Take up a question. What processes still say of another one is not heeded."""
        self._question, self._begun, self._given = question, None, deque()
        like = question.roots()
        assert like is not None
        self._like: Nodes = like
        self._message = ASKED + pack_question(question) if self.size > 1 and shareable(question) else None
        for helper in self._helpers:
            self._tell(helper)

    @property
    def room(self) -> bool:
        """Return whether a process, this one among them, has less than `AHEAD` parts; alone it has one."""
        self._staff()
        self._listen(0.0)
        ready = [helper for helper in self._helpers if helper.ready]
        free = any(len(helper.parts) < AHEAD for helper in ready)
        return free or len(self._kept) < (2 if ready else 1)

    def give(self, part: Portion) -> None:
        """Give a part to the process that has least to do; keep it where none has room."""
        given = _Given(part)
        self._given.append(given)
        self._hand(given)

    def next(self, deadline: float | None) -> Timed[Bounded] | None:
        """Return the oldest part once it is bounded, None at the deadline; what is kept is bounded meanwhile."""
        oldest = self._given[0]
        while oldest.timed is None:
            left = None if deadline is None else deadline - time.perf_counter()
            if left is not None and left <= 0:
                return None
            kept = self._kept
            if kept:
                kept[0].timed = bounded_here(self._question, kept[0].part)
            self._listen(0.0 if kept else left)
        self._given.popleft()
        self._begun = time.perf_counter() if self._begun is None else self._begun
        return oldest.timed

    @property
    def _kept(self) -> list[_Given]:
        """Return the parts that no other process has and nothing came of, the oldest first."""
        return [given for given in self._given if given.to is None and given.timed is None]

    def _staff(self) -> None:
        """Start the processes that are missing, once the search has taken a while."""
        late = self._begun is not None and time.perf_counter() - self._begun >= AFTER
        wanted = self._count() - 1 if late and self._message is not None and self._deaths < MOST_DEATHS else 0
        for _ in range(wanted - len(self._helpers)):
            here, there = Pipe()
            process = processes.start("spikecert.certify.branching.workers", there)
            self._helpers.append(_Helper(process, here))

    def _tell(self, helper: _Helper) -> None:
        if helper.ready and self._message is not None:
            helper.send(self._message)

    def _hand(self, given: _Given) -> None:
        """Give a part to a process, if one is there."""
        free = [helper for helper in self._helpers if helper.ready and len(helper.parts) < AHEAD]
        if self._message is None or not free:
            return
        helper = min(free, key=lambda helper: len(helper.parts))
        given.to = helper
        helper.parts.append(given)
        helper.send(GIVEN + pack_part(given.part))

    def _listen(self, seconds: float | None) -> None:
        """Wait for so long, or until a process says something, and take it."""
        said = wait([helper.connection for helper in self._helpers], seconds) if self._helpers else []
        for helper in [helper for helper in self._helpers if helper.connection in said]:
            try:
                self._heard(helper, helper.connection.recv_bytes())
            except (EOFError, OSError):
                self._bury(helper)

    def _heard(self, helper: _Helper, message: bytes) -> None:
        if message == READY:
            helper.ready = True
            self._tell(helper)
            return
        given = helper.parts.popleft()
        given.to = None  # what failed there is bounded here, and says why
        if message[:1] == DONE and given in self._given:
            given.timed = unpack_timed(message[1:], self._like)

    def _bury(self, helper: _Helper) -> None:
        """Give to others what a dead process had."""
        self._helpers.remove(helper)
        self._deaths += 1
        helper.stop()
        for given in helper.parts:
            given.to = None
            if given in self._given:
                self._hand(given)
