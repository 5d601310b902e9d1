"""What a verifier says of a sample, and what it must never say."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from .detaching import detach

if TYPE_CHECKING:
    from .attacks.result import AttackResult

STATUSES = ("verified", "falsified", "unknown")


class SoundnessError(RuntimeError):
    """A sample is 'verified' and has a replayed counterexample: a bug in a verifier, never a result."""


@dataclass(frozen=True)
class Verdict:
    """One sample's verdict.

    Attributes:
        status: "verified" (no allowed input changes the class, proven, for the run in the network's dtype),
            "falsified" (`counterexample` was replayed through the network) or "unknown".
        margin: proven lower bound of min over k ≠ y of logit_y − logit_k over the set, or None.
        counterexample: an allowed input that is misclassified (ties count), or None. It never requires a gradient.
        verifier: what decided.
        seconds: this sample's share of the time spent.
        reason: one sentence.

    Raises:
        SoundnessError: for "verified" with a counterexample.
        ValueError: for a status without what it needs.
    """

    status: str
    margin: float | None
    counterexample: Tensor | None
    verifier: str
    seconds: float
    reason: str

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"status: got {self.status!r}, expected one of {', '.join(STATUSES)}")
        if self.status == "verified" and self.counterexample is not None:
            raise SoundnessError(f"{self.verifier} verified a sample that has a replayed counterexample")
        if self.status == "verified" and not (self.margin is not None and self.margin > 0):
            raise ValueError(f"margin: got {self.margin!r}, expected a positive number for 'verified'")
        if self.status == "falsified" and self.counterexample is None:
            raise ValueError("counterexample: got None, expected an input for 'falsified'")
        detach(self, "counterexample")


def reconcile(verdicts: Sequence[Verdict], result: "AttackResult") -> None:
    """Check verdicts against an attack on the same samples and the same set.

    Raises:
        SoundnessError: if the attack succeeded on a sample that a verifier verified; the message names both.
        ValueError: if the two are about different numbers of samples.
    """
    if len(verdicts) != len(result.success):
        raise ValueError(f"verdicts: got {len(verdicts)}, expected {len(result.success)}, one per attacked sample")
    for index, (verdict, broken) in enumerate(zip(verdicts, result.success.tolist(), strict=True)):
        if broken and verdict.status == "verified":
            raise SoundnessError(
                f"sample {index}: {verdict.verifier} verified it, {result.method} found a counterexample"
            )
