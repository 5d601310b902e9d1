"""Events that move, as variables: one binary for each event and each step that it may move to."""

import numpy as np
from scipy import sparse

from ..bounds.events.shifts import Shifts
from .layer import array
from .program import Expressions, Program


def retime(program: Program, steps: tuple[Expressions, ...], events: np.ndarray, shifts: Shifts) -> None:
    """Demand that `steps`, the input x̃[t], are events that moved, within the budgets.

    With N[t] = x[t] − (those that go) + (those that come): x̃[t] = N[t] where events add up; where they merge
    x̃[t] ≤ N[t] ≤ M·x̃[t], M the number of all that may come, which makes a binary x̃[t] 1 iff N[t] ≥ 1. Where they
    stay apart x̃[t] = N[t] again, and x̃[t] is binary: no two events end in one entry.

    Args:
        program: to add to.
        steps: x̃[t], integers, (n,) each.
        events: x, (T, n).
        shifts: of one sample.
    """
    numbers = [Expressions.fixed(row) for row in events]
    most = [row.copy() for row in events]
    spent = {name: Expressions.fixed(np.zeros(1)) for name in ("count", "total")}
    for marks in shifts.events:
        for step, row in enumerate(array(marks[:, 0].flatten(1))):
            here = np.flatnonzero(row)
            if len(here) == 0:
                continue
            place = sparse.csr_array((np.ones(len(here)), (here, np.arange(len(here)))), (len(row), len(here)))
            moved = Expressions.fixed(np.zeros(len(here)))
            for offset in _offsets(step, shifts):
                move, after = program.binaries(len(here)), step + offset
                moved = moved + move
                spent["total"] = spent["total"] + _sum(move.scaled(float(abs(offset))))
                if 0 <= after < len(events):
                    numbers[after] = numbers[after] + move.image(place, 0.0)
                    most[after] += row
            program.constrain(moved, upper=1.0)
            spent["count"] = spent["count"] + _sum(moved)
            numbers[step] = numbers[step] - moved.image(place, 0.0)
    for name, budget in (("count", shifts.count), ("total", shifts.most)):
        if budget is not None:
            program.constrain(spent[name], upper=float(budget))
    for step, number, many in zip(steps, numbers, most, strict=True):
        if any(shifts.meets) and not shifts.apart:
            program.constrain(number - step, lower=0.0)
            program.constrain(step.scaled(many) - number, lower=0.0)
        else:
            program.constrain(step - number, 0.0, 0.0)


def _offsets(step: int, shifts: Shifts) -> list[int]:
    """Return how an event at a step may move; of the steps outside the nearest on either side."""
    spare = int(shifts.leaves)
    ends = max(-spare, step - shifts.jitter), min(shifts.num_steps - 1 + spare, step + shifts.jitter)
    return [after - step for after in range(ends[0], ends[1] + 1) if after != step]


def _sum(values: Expressions) -> Expressions:
    return values.image(sparse.csr_array(np.ones((1, len(values.constant)))), 0.0)
