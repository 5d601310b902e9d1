"""long.c: the trains, by age of the last spike, of a dense layer behind a table of trains."""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from .loading import INT, REAL, WHOLE, address, fields, load, parts, pointers

AT_ONCE = 2**31
"""Products of windows that are computed in one call: about a second's."""

_SIZES = ("steps", "labels", "samples", "neurons", "sources", "rows", "ranges", "first", "behind")


class _LongSizes(ctypes.Structure):
    _fields_ = fields(REAL, "decay surely perhaps", WHOLE, " ".join(_SIZES), INT, "threads")


class _SumSizes(ctypes.Structure):
    _fields_ = fields(WHOLE, "steps labels neurons rows first behind")


@dataclass(frozen=True)
class LongLayer:
    """A dense layer of B samples behind a table of R rows, over T steps: n neurons that read m; float64 or int64.

    Attributes:
        weights, bias: (n, m), (n,).
        trains: of the table, (R, T).
        first, last: the different ranges of rows, (U,) each.
        range: which of them each source has, (B, m).
        ages, factors: of windows, (W,), (T,).
        slack: what a unit of weight of the product may be off, (B, n).
        widening: what the recursion may add to a unit, (B, n).
        lower, upper: currents of each step, widened, (T, B, n).
    """

    weights: Tensor
    bias: Tensor
    trains: Tensor
    first: Tensor
    last: Tensor
    range: Tensor
    ages: Tensor
    factors: Tensor
    slack: Tensor
    widening: Tensor
    lower: Tensor
    upper: Tensor


@dataclass(frozen=True)
class AgedTrains:
    """What the kernel finds, as `LongTrains` holds it; of `stays` the nodes up to T − W.

    Attributes:
        edges: (T + W, W + 1, B·n), bytes, as the next three.
        stays: (2, T + 1, B·n).
        waits: (T, B·n).
        ends: (W + 1, B·n).
        certain, possible: (T, B·n), float64.
    """

    edges: Tensor
    stays: Tensor
    waits: Tensor
    ends: Tensor
    certain: Tensor
    possible: Tensor


@dataclass(frozen=True)
class CompiledLong:
    """long.c, loaded."""

    functions: ctypes.CDLL

    def trains(
        self, layer: LongLayer, decay: float, limits: tuple[float, float], check: Callable[[], None]
    ) -> AgedTrains:
        """Return the trains of neurons of a decay that fire above, and may fire from, these limits on.

        `check` is called between parts of a second at most, about, and may raise.
        """
        given = parts(layer)
        (neurons, sources), (samples, _), steps = layer.weights.shape, layer.range.shape, len(layer.factors)
        labels, size = len(layer.ages), samples * neurons
        found = AgedTrains(
            torch.zeros(steps + labels, labels + 1, size, dtype=torch.uint8),
            torch.zeros(2, steps + 1, size, dtype=torch.uint8),
            torch.zeros(steps, size, dtype=torch.uint8),
            torch.zeros(labels + 1, size, dtype=torch.uint8),
            layer.lower.new_zeros(steps, size),
            layer.lower.new_zeros(steps, size),
        )
        counts = (steps, labels, samples, neurons, sources, len(layer.trains), len(layer.first))
        packed, filled = pointers(given), pointers(parts(found))
        each = max(1, AT_ONCE // (steps * labels * neurons * sources))
        for first in range(0, samples, each):
            check()
            part = first, min(first + each, samples)
            sizes = _LongSizes(decay, *limits, *counts, *part, torch.get_num_threads())
            if self.functions.age_trains(ctypes.byref(sizes), packed, filled):
                raise MemoryError("long: no memory for the labels of a layer")
        return found

    def path_sums(self, trains: AgedTrains, costs: Tensor, check: Callable[[], None]) -> Tensor:
        """Return the least and the greatest Σ_t costs[r, t]·s[t] over all paths, (2, rows, B·n).

        `costs` are (rows, T), float64. `check` is called between parts of a second at most, about, and may raise.
        """
        (rows, steps), (width, neurons) = costs.shape, trains.ends.shape
        sums, costs, held = costs.new_empty(2, rows, neurons), costs.contiguous(), parts(trains)
        packed, filled = pointers(held), (address(sums[0]), address(sums[1]))
        each = max(1, AT_ONCE // (steps * width * max(1, rows)))
        for first in range(0, neurons, each):
            check()
            sizes = _SumSizes(steps, width - 1, neurons, rows, first, min(first + each, neurons))
            if self.functions.path_sums(ctypes.byref(sizes), packed, address(costs), *filled):
                raise MemoryError("long: no memory for the paths of a layer")
        return sums


@lru_cache
def long_kernel() -> CompiledLong:
    """Return the kernel."""
    return load("long", torch.float64, CompiledLong)
