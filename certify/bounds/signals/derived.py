"""Signals that are made of others: steps of several, maxima of windows, and what a synapse filters.

What is known of a signal whose steps come from several: y[t] = x_t[t], as of layers of their own at each step.

A sum Σ_t r[t]·y[t] is Σ_t (r[t]·e_t)·x_t, e_t the t-th unit vector over time: each x_t answers for its own
step. What trains of spikes say of several steps at once is lost by that.

Rounding. Nothing is computed at a step: y[t] is what the run has of x_t[t]. A sum over time of the run's y rounds
T times, and the sum of T ends here T times in the bound's dtype, both of terms whose moduli add up to Σ|r|·M,
M ≥ |y|: γ_{4T+8}·Σ|r|·M pays for both, besides what each x_t pays for itself.

What is known of the greatest entries of windows, y[t] = max_j x_j[t], from what is known of x.

A maximum grows with each of its entries, so its ends are the maxima of ends, exactly; it never rounds. Of a sum
over time with weights r ≥ 0 the trains of x say more than its steps do:

    max_j Σ_t r[t]·x_j[t] ≤ Σ_t r[t]·max_j x_j[t] ≤ Σ_j Σ_t r[t]·x_j[t], the latter where x ≥ 0,

since the maximum is at least each entry, at each step, and of numbers ≥ 0 at most their sum. A row of mixed signs
is the difference of two such sums.

What is known of a signal that a synapse filters, i[t] = κ·i[t−1] + x[t−d], from what is known of x.

A filter is an affine map over time, i = H·x. So Σ_t r[t]·i[t] = Σ_k (Hᵀr)[k]·x[k]: what the spike trains of x say
of several steps at once holds behind it, too.

Rounding. The run computes î[t] = fl(fl(κ̂·î[t−1]) + x̂[t−d]), κ̂ = fl(κ). With X ≥ |x̂|, M ≥ |î| and η for underflow,
each step strays from κ·î[t−1] + x̂[t−d] by |e[t]| ≤ 3.01u·κM + u·(κM + X) + η ≤ E = 8u·(κM + X) + η. The recursion
is linear, so î = H·x̂ + K·e with K[t,k] = κ^{t−k}, and |î − H·x̂| ≤ E·S, S = Σ_{n<T} κ^n. M = (1 + γ_{4T})·S·(X + η)
holds, since |î[t]| ≤ (1 + u)³·(κ·|î[t−1]| + X + η). A sum over time of the run's i takes T + 1 roundings more, and
here Hᵀr, of powers with two roundings each, and the source's own sum take 2T + 10 of the bound's dtype:
γ_{4T+8}·Σ|r|·M covers both, as Σ_k |Hᵀr|[k]·X ≤ Σ|r|·M. The same pays for i[a], |i[a]| ≤ Σ_{n<a} κ^n·X, and a
window behind it (`windowed`): 2T + 9 roundings of terms that together are those of Hᵀr. A pure delay, κ = 0, moves
numbers and rounds none.

Step by step. Where nothing is known of x but the box of each step, sums know no more of i than the recursion of
boxes [i[t]] = κ·[i[t−1]] + [x[t−d]] ± E does, T sums in place of T² products. The run's step is within 4.01u·(κM +
X) + η of κ·î[t−1] + x̂[t−d], which lie in those boxes; their middle and radius, at most κM + X large, take 7
roundings of the bound's. E pays for both, with the M and X of the step's own boxes.

A signal whose features are known in parts: each kind of neuron of a layer by itself.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, reduce

import torch
from torch import Tensor

from ....models.elements.layers import MaxWindows
from ....models.elements.synapses import TemporalFilter
from ....models.rules import Leaky
from ...rounding import Rounding, filter_error, filtered_size, over_time, product_error, weighted_slack
from .affine import AffineMap, fold
from .signals import AffineSignal, DerivedSignal, Signal
from .windows import Box, Spans, Spread, delayed


@dataclass(frozen=True)
class ChosenSignal(Signal):
    """y[t] = x_t[t] for T signals; never taken for constant."""

    sources: tuple[Signal, ...]
    rounding: Rounding

    constant = False

    @property
    def num_steps(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return T."""
        return len(self.sources)

    def steps(self) -> Box:
        """Return the box of each step, of its own signal."""
        boxes = [(t, source.steps()) for t, source in enumerate(self.sources)]
        ends = [(box.lower[t % len(box.lower)], box.upper[t % len(box.upper)]) for t, box in boxes]
        lower, upper = (torch.stack(end) for end in zip(*ends, strict=True))
        return Box(lower, upper)

    def combine(self, rows: Tensor) -> Box:
        """Return the sum of what each signal says of its own step, rounding paid."""
        rows = rows.to(self.rounding.bound)
        parts = (source.combine(self._own(rows, t)) for t, source in enumerate(self.sources))
        box = reduce(lambda one, other: one + other, (Box(part.lower, part.upper) for part in parts))
        slack = self.slack * rows.abs().sum(1).reshape(-1, *([1] * self.slack.dim()))
        return Box(box.lower - slack, box.upper + slack)

    def _own(self, rows: Tensor, t: int) -> Tensor:
        """Return rows of one step alone."""
        own = torch.zeros_like(rows)
        own[:, t] = rows[:, t]
        return own

    @property
    def slack(self) -> Tensor:
        """Return what a sum over time adds to each unit of weight."""
        return weighted_slack(self.magnitude(), self.num_steps, self.rounding)

    def magnitude(self) -> Tensor:
        """Return the greatest of all signals, at whatever step."""
        return reduce(torch.maximum, (source.magnitude() for source in self.sources))


