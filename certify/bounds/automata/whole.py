"""Trains of neurons of whole numbers: windows (F5), counts of what came in (F9) and tables (F1).

F5 in whole numbers: where a potential lies that grew since the last spike, by what trains say of several steps.

**Statement.** Let a neuron be at 0 behind step a and silent until t, and its potential not be cut on the way. Each
decay f is a product and a residual, f(v) = λ·v + r, r in an interval [r₋, r₊] of the cut (`RESIDUALS`). So

    v[t] = Σ_{a<k≤t} λ^{t−k}·c[k] + ρ,    ρ ∈ [r₋, r₊]·Σ_{j<m} λ^j,    m = t − a − 1,

since f(0) = 0; of neurons that go towards their drive, with (1 − λ)·c and m = t − a. A whole number in an interval
of reals is in that of its inner whole ends. The sums are real: they and their ends pay the rounding of float64.

**Cuts.** A silent potential never was at the top, where it would fire. At the bottom it is raised, so lower ends
hold; upper ends are kept for neurons of which no window reaches the bottom: then none of their potentials does.

F9 in whole numbers: what came into a neuron that subtracts is what it fired, and what is left of it.

**Statement.** Let a neuron subtract θ for each of its n[t] spikes, be driven by its current alone, and let no
potential reach an end of its width. Each decay is a product and a residual, f(v) = λ·v + r, r within e of a middle
m of its cut (`RESIDUALS`). So a run of the chip is a run of the real recursion

    v[t] = λ·u[t−1] + (c[t] + m) + ε[t],    |ε[t]| ≤ e,    u = v − θ·n,

on currents that are m greater and stray by e: all that F9 says of real neurons whose recursion strays by e a step
(cells/automaton.py, cells/looking_through.py, F9b) holds, with S[t] = Σ λ^{t−k}·n[k] and L that of c + m. *Proof:*
f(0) = 0 = λ·0 + r has r = 0, which is in the interval; the rest is the definition of r. ∎ A whole potential is
silent up to θ₁ − 1 and fires from θ₁ on, the least that fires, so what is neither is empty.

**Widths.** u ≥ 0 behind a spike, since n·θ ≤ v, so |u[t]|, |v[t]| ≤ Σ_{k<T} λ^k·(max |c| + max |r|) by induction:
the law is used where that is below both ends.

**Several spikes.** The law counts them. Cells know silence and one spike: they are used where paths show that no
step may have more; tables count.

Rounding: the sums are real, and so are taken in float64 and pay for it; the run's own share of what is paid, of
which it needs nothing, covers the additions here.

F1 in whole numbers: under a constant current the train of a neuron is a function of that current, as a table.

**Statement.** Let whole currents a ≤ b give the same train. Then so does each current between. *Proof*, step by
step: let all of a..b have the same spikes before t. Each of them then does the same to the state: monotone decays,
a current that grows, and resets by the same amount or to 0. So the potential at t grows with the current, and so
does the number of spikes that it has: it is the same at both ends, and between. ∎

So halving an interval until its ends agree finds all trains. A current for which a chip would wrap has no
train: it is marked, and whoever may reach it is refused.

Counts of a layer that hears itself: two coupled runs, with rounding paid, beside what was known of its trains.

Without leak, and with subtraction of d, a neuron that heard the sum C[t] up to step t has v[t] = C[t] −
d·N[t−1] for its count N of spikes. Let it be known that each run is one of the exact recursion on currents that
stray by at most σ a step, which fires where v > θ⁺, and not where v < θ⁻ (`certify/rounding.py`). Let
N_low ≤ N ≤ N_high hold at all steps before t in all neurons. The sums of currents from below and from the
feedback, over all runs whose earlier counts lie there, are within [C_low, C_high] (the layer's own signals say
so, with their rounding), and

    N_low[t]  = N_low[t−1]  + [C_low[t]  − t·σ − d·N_low[t−1]  > θ⁺],
    N_high[t] = N_high[t−1] + [C_high[t] + t·σ − d·N_high[t−1] ≥ θ⁻]

hold N[t]. Proof: were N_low[t] > N[t], then N_low[t−1] = N[t−1] and the lower run fires; the run's own v[t] is
at least the lower one's, so above θ⁺, and it fires, too: a contradiction; the upper end alike. ∎ A feedback's
weights of either sign are taken care of where its sums are bounded: V·N lies in V·m ± |V|·r.

**Sums by any rows** follow by summation by parts, Σ_t r[t]·s[t] = Σ_t (r[t] − r[t+1])·N[t] with r[T+1] = 0, each
term at the end that its sign asks for. In float64 that takes T products and as many sums of numbers up to
Σ |r[t] − r[t+1]|·N_high[t]; 4(T + 4) roundings of that are paid. All is cut with what was known before, so that
nothing gets wider.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from ....models.circuit import Recurred
from ....models.deadline import check_time
from ....models.elements.integers import Stepped, check_within
from ....models.rules import Label, Leaky, Range, plain
from ...rounding import Rounding, power_sum
from ..cells.automaton import CELLS, CellTrains
from ..cells.looking_through import Inflow, filter_sums, inflow_of
from ..signals.affine import AffineMap, affine_map
from ..signals.derived import FilteredSignal
from ..signals.membrane import drive
from ..signals.signals import AffineSignal, Balance, Signal
from ..signals.windows import Box, Spans, Spread
from ..trains.recurrent import DelayedSpikes, FeedbackLoop
from ..trains.train_table import TableTrains, Trains, TrainTable
from ..trains.trains import BalancedTable
from .paths import PathTrains, path_trains

RESIDUALS = {
    "truncate": (-1.0, 1.0),
    "floor": (-1.0, 0.0),
    "nearest": (-0.5, 0.5),
    "shift": (0.0, 1.0),
    "dash": (-1.0, 1.0),
}
REAL = Rounding(torch.float64)
MOST_STEPS = 32
"""Windows grow with the square of T."""


@dataclass(frozen=True)
class WholeWindows:
    """Ends of a potential at step t if the last spike was at a < t: `ends[t − 1]` holds those of a = 0..t − 1."""

    ends: tuple[Range, ...]

    def cut(self, labels: tuple[Label, ...], t: int) -> Range:
        """Return those of labels, whose second number is a."""
        places = torch.tensor([label[1] for label in labels], device=self.ends[0].low.device)
        return Range(self.ends[t - 1].low[places], self.ends[t - 1].high[places])


def whole_windows(current: Signal, rule: Stepped) -> WholeWindows | None:
    """Return the windows of a layer; None where they tell nothing, or nothing is known of them."""
    known = rule.reset == "zero" and rule.synapse is None and not rule.rest and rule.first_firing <= rule.top
    if not known or current.num_steps > MOST_STEPS or not _remembers(current):
        return None
    steps, decay = current.num_steps, rule.leak.share
    rows, places = _window_rows(steps, decay)
    box = paying(current).combine(rows * ((1.0 - decay) if rule.towards else 1.0))
    residual = torch.tensor([_residual(rule, t - a - (not rule.towards)) for a, t in places], dtype=torch.float64)
    residual = residual.to(box.lower.device).view(*residual.shape, *([1] * (box.lower.dim() - 1)))
    low, high = (box.lower + residual[:, 0]).ceil(), (box.upper + residual[:, 1]).floor()
    high = high.masked_fill((low < rule.bottom).any(0), torch.inf)
    parts = [[index for index, (_, end) in enumerate(places) if end == t] for t in range(1, steps + 1)]
    return WholeWindows(tuple(Range(low[part], high[part].clamp_max(float(rule.top))) for part in parts))


def paying(signal: Signal) -> Signal:
    """Return the same signal, whose real sums pay for float64's rounding."""
    if isinstance(signal, AffineSignal | FilteredSignal):
        return replace(signal, source=paying(signal.source), rounding=REAL)
    return signal


