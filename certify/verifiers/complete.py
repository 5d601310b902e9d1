"""Decide every sample, given time: small sets are listed, others split by spike trains (F7) or by their programs.

Which network is searched how:

    a set of few members                                 each is run (`Enumeration`)
    flips, and moves, that few of may happen, or of      split by what changes (`EventSplitting`)
    events that do not meet
    a rate code                                          split by its open bits, window by window (`BitSplitting`),
                                                         then as the others
    its margins are functions of the first layer's       branch and bound over these trains (`Branching`)
    trains, and prices reach it: see question.py
    any other: a loop first, rests, neurons that         trees of linear programs (`Milp`): branch and bound over
    differ, the readouts "largest" and "first", inputs   every layer's spikes, bounded by weak duality
    and pools that reach past the first spikes

The exact encoding, decided by trees of linear programs: one program per sample and other class.

HiGHS searches for solutions and proposes multipliers, and is believed in neither. "verified" needs each leaf of a
tree over the *closed* program (milp/program.py) to be bounded by weak duality, in our own arithmetic, by more than
the run's rounding and `tolerance`, and no run that is known may lie below it. "falsified" needs a point that
replays. It may answer "unknown" where a potential can't be told from θ.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from ...models.constants import at_least, real, settle, unless_none
from ...models.deadline import LATE, TimeIsUp, ending, time_left
from ...models.rules import plain
from ...models.running.encoding import LINEAR
from ...models.validation import check_choice
from ..attacks.base import Attack
from ..attacks.pgd import APGD
from ..bits.splitting import BitSplitting, splits_bits
from ..boxes import few_dimensions
from ..branching.question import MarginQuestion
from ..branching.search import Answer, Search
from ..perturbations import SpikeShift
from ..problem import Problem
from ..questions.rows import RowGoal
from ..verdicts import INTERRUPTED, Unfinished, Verdict
from .base import BoundsCut, Verifier, falsified
from .enumeration import Enumeration, InputSplitting, OneChange
from .events import EventSplitting, kept_apart
from .search import Ladder
from .trains import TRAINS, BoundVerifier

if TYPE_CHECKING:
    from ..milp.encoding import Layers


@dataclass(frozen=True)
class Milp(Verifier):
    """Decides each margin that bounds leave open by a mixed-integer program.

    Of an ℓ2 ball the program holds the box and each first current's ends: a greater set, so that "verified"
    holds and a solution may fail to replay. Flipped and shifted events are exact.

    Args:
        tolerance: a margin's bound must pass this, times the objective's size where that is above 1.
        attack: what searches around a solution that did not replay, for real-valued sets.
        patience: where there is no deadline, a program's entries times the nodes that HiGHS may solve; None: any.
        bounds: what is asked first, and decides what it can.
        layers: how spiking layers are written; None: F1's rows as ordered binaries, else proven ends step by step.
        name: what verdicts call it.

    Raises:
        ValueError: for a tolerance that is not positive.
    """

    asks_rows: ClassVar[bool] = True
    tolerance: float = 1e-5
    attack: Attack = field(default_factory=APGD)
    patience: int | None = None
    bounds: BoundVerifier = TRAINS
    layers: "Layers | None" = None
    name: str = "milp"

    def __post_init__(self) -> None:
        settle(self, partial(real, finite=False), "tolerance")
        settle(self, unless_none(at_least(0)), "patience")
        if not self.tolerance > 0:
            raise ValueError(f"tolerance: got {self.tolerance!r}, expected a positive number")

    def decide(self, problem: Problem) -> list[Verdict]:
        """Return each sample's verdict; the samples that are left share the time that is left.

        Raises:
            Unfinished: on Ctrl-C during the searches, with these.
        """
        bounds, goal = self.bounds, problem.goal
        try:
            lower = bounds.lower(problem)
        except OverflowError as error:
            return [Verdict("unknown", None, None, self.name, 0.0, str(error)) for _ in problem.labels]
        except BoundsCut as stopped:
            raise stopped.told(problem, self.name) from None
        proven = goal.holds(goal.proven(lower, problem.labels)).tolist()
        margins = goal.least(lower).tolist()
        verdicts = [self._bounded(*known, problem.ties) for known in zip(margins, proven, strict=True)]
        left = [index for index, enough in enumerate(proven) if not enough]
        for turn, index in enumerate(left):
            part = problem.subset(torch.tensor([index], device=lower.device))
            try:
                verdicts[index] = self._searched(part, lower[index], len(left) - turn)
            except KeyboardInterrupt:
                raise Unfinished(verdicts) from None
        return verdicts

    def _bounded(self, margin: float, proven: bool, ties: str) -> Verdict:
        """Return what a bound says of a sample, before its search."""
        if proven:
            reason = f"bounds of {self.bounds.name!r} prove every class"
            return Verdict("verified", margin, None, self.name, 0.0, reason, ties)
        return Verdict("unknown", margin, None, self.name, 0.0, INTERRUPTED)

    def _searched(self, problem: Problem, lower: Tensor, left: int) -> Verdict:
        """Search one sample's programs, the class of the least bound first."""
        from ..milp.encoding import TIGHT, EncodingError  # imported here: scipy takes half a second
        from ..milp.search import ProgramSearch, ProgramSettings

        started, goal = time.perf_counter(), problem.goal
        problem = replace(problem, deadline=time_left(problem.deadline, left))
        margins, asked = lower.clone(), goal.left(goal.proven(lower[None], problem.labels))[0]
        settings = ProgramSettings(self.layers or TIGHT, self.tolerance, self.attack, self.patience)
        try:
            with ending(problem.deadline):
                search = ProgramSearch(problem, settings)
                for other in lower.argsort().tolist():
                    if bool(asked[other]) and search.counterexample is None:
                        group = goal.together(other)
                        margins[other] = max(float(lower[other]), search.margin(group))
                        asked[group] = False
        except TimeIsUp:
            return self._unfalsified(problem, margins[None], time.perf_counter() - started)
        except (EncodingError, OverflowError) as error:
            margin, seconds = float(goal.least(lower[None])), time.perf_counter() - started
            return Verdict("unknown", margin, None, self.name, seconds, str(error))
        if search.counterexample is not None:
            reason = "a solution of the program, or an attack from it, replays"
            return falsified(problem, 0, search.counterexample, self.name, started, reason)
        return self._unfalsified(problem, margins[None], time.perf_counter() - started)

    def _unfalsified(self, problem: Problem, margins: Tensor, seconds: float) -> Verdict:
        tightened = problem.goal.tightened(margins)
        margin = float(problem.goal.least(tightened))
        if bool(problem.goal.holds(problem.goal.proven(tightened, problem.labels)).all()):
            reason = "trees of linear programs prove every class"
            return Verdict("verified", margin, None, self.name, seconds, reason, problem.ties)
        reason = LATE if problem.expired() else "no bound passes the tolerance, and no solution replays"
        return Verdict("unknown", margin, None, self.name, seconds, reason)


