"""Verifiers that run every input of a small set (F11), or split boxes of inputs.

Run every input of a small set (F11): exact for every network, whatever its layers, resets and readout. Some sets
are listed before other verifiers are asked: bounds cost more there, or what breaks is soon found.

Decide questions by splitting boxes of inputs: for sets that move few inputs.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor

from ...models.circuit import Recurred, check_known
from ...models.constants import at_least, settle
from ...models.deadline import LATE, TimeIsUp, ending
from ..bounds.long_trains import LONG
from ..bounds.propagation import Propagation, input_signal
from ..bounds.signals.windows import Box
from ..bounds.trains.trains import step_spikes
from ..boxes import BoxSearch, moving, point_bounds
from ..listing import PACE, PATIENCE, listable, members_of, parts, walked
from ..perturbations import SpikeFlip
from ..perturbations.base import Members
from ..problem import Problem
from ..rounding import Rounding
from ..verdicts import Verdict
from .base import Verifier, falsified, one_by_one
from .trains import TRAINS
from .trains import exactly as exact_layers


@dataclass(frozen=True)
class Enumeration(Verifier):
    """Runs all inputs of sets with few members: flipped events, and rate codes with given draws.

    A set of rates has one member for each train of spikes that its draws make. A member is proven by the bound of
    "trains" on it alone, which pays the rounding of a run in any order of summation; where that is not enough, the
    sample is unknown.

    Args:
        patience: work that a sample may take, in `work_each`; a greater set is left alone.
    """

    asks_rows: ClassVar[bool] = True
    patience: int = PATIENCE
    name: str = "enumeration"

    def __post_init__(self) -> None:
        settle(self, at_least(0), "patience")

    def decide(self, problem: Problem) -> list[Verdict]:
        """Return each sample's verdict; the samples that are left share the time that is left."""
        _check_known(problem)
        return one_by_one(problem, self.name, self._one)

    def takes(self, problem: Problem) -> Tensor:
        """Return which samples have a set that is small enough, for what time is left too, (batch,) of bool."""
        end = problem.deadline
        most = int(self.patience if end is None else min(self.patience, (end - time.perf_counter()) * PACE))
        return torch.tensor([listable(one, most)[0] is not None for one in problem.each()])

    @torch.no_grad()
    def _one(self, problem: Problem) -> Verdict:
        """Decide a problem of one sample."""
        started = time.perf_counter()
        members, obstacle = listable(problem, self.patience)
        if members is None:
            return Verdict("unknown", None, None, self.name, time.perf_counter() - started, obstacle)
        try:
            with ending(problem.deadline):
                return self._listed(problem, members, started)
        except OverflowError as error:
            return Verdict("unknown", None, None, self.name, time.perf_counter() - started, str(error))

    def _listed(self, problem: Problem, members: Members, started: float) -> Verdict:
        """Walk the members, and run those that are left, until one fails."""
        done, undecided, least = 0, 0, math.inf
        try:
            for proven, lowest, points in parts(problem, members):
                done, least = done + proven, min(least, lowest)
                if problem.expired():
                    raise TimeIsUp
                if points is None:
                    continue
                for candidate in failing(problem, points):
                    verdict = falsified(
                        problem, 0, candidate, self.name, started, "one of the set's members fails"
                    )
                    if verdict.status == "falsified":
                        return verdict
                lower, enough = bounded(problem, points, members.count)
                undecided += int((~enough).sum())
                least, done = min(least, float(lower.nan_to_num(-math.inf).min())), done + len(points)
        except TimeIsUp:
            return self._unknown(f"{LATE} after {done} of {members.count} members", started)
        if undecided:
            reason = f"{undecided} of {done} members are decided only within the rounding error"
            return self._unknown(reason, started, least)
        if done != members.count:
            return self._unknown(f"{done} of the set's {members.count} members were listed", started, least)
        reason = f"each of the set's {done} members is proven"
        return Verdict("verified", least, None, self.name, time.perf_counter() - started, reason, problem.ties)

    def _unknown(self, reason: str, started: float, margin: float | None = None) -> Verdict:
        return Verdict("unknown", margin, None, self.name, time.perf_counter() - started, reason)


def _check_known(problem: Problem) -> None:
    """Raise UnknownNode for what the bounds that pay a member's rounding do not know, whatever the set is."""
    point = problem.inputs[:1].double()
    made = problem.circuit
    bounds = Propagation(input_signal(made, Box(point, point)), step_spikes, Rounding.of(made))
    for node in made.nodes:
        check_known(node, bounds)


