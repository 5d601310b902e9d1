"""Windows whose bits are split, and the best cut of all steps into some of them.

Whatever the windows, a cut is a path from the first step to the last one. With L a window's bound and U what its
bound can't exceed whatever is split, the greatest ΣL of a path is proven, and no splits prove more than the
greatest ΣU. Split next is a window of a path on which both are great; where that is done, of one of great ΣU.

Cut windows of steps out of a network: only what is open in them is left.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ...kernels.bits import MOST_BITS, BitHeap, BitWindow, CompiledBits
from ..search import Limits, OneByOne
from .known import KnownLayer, KnownNetwork

AT_ONCE = 1000
"""Nodes that are split in one call: milliseconds."""


@dataclass
class SplitWindow:
    """A window of some steps, and what splits have found of it.

    Attributes:
        start: its first step.
        part, heap: what is split.
        high: U; at first what a run has at most.
        low: L.
        gain: of a node, by the splits before; ∞ before there were any.
    """

    start: int
    part: BitWindow
    heap: BitHeap
    high: float
    low: float = -float("inf")
    gain: float = float("inf")

    @staticmethod
    def of(start: int, part: BitWindow, capacity: int) -> "SplitWindow":
        """Return a window that is not split."""
        last = part.known[len(part.known) - part.costs.numel() :].view_as(part.costs)
        may, must = last & 1 > 0, last & 2 > 0
        greatest = torch.where(must, part.costs, part.costs.clamp_min(0.0) * may).sum()
        return SplitWindow(start, part, BitHeap.of(part, capacity), part.constant + float(greatest))

    def split(self, kernel: CompiledBits, nodes: int) -> None:
        """Split so many nodes."""
        kernel.split(self.part, self.heap, nodes, float("inf"))
        self.low, self.high = self.heap.low, min(self.high, float(self.heap.closed))

    @property
    def nodes(self) -> int:
        """Return how many were bounded."""
        return int(self.heap.state[1])

    @property
    def open(self) -> int:
        """Return how many wait."""
        return int(self.heap.state[0])


@dataclass
class Partition(OneByOne[SplitWindow]):
    """Windows of all steps of a row, some of which make up a cut; a part is some nodes of one of them.

    Args:
        steps: T.
        constant: what the row has besides.
        capacity: nodes that may be open in a window.
        kernel: what splits.
        left: how often windows may still be split.
    """

    steps: int
    constant: float
    capacity: int
    kernel: CompiledBits
    windows: dict[tuple[int, int], SplitWindow] = field(default_factory=dict)
    left: int = 0

    def __contains__(self, steps: slice) -> bool:
        """Return whether there is a window of these steps."""
        return (steps.stop, steps.start) in self.windows

    def add(self, steps: slice, part: BitWindow) -> None:
        """Let cuts have a window, whose root is split."""
        made = SplitWindow.of(steps.start, part, self.capacity)
        self.windows = dict(sorted({**self.windows, (steps.stop, steps.start): made}.items()))
        made.split(self.kernel, 1)

    def searched(self, times: int, limits: Limits) -> float:
        """Return what windows prove together, once some were split where that may prove the row."""
        self.left = times
        self.search(limits)
        return self.low

    def bound(self, part: SplitWindow) -> None:
        """Split nodes of a window."""
        before, first = part.low, part.gain == float("inf")
        part.split(self.kernel, AT_ONCE)
        gain = (part.low - before) / AT_ONCE
        part.gain = gain if first or gain == 0.0 else (part.gain + gain) / 2
        self.left -= 1

    @property
    def bytes(self) -> int:
        """Return what the nodes of all windows take."""
        return sum(window.heap.bytes for window in self.windows.values())

    def standing(self) -> dict[str, float]:
        """Return how many nodes were bounded, and how many are open."""
        windows = self.windows.values()
        return {
            "nodes": float(sum(each.nodes for each in windows)),
            "open": float(sum(each.open for each in windows)),
        }

    @property
    def low(self) -> float:
        """Return what is proven of the row; what a sum of a few numbers rounds is in each one's sums."""
        return self.constant + self._path(lambda window: window.low)[0]

    def next(self) -> SplitWindow | None:
        """Return the window to split; None where the row is proven, or no splits prove it."""
        if self.left == 0 or self.low > 0.0:
            return None
        high, greatest = self._path(lambda window: window.high)
        if self.constant + high <= 0.0:
            return None
        for path in (self._path(lambda window: window.low + window.high)[1], greatest):
            left = [window for window in path if not window.heap.done]
            if left:
                return max(left, key=lambda window: (window.gain, -window.nodes))
        return None

    def _path(self, value: Callable[[SplitWindow], float]) -> tuple[float, list[SplitWindow]]:
        """Return the greatest sum of values of windows that make up all steps, and these."""
        sums, last = [0.0, *[-float("inf")] * self.steps], dict[int, SplitWindow]()
        for (stop, _), window in self.windows.items():
            if sums[window.start] + value(window) > sums[stop]:
                sums[stop], last[stop] = sums[window.start] + value(window), window
        path, stop = list[SplitWindow](), self.steps
        while stop in last:
            path.append(last[stop])
            stop = last[stop].start
        return sums[-1], path


