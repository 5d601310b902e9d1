"""Graphs of trains and trains by age, by C, behind a table of trains and a dense layer.

`long.c`: the trains of long_trains.py behind a table and a dense layer.

The kernel does what is done there, in one pass sample by sample: no window leaves the cache. Its sums have another
order and fused products, which what is paid for rounding covers in any order; nothing is asked of it where a
number could come near an overflow.

`graph.c`: the graph of train_graph.py, with windows, behind a dense layer.

The kernel does what is done there for a hard reset behind a table of trains, in one pass sample by sample: no
window leaves the cache. Its sums have another order and fused products, which what is paid for rounding covers in
any order.
"""

from dataclasses import replace

import torch
from torch import Tensor

from ....kernels.graph import CompiledGraph, GraphLayer, graph_kernel
from ....kernels.long import CompiledLong, LongLayer, long_kernel
from ....models.deadline import check_time
from ....models.rules import Leaky
from ...rounding import Rounding, over_rows
from ..signals.box import Box
from ..signals.membrane import drive
from ..signals.signals import AffineSignal, Signal
from ..signals.windows import Spans
from ..trains.train_graph import GraphTrains
from ..trains.train_table import TableTrains
from .long_trains import LongTrains, labels_of, of_aged

MOST_SIZE = 1e290
"""The greatest current, times T, of which the kernel is asked: nothing overflows on the way."""


def kernel_trains(current: Signal, rule: Leaky, rounding: Rounding) -> LongTrains | None:
    """Return what `long_trains` does, by the compiled kernel; None where it does not reach."""
    if not reaches(current, rounding):
        return None
    assert isinstance(current, AffineSignal)
    return _trains(long_kernel(), current, rule, rounding, labels_of(rule.decay, current.num_steps))


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


MOST_NUMBERS = 2**20
"""What the windows of all ranges of rows may hold: 8 MiB."""


def kernel_graph(current: Signal, rule: Leaky, rounding: Rounding) -> GraphTrains | None:
    """Return what `graph_trains` does with windows; None where the kernel does not reach."""
    if rule.reset != "zero" or not reaches(current, rounding):
        return None
    assert isinstance(current, AffineSignal)
    assert isinstance(current.source, TableTrains)
    if len(current.source.table.trains) ** 2 * current.num_steps**2 > MOST_NUMBERS:
        return None
    return _graph(graph_kernel(), current, rule, rounding)


def _graph(kernel: CompiledGraph, current: AffineSignal, rule: Leaky, rounding: Rounding) -> GraphTrains:
    source, steps = current.source, current.num_steps
    assert isinstance(source, TableTrains)
    assert current.map.weights is not None
    check_time()
    drives, spans = drive(current, rule, rounding), Spans.of(rule, steps)
    size = drives.slack.shape
    layer = GraphLayer(
        current.map.weights[0],
        vector(current.map.bias, size[1]),
        source.table.trains,
        source.first,
        source.last,
        torch.cat((spans.ages, spans.ages.new_tensor([rule.decay**steps]))),
        spans.factors,
        current.map.slack(source.magnitude(), rounding, over_rows(steps)).expand(size),
        drives.slack,
        drives.lower,
        drives.upper,
    )
    found = kernel.graphs(layer, drives.limits)
    lengths = list(range(1, steps + 1))
    return GraphTrains(
        edges=found.edges.split(lengths),
        ends=found.ends,
        box=Box(found.certain, found.possible),
        drives=replace(drives, lower=found.lower, upper=found.upper),
        reach=tuple(zip(found.low.split(lengths), found.high.split(lengths), strict=True)),
    )
