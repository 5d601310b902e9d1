"""Leaky layers as programs: step by step, or by the rows of their table.

A layer whose current varies: one binary for each open spike, in the convex hull of its two cases.

v[t] = λ·u[t−1] + a[t]·I[t] is split into r + w, its part in silence and its part at a spike:

    l(1 − s) ≤ r ≤ min(h, θ)·(1 − s),      θ·s ≤ w ≤ h·s,      [l, h] the proven box of v[t],

and u[t] = r (hard reset), r + w − ds (subtracting) or r + w (none): no product v·(1 − s) is left to linearise.

A neuron that rests has ρ[t] = Σ_{k ≤ R} s[t−k] ∈ {0, 1}: at rest it is silent and v = 0, so that 1 − s − ρ takes
the place of 1 − s, and what v is made of holds where ρ = 0: |v − λ·u − a·I| ≤ M·ρ, M = max |a·I|, as u = 0 at
rest.

Where each potential may lie at each step, by what the bounds know of the layer.

F1 as ordered binaries: which row of the train table a constant current lies in.

With rows 0..m reachable, y_1 ≥ y_2 ≥ … ≥ y_m says that the row is at least r iff y_r = 1. The current's ends, and
each spike, are sums of their increments from row to row,

    lower_0 + Σ_r y_r·(lower_r − lower_{r−1}) ≤ I ≤ upper_0 + Σ_r y_r·(upper_r − upper_{r−1}),
    s[t] = s_0[t] + Σ_r y_r·(s_r[t] − s_{r−1}[t]).

For one neuron the relaxation to y ∈ [0, 1] is the convex hull: at a vertex of {chain} × {I between its ends} y is
a vertex of the chain, which is integral.
"""

import functools
import operator
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from ...models.rules import plain
from ..bounds.trains.base import TrainTable
from ..bounds.trains.train_graph import GraphTrains
from ..bounds.trains.train_table import TableTrains
from .program import Closing, EncodedLayer, Expressions, Program, array


@dataclass(frozen=True)
class Potentials:
    """Boxes of v before the reset, and which spikes are open.

    Attributes:
        lower, upper: ends of v[t], (T, ...).
        certain, possible: whether each spike surely, or perhaps, happens, (T, ...) of bool.
    """

    lower: Tensor
    upper: Tensor
    certain: Tensor
    possible: Tensor


def graph_potentials(found: GraphTrains) -> Potentials:
    """Return the hull, over the last spikes that a path may have, of what the graph reached."""
    alive = torch.zeros_like(found.ends)
    alive[0] = True
    lower, upper = [], []
    for t, (low, high) in enumerate(found.reach):
        there = alive[: t + 1] & (low <= high)
        lower.append(torch.where(there, low, torch.inf).amin(0))
        upper.append(torch.where(there, high, -torch.inf).amax(0))
        alive[: t + 1] = there & (low <= found.drives.surely)
        alive[t + 1] = found.edges[t].any(0)
    return Potentials(torch.stack(lower), torch.stack(upper), found.box.lower > 0, found.box.upper > 0)


def step_spikes(
    found: GraphTrains, program: Program, layer: EncodedLayer, closing: Closing
) -> tuple[Expressions, ...]:
    """Add r, w and s of each neuron and step; decided spikes are constants of the program."""
    known, drives, rule = graph_potentials(found), found.drives, layer.rule
    assert plain(rule)
    lower, upper = (array(end.flatten(1)) for end in (known.lower, known.upper))
    certain, possible = (array(mask.flatten(1)) for mask in (known.certain, known.possible))
    own = array(drives.slack.flatten())
    nothing, spikes = Expressions.fixed(np.zeros(len(own))), []
    residue = Expressions.fixed(np.full(len(own), layer.start))
    for t, factor in enumerate(layer.scale):
        rounding = abs(factor) * layer.slack + own
        tie = closing.tie(rounding * found.num_steps)
        low, high = lower[t] - closing.slack(own), upper[t] + closing.slack(own)
        spike = program.variables(certain[t], possible[t], integer=True)
        resting = functools.reduce(operator.add, spikes[max(0, t - layer.rest) : t], nothing)
        silent_high = np.minimum(high, drives.surely + tie)
        active = Expressions.fixed(np.ones(len(own))) - spike - resting
        silent = part_of(program, low, silent_high, active)
        firing = part_of(program, np.minimum(drives.perhaps - tie, high), high, spike)
        drive = layer.driven(t, spikes).scaled(factor)
        slack = closing.slack(rounding)
        potential = silent + firing
        moved = potential - residue.scaled(rule.decay) - drive
        if layer.rest:
            program.constrain(active, lower=0.0)
            reach = array(drives.upper[t].maximum(-drives.lower[t]).flatten()).clip(0.0) + slack
            program.constrain(moved + resting.scaled(reach), lower=-slack)
            program.constrain(moved - resting.scaled(reach), upper=slack)
        else:
            program.constrain(moved, -slack, slack)
        residue = silent if rule.reset == "zero" else potential
        if rule.reset == "subtract":
            residue = potential - spike.scaled(rule.drop)
        spikes.append(spike)
    return tuple(spikes)