def _remembers(current: Signal) -> bool:
    """Return whether trains, or events of one budget, stand right behind an affine layer, perhaps delayed."""
    if not isinstance(current, AffineSignal):
        return False
    source = current.source
    while (isinstance(source, FilteredSignal) and source.filter.moves) or (
        isinstance(source, AffineSignal) and source.map.reshapes
    ):
        source = source.source
    return source.fired or not source.plain


def _window_rows(steps: int, decay: float) -> tuple[Tensor, list[tuple[int, int]]]:
    """Return the weights of each window as a row, and its (a, t), by t and then by a."""
    places = [(a, t) for t in range(1, steps + 1) for a in range(t)]
    rows = torch.zeros(len(places), steps, dtype=torch.float64)
    for index, (a, t) in enumerate(places):
        rows[index, a:t] = decay ** torch.arange(t - a - 1, -1, -1, dtype=torch.float64)
    return rows, places


def _residual(rule: Stepped, times: int) -> tuple[float, float]:
    """Return the ends of ρ after so many decays, with room for the rounding of this sum."""
    total = sum(rule.leak.share**j for j in range(times)) * (1.0 + 2.0**-40)
    low, high = residuals(rule)
    return low * total, high * total


def residuals(rule: Stepped) -> tuple[float, float]:
    """Return the ends of r, f(v) = λ·v + r."""
    return (0.0, 0.0) if rule.leak.keeps else RESIDUALS[rule.leak.cut]