@dataclass(frozen=True)
class PooledSignal(DerivedSignal):
    """y[t] = max over each window of x[t], for a signal x.

    Where the ends become middle and radius for a layer that fires, they take four roundings of the bound's dtype;
    what such a layer pays for its own recursion, 8u·(|a·I| + …), has room for them beside its own three.
    """

    windows: MaxWindows
    rounding: Rounding

    @property
    def binary(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return whether the source is."""
        return self.source.binary

    def steps(self) -> Box:
        """Return the maxima of the ends."""
        box = self.source.steps()
        return Box(self._largest(box.lower), self._largest(box.upper))

    def combine(self, rows: Tensor) -> Box:
        """Return the ends of the sums over time, from steps and from the source's own sums, rounding paid."""
        rows = rows.to(self.rounding.bound)
        found = self._weighted(rows.clamp_min(0))
        if bool((rows < 0).any()):
            less = self._weighted(rows.clamp_max(0).neg())
            found = Box(found.lower - less.upper, found.upper - less.lower)
        magnitude = self.magnitude()
        weight = rows.abs().sum(1).reshape(-1, *([1] * magnitude.dim()))
        slack = weighted_slack(magnitude * weight, self.num_steps, self.rounding)
        return Box(found.lower - slack, found.upper + slack)

    def magnitude(self) -> Tensor:
        """Return the maxima of the source's moduli."""
        return self.windows.largest(self.source.magnitude())

    def _weighted(self, rows: Tensor) -> Box:
        """Return the ends of Σ_t rows[k,t]·y[t] for rows ≥ 0."""
        ends = self.source.steps()
        lower, upper = self._largest(ends.lower), self._largest(ends.upper)
        if self.constant:
            return Box(lower[0], upper[0]).scaled(rows.sum(1))
        lower, upper = torch.tensordot(rows, lower, 1), torch.tensordot(rows, upper, 1)
        sums = self.source.combine(rows)
        lower = lower.maximum(self._largest(sums.lower))
        if float(ends.lower.min()) >= 0:
            upper = upper.minimum(self._total(sums.upper))
        return Box(lower, upper)

    def _largest(self, rows: Tensor) -> Tensor:
        return fold(self.windows.largest, rows)

    def _total(self, rows: Tensor) -> Tensor:
        """Return the sums of windows of sums over time, all ≥ 0, with the rounding of both."""
        found = fold(self.windows.total, rows)
        return found * (1.0 + product_error(over_time(self.num_steps), self.rounding, self.windows.count))


@dataclass(frozen=True)
class FilteredSignal(DerivedSignal):
    """i = H·x for a signal x; never taken for constant, though a delay of 0 and κ = 0 would leave it so."""

    filter: TemporalFilter
    rounding: Rounding

    @property
    def constant(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return False."""
        return False

    @property
    def apart(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return whether the steps of the source are."""
        return self.source.apart

    def steps(self) -> Box:
        """Return the box of i[t] for each t: of sums of x, of its boxes, or of a delay its own steps, moved."""
        if not self.filter.moves and self.apart:
            return self.spread().box
        if not self.filter.moves:
            return self.combine(torch.eye(self.num_steps).to(self._largest))
        box, waits = self.source.steps(), min(self.filter.delay, self.num_steps)
        return Box(self._moved(box.lower, waits), self._moved(box.upper, waits))

    def spread(self) -> Spread:
        """Return the steps; of independent steps by a recursion of their boxes."""
        if self.filter.moves or not self.apart:
            return self.steps().spread
        entering = self.source.spread()
        boxes = FilteredBoxes.of(self.filter, self.num_steps, entering.middle[:1], self.rounding)
        parts = zip(entering.middle.split(1), entering.radius.split(1), strict=True)
        found = [boxes.after(Spread(*part)) for part in parts]
        return Spread(torch.cat([each.middle for each in found]), torch.cat([each.radius for each in found]))

    def combine(self, rows: Tensor) -> Box:
        """Return the source's combination by rows·H, rounding paid."""
        rows = rows.to(self.rounding.bound)
        through = rows.double() @ self.filter.rows(self.num_steps).to(rows.device)
        return self._widened(self.source.combine(through.to(rows)), rows.abs().sum(1))

    def windowed(self, asked: Spans, ends: range) -> Box:
        """Return the sum of what is left of i[a], its box, and of the source's window behind it, rounding paid.

        Where windows are as long as T, or weigh steps differently, each is asked for by itself: that joins both.
        """
        filter = self.filter
        if filter.moves:
            return self._widened(delayed(self.source.windowed, asked, ends, filter.delay), asked.sums(ends)[1])
        if asked.longest == self.num_steps or bool((asked.factors != 1.0).any()):
            return super().windowed(asked, ends)
        through, left = asked.through(filter.decay)
        box = delayed(self.source.windowed, through, ends, filter.delay)
        last, age = (place.to(box.lower.device) for place in asked.places(ends))
        before, known = last - age - 1, self._stepwise
        weight = left.to(box.lower)[age].view(-1, *([1] * (box.lower.dim() - 1)))
        weight = weight * (before > 0).to(weight).view(weight.shape)
        at = (before - 1).clamp_min(0)
        box = Box(box.lower + weight * known.lower[at], box.upper + weight * known.upper[at])
        return self._widened(box, asked.sums(ends)[1])

    @cached_property
    def _stepwise(self) -> Box:
        return self.steps()

    def _widened(self, box: Box, moduli: Tensor) -> Box:
        """Return a sum of i by rows of such moduli, rounding paid."""
        slack = self.slack * moduli.to(self.rounding.bound).reshape(-1, *([1] * self.slack.dim()))
        return Box(box.lower - slack, box.upper + slack)

    def magnitude(self) -> Tensor:
        """Return M, or max |x| for a delay."""
        return self._largest

    @cached_property
    def slack(self) -> Tensor:
        """Return how far the run's i may be from H·x of the run's own x at each step, its share of a sum included.

        Raises:
            OverflowError: where the run may overflow its dtype.
        """
        sums = weighted_slack(self._largest, self.num_steps, self.rounding)
        if self.filter.moves:
            return sums
        error = filter_error(self.filter.decay, self._largest, self.source.magnitude(), self.rounding)
        return sums + error * self.filter.gain(self.num_steps)

    @cached_property
    def _largest(self) -> Tensor:
        size = self.source.magnitude()
        if self.filter.moves:
            return size
        return filtered_size(size, self.filter.gain(self.num_steps), self.num_steps, self.rounding)

    def _moved(self, ends: Tensor, waits: int) -> Tensor:
        ends = ends.expand(self.num_steps, *ends.shape[1:])
        return torch.cat((torch.zeros_like(ends[:waits]), ends[: self.num_steps - waits]))


@dataclass
class FilteredBoxes:
    """Boxes of i, step by step.

    Attributes:
        decay: κ.
        waiting: the boxes of x of the last d steps.
        state: the box of i.
        rounding: the dtypes of the run and of the bound.
    """

    decay: float
    waiting: list[Spread]
    state: Spread
    rounding: Rounding

    @staticmethod
    def of(filter: TemporalFilter | None, steps: int, like: Tensor, rounding: Rounding) -> "FilteredBoxes":
        """Return those before the first of T steps, of entries as in `like`, (1, batch, ...)."""
        silent = torch.zeros_like(like)
        nothing = Spread(silent, silent)
        if filter is None:
            return FilteredBoxes(0.0, [], nothing, rounding)
        return FilteredBoxes(filter.decay, [nothing] * min(filter.delay, steps), nothing, rounding)

    def after(self, current: Spread) -> Spread:
        """Return the box of i[t] from that of x[t]; M and X of E are those of the step's own boxes."""
        self.waiting.append(current)
        entering, before = self.waiting.pop(0), self.state
        if self.decay:
            left = Spread(self.decay * before.middle, self.decay * before.radius)
            most = left.middle.abs() + left.radius + entering.middle.abs() + entering.radius
            error = filter_error(0.0, most, most, self.rounding)
            entering = Spread(left.middle + entering.middle, left.radius + entering.radius + error)
        self.state = entering
        return entering


@dataclass(frozen=True)
class SharedSignal(DerivedSignal):
    """A signal that several readers ask the same of: what was found is kept."""

    @property
    def plain(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return whether the source's box is uncut."""
        return self.source.plain

    @property
    def binary(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return whether the source is."""
        return self.source.binary

    @cached_property
    def _steps(self) -> Box:
        return self.source.steps()

    @cached_property
    def _spread(self) -> Spread:
        return self.source.spread()

    @cached_property
    def _magnitude(self) -> Tensor:
        return self.source.magnitude()

    def steps(self) -> Box:
        """Return the source's steps."""
        return self._steps

    def spread(self) -> Spread:
        """Return copies of the source's."""
        return Spread(self._spread.middle.clone(), self._spread.radius.clone())

    def combine(self, rows: Tensor) -> Box:
        """Return the source's own."""
        return self.source.combine(rows)

    def filtered(self, rule: Leaky) -> Box:
        """Return the source's own."""
        return self.source.filtered(rule)

    def windowed(self, asked: Spans, ends: range) -> Box:
        """Return the source's own."""
        return self.source.windowed(asked, ends)

    def magnitude(self) -> Tensor:
        """Return the source's magnitude."""
        return self._magnitude


def chosen(signal: Signal, places: Tensor, rounding: Rounding) -> AffineSignal:
    """Return some features of a signal, flattened: a map that only renames coordinates, and drops the others.

    Args:
        signal: any.
        places: among its flattened features.
        rounding: the dtypes of the run and of the bound.
    """
    behind = signal.source if isinstance(signal, SharedSignal) else signal
    if isinstance(behind, AffineSignal) and behind.map.weights is not None and behind.magnitude().dim() == 2:
        return AffineSignal(behind.source, _rows(behind.map, places), rounding)
    return AffineSignal(signal, _moving(lambda x: x.flatten(1)[:, places.to(x.device)]), rounding)


def _rows(layer: AffineMap, places: Tensor) -> AffineMap:
    """Return some rows of a Linear layer, which rounds each of its outputs by itself."""
    assert layer.weights is not None
    weight, modulus = (matrix[places.to(matrix.device)] for matrix in layer.weights)

    def some(values: Tensor) -> Tensor:
        return values.expand(*values.shape[:-1], layer.weights[0].shape[0])[..., places.to(values.device)]  # type: ignore[index]

    products = layer.products
    return replace(
        layer,
        linear=lambda x: x @ weight.T,
        absolute=lambda x: x @ modulus.T,
        squared=lambda x: some(layer.squared(x)),
        bias=some(layer.bias),
        bias_magnitude=some(layer.bias_magnitude),
        products=None if products is None else lambda x: products(x)[:, places.to(x.device)],
        weights=(weight, modulus),
    )


def placed(places: Tensor, features: torch.Size) -> AffineMap:
    """Return the map that puts flat features at their places among zeros: the adjoint of `chosen`."""

    def spread_out(x: Tensor) -> Tensor:
        flat = x.new_zeros(len(x), features.numel())
        return flat.index_copy(1, places.to(x.device), x).unflatten(1, features)

    return _moving(spread_out)


def _moving(move: Callable[[Tensor], Tensor]) -> AffineMap:
    nothing = torch.zeros(())
    return AffineMap(move, move, move, nothing, nothing, terms=1, reshapes=True)


@dataclass(frozen=True)
class JoinedSignal(Signal):
    """Parts of one signal, each about some of its features; together they are all of them, each once.

    Attributes:
        parts: signals of flat features.
        places: of each part's features among all.
        features: the shape of one sample.
    """

    parts: tuple[Signal, ...]
    places: tuple[Tensor, ...]
    features: torch.Size
    constant: bool = False

    @property
    def num_steps(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return T."""
        return self.parts[0].num_steps

    @property
    def binary(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return whether all parts are."""
        return all(part.binary for part in self.parts)

    @cached_property
    def _order(self) -> Tensor:
        """Return where each feature is among those of all parts in a row."""
        return torch.cat(self.places).argsort()

    def steps(self) -> Box:
        """Return each part's steps."""
        return self._joined([part.steps() for part in self.parts])

    def spread(self) -> Spread:
        """Return each part's steps as middle and radius."""
        found = [part.spread() for part in self.parts]
        return Spread(self._all([each.middle for each in found]), self._all([each.radius for each in found]))

    def combine(self, rows: Tensor) -> Box:
        """Return each part's ends."""
        return self._joined([part.combine(rows) for part in self.parts])

    def filtered(self, rule: Leaky) -> Box:
        """Return each part's ends."""
        return self._joined([part.filtered(rule) for part in self.parts])

    def windowed(self, asked: Spans, ends: range) -> Box:
        """Return each part's ends."""
        return self._joined([part.windowed(asked, ends) for part in self.parts])

    def magnitude(self) -> Tensor:
        """Return each part's magnitude."""
        found = [part.magnitude() for part in self.parts]
        batch = max(map(len, found))
        return self._all([each.expand(batch, len(places))[None] for each, places in self._pairs(found)])[0]

    def _pairs(self, found: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
        return list(zip(found, self.places, strict=True))

    def _joined(self, found: list[Box]) -> Box:
        return Box(self._all([box.lower for box in found]), self._all([box.upper for box in found]))

    def _all(self, found: list[Tensor]) -> Tensor:
        """Return what is known of each part, (k, batch, part), as of all features, (k, batch, ...)."""
        together = torch.cat(found, 2)
        return together.index_select(2, self._order.to(together.device)).unflatten(2, self.features)
