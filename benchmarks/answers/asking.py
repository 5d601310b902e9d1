"""Ask one question, and write down what comes of it: numbers by name, or the refusal.

Verifiers are bounded by work, and never by time: nodes, members, entries of programs.
"""

import copy
import random
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spikecert import (
    ClosedLoop,
    SpikingNetwork,
    bounds,
    certified_radius,
    equivalent,
    moves_at_most,
    output,
    output_range,
    robust,
    save,
    targeted,
    top_k,
    verify,
)
from spikecert.certify.proofs import Prover, Unproven
from spikecert.certify.verifiers import VERIFIERS, Complete, Enumeration, EventSplitting, Milp, Verifier
from spikecert.certify.verifiers.enumeration import InputSplitting
from spikecert.certify.verifiers.search import Ladder
from spikecert.checking import Refused, check

from .questions import Question
from .sets import NAMED, REFUSALS, Pose, made, timed
from .trained import GIVEN

Answer = dict[str, Any]
"""Of a sample: "status" and numbers by name."""
WORDS = 8
"""Of a refusal that are kept."""
TOLERANCE = 1e-2
"""Of ranges and radii."""
DRAWN = 64
"""Inputs of a set that are run where it is verified."""
PARTS = 16
"""To how many parts of 1 the weights of a second build are rounded."""

PLANT = ((1.0, 0.125), (0.0, 1.0)), ((0.0078125,), (0.125,))
REACH = 2.75
"""A and B of a loop's plant, and the unit of what its controller sees and gives."""
BYTES = 2**22
"""What a search's nodes may take of a sample of a small network: bytes of a node times nodes."""
ENTRIES = 2**16
"""What linear programs may: entries of a program times nodes."""
MEMBERS = 2**28
"""What a listed set may, in products."""
BOXES = 2**9
"""How many boxes of inputs may be bounded."""


class Posed:
    """A question with its network, samples and set.

    Attributes:
        question: what is asked.
        network: of whom.
        inputs, labels: the samples, and the network's own answers.
        around: the set.
        nodes: how many a search told of.
    """

    def __init__(self, question: Question, pose: Pose) -> None:
        self.question, family = question, NAMED[question.family]
        in_time = timed(question.subject, family)
        self.network: SpikingNetwork = question.subject.network(in_time)
        self.inputs = question.subject.samples(in_time)[list(pose.picked)[: question.count]]
        with torch.no_grad():
            self.labels = self.network(self.inputs).argmax(1)
        self.around: Any = made(question.subject, family, pose.size)
        self.nodes = 0.0
        self._before = 0.0

    @property
    def verifier(self) -> Any:
        """Return who answers: of sets of networks by its name."""
        name = self.question.verifier
        return name if NAMED[self.question.family].networks else bounded(name, self.question.work)

    def told(self, _: str, figures: Mapping[str, float]) -> None:
        """Add up the nodes of searches, each of which counts from 0."""
        nodes = figures.get("nodes", 0.0)
        self.nodes += max(0.0, nodes - self._before) if nodes >= self._before else nodes
        self._before = nodes


def asked(question: Question, pose: Pose) -> dict[str, Any]:
    """Return what is kept of a question: {"answers": […]} and nodes, or {"refused": …}, or {"raised": …}."""
    try:
        posed = Posed(question, pose)
        found: dict[str, Any] = {"answers": KINDS[question.kind](posed)}
    except (*REFUSALS, Unproven, Refused) as error:
        return {"refused": first_words(error)}
    except Exception as error:  # whatever else is raised is an answer, too: one that no change may bring about
        return {"raised": first_words(error)}
    return found | ({"nodes": int(posed.nodes)} if posed.nodes else {})


def first_words(error: BaseException) -> str:
    """Return the class of an error and the first words of its message."""
    return " ".join(f"{type(error).__name__}: {error}".split()[:WORDS])


def _class(posed: Posed) -> list[Answer]:
    """Ask about the class, and try what is verified: a run that gives another class breaks the answer."""
    found = _verdicts(posed, posed.labels)
    for index, answer in enumerate(found):
        if answer["status"] == "verified" and _broken(posed, index):
            answer["broken"] = True
    return found


@torch.no_grad()
def _broken(posed: Posed, index: int) -> bool:
    """Return whether a drawn input of a sample's set has another class."""
    if NAMED[posed.question.family].networks:
        return False
    sample = posed.inputs[index : index + 1]
    drawn = posed.around.sample(sample.expand(DRAWN, *sample.shape[1:]), torch.Generator().manual_seed(index))
    if posed.question.subject.most is not None:
        drawn = drawn.round()
    return bool((posed.network(drawn).argmax(1) != posed.labels[index]).any())


def _property(posed: Posed) -> list[Answer]:
    """Ask about one of several properties: which, goes by the name of the subject."""
    draw, runner = random.Random(posed.question.subject.origin), int((posed.labels[0] + 1) % 3)
    lead = output[0] - output[1] >= output[0].at_sample - output[1].at_sample - 0.5
    asked = draw.choice((robust(), targeted(runner), top_k(2), moves_at_most(0.5), lead))
    return _verdicts(posed, asked)


