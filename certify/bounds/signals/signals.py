"""What is known of a signal x[t], t = 1..T, under a perturbation: sets that answer linear questions over time.

Every later layer asks the same two questions of the layer before it: where is x[t] (`steps`), and where is
Σ_t rows[k,t]·x[t] (`combine`)? An affine layer passes the question on, since it commutes with sums over time;
a spiking layer answers it from what it knows of its spike trains.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ....kernels.graph import TabledLayer, long_kernel
from ....models.rules import Leaky
from ...rounding import Rounding, euclidean, over_rows, sum_magnitude, sum_slack
from ..events.flips import Heaviest
from .affine import AffineMap, Images
from .windows import Box, Spans, Spread

MOST_SIZE = 1e290
"""The greatest current, times T, of which the kernel is asked: nothing overflows on the way."""


class Signal(ABC):
    """A set of signals over T steps, each (batch, ...)."""

    num_steps: int
    constant: bool
    plain: bool = True
    """Whether no ball and no budget cuts the box of `steps`."""
    binary: bool = False
    """Whether each x[t] is 0 or 1, and middle and radius are exactly 0, ½ or 1."""
    fired: bool = False
    """Whether they are spikes of a layer that fires, known as `Trains`."""
    tabled: Any = None
    """These trains, where they are rows of a table (F1) and no more."""
    by_table: TabledLayer | None = None
    """A dense layer behind such trains, whose windows a kernel finds."""
    apart: bool = False
    """Whether nothing is known of several steps that the boxes of each of them do not say."""

    @abstractmethod
    def steps(self) -> Box:
        """Return the box of x[t] for each t, (T, batch, ...); of x alone, (1, batch, ...), if constant."""

    def spread(self) -> Spread:
        """Return `steps` as middle and radius, one rounding each, in new tensors that the caller may overwrite."""
        return self.steps().spread

    def sized(self) -> tuple[Spread, Tensor]:
        """Return `spread`, and `magnitude`, or what it is of each step, (T, batch, ...)."""
        spread = self.spread()
        return spread, spread.middle + spread.radius if self.binary else self.magnitude()

    @abstractmethod
    def combine(self, rows: Tensor) -> Box:
        """Return the box of Σ_t rows[k,t]·x[t] for each row k, (k, batch, ...); `rows` is (k, T).

        It is computed in the dtype of `rows`; an affine signal computes in its map's, and pays for it.
        """

    def filtered(self, rule: Leaky) -> Box:
        """Return the box of Σ_{k≤t} λ^{t−k}·a[k]·x[k] for each t, (T, batch, ...): what `rule` sums up."""
        return self.combine(filter_rows(self.num_steps, rule))

    def windowed(self, asked: Spans, ends: range) -> Box:
        """Return the box of each window of `ends`, in the order of `asked.rows`, (windows, batch, ...)."""
        return self.combine(asked.rows(ends))

    def balance(self, rule: Leaky) -> "Balance | None":
        """Return what is known of spikes filtered as a reader of `rule` does; None where nothing balances."""
        return None

    def margins(self, labels: Tensor, known: Tensor, rounding: Rounding) -> Tensor:
        """Return lower bounds of x_y − x_k in the mean over time, (batch, classes), no worse than the `known`."""
        return known

    @property
    def rows(self) -> Any:
        """Return the rows of a table that these are (F1), as trains know them; None where they are none."""
        return None

    @property
    def numbers(self) -> int:
        """Return about how many numbers are made of each feature to find what is known."""
        return self.num_steps**2

    @abstractmethod
    def magnitude(self) -> Tensor:
        """Return a bound of |x[t]| for every t, broadcastable to (batch, ...), and 0 only where all x[t] are."""


SpikeBound = Callable[[Signal, Leaky, Rounding], Signal]
"""Turns what is known of a layer's input currents into what is known of its spikes."""


@dataclass(frozen=True)
class Balance:
    """What came into a layer that subtracts, and what is left of it: d·S[t] = L[t] − u[t] (see automaton.py).

    Attributes:
        train: ends of the filtered trains S[t], (T, batch, ...).
        potential: ends of the potentials u[t] that are left, (T, batch, ...).
        current: the layer's input currents.
        rule: of the layer.
        slack: what the run's recursion may add to each scaled current, (batch, ...).
    """

    train: Box
    potential: Box
    current: Signal
    rule: Leaky
    slack: Tensor


