"""One verifier after another, cheapest first, on what the ones before left open and with a share of the time."""

from dataclasses import dataclass, replace

import torch

from ...models.deadline import time_left
from ..problem import Problem
from ..unfinished import Unfinished
from ..verdicts import Verdict
from .base import Verifier, decided


@dataclass(frozen=True)
class Ladder(Verifier):
    """Runs `rungs` in order until each sample is decided or the time is up.

    Of the time that is left each rung has as much as each one after it: none takes what another might need, and
    what it leaves goes to those behind.
    """

    rungs: tuple[Verifier, ...]
    name: str = "auto"

    @property
    def asks_rows(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return whether all rungs answer properties."""
        return all(rung.asks_rows for rung in self.rungs)

    def decide(self, problem: Problem) -> list[Verdict]:
        """Return each sample's first decision; an open sample keeps the best margin that was proven.

        Raises:
            Unfinished: on Ctrl-C, with these.
        """
        open_verdict = Verdict("unknown", None, None, self.name, 0.0, "the time was up before the first bound")
        verdicts = [open_verdict] * len(problem.labels)
        for position, rung in enumerate(self.rungs):
            left = [index for index, verdict in enumerate(verdicts) if verdict.status == "unknown"]
            if not left or problem.expired():
                break
            part = problem.subset(torch.tensor(left, device=problem.labels.device))
            part = replace(part, deadline=time_left(problem.deadline, len(self.rungs) - position))
            found, interrupted = decided(rung, part)
            for index, verdict in zip(left, found, strict=True):
                verdicts[index] = _merged(verdicts[index], verdict)
            if interrupted:
                raise Unfinished(verdicts)
        return verdicts


def _merged(before: Verdict, after: Verdict) -> Verdict:
    """Keep the decision, the greater proven margin and the sum of the times."""
    seconds = before.seconds + after.seconds
    if after.status != "unknown":
        return replace(after, seconds=seconds, margin=_greater(before.margin, after.margin))
    if after.margin is None and before.margin is not None:
        return replace(before, seconds=seconds, reason=f"{before.reason}; {after.reason}")
    return replace(after, seconds=seconds, margin=_greater(before.margin, after.margin))


def _greater(one: float | None, other: float | None) -> float | None:
    known = [margin for margin in (one, other) if margin is not None]
    return max(known) if known else None
