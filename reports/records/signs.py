"""What an attack at one ε says of itself: why the samples that it left may be less robust than they seem."""

from collections.abc import Iterable
from dataclasses import asdict

from pydantic import FiniteFloat

from ...certify.attacks.signs import Signs, summed
from .part import Count, Part


class SignRow(Part):
    """The signs of one attack at one ε, as counts: see `certify.attacks.signs.Signs`."""

    attack: str
    epsilon: FiniteFloat
    samples: Count
    wrong: Count = 0
    still: Count = 0
    vanished: Count | None = None
    odd: Count = 0
    unanswered: Count = 0
    blind: Count = 0
    alike: Count = 0
    late: Count = 0

    @property
    def signs(self) -> Signs:
        """Return the counts alone."""
        return Signs(**self.model_dump(exclude={"attack", "epsilon"}))


def sign_row(attack: str, epsilon: float, signs: Signs) -> SignRow:
    """Return what an attack at ε says of itself."""
    return SignRow(attack=attack, epsilon=epsilon, **asdict(signs))


def merged_signs(rows: Iterable[SignRow]) -> tuple[SignRow, ...]:
    """Return the counts of all parts of a set together, by rising ε."""
    found: dict[tuple[float, str], list[Signs]] = {}
    for row in rows:
        found.setdefault((row.epsilon, row.attack), []).append(row.signs)
    return tuple(sign_row(attack, epsilon, summed(parts)) for (epsilon, attack), parts in sorted(found.items()))