def _verdicts(posed: Posed, asked: Any) -> list[Answer]:
    found = verify(posed.network, posed.inputs, asked, posed.around, posed.verifier, figures=posed.told)
    return [{"status": one.status} | _some(margin=one.margin) for one in found]


def _bounds(posed: Posed) -> list[Answer]:
    found = bounds(posed.network, posed.inputs, posed.around, posed.verifier)
    ends = zip(found.lower.tolist(), found.upper.tolist(), strict=True)
    return [
        {"status": "bounded"}
        | {f"lower {k}": low for k, low in enumerate(lower)}
        | {f"upper {k}": high for k, high in enumerate(upper)}
        for lower, upper in ends
    ]


def _range(posed: Posed) -> list[Answer]:
    form = output[0] - output[1]
    found = output_range(posed.network, posed.inputs, posed.around, form, TOLERANCE, verifier=posed.verifier)
    return [
        {"status": "closed" if one.closed else "open", "lower": one.lower, "upper": one.upper}
        | {"least": one.least, "greatest": one.greatest}
        for one in found
    ]


def _radius(posed: Posed) -> list[Answer]:
    subject = posed.question.subject
    scale = NAMED[posed.question.family].scale
    norm: Any = scale or posed.around
    rest: dict[str, Any] = {"tolerance": TOLERANCE if subject.most is None else 1.0}
    if subject.most is not None and scale == "linf":
        rest |= {"upper": float(subject.most)}
    found = certified_radius(posed.network, posed.inputs, posed.labels, norm, posed.verifier, **rest)
    return [{"status": "exact" if one.exact else "open", "lower": one.lower, "upper": one.upper} for one in found]


def _equivalent(posed: Posed) -> list[Answer]:
    """Compare with a build whose weights are rounded."""
    build = copy.deepcopy(posed.network)
    for parameter in build.parameters():
        parameter.data = (parameter.data * PARTS).round() / PARTS
    found = equivalent(posed.network, build, posed.inputs, posed.around, posed.verifier)
    return [{"status": one.status} | _some(gap=one.gap) for one in found]


def _proof(posed: Posed) -> list[Answer]:
    """Prove samples and check the proofs; a proof has a size."""
    prover = Prover.of(posed.network)
    with tempfile.TemporaryDirectory() as folder:
        network = Path(folder) / "network.safetensors"
        save(posed.network, network)
        return [
            _proved(prover, sample, int(label), posed.around, network)
            for sample, label in zip(posed.inputs, posed.labels, strict=True)
        ]


def _proved(prover: Prover, sample: Tensor, label: int, around: Any, network: Path) -> Answer:
    path = network.parent / "sample.proof"
    try:
        proof = prover.prove(sample, label, around)
        proof.save(path)
        check(path, network)
    except (Unproven, Refused, ValueError) as error:
        return {"status": "unproven", "why": first_words(error)}
    return {"status": "proven", "bytes": path.stat().st_size, "nodes": proof.nodes, "leaves": proof.leaves}


def _loop(posed: Posed) -> list[Answer]:
    """Close a loop around a double integrator; prove that it stays and where it ends."""
    disturbance = 0.005 if posed.question.verifier == "disturbed" else 0.0
    seen: dict[str, Any] = {"C": GIVEN, "scale": REACH, "gain": REACH, "disturbance": disturbance}
    made = ClosedLoop(posed.network, *PLANT, **seen)
    prove = made.ellipsoid if posed.question.verifier == "ellipsoid" else made.certificate
    found: Any = prove((1.0, 1.0), [[1.0]], rounds=4, tolerance=TOLERANCE)
    if not (found.proved and found.check()):
        return [{"status": "unproven"}]
    ends = {f"upper {k}": float(end) for k, end in enumerate(found.ultimate)}
    return [{"status": "proven"} | ends]


def _some(**numbers: float | None) -> dict[str, float]:
    return {name: number for name, number in numbers.items() if number is not None}


KINDS: dict[str, Callable[[Posed], list[Answer]]] = {
    "class": _class,
    "property": _property,
    "bounds": _bounds,
    "range": _range,
    "radius": _radius,
    "equivalent": _equivalent,
    "proof": _proof,
    "loop": _loop,
}
"""What is asked, by name."""


def within(verifier: Verifier, work: float = 1.0) -> Verifier:
    """Return a verifier, and all that it asks, bounded by work; `work` times the usual bounds."""
    found: Any = verifier
    if isinstance(found, Ladder):
        return replace(found, rungs=tuple(within(rung, work) for rung in found.rungs))
    if isinstance(found, Complete):
        changes: dict[str, Any] = {"search": replace(found.search, patience=int(BYTES * work))}
        for name in ("enumeration", "programs"):
            part = getattr(found, name)
            changes[name] = None if part is None else within(part, work)
        return replace(found, **changes)
    if isinstance(found, EventSplitting):
        return replace(found, patience=int(MEMBERS * work), enumeration=within(found.enumeration, work))
    if isinstance(found, Enumeration):
        return replace(found, patience=int(MEMBERS * work))
    if isinstance(found, Milp):
        return replace(found, patience=int(ENTRIES * work))
    return replace(found, most=BOXES) if isinstance(found, InputSplitting) else found


def bounded(name: str, work: float = 1.0) -> Verifier:
    """Return the verifier of a name, bounded by work."""
    return within(VERIFIERS[name](), work)
