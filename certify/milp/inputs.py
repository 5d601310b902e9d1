"""The input set of one sample as variables: a box, events that flip or move, or rates with given draws."""

import itertools

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from ..bounds.events.flips import Flips
from ..bounds.events.shifts import Shifts
from ..bounds.events.summed import Summed
from ..bounds.signals.box import Box
from ..bounds.signals.signals import InputSignal
from ..bounds.trains.rate_trains import RateTrains
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
