"""spikes.c, compiled where a layer's kernel is "compiled": bitwise what torch's operations compute, in one pass.

Built once a process and floating-point type, like the membranes' kernel, and used only after its results were
bitwise those of interval.py and train_graph.py on a probe with all resets and with ties.
"""

import ctypes
import itertools
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from ...models.compiled import RESETS, address, compiled_source, first_that_agrees
from ...models.dynamics import Dynamics
from .box import Box, Spread
from .membrane import Pull

SOURCE = Path(__file__).with_name("spikes.c")


class _Layer(ctypes.Structure):
    """The struct Layer in spikes.c."""

    _fields_ = (
        *((name, ctypes.c_double) for name in ("decay", "surely", "perhaps", "drop")),
        *((name, ctypes.c_int) for name in ("reset", "threads")),
        *((name, ctypes.c_long) for name in ("steps", "size", "current_stride")),
    )


class _Current(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_void_p) for name in ("middle", "radius"))


class _Spikes(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_void_p) for name in ("middle", "radius", "fewest", "most"))


@dataclass(frozen=True)
class Kernel:
    """spikes.c, loaded for one floating-point type."""

    functions: ctypes.CDLL

    def interval_steps(self, pull: Pull, dynamics: Dynamics) -> Spread:
        """Return what `StepSpikes.spread` does."""
        steps = _empty(pull)
        self._interval(pull, dynamics, steps, (None, None))
        return steps

    def interval_counts(self, pull: Pull, dynamics: Dynamics) -> Box:
        """Return the fewest and the most spikes, (batch, ...)."""
        fewest, most = pull.current.middle.new_empty((2, *pull.current.middle.shape[1:]))
        self._interval(pull, dynamics, None, (fewest, most))
        return Box(fewest, most)

    def graph_steps(self, pull: Pull, dynamics: Dynamics) -> Spread:
        """Return the steps of the graph of a hard reset."""
        steps = _empty(pull)
        self._graph(pull, dynamics, None, steps, (None, None))
        return steps

    def graph_paths(self, pull: Pull, dynamics: Dynamics, row: Tensor) -> Box:
        """Return the least and the greatest Σ_t row[t]·s[t] of any path, (batch, ...)."""
        lower, upper = pull.current.middle.new_empty((2, *pull.current.middle.shape[1:]))
        self._graph(pull, dynamics, row.contiguous(), None, (lower, upper))
        return Box(lower, upper)

    def table_steps(self, pull: Pull, dynamics: Dynamics, ends: Box, steps: Spread) -> Spread:
        """Return each neuron's steps under the constant current of `pull`.

        Args:
            pull, dynamics: of the layer.
            ends: the ends of the table's rows, (R,).
            steps: what each step is if the rows from i to j may be, (T, R, R).
        """
        found, rows = _empty(pull), len(ends.lower)
        tables = [tensor.contiguous() for tensor in (ends.lower, ends.upper, steps.middle, steps.radius)]
        layer, current, out = _arguments(pull, dynamics, found, (None, None))
        self.functions.table_spikes(layer, current, rows, *map(address, tables), out)
        return found

    def _interval(
        self, pull: Pull, dynamics: Dynamics, steps: Spread | None, sums: tuple[Tensor | None, Tensor | None]
    ) -> None:
        self.functions.interval_spikes(*_arguments(pull, dynamics, steps, sums))

    def _graph(
        self,
        pull: Pull,
        dynamics: Dynamics,
        row: Tensor | None,
        steps: Spread | None,
        sums: tuple[Tensor | None, Tensor | None],
    ) -> None:
        layer, current, out = _arguments(pull, dynamics, steps, sums)
        if self.functions.graph_spikes(layer, current, address(row), out):
            raise MemoryError("graph: no memory for its nodes")