def failing(problem: Problem, points: Tensor) -> Tensor:
    """Return the members that are misclassified in a batch, as allowed inputs: to be replayed alone."""
    inputs = points.to(problem.inputs.dtype)
    labels = problem.labels.expand(len(points))
    failed = inputs[problem.goal.values(problem.network(inputs), labels, inputs) <= 0]
    return problem.perturbation.project(failed, problem.inputs.expand(len(failed), *inputs.shape[1:]))


def bounded(problem: Problem, points: Tensor, members: int = 0) -> tuple[Tensor, Tensor]:
    """Return a lower bound of each member's margin, and whether that is enough, (n,) each.

    Args:
        problem: of one sample.
        points: some of its members.
        members: how many there are in all.
    """
    labels, goal = problem.labels.expand(len(points)), problem.goal
    exactly = replace(problem, inputs=points, labels=labels, perturbation=SpikeFlip(0), deadline=None)
    lower = point_bounds(exactly, members)
    left = (~goal.holds(goal.proven(lower, labels))).nonzero().flatten()
    if len(left):
        lower[left] = lower[left].maximum(_by_trains(exactly.subset(left)))
    return goal.least(lower), goal.holds(goal.proven(lower, labels))


def _by_trains(problem: Problem) -> Tensor:
    """Return lower bounds of the margins by trains, and where layers do not round by what that tells."""
    lower, goal = TRAINS.lower(problem), problem.goal
    if not bool(goal.proven(lower, problem.labels).all()) and (marked := exact_layers(problem)) is not None:
        lower = lower.maximum(TRAINS.lower(marked))
    return lower


@dataclass(frozen=True)
class OneChange(Verifier):
    """Walks all members of which one event has changed (listing.py): what breaks is found first.

    A member that fails falsifies the sample. Where no more than one event may change, these are the set: the
    sample is verified once each is proven.

    Args:
        patience: work that they may take, as in `Enumeration`: 2 to 4 s of one core.
    """

    asks_rows: ClassVar[bool] = True
    patience: int = 2**33
    name: str = "one-change"

    def __post_init__(self) -> None:
        settle(self, at_least(0), "patience")

    def decide(self, problem: Problem) -> list[Verdict]:
        """Return each sample's verdict; the samples that are left share the time that is left."""
        return one_by_one(replace(problem, made=problem.circuit), self.name, self._one)

    def _one(self, problem: Problem) -> Verdict:
        """Decide a problem of one sample."""
        for alone in problem.perturbation.alone():
            part = replace(problem, perturbation=alone)
            if not walked_events(part):
                continue
            found = replace(Enumeration(self.patience).decide(part)[0], verifier=self.name)
            if found.status == "falsified" or alone == problem.perturbation:
                return found
        return Verdict("unknown", None, None, self.name, 0.0, "no single change that is walked breaks it")


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
        return one_by_one(replace(problem, made=problem.circuit), self.name, self._one)

    def _one(self, problem: Problem) -> Verdict:
        """Decide a problem of one sample."""
        if self.pays(problem) and bool(self.enumeration.takes(problem)):
            return self.enumeration.decide(problem)[0]
        return Verdict("unknown", None, None, self.name, 0.0, "its set is not listed early")


@dataclass(frozen=True)
class InputSplitting(Verifier):
    """Bisects the box of inputs until each part is proven, or its middle fails.

    Sound as the bounds of a box are: see boxes.py. A box whose question is a tie within rounding stays
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
        search = _Decision(problem, most=self.most)
        try:
            search.run()
        except (OverflowError, TimeIsUp) as error:
            return [Verdict("unknown", None, None, self.name, 0.0, str(error))] * count
        seconds = (time.perf_counter() - begun) / count
        return [self._verdict(search, index, seconds) for index in range(count)]

    def _verdict(self, search: "_Decision", index: int, seconds: float) -> Verdict:
        problem, found, margin = search.problem, search.found.get(index), float(search.closed[index])
        if found is not None:
            return Verdict("falsified", None, found, self.name, seconds, "the middle of a box fails")
        if bool(search.unproven[index]):
            late = LATE if problem.expired() else f"{search.parts} boxes leave parts of the set open"
            return Verdict("unknown", margin, None, self.name, seconds, late)
        reason = "each box of the inputs is proven"
        return Verdict("verified", margin, None, self.name, seconds, reason, problem.ties)


@dataclass
class _Decision(BoxSearch):
    """Every box is to be proven, or one input is to fail, run alone: those that do are `found`, by sample."""

    found: dict[int, Tensor] = field(default_factory=dict[int, Tensor])

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