FEW_BOXES = 2**16
"""How many boxes of inputs are bounded before trains are split."""


@dataclass(frozen=True)
class Branching(Verifier):
    """Splits first-layer trains, and the inputs of rate codes, until each part is proven or has a counterexample.

    Sound: a sample is verified when the parts that cover its set are all proven, each by the bound of "linear".
    Complete up to rounding: once the first layer's trains are decided the whole network is, and a leaf is a linear
    program. A leaf that floating point cannot decide (a tie within the rounding error) leaves its sample unknown.

    Args:
        search: batch size, climbs, memory.
        beyond: what decides networks that branching does not reach; None: they keep the bound of "trains".
    """

    asks_rows: ClassVar[bool] = True
    search: Search = field(default_factory=Search)
    name: str = "complete"
    beyond: Verifier | None = None

    @torch.no_grad()
    def decide(self, problem: Problem) -> list[Verdict]:
        """Return a decision for each sample that was decided in time; the proven margin for the others.

        Raises:
            Unfinished: on Ctrl-C during the search, with these.
        """
        started = time.perf_counter()
        search = self.search if problem.memory is None else replace(self.search, memory=problem.memory)
        try:
            found = _searched(problem, search)
        except OverflowError as error:
            return [Verdict("unknown", None, None, self.name, 0.0, str(error)) for _ in problem.labels]
        except BoundsCut as stopped:
            raise stopped.told(problem, self.name) from None
        if found.out_of_reach and self.beyond is not None:
            return self.beyond.decide(problem)
        seconds = (time.perf_counter() - started) / len(problem.labels)
        proven = problem.goal.holds(problem.goal.proven(found.lower, problem.labels)).tolist()
        margins = problem.goal.least(found.lower).tolist()
        verdicts = [
            self._verdict(index, found, margins[index], enough, seconds, problem.ties)
            for index, enough in enumerate(proven)
        ]
        if found.answer is not None and found.answer.interrupted:
            raise Unfinished(verdicts)
        return verdicts

    def _verdict(
        self, index: int, found: "_Searched", margin: float, proven: bool, seconds: float, ties: str
    ) -> Verdict:
        counterexample = None if found.answer is None else found.answer.counterexamples.get(index)
        if counterexample is not None:
            reason = "the search found a counterexample"
            return Verdict("falsified", None, counterexample, self.name, seconds, reason)
        if proven:
            return Verdict("verified", margin, None, self.name, seconds, "each part of the set is proven", ties)
        return Verdict("unknown", margin, None, self.name, seconds, found.obstacle(index))


