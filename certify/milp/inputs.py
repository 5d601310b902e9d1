"""The input set of one sample as variables: a box, events that flip or move, or rates with given draws."""

import itertools

import numpy as np
from scipy import sparse
from torch import Tensor

from ..bounds.box import Box
from ..bounds.flips import Flips
from ..bounds.rate_trains import RateTrains
from ..bounds.shifts import Shifts
from ..bounds.signals import InputSignal
from .closing import Closing
from .layer import array
from .program import Expressions, Program
from .shift_inputs import retime


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
    return steps


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
