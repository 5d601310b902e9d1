"""`long.c` where a layer's kernel is "compiled": the trains of long_trains.py behind a table and a dense layer.

The kernel does what is done there, in one pass sample by sample: no window leaves the cache. Its sums have another
order and fused products, which what is paid for rounding covers in any order; nothing is asked of it where a
number could come near an overflow. It is used only after its trains were those of torch on a probe.
"""

from functools import lru_cache

import torch
from torch import Tensor

from ....kernels.loading import load
from ....kernels.long import CompiledLong, LongLayer
from ....models.deadline import check_time
from ....models.linear_maps import DenseMap
from ....models.rules import Leaky
from ...rounding import Rounding, over_rows
from ..signals.affine import affine_map
from ..signals.box import Box
from ..signals.membrane import drive
from ..signals.signals import AffineSignal, Signal
from ..signals.windows import Spans
from ..trains.train_table import TableTrains, train_table
from .long_trains import LongTrains, labels_of, long_trains, of_aged

MOST_SIZE = 1e290
"""The greatest current, times T, of which the kernel is asked: nothing overflows on the way."""


def kernel_trains(current: Signal, rule: Leaky, rounding: Rounding) -> LongTrains | None:
    """Return what `long_trains` does, by the compiled kernel; None where it is not wanted or does not reach."""
    found = long_kernel() if rule.kernel == "compiled" and reaches(current, rounding) else None
    if not isinstance(found, CompiledLong):
        return None
    assert isinstance(current, AffineSignal)
    return _trains(found, current, rule, rounding, labels_of(rule.decay, current.num_steps))


def reaches(current: Signal, rounding: Rounding) -> bool:
    """Return whether the kernel knows what makes a current: one dense layer behind a table."""
    if not isinstance(current, AffineSignal) or current.map.weights is None or current.map.reshapes:
        return False
    source = current.source
    return (
        type(source) is TableTrains
        and source.first.dim() == 2
        and source.first.device.type == "cpu"
        and source.table.trains.dtype == rounding.bound == torch.float64
        and float(current.magnitude().max()) * current.num_steps <= MOST_SIZE
    )


def _trains(
    kernel: CompiledLong, current: AffineSignal, rule: Leaky, rounding: Rounding, labels: int
) -> LongTrains:
    """Return the trains with W labels."""
    source, steps = current.source, current.num_steps
    assert isinstance(source, TableTrains)
    assert current.map.weights is not None
    drives, asked = drive(current, rule, rounding), Spans.of(rule, steps, labels)
    pairs = torch.stack((source.first.flatten(), source.last.flatten()))
    ranges, place = pairs.unique(dim=1, return_inverse=True)
    slack = current.map.slack(source.magnitude(), rounding, over_rows(steps))
    size = drives.slack.shape
    layer = LongLayer(
        current.map.weights[0],
        vector(current.map.bias, size[1]),
        source.table.trains,
        ranges[0],
        ranges[1],
        place.view(source.first.shape),
        asked.ages,
        asked.factors,
        slack.expand(size),
        drives.slack,
        drives.lower,
        drives.upper,
    )
    found = kernel.trains(layer, rule.decay, drives.limits, check_time)
    return of_aged(found, drives.lower.shape, kernel)


def vector(bias: Tensor, size: int) -> Tensor:
    """Return a bias, which may be one number, as one a neuron."""
    return bias.flatten().expand(size).double()


@lru_cache
def long_kernel() -> CompiledLong | str:
    """Return the kernel if its trains on a probe are torch's, or why there is none."""
    return load("long.c", torch.float64, CompiledLong.of, _agrees)


def _agrees(built: CompiledLong, dtype: torch.dtype) -> bool:
    """Return whether trains over 40 steps, with labels for all of them and for 7, are those of torch."""
    generator, rounding = torch.Generator().manual_seed(0), Rounding(dtype)
    weights = torch.randn(13, 19, generator=generator, dtype=dtype) * 0.4
    bias = torch.randn(13, generator=generator, dtype=dtype) * 0.1
    middle = torch.rand(3, 19, generator=generator, dtype=dtype)
    for rule in (Leaky(0.9), Leaky(1.0, scale=tuple(0.5 + 0.1 * (k % 7) for k in range(40)))):
        table = train_table(Leaky(rule.decay), 40, rounding)
        assert table is not None
        source = TableTrains(table, *table.reachable(Box(middle - 0.02, middle + 0.03)))
        current = AffineSignal(source, affine_map(DenseMap(weights, bias)), rounding)
        for labels in (40, 7):
            expected = long_trains(current, rule, rounding, labels=labels)
            found = _trains(built, current, rule, rounding, labels)
            rows = torch.randn(2, 40, generator=generator, dtype=dtype)
            both = ((*_tensors(each), *_sums(each, rows)) for each in (expected, found))
            if not all(torch.equal(*pair) for pair in zip(*both, strict=True)):
                return False
    return True


def _sums(found: LongTrains, rows: Tensor) -> tuple[Tensor, Tensor]:
    box = found.combine(rows)
    return box.lower, box.upper


def _tensors(found: LongTrains) -> tuple[Tensor, ...]:
    return (found.box.lower, found.box.upper, found.edges, found.stays, found.waits, found.ends)
