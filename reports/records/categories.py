"""The five things that a sample can be at one ε: they never overlap, and add up to all samples."""

from dataclasses import dataclass

from .rows import Tally


@dataclass(frozen=True)
class Category:
    """One of the five.

    Attributes:
        key: its class in the style sheet.
        sign: a mark that needs no colour.
        name: one word.
        told: what it says, in a few.
    """

    key: str
    sign: str
    name: str
    told: str


PROVED = Category("proved", "✓", "proved", "no perturbation of this size changes the answer")
UNDECIDED = Category("undecided", "?", "undecided", "neither a proof nor a counterexample was found")
BROKEN = Category("broken", "✗", "broken", "right as it is, and a replayed perturbation changes the answer")
TIED = Category("tied", "=", "tied", "as it is, another class shares the greatest logit, and wins")
MISCLASSIFIED = Category("wrong", "–", "misclassified", "wrong as it is: no perturbation is needed")
CATEGORIES = (PROVED, UNDECIDED, BROKEN, TIED, MISCLASSIFIED)


@dataclass(frozen=True)
class Slice:
    """How many samples one category has, and their share in tenths of a per cent."""

    category: Category
    count: int
    tenths: int

    @property
    def percent(self) -> str:
        """Return the share, such as "71.5 %"."""
        return f"{self.tenths / 10:.1f} %"


def slices(point: Tally) -> tuple[Slice, ...]:
    """Return all five categories at one ε; the counts add up to the samples, and the shares to 100.0 %."""
    counts = (point.certified_by_any, point.undecided, point.broken, point.lost, point.misclassified)
    return tuple(map(Slice, CATEGORIES, counts, tenths(counts)))


def tenths(counts: tuple[int, ...]) -> tuple[int, ...]:
    """Return shares in tenths of a per cent that add up to 1000: what rounding down leaves goes by remainder.

    >>> tenths((1, 1, 1)), tenths((2, 0, 1))
    ((334, 333, 333), (667, 0, 333))
    """
    whole = sum(counts)
    floors = [1000 * count // whole for count in counts]
    order = sorted(range(len(counts)), key=lambda place: (-(1000 * counts[place] % whole), place))
    raised = set(order[: 1000 - sum(floors)])
    return tuple(floor + (place in raised) for place, floor in enumerate(floors))
