"""The least value of a row over a set: a proven bound from below, and an input that attains a value near it.

By boxes, where few inputs move: one search, whose boxes are closed once their bound is within the tolerance of
the least value that a run had. By bisection elsewhere: "is v ≥ f everywhere" is a property, and a verifier that
decides it raises the bound to f or gives an input with a lesser value. A last question, f = best − tolerance,
closes it.

What is proven holds whatever was attained: bounds come from verdicts and from closed boxes alone.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...models.deadline import TimeIsUp, ending
from ..attacks import ATTACKS
from ..attacks.backward import AdaptiveArctan
from ..attacks.base import Attack
from ..attacks.pgd import PGD
from ..perturbations import RangedSet
from ..problem import Problem
from ..questions.rows import RowGoal
from ..splitting.boxes import BoxSearch, BoxTarget, few_dimensions
from ..verdicts import SoundnessError, Verdict
from ..verifiers import INTERVAL, TRAINS, AttackSearch, BoundVerifier, Verifier
from ..verifiers.base import decided

NEAR = 4.0
"""Within so many tolerances the last question is asked at once."""
MOST_ROUNDS = 60
"""Questions about a sample, at most."""
SLACK = 1.0 + 1e-6
"""A range counts as closed at this many tolerances: its ends are rounded to float64."""


@dataclass
class LeastValue:
    """The least value of the one row of each sample.

    Attributes:
        lower: proven, (batch,), float64.
        attained: by a run alone, (batch,).
        points: where, (batch, ...).
        verifier: what proved `lower`.
    """

    lower: Tensor
    attained: Tensor
    points: Tensor
    verifier: str

    def closed(self, tolerance: float) -> Tensor:
        """Return which samples' bound and value are within the tolerance, (batch,) of bool."""
        return self.attained - self.lower <= tolerance * SLACK


@torch.no_grad()
def least_value(problem: Problem, verifier: Verifier, tolerance: float) -> LeastValue:
    """Return the least value of the only row of `problem.rows` for each sample, as well as time allows.

    Raises:
        OverflowError: where the run may overflow its dtype.
        SoundnessError: where a run lies below what is proven: a bug.
    """
    goal = problem.goal
    assert isinstance(goal, RowGoal)
    try:
        with ending(problem.deadline, grace=0.0):
            lower, name = _bounded(problem, goal, TRAINS), TRAINS.name
    except TimeIsUp:
        lower, name = _bounded(problem, goal, INTERVAL), INTERVAL.name
    found = LeastValue(lower, _alone(problem, problem.inputs), problem.inputs.clone(), name)
    if problem.circuit.whole or getattr(verifier, "split", "") == "inputs" or few_dimensions(problem):
        _by_boxes(problem, found, tolerance)
    elif not problem.expired():
        _by_attack(problem, found)
        _by_questions(problem, verifier, found, tolerance)
    if bool((found.attained < found.lower).any()):
        raise SoundnessError(f"a run lies below what {found.verifier} proved of its range")
    return found


def _bounded(problem: Problem, goal: RowGoal, by: BoundVerifier) -> Tensor:
    """Return what one bound proves, (batch,)."""
    box, stage = problem.perturbation.enclosure(problem.inputs), by.stages_for(problem.circuit)[-1]
    return goal.bounds(problem.circuit, box, problem.labels, stage)[:, 0]


def _alone(problem: Problem, points: Tensor) -> Tensor:
    """Return the value of each sample's point, run alone, (batch,)."""
    values = [
        problem.goal.gaps(problem.network(point[None]), problem.labels[k : k + 1], point[None])[0, 0]
        for k, point in enumerate(points)
    ]
    return torch.stack(values).double()


def _note(problem: Problem, found: LeastValue, points: Tensor) -> None:
    """Keep the points that are allowed and of lesser values."""
    values = _alone(problem, points)
    better = (values < found.attained) & problem.perturbation.contains(points, problem.inputs)
    found.attained[better], found.points[better] = values[better], points[better]


