"""What a sample can be at one ε, five things or four: they never overlap, and add up to all samples."""

from dataclasses import dataclass

from ...asking import Threat
from .rows import Tally


@dataclass(frozen=True)
class Category:
    """One of them.

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
OF_PROPERTY = (
    Category("proved", "✓", "proved", "no perturbation of this size breaks the property"),
    UNDECIDED,
    Category("broken", "✗", "broken", "it holds for the sample as it is, and a replayed perturbation breaks it"),
    Category("wrong", "–", "failing", "it fails for the sample as it is: no perturbation is needed"),
)


@dataclass(frozen=True)
class Slice:
    """How many samples one category has, of how many."""

    category: Category
    count: int
    samples: int

    @property
    def percent(self) -> str:
        """Return the share, such as "71.5 %"."""
        return f"{100 * self.count / self.samples:.1f} %"


def categories(threat: Threat) -> tuple[Category, ...]:
    """Return what a sample can be: of a property it ties with nothing."""
    return CATEGORIES if threat.asked is None else OF_PROPERTY


def slices(point: Tally, threat: Threat) -> tuple[Slice, ...]:
    """Return all categories at one ε; the counts add up to the samples."""
    counts = (point.certified_by_any, point.undecided, point.broken, point.lost, point.misclassified)
    counts = counts if threat.asked is None else (*counts[:3], point.failing)
    pairs = zip(categories(threat), counts, strict=True)
    return tuple(Slice(category, count, sum(counts)) for category, count in pairs)
