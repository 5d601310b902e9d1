"""Prove margins by looking only at inputs on which they are not positive: narrower windows, then prices again.

Where the windows of `price_windows.py` hold, so does every bound that is derived from them. If that bound is above
`LEVEL`, no input has a margin ≤ `LEVEL`: the margin is above it. If it is not, it is a bound of the margin itself,
since an input has either such a margin, which obeys the bound, or a greater one. So min(bound, LEVEL) is proven.
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
from ..signals.box import Box
from ..signals.signals import Signal
from ..trains.base import TrainBound, Trains
from ..trains.trains import window_spikes
from .price_search import Climbed, PriceSearch, about_same_sample, pair_prices
from .price_windows import NarrowedCurrent, WindowSearch
from .prices import PricedProblem, Specifications
from .stages import Staged, staged

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
