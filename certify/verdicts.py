"""What a verifier says of a sample, and what it must never say.

Ctrl-C while samples are decided: what is proven by then is not lost.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from torch import Tensor

from ..models.networks import SpikingNetwork
from ..models.validation import check_choice
from .alike import Alike, detach
from .ties import ARGMAX, STRICT, TIES

if TYPE_CHECKING:
    from .attacks.base import AttackResult

STATUSES = ("verified", "falsified", "unknown")


class SoundnessError(RuntimeError):
    """A sample is 'verified' and has a replayed counterexample: a bug in a verifier, never a result."""


@dataclass(frozen=True, eq=False)
class Verdict(Alike):
    """One sample's verdict. Two are equal whatever time they took.

    Attributes:
        status: "verified" (no allowed input changes the class, proven, for the run in the network's dtype),
            "falsified" (`counterexample` was replayed through the network) or "unknown".
        margin: proven lower bound of min over k ≠ y of logit_y − logit_k over the set, or None. "verified" has one
            above 0; with ties "argmax" it may be 0, where only ties that fall to the label are left.
        counterexample: an allowed input that is misclassified, or None. It never requires a gradient.
        verifier: what decided.
        seconds: this sample's share of the time spent.
        reason: one sentence.
        ties: what a tie is: "argmax" (the lowest index wins, as torch.argmax takes it) or "strict" (a failure).
        member: of a set of networks, the one that misclassifies `counterexample`; None elsewhere.

    Raises:
        SoundnessError: for "verified" with a counterexample.
        ValueError: for a status without what it needs.
    """

    status: str
    margin: float | None
    counterexample: Tensor | None
    verifier: str
    seconds: float = field(compare=False)
    reason: str
    ties: str = STRICT
    member: SpikingNetwork | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"status: got {self.status!r}, expected one of {', '.join(STATUSES)}")
        check_choice("ties", self.ties, TIES)
        if self.status == "verified" and self.counterexample is not None:
            raise SoundnessError(f"{self.verifier} verified a sample that has a replayed counterexample")
        if self.status == "verified" and not self._margin_suffices:
            expected = "a positive number" if self.ties == STRICT else "a number of at least 0"
            raise ValueError(f"margin: got {self.margin!r}, expected {expected} for 'verified'")
        if self.status == "falsified" and self.counterexample is None:
            raise ValueError("counterexample: got None, expected an input for 'falsified'")
        detach(self, "counterexample")

    @property
    def _margin_suffices(self) -> bool:
        return self.margin is not None and (self.margin > 0 or (self.ties == ARGMAX and self.margin >= 0))


def reconcile(verdicts: Sequence[Verdict], result: "AttackResult") -> None:
    """Check verdicts against an attack on the same samples and the same set.

    Raises:
        SoundnessError: if the attack succeeded on a sample that a verifier verified; the message names both.
        ValueError: if the two are about different numbers of samples, or take ties otherwise.
    """
    if len(verdicts) != len(result.success):
        raise ValueError(f"verdicts: got {len(verdicts)}, expected {len(result.success)}, one per attacked sample")
    if others := {verdict.ties for verdict in verdicts} - {result.ties}:
        raise ValueError(f"verdicts: got ties {others.pop()!r}, expected the attack's {result.ties!r}")
    for index, (verdict, broken) in enumerate(zip(verdicts, result.success.tolist(), strict=True)):
        if broken and verdict.status == "verified":
            raise SoundnessError(
                f"sample {index}: {verdict.verifier} verified it, {result.method} found a counterexample"
            )


INTERRUPTED = "it was interrupted"


class Unfinished(KeyboardInterrupt):
    """Ctrl-C came while samples were decided.

    Attributes:
        verdicts: one per sample, in order; an open one is "unknown", with the best margin that was proven, if any.
    """

    def __init__(self, verdicts: Sequence[Verdict]) -> None:
        decided = sum(verdict.status != "unknown" for verdict in verdicts)
        super().__init__(f"interrupted with {decided} of {len(verdicts)} samples decided{_least(verdicts)}")
        self.verdicts: tuple[Verdict, ...] = tuple(verdicts)


def left_open(verifier: str, ties: str) -> Verdict:
    """Return the verdict of a sample that had no turn."""
    return Verdict("unknown", None, None, verifier, 0.0, f"{INTERRUPTED} before the first bound", ties)


@contextmanager
def keeping(
    verdicts: Sequence[Verdict], count: int, verifier: str, ties: str, told: Callable[[Verdict], Verdict] = replace
) -> Iterator[None]:
    """Raise Unfinished where Ctrl-C comes within: `verdicts`, what it cut short has, open ones up to `count`.

    `told` says what each of them is about.
    """
    try:
        yield
    except KeyboardInterrupt as stopped:
        known = [*map(told, (*verdicts, *getattr(stopped, "verdicts", ())))]
        none = left_open(verifier, known[0].ties if known else ties)
        raise Unfinished([*known, *[none] * (count - len(known))]) from None


def _least(verdicts: Sequence[Verdict]) -> str:
    """Return the least margin that is proven of an open sample, as text; empty where none is."""
    known = [
        (verdict.margin, index)
        for index, verdict in enumerate(verdicts)
        if verdict.status == "unknown" and verdict.margin is not None
    ]
    if not known:
        return ""
    margin, index = min(known)
    return f"; of the others the least proven margin is {margin:.4g}, of sample {index}"
