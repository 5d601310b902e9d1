"""Falsify by attack: a verifier that only ever says "falsified" or "unknown"."""

import time
from dataclasses import dataclass

from ...models.deadline import LATE
from ..attacks.base import Attack
from ..problem import Problem
from ..verdicts import Verdict
from .base import Verifier, falsified


@dataclass(frozen=True)
class AttackSearch(Verifier):
    """Runs an attack and replays what it found."""

    attack: Attack
    name: str = "attack"

    def decide(self, problem: Problem) -> list[Verdict]:
        """Return "falsified" with a replayed counterexample where the attack succeeds, "unknown" elsewhere."""
        started = time.perf_counter()
        asked = problem.network, problem.inputs, problem.labels, problem.perturbation, problem.generator()
        result = self.attack(*asked, expired=problem.expired, ties=problem.ties)
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