def kernel_for(wanted: str, pull: Pull) -> Kernel | None:
    """Return the compiled kernel if it is `wanted`, there, and for currents like these."""
    middle, radius = pull.current.middle, pull.current.radius
    whole = middle.is_contiguous() and radius.is_contiguous() and middle.shape == radius.shape
    if wanted != "compiled" or middle.device.type != "cpu" or middle.numel() == 0 or not whole:
        return None
    found = spikes_kernel(middle.dtype)
    return found if isinstance(found, Kernel) else None


@lru_cache
def spikes_kernel(dtype: torch.dtype) -> Kernel | str:
    """Return the loaded kernel for `dtype`, or in one line why there is none."""
    return first_that_agrees(dtype, _build, _agrees)


def _build(compiler: str, dtype: torch.dtype, fused: int, parallel: bool) -> Kernel | str:
    functions = compiled_source(compiler, SOURCE, dtype, fused, parallel)
    if isinstance(functions, str):
        return functions
    pointer = ctypes.c_void_p
    functions.interval_spikes.argtypes = [pointer] * 3
    functions.graph_spikes.argtypes = [pointer] * 4
    functions.table_spikes.argtypes = [pointer, pointer, ctypes.c_long, *[pointer] * 5]
    functions.interval_spikes.restype = functions.table_spikes.restype = None
    return Kernel(functions)


def _empty(pull: Pull) -> Spread:
    shape = (pull.num_steps, *pull.current.middle.shape[1:])
    return Spread(*pull.current.middle.new_empty((2, *shape)))


def _arguments(
    pull: Pull, dynamics: Dynamics, steps: Spread | None, sums: tuple[Tensor | None, Tensor | None]
) -> tuple[object, object, object]:
    """Return pointers to the structs of spikes.c; the tensors must outlive the call."""
    middle = pull.current.middle
    size = middle[0].numel()
    layer = _Layer(
        dynamics.decay,
        pull.surely,
        pull.perhaps,
        dynamics.drop,
        RESETS[dynamics.reset],
        torch.get_num_threads(),
        pull.num_steps,
        size,
        0 if len(middle) == 1 else size,
    )
    current = _Current(address(middle), address(pull.current.radius))
    written = (None, None) if steps is None else (steps.middle, steps.radius)
    out = _Spikes(*map(address, (*written, *sums)))
    return ctypes.byref(layer), ctypes.byref(current), ctypes.byref(out)


def _agrees(built: Kernel, dtype: torch.dtype) -> bool:
    """Return whether steps and sums come out bitwise as without the kernel."""
    from .interval import StepSpikes
    from .step_trains import StepTrains

    for reset, decay, threshold in itertools.product(RESETS, (0.5, 0.9, 1.0), (0.75, 1.1)):
        dynamics, pull = Dynamics(decay, threshold, reset), _probe(dtype, threshold)
        eager, row = StepSpikes(pull, dynamics), torch.linspace(-1.0, 1.3, pull.num_steps).to(dtype)
        pairs = [
            (built.interval_steps(pull, dynamics).box, eager.spread().box),
            (built.interval_counts(pull, dynamics), eager.counts()),
        ]
        if reset == "zero":
            trains = StepTrains(pull, dynamics)
            pairs.append((built.graph_steps(pull, dynamics).box, trains.spread().box))
            pairs.append((built.graph_paths(pull, dynamics, row), trains.combine(row[None])[0]))
        if not all(torch.equal(a.lower, b.lower) and torch.equal(a.upper, b.upper) for a, b in pairs):
            return False
    return True


def _probe(dtype: torch.dtype, threshold: float) -> Pull:
    """Return currents many of which bring potentials exactly to a threshold."""
    generator = torch.Generator().manual_seed(0)
    middle, radius = torch.randn(2, 6, 1, 1003, generator=generator, dtype=torch.float64)
    radius.abs_().mul_(0.5)
    for ends in (middle, radius):
        ends[:, :, ::3] = (ends[:, :, ::3] * 8).round() / 8 * threshold
    return Pull(Spread(middle.to(dtype), radius.to(dtype)), 6, threshold, threshold)