@dataclass(frozen=True)
class _Searched:
    """What a search found.

    Attributes:
        lower: the proven margins, (batch, classes).
        question: what was asked of the search.
        search: how it was to be answered.
        answer: None where the search was not begun.
        timed: whether there was a time limit.
    """

    lower: Tensor
    question: MarginQuestion
    search: Search
    answer: Answer | None
    timed: bool

    @property
    def out_of_reach(self) -> bool:
        """Return whether margins are open that branching can't decide, however much time and memory there is."""
        return (
            self.answer is None and len(self.question.specifications.samples) > 0 and self.question.roots() is None
        )

    def obstacle(self, index: int) -> str:
        """Return why a sample is left open."""
        if self.out_of_reach:
            return "branching does not reach this network"
        if self.answer is None:
            return f"a node of this network takes {_gib(self.question.bytes_each)}, above {_gib(self.search.room)}"
        rows = self.question.specifications.samples == index
        if bool(self.answer.stuck[rows].any()):
            return "a part of the set is decided only within the rounding error"
        why = f": {LATE}" if self.timed else ""
        if self.answer.interrupted or self.answer.full:
            why = f": {INTERRUPTED}" if self.answer.interrupted else ": its memory was full"
        return f"the search stopped after {int(self.answer.nodes[rows].sum())} nodes{why}"


def _searched(problem: Problem, search: Search) -> _Searched:
    """Search for what the bound of "trains" leaves open."""
    lower, goal = TRAINS.lower(problem), problem.goal
    left = goal.left(goal.proven(lower, problem.labels))
    asked = problem.network, problem.inputs, problem.labels, problem.perturbation
    if isinstance(goal, RowGoal):
        question = MarginQuestion.of_rows(*asked, goal, left)
    else:
        question = MarginQuestion.of_margins(*asked, left, problem.ties)
    timed = problem.deadline is not None
    if len(question.specifications.samples) == 0:
        return _Searched(lower, question, search, None, timed)
    answer = search.run(
        question,
        lambda x, index: _replays(problem, x, index),
        problem.deadline,
        problem.stopped,
        crew=problem.crew,
        told=problem.told,
    )
    if answer is not None:
        found = torch.full_like(lower, -torch.inf)
        found[left] = question.joint(answer.bound)
        found = goal.tightened(found + goal.floor(problem.labels, lower.shape[1]))
        lower = lower.maximum(found)
    return _Searched(lower, question, search, answer, timed)


@dataclass(frozen=True)
class Complete(Verifier):
    """Runs every input of a set with few of them, and splits the others.

    See `Enumeration`, `EventSplitting` for sets of events, `Branching`, and `Milp`.

    Args:
        search: batch size, climbs, memory.
        enumeration: which sets have few members; None: none, and no set of events is split.
        split: "inputs" splits the box of inputs, "trains" never does; "auto" does it for properties of sets that
            move few inputs (`MOST_DIMENSIONS`), before anything else.
        programs: what decides networks that branching does not reach; None: nothing does.
    """

    asks_rows: ClassVar[bool] = True
    search: Search = field(default_factory=Search)
    enumeration: Enumeration | None = field(default_factory=Enumeration)
    name: str = "complete"
    programs: Milp | None = field(default_factory=Milp)
    split: str = "auto"

    def __post_init__(self) -> None:
        check_choice("split", self.split, ("auto", "inputs", "trains"))

    def decide(self, problem: Problem) -> list[Verdict]:
        """Return a decision for each sample that was decided in time; the proven margin for the others."""
        branching = Branching(self.search, self.name, self.programs)
        try:
            return self._named(self._split(self._rungs(branching, problem), problem).decide(problem))
        except Unfinished as stopped:
            raise Unfinished(self._named(stopped.verdicts)) from None

    def _named(self, verdicts: Sequence[Verdict]) -> list[Verdict]:
        return [replace(verdict, verifier=self.name) for verdict in verdicts]

    def _split(self, others: Verifier, problem: Problem) -> Verifier:
        """Return what splits the inputs first, where that is asked for or pays."""
        if self.split == "inputs":
            return InputSplitting()
        paying = self.split == "auto" and problem.rows is not None and few_dimensions(problem)
        return Ladder((InputSplitting(FEW_BOXES), others), self.name) if paying else others

    def _rungs(self, branching: Branching, problem: Problem) -> Verifier:
        """Return what is asked of a problem, in turn."""
        if self.enumeration is None:
            return branching
        events = EventSplitting(enumeration=self.enumeration)
        searches = (BitSplitting(), branching) if splits_bits(problem.circuit) else (branching,)
        if not bool(self.enumeration.takes(problem).any()) and not events.takes(problem):
            return Ladder(searches, self.name) if len(searches) > 1 else branching
        known = all(plain(node.rule) for node in problem.circuit.spiking) and not problem.circuit.recurs
        reached = known and problem.circuit.read.readout in LINEAR  # by branching
        moves = isinstance(problem.perturbation, SpikeShift) and kept_apart(problem)
        last = () if moves and not reached else searches
        return Ladder((OneChange(), TRAINS, events, *last), self.name)


def _gib(size: int) -> str:
    return f"{size / 2**30:.3g} GiB"


def _replays(problem: Problem, candidate: Tensor, index: int) -> bool:
    """Return whether a candidate is allowed and misclassified when run alone."""
    allowed = bool(problem.perturbation.contains(candidate[None], problem.inputs[index : index + 1]))
    return allowed and problem.goal.replays(problem.network, candidate, int(problem.labels[index]))
