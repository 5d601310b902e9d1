"""A small part of the questions that still has each element, set, kind and verifier, and most of their pairs."""

from collections.abc import Mapping, Sequence
from typing import Any

from .questions import Question

COSTLY = frozenset({"auto", "milp"})
"""Verifiers whose pairs need not all be there."""


def sample(questions: Sequence[Question], kept: Mapping[str, Any]) -> list[Question]:
    """Return questions that cover all traits, each the one that covers the most of what is left.

    Args:
        questions: all of them.
        kept: their answers: refusals are chosen last.
    """
    eager = {question.name: question for question in questions if question.subject.kernel == "eager"}
    left = {name: traits(question) for name, question in eager.items()}
    missing, chosen = set[object]().union(*left.values()), set[str]()

    def worth(name: str) -> tuple[int, bool]:
        """Return how much of what is missing a question has, and whether it is answered."""
        return len(left[name] & missing), "answers" in kept.get(name, {})

    while missing:
        best = max(left, key=worth)
        chosen.add(best)
        missing -= left.pop(best)
    return [question for question in questions if question.name in chosen]


def traits(question: Question) -> frozenset[object]:
    """Return what a question is an example of."""
    found: set[object] = {("element", question.subject.origin), ("set and kind", question.family, question.kind)}
    found |= {("verifier", question.verifier), ("form", str(question.subject.dtype))}
    if question.verifier not in COSTLY:
        found |= {("set and verifier", question.family, question.verifier)}
    return frozenset(found)
