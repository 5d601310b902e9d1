"""Which questions are asked: every element meets each set, each verifier and each kind of question, by a rule.

1. Each element × ℓ∞ × "class" × each verifier.
2. Each element × each other set × "class" × "trains" and one verifier in turn.
3. Each element × property and bounds, on ℓ∞ and one other set in turn, by a verifier in turn; and a proof and a
   range, or an equivalence and a radius.
4. The forms of plain networks (float32, compiled) × each set × "class" × each verifier but "auto".
5. Larger networks × ℓ∞ × "class" × bounds and a search, the costly bounds in turn, near the edge of "trains" and
   far behind it; × ℓ2 and shares of weights × "trains".
6. The zoo at its own ε, tables of digits, and closed loops, whose verifier is named by what the loop is.

"In turn" goes by the place of an element in its list, so that neighbours, which are alike, are asked otherwise.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from spikecert.certify.verifiers import VERIFIERS

from .elements import ELEMENTS
from .sets import FAMILIES, NAMED
from .subjects import Subject, variant
from .trained import DIGITS, LOOPS, ZOO
from .wide import WIDE

ALL = tuple(VERIFIERS)
SINGLE = tuple(name for name in ALL if name != "auto")
OTHERS = tuple(name for name in SINGLE if name != "trains")
NETWORK_VERIFIERS = ("interval", "trains", "enumeration", "auto")
"""Who answers about sets of networks."""
BOUNDING = ("interval", "trains", "linear", "gain", "lirpa")
"""Who bounds logits."""
ROWS = ("trains", "linear", "milp", "complete", "auto")
"""Who answers about properties."""
LOOP_KINDS = ("calm", "disturbed", "ellipsoid")
PLAIN = ("LIF zero", "LIF subtract")

LONG = ("zoo", "loop", "digits", "images")
"""How names begin of whom a sample by day does not ask."""
COSTLY = frozenset({"auto", "milp"})
"""Verifiers whose pairs need not all be there."""


@dataclass(frozen=True)
class Question:
    """A question.

    Attributes:
        subject: who is asked about.
        family: of the set.
        kind: what is asked.
        verifier: who answers.
        work: how many times the usual work it may take.
        samples: how many of those that were picked are asked about; 0: as many as are usual for the kind.
    """

    subject: Subject
    family: str
    kind: str
    verifier: str
    work: float = 1.0
    samples: int = 0

    @property
    def count(self) -> int:
        """Return how many samples are asked about: fewer where each takes many verdicts."""
        if self.samples:
            return self.samples
        return 2 if self.verifier == "auto" or self.kind not in ("class", "property", "bounds") else 4

    @property
    def name(self) -> str:
        """Return what answers are kept under."""
        return "/".join((self.subject.name, self.family, self.kind, self.verifier))

    @property
    def pose(self) -> str:
        """Return what the size and the samples are kept under."""
        return f"{self.subject.origin}/{self.family}"


LARGE = frozenset(subject.name for subject in (*WIDE, *DIGITS))
"""Subjects whose questions take long."""


def questions() -> tuple[Question, ...]:
    """Return all of them, subject by subject."""
    found = [question for index, subject in enumerate(ELEMENTS) for question in _of_element(subject, index)]
    found += [question for subject in forms() for question in _of_form(subject)]
    found += [question for index, subject in enumerate(WIDE) for question in _of_wide(subject, index)]
    found += [question for subject in ZOO for question in _of_zoo(subject)]
    found += [question for subject in DIGITS for question in _of_table(subject)]
    found += [Question(subject, "linf", "loop", name) for subject in LOOPS for name in LOOP_KINDS]
    return tuple(found)


@cache
def named() -> dict[str, Question]:
    """Return all questions by their names."""
    return {question.name: question for question in questions()}


def forms() -> tuple[Subject, ...]:
    """Return plain networks in other forms."""
    plain = [subject for subject in ELEMENTS if subject.name in PLAIN]
    single = [variant(subject, "float32", dtype=torch.float32) for subject in plain]
    return tuple(single)


def _of_element(subject: Subject, index: int) -> Iterator[Question]:
    for verifier in ALL:
        yield Question(subject, "linf", "class", verifier)
    for place, family in enumerate(FAMILIES[1:]):
        chosen: Sequence[str] = ("trains", OTHERS[(index + place) % len(OTHERS)])
        if family.networks:
            chosen = ("trains", ("interval", "enumeration", "auto")[(index + place) % 3])
        for verifier in chosen:
            yield Question(subject, family.name, "class", verifier)
    yield from _other_kinds(subject, index)


def _other_kinds(subject: Subject, index: int) -> Iterator[Question]:
    """Yield a property and bounds, on ℓ∞ or another set in turn, and of the costly kinds every second one."""
    families = [family.name for family in FAMILIES if not family.networks]
    scaled = [family.name for family in FAMILIES if family.scale is not None]
    turn = families[index // 2 % len(families)]
    for family in dict.fromkeys(("linf", turn)):
        yield Question(subject, family, "property", ROWS[index % len(ROWS)])
        yield Question(subject, family, "bounds", BOUNDING[index % len(BOUNDING)])
    if index % 2:
        yield Question(subject, turn, "proof", "complete")
        yield Question(subject, "linf", "range", ("complete", "trains", "linear", "milp")[index // 2 % 4])
    else:
        yield Question(subject, turn, "equivalent", ("trains", "linear", "complete")[index // 2 % 3])
        family = scaled[index // 2 % len(scaled)]
        choice = ("auto", "trains") if NAMED[family].networks else ("complete", "trains", "linear", "interval")
        yield Question(subject, family, "radius", choice[index // 2 % len(choice)])


def _of_form(subject: Subject) -> Iterator[Question]:
    """Yield the class of each set by each verifier."""
    for family in FAMILIES:
        for verifier in NETWORK_VERIFIERS if family.networks else SINGLE:
            yield Question(subject, family.name, "class", verifier)


def _of_wide(subject: Subject, index: int) -> Iterator[Question]:
    """Yield the class by bounds, by a search of more work, and on two more sets."""
    for verifier in ("interval", "trains", "linear", ("gain", "lirpa", "milp")[index % 3]):
        yield Question(subject, "linf", "class", verifier)
    yield Question(subject, "linf", "class", "complete", work=8.0, samples=2)
    yield Question(subject, "far", "class", "linear")
    yield Question(subject, "far", "class", "complete", work=8.0, samples=3)
    yield Question(subject, "l2", "class", ("trains", "gain")[index % 2])
    yield Question(subject, "tolerance", "class", "trains")


def _of_zoo(subject: Subject) -> Iterator[Question]:
    """Yield the class by bounds and a search, at the ε that the entry tells."""
    (family,) = subject.fixed
    image = len(subject.samples().shape) == 4
    for verifier in ("interval", "trains") if image else ("interval", "trains", "linear", "complete"):
        yield Question(subject, family, "class", verifier)


def _of_table(subject: Subject) -> Iterator[Question]:
    """Yield the class of all digits by bounds, and of a few by a search."""
    for verifier in ("interval", "trains", "linear"):
        yield Question(subject, "linf", "class", verifier, samples=subject.asked)
    yield Question(subject, "linf", "class", "complete", work=8.0, samples=6)


def sample(questions: Sequence[Question], kept: Mapping[str, Any]) -> list[Question]:
    """Return questions that cover all traits, each the one that covers the most of what is left.

    Args:
        questions: all of them.
        kept: their answers: refusals are chosen last.
    """
    small = {each.name: each for each in questions if each.subject.name not in LARGE and not _takes_long(each)}
    left = {name: traits(question) for name, question in small.items()}
    missing, chosen = set[object]().union(*left.values()), set[str]()

    def worth(name: str) -> tuple[int, bool]:
        """Return how much of what is missing a question has, and whether it is answered."""
        return len(left[name] & missing), "answers" in kept.get(name, {})

    while missing:
        best = max(left, key=worth)
        chosen.add(best)
        missing -= left.pop(best)
    return [question for question in questions if question.name in chosen]


def _takes_long(question: Question) -> bool:
    """Return whether a question takes seconds: those of images and loops, and ladders but of one network."""
    origin = str(question.subject.origin)
    ladder = question.verifier in COSTLY and not (origin in PLAIN and question.family == "linf")
    return ladder or origin.startswith(LONG)


def traits(question: Question) -> frozenset[object]:
    """Return what a question is an example of."""
    found: set[object] = {("element", question.subject.origin), ("set and kind", question.family, question.kind)}
    found |= {("verifier", question.verifier), ("form", str(question.subject.dtype))}
    if question.subject.origin in PLAIN and question.family == "linf":
        found |= {("plain", question.subject.origin, question.kind, question.verifier)}
    if question.verifier not in COSTLY:
        found |= {("set and verifier", question.family, question.verifier)}
    return frozenset(found)
