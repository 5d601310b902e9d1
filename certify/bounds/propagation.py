"""From an input set through a network to what is known of its logits and margins.

Readouts over time: as rows, logits = Σ_t row[t]·x[t], where they are sums; from those of each step elsewhere.

Potentials of neurons that never fire are u[t] = Σ_{k≤t} λ^{t−k}·a[k]·x[k]; their sum over time has the weights
a[k]·Σ_{t≥k} λ^{t−k}.

The largest. Let z_y and z_k be what two classes have over time, k's largest at step t*. Then

    max_t z_y[t] − max_t z_k[t] = max_t z_y[t] − z_k[t*] ≥ max(max_t L_y[t] − U_k[t*], D[t*]),

with ends L ≤ z ≤ U and D[t] ≤ z_y[t] − z_k[t]; so the margin is at least the least of that over all t*.

The first spike. C[t] = Σ_{k≤t} s[k] tells by which step a neuron surely, or perhaps, has fired: τ − 1 is the
number of steps with C[t] = 0, between those where it surely is and those where it may be.

Rounding. The run's potentials take 2T + 2 roundings, powers of λ rounded to its dtype T more, and a sum over time
T more: γ_{4T+8}·Σ|row|·max|x|, and what underflows, at most T times in each of T potentials. A maximum never
rounds.
"""

import math
from dataclasses import dataclass, field, replace
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from ...models.circuit import Algebra, Circuit, fold, nodes
from ...models.elements.integers import Stepped, check_within, stepped
from ...models.linear_maps import DenseMap
from ...models.linear_neuron import resting, varied
from ...models.rules import LEAKY, RESTS, START, VARIED, WHOLE, Leaky, Rule, declared, plain
from ..rounding import Rounding, check_potential, integration_slack, over_time, reading_slack, vanished
from .automata.paths import looping_spikes, path_trains
from .automata.whole import counted, whole_trains
from .signals.affine import AffineMap, affine_map
from .signals.derived import ChosenSignal, FilteredSignal, PooledSignal
from .signals.signals import AffineSignal, InputSignal, Signal, SpikeBound, SumSignal, filter_rows
from .signals.windows import Box
from .trains.recurrent import rate_trains, recurrent_spikes
from .trains.resting import resting_spikes, varied_spikes


def readout_row(circuit: Circuit, like: Tensor) -> Tensor:
    """Return a readout that is a sum over time as one row, (1, T).

    Raises:
        ValueError: for one that is none.
    """
    if circuit.read.readout in ("largest", "first"):
        raise ValueError(f"readout: got {circuit.read.readout!r}, which is no sum over time")
    return readout_rows(circuit, like)


def readout_rows(circuit: Circuit, like: Tensor) -> Tensor:
    """Return the rows that a readout reads: one, (1, T), or of "largest" one for each step, (T, T)."""
    steps, rule, readout = circuit.num_steps, circuit.read.rule, circuit.read.readout
    if rule is None:
        each = (
            torch.eye(steps) if readout == "largest" else torch.full((1, steps), 1.0 / steps, dtype=torch.float64)
        )
        return each.to(like)
    if stepped(rule):
        rule = Leaky(1.0, reset="none")
    assert plain(rule)
    rows = filter_rows(steps, rule)
    rows = {"potential": rows[-1:], "summed": rows.sum(0, keepdim=True)}.get(readout, rows)
    return rows.to(like)


def read_leak(circuit: Circuit) -> float:
    """Return how far potentials of integer neurons may be from their currents' sum: a unit a step, or 0."""
    rule = circuit.read.rule
    return float(circuit.num_steps) if stepped(rule) and not rule.leak.keeps else 0.0


