"""Decide every sample, given time: list small sets, branch and bound over spike trains (F7) in others."""

import time
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ...models.readouts import LINEAR
from ...models.refractory import Refractory
from ...models.varied import Varied
from ..branching.question import MarginQuestion
from ..branching.search import MOST_BYTES, Answer, Search
from ..problem import Problem
from ..replay import replays
from ..verdicts import Verdict
from .base import Verifier
from .enumeration import Enumeration
from .ladder import Ladder
from .trains import TRAINS


@dataclass(frozen=True)
class Branching(Verifier):
    """Splits first-layer trains, and the inputs of rate codes, until each part is proven or has a counterexample.

    Sound: a sample is verified when the parts that cover its set are all proven, each by the bound of "linear".
    Complete up to rounding: once the first layer's trains are decided the whole network is, and a leaf is a linear
    program. A leaf that floating point cannot decide (a tie within the rounding error) leaves its sample unknown.

    Args:
        search: batch size, climbs, memory.
    """

    search: Search = field(default_factory=Search)
    name: str = "complete"

    @torch.no_grad()
    def decide(self, problem: Problem) -> list[Verdict]:
        """Return a decision for each sample that was decided in time; the proven margin for the others."""
        started = time.perf_counter()
        try:
            lower, question, answer = self._search(problem)
        except OverflowError as error:
            return [Verdict("unknown", None, None, self.name, 0.0, str(error)) for _ in problem.labels]
        seconds = (time.perf_counter() - started) / len(problem.labels)
        proven = problem.goal.proven(lower, problem.labels).all(1).tolist()
        return [
            self._verdict(index, margin, proven[index], question, answer, seconds, problem.ties)
            for index, margin in enumerate(lower.amin(1).tolist())
        ]

    def _search(self, problem: Problem) -> tuple[Tensor, MarginQuestion, Answer | None]:
        """Return the proven margins, (batch, classes), what was asked of the search and what it found."""
        lower, goal = TRAINS.lower(problem), problem.goal
        left = ~goal.proven(lower, problem.labels)
        asked = problem.network, problem.inputs, problem.labels, problem.perturbation, left
        question = MarginQuestion.of_margins(*asked, problem.ties)
        if len(question.specifications.samples) == 0:
            return lower, question, None
        answer = self.search.run(
            question, lambda x, index: _replays(problem, x, index), problem.deadline, problem.stopped
        )
        if answer is not None:
            found = torch.full_like(lower, -torch.inf)
            found[left] = answer.bound
            found = goal.tightened(found + goal.floor(problem.labels, lower.shape[1]))
            lower = lower.maximum(found)
        return lower, question, answer

    def _verdict(
        self,
        index: int,
        margin: float,
        proven: bool,
        question: MarginQuestion,
        answer: Answer | None,
        seconds: float,
        ties: str,
    ) -> Verdict:
        counterexample = None if answer is None else answer.counterexamples.get(index)
        if counterexample is not None:
            reason = "the search found a counterexample"
            return Verdict("falsified", None, counterexample, self.name, seconds, reason)
        if proven:
            return Verdict("verified", margin, None, self.name, seconds, "each part of the set is proven", ties)
        if answer is None:
            return Verdict("unknown", margin, None, self.name, seconds, _obstacle(question))
        rows = question.specifications.samples == index
        if bool(answer.stuck[rows].any()):
            reason = "a part of the set is decided only within the rounding error"
        else:
            reason = f"the search stopped after {int(answer.nodes[rows].sum())} nodes"
        return Verdict("unknown", margin, None, self.name, seconds, reason)


@dataclass(frozen=True)
class Complete(Verifier):
    """Runs every input of a set with few of them, and splits the others: see `Enumeration` and `Branching`.

    Args:
        search: batch size, climbs, memory.
        enumeration: which sets have few members; None: none.
    """

    search: Search = field(default_factory=Search)
    enumeration: Enumeration | None = field(default_factory=Enumeration)
    name: str = "complete"

    def decide(self, problem: Problem) -> list[Verdict]:
        """Return a decision for each sample that was decided in time; the proven margin for the others."""
        branching = Branching(self.search, self.name)
        if self.enumeration is None or not bool(self.enumeration.takes(problem).any()):
            return branching.decide(problem)
        found = Ladder((TRAINS, self.enumeration, branching), self.name).decide(problem)
        return [replace(verdict, verifier=self.name) for verdict in found]


def _obstacle(question: MarginQuestion) -> str:
    """Return why the search was not begun."""
    if question.circuit.recurs:
        return "branching does not reach layers that hear their own spikes"
    if any(isinstance(node.rule, Varied) for node in question.circuit.spiking):
        return "branching does not reach layers whose neurons differ"
    if any(isinstance(node.rule, Refractory) for node in question.circuit.spiking):
        return "branching does not reach neurons that rest behind a spike or start elsewhere"
    readout = question.circuit.read.readout
    if readout not in LINEAR:
        return f"branching does not reach readout {readout!r}, which is no sum over time"
    if question.roots() is None:
        return "branching does not reach this network"
    return (
        f"a node of this network takes {question.bytes_each / 2**30:.1f} GiB, above {MOST_BYTES / 2**30:.1f} GiB"
    )


def _replays(problem: Problem, candidate: Tensor, index: int) -> bool:
    """Return whether a candidate is allowed and misclassified when run alone."""
    allowed = bool(problem.perturbation.contains(candidate[None], problem.inputs[index : index + 1]))
    return allowed and replays(problem.network, candidate, int(problem.labels[index]), problem.ties)
