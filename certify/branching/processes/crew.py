"""Who bounds the nodes of a search, and the bytes in which parts of it travel.

Who bounds the nodes of a search: this process here; others in helpers.py.

A question, a part of its search and what came of it as bytes: what processes that help with a search say.

The bytes are those of a safetensors file with JSON in its header: nothing is pickled, and nothing is executed.
"""

import json
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

import torch
from torch import Tensor

from ....models.files.checkpoints import from_bytes, to_bytes
from ....models.files.storage import pack, unpack
from ...bounds.prices.prices import Specifications
from ...perturbations.described import build_set, describe_set
from ..bounding import Bounded, Climb, bound_nodes
from ..nodes.nodes import Nodes
from ..question import MarginQuestion


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


@dataclass(frozen=True)
class Timed:
    """What came of a part, and how long that took where it was done."""

    bounded: Bounded
    seconds: float


class Crew(ABC):
    """Bounds parts, which come back in the order in which they were given. Whoever does, it is the same bound.

    Attributes:
        size: how many parts may be under work at once.
    """

    size: int

    @abstractmethod
    def ask(self, question: MarginQuestion) -> None:
        """Take up a question; parts of another one that are not back are forgotten."""

    @property
    @abstractmethod
    def room(self) -> bool:
        """Return whether another part may be given."""

    @abstractmethod
    def give(self, part: Portion) -> None:
        """Have a part bounded."""

    @abstractmethod
    def next(self, deadline: float | None) -> Timed | None:
        """Return the oldest part once it is bounded; None if `deadline`, in `time.perf_counter()`, comes first."""


class Alone(Crew):
    """This process, one part at a time."""

    size = 1

    def __init__(self) -> None:
        self._given: deque[Portion] = deque()

    def ask(self, question: MarginQuestion) -> None:
        """Take up a question."""
        self._question = question
        self._given.clear()

    @property
    def room(self) -> bool:
        """Return whether nothing is given."""
        return not self._given

    def give(self, part: Portion) -> None:
        """Keep a part until it is asked for."""
        self._given.append(part)

    def next(self, deadline: float | None) -> Timed:
        """Bound the part."""
        return bounded_here(self._question, self._given.popleft())


def bounded_here(question: MarginQuestion, part: Portion) -> Timed:
    """Bound a part in this process."""
    started = time.perf_counter()
    bounded = bound_nodes(question, part.nodes, part.climb, part.weights, part.until)
    return Timed(bounded, time.perf_counter() - started)


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


def pack_timed(timed: Timed) -> bytes:
    """Return what came of a part as bytes."""
    bounded = timed.bounded
    rest = {"splittable": bounded.splittable, "candidates": bounded.candidates, "margins": bounded.margins}
    return pack(BOUNDED, json.dumps({"seconds": timed.seconds}), {**_listed(bounded.nodes.tensors()), **rest})


def unpack_timed(content: bytes, like: Nodes) -> Timed:
    """Return what `pack_timed` was given."""
    text, tensors = unpack(content, BOUNDED)
    rest = [tensors.pop(name) for name in ("splittable", "candidates", "margins")]
    return Timed(Bounded(_nodes(tensors, like), *rest), json.loads(text)["seconds"])


def _listed(tensors: Sequence[Tensor]) -> dict[str, Tensor]:
    return {f"{place:03d}": tensor for place, tensor in enumerate(tensors)}


def _nodes(tensors: dict[str, Tensor], like: Nodes) -> Nodes:
    return like.rebuilt([tensors[name] for name in sorted(tensors)])
