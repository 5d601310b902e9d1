"""The exact encoding, decided by trees of linear programs: one program per sample and other class.

HiGHS searches for solutions and proposes multipliers, and is believed in neither. "verified" needs each leaf of a
tree over the *closed* program (milp/closing.py) to be bounded by weak duality, in our own arithmetic, by more than
the run's rounding and `tolerance`, and no run that is known may lie below it. "falsified" needs a point that
replays. It may answer "unknown" where a potential can't be told from θ.
"""

import time
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from ...models.constants import at_least, real, settle, unless_none
from ...models.deadline import LATE, TimeIsUp, ending, time_left
from ..attacks.apgd import APGD
from ..attacks.base import Attack
from ..problem import Problem
from ..verdicts import INTERRUPTED, Unfinished, Verdict
from .base import BoundsCut, Verifier, falsified
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
