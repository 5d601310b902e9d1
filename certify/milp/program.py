"""Programs: how they are built up, closed or open, and what is written of leaky layers.

A mixed-integer linear program, built up variable by variable and row by row.

Closed and open programs: what a floating-point solver must not decide is left to both sides, or to none.

A **closed** program holds every run of the network: equalities hold up to the run's rounding, silence means
v ≤ θ and a spike v ≥ θ, each up to the run's rounding of θ, and all of it is wider by `CLOSURE`, a hundred times
the solver's own tolerance. Its minimum is a lower bound. An **open** program keeps every potential `OPENING` and
the run's rounding away from θ, so that its solutions replay.

What an encoding is given of one spiking layer, for one sample, its neurons in a row.

Leaky layers as programs: step by step, or by the rows of their table.

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

The input set of one sample as variables.

Events that move, as variables: one binary for each event and each step that it may move to.
"""

import functools
import itertools
import operator
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from ...models.deadline import check_time
from ...models.linear_neuron import LinearNeuron
from ...models.rules import Leaky, plain
from ..bounds.events.flips import Flips
from ..bounds.events.moved_events import Shifts
from ..bounds.events.summed import Summed
from ..bounds.signals.signals import InputSignal, Signal
from ..bounds.signals.windows import Box
from ..bounds.trains.recurrent import RateTrains
from ..bounds.trains.train_graph import GraphTrains
from ..bounds.trains.train_table import TableTrains, TrainTable
from ..rounding import Rounding

Numbers = np.ndarray | float


@dataclass(frozen=True)
class Expressions:
    """Expressions matrix·z + constant in a program's variables z.

    Attributes:
        matrix: (n, variables known when it was made), sparse.
        constant: (n,).
    """

    matrix: sparse.csr_array
    constant: np.ndarray

    @staticmethod
    def fixed(values: np.ndarray) -> "Expressions":
        """Return expressions that are constants."""
        return Expressions(sparse.csr_array((len(values), 0)), values)

    def image(self, weight: sparse.csr_array, bias: Numbers) -> "Expressions":
        """Return weight·x + bias of these expressions x."""
        return Expressions(sparse.csr_array(weight @ self.matrix), weight @ self.constant + bias)

    def scaled(self, factor: Numbers) -> "Expressions":
        """Return factor·x, one factor or one each."""
        factors = np.broadcast_to(np.asarray(factor, dtype=float), self.constant.shape)
        return self.image(sparse.csr_array(sparse.diags_array(factors)), 0.0)

    @property
    def columns(self) -> int:
        """Return how many variables were known when this was made."""
        return self.matrix.shape[1]  # pyright: ignore[reportOptionalSubscript, reportGeneralTypeIssues]

    def at(self, solution: np.ndarray) -> np.ndarray:
        """Return the values at a solution of the program."""
        return self.matrix @ solution[: self.columns] + self.constant

    def taken(self, rows: np.ndarray) -> "Expressions":
        """Return some of the expressions."""
        return Expressions(self.matrix[rows], self.constant[rows])

    def __add__(self, other: "Expressions") -> "Expressions":
        """Return the sums, one by one."""
        columns = max(self.columns, other.columns)
        total = _widened(self.matrix, columns) + _widened(other.matrix, columns)
        return Expressions(sparse.csr_array(total), self.constant + other.constant)

    def __sub__(self, other: "Expressions") -> "Expressions":
        """Return the differences, one by one."""
        return self + Expressions(-other.matrix, -other.constant)


@dataclass(frozen=True)
class Model:
    """min cost·z over row_lower ≤ rows·z ≤ row_upper, lower ≤ z ≤ upper, some z integer; costs come later."""

    lower: np.ndarray
    upper: np.ndarray
    integer: np.ndarray
    rows: sparse.csr_array
    row_lower: np.ndarray
    row_upper: np.ndarray

    def relaxed(self) -> "Model":
        """Return the linear program in which no variable need be an integer."""
        return replace(self, integer=np.zeros_like(self.integer))

    @property
    def largest(self) -> float:
        """Return the greatest modulus of a coefficient or a finite end."""
        parts = [self.lower, self.upper, self.row_lower, self.row_upper, self.rows.data]
        return max((float(np.abs(p[np.isfinite(p)]).max(initial=0.0)) for p in parts), default=0.0)


