"""Prove margins by looking only at inputs on which they are not positive: narrower windows, then prices again.

Where these windows hold, so does every bound that is derived from them. If that bound is above
`LEVEL`, no input has a margin ≤ `LEVEL`: the margin is above it. If it is not, it is a bound of the margin itself,
since an input has either such a margin, which obeys the bound, or a greater one. So min(bound, LEVEL) is proven.

Spans of the second layer's currents on the inputs that matter: those on which a margin is not positive.

To prove a margin above `level` it is enough to look at inputs with margin ≤ level. The layers behind the first
one, at any prices, give margin ≥ K + Σ A[t]·s[t] for every run, s being the first layer's spikes; so
K + Σ A·s − level ≤ 0 on those inputs. With any λ ≥ 0, any prices ν on the first layer's currents I = W₁x + b₁, a
window C = Σ_k row[k]·(W₂·s[k] + b₂) of the second layer's currents obeys there

    C ≥ C + λ·(K − level + Σ A·s)
      ≥ λ·(K − level) + b₂·Σ row + Σ_i min_I (Σ_t (row[t]·w_i + λA_i[t])·s_i[t](I) − ν_i·I) + min_x Σ ν·(W₁x + b₁),

F3's bound: corners of the table's rows, and the input set in closed form. λ gives both parts the same weight; a
few Adam steps from ν = 0 find prices, in float32 and on the box around the set, since any prices will do; the
bound at the best of them is computed in float64. Where a window is empty no input is left: the margin is above
`level`.

Rounding: the run's I is the exact chain of its x up to `slack`, so Σ|ν|·slack is paid; its C that of its s, so
Σ|row|·slack is; float64's own error is at most `unit_error` of the sum of moduli.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count

import torch
from torch import Tensor

from ....models.circuit import Circuit
from ....models.constants import at_least, real, settle
from ....models.deadline import Expired, never
from ....models.rules import Leaky
from ...rounding import Rounding
from ..signals.signals import DerivedSignal, Signal
from ..signals.windows import Box, Spans
from ..trains.train_table import TrainBound, Trains
from ..trains.trains import window_spikes
from .price_search import Climbed, PriceSearch, about_same_sample, pair_prices
from .prices import Evaluation, PricedProblem, Specifications
from .stages import Stage, Staged, staged

MOST_NUMBERS = 2**19
"""Prices searched at once: few enough that a handful of such tensors stay in cache."""


@dataclass(frozen=True)
class NarrowedCurrent(DerivedSignal):
    """A second layer's current whose windows are also known to lie in `known`, (windows, batch, ...)."""

    known: Box

    def steps(self) -> Box:
        """Return what the source knows: the windows of single steps are for `combine`."""
        return self.source.steps()

    def combine(self, rows: Tensor) -> Box:
        """Return the source's."""
        return self.source.combine(rows)

    def windowed(self, asked: Spans, ends: range) -> Box:
        """Return the source's windows cut to what is known, that of all windows, by end, the shortest first."""
        last, age = (place.to(self.known.lower.device) for place in asked.places(ends))
        place = last * (last - 1) // 2 + age
        return self.source.windowed(asked, ends).intersection(
            Box(self.known.lower[place], self.known.upper[place])
        )

    def magnitude(self) -> Tensor:
        """Return the source's."""
        return self.source.magnitude()