def check_whole_readout(rule: Stepped, last: Signal) -> None:
    """Raise OverflowError where potentials that are read may be cut.

    Until one is, v[t] is Σ_{k≤t} x[k], or at most t units from it where they leak. So if these sums stay within
    the width, with t units to spare, none ever is.
    """
    steps = last.num_steps
    rule.admit(last.magnitude(), steps)
    box = last.steps()
    check_within(float(box.magnitude.max()), rule.current_top, "a sum of currents", "wrap")
    leak = 0 if rule.leak.keeps else steps
    apart = steps // len(box.lower) * box.magnitude.sum(0)
    if float(apart.max()) + leak <= rule.top:  # each step for itself is enough
        return
    sums = last.combine(torch.ones(steps, steps, dtype=torch.float64).tril().to(box.lower.device))
    check_within(float(sums.magnitude.max()) + leak, rule.top, "a potential that is read", "saturate")


def integrating_slack(last: Signal, rows: Tensor, rounding: Rounding) -> Tensor:
    """Return how far the run's potentials, or their sum, may be from the rows' sums of its own x."""
    magnitude = last.magnitude()
    weight = rows.abs().sum(1).reshape(-1, *([1] * magnitude.dim()))
    return integration_slack(magnitude, weight, last.num_steps, rounding)


def largest_margins(differences: Tensor, steps: Box, labels: Tensor) -> Tensor:
    """Return lower bounds of max_t z_y[t] − max_t z_k[t], (batch, classes).

    Args:
        differences: lower bounds of z_y[t] − z_k[t], (T, batch, classes).
        steps: ends of z[t], (T, batch, classes).
        labels: y, (batch,).
    """
    best = steps.lower.amax(0).gather(1, labels[:, None])
    return (best - steps.upper).maximum(differences).amin(0)


def first_spikes(spikes: Signal) -> tuple[Tensor, Tensor]:
    """Return the ends of −τ, (batch, classes) each: exact in any dtype that holds T + 1."""
    rows = torch.ones(spikes.num_steps, spikes.num_steps, dtype=torch.float64).tril()
    counts = spikes.combine(rows.to(spikes.magnitude().device))
    late, early = (counts.lower < 0.5).sum(0), (counts.upper < 0.5).sum(0)
    return -(1.0 + late.double()), -(1.0 + early.double())


FEW_CLASSES = 16
"""Up to so many classes, the differences of all pairs are multiplied at once."""


@dataclass(frozen=True)
class LogitBounds:
    """Proven ends of each logit, (batch, classes), float64; they hold for the run in the network's own dtype."""

    lower: Tensor
    upper: Tensor


