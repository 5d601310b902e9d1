"""Which answers became better, which were lost, and which contradict each other.

A status may rise (raised < refused < unknown < decided), a proven number may become sharper; what falls is lost.
A decision that turned into the opposite one, and a "verified" that a run or another verifier contradicts, fail
always. Nodes and sizes of proofs are told, and nothing is lost by them. At another level than the kept one numbers
differ in their last digits: there no decision may be contradicted, and as many must be decided, up to 1 %.
"""

import fnmatch
import math
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .keeping import Unusable

RELATIVE, ABSOLUTE = 1e-9, 1e-12
"""By how much a number may be less sharp."""
SHARE = 0.01
"""By how many fewer decisions there may be at another level."""
ACCEPTED = Path(__file__).parent / "accepted.toml"
OPPOSITES = ({"verified", "falsified"}, {"equivalent", "different"})
RANKS = {"raised": 0, "refused": 1, "unknown": 2, "unproven": 2, "open": 2}
DECIDED = 3
GREATER, SMALLER = ("margin", "lower"), ("upper", "gap")
"""Numbers of which more is sharper, and of which less is."""
BETTER, SAME, LOST, CONTRADICTED = "better", "same", "lost", "contradicted"
Kept = Mapping[str, Any]


@dataclass(frozen=True)
class Finding:
    """What became of one sample's answer.

    Attributes:
        question: its name.
        sample: which of the question's; −1 of all.
        what: "better", "same", "lost" or "contradicted".
        told: of which number or status, before and now; "" where it is the same.
    """

    question: str
    sample: int
    what: str
    told: str = ""

    def __str__(self) -> str:
        return f"{self.what}: {self.question} [{self.sample}]: {self.told}"


@dataclass(frozen=True)
class Accepted:
    """A loss that is accepted: questions by a pattern, such as "LIF zero/*/class/trains", and why."""

    question: str
    reason: str

    def holds(self, finding: Finding) -> bool:
        """Return whether it is about a finding."""
        return finding.what == LOST and fnmatch.fnmatchcase(finding.question, self.question)


def accepted_losses(path: Path = ACCEPTED) -> tuple[Accepted, ...]:
    """Return the list of accepted losses.

    Raises:
        Unusable: for a file that is no such list.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8")).get("accepted", [])
        losses = tuple(Accepted(**one) for one in found)
        if not all(isinstance(each, str) and each.strip() for one in losses for each in vars(one).values()):
            raise TypeError
    except (OSError, TypeError, ValueError, AttributeError):
        told = "expected a readable list of [[accepted]] with question and reason, no more"
        raise Unusable(f"{path.name}: {told}") from None
    return losses


def compared(before: Mapping[str, Kept], now: Mapping[str, Kept]) -> list[Finding]:
    """Return what became of each answer that was kept, and contradictions within the new ones."""
    found = [finding for name, kept in before.items() for finding in _question(name, kept, now.get(name))]
    return found + list(contradictions(now))


def samples(kept: Kept) -> list[Kept]:
    """Return a question's answers; of one that was refused a single one that says so."""
    for status in ("refused", "raised"):
        if status in kept:
            return [{"status": status, "told": kept[status]}]
    return list(kept["answers"])


def _question(name: str, before: Kept, now: Kept | None) -> Iterator[Finding]:
    if now is None:
        yield Finding(name, -1, LOST, "is asked no more")
        return
    pair = samples(before), samples(now)
    if len(pair[0]) != len(pair[1]):
        yield _ranked(name, *pair)
        return
    for index, (one, other) in enumerate(zip(*pair, strict=True)):
        yield _sample(name, index, one, other)


def _ranked(name: str, before: Sequence[Kept], now: Sequence[Kept]) -> Finding:
    """Compare a refusal with answers: those are better, whatever they say."""
    one, other = (min(rank(answer) for answer in each) for each in (before, now))
    told = f"{before[0]['status']} → {now[0]['status']}: {now[0].get('told') or before[0].get('told', '')}"
    return Finding(name, -1, BETTER if other > one else LOST, told)


def rank(answer: Kept) -> int:
    """Return how much an answer says."""
    return RANKS.get(answer["status"], DECIDED)