@dataclass(frozen=True)
class Law:
    """The real recursion that neurons of a rule obey.

    Attributes:
        rule: its constants.
        current: their currents, m greater.
        middle: m.
        stray: e.
        firing: θ₁.
    """

    rule: Leaky
    current: Signal
    middle: float
    stray: float
    firing: int

    @property
    def inflow(self) -> Inflow:
        """Return what drives the neurons."""
        plain = inflow_of(self.current, self.rule, REAL)
        wide = self.stray * filter_sums(self.rule, plain.lower)
        tie = plain.surely - self.rule.threshold
        return Inflow(
            plain.lower - wide,
            plain.upper + wide,
            plain.low - self.stray,
            plain.high + self.stray,
            plain.slack + self.stray,
            surely=self.firing - 1 + tie,
            perhaps=self.firing - tie,
        )

    @property
    def slack(self) -> Tensor:
        """Return what the recursion may add to each current, (batch, ...)."""
        return self.inflow.slack


def law_of(current: Signal, rule: Stepped) -> Law | None:
    """Return the law of neurons under `current`; None where there is none, or a width may break it."""
    plain = rule.reset == "subtract" and rule.synapse is None and not rule.towards
    if not plain or not isinstance(current, AffineSignal):
        return None
    low, high = residuals(rule)
    decay = rule.leak.share
    reach = power_sum(decay, current.num_steps) * (float(current.steps().magnitude.max()) + max(-low, high))
    if not reach * (1.0 + 2.0**-40) < min(rule.top, -rule.bottom):
        return None
    middle, stray = (low + high) / 2, (high - low) / 2
    real = Leaky(decay, float(rule.first_firing), "subtract", drop=float(rule.threshold))
    return Law(real, moved(paying(current), middle), middle, stray * (1.0 + 2.0**-40), rule.first_firing)


def moved(signal: Signal, by: float) -> AffineSignal:
    """Return the affine signal that is greater by a number."""
    assert isinstance(signal, AffineSignal)
    layer: AffineMap = signal.map
    if by == 0.0:
        return signal
    changed = replace(layer, bias=layer.bias + by, bias_magnitude=layer.bias_magnitude + abs(by))
    return replace(signal, map=changed)


