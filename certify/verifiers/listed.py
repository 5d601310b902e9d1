"""Sets that are listed early, as bounds cost more there or what breaks is soon found."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch

from ...models.circuit import Recurred
from ...models.constants import at_least, settle
from ..bounds.long_trains import LONG
from ..listing import members_of, walked
from ..problem import Problem
from ..verdicts import Unfinished, Verdict
from .base import Verifier, decided, one_by_one
from .enumeration import Enumeration


@dataclass(frozen=True)
class OneChange(Verifier):
    """Walks all members of which one event has changed (listing.py): what breaks is found first.

    A member that fails falsifies the sample. Where no more than one event may change, these are the set: the
    sample is verified once each is proven.

    Args:
        most: how many members a sample may have.
    """

    asks_rows: ClassVar[bool] = True
    most: int = 2**18
    name: str = "one-change"

    def __post_init__(self) -> None:
        settle(self, at_least(0), "most")

    def decide(self, problem: Problem) -> list[Verdict]:
        """Return each sample's verdict; the samples that are left share the time that is left."""
        return one_by_one(replace(problem, made=problem.circuit), self.name, self._one)

    def _one(self, problem: Problem) -> Verdict:
        """Decide a problem of one sample."""
        started, threat, told = time.perf_counter(), problem.perturbation, "none of its events changes by itself"
        for alone in threat.alone():
            part = replace(problem, perturbation=alone)
            members = members_of(part, part.inputs[0])
            if members is None or not walked(part, members):
                told = "its first layer is not stepped event by event"
                continue
            if members.count > self.most:
                told = f"its {members.count} single changes are more than {self.most}"
                continue
            found = replace(Enumeration().decide(part)[0], verifier=self.name)
            if found.status == "falsified" or alone == threat:
                return found
            told = "no single change was found to break it, and more events may change"
        return Verdict("unknown", None, None, self.name, time.perf_counter() - started, told)


def long_loops(problem: Problem) -> bool:
    """Return whether a bound of the whole set walks a graph for each pair of steps: T³ in all."""
    made = problem.circuit
    return made.num_steps >= LONG and any(isinstance(node, Recurred) for node in made.nodes)


def walked_events(problem: Problem) -> bool:
    """Return whether a problem of one sample has members that are walked."""
    members = members_of(problem, problem.inputs[0])
    return members is not None and walked(problem, members)


@dataclass(frozen=True)
class Listed(Verifier):
    """Asks `Enumeration` of small sets of samples that pay it, before others are asked.

    Args:
        pays: of a problem of one sample.
        enumeration: what runs the members.
    """

    asks_rows: ClassVar[bool] = True
    pays: Callable[[Problem], bool] = walked_events
    enumeration: Enumeration = field(default_factory=Enumeration)
    name: str = "listed"

    def decide(self, problem: Problem) -> list[Verdict]:
        """Return each sample's verdict."""
        unasked = Verdict("unknown", None, None, self.name, 0.0, "its set is not listed early")
        verdicts = [unasked] * len(problem.labels)
        ones = [problem.subset(torch.tensor([k], device=problem.labels.device)) for k in range(len(verdicts))]
        taken = [k for k, one in enumerate(ones) if self.pays(one) and bool(self.enumeration.takes(one))]
        part = problem.subset(torch.tensor(taken, device=problem.labels.device, dtype=torch.long))
        found, interrupted = decided(self.enumeration, part) if taken else ((), False)
        for index, verdict in zip(taken, found, strict=True):
            verdicts[index] = verdict
        if interrupted:
            raise Unfinished(verdicts)
        return verdicts
