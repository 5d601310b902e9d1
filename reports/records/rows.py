"""What was found for one sample at one ε, and the accuracies that follow from all such rows."""

from collections.abc import Iterable, Sequence
from typing import Literal

from pydantic import FiniteFloat

from .part import Count, Part, Positive, Seconds

Status = Literal["verified", "falsified", "unknown"]


class Finding(Part):
    """One verifier's answer for one sample at one ε."""

    status: Status
    margin: FiniteFloat | None = None
    decided_by: str = ""
    seconds: Seconds
    reason: str = ""


class SampleRow(Part):
    """One sample at one ε: for each attack whether it succeeded, for each verifier what it answered.

    `correct` and `tied` are about the unperturbed sample: whether its label is predicted, as the record's `ties`
    says, and whether it shares the greatest logit with another class. `predicted` is the argmax. Where a property
    is asked about, `correct` says whether it holds there, and `label` is the argmax as well.
    """

    index: Count
    label: Count
    predicted: Count
    correct: bool
    tied: bool = False
    epsilon: FiniteFloat
    attacks: dict[str, bool]
    verdicts: dict[str, Finding]

    @property
    def verified(self) -> bool:
        """Return whether any verifier proved the sample at this ε."""
        return any(verdict.status == "verified" for verdict in self.verdicts.values())

    @property
    def falsified(self) -> bool:
        """Return whether the sample is misclassified as it is, or was broken at this ε by any means."""
        refuted = any(verdict.status == "falsified" for verdict in self.verdicts.values())
        return not self.correct or refuted or any(self.attacks.values())


class Tally(Part):
    """Counts of samples at one ε: certified_by_any + undecided + broken + lost + misclassified = samples.

    Attributes:
        falsified: samples that fail as they are, and those that were broken at this ε: the last three together.
        tied: samples whose label shares the greatest logit with another class, unperturbed.
        kept: those of them that argmax, which takes the lowest index, gives to the label.
        lost: those of them that count as failures: all where a tie is one, else those that argmax gives elsewhere.
    """

    epsilon: FiniteFloat
    samples: Positive
    clean: Count
    robust: dict[str, Count]
    certified: dict[str, Count]
    certified_by_any: Count
    falsified: Count
    undecided: Count
    tied: Count = 0
    kept: Count = 0
    lost: Count = 0

    @property
    def failing(self) -> int:
        """Return how many samples fail as they are, misclassified or by a tie: no perturbation is needed."""
        return self.samples - self.clean

    @property
    def misclassified(self) -> int:
        """Return how many samples are misclassified as they are, ties left out."""
        return self.failing - self.lost

    @property
    def broken(self) -> int:
        """Return how many samples are classified right as they are, and were broken by a perturbation."""
        return self.falsified - self.failing

    @property
    def unbroken(self) -> int:
        """Return how many samples nothing broke: the upper end of what can be robust."""
        return self.samples - self.falsified


def tally(rows: Iterable[SampleRow]) -> tuple[Tally, ...]:
    """Return one `Tally` for each ε in `rows`, by rising ε."""
    by_epsilon: dict[float, list[SampleRow]] = {}
    for row in rows:
        by_epsilon.setdefault(row.epsilon, []).append(row)
    return tuple(_tally(epsilon, by_epsilon[epsilon]) for epsilon in sorted(by_epsilon))


def _tally(epsilon: float, rows: Sequence[SampleRow]) -> Tally:
    verified = sum(row.verified for row in rows)
    falsified = sum(row.falsified for row in rows)
    return Tally(
        epsilon=epsilon,
        samples=len(rows),
        clean=sum(row.correct for row in rows),
        robust={name: sum(row.correct and not row.attacks[name] for row in rows) for name in rows[0].attacks},
        certified={name: _verified_by(name, rows) for name in rows[0].verdicts},
        certified_by_any=verified,
        falsified=falsified,
        undecided=len(rows) - verified - falsified,
        tied=sum(row.tied for row in rows),
        kept=sum(row.tied and row.predicted == row.label for row in rows),
        lost=sum(row.tied and not row.correct for row in rows),
    )


def _verified_by(verifier: str, rows: Sequence[SampleRow]) -> int:
    return sum(row.verdicts[verifier].status == "verified" for row in rows)


def contradiction(rows: Iterable[SampleRow]) -> str | None:
    """Return one line on the first sample that is proved at one ε and broken at that or a smaller ε, or None."""
    proved: dict[int, float] = {}
    broken: dict[int, float] = {}
    for row in rows:
        if row.verified:
            proved[row.index] = max(row.epsilon, proved.get(row.index, 0.0))
        if row.falsified:
            broken[row.index] = min(row.epsilon, broken.get(row.index, row.epsilon))
    for index in sorted(proved.keys() & broken.keys()):
        if broken[index] <= proved[index]:
            return f"sample {index} is verified at ε = {proved[index]:g} and broken at ε = {broken[index]:g}"
    return None
