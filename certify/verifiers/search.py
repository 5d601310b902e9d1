"""Falsify by attack: a verifier that only ever says "falsified" or "unknown"."""

import time
from dataclasses import dataclass
from typing import ClassVar

from ...models.deadline import LATE
from ..attacks.base import Attack
from ..attacks.modules import attacked_rows
from ..attacks.result import AttackResult
from ..problem import Problem
from ..verdicts import Verdict
from .base import Verifier, falsified


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
        if problem.rows is not None:
            return attacked_rows(self.attack, *asked, problem.rows, problem.expired)
        return self.attack(*asked, expired=problem.expired, ties=problem.ties)