def filter_rows(steps: int, rule: Leaky) -> Tensor:
    """Return row t: λ^{t−k}·a[k] for k ≤ t and 0 behind, (T, T), float64."""
    powers = rule.decay ** torch.arange(steps, dtype=torch.float64)
    rows = torch.cat((powers.flip(0), powers.new_zeros(steps - 1))).unfold(0, steps, 1).flip(0)
    return rows * torch.tensor(rule.factors(steps), dtype=torch.float64)


@dataclass(frozen=True)
class InputSignal(Signal):
    """The network's input: `box` is (1, batch, ...) under direct coding, (T, batch, ...) otherwise."""

    box: Box
    num_steps: int

    @property
    def constant(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return whether the input is the same at every step."""
        return len(self.box.lower) == 1

    @property
    def plain(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return whether the input set is a box and nothing else."""
        return self.box.center is None

    @property
    def apart(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return whether each step has a box of its own, and nothing else."""
        return self.plain and not self.constant

    @property
    def rank(self) -> Tensor | None:
        """Return in which order a feature's spikes come as its input grows, (T, ...); None without one."""
        return None

    def steps(self) -> Box:
        """Return the box itself; each step has the whole budget."""
        budget = self.box.budget
        if budget is None:
            return self.box
        return replace(self.box, budget=budget.of_rows(torch.eye(len(self.box.lower), dtype=torch.float64)))

    def combine(self, rows: Tensor) -> Box:
        """Return the exact image of the box (and of the ball and the budget, where there are any)."""
        if self.constant:
            return _combined(self.box[0].scaled(rows.sum(1)), self.box, rows.sum(1, keepdim=True))
        return _combined(self.box.combined(rows), self.box, rows)

    def magnitude(self) -> Tensor:
        """Return max |x| over the box and over time."""
        return self.box.magnitude.amax(0)

    def least(self, costs: Tensor, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Return a lower bound of Σ_t costs[t]·x[t] over the input set, (S,), and the input where it lies.

        Over a box it is attained at a corner; over box ∩ ball it is at least the greater of the two minima; of a
        budget of changes see `Budget.least`.

        Args:
            costs: (T, S, ...).
            samples: which sample each of the S rows is about, (S,).

        Returns:
            The bound, and inputs (1 or T, S, ...).
        """
        if self.constant:
            costs = costs.sum(0, keepdim=True)
        box = self.box
        low, high = box.lower[:, samples], box.upper[:, samples]
        inputs = torch.where(costs > 0, low, high)
        value = _cost(costs, inputs)
        if box.center is None:
            return value, inputs
        center = box.center[:, samples]
        if box.budget is not None:
            least, changed = box.budget.moved(lambda marks: marks[:, samples]).least(costs, center)
            corner = (value > least).view(-1, *([1] * (costs.dim() - 2)))
            return value.maximum(least), torch.where(corner, inputs, changed)
        assert box.ball is not None
        length = euclidean(costs.movedim(1, 0).flatten(1), 1)
        value = value.fmax(_cost(costs, center) - length * box.ball * (1 + 1e-12))
        step = costs / length.clamp_min(1e-300).reshape(1, -1, *([1] * (costs.dim() - 2)))
        return value, (center - step * box.ball).maximum(low).minimum(high)


def _cost(costs: Tensor, inputs: Tensor) -> Tensor:
    return (costs * inputs).flatten(2).sum((0, 2))


def _cuts(box: Box, rows: Tensor) -> Box:
    """Return the box with what x ↦ Σ_t rows[k,t]·x[t] makes of its ball, whose radius grows by ‖rows[k]‖₂, and of
    its budget, which remembers the rows."""
    ball = None if box.ball is None else box.ball * euclidean(rows, 1)
    budget = None if box.budget is None else box.budget.of_rows(rows)
    return replace(box, ball=ball, budget=budget)


def _combined(image: Box, box: Box, rows: Tensor) -> Box:
    """Return `image`, what rows make of the ends of a box, with what they make of center, ball and budget."""
    if box.center is None:
        return image
    return replace(
        _cuts(box, rows), lower=image.lower, upper=image.upper, center=torch.tensordot(rows, box.center, 1)
    )


@dataclass(frozen=True)
class DerivedSignal(Signal):
    """What is made step by step from another signal: as long as it, and constant where it is."""

    source: Signal

    @property
    def num_steps(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return T."""
        return self.source.num_steps

    @property
    def constant(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return whether the source is constant."""
        return self.source.constant


@dataclass(frozen=True)
class AffineSignal(DerivedSignal):
    """y[t] = W·x[t] + b for a signal x."""

    map: AffineMap
    rounding: Rounding

    @property
    def plain(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return whether the box is uncut, which it is behind all layers but those that rename coordinates."""
        return not self.map.reshapes or self.source.plain

    @property
    def apart(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return whether the steps of the source are."""
        return self.source.apart

    def spread(self) -> Spread:
        """Return the image of the source's spread, where that is uncut."""
        if not self.source.plain:
            return self.steps().spread
        return self.map.spread(*self.source.sized(), self.rounding)

    def sized(self) -> tuple[Spread, Tensor]:
        """Return the spread, and the moduli of its ends: both are 0 only where the run's numbers are."""
        spread = self.spread()
        return spread, spread.middle.abs() + spread.radius

    def steps(self) -> Box:
        """Return the image of the source's steps; it is found once, and not to be overwritten."""
        return self._steps

    @cached_property
    def _steps(self) -> Box:
        if self.source.plain:
            return self.spread().box
        box = self.source.steps()
        ones = box.lower.new_ones(len(box.lower))
        if self.front is not None and not self.map.reshapes:
            slack = self.map.slack(self.source.magnitude(), self.rounding)
            return self.map.cut(self._images.copy(), box, ones, slack, self._heaviest)
        return self.map.image(box, self.source.magnitude(), ones, ones, self.rounding, 0, self._heaviest)

    def combine(self, rows: Tensor) -> Box:
        """Return the image of the source's combination; the bias counts Σ_t rows[k,t] times."""
        rows = rows.to(self.rounding.bound)
        if self.front is None or self.map.reshapes:
            return self._image(self.source.combine(rows), rows.sum(1), rows.abs().sum(1))
        return self._cut(self._images.combined(rows), rows, rows.sum(1), rows.abs().sum(1))

    def filtered(self, rule: Leaky) -> Box:
        """Return the image of the source's filtered signal."""
        rows = filter_rows(self.num_steps, rule)
        if self.front is not None and not self.map.reshapes:
            return self.combine(rows)
        return self._image(self.source.filtered(rule), rows.sum(1), rows.abs().sum(1))

    def windowed(self, asked: Spans, ends: range) -> Box:
        """Return the images of the source's windows; of independent steps, the windows of their images."""
        if self.by_table is not None:
            lower, upper = long_kernel().table_windows(self.by_table, asked.ages, asked.factors, ends)
            return Box(lower, upper)
        if self.front is None or self.map.reshapes:
            return self._image(self.source.windowed(asked, ends), *asked.sums(ends))
        rows = asked.rows(ends).to(self.rounding.bound)
        return self._cut(self._images.windows(asked, ends), rows, *asked.sums(ends))

    @cached_property
    def by_table(self) -> TabledLayer | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return this layer, where it is dense, behind a table, in float64, on the CPU, and far from overflows."""
        table, weights, exact = self.source.tabled, self.map.weights, torch.float64
        if table is None or weights is None or self.map.reshapes or table.first.dim() != 2:
            return None
        like, size = table.table.trains, float(self.magnitude().max()) * self.num_steps
        if like.device.type != "cpu" or not like.dtype == self.rounding.bound == exact or not size <= MOST_SIZE:
            return None
        rows = len(like)
        ranges, place = (table.first.flatten() * rows + table.last.flatten()).unique(return_inverse=True)
        slack = self._slack.expand(len(table.first), len(weights[0]))
        bias = self.map.bias.flatten().expand(len(weights[0])).double()
        return TabledLayer(
            weights[0], bias, like, ranges // rows, ranges % rows, place.view(table.first.shape), slack
        )

    def _cut(self, images: Images, rows: Tensor, total: Tensor, moduli: Tensor) -> Box:
        """Return the sums of the images of independent steps, with what rows make of ball and budget."""
        assert self.front is not None
        total, moduli = total.to(self.rounding.bound), moduli.to(self.rounding.bound)
        slack = self._slack * moduli.reshape(-1, *([1] * (self._slack.dim())))
        return self.map.cut(images, _cuts(self.front, rows), total, slack, self._heaviest)

    @cached_property
    def front(self) -> Box | None:
        """Return the box of the input's steps, renamed or not, if that is what the map reads."""
        source = self.source
        if type(source) is InputSignal and not source.constant:
            return source.box
        if not isinstance(source, AffineSignal) or not source.map.reshapes or source.front is None:
            return None
        return source.map.renamed(source.front)

    @cached_property
    def _images(self) -> Images:
        assert self.front is not None
        return self.map.images(self.front)

    @cached_property
    def _slack(self) -> Tensor:
        """Return what run and bound may be off in a sum over time, for each unit of weight."""
        return self.map.slack(self.source.magnitude(), self.rounding, over_rows(self.num_steps))

    def _image(self, box: Box, total: Tensor, moduli: Tensor) -> Box:
        """Return the image of the source's combination `box` under rows of these sums, rounding paid."""
        total, moduli = total.to(self.rounding.bound), moduli.to(self.rounding.bound)
        steps = over_rows(self.num_steps)
        return self.map.image(box, self.source.magnitude(), total, moduli, self.rounding, steps, self._heaviest)

    @cached_property
    def _heaviest(self) -> dict[int, Heaviest]:
        """Return what is known of a budget's products, and of the source's events, whatever the rows."""
        return {}

    def magnitude(self) -> Tensor:
        """Return |W|·max|x| + |b|, widened by the run's rounding."""
        return self.map.magnitude(self.source.magnitude(), self.rounding)


@dataclass(frozen=True)
class SumSignal(Signal):
    """z[t] = x[t] + y[t]: a residual sum, its parts taken as independent."""

    first: Signal
    second: Signal
    rounding: Rounding

    @property
    def num_steps(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return T."""
        return self.first.num_steps

    @property
    def constant(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return whether both parts are constant."""
        return self.first.constant and self.second.constant

    @property
    def apart(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return whether the steps of both parts are."""
        return self.first.apart and self.second.apart

    def steps(self) -> Box:
        """Return the sum of the parts' boxes; a constant part counts at each step."""
        return self._widened(self.first.steps() + self.second.steps(), 1.0)

    def combine(self, rows: Tensor) -> Box:
        """Return the sum of the parts' combinations."""
        rows = rows.to(self.rounding.bound)
        return self._summed(self.first.combine(rows) + self.second.combine(rows), rows.abs().sum(1))

    def windowed(self, asked: Spans, ends: range) -> Box:
        """Return the sum of the parts' windows."""
        return self._summed(
            self.first.windowed(asked, ends) + self.second.windowed(asked, ends), asked.sums(ends)[1]
        )

    def _summed(self, box: Box, moduli: Tensor) -> Box:
        """Return the sum of the parts' combinations under rows of such moduli, rounding paid."""
        weight = moduli.to(self.rounding.bound).reshape(-1, *([1] * self.magnitude().dim()))
        return self._widened(box, weight)

    def magnitude(self) -> Tensor:
        """Return the sum of the parts' magnitudes."""
        return sum_magnitude(self.first.magnitude(), self.second.magnitude(), self.rounding)

    def _widened(self, box: Box, weight: Tensor | float) -> Box:
        slack = sum_slack(self.magnitude(), self.num_steps, self.rounding) * weight
        return Box(box.lower - slack, box.upper + slack)


def equal_weights(rows: Tensor) -> Tensor | None:
    """Return c, (k,), where Σ_t rows[k,t]·s[t] is c[k] times the count of spikes; None where a row varies.

    A mean over time asks only for counts, which are exact in any dtype and cheap in small ones.
    """
    return rows[:, 0] if bool((rows == rows[:, :1]).all()) else None
