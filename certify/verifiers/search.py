"""A verifier that searches for counterexamples alone, and one that asks others in turn, cheapest first.

One verifier after another, cheapest first, on what the ones before left open and with a share of the time.
"""

import logging
import time
from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from ...models.deadline import LATE, time_left
from ..attacks.base import Attack, AttackResult
from ..attacks.blind import AnyDraws
from ..attacks.modules import attacked_rows
from ..perturbations.others import of_others
from ..problem import Problem
from ..verdicts import Unfinished, Verdict
from .base import Verifier, decided, falsified

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class AttackSearch(Verifier):
    """Runs an attack and replays what it found."""

    asks_rows: ClassVar[bool] = True
    attack: Attack
    name: str = "attack"

    def decide(self, problem: Problem) -> list[Verdict]:
        """Return "falsified" with a replayed counterexample where the attack succeeds, "unknown" elsewhere."""
        started = time.perf_counter()
        result = self.attacked(problem)
        verdicts, late = [], f"{LATE}, and " * problem.expired()
        for index, success in enumerate(result.success.tolist()):
            if success:
                reason = f"{result.method} found a counterexample"
                verdicts.append(falsified(problem, index, result.inputs[index], self.name, started, reason))
            else:
                seconds = (time.perf_counter() - started) / len(problem.labels)
                verdicts.append(
                    Verdict("unknown", None, None, self.name, seconds, f"{late}{result.method} found nothing")
                )
        return verdicts

    def attacked(self, problem: Problem) -> AttackResult:
        """Return what the attack finds, of the class or of a property."""
        asked = problem.network, problem.inputs, problem.labels, problem.perturbation, problem.generator()
        known = isinstance(problem.perturbation, self.attack.accepts)
        method = self.attack if known or not of_others(problem.perturbation) else AnyDraws()
        if problem.rows is not None:
            return attacked_rows(method, *asked, problem.rows, problem.expired)
        return method(*asked, expired=problem.expired, ties=problem.ties)


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
            if not left:
                break
            if problem.expired():
                return [_late(verdict) for verdict in verdicts]
            part = problem.subset(torch.tensor(left, device=problem.labels.device))
            part = replace(part, deadline=time_left(problem.deadline, len(self.rungs) - position))
            found, interrupted = decided(rung, part)
            for index, verdict in zip(left, found, strict=True):
                verdicts[index] = _merged(verdicts[index], verdict)
            open_still = sum(verdict.status == "unknown" for verdict in found)
            LOG.debug("%s: %s leaves %d of %d samples open", self.name, rung.name, open_still, len(left))
            if interrupted:
                raise Unfinished(verdicts)
        return verdicts


def _late(verdict: Verdict) -> Verdict:
    """Return an open verdict that says that there was no time for the rungs behind."""
    told = verdict.status != "unknown" or "the time was up" in verdict.reason
    return verdict if told else replace(verdict, reason=f"{verdict.reason}; the time was up")


def _merged(before: Verdict, after: Verdict) -> Verdict:
    """Keep the decision, the greater proven margin, and what each rung took."""
    took = (*before.took, *(after.took or ((after.verifier, after.seconds),)))
    told = {"seconds": before.seconds + after.seconds, "took": took}
    if after.status == "unknown" and after.margin is None and before.margin is not None:
        return replace(before, reason=f"{before.reason}; {after.reason}", **told)
    return replace(after, margin=_greater(before.margin, after.margin), **told)


def _greater(one: float | None, other: float | None) -> float | None:
    known = [margin for margin in (one, other) if margin is not None]
    return max(known) if known else None