def _sample(name: str, index: int, before: Kept, now: Kept) -> Finding:
    status = f"{before['status']} → {now['status']}"
    if now.get("broken"):
        return Finding(name, index, CONTRADICTED, "a run of an allowed input gives another class")
    if before["status"] != now["status"]:
        if any({before["status"], now["status"]} == pair for pair in OPPOSITES):
            return Finding(name, index, CONTRADICTED, status)
        if rank(before) != rank(now):
            return Finding(name, index, BETTER if rank(now) > rank(before) else LOST, status)
    changes = [_number(key, before[key], now.get(key)) for key in before if _sign(key)]
    for what in (LOST, BETTER):
        for change, told in changes:
            if change == what and not (what == LOST and now["status"] == "falsified"):
                return Finding(name, index, what, told)
    return Finding(name, index, SAME)


def _sign(key: str) -> int:
    """Return 1 for a number of which more is sharper, −1 of which less is, 0 for what is told alone."""
    first = key.partition(" ")[0]
    return (first in GREATER) - (first in SMALLER)


def _number(key: str, before: float, now: float | None) -> tuple[str, str]:
    """Return what became of a number."""
    if now is None:
        return LOST, f"{key} {before:.9g} → none"
    change = (
        _sign(key) * (now - before) if math.isfinite(before) and math.isfinite(now) else _endless(key, before, now)
    )
    slack = RELATIVE * abs(before) + ABSOLUTE if math.isfinite(before) else 0.0
    what = BETTER if change > slack else LOST if change < -slack else SAME
    return what, f"{key} {before:.9g} → {now:.9g}"


def _endless(key: str, before: float, now: float) -> float:
    """Return the sign of a change of numbers that are infinite."""
    return 0.0 if before == now else _sign(key) * (math.inf if now > before else -math.inf)


def contradictions(now: Mapping[str, Kept]) -> Iterator[Finding]:
    """Yield samples that one verifier verified and another falsified, in the same network and set."""
    known: dict[tuple[str, int], tuple[str, str]] = {}
    for name, kept in now.items():
        asked, _, verifier = name.rpartition("/")
        if not asked.endswith(("/class", "/property")) or "answers" not in kept:
            continue
        for index, answer in enumerate(kept["answers"]):
            if rank(answer) < DECIDED:
                continue
            status, other = known.setdefault((asked, index), (answer["status"], verifier))
            if status != answer["status"]:
                yield Finding(name, index, CONTRADICTED, f"{status} by {other}, {answer['status']} by {verifier}")


def totals(answers: Mapping[str, Kept]) -> Counter[str]:
    """Return how many answers are decided, and what nodes of searches and bytes of proofs add up to."""
    found = Counter[str](decided=0, nodes=0, bytes=0)
    for kept in answers.values():
        found["nodes"] += kept.get("nodes", 0)
        for one in samples(kept):
            found["decided"] += rank(one) == DECIDED
            found["bytes"] += one.get("bytes", 0)
    return found


@dataclass(frozen=True)
class Comparison:
    """All findings, and how they count.

    Attributes:
        findings: of each answer.
        accepted: losses that are.
        strict: whether both were made at one level; otherwise the weaker rule holds.
        before, now: what the answers to the same questions add up to.
    """

    findings: Sequence[Finding]
    accepted: Sequence[Accepted]
    strict: bool
    before: Counter[str]
    now: Counter[str]

    @staticmethod
    def of(
        before: Mapping[str, Kept], now: Mapping[str, Kept], accepted: Sequence[Accepted], strict: bool
    ) -> "Comparison":
        """Compare answers; those to questions that are new are left out."""
        sums = [totals({name: each[name] for name in before if name in each}) for each in (before, now)]
        return Comparison(compared(before, now), accepted, strict, *sums)

    @property
    def failures(self) -> list[Finding]:
        """Return contradictions, and at the kept level losses that are not accepted."""
        return [one for one in self.findings if one.what == CONTRADICTED or (self.strict and self._lost(one))]

    @property
    def fails(self) -> bool:
        """Return whether the answers may not stand."""
        fewer = self.now["decided"] < (1.0 - SHARE) * self.before["decided"]
        return bool(self.failures) or (not self.strict and fewer)

    @property
    def idle(self) -> list[Accepted]:
        """Return accepted losses that nothing was lost of."""
        return [one for one in self.accepted if not any(one.holds(finding) for finding in self.findings)]

    def counts(self) -> Counter[str]:
        """Return how many answers there are of each kind."""
        return Counter(finding.what for finding in self.findings)

    def _lost(self, finding: Finding) -> bool:
        return finding.what == LOST and not any(one.holds(finding) for one in self.accepted)
