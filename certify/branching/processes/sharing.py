"""A question, a part of its search and what came of it as bytes: what processes that help with a search say.

The bytes are those of a safetensors file with JSON in its header: nothing is pickled, and nothing is executed.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, fields

import torch
from torch import Tensor

from ....models.files.checkpoints import from_bytes, to_bytes
from ....models.files.storage import pack, unpack
from ...bounds.prices.prices import Specifications
from ...perturbations.described import build_set, describe_set
from ..bounding import Bounded, Climb
from ..nodes.nodes import Nodes
from ..question import MarginQuestion
from .crew import Portion, Timed

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
