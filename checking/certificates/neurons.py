"""Invariants and potentials of a whole layer at once, in floats: nodes by the step of the last spike (F2, F5).

At level t a neuron has a node for each level that a last spike may have led to, 0 before any; one alone where
λ = 0. What the kernel finds for a neuron lies within what is found here, where δ has room for what floats are off.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ..kernel.invariants import Invariant, InvariantMove, InvariantNode
from ..kernel.neurons import KernelNeuron
from ..kernel.numbers import GRID, ONE
from ..work import CALL, hold, spend
from .words import SHORT, onto_grid, word

UNIT = 2.0**SHORT
FAR = 2**60
"""A cost, over 2^SHORT, that no run has."""


@dataclass(frozen=True, eq=False)
class StepWindows:
    """Factors of each step, (k, T)."""

    factors: np.ndarray

    @cached_property
    def parts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the factors above 0, those below, and their moduli, (T, k) each."""
        turned = self.factors.T
        return np.maximum(turned, 0), np.minimum(turned, 0), np.abs(turned)

    @cached_property
    def ends(self) -> list[tuple[int, int]]:
        """Return the first step of each window, and the one behind its last."""
        used = [np.flatnonzero(row) for row in self.factors]
        return [(int(row[0]), int(row[-1]) + 1) if len(row) else (0, 0) for row in used]


class GivenLayer(NamedTuple):
    """What is known of the neurons of a layer: boxes of I, (n, T) each, errors (n,), spikes (n, T) each.

    Attributes:
        windows: of (a, t), ends of Σ_{a<k≤t} λ^(t−k)·a[k]·I[k], (n,) each; empty: they are not asked.
    """

    low: np.ndarray
    high: np.ndarray
    error: np.ndarray
    certain: np.ndarray
    possible: np.ndarray
    windows: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]]

    def differs(self, other: "GivenLayer") -> np.ndarray:
        """Return of which neurons other things are known, (n,)."""
        found = (self.low != other.low).any(1) | (self.high != other.high).any(1)
        found |= (self.certain != other.certain).any(1) | (self.possible != other.possible).any(1)
        for key, ends in self.windows.items():
            for one, two in zip(ends, other.windows[key], strict=True):
                found |= one != two
        return found

    def some(self, chosen: np.ndarray) -> "GivenLayer":
        """Return that of some neurons."""
        windows = {key: (low[chosen], high[chosen]) for key, (low, high) in self.windows.items()}
        return GivenLayer(
            self.low[chosen],
            self.high[chosen],
            self.error[chosen],
            self.certain[chosen],
            self.possible[chosen],
            windows,
        )


class LabelLevel(NamedTuple):
    """The nodes of one level, (n, labels) each: whether there is one, intervals; V, moves and cuts behind it."""

    there: np.ndarray
    low: np.ndarray
    high: np.ndarray
    v_low: np.ndarray
    v_high: np.ndarray
    silent: np.ndarray
    spike: np.ndarray
    cut_low: np.ndarray
    cut_high: np.ndarray


