"""Trees of random valid splits with random prices and multipliers, for benchmarks/checker_prices.py."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from price_networks import Draw
from torch import Tensor

from spikecert.checking.bound import Question
from spikecert.checking.numbers.exact import Dyadic
from spikecert.checking.short import LEAF, Narrowing
from spikecert.checking.trains.constant import Constant

TRIES, DEEPEST = 6, 3
Prices = list[np.ndarray]


@dataclass
class Listed:
    """A tree in pre-order, as a file has it, and what each leaf was given."""

    neurons: list[int] = field(default_factory=list)
    currents: list[float] = field(default_factory=list)
    leaves: list[tuple[Prices, Narrowing | None]] = field(default_factory=list)

    def tensors(self, other: int) -> dict[str, Tensor]:
        """Return the part of a proof about one class."""
        rows = [narrowing or _NONE for _, narrowing in self.leaves]
        parts: dict[str, Any] = {
            "neuron": np.array(self.neurons, dtype=np.int32),
            "current": np.array(self.currents, dtype=np.float64),
            "narrow.sizes": np.array([(len(each.neurons), len(each.slabs)) for each in rows], dtype=np.int32),
            "narrow.neurons": np.concatenate([each.neurons for each in rows]),
            "narrow.slabs": np.concatenate([each.slabs for each in rows]),
            "narrow.multipliers": np.concatenate([each.multipliers.ravel() for each in rows]),
        }
        layers = zip(*(prices for prices, _ in self.leaves), strict=True)
        parts |= {f"prices.{place}": np.stack(prices) for place, prices in enumerate(layers)}
        return {f"{other}.{name}": torch.from_numpy(part) for name, part in parts.items()}


_NONE = Narrowing(np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int32), np.zeros((1, 0), dtype=np.float32))


@dataclass(frozen=True)
class Guesses:
    """What is tried for the margin of a class over another one; the tree is written to `listed`."""

    draw: Draw
    numbers: np.random.Generator
    question: Question
    label: int
    other: int
    listed: Listed

    def bounds(self, allowed: np.ndarray, depth: int = DEEPEST) -> Iterator[Fraction | None]:
        """Split at random, and yield the best bound of random prices at each leaf; None: it holds no run."""
        if depth and self.draw.often(0.4):
            neuron = int(self.numbers.integers(len(allowed)))
            current = self._current(neuron)
            self.listed.neurons.append(neuron)
            self.listed.currents.append(current)
            for part in self.question.first.sides(allowed, neuron, Dyadic.of(current)):
                yield from self.bounds(part, depth - 1)
            return
        self.listed.neurons.append(LEAF)
        self.listed.currents.append(0.0)
        best: tuple[Fraction | None, Prices, Narrowing | None] | None = None
        for _ in range(TRIES):
            given = self._prices(None if best is None else best[1])
            narrowing = self._narrowing()
            exact = [Dyadic.of(price) for price in given]
            found = self.question.margin(self.label, self.other, allowed, exact, narrowing)
            bound = None if found is None else found.fraction()
            if bound is None or best is None or (best[0] is not None and bound > best[0]):
                best = bound, given, narrowing
            if bound is None:
                break
        assert best is not None
        self.listed.leaves.append(best[1:])
        yield best[0]

    def _current(self, neuron: int) -> float:
        first = self.question.first
        if not isinstance(first, Constant):
            return float(self.numbers.integers(self.draw.steps))
        rows = first.table.low.ints, first.table.high.ints, first.table.low.shift, first.table.high.shift
        row = int(self.numbers.integers(len(rows[0])))
        ends = Fraction(int(rows[0][row]), 1 << rows[2]), Fraction(int(rows[1][row]), 1 << rows[3])
        return float(sum(ends) / 2) if self.draw.often(0.8) else float(self.numbers.normal())

    def _prices(self, best: Prices | None) -> Prices:
        """Return random prices: none at first, then anything, or what is near the best so far."""
        shapes = self.question.priced
        if best is None:
            return [np.zeros(shape, dtype=np.float32) for shape in shapes]
        size, near = 10.0 ** self.numbers.uniform(-2, 1), self.draw.often(0.6)
        kept = [self.numbers.random(shape) < self.numbers.choice([0.2, 1.0]) for shape in shapes]
        noise = [self.numbers.normal(size=shape) * size * keep for shape, keep in zip(shapes, kept, strict=True)]
        return [(near * old + new).astype(np.float32) for old, new in zip(best, noise, strict=True)]

    def _narrowing(self) -> Narrowing | None:
        source = self.question.graph.nodes[self.question.graph.spiking[0]].source  # pyright: ignore[reportAttributeAccessIssue]
        if (
            not isinstance(self.question.first, Constant)
            or source not in self.question.maps
            or self.draw.often(0.6)
        ):
            return None
        count = len(self.question.first.reachable)
        many, slabs = (int(self.numbers.integers(1, count + 1)) for _ in "mk")
        places = [self.numbers.permutation(count)[:size].astype(np.int32) for size in (many, slabs)]
        size = self.numbers.choice([0.0, 0.3, 1.0])
        return Narrowing(
            places[0], places[1], (self.numbers.normal(size=(2 * many + 1, slabs)) * size).astype(np.float32)
        )