@dataclass(frozen=True)
class Propagation(Algebra[Signal]):
    """What is known of each signal of a circuit.

    Attributes:
        source: what is known of the input.
        spikes: what is known of a layer's spikes, from its currents.
        rounding: the dtypes of the run and of the bound.
        exact: nodes whose run gives what one in float64 would (see exact.py).
    """

    reader: ClassVar[str] = "the bounds' propagation"
    answers: ClassVar[frozenset[str]] = frozenset({LEAKY, VARIED, RESTS, START, WHOLE})
    declared: ClassVar[bool] = True
    loops: ClassVar[bool] = True

    source: Signal
    spikes: SpikeBound
    rounding: Rounding
    exact: frozenset[nodes.Node] = field(default=frozenset(), kw_only=True)

    def of(self, node: nodes.Node) -> Rounding:
        """Return what a node's run may stray by."""
        return replace(self.rounding, dtype=torch.float64) if node in self.exact else self.rounding

    def input(self, node: nodes.Input) -> Signal:
        """Return what is known of the input."""
        return self.source

    def mapped(self, node: nodes.Mapped, x: Signal) -> Signal:
        """Return the affine image."""
        return AffineSignal(x, affine_map(node.map, self.rounding.bound), self.of(node))

    def pooled(self, node: nodes.Pooled, x: Signal) -> Signal:
        """Return the maxima."""
        return PooledSignal(x, node.windows, self.rounding)

    def filtered(self, node: nodes.Filtered, x: Signal) -> Signal:
        """Return the filtered signal."""
        return FilteredSignal(x, node.filter, self.rounding)

    def chosen(self, node: nodes.Chosen, *x: Signal) -> Signal:
        """Return the signal of each step."""
        return ChosenSignal(x, self.rounding)

    def added(self, node: nodes.Added, x: Signal, y: Signal) -> Signal:
        """Return the sum of parts that are taken as independent."""
        return SumSignal(x, y, self.of(node))

    def fired(self, node: nodes.Fired, x: Signal) -> Signal:
        """Return what is known of the spikes; a rule that is listed, to its very type, needs no automaton."""
        return self._spikes(x, node.rule, self.of(node))

    def _spikes(self, x: Signal, rule: Rule, rounding: Rounding) -> Signal:
        """Return what is known of the spikes of neurons under a current."""
        if stepped(rule):
            return whole_trains(x, rule, self.rounding)
        if plain(rule):
            return self.spikes(x, rule, rounding)
        if varied(rule):
            return varied_spikes(x, rule, self.spikes, self.rounding)
        if resting(rule):
            return resting_spikes(x, rule, self.rounding)
        assert declared(rule)
        return path_trains(x, rule, self.rounding)

    def recurred(self, node: nodes.Recurred, x: Signal) -> Signal:
        """Return what is known of the spikes of a layer that hears itself; of trains their counts, too."""
        if not plain(node.rule):
            spikes = partial(self._spikes, rule=node.rule, rounding=self.rounding)
            return looping_spikes(x, node, spikes, self.rounding)[1]
        found = recurrent_spikes(x, node, self.spikes, self.rounding)
        return counted(x, node, found, self.rounding) if found.fired else found

    def read(self, node: nodes.Read, x: Signal) -> Signal:
        """Return what the readout reads; `readout_row` says how."""
        return x


def propagate(circuit: Circuit, source: Signal, spikes: SpikeBound, rounding: Rounding) -> list[Signal]:
    """Return what is known of each node of a circuit, in order; the last is what the readout reads."""
    return fold(circuit, Propagation(source, spikes, rounding, exact=circuit.exact))


def logit_bounds(circuit: Circuit, inputs: Box, spikes: SpikeBound) -> LogitBounds:
    """Return bounds of the logits over the input set `inputs`, as `Perturbation.enclosure` gives it."""
    known = signals_of(circuit, inputs, spikes)
    return _read(circuit, known[-1], inputs.lower)


def _read(circuit: Circuit, last: Signal, like: Tensor) -> LogitBounds:
    """Return bounds of the logits that the readout makes of `last`; rows are made in the dtype of `like`."""
    rounding = Rounding.of(circuit)
    check_readout(circuit, last, rounding)
    if circuit.read.readout == "first":
        return LogitBounds(*first_spikes(last))
    rows = readout_rows(circuit, like)
    box = last.combine(rows)
    slack = reading_slack(box.magnitude, rounding)
    if circuit.read.rule is not None:  # the recursion's own rounding, of spikes, too
        slack = slack + integrating_slack(last, rows, rounding) + read_leak(circuit)
    return LogitBounds((box.lower - slack).amax(0), (box.upper + slack).amax(0))


def margin_bounds(
    circuit: Circuit, inputs: Box, labels: Tensor, spikes: SpikeBound, quick: bool = False
) -> Tensor:
    """Return lower bounds of logit_y − logit_k for every class k, (batch, classes), float64; +inf at k = y.

    Where a dense map is last, its rows are subtracted before the bound is taken: (W_y − W_k)·x, not two
    logits' boxes. With `quick`, hidden layers are bounded in float32 where the run is no finer and the set is a
    plain box (a ball's center and flips stay in float64): sound as it is, wider by the rounding of float32.
    """
    return known_margins(circuit, signals_of(circuit, inputs, spikes, quick), labels, inputs.lower)