@dataclass
class Program:
    """Collects variables and rows."""

    count: int = 0
    _lower: list[np.ndarray] = field(default_factory=list)
    _upper: list[np.ndarray] = field(default_factory=list)
    _integer: list[np.ndarray] = field(default_factory=list)
    _rows: list[tuple[sparse.csr_array, np.ndarray, np.ndarray]] = field(default_factory=list)

    def variables(self, lower: np.ndarray, upper: np.ndarray, integer: bool = False) -> Expressions:
        """Add variables in [lower, upper], (n,) each, and return them as expressions."""
        size = len(lower)
        self._lower.append(np.asarray(lower, dtype=float))
        self._upper.append(np.asarray(upper, dtype=float))
        self._integer.append(np.full(size, integer))
        columns = self.count + np.arange(size)
        self.count += size
        matrix = sparse.csr_array((np.ones(size), (np.arange(size), columns)), shape=(size, self.count))
        return Expressions(matrix, np.zeros(size))

    def binaries(self, size: int) -> Expressions:
        """Add variables in {0, 1}."""
        return self.variables(np.zeros(size), np.ones(size), integer=True)

    def constrain(self, expression: Expressions, lower: Numbers = -np.inf, upper: Numbers = np.inf) -> None:
        """Add rows lower ≤ expression ≤ upper."""
        check_time()
        ends = [np.broadcast_to(np.asarray(end, dtype=float), expression.constant.shape) for end in (lower, upper)]
        self._rows.append((expression.matrix, ends[0] - expression.constant, ends[1] - expression.constant))

    def model(self) -> Model:
        """Return the program so far."""
        rows = [_widened(matrix, self.count) for matrix, _, _ in self._rows]
        return Model(
            lower=_joined(self._lower),
            upper=_joined(self._upper),
            integer=_joined(self._integer).astype(bool),
            rows=sparse.csr_array(sparse.vstack([sparse.csr_array((0, self.count)), *rows])),
            row_lower=_joined([low for _, low, _ in self._rows]),
            row_upper=_joined([high for _, _, high in self._rows]),
        )


def weighted(steps: tuple[Expressions, ...], row: np.ndarray) -> Expressions:
    """Return Σ_t row[t]·x[t]; a constant x counts at each step."""
    if len(steps) == 1:
        return steps[0].scaled(row.sum())
    total = steps[0].scaled(row[0])
    for entry, factor in zip(steps[1:], row[1:], strict=True):
        total = total + entry.scaled(factor)
    return total


def stacked(parts: Sequence[Expressions]) -> Expressions:
    """Return the expressions of all parts, one part behind the other."""
    columns = max(part.columns for part in parts)
    matrix = sparse.vstack([_widened(part.matrix, columns) for part in parts])
    return Expressions(sparse.csr_array(matrix), np.concatenate([part.constant for part in parts]))


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.zeros(0), *parts])


def _widened(matrix: sparse.csr_array, columns: int) -> sparse.csr_array:
    """Return `matrix` with columns of 0 for the variables that came after it."""
    shape = (len(matrix.indptr) - 1, columns)
    return sparse.csr_array((matrix.data, matrix.indices, matrix.indptr), shape=shape)


CLOSURE = 1e-6
OPENING = 1e-6


@dataclass(frozen=True)
class Closing:
    """How far the rows of a program reach.

    Args:
        closed: whether the program is closed; open otherwise.
    """

    closed: bool

    def slack(self, rounding: np.ndarray) -> np.ndarray:
        """Return how far an equality may be missed, given how far runs may miss it."""
        return rounding + CLOSURE if self.closed else np.zeros_like(rounding)

    def tie(self, rounding: np.ndarray) -> np.ndarray:
        """Return how far past its end of an interval a value may lie; below 0 if it must keep away from the end.

        The intervals' own ends are wide enough for the run's rounding already: only an open program asks for it.
        """
        return np.full_like(rounding, CLOSURE) if self.closed else -(rounding + OPENING)


@dataclass(frozen=True)
class EncodedLayer:
    """One spiking layer.

    Attributes:
        rule: of its neurons.
        current: what is known of its input current I, for a batch of one.
        spikes: what is known of its spikes.
        steps: I as expressions, one entry if constant, else T.
        slack: how far the run's I may be from those expressions, (n,).
        rounding: the dtype of the run.
        heard: V and b where the layer hears its own last spikes, whose V·s[t−1] + b adds to `steps`; else None.
        filter: H, (T, T), where that sum is filtered over time; else None.
        rest: for how many steps its neurons rest behind a spike.
        start: u[0].
    """

    rule: Leaky | LinearNeuron
    current: Signal
    spikes: Signal
    steps: tuple[Expressions, ...]
    slack: np.ndarray
    rounding: Rounding
    heard: tuple[sparse.csr_array, np.ndarray] | None = None
    filter: np.ndarray | None = None
    rest: int = 0
    start: float = 0.0

    def driven(self, t: int, spikes: list[Expressions]) -> Expressions:
        """Return I[t], for the spikes of the steps before."""
        if self.filter is None:
            return self._summed(t, spikes)
        sums = (self._summed(k, spikes[:k]).scaled(self.filter[t, k]) for k in range(t + 1))
        return functools.reduce(operator.add, sums)

    def _summed(self, t: int, spikes: list[Expressions]) -> Expressions:
        current = self.steps[t % len(self.steps)]
        if self.heard is None:
            return current
        weight, bias = self.heard
        before = spikes[-1] if spikes else Expressions.fixed(np.zeros(len(bias)))
        return current + before.image(weight, bias)

    @property
    def scale(self) -> np.ndarray:
        """Return the input scale a[t], (T,)."""
        return np.array(self.rule.factors(self.spikes.num_steps))


class LayerEncoding(Protocol):
    """Writes one spiking layer into a program and returns its spikes as expressions, one per step."""

    def __call__(self, program: Program, layer: EncodedLayer, closing: Closing) -> tuple[Expressions, ...]:
        """Add the layer's variables and rows."""
        ...


def array(tensor: torch.Tensor) -> np.ndarray:
    """Return a tensor as float64 numbers."""
    return tensor.detach().double().cpu().numpy()


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
