"""`graph.c` where a layer's kernel is "compiled": the graph of train_graph.py, with windows, behind a dense layer.

The kernel does what is done there for a hard reset behind a table of trains, in one pass sample by sample: no
window leaves the cache. Its sums have another order and fused products, which what is paid for rounding covers in
any order. It is used only after its graphs were those of torch on a probe.
"""

from dataclasses import replace
from functools import lru_cache

import torch
from torch import Tensor

from ....kernels.graph import CompiledGraph, GraphLayer
from ....kernels.loading import load
from ....models.deadline import check_time
from ....models.linear_maps import DenseMap
from ....models.rules import Leaky
from ...rounding import Rounding, over_rows
from ..signals.affine import affine_map
from ..signals.box import Box
from ..signals.membrane import Drive, drive
from ..signals.signals import AffineSignal, Signal
from ..signals.windows import Spans
from ..trains.train_graph import GraphTrains, graph_trains
from ..trains.train_table import TableTrains, train_table
from .compiled_long import reaches, vector

MOST_NUMBERS = 2**20
"""What the windows of all ranges of rows may hold: 8 MiB."""


def kernel_graph(current: Signal, rule: Leaky, rounding: Rounding) -> GraphTrains | None:
    """Return what `graph_trains` does with windows; None where the kernel is not wanted or does not reach."""
    if rule.kernel != "compiled" or rule.reset != "zero" or not reaches(current, rounding):
        return None
    assert isinstance(current, AffineSignal)
    assert isinstance(current.source, TableTrains)
    if len(current.source.table.trains) ** 2 * current.num_steps**2 > MOST_NUMBERS:
        return None
    found = graph_kernel()
    return _graph(found, current, rule, rounding) if isinstance(found, CompiledGraph) else None


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


@lru_cache
def graph_kernel() -> CompiledGraph | str:
    """Return the kernel if its graphs on a probe are torch's, or why there is none."""
    return load("graph.c", torch.float64, CompiledGraph.of, _agrees)


def _agrees(built: CompiledGraph, dtype: torch.dtype) -> bool:
    """Return whether graphs over seven steps, and what is known beside them, are those of torch."""
    generator, rounding = torch.Generator().manual_seed(0), Rounding(dtype)
    weights = torch.randn(13, 19, generator=generator, dtype=dtype) * 0.4
    bias = torch.randn(13, generator=generator, dtype=dtype) * 0.1
    middle = torch.rand(3, 19, generator=generator, dtype=dtype)
    for rule in (Leaky(0.9), Leaky(1.0, scale=tuple(0.5 + 0.1 * k for k in range(7)))):
        table = train_table(Leaky(rule.decay), 7, rounding)
        assert table is not None
        source = TableTrains(table, *table.reachable(Box(middle - 0.02, middle + 0.03)))
        current = AffineSignal(source, affine_map(DenseMap(weights, bias)), rounding)
        if not same(graph_trains(current, rule, rounding, windows=True), _graph(built, current, rule, rounding)):
            return False
    return True


def same(one: GraphTrains, other: GraphTrains) -> bool:
    """Return whether two graphs are the same, and their numbers up to the order of sums."""
    exact = zip(
        (*one.edges, one.ends, *_ends(one.box)), (*other.edges, other.ends, *_ends(other.box)), strict=True
    )
    near = zip(_ends(one.drives, *one.reach), _ends(other.drives, *other.reach), strict=True)
    return all(torch.equal(*pair) for pair in exact) and all(torch.allclose(*pair, 1e-9, 1e-9) for pair in near)


def _ends(box: Box | Drive, *others: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
    return (box.lower, box.upper, *(end for pair in others for end in pair))
