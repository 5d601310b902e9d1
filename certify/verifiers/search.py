"""Falsify by attack: a verifier that only ever says "falsified" or "unknown"."""

import time
from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from ...models.deadline import LATE
from ..attacks.base import Attack
from ..attacks.result import AttackResult, joined
from ..problem import Problem
from ..ties import STRICT
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
        """Return what the attack finds; of a property, group by group of samples that have the same rows."""
        rest, goal = (problem.perturbation, problem.generator()), problem.rows
        if goal is None:
            asked = problem.network, problem.inputs, problem.labels, *rest
            return self.attack(*asked, expired=problem.expired, ties=problem.ties)
        groups, places = [], goal.alike(problem.labels)
        for group in places:
            posed, label, ties = goal.posed(problem.network, problem.labels[group[:1]])
            asked = posed, problem.inputs[group], label.expand(len(group)), *rest
            found = self.attack(*asked, expired=problem.expired, ties=ties)  # pyright: ignore[reportArgumentType]
            groups.append(found)
        order = torch.cat(places).argsort()
        found = joined(groups, self.attack.name, STRICT)
        return replace(found, inputs=found.inputs[order], success=found.success[order], logits=found.logits[order])