def signals_of(circuit: Circuit, inputs: Box, spikes: SpikeBound, quick: bool = False) -> list[Signal]:
    """Return what is known of each node over the input set; `quick` as in `margin_bounds`."""
    signal, rounding = input_signal(circuit, inputs), Rounding.of(circuit)
    if quick and _ends_dense(circuit) and circuit.dtype != torch.float64 and _plain(signal):
        rounding = replace(Rounding.of(circuit), bound=torch.float32)
        signal = InputSignal(signal.box.outward(rounding.bound), signal.num_steps)
    return propagate(circuit, signal, spikes, rounding)


def known_margins(circuit: Circuit, known: list[Signal], labels: Tensor, like: Tensor) -> Tensor:
    """Return the same from what is known of each node; rows are made in the dtype of `like`, float64."""
    last, run = circuit.last, Rounding.of(circuit)
    if isinstance(last, nodes.Mapped) and isinstance(last.map, DenseMap):
        check_readout(circuit, known[-1], run)
        rows, before = readout_rows(circuit, like), known[last.sources[0]]
        lower = torch.stack([_difference(last.map, before, row, labels, run) for row in rows.split(1)])
        if circuit.read.readout == "largest":
            lower = largest_margins(lower, logit_steps(known[-1], rows, run), labels)[None]
        lower = lower.squeeze(0) - 2 * read_leak(circuit)
    else:
        lower = _read_margins(circuit, known[-1], labels, like)
    return lower.scatter(1, labels[:, None], torch.inf)


@dataclass(frozen=True)
class RowEnds:
    """What is known of k·y for some rows k of coefficients on the logits y.

    Attributes:
        lower: a bound from below, (batch, rows), in plain float64.
        size: the sum of moduli that it is made of: `lower` may be off by a few units in the last place of it.
        points: logits that are known exactly, as the run holds them, NaN elsewhere, (batch, classes); None: of
            neither counts nor whole numbers.
    """

    lower: Tensor
    size: Tensor
    points: Tensor | None = None


def known_rows(circuit: Circuit, known: list[Signal], rows: Tensor, like: Tensor) -> RowEnds:
    """Return bounds of rows (batch, R, classes) of the logits, from what is known of each node."""
    last, run = circuit.last, Rounding.of(circuit)
    summed = circuit.read.readout not in ("largest", "first")
    if isinstance(last, nodes.Mapped) and isinstance(last.map, DenseMap) and summed:
        check_readout(circuit, known[-1], run)
        row = readout_rows(circuit, like)
        ends = _dense_rows(last.map, known[last.sources[0]], row, rows, run, read_leak(circuit))
        return replace(ends, points=_known(_whole(circuit, known[-1], like))) if circuit.whole else ends
    bounds = _whole(circuit, known[-1], like)
    if circuit.read.readout == "spikes" and circuit.num_steps * torch.finfo(circuit.dtype).eps <= 2**-6:
        bounds = _counted(bounds, circuit)
    low, high = bounds.lower[:, None], bounds.upper[:, None]
    lower = (rows.clamp_min(0) * low + rows.clamp_max(0) * high).sum(2)
    points = _known(bounds) if circuit.whole or circuit.read.readout in ("spikes", "first") else None
    return RowEnds(lower, (rows.abs() * high.maximum(-low)).sum(2), points)


def _known(bounds: LogitBounds) -> Tensor:
    """Return the logits of which both ends are one number, NaN elsewhere."""
    return torch.where(bounds.lower == bounds.upper, bounds.lower, torch.nan)


def _whole(circuit: Circuit, last: Signal, like: Tensor) -> LogitBounds:
    """Return bounds of the logits; whole ends of whole ones, which a run holds as they are (circuit/whole.py)."""
    bounds = _read(circuit, last, like)
    if not circuit.whole or circuit.read.readout == "spikes":  # whose counts are divided by T
        return bounds
    return LogitBounds(bounds.lower.ceil(), bounds.upper.floor())


