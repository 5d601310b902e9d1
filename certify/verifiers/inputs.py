"""Decide questions by splitting boxes of inputs: for sets that move few inputs."""

import time
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...models.constants import at_least, settle
from ...models.deadline import LATE, TimeIsUp
from ..problem import Problem
from ..splitting.boxes import BoxSearch, BoxTarget, moving
from ..verdicts import Verdict
from .base import Verifier, falsified


@dataclass(frozen=True)
class InputSplitting(Verifier):
    """Bisects the box of inputs until each part is proven, or its middle fails.

    Sound as the bounds of a box are: see splitting/boxes.py. A box whose question is a tie within rounding stays
    open.

    Args:
        most: how many boxes may be bounded.
    """

    asks_rows: ClassVar[bool] = True
    most: int = 2**19
    name: str = "inputs"

    def __post_init__(self) -> None:
        settle(self, at_least(1), "most")

    @torch.no_grad()
    def decide(self, problem: Problem) -> list[Verdict]:
        """Return each sample's verdict."""
        begun, count = time.perf_counter(), len(problem.labels)
        if moving(problem) is None:
            why = "expected a box of inputs (LInf, PixelBox), and no draws"
            return [Verdict("unknown", None, None, self.name, 0.0, f"inputs are not split: {why}")] * count
        target = _Decision(problem)
        search = BoxSearch(problem, target, most=self.most)
        try:
            search.run()
        except (OverflowError, TimeIsUp) as error:
            return [Verdict("unknown", None, None, self.name, 0.0, str(error))] * count
        seconds = (time.perf_counter() - begun) / count
        return [self._verdict(problem, target, search, index, seconds) for index in range(count)]

    def _verdict(
        self, problem: Problem, target: "_Decision", search: BoxSearch, index: int, seconds: float
    ) -> Verdict:
        found, margin = target.found.get(index), float(search.closed[index])
        if found is not None:
            return Verdict("falsified", None, found, self.name, seconds, "the middle of a box fails")
        if bool(search.open[index]):
            late = LATE if problem.expired() else f"{search.count} boxes leave parts of the set open"
            return Verdict("unknown", margin, None, self.name, seconds, late)
        reason = "each box of the inputs is proven"
        return Verdict("verified", margin, None, self.name, seconds, reason, problem.ties)


class _Decision(BoxTarget):
    """Every box is to be proven, or one input is to fail, run alone."""

    def __init__(self, problem: Problem) -> None:
        count = len(problem.labels)
        self.problem, self.found = problem, dict[int, Tensor]()
        self.settled = torch.zeros(count, dtype=torch.bool)

    def closes(self, rows: Tensor, sample: Tensor) -> Tensor:
        """Return which boxes are proven."""
        goal = self.problem.goal
        return goal.holds(goal.proven(rows, self.problem.labels[sample]))

    def tried(self, values: Tensor, inputs: Tensor, sample: Tensor) -> None:
        """Keep the first input of each sample that fails when run alone."""
        problem = self.problem
        for index in (values <= 0).nonzero().flatten().tolist():
            which = int(sample[index])
            if which in self.found:
                continue
            verdict = falsified(problem, which, inputs[index], "inputs", time.perf_counter(), "")
            if verdict.counterexample is not None:
                self.found[which], self.settled[which] = verdict.counterexample, True

    def gap(self, sample: Tensor) -> Tensor:
        """Return what is enough of the one row."""
        return self.problem.goal.floor(self.problem.labels[sample], 1)[:, 0]
