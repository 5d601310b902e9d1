"""Small sets of inputs of layers that hear themselves over many steps: listed first, as bounds cost more there."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch

from ....models.circuit import Recurred
from ...bounds.long.long_trains import LONG
from ...problem import Problem
from ...unfinished import Unfinished
from ...verdicts import Verdict
from ..base import Verifier, decided
from ..enumeration import Enumeration

UNASKED = "no small set of inputs of a layer that hears itself over many steps"
"""What is said of a sample that is left to others."""


@dataclass(frozen=True)
class ListedLoops(Verifier):
    """Asks `Enumeration` where a bound of the whole set walks a graph for each pair of steps: T³ in all.

    Args:
        enumeration: what runs the members.
    """

    asks_rows: ClassVar[bool] = True
    enumeration: Enumeration = field(default_factory=Enumeration)
    name: str = "listed-loops"

    def decide(self, problem: Problem) -> list[Verdict]:
        """Return each sample's verdict."""
        made = problem.circuit
        verdicts = [Verdict("unknown", None, None, self.name, 0.0, UNASKED)] * len(problem.labels)
        if made.num_steps < LONG or not any(isinstance(node, Recurred) for node in made.nodes):
            return verdicts
        taken = self.enumeration.takes(problem).nonzero().flatten().tolist()
        part = problem.subset(torch.tensor(taken, device=problem.labels.device, dtype=torch.long))
        found, interrupted = decided(self.enumeration, part) if taken else ((), False)
        for index, verdict in zip(taken, found, strict=True):
            verdicts[index] = verdict
        if interrupted:
            raise Unfinished(verdicts)
        return verdicts