def _by_boxes(problem: Problem, found: LeastValue, tolerance: float) -> None:
    target = _LeastTarget(found, tolerance)
    search = BoxSearch(problem, target)
    search.run()
    found.lower = found.lower.maximum(search.closed)
    found.verifier = "inputs"
    _note(problem, found, target.points)
    found.lower = found.lower.minimum(found.attained)  # a bound may pass the least value that it was held against


class _LeastTarget(BoxTarget):
    """Boxes are closed within the tolerance of the least value known."""

    def __init__(self, found: LeastValue, tolerance: float) -> None:
        self.best, self.points, self.tolerance = found.attained.clone(), found.points.clone(), tolerance
        self.settled = torch.zeros(len(self.best), dtype=torch.bool)

    def closes(self, rows: Tensor, sample: Tensor) -> Tensor:
        """Return which boxes hold no value that is lower by more than the tolerance."""
        return rows[:, 0] >= self.gap(sample)

    def tried(self, values: Tensor, inputs: Tensor, sample: Tensor) -> None:
        """Keep the least value of each sample."""
        values = values.nan_to_num(torch.inf)
        order = values.argsort(descending=True, stable=True)
        lesser = order[values[order] < self.best[sample[order]]]
        for index in lesser.tolist():
            which = int(sample[index])
            if float(values[index]) < float(self.best[which]):
                self.best[which], self.points[which] = values[index], inputs[index]

    def gap(self, sample: Tensor) -> Tensor:
        """Return the least value known, less the tolerance."""
        return self.best[sample] - self.tolerance


def _by_attack(problem: Problem, found: LeastValue) -> None:
    """Descend from the samples: the values that questions begin with."""
    goal = problem.goal
    assert isinstance(goal, RowGoal)
    attack: Attack = ATTACKS["ensemble-fast"]()
    if isinstance(problem.perturbation, RangedSet):
        attack = PGD(steps=20, restarts=2, loss="margin", surrogate=AdaptiveArctan(4.0))
    base = found.lower.nan_to_num(neginf=0.0)
    result = AttackSearch(attack).attacked(replace(problem, rows=goal.moved(problem.labels, -base)))
    _note(problem, found, result.inputs)


def _by_questions(problem: Problem, verifier: Verifier, found: LeastValue, tolerance: float) -> None:
    """Ask whether each value is at least some number, until the bound meets the value."""
    goal, asking = problem.goal, ~found.closed(tolerance)
    assert isinstance(goal, RowGoal)
    for _ in range(MOST_ROUNDS):
        open_ = (asking & ~found.closed(tolerance)).nonzero().flatten()
        if len(open_) == 0 or problem.expired():
            return
        last = found.attained - tolerance
        far = (found.attained - found.lower > NEAR * tolerance) & found.lower.isfinite()
        floor = torch.where(far, (found.attained + found.lower) / 2, last)
        part = replace(problem, rows=goal.moved(problem.labels, -floor)).subset(open_)
        verdicts, interrupted = decided(verifier, part)
        if interrupted:
            raise KeyboardInterrupt
        for index, verdict in zip(open_.tolist(), verdicts, strict=True):
            asking[index] = _learned(problem, found, verdict, index, float(floor[index]))


def _learned(problem: Problem, found: LeastValue, verdict: Verdict, index: int, floor: float) -> bool:
    """Take note of one answer; return whether it was one."""
    if verdict.status == "falsified":
        one = problem.subset(torch.tensor([index]))
        assert verdict.counterexample is not None
        value, before = float(_alone(one, verdict.counterexample[None])[0]), float(found.attained[index])
        if value < before:
            found.attained[index], found.points[index] = value, verdict.counterexample
        return value < before
    if verdict.margin is not None:
        proven = floor + max(verdict.margin, 0.0) if verdict.status == "verified" else floor + verdict.margin
        lost = 1e-15 * (abs(floor) + abs(verdict.margin))
        proven = max(proven - lost, floor) if verdict.status == "verified" else proven - lost
        if proven > float(found.lower[index]):
            found.lower[index], found.verifier = proven, verdict.verifier
    return verdict.status == "verified"
