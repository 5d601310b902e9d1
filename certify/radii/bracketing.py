"""Narrow the radii of many samples together: bisection on a grid of radii that the samples share."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from torch import Tensor

from ...models.deadline import passed, share
from ..verdicts import SoundnessError, Verdict

FINEST = 2**29
"""Steps of the finest grid: a reach of 24 bits times a share of 29 bits is exact in float64."""


@dataclass(frozen=True)
class Grid:
    """The radii reach·k/size, k = 0..size, all exact in float64; `size` is a power of two.

    Samples that bisect on a common dyadic grid meet at the same radii, and are asked about in one batch.
    """

    reach: float
    size: int

    @staticmethod
    def of(reach: float, tolerance: float) -> "Grid":
        """Return the coarsest grid whose steps are at most `tolerance`; `reach` must fit in float32.

        Raises:
            ValueError: for a tolerance that would need more than `FINEST` steps.
        """
        if not tolerance * FINEST >= reach:
            least = reach / FINEST
            raise ValueError(f"tolerance: got {tolerance!r}, expected at least {least:.3g}, 2^-29 of the range")
        return Grid(reach, 2 ** max(0, math.ceil(math.log2(reach / tolerance))))

    def coarser(self, factor: int) -> "Grid":
        """Return the grid with steps `factor` (a power of two) times as wide, but of one step at least."""
        return Grid(self.reach, max(1, self.size // factor))

    def radius(self, point: int) -> float:
        """Return the radius of a grid point."""
        return self.reach * (point / self.size)

    def above(self, radius: float) -> int:
        """Return the least grid point whose radius is at least `radius`."""
        return math.ceil(Fraction(radius) * self.size / Fraction(self.reach))

    def below(self, radius: float) -> int:
        """Return the greatest grid point whose radius is at most `radius`."""
        return math.floor(Fraction(radius) * self.size / Fraction(self.reach))


def between(low: int, high: int) -> int:
    """Return a point in the middle half of (low, high), as even as possible, so that samples share it.

    >>> between(0, 16), between(3, 9), between(4, 6)
    (8, 6, 5)
    """
    unit = 1 << max((high - low).bit_length() - 2, 0)
    return (low + high + unit) // (2 * unit) * unit


@dataclass(frozen=True)
class Bracket:
    """What is known of one sample's radius: `lower` is proven, `upper` is a counterexample's distance."""

    lower: float
    upper: float
    counterexample: Tensor | None = None
    verifier: str | None = None

    def raised(self, radius: float, verifier: str) -> "Bracket":
        """Return the bracket after `radius` was verified."""
        return replace(self, lower=radius, verifier=verifier)._sound()

    def shrunk(self, distance: float, counterexample: Tensor) -> "Bracket":
        """Return the bracket after a counterexample was found at `distance`."""
        return replace(self, upper=distance, counterexample=counterexample)._sound()

    def _sound(self) -> "Bracket":
        if self.counterexample is not None and self.lower >= self.upper:
            raise SoundnessError(
                f"{self.verifier} verified ε = {self.lower:g} and a counterexample was found at {self.upper:g}"
            )
        return self


Ask = Callable[[list[int], float, float | None], list[Verdict]]
"""Called with samples, ε, and seconds for a sample; returns a verdict for each."""

Nearest = Callable[[list[int], list[Tensor]], list[tuple[Tensor, float]]]
"""Called with samples and counterexamples; returns counterexamples at most as far away, with their distances."""


@dataclass(frozen=True)
class Bisection:
    """One pass over all samples with one verifier.

    Attributes:
        grid: the radii to ask about.
        ask: decides samples at one ε.
        nearest: (samples, counterexamples) → counterexamples at most as far away, and their distances, rounded up.
        deadline: for all queries together, or None.
        unknown_is_high: whether the pass goes on below an undecided radius (a search for proofs) or above it (a
            search for counterexamples).
        told: called with the number of samples that the pass is through with.
    """

    grid: Grid
    ask: Ask
    nearest: Nearest
    deadline: float | None
    unknown_is_high: bool
    told: Callable[[int], None]

    def run(self, brackets: list[Bracket]) -> list[Bracket]:
        """Return narrower brackets: each query lies strictly inside its bracket, so they only ever shrink."""
        brackets = list(brackets)
        ends = [self._ends(bracket) for bracket in brackets]
        self.told(_closed(ends))
        while groups := _groups(ends):
            for point, samples in groups:
                if passed(self.deadline):
                    return brackets
                rounds = sum((high - low - 1).bit_length() for low, high in ends)
                verdicts = self.ask(samples, self.grid.radius(point), share(self.deadline, rounds))
                for index, bracket in self._updated(brackets, samples, point, verdicts).items():
                    brackets[index] = bracket
                for index, verdict in zip(samples, verdicts, strict=True):
                    ends[index] = self._moved(ends[index], point, verdict, brackets[index])
                self.told(_closed(ends))
        return brackets

    def _ends(self, bracket: Bracket) -> tuple[int, int]:
        """Return the grid points around a bracket; the reach itself is open until a counterexample is found."""
        if bracket.counterexample is None:
            return self.grid.below(bracket.lower), self.grid.size + 1
        return self.grid.below(bracket.lower), self.grid.above(bracket.upper)

    def _updated(
        self, brackets: list[Bracket], samples: list[int], point: int, verdicts: list[Verdict]
    ) -> Mapping[int, Bracket]:
        pairs = zip(samples, verdicts, strict=True)
        found = {index: verdict.counterexample for index, verdict in pairs if verdict.counterexample is not None}
        nearer = self.nearest(list(found), list(found.values())) if found else []
        updated = {
            index: brackets[index].shrunk(distance, counterexample)
            for index, (counterexample, distance) in zip(found, nearer, strict=True)
        }
        for index, verdict in zip(samples, verdicts, strict=True):
            if verdict.status == "verified":
                updated[index] = brackets[index].raised(self.grid.radius(point), verdict.verifier)
        return updated

    def _moved(self, ends: tuple[int, int], point: int, verdict: Verdict, bracket: Bracket) -> tuple[int, int]:
        low, high = ends
        if verdict.status == "falsified":
            return low, self.grid.above(bracket.upper)
        up = verdict.status == "verified" or not self.unknown_is_high
        return (point, high) if up else (low, point)


def _closed(ends: Iterable[tuple[int, int]]) -> int:
    """Return how many samples have no point left inside their ends."""
    return sum(high - low <= 1 for low, high in ends)


def _groups(ends: Iterable[tuple[int, int]]) -> list[tuple[int, list[int]]]:
    """Return (grid point, samples to ask there) for all samples that have a point left inside their ends."""
    groups: dict[int, list[int]] = {}
    for index, (low, high) in enumerate(ends):
        if high - low > 1:
            groups.setdefault(between(low, high), []).append(index)
    return sorted(groups.items())