def window(network: KnownNetwork, row: int, steps: slice) -> BitWindow | None:
    """Return the window of some steps; None where it has too many open bits.

    The margins of windows that make up all steps and the row's constant sum up to the row's margin, run by run.
    """
    return None if int(network.open[steps].sum()) > MOST_BITS else _window(network, row, steps)


def counted(network: KnownNetwork, row: int) -> BitWindow | None:
    """Return all steps as one window of neurons that count; None where some forget, or open bits are too many."""
    if not network.counts or int(network.open.sum()) > MOST_BITS:
        return None
    steps = slice(0, len(network.certain))
    pairs = list(zip(network.stages, network.opened(steps), strict=True))
    fewest = _joined([layer.fewest[:, at] for layer, at in pairs if layer.fewest is not None])
    greatest = _joined([layer.greatest[:, at] for layer, at in pairs if layer.greatest is not None])
    return replace(_window(network, row, steps), fewest=fewest, greatest=greatest)


def _window(network: KnownNetwork, row: int, steps: slice) -> BitWindow:
    """Return one window, step by step."""
    step, feature = network.open[steps].nonzero(as_tuple=True)
    lower, upper = _linked(feature, network.rank[steps][step, feature])
    opened, first, costs = network.opened(steps), network.stages[0], network.costs[row, steps]
    factors = torch.stack([layer.factor[steps] for layer in network.stages])
    columns = first.matrix[opened[0]][:, feature].T * factors[0][step][:, None]
    signal, bases = network.certain[steps].double(), list[Tensor]()
    for layer, chosen in zip(network.stages, opened, strict=True):
        current = signal @ layer.matrix[chosen].T + layer.bias[chosen]
        bases.append(current * layer.factor[steps, None])
        signal = layer.must[steps].double().index_fill(1, chosen, 0.0)
    pairs = list(zip(network.stages, opened, strict=True))
    return BitWindow(
        layers=tuple(layer.constants for layer in network.stages),
        sizes=tuple(map(len, opened)),
        step=step.contiguous(),
        columns=columns.contiguous(),
        lower=lower,
        upper=upper,
        base=_joined(bases),
        matrix=_joined(_between(network.stages, opened)),
        factor=factors.contiguous(),
        low=_joined([layer.low[steps.start][at] for layer, at in pairs]),
        high=_joined([layer.high[steps.start][at] for layer, at in pairs]),
        widening=_joined([layer.widening[at] for layer, at in pairs]),
        known=_joined([_spikes(layer, steps, at) for layer, at in pairs]),
        costs=costs[:, opened[-1]].contiguous(),
        constant=float((signal * costs).sum()),
    )


def _linked(feature: Tensor, rank: Tensor) -> tuple[Tensor, Tensor]:
    """Return which bit of its feature is just before each bit by rank, and which just behind it; −1 for none."""
    order = (feature * (int(rank.max()) + 1 if len(rank) else 1) + rank).argsort()
    first, second = order[:-1], order[1:]
    same = feature[first] == feature[second]
    lower, upper = torch.full_like(feature, -1), torch.full_like(feature, -1)
    lower[second[same]], upper[first[same]] = first[same], second[same]
    return lower, upper


def _between(layers: tuple[KnownLayer, ...], opened: list[Tensor]) -> list[Tensor]:
    """Return the weights from open neurons to open neurons, (before, n) each; first nothing, before all layers."""
    pairs = zip(layers[1:], opened, opened[1:], strict=False)
    return [layers[0].matrix.new_empty(0), *(layer.matrix[at][:, before].T for layer, before, at in pairs)]


def _spikes(layer: KnownLayer, steps: slice, chosen: Tensor) -> Tensor:
    """Return 1 for a spike that may be and 3 for one that must be."""
    return (layer.may[steps][:, chosen] + 2 * layer.must[steps][:, chosen]).to(torch.uint8)


def _joined(parts: list[Tensor]) -> Tensor:
    return torch.cat([part.flatten() for part in parts]).contiguous()