@dataclass(frozen=True)
class WindowSearch:
    """How to search prices for windows.

    Args:
        iterations: Adam steps of each window's prices.
        rate: of a step, as a share of the slope that a neuron's own range has; it falls to a tenth on the way.
    """

    iterations: int = 5
    rate: float = 0.3

    def __post_init__(self) -> None:
        settle(self, at_least(0), "iterations")
        settle(self, real, "rate")

    def run(self, problem: PricedProblem, evaluation: Evaluation, level: float) -> Box:
        """Return windows of the second layer that hold where the margin is ≤ level, (windows, S, ...).

        They are infinite for neurons whose train is certain. `problem.layers` must reach the first layer's table.
        """
        stage, samples = problem.network.stages[1], problem.specifications.samples
        steps = len(problem.network.row)
        rows = Spans.of(stage.rule, steps).rows(range(1, steps + 1)).to(samples.device)
        shape = (len(rows), len(samples), *stage.lower.shape[2:])
        lower = torch.full(shape, -torch.inf, dtype=torch.float64, device=samples.device)
        upper = -lower
        specs, neurons = problem.layers[-2].pairs
        each = 2 * len(rows) * problem.network.stages[0].lower[0, 0].numel()
        size = max(1, MOST_NUMBERS // each)
        for start in range(0, len(specs), size):
            pairs = specs[start : start + size], neurons[start : start + size]
            windows = _Windows.of(problem, evaluation, level, rows, pairs)
            least, most = windows.bound(self._prices(windows))
            lower.flatten(2)[:, pairs[0], pairs[1]] = least
            upper.flatten(2)[:, pairs[0], pairs[1]] = -most
        return Box(lower, upper)

    def _prices(self, windows: "_Windows") -> Tensor:
        """Return the best prices found in float32, (2, K, P, n)."""
        sketch = windows.sketch()
        prices = torch.zeros_like(sketch.unit)
        best, (bound, gradient) = prices.clone(), sketch.evaluate(prices)
        first, second = torch.zeros_like(prices), torch.zeros_like(prices)
        for turn in range(1, self.iterations + 1):
            first.lerp_(gradient, 0.3)
            second.lerp_(gradient.square_(), 0.01)
            rate = self.rate * (1.0 - 0.9 * (turn - 1) / self.iterations)
            scale = rate * (1 - 0.99**turn) ** 0.5 / (1 - 0.7**turn)
            prices.addcmul_(sketch.unit, first / second.sqrt().add_(1e-12), value=scale)
            found, gradient = sketch.evaluate(prices)
            torch.where((found > bound)[..., None], prices, best, out=best)
            bound = bound.maximum(found)
        return best.double()


@dataclass(frozen=True)
class _Windows:
    """The windows of P pairs of a specification and a second-layer neuron: N = 2·K·P bounds, of C and of −C.

    Attributes:
        network: what they are windows of.
        samples: of each bound, (N,).
        columns: the first-layer neurons that are open for any of the pairs, n of them.
        values: what each row of the table costs each neuron, by row, (2, K, P, n) each.
        low, high: the corners of each row, by row, (P, n) each.
        constant: what no price changes, less its rounding, (2, K, P).
        slack: what a unit of each price costs for rounding, (n,) or (P, n).
        unit: the natural size of a price, (2, K, P, n).
    """

    network: Staged
    samples: Tensor
    columns: Tensor
    values: tuple[Tensor, ...]
    low: tuple[Tensor, ...]
    high: tuple[Tensor, ...]
    constant: Tensor
    slack: Tensor
    unit: Tensor

    @staticmethod
    def of(
        problem: PricedProblem, evaluation: Evaluation, level: float, rows: Tensor, pairs: tuple[Tensor, Tensor]
    ) -> "_Windows":
        """Return the windows `rows`, (K, T), of the pairs (specification, neuron)."""
        first, second = problem.network.stages[:2]
        samples = problem.specifications.samples[pairs[0]]
        weights, bias, slack = _second_chain(second, samples, pairs[1])
        costs = evaluation.costs[-1].flatten(2)[:, pairs[0]]
        assumed, size = evaluation.above[pairs[0]] - level, evaluation.above[pairs[0]].abs() + abs(level)
        share = _share(rows, weights, costs)
        corners = _Corners.of(first, samples)
        values = corners.values(rows, weights, costs, share)
        least, most = corners.extent(values)
        open_ = (corners.count > 1).any(0)
        error = problem.unit_error
        moduli = least.abs().maximum(most.abs()).sum(3) + share * size + (bias.abs() * rows.abs().sum(1)[:, None])
        signs = torch.tensor([1.0, -1.0], dtype=bias.dtype, device=bias.device)[:, None, None]
        constant = signs * (rows.sum(1)[:, None] * bias) + share * assumed + values[0][..., ~open_].sum(3)
        constant = constant - rows.abs().sum(1)[:, None] * slack - error * moduli
        extent = corners.high.amax(2) - corners.low.amin(2)
        unit = torch.where(extent > 0, (most - least) / extent.clamp_min(1e-300), 0.0)
        return _Windows(
            network=problem.network,
            samples=samples.expand(2, len(rows), -1).flatten(),
            columns=open_.nonzero().flatten(),
            values=tuple(value[..., open_].contiguous() for value in values),
            low=corners.low[:, open_].contiguous().unbind(2),
            high=corners.high[:, open_].contiguous().unbind(2),
            constant=constant,
            slack=_price_slack(problem, samples)[:, open_],
            unit=unit[..., open_].contiguous(),
        )

    def sketch(self) -> "_Sketch":
        """Return what the search for prices looks at."""
        box, shape = self.network.source.box, self.network.stages[0].lower.shape[2:]
        units = torch.eye(shape.numel(), dtype=box.lower.dtype, device=box.lower.device)[self.columns]
        weights, bias = self.network.stages[0].chain.pull_back(units.unflatten(1, shape))
        samples = self.samples[: self.values[0].shape[2]]
        return _Sketch(
            weights=weights.flatten(1).float(),
            bias=bias.float(),
            middle=box.middle[0].flatten(1)[samples].float(),
            radius=box.radius[0].flatten(1)[samples].float(),
            values=tuple(value.float() for value in self.values),
            low=tuple(low.float() for low in self.low),
            high=tuple(high.float() for high in self.high),
            unit=self.unit.float(),
        )

    def bound(self, prices: Tensor) -> Tensor:
        """Return lower bounds of C and of −C at `prices`, (2, K, P)."""
        cost, _ = cheapest(self.values, self.low, self.high, prices)
        chain, shape = self.network.stages[0].chain, self.network.stages[0].lower.shape[2:]
        dense = prices.new_zeros(len(self.samples), shape.numel())
        dense[:, self.columns] = prices.flatten(0, 2)
        pulled, constant = chain.pull_back(dense.unflatten(1, shape))
        value, _ = self.network.source.least(pulled[None], self.samples)
        paid = cost - prices.abs() * self.slack
        found = self.constant + paid.sum(3) + (value + constant).view_as(self.constant)
        return found.nan_to_num(nan=-torch.inf, posinf=-torch.inf, neginf=-torch.inf)


@dataclass(frozen=True)
class _Sketch:
    """The windows in float32, without their constants and rounding, on the box around the set: good for prices.

    Attributes:
        weights, bias: of the open first-layer neurons on the input, (n, inputs) and (n,).
        middle, radius: of the input's box, (P, inputs).
        values, low, high, unit: as in `_Windows`.
    """

    weights: Tensor
    bias: Tensor
    middle: Tensor
    radius: Tensor
    values: tuple[Tensor, ...]
    low: tuple[Tensor, ...]
    high: tuple[Tensor, ...]
    unit: Tensor

    def evaluate(self, prices: Tensor) -> tuple[Tensor, Tensor]:
        """Return the bounds, (2, K, P), up to constants, and their supergradient.

        The latter is the currents that the input makes, less those of the cheapest corners.
        """
        cost, current = cheapest(self.values, self.low, self.high, prices)
        pulled = prices @ self.weights
        inputs = torch.addcmul(self.middle, pulled.sign(), self.radius, value=-1.0)
        bound = torch.addcmul(cost, prices, self.bias, out=cost).sum(3) + pulled.mul_(inputs).sum(3)
        return bound, (inputs @ self.weights.T).add_(self.bias).sub_(current)


def cheapest(
    values: tuple[Tensor, ...], low: tuple[Tensor, ...], high: tuple[Tensor, ...], prices: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the least of value − price·I over the corners, and I there."""
    falling = prices > 0
    current = torch.where(falling, high[0], low[0])
    cost = torch.addcmul(values[0], prices, current, value=-1.0)
    for value, least, most in zip(values[1:], low[1:], high[1:], strict=True):
        corner = torch.where(falling, most, least)
        here = torch.addcmul(value, prices, corner, value=-1.0)
        torch.where(here < cost, corner, current, out=current)
        torch.minimum(cost, here, out=cost)
    return cost, current


@dataclass(frozen=True)
class _Corners:
    """The rows in reach of each first-layer neuron; the last one repeats where a neuron has fewer.

    Attributes:
        row: (P, n₁, R). low, high: the row's currents, cut to the box, (P, n₁, R). count: of rows, (P, n₁).
        trains: of the table, (rows, T).
    """

    row: Tensor
    low: Tensor
    high: Tensor
    count: Tensor
    trains: Tensor

    @staticmethod
    def of(stage: Stage, samples: Tensor) -> "_Corners":
        """Return the corners of each sample, one for each pair."""
        found = stage.trains.rows
        assert found is not None
        first, last = found.first.flatten(1)[samples], found.last.flatten(1)[samples]
        count = last - first + 1
        steps = torch.arange(int(count.max()), device=samples.device)
        row = (first[:, :, None] + steps).minimum(last[:, :, None])
        low, high = (box[0].flatten(1)[samples][:, :, None] for box in (stage.lower, stage.upper))
        return _Corners(
            row,
            found.table.lower[row].maximum(low),
            found.table.upper[row].minimum(high),
            count,
            found.table.trains,
        )

    def values(self, rows: Tensor, weights: Tensor, costs: Tensor, share: Tensor) -> list[Tensor]:
        """Return ±Σ_k rows[k]·w·s[k] + λ·Σ_t A[t]·s[t] of each row of the table, by row, (2, K, P, n₁) each."""
        window = rows @ self.trains.T
        asked = (costs.movedim(0, 2) @ self.trains.T).gather(2, self.row)
        found = []
        for row, own in zip(self.row.unbind(2), asked.unbind(2), strict=True):
            part, base = weights * window[:, row], share[..., None] * own
            found.append(torch.stack((base + part, base - part)))
        return found

    def extent(self, values: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the least and the greatest value over the rows, (2, K, P, n₁)."""
        least = most = values[0]
        for value in values[1:]:
            least, most = least.minimum(value), most.maximum(value)
        return least, most


def _share(rows: Tensor, weights: Tensor, costs: Tensor) -> Tensor:
    """Return λ, (K, P): what gives the window's and the margin's coefficients the same sum of moduli."""
    size = costs.abs().sum((0, 2))
    return rows.abs().sum(1)[:, None] * torch.where(size > 0, weights.abs().sum(1) / size.clamp_min(1e-300), 0.0)


def _second_chain(stage: Stage, samples: Tensor, neurons: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the weights of each neuron on the first layer's spikes, (P, n₁), its bias and its slack, (P,)."""
    shape = stage.lower.shape[2:]
    units = torch.nn.functional.one_hot(neurons, shape.numel()).double().unflatten(1, shape)
    weights, bias = stage.chain.pull_back(units)
    slack = stage.chain.slack.expand(stage.lower.shape[1:]).flatten(1)[samples, neurons]
    return weights.flatten(1), bias, slack


def _price_slack(problem: PricedProblem, samples: Tensor) -> Tensor:
    """Return what rounding costs for a unit of each price on a first-layer current, (P, n₁)."""
    stage = problem.network.stages[0]
    size = stage.chain.magnitude(problem.network.source.magnitude()).expand_as(stage.lower[0])
    widest = size + stage.lower[0].abs().maximum(stage.upper[0].abs())
    return (stage.chain.slack + problem.unit_error * widest).flatten(1)[samples]


LEVEL = 1e-9
"""Inputs with a margin of at most this are looked at."""

Enclosure = Callable[[Tensor], Box]
"""Gives the input set of some specifications, one row of the batch each."""


@dataclass(frozen=True)
class Narrowing:
    """How to narrow and search again.

    Args:
        windows: the search for windows.
        prices: the search for prices on the narrower windows.
        rounds: how often.
        reach: how far below zero a sample's margins may be for it to be tried, in units of what prices gained.
    """

    windows: WindowSearch = field(default_factory=WindowSearch)
    prices: PriceSearch = field(default_factory=lambda: PriceSearch(30, reach=math.inf))
    rounds: int = 3
    reach: float = 0.6

    def __post_init__(self) -> None:
        settle(self, at_least(0), "rounds")
        settle(self, partial(real, finite=False), "reach")

    def run(
        self,
        circuit: Circuit,
        enclosure: Enclosure,
        task: "Task",
        known: Tensor,
        expired: Expired = never,
    ) -> Tensor:
        """Return bounds of the margins that are at least those of `task`, (S,).

        Args:
            circuit: the network.
            enclosure: of specifications by row, 0..S−1.
            task: the specifications and what was found of them.
            known: the bounds without prices, (S,).
            expired: asked before each round and each iteration.
        """
        samples, bound = task.specifications.samples, task.climbed.bound.clone()
        rows = torch.arange(len(bound), device=bound.device)
        for _ in range(self.rounds):
            near = _near(bound, known, samples, self.reach)[rows]
            if not applies(task.network) or not bool(near.any()) or expired():
                break
            rows = rows[near]
            task, empty = self._narrow(circuit, enclosure(rows), task.subset(near), expired)
            bound[rows[empty]] = LEVEL
            rows = rows[~empty]
            bound[rows] = bound[rows].maximum(task.climbed.bound.clamp_max(LEVEL))
        return bound

    def _narrow(self, circuit: Circuit, inputs: Box, task: "Task", expired: Expired) -> tuple["Task", Tensor]:
        """Return the task on narrower windows, without the specifications of which no input is left."""
        problem = PricedProblem.of(task.network, task.specifications)
        evaluation = problem.evaluate(pair_prices(problem, task.climbed.prices))
        windows = self.windows.run(problem, evaluation, LEVEL)
        if task.windows is not None:
            windows = windows.intersection(task.windows)
        stages = staged(circuit, inputs, _spikes_within(windows))
        assert stages is not None
        paths = stages.stages[1].trains.paths
        assert paths is not None
        empty = paths.emptied()
        left = (~empty).nonzero().flatten()
        specifications = task.specifications.about(left, left)
        start = tuple(price[left] for price in task.climbed.prices)
        found = self.prices.run(stages, specifications, start=start, expired=expired)
        return Task(stages, specifications, found, Box(windows.lower[:, left], windows.upper[:, left])), empty


@dataclass(frozen=True)
class Task:
    """Specifications about a staged network, and what was found of them.

    Attributes:
        network: in stages.
        specifications: S of them.
        climbed: their bounds and prices.
        windows: what is known of the second layer's windows, (windows, S, ...), beside what the stages say.
    """

    network: Staged
    specifications: Specifications
    climbed: Climbed
    windows: Box | None = None

    def subset(self, rows: Tensor) -> "Task":
        """Return some specifications only; the stages keep all rows."""
        windows = None if self.windows is None else Box(self.windows.lower[:, rows], self.windows.upper[:, rows])
        return Task(self.network, self.specifications.subset(rows), self.climbed.subset(rows), windows)


def applies(network: Staged) -> bool:
    """Return whether the layers follow each other, the first one with a table and the second one with a graph."""
    if len(network.stages) < 2 or not network.sequential:
        return False
    first, second = network.stages[0], network.stages[1]
    return first.trains.rows is not None and second.trains.paths is not None and second.priceable


def _near(bound: Tensor, known: Tensor, samples: Tensor, reach: float) -> Tensor:
    """Return which specifications are open, and about a sample without a hopeless one, (S,)."""
    far = -bound > reach * (bound - known)
    return (bound <= 0) & ~about_same_sample(far, samples)


def _spikes_within(windows: Box) -> TrainBound:
    """Return `window_spikes` with the second layer's windows cut to `windows`."""
    layers = count()

    def spikes(current: Signal, rule: Leaky, rounding: Rounding) -> Trains:
        narrowed = NarrowedCurrent(current, windows) if next(layers) == 1 else current
        return window_spikes(narrowed, rule, rounding)

    return spikes
