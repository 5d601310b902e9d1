"""paths.c, compiled where a layer's kernel is "compiled": the priced shortest paths of `price_graph.py`, fast.

Only the search for prices asks it, and any prices give a valid bound: what is proven is computed by torch at the
prices that it found. It counts only after its values came out as torch's, up to the order of sums, on a probe.
"""

import ctypes
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from ...models.compiled import address, compiled_source, first_that_agrees
from ...models.neurons import LIF
from .box import Box
from .rounding import Rounding
from .signals import InputSignal

SOURCE = Path(__file__).with_name("paths.c")


class _Sizes(ctypes.Structure):
    """The struct of that name in paths.c."""

    _fields_ = (
        *((name, ctypes.c_double) for name in ("decay", "slope_decay", "surely", "perhaps")),
        *((name, ctypes.c_long) for name in ("steps", "pairs")),
        ("threads", ctypes.c_int),
    )


class _Graph(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_void_p)
        for name in ("lower", "upper", "low", "high", "edges", "ends", "start_low", "start_high")
    )


class _Answer(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_void_p) for name in ("values", "spikes", "currents"))


@dataclass(frozen=True)
class Packed:
    """P priced graphs in the arrays that paths.c reads.

    Attributes:
        constants: λ, λ of the slopes, θ + tie, θ − tie.
        arrays: lower, upper (T, P); low, high and edges, packed (T(T + 1)/2, P); ends (T + 1, P); and the
            potentials left over after a spike, (T + 1, P) each, where they are not 0.
    """

    constants: tuple[float, float, float, float]
    arrays: tuple[Tensor, ...]

    @staticmethod
    def of(constants: tuple[float, float, float, float], arrays: tuple[Tensor, ...]) -> "Packed":
        """Return the graphs with arrays as C reads them."""
        kinds = (array.to(torch.uint8) if array.dtype == torch.bool else array for array in arrays)
        return Packed(constants, tuple(array.contiguous() for array in kinds))


@dataclass(frozen=True)
class Paths:
    """paths.c, loaded."""

    functions: ctypes.CDLL

    def least(self, graph: Packed, costs: Tensor, prices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what `PricedGraph.least` does, up to the order of its sums."""
        costs, prices = costs.contiguous(), prices.contiguous()
        steps, pairs = costs.shape
        values, spikes, currents = costs.new_empty(pairs), torch.empty_like(costs), torch.empty_like(costs)
        sizes = _Sizes(*graph.constants, steps, pairs, torch.get_num_threads())
        arrays = _Graph(*map(address, graph.arrays))
        answer = _Answer(*map(address, (values, spikes, currents)))
        given = (ctypes.byref(sizes), ctypes.byref(arrays), address(costs), address(prices))
        if self.functions.shortest(*given, ctypes.byref(answer)):
            raise MemoryError("paths: no memory for the segments of a priced graph")
        return values, spikes, currents


def paths_for(wanted: str, like: Tensor) -> Paths | None:
    """Return the compiled paths if they are `wanted`, there, and for tensors like this one."""
    if wanted != "compiled" or like.device.type != "cpu" or like.dtype != torch.float64 or like.numel() == 0:
        return None
    found = paths()
    return found if isinstance(found, Paths) else None


@lru_cache
def paths() -> Paths | str:
    """Return the loaded kernel, or in one line why there is none."""
    return first_that_agrees(torch.float64, _build, _agrees)


def _build(compiler: str, dtype: torch.dtype, fused: int, parallel: bool) -> Paths | str:
    functions = compiled_source(compiler, SOURCE, dtype, fused, parallel)
    if isinstance(functions, str):
        return functions
    functions.shortest.argtypes = [ctypes.c_void_p] * 5
    functions.shortest.restype = ctypes.c_int
    return Paths(functions)


def _agrees(built: Paths, dtype: torch.dtype) -> bool:
    """Return whether values and spikes on a probe are those of torch's operations."""
    from .price_graph import PricedGraph
    from .train_graph import graph_trains

    steps, neurons, generator = 6, 203, torch.Generator().manual_seed(0)
    ends = torch.randn(2, steps, 1, neurons, generator=generator, dtype=dtype).mul_(0.8).sort(0).values
    costs, prices = torch.randn(2, steps, neurons, generator=generator, dtype=dtype)
    pairs = torch.zeros(neurons, dtype=torch.long), torch.arange(neurons)
    for reset in ("zero", "subtract"):
        found = graph_trains(InputSignal(Box(ends[0], ends[1]), steps), LIF(0.9, reset=reset), Rounding(dtype))
        graph = PricedGraph.of(found, 0.9, pairs)
        expected, answer = graph.least(costs, prices), built.least(graph.packed, costs, prices)
        if not all(torch.allclose(*pair, rtol=1e-9, atol=1e-9) for pair in zip(expected, answer, strict=True)):
            return False
    return True