@dataclass(frozen=True)
class NeuronGraphs:
    """The invariants of a layer's neurons.

    Attributes:
        neuron: their constants; given: what they were made from; extra: δ's size, (n,).
        levels: T + 1 of them.
    """

    neuron: KernelNeuron
    given: GivenLayer
    extra: np.ndarray
    levels: list[LabelLevel]

    @staticmethod
    def of(neuron: KernelNeuron, given: GivenLayer, tight: np.ndarray) -> "NeuronGraphs":
        """Return invariants, with windows for the neurons of `tight`, and others that they decide anything for."""
        hold("nodes of invariants", given.low.shape[0] * given.low.shape[1] ** 2 // 2)
        plain = _GraphBuilder(neuron, given, windowed=False).graphs()
        if not given.windows or neuron.decay == 0:
            return plain
        cut = _GraphBuilder(neuron, given, windowed=True).graphs()
        alike = ~tight
        for one, two in zip(plain.levels, cut.levels, strict=True):
            for part, other in ((one.silent, two.silent), (one.spike, two.spike)):
                alike &= (part == other).all(1)
        return cut.replaced(np.flatnonzero(alike), plain.some(np.flatnonzero(alike)))

    def some(self, chosen: np.ndarray) -> "NeuronGraphs":
        """Return those of some neurons."""
        levels = [LabelLevel(*(part[chosen] for part in level)) for level in self.levels]
        return NeuronGraphs(self.neuron, self.given.some(chosen), self.extra[chosen], levels)

    def replaced(self, chosen: np.ndarray, other: "NeuronGraphs") -> "NeuronGraphs":
        """Return these, but with those of others at some places."""

        def put(mine: np.ndarray, theirs: np.ndarray) -> np.ndarray:
            mine = mine.copy()
            mine[chosen] = theirs
            return mine

        pairs = zip(self.levels, other.levels, strict=True)
        levels = [LabelLevel(*map(put, one, two)) for one, two in pairs]
        mine, theirs = self.given, other.given
        windows = {key: tuple(map(put, ends, theirs.windows[key])) for key, ends in mine.windows.items()}
        given = mine._replace(low=put(mine.low, theirs.low), high=put(mine.high, theirs.high), windows=windows)
        return NeuronGraphs(self.neuron, given, put(self.extra, other.extra), levels)

    @property
    def bits(self) -> tuple[np.ndarray, np.ndarray]:
        """Return whether spikes are certain, and possible, (n, T) each; the former alone: no run is left."""
        moves = [(level.silent.any(1), level.spike.any(1)) for level in self.levels[:-1]]
        silent, spike = (np.stack(part, 1) for part in zip(*moves, strict=True))
        return ~silent, spike

    # ---- windows over paths ----------------------------------------------------------------------
    def along(self, windows: StepWindows) -> tuple[np.ndarray, np.ndarray]:
        """Return the ends of Σ factors·s over all runs, (n, k) each."""
        count = len(windows.factors)
        low, high = np.zeros((2, len(self.extra), count))
        for first in {first for first, _ in windows.ends}:
            chosen = [k for k, ends in enumerate(windows.ends) if ends[0] == first and ends[1] > first]
            for sign, out in ((1.0, low), (-1.0, high)):
                self._least(
                    first, sign * windows.factors[chosen], [windows.ends[k][1] for k in chosen], chosen, out
                )
                out[:, chosen] *= sign
        return low, high

    def _least(self, first: int, factors: np.ndarray, ends: list[int], chosen: list[int], out: np.ndarray) -> None:
        """Write the least sums for windows that begin at one step."""
        level = self.levels[first]
        least = np.broadcast_to(np.where(level.there, 0.0, np.inf)[..., None], (*level.there.shape, len(chosen)))
        for t in range(first, max(ends, default=first)):
            level = self.levels[t]
            spend(2 * CALL + level.there.size * len(chosen) // 4)
            silent = np.where(level.silent[..., None], least, np.inf)
            spike = np.where(level.spike[..., None], least, np.inf).min(1, keepdims=True) + factors[:, t]
            least = np.minimum(silent, spike) if self.neuron.decay == 0 else np.concatenate([silent, spike], 1)
            done = [index for index, end in enumerate(ends) if end == t + 1]
            out[:, [chosen[index] for index in done]] = least[..., done].min(1)

    # ---- potentials at prices of 0 ---------------------------------------------------------------
    def unpriced(self, chosen: list[int], costs: Sequence[Sequence[int]]) -> list[tuple[str, int]]:
        """Return the records' words behind the prices, a number each node, and bounds, for neurons at costs."""
        if not chosen:
            return []
        spend(4 * len(chosen) * sum(level.there.shape[1] for level in self.levels))
        own = np.array([[cost >> GRID - SHORT for cost in each] for each in costs], dtype=object)
        own = own if abs(own).sum() >= FAR else own.astype(np.int64)
        levels = [LabelLevel(*(part[chosen] for part in level)) for level in self.levels]
        later, told = np.zeros(levels[-1].there.shape, dtype=own.dtype), []
        for t in reversed(range(len(levels) - 1)):
            level, width = levels[t], levels[t].there.shape[1]
            silent = np.where(level.silent, later[:, :width], FAR)
            spike = np.where(level.spike, own[:, t : t + 1] + later[:, -1:], FAR)
            later = np.minimum(silent, spike)
            told.append((level, later.tolist()))
        return [
            (
                " ".join(
                    f"1 {_short(value)} 0 {'1 0 0' if silent else '0'} {'1 0 0' if spike else '0'}"
                    for level, values in reversed(told)
                    for there, silent, spike, value in zip(
                        level.there[j].tolist(),
                        level.silent[j].tolist(),
                        level.spike[j].tolist(),
                        values[j],
                        strict=True,
                    )
                    if there
                ),
                int(later[j, 0]) << GRID - SHORT,
            )
            for j in range(len(chosen))
        ]

    # ---- a neuron by itself ----------------------------------------------------------------------
    def nodes(self, j: int) -> list[list[InvariantNode]]:
        """Return the nodes of a neuron, as the kernel knows them."""
        kept = [np.flatnonzero(level.there[j]).tolist() for level in self.levels]
        spend(32 * sum(map(len, kept)))
        order = [{label: index for index, label in enumerate(labels)} for labels in kept]
        out, memoryless = [], self.neuron.decay == 0
        for t, (labels, level) in enumerate(zip(kept, self.levels, strict=True)):
            low, high, silent, spike = (
                part[j].tolist() for part in (level.low, level.high, level.silent, level.spike)
            )
            ends = level.cut_low[j].tolist(), level.cut_high[j].tolist()
            out.append(
                [
                    InvariantNode(
                        int(low[label] * UNIT) << GRID - SHORT,
                        int(high[label] * UNIT) << GRID - SHORT,
                        order[t - 1][label] if 0 <= label < t and not memoryless else -1,
                        order[t + 1][label] if silent[label] else -1,
                        order[t + 1][0 if memoryless else t + 1] if spike[label] else -1,
                        tuple(sorted({ends[0][label], ends[1][label]} - {0})),
                    )
                    for label in labels
                ]
            )
        return out

    def invariant(self, j: int) -> Invariant:
        """Return the invariant of a neuron for its potentials: the kernel's own boxes lie within these."""
        nodes, moves = self.nodes(j), list[list[list[InvariantMove] | None]]()
        for t, level in enumerate(self.levels[:-1]):
            labels = np.flatnonzero(level.there[j]).tolist()
            moves.append([self._moves(j, t, label, node) for label, node in zip(labels, nodes[t], strict=True)])
        boxes = [
            (onto_grid(low), onto_grid(high))
            for low, high in zip(self.given.low[j].tolist(), self.given.high[j].tolist(), strict=True)
        ]
        return Invariant(nodes, moves, boxes, onto_grid(self.extra[j]), ())

    def _moves(self, j: int, t: int, label: int, node: InvariantNode) -> list[InvariantMove]:
        level = self.levels[t]
        box, found = (onto_grid(level.v_low[j, label]), onto_grid(level.v_high[j, label])), []
        for spike, part in self.neuron.parts(*box, (0, 0)):
            if (level.spike if spike else level.silent)[j, label]:
                found.append(InvariantMove(spike, part, node.spike if spike else node.silent))
        return found


class _GraphBuilder:
    def __init__(self, neuron: KernelNeuron, given: GivenLayer, windowed: bool) -> None:
        self.neuron, self.given, self.windowed = neuron, given, windowed
        self.decay, self.drop, self.over, self.under, self.unit, self.tiny = (
            value / ONE for value in (neuron.decay, neuron.drop, neuron.high, neuron.low, neuron.unit, neuron.tiny)
        )
        self.over, self.under = np.nextafter(self.over, np.inf), np.nextafter(self.under, -np.inf)
        self.scale = [a / ONE for a in neuron.scale]
        self.steepest = max(map(abs, self.scale))
        self.reach = self.steepest * (np.maximum(abs(given.low), abs(given.high)).max(1) + given.error)
        drop = self.drop if neuron.reset == "subtract" else 0
        self._begin(4 * len(self.scale) * (self.reach + self.over + drop) + 1)

    def _begin(self, size: np.ndarray) -> None:
        """Take δ's size for potentials of a size, and what floats may be off."""
        moved = self.decay * size + self.reach
        slip = self.unit * moved + self.tiny
        self.extra = (self.steepest * self.given.error + slip) * (1 + 2.0**-20) + 2.0**-49 * moved
        start = np.zeros((len(size), 1))
        self.there, self.low, self.high = [start == 0], [start], [start]

    def graphs(self) -> NeuronGraphs:
        """Return the invariants: once for potentials of any size, and again for what they are at most."""
        for t in range(len(self.scale)):
            self._level(t)
        self._begin(
            np.max([np.maximum(abs(a), abs(b)).max(1) for a, b in zip(self.low, self.high, strict=True)], 0)
        )
        levels = [self._level(t) for t in range(len(self.scale))]
        last = self.there[-1]
        none, zeros = np.zeros_like(last), np.zeros(last.shape, dtype=int)
        levels.append(
            LabelLevel(last, self.low[-1], self.high[-1], self.low[-1], self.high[-1], none, none, zeros, zeros)
        )
        return NeuronGraphs(self.neuron, self.given, self.extra, levels)

    def _level(self, t: int) -> LabelLevel:
        """Return the level behind t steps, and add the next one."""
        there, given = self.there[t], self.given
        spend(8 * CALL + there.size * (2 + self.windowed * t))
        low, high, *cuts = self._reached(t)
        some = there & (low <= high)
        silent = some & (low <= self.over) & (given.certain[:, t : t + 1] == 0)
        spike = some & (high >= self.under) & (given.possible[:, t : t + 1] != 0)
        self._ahead(low, high, silent, spike)
        return LabelLevel(there, self.low[t], self.high[t], low, high, silent, spike, *cuts)

    def _ahead(self, low: np.ndarray, high: np.ndarray, silent: np.ndarray, spike: np.ndarray) -> None:
        bottom, top = np.where(silent, low, np.inf), np.where(silent, np.minimum(high, self.over), -np.inf)
        least, most = np.zeros_like(low), np.zeros_like(low)
        if self.neuron.reset != "zero":
            least, most = np.maximum(low, self.under), high
        if self.neuron.reset == "subtract":
            lost = (self.unit * (np.maximum(abs(least), abs(most)) + self.drop) + self.tiny) * (1 + 2.0**-30)
            least, most = least - self.drop - lost, most - self.drop + lost
        least = np.where(spike, least, np.inf).min(1, keepdims=True)
        most = np.where(spike, most, -np.inf).max(1, keepdims=True)
        if self.neuron.decay == 0:
            bottom, top = np.minimum(bottom, least), np.maximum(top, most)
        else:
            bottom, top = np.concatenate([bottom, least], 1), np.concatenate([top, most], 1)
        there = bottom <= top
        self.there.append(there)
        self.low.append(np.where(there, np.floor(bottom * UNIT) / UNIT, 0))
        self.high.append(np.where(there, np.ceil(top * UNIT) / UNIT, 0))

    def _reached(self, t: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return V, and for each of its ends how far back the window goes that cuts it; 0: none does."""
        given, a = self.given, self.scale[t]
        ends = a * given.low[:, t], a * given.high[:, t]
        low = self.decay * self.low[t] + (np.minimum(*ends) - self.extra)[:, None]
        high = self.decay * self.high[t] + (np.maximum(*ends) + self.extra)[:, None]
        by_low, by_high = np.zeros((2, *low.shape), dtype=int)
        loose, power = self.extra, self.decay
        for back in range(1, t + 1) if self.windowed else ():
            loose, power = self.decay * loose + self.extra, power * self.decay
            came, width = given.windows[t - back, t + 1], t - back + 1
            one = power * self.low[t - back][:, :width] + (came[0] - loose)[:, None]
            two = power * self.high[t - back][:, :width] + (came[1] + loose)[:, None]
            better, less = one > low[:, :width] + 2.0**-30, two < high[:, :width] - 2.0**-30
            low[:, :width], high[:, :width] = (
                np.where(better, one, low[:, :width]),
                np.where(less, two, high[:, :width]),
            )
            by_low[:, :width][better], by_high[:, :width][less] = back, back
        return low, high, by_low, by_high


def _short(value: int) -> str:
    return word(value << GRID - SHORT)
