"""Windows whose bits are split, and the best cut of all steps into some of them.

Whatever the windows, a cut is a path from the first step to the last one. With L a window's bound and U what its
bound can't exceed whatever is split, the greatest ΣL of a path is proven, and no splits prove more than the
greatest ΣU. Split next is a window of a path on which both are great; where that is done, of one of great ΣU.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from ...kernels.bits import BitHeap, BitWindow, CompiledBits


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

    @property
    def nodes(self) -> int:
        """Return how many were bounded."""
        return int(self.heap.state[1])


@dataclass
class Partition:
    """Windows of all steps of a row, some of which make up a cut.

    Args:
        steps: T.
        constant: what the row has besides.
        capacity: nodes that may be open in a window.
        kernel: what splits.
    """

    steps: int
    constant: float
    capacity: int
    kernel: CompiledBits
    windows: dict[tuple[int, int], SplitWindow] = field(default_factory=dict)

    def __contains__(self, steps: slice) -> bool:
        """Return whether there is a window of these steps."""
        return (steps.stop, steps.start) in self.windows

    def add(self, steps: slice, part: BitWindow) -> None:
        """Let cuts have a window, whose root is split."""
        made = SplitWindow.of(steps.start, part, self.capacity)
        self.windows = dict(sorted({**self.windows, (steps.stop, steps.start): made}.items()))
        self.split(made, 1)
        made.gain = float("inf")

    def split(self, window: SplitWindow, nodes: int) -> None:
        """Split so many nodes of a window."""
        before, first = window.low, window.gain == float("inf")
        self.kernel.split(window.part, window.heap, nodes, float("inf"))
        window.low, window.high = window.heap.low, min(window.high, float(window.heap.closed))
        gain = (window.low - before) / nodes
        window.gain = gain if first or gain == 0.0 else (window.gain + gain) / 2

    @property
    def low(self) -> float:
        """Return what is proven of the row; what a sum of a few numbers rounds is in each one's sums."""
        return self.constant + self._path(lambda window: window.low)[0]

    def next(self) -> SplitWindow | None:
        """Return the window to split; None where no splits prove the row."""
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