@dataclass(frozen=True)
class LawfulPaths(Trains):
    """The trains of a layer as paths of whole states, met with the cells of its law.

    Attributes:
        graph: the paths.
        cells: what the law leaves.
    """

    graph: PathTrains
    cells: CellTrains

    @property
    def num_steps(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return the number of steps T."""
        return self.graph.num_steps

    def steps(self) -> Box:
        """Return whether each step's spike is certain, impossible or open, (T, batch, ...)."""
        return self.graph.steps().intersection(self.cells.steps())

    def combine(self, rows: Tensor) -> Box:
        """Return what both say of each row."""
        return self.graph.combine(rows).intersection(self.cells.combine(rows))

    def filtered(self, rule: Leaky) -> Box:
        """Return what both say of filtered trains."""
        return super().filtered(rule).intersection(self.cells.filtered(rule))

    def balance(self, rule: Leaky) -> Balance | None:
        """Return what the cells know of S and of u."""
        return self.cells.balance(rule)

    def margins(self, labels: Tensor, known: Tensor, rounding: Rounding) -> Tensor:
        """Return the bounds by pairs of neurons, where that is better."""
        return self.cells.margins(labels, known, rounding)


def lawful(graph: PathTrains, current: Signal, rule: Stepped) -> Trains:
    """Return the paths, with what the law says where it holds of all neurons."""
    law = law_of(current, rule) if graph.binary else None
    if law is None:
        return graph
    cells = max(CELLS, current.num_steps + 1) if law.rule.decay == 1.0 else CELLS
    return LawfulPaths(graph, CellTrains(law.rule, law.current, law.inflow, cells))


MOST_ROWS = 4096
WRAPS = -1.0
"""In the place of a number of spikes."""


@dataclass(frozen=True)
class CountTrains(TableTrains):
    """Rows of a table whose entries are numbers of spikes."""

    priced = False

    @property
    def binary(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return whether there is at most one spike a step."""
        return bool((self.table.trains <= 1.0).all())

    def spread(self) -> Spread:
        """Return the steps as middle and radius."""
        return self.steps().spread

    def magnitude(self) -> Tensor:
        """Return the most spikes that a neuron has at a step."""
        return self.steps().upper.amax(0)


@dataclass(frozen=True)
class BalancedCounts(CountTrains, BalancedTable):  # pyright: ignore[reportIncompatibleVariableOverride]
    """The same, of neurons that subtract, with what a reader needs to look through them (F9a)."""


def whole_trains(current: Signal, rule: Stepped, rounding: Rounding) -> Trains:
    """Return the trains of integer neurons: by a table where the current is constant, else as paths.

    Raises:
        OverflowError: where a chip might wrap, or cut a sum on the way.
    """
    found = _tabled(current, rule) if current.constant else None
    if found is not None:
        return _balanced(found, current, rule)
    windows = whole_windows(current, rule)
    return lawful(path_trains(current, rule, rounding, None if windows is None else windows.cut), current, rule)


def _balanced(found: CountTrains, current: Signal, rule: Stepped) -> CountTrains:
    """Return the same rows with what they balance, where a law holds: currents are its own, m greater."""
    law = law_of(current, rule)
    if law is None:
        return found
    table = replace(found.table, lower=found.table.lower + law.middle, upper=found.table.upper + law.middle)
    return BalancedCounts(table, found.first, found.last, rule=law.rule, current=law.current, slack=law.slack)


def _tabled(current: Signal, rule: Stepped) -> CountTrains | None:
    """Return the rows that each neuron may have; None where the table would be too long."""
    rule.admit(current.magnitude(), current.num_steps)
    box = current.steps()[0]
    box = Box(box.lower.ceil(), box.upper.floor())
    low, high = float(box.lower.min()), float(box.upper.max())
    check_within(max(-low, high), rule.current_top, "a sum of currents", "wrap")
    table = whole_table(rule, current.num_steps, _outward(min(low, 0.0)), _outward(max(high, 0.0)))
    return None if table is None else _rows(table.like(box.lower), box, rule)


def _rows(table: TrainTable, box: Box, rule: Stepped) -> CountTrains:
    found = CountTrains(table, *table.reachable(box))
    wraps = (table.trains == WRAPS).any(1).double()
    if bool((found.least(-wraps[:, None]) < 0).any()):
        raise OverflowError(f"a number may leave its width of {rule.bits} bits, where a chip would wrap")
    return found


def _outward(end: float) -> int:
    """Return a power of two, with the sign of an end, that holds it: few tables then serve many currents."""
    return 0 if end == 0.0 else int(math.copysign(2 ** math.ceil(math.log2(abs(end))), end))


@lru_cache(maxsize=256)
def whole_table(rule: Stepped, num_steps: int, low: int, high: int) -> TrainTable | None:
    """Return the trains of currents low..high, or None where there are more than `MOST_ROWS`.

    >>> from spikecert.models.elements.integers import NOTHING_LOST
    >>> whole_table(Stepped(NOTHING_LOST, 2), 2, 0, 4).trains
    tensor([[0., 0.],
            [0., 1.],
            [1., 1.]], dtype=torch.float64)
    """
    edges = torch.tensor([[low, high]], dtype=torch.float64)
    done: list[tuple[Tensor, Tensor]] = []
    count = 0
    while len(edges):
        check_time()
        first, last = _trains(rule, edges[:, 0], num_steps), _trains(rule, edges[:, 1], num_steps)
        alike = (first == last).all(1)
        done.append((edges[alike], first[alike]))
        count += int(alike.sum())
        open_edges = edges[~alike]
        if count + len(open_edges) > 8 * MOST_ROWS:
            return None
        middle = ((open_edges[:, 0] + open_edges[:, 1]) / 2).floor()
        left, right = torch.stack((open_edges[:, 0], middle), 1), torch.stack((middle + 1, open_edges[:, 1]), 1)
        edges = torch.cat((left, right))
    return _joined(torch.cat([each for each, _ in done]), torch.cat([train for _, train in done]))


def _joined(edges: Tensor, trains: Tensor) -> TrainTable | None:
    """Return intervals in order, neighbours of one train as one."""
    order = edges[:, 0].argsort()
    edges, trains = edges[order], trains[order]
    begins = torch.ones(len(edges), dtype=torch.bool)
    begins[1:] = (trains[1:] != trains[:-1]).any(1)
    starts = begins.nonzero().flatten()
    if len(starts) > MOST_ROWS:
        return None
    ends = torch.cat((starts[1:] - 1, starts.new_tensor([len(edges) - 1])))
    return TrainTable(edges[starts, 0], edges[ends, 1], trains[starts])


def _trains(rule: Stepped, currents: Tensor, num_steps: int) -> Tensor:
    """Return the train of each current, (n, T), with `WRAPS` in the place of NaN."""
    residue, spikes = currents.new_zeros(3, len(currents)), []
    for _ in range(num_steps):
        _, spike, residue = rule.step(residue, currents)
        spikes.append(spike)
    return torch.stack(spikes, 1).nan_to_num(WRAPS)


MOST_COUPLED_STEPS = 64
"""So many steps at most: each asks for sums over all steps before."""

EPS = torch.finfo(torch.float64).eps


@dataclass(frozen=True)
class CountedSpikes(Signal):
    """Trains whose counts are known.

    Attributes:
        known: what else is known of them.
        low, high: the least and the most N[t], (T, batch, ...), float64.
    """

    known: Signal
    low: Tensor
    high: Tensor
    constant = False
    binary = True

    @property
    def num_steps(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return T."""
        return len(self.low)

    def steps(self) -> Box:
        """Return the box of s[t] = N[t] − N[t−1]."""
        box, before = self.known.steps(), torch.zeros_like(self.low[:1])
        low = (self.low - torch.cat((before, self.high[:-1]))).clamp(0.0, 1.0)
        high = (self.high - torch.cat((before, self.low[:-1]))).clamp(0.0, 1.0)
        return Box(low.to(box.lower), high.to(box.upper)).intersection(box)

    def combine(self, rows: Tensor) -> Box:
        """Return the ends of sums by parts, cut with what is known."""
        return self._summed(rows).intersection(self.known.combine(rows))

    def filtered(self, rule: Leaky) -> Box:
        """Return the known one; counts are asked for by rows."""
        return self.known.filtered(rule)

    def windowed(self, asked: Spans, ends: range) -> Box:
        """Return the ends of each window, cut with what is known."""
        box = self.known.windowed(asked, ends)
        return self._summed(asked.rows(ends).to(box.lower)).intersection(box)

    def balance(self, rule: Leaky) -> Balance | None:
        """Return what is known."""
        return self.known.balance(rule)

    def margins(self, labels: Tensor, known: Tensor, rounding: Rounding) -> Tensor:
        """Return what is known."""
        return self.known.margins(labels, known, rounding)

    def magnitude(self) -> Tensor:
        """Return what is known."""
        return self.known.magnitude()

    def _summed(self, rows: Tensor) -> Box:
        """Return ends of Σ_t rows[k,t]·s[t] from counts alone, (k, batch, ...)."""
        found = by_parts(rows, self.low, self.high)
        return found if rows.dtype == torch.float64 else found.outward(rows.dtype)


@dataclass(frozen=True)
class _CountsSoFar(Signal):
    """The trains of a layer before some step: counts of later steps are not known, and not asked for."""

    low: Tensor
    high: Tensor
    constant = False

    @property
    def num_steps(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return len(self.low)

    def steps(self) -> Box:
        """Return any spikes."""
        return Box(torch.zeros_like(self.low), torch.ones_like(self.low))

    def combine(self, rows: Tensor) -> Box:
        """Return the ends of sums by parts, which later steps must not be in."""
        found = by_parts(rows, self.low, self.high)
        return found if rows.dtype == torch.float64 else found.outward(rows.dtype)

    def magnitude(self) -> Tensor:
        """Return 1."""
        return torch.ones_like(self.low[0])


def by_parts(rows: Tensor, low: Tensor, high: Tensor) -> Box:
    """Return the ends of Σ_t rows[k,t]·s[t] for counts N of s within [low, high], in float64, rounding paid."""
    exact = rows.to(low)
    parts = exact - torch.cat((exact[:, 1:], torch.zeros_like(exact[:, :1])), 1)
    found = Box(low, high).combined(parts)
    slack = 4 * (len(low) + 4) * EPS * torch.tensordot(parts.abs(), high, 1)
    return Box(found.lower - slack, found.upper + slack)


def counted(below: Signal, node: Recurred, known: Signal, rounding: Rounding) -> Signal:
    """Return what is known of the spikes of a layer that hears itself, with its counts where these are monotone.

    Args:
        below: what comes from other layers.
        node: the layer.
        known: what is known of its spikes.
        rounding: the dtypes of the run and of the bound.
    """
    rule, steps = node.rule, known.num_steps
    assert plain(rule)
    if rule.decay != 1.0 or rule.reset != "subtract" or rule.scale is not None or steps > MOST_COUPLED_STEPS:
        return known
    loop, box = (
        FeedbackLoop(below, affine_map(node.feedback, rounding.bound), rounding, node.filter),
        known.steps(),
    )
    driven = drive(loop.current(DelayedSpikes(known, box)), rule, rounding)
    slack = driven.slack.double()
    low, high = (torch.zeros_like(box.lower, dtype=torch.float64) for _ in range(2))
    counts = Box(torch.zeros_like(low[0]), torch.zeros_like(low[0]))
    for t in range(1, steps + 1):
        check_time()
        prefix = torch.zeros(1, steps, dtype=rounding.bound, device=low.device)
        prefix[:, :t] = 1.0
        sums = loop.current(DelayedSpikes(_CountsSoFar(low, high), box)).combine(prefix)
        reached = Box(sums.lower[0].double(), sums.upper[0].double())
        counts = counts_behind(counts, reached, t * slack, driven.limits, rule.drop)
        low[t - 1], high[t - 1] = counts.lower, counts.upper
    return CountedSpikes(known, low, high)


def counts_behind(counts: Box, sums: Box, stray: Tensor, limits: tuple[float, float], drop: float) -> Box:
    """Return the least and the most N[t].

    Tests call it with numbers made by hand: in `counted` θ⁺ − θ⁻ is at most t·σ, and what one part of the slack
    leaves out another covers, so that runs alone could not tell whether all of it is paid.

    Args:
        counts: N[t−1].
        sums: C[t].
        stray: t·σ.
        limits: θ⁺, above which a run fires, and θ⁻, below which it does not.
        drop: d.
    """
    (surely, perhaps), (least, most) = limits, (counts.lower, counts.upper)
    under = _potential(sums.lower, drop * least, stray, -1.0)
    over = _potential(sums.upper, drop * most, stray, 1.0)
    return Box(least + (under > surely), most + (over >= perhaps))


def _potential(sums: Tensor, left: Tensor, stray: Tensor, sign: float) -> Tensor:
    """Return C − d·N, moved in the direction of `sign` by what it may stray, and by its rounding."""
    size = stray + 8 * EPS * (sums.abs() + left + stray)
    return sums - left + sign * size
