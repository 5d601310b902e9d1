"""Means of named figures over the steps of an epoch."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass
class Means:
    """Each figure's mean over the steps that had it: a term may be left out of a step, say at a weight of 0.

    >>> means = Means()
    >>> means.add({"loss": 1.0, "term": 4.0})
    >>> means.add({"loss": 2.0})
    >>> means["loss"], means["term"]
    (1.5, 4.0)
    """

    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, figures: Mapping[str, float]) -> None:
        """Count one step's figures."""
        for name, value in figures.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.counts[name] = self.counts.get(name, 0) + 1

    def __getitem__(self, name: str) -> float:
        """Return the mean of one figure."""
        return self.sums[name] / self.counts[name]

    def others(self, *names: str) -> dict[str, float]:
        """Return the means of all figures but these."""
        return {name: self[name] for name in self.sums if name not in names}