def part_of(program: Program, low: np.ndarray, high: np.ndarray, active: Expressions) -> Expressions:
    """Add variables in [low, high] where `active` is 1, and 0 where it is 0."""
    part = program.variables(np.minimum(low, 0.0), np.maximum(high, 0.0))
    program.constrain(part - active.scaled(low), lower=0.0)
    program.constrain(active.scaled(high) - part, lower=0.0)
    return part


def table_spikes(
    found: TableTrains, program: Program, layer: EncodedLayer, closing: Closing
) -> tuple[Expressions, ...]:
    """Add one current and its ordered binaries for each neuron with more than one reachable row."""
    box = layer.current.steps()
    first, last = (rows.flatten().cpu().numpy() for rows in (found.first, found.last))
    trains = array(found.table.trains)
    owner = np.repeat(np.arange(len(first)), last - first)
    row = np.concatenate([np.arange(a + 1, b + 1) for a, b in zip(first, last, strict=True)] or [first])
    binaries = program.binaries(len(owner))
    same = np.flatnonzero(owner[:-1] == owner[1:])  # y_r ≥ y_{r+1} within each neuron
    program.constrain(binaries.taken(same) - binaries.taken(same + 1), lower=0.0)
    if len(owner) > 0:
        ends = array(box.lower.flatten()), array(box.upper.flatten())
        _place(program, layer, closing, binaries, (owner, row, first), (found.table, *ends))
    spread = [_sums(owner, trains[row, t] - trains[row - 1, t], len(first)) for t in range(trains.shape[1])]
    return tuple(binaries.image(weight, trains[first, t]) for t, weight in enumerate(spread))


def _place(
    program: Program,
    layer: EncodedLayer,
    closing: Closing,
    binaries: Expressions,
    rows: tuple[np.ndarray, np.ndarray, np.ndarray],
    known: tuple[TrainTable, np.ndarray, np.ndarray],
) -> None:
    """Tie each open neuron's current to its expression, and its row to its current."""
    (owner, row, first), (table, *box) = rows, known
    lower, upper = _ends(array(table.lower), array(table.upper), closing)
    neurons = np.unique(owner)
    slack, tie = closing.slack(layer.slack), closing.tie(layer.slack)
    low, high = box[0] - slack, box[1] + slack
    current = program.variables(low[neurons], high[neurons])
    program.constrain(layer.steps[0].taken(neurons) - current, -slack[neurons], slack[neurons])
    for ends, sign in ((lower, 1.0), (upper, -1.0)):
        start = np.clip(ends[first] - sign * tie, low, high)
        steps = np.clip(ends[row] - sign * tie[owner], low[owner], high[owner])
        before = np.clip(ends[row - 1] - sign * tie[owner], low[owner], high[owner])
        rise = binaries.image(_sums(owner, steps - before, len(first)), start).taken(neurons)
        program.constrain((current - rise).scaled(sign), lower=0.0)


def _ends(lower: np.ndarray, upper: np.ndarray, closing: Closing) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows' ends; in an open program without what two neighbours share."""
    if closing.closed:
        return lower, upper
    return np.concatenate([lower[:1], upper[:-1]]), np.concatenate([lower[1:], upper[-1:]])


def _sums(owner: np.ndarray, values: np.ndarray, size: int) -> sparse.csr_array:
    """Return the matrix that adds up values·y over the binaries of each neuron, (size, len(owner))."""
    return sparse.csr_array((values, (owner, np.arange(len(owner)))), shape=(size, len(owner)))
