"""The input set of one sample as variables.

Events that move, as variables: one binary for each event and each step that it may move to.
"""

import itertools

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from ..bounds.events.flips import Flips
from ..bounds.events.moved_events import Shifts
from ..bounds.events.summed import Summed
from ..bounds.signals.signals import InputSignal
from ..bounds.signals.windows import Box
from ..bounds.trains.rate_trains import RateTrains
from .program import Closing, Expressions, Program, array


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


def input_steps(program: Program, source: InputSignal) -> tuple[Expressions, ...]:
    """Add the input itself, one entry if constant, else one per step; integers where events may flip or move.

    Of an ℓ2 ball only its box is written.
    """
    box = source.box
    ends = zip(box.lower.flatten(1), box.upper.flatten(1), strict=True)
    steps = tuple(program.variables(array(low), array(high), box.budget is not None) for low, high in ends)
    if isinstance(box.budget, Flips) and box.center is not None:
        _spend(program, steps, box.budget.direction, box.center, box.budget.count)
    if isinstance(box.budget, Shifts) and box.center is not None:
        retime(program, steps, array(box.center[:, 0].flatten(1)), box.budget)
    if isinstance(box.budget, Summed) and box.center is not None:
        events = array(box.center[:, 0].flatten(1))
        moved = tuple(program.binaries(events.shape[1]) for _ in steps)
        retime(program, moved, events, box.budget.shifts)
        _flip(program, moved, steps, box.budget.flips)
    return steps


def _flip(program: Program, before: tuple[Expressions, ...], after: tuple[Expressions, ...], flips: Flips) -> None:
    """Demand after − before ≤ up·f, before − after ≤ down·f and Σ f ≤ count for f in [0, 1], so |change| ≤ f."""
    other = torch.zeros_like(flips.direction) if flips.other is None else flips.other
    spent = Expressions.fixed(np.zeros(1))
    for one, two, first, second in zip(before, after, flips.direction, other, strict=True):
        signs = [array(sign.flatten()) for sign in (first, second)]
        up, down = (np.maximum.reduce([sense * sign for sign in signs]).clip(min=0.0) for sense in (1.0, -1.0))
        changed = program.variables(np.zeros_like(up), np.ones_like(up))
        program.constrain(two - one - changed.scaled(up), upper=0.0)
        program.constrain(one - two - changed.scaled(down), upper=0.0)
        spent = spent + changed.image(sparse.csr_array(np.ones((1, len(up)))), 0.0)
    program.constrain(spent, upper=float(flips.count))


def _spend(
    program: Program, steps: tuple[Expressions, ...], direction: Tensor, events: Tensor, count: int
) -> None:
    """Demand Σ direction·(x − events) ≤ count: each flip counts 1."""
    changed = Expressions.fixed(np.zeros(1))
    for entry, sign, event in zip(steps, direction, events, strict=True):
        row = sparse.csr_array(array(sign.flatten())[None])
        changed = changed + entry.image(row, -(row @ array(event.flatten())))
    program.constrain(changed, upper=float(count))


def rate_steps(
    program: Program, rates: Box, source: RateTrains, draws: Tensor, closing: Closing
) -> tuple[Expressions, tuple[Expressions, ...]]:
    """Add rates x, and spikes s[t] = 1 iff u[t] < x for the draws u, (T, ...); return both.

    u[t] − (u[t] − l)(1 − s) ≤ x ≤ u[t] + (h − u[t])·s; and s[t] ≥ s[t'] wherever u[t] ≤ u[t'].
    """
    low, high = array(rates.lower.flatten()), array(rates.upper.flatten())
    tie = closing.tie(np.zeros_like(low))
    ends = [array(end.flatten(1)) for end in (source.box.lower, source.box.upper)]
    values, spikes = program.variables(low, high), []
    for draw, certain, possible in zip(array(draws.flatten(1)), *ends, strict=True):
        spike = program.variables(certain, possible, integer=True)
        program.constrain(values - spike.scaled(np.clip(draw - tie, low, high) - low), lower=low)
        below = np.clip(draw + tie, low, high)
        program.constrain(values - spike.scaled(high - below), upper=below)
        spikes.append(spike)
    _chain(program, spikes, array(source.order.flatten(1)).astype(int))
    return values, tuple(spikes)


def _chain(program: Program, spikes: list[Expressions], order: np.ndarray) -> None:
    """Demand that a greater draw spikes only where the lesser ones do."""
    for sooner, later in itertools.pairwise(order):
        for step in np.unique(sooner):
            for after in np.unique(later[sooner == step]):
                chosen = np.flatnonzero((sooner == step) & (later == after))
                program.constrain(spikes[step].taken(chosen) - spikes[after].taken(chosen), lower=0.0)