def _counted(bounds: LogitBounds, circuit: Circuit) -> LogitBounds:
    """Return ends moved to the least and the greatest fl(c/T) that lie between them; see `Goal.tightened`.

    A run's logit is fl(c/T) or fl(c·fl(1/T)), within ε of c/T: where it is at least m, c ≥ (m − 8ε)·T. Both of the
    numbers that it may be are looked at, in the run's dtype.
    """
    steps, unit = circuit.num_steps, torch.finfo(circuit.dtype).eps
    least = ((bounds.lower - 8 * unit) * steps).ceil().clamp(0, steps)
    most = ((bounds.upper + 8 * unit) * steps).floor().clamp(0, steps)

    def held(count: Tensor) -> tuple[Tensor, Tensor]:
        """Return both numbers that the run may hold for a count."""
        exact = count.to(circuit.dtype)
        return (exact / steps).double(), (exact * (1.0 / torch.ones_like(exact).mul(steps))).double()

    return LogitBounds(held(least)[0].minimum(held(least)[1]), held(most)[0].maximum(held(most)[1]))


def _dense_rows(
    layer: DenseMap, before: Signal, row: Tensor, rows: Tensor, rounding: Rounding, leak: float
) -> RowEnds:
    """Return k·y for y = W·x + b, x = Σ_t row[t]·before[t]: (k·W)·x is bounded, not the logits one by one.

    Each logit of the run strays from its exact value by at most γ·(|W|·|x| + |b|)·Σ|row|, as in `_difference`. k·W
    and its product are computed in float64, with γ_{m+n} of the sum of all moduli |k|·(|W|·|x| + |b|): paid by a
    second slack of as many more terms.
    """
    last: AffineMap = affine_map(layer)
    combined = before.combine(row)
    box = Box(combined.lower.double(), combined.upper.double())
    weight = layer.to(torch.float64).weight
    middle = last.linear(box.middle[0]) + last.bias * row.sum()
    steps, moduli, own = before.num_steps, row.abs().sum(), Rounding(torch.float64)
    magnitude = before.magnitude().double()
    slack = last.slack(magnitude, rounding, over_time(steps)) + last.slack(
        magnitude, own, over_time(steps) + 2 * len(weight) + 20
    )
    slack = (slack * moduli + vanished(steps, rounding) + leak).expand_as(middle)
    joint = rows @ weight
    spread = (joint.abs() @ box.radius[0][:, :, None]).squeeze(2)
    value = (rows * middle[:, None]).sum(2) - spread - (rows.abs() * slack[:, None]).sum(2)
    size = (rows.abs() * (middle.abs() + slack)[:, None]).sum(2) + spread
    return RowEnds(value, size)


def _ends_dense(circuit: Circuit) -> bool:
    """Return whether a dense map is the last node."""
    return isinstance(circuit.last, nodes.Mapped) and isinstance(circuit.last.map, DenseMap)


def _read_margins(circuit: Circuit, last: Signal, labels: Tensor, like: Tensor) -> Tensor:
    """Return lower bounds of logit_y − logit_k from the logits' boxes and, for counts, from pairs of neurons."""
    bounds = _read(circuit, last, like)
    lower = bounds.lower.gather(1, labels[:, None]) - bounds.upper
    if circuit.read.readout != "spikes":
        return lower
    return last.margins(labels, lower, Rounding.of(circuit))


def _plain(signal: InputSignal) -> bool:
    """Return whether the input set is a box and nothing else."""
    return type(signal) is InputSignal and signal.box.center is None


def input_signal(circuit: Circuit, inputs: Box) -> InputSignal:
    """Return what enters the first layer: (1, batch, ...) under direct coding, (T, batch, ...) otherwise."""
    source = circuit.source
    check_reach(circuit, inputs)
    if source.draws is not None:
        return rate_trains(inputs, source.draws.thresholds(circuit.num_steps, tuple(inputs.lower.shape[1:])))
    arrange = circuit.arranged
    center = None if inputs.center is None else arrange(inputs.center)
    ball = None if inputs.ball is None else inputs.ball.reshape(1)
    budget = None if inputs.budget is None else inputs.budget.moved(arrange)
    return InputSignal(Box(arrange(inputs.lower), arrange(inputs.upper), center, ball, budget), circuit.num_steps)


