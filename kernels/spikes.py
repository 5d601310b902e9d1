"""spikes.c: what spikes a layer may have under boxes of currents, in one pass over memory."""

import ctypes
from dataclasses import dataclass

import torch
from torch import Tensor

from .loading import INT, REAL, RESETS, WHOLE, address, fields, pointers

Pair = tuple[Tensor | None, Tensor | None]
"""Two tensors that are filled, or that nobody asks for."""


class SpikesLayer(ctypes.Structure):
    """The struct Layer in spikes.c."""

    _fields_ = fields(REAL, "decay surely perhaps drop", INT, "reset threads", WHOLE, "steps size current_stride")


@dataclass(frozen=True)
class CompiledSpikes:
    """spikes.c, loaded for one floating-point type. All tensors are contiguous.

    A current is its middle and radius, (T, batch, ...) or (1, batch, ...); steps are middle and radius of spikes,
    (T, batch, ...); sums are least and greatest, (batch, ...).
    """

    functions: ctypes.CDLL

    def interval(self, layer: SpikesLayer, current: tuple[Tensor, Tensor], steps: Pair, sums: Pair) -> None:
        """Fill the steps, and the fewest and most spikes, of the interval recursion."""
        self.functions.interval_spikes(ctypes.byref(layer), pointers(current), pointers((*steps, *sums)))

    def graph(
        self, layer: SpikesLayer, current: tuple[Tensor, Tensor], row: Tensor | None, steps: Pair, sums: Pair
    ) -> None:
        """Fill the steps of the graph of a hard reset, and the ends of Σ_t row[t]·s[t] over its paths."""
        arguments = (ctypes.byref(layer), pointers(current), address(row), pointers((*steps, *sums)))
        if self.functions.graph_spikes(*arguments):
            raise MemoryError("graph: no memory for its nodes")

    def table(
        self, layer: SpikesLayer, current: tuple[Tensor, Tensor], tables: tuple[Tensor, ...], steps: Pair
    ) -> None:
        """Fill the steps under a constant current.

        Args:
            layer, current: of the neurons.
            tables: lower and upper ends of the table's rows, (R,), and middle and radius of the steps if the rows
                from i to j may be, (T, R, R).
            steps: what is filled.
        """
        known = (ctypes.byref(layer), pointers(current), WHOLE(len(tables[0])), *map(address, tables))
        self.functions.table_spikes(*known, pointers((*steps, None, None)))


def spikes_layer(
    middle: Tensor, constants: tuple[float, float, float, float], reset: str, steps: int
) -> SpikesLayer:
    """Return the constants of a layer.

    Args:
        middle: of the current, (T or 1, batch, ...).
        constants: λ, θ + tie, θ − tie and d.
        reset: "zero", "subtract" or "none".
        steps: T.
    """
    size = middle[0].numel()
    stride = 0 if len(middle) == 1 else size
    return SpikesLayer(*constants, RESETS[reset], torch.get_num_threads(), steps, size, stride)
