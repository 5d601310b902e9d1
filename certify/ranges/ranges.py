"""`output_range`: proven and attained ends of what outputs can be over a set.

The least value of a row over a set: a proven bound from below, and an input that attains a value near it.

By boxes, where few inputs move: one search, whose boxes are closed once their bound is within the tolerance of
the least value that a run had. By bisection elsewhere: "is v ≥ f everywhere" is a property, and a verifier that
decides it raises the bound to f or gives an input with a lesser value. A last question, f = best − tolerance,
closes it.

What is proven holds whatever was attained: bounds come from verdicts and from closed boxes alone.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from ...models.constants import positive, whole
from ...models.deadline import Progress, TimeIsUp, checked_timeout, ending, share, silent, until
from ...models.networks import SpikingNetwork
from ..alike import Alike, detach
from ..answering import check_asks_rows, crew_of, resolve
from ..attacks import ATTACKS
from ..attacks.backward import AdaptiveArctan
from ..attacks.base import Attack
from ..attacks.pgd import PGD
from ..boxes import BoxSearch, few_dimensions
from ..perturbations import LInf, Perturbation, RangedSet, takes_whole
from ..posed import OUTPUTS, Posed, posed
from ..problem import Problem
from ..questions.forms import Form, Property, as_form, output
from ..questions.rows import RowGoal
from ..replay import evaluating
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
    search = _LeastValues(problem, best=found.attained.clone(), points=found.points.clone(), tolerance=tolerance)
    search.run()
    found.lower = found.lower.maximum(search.closed)
    found.verifier = "inputs"
    _note(problem, found, search.points)
    found.lower = found.lower.minimum(found.attained)  # a bound may pass the least value that it was held against


@dataclass(kw_only=True)
class _LeastValues(BoxSearch):
    """Boxes are closed within the tolerance of the least values known: `best`, of the inputs `points`."""

    best: Tensor
    points: Tensor
    tolerance: float

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


@dataclass(frozen=True, eq=False)
class OutputRange(Alike):
    """What a linear form of a network's outputs can be over the set around one sample.

    Attributes:
        lower, upper: proven: no run of an allowed input lies outside.
        least, greatest: attained, by the inputs `at_least` and `at_greatest`, each run alone.
        closed: whether each proven end is within the tolerance of the attained one.
        seconds: this sample's share of the time spent.
        verifier: what proved the ends.

    Raises:
        ValueError: unless lower ≤ least ≤ greatest ≤ upper.
    """

    lower: float
    upper: float
    least: float
    greatest: float
    at_least: Tensor
    at_greatest: Tensor
    closed: bool
    seconds: float = field(compare=False)
    verifier: str

    def __post_init__(self) -> None:
        if not self.lower <= self.least <= self.greatest <= self.upper:
            got = f"{self.lower!r}, {self.least!r}, {self.greatest!r}, {self.upper!r}"
            raise ValueError(f"ends: got {got}, expected lower ≤ least ≤ greatest ≤ upper")
        detach(self, "at_least", "at_greatest")

    @property
    def width(self) -> float:
        """Return upper − lower."""
        return self.upper - self.lower


def proved_range(form: Form, found: OutputRange, tolerance: float) -> Property:
    """Return that a form stays in a range, its ends a 16th of the tolerance wider: what a proof file can say.

    What is proven in a search may be lost at its very ends when it is proven again.
    """
    slack = positive("tolerance", tolerance) / 16
    return (form >= found.lower - slack) & (form <= found.upper + slack)


def output_range(
    network: SpikingNetwork,
    inputs: Tensor,
    perturbation: Perturbation,
    form: Form | None = None,
    tolerance: float = 1e-3,
    timeout: float | None = None,
    *,
    verifier: str | Verifier = "complete",
    seed: int = 0,
    memory: int | None = None,
    workers: int | None = None,
    progress: Progress = silent,
) -> list[OutputRange]:
    """Return proven and attained ends of an output, or of a linear form, over the set around each sample.

    Proven ends hold for every real input of the set and for the run in the network's own dtype, as verdicts do.
    With time enough they are within `tolerance` of the attained ones wherever the verifier decides ("closed");
    earlier, or where rounding leaves a question open, both are the best that is known.

    Args:
        network, inputs, perturbation: as in `verify`.
        form: such as `output[0]`, `output[1] - output[0]`, `output[0] - sample[0]` or `output[0] - K @ inputs`;
            None: the only output.
        tolerance: by how much a proven end may differ from an attained one.
        timeout: seconds for a sample, on average, for both ends; None: no limit.
        verifier: that decides "is the form at least this"; where few inputs move, their boxes are split instead.
        seed: for attacks.
        memory, workers: of each search, and how many processes share a hard sample, as in `verify`.
        progress: told of each end.

    Returns:
        One `OutputRange` per sample.

    Raises:
        TypeError, ValueError: for arguments that don't fit, one line each.
        OverflowError: where the run may overflow its dtype.

    >>> import spikecert
    >>> network = spikecert.mlp((2, 8, 1), num_steps=4)
    >>> (found,) = output_range(network, torch.full((1, 2), 0.5), spikecert.LInf(0.1))
    >>> found.lower <= found.least <= found.greatest <= found.upper
    True
    """
    chosen, seed = resolve(verifier), whole("seed", seed)
    tolerance, seconds = positive("tolerance", tolerance), checked_timeout(timeout)
    check_asks_rows(chosen)
    if takes_whole(network) is not None and not isinstance(perturbation, LInf):
        got = type(perturbation).__name__
        raise ValueError(f"perturbation: got {got}, expected LInf for the range of a network of whole numbers")
    found = list[OutputRange]()
    with crew_of(workers) as crew:
        how = {"seed": seed, "memory": memory, "crew": crew}
        for one in posed(network, inputs, OUTPUTS, perturbation, None, progress):
            if one.codes is not None and form is not None and form.inputs:
                raise ValueError(f'form: got {form}, expected outputs alone for encoding "latency"')
            found += _ranges(one, _settled(form, one.first.shape[1]), chosen, tolerance, seconds, how)
    return found


def _ranges(
    one: Posed, form: Form, verifier: Verifier, tolerance: float, timeout: float | None, how: Mapping[str, Any]
) -> list[OutputRange]:
    """Return the range of each sample: the least value of the form, and that of its negation."""
    begun, deadline, found = time.perf_counter(), until(timeout, len(one.inputs)), list[LeastValue]()
    with evaluating(one.network):
        for turn, sign in enumerate((1.0, -1.0)):
            goal = replace(one, prop=sign * form >= 0.0).rows()
            assert goal is not None
            end = until(share(deadline, 2 - turn))
            asked = one.network, one.inputs, one.labels, one.perturbation
            problem = Problem(*asked, deadline=end, made=one.made, ties=goal.ties, rows=goal, **how)
            found.append(least_value(problem, verifier, tolerance))
            one.progress("range", turn + 1, 2)
    least, greatest = found
    points = [(one.back(least.points[k], k), one.back(greatest.points[k], k)) for k in range(len(one.inputs))]
    seconds = (time.perf_counter() - begun) / len(one.inputs)
    closed = least.closed(tolerance) & greatest.closed(tolerance)
    return [
        OutputRange(
            float(least.lower[k]),
            -float(greatest.lower[k]),
            float(least.attained[k]),
            -float(greatest.attained[k]),
            *points[k],
            bool(closed[k]),
            seconds,
            least.verifier if least.verifier == greatest.verifier else f"{least.verifier}, {greatest.verifier}",
        )
        for k in range(len(one.inputs))
    ]


def _settled(form: Form | None, classes: int) -> Form:
    """Return the form that is asked about."""
    if form is not None:
        return as_form(form)
    if classes != 1:
        raise ValueError(f"form: got None for {classes} outputs, expected which, such as output[0]")
    return output[0]