def check_reach(circuit: Circuit, inputs: Box) -> None:
    """Raise OverflowError for inputs beyond those for which the source of a network is known."""
    limit = circuit.allowance.limit
    if limit < math.inf and not max(float(inputs.upper.max()), -float(inputs.lower.min())) <= limit:
        raise OverflowError(f"inputs may be beyond {limit:.4g}, where the source's own numbers may overflow")


def logit_steps(last: Signal, rows: Tensor, rounding: Rounding) -> Box:
    """Return where each step's potential, or output, lies in the run, (T, batch, classes)."""
    box = last.combine(rows)
    slack = reading_slack(box.magnitude, rounding) + integrating_slack(last, rows, rounding)
    return Box((box.lower - slack).double(), (box.upper + slack).double())


def check_readout(circuit: Circuit, last: Signal, rounding: Rounding) -> None:
    """Raise OverflowError where the readout may overflow: the last potential, or a sum over time before the mean.

    Args:
        circuit: the network.
        last: what its readout takes.
        rounding: the dtype of the run.
    """
    rule = circuit.read.rule
    if rule is None:
        _check_sums(last, rounding)
        return
    if stepped(rule):
        check_whole_readout(rule, last)
        return
    assert plain(rule)
    times = circuit.num_steps if circuit.read.readout == "summed" else 1
    factors = times * sum(map(abs, rule.factors(circuit.num_steps)))
    check_potential(factors * float(last.magnitude().max()), rounding, "the readout")


def _check_sums(signal: Signal, rounding: Rounding) -> None:
    """Check the sum over time of a signal, and of those it is made of: the mean may be taken of any."""
    check_potential(signal.num_steps * float(signal.magnitude().max()), rounding, "the readout")
    if isinstance(signal, AffineSignal):
        _check_sums(signal.source, rounding)
    elif isinstance(signal, SumSignal):
        _check_sums(signal.first, rounding)
        _check_sums(signal.second, rounding)


def _difference(layer: DenseMap, before: Signal, row: Tensor, labels: Tensor, rounding: Rounding) -> Tensor:
    """Return the lower bound of (W_y − W_k)·x + (b_y − b_k) over the box of x = Σ_t row[t]·before[t].

    Each logit of the run strays from its exact value by at most γ·(|W|·|x| + |b|)·Σ|row|: once for y, once for k.
    """
    last: AffineMap = affine_map(layer)
    combined = before.combine(row)
    box = Box(combined.lower.double(), combined.upper.double())
    weight = layer.to(torch.float64).weight
    middle = last.linear(box.middle[0]) + last.bias * row.sum()
    steps, moduli = before.num_steps, row.abs().sum()
    slack = last.slack(before.magnitude().double(), rounding, over_time(steps)) * moduli
    slack = slack + vanished(steps, rounding)
    slack = slack.expand_as(middle)
    spread = _label_spread(weight, box.radius[0], labels)
    gap = middle.gather(1, labels[:, None]) - middle
    return gap - spread - slack - slack.gather(1, labels[:, None])


def _label_spread(weight: Tensor, radius: Tensor, labels: Tensor) -> Tensor:
    """Return Σ_j |W_yj − W_kj|·radius_j for each class k: one product for all labels, or, where classes are many,
    one for each label."""
    classes = len(weight)
    if classes <= FEW_CLASSES:
        pairs = (weight[:, None] - weight).abs_().flatten(0, 1)
        rows = torch.arange(len(labels), device=labels.device)
        return (radius @ pairs.T).unflatten(1, (classes, classes))[rows, labels]
    spread = radius.new_empty(len(radius), classes)
    for label in labels.unique():
        chosen = labels == label
        spread[chosen] = radius[chosen] @ (weight[label] - weight).abs().T
    return spread
