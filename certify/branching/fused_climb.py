"""`kernels/sources/climb.c` where a network's kernel is "compiled": the climb of a batch of nodes as one call.

It reaches networks whose layers follow each other, with one dense matrix between two of them, a table behind the
input and graphs behind that, over boxes that are constant in time. What it finds are prices, inputs and splits to
try: each node is bounded again at these prices, by prove.c or by torch, so a climb that lies costs time and
changes no verdict. Others, and other devices, climb by torch's operations.

prove.c sums up in float64 what `PricedProblem.evaluate` does, in another order, which the error that is paid
allows, and it pays for each product's modulus by itself. Where a number comes near an overflow torch is asked.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TypeVar

import torch
from torch import Tensor, nn

from ...kernels.loading import RESETS, load
from ...kernels.search.climb import (
    ClimbSettings,
    CompiledClimb,
    CompiledProof,
    FirstTable,
    LaterGraphs,
    NeuronConstants,
    Proposal,
    ProvenNodes,
)
from ...models.circuit import circuit
from ...models.elements.neurons import LIF
from ...models.networks import SpikingNetwork
from ..bounds.prices.price_search import Ascent, pair_prices, zero_prices
from ..bounds.prices.prices import PricedProblem, Specifications
from ..bounds.prices.stages import Stage, Staged, staged
from ..bounds.signals.box import Box
from ..bounds.trains.train_graph import slope_decay
from ..bounds.trains.trains import window_spikes
from .nodes.decisions import RowRanges, root
from .nodes.trimming import LEVEL, trim_rows

MOST_WEIGHTS = 2**22
"""Numbers that a layer's matrix may hold: beyond that a layer that shares its weights is faster as it is."""

STEEPEST_SINGLE = 100.0
"""The greatest λ^{−(T−1)} for which prices are sought in float32."""

MOST_PRICE = 1e30
"""Prices are cut to this: what a kernel proposes is finite."""


Layer = TypeVar("Layer", FirstTable, LaterGraphs)
Layers = tuple[FirstTable, tuple[LaterGraphs, ...]]


@dataclass(frozen=True)
class FusedClimb:
    """A staged network as the kernel reads it.

    Attributes:
        network: in stages.
        compiled: the kernel.
        layers: with matrices in the kernel's dtype.
        exact: with matrices in float64.
    """

    network: Staged
    compiled: CompiledClimb
    layers: Layers
    exact: Layers

    @staticmethod
    def of(network: Staged) -> "FusedClimb | None":
        """Return the climb of a network that it reaches, and whose layers want it; None for others."""
        if not _reaches(network):
            return None
        dtype = _dtype(network)
        compiled = climb_kernel(dtype)
        return FusedClimb.made(network, compiled, dtype) if isinstance(compiled, CompiledClimb) else None

    @staticmethod
    def made(network: Staged, compiled: CompiledClimb, dtype: torch.dtype) -> "FusedClimb":
        """Return the climb of a network by a kernel."""
        table, later = _layers(network)
        return FusedClimb(
            network, compiled, (_cast(table, dtype), tuple(_cast(each, dtype) for each in later)), (table, later)
        )

    def run(self, specifications: Specifications, start: tuple[Tensor, ...], settings: ClimbSettings) -> Proposal:
        """Climb from prices `start`, last layer first; what comes back is finite."""
        readout = _readout(self.network, specifications)
        found = self.compiled.climb(settings, self.layers, specifications.samples, readout, start[::-1])
        return Proposal(
            found.best,
            tuple(price.nan_to_num(0.0).clamp(-MOST_PRICE, MOST_PRICE) for price in found.prices[::-1]),
            found.inputs.nan_to_num(0.0, 0.0, 0.0),
            found.score.nan_to_num(0.0, 0.0, 0.0).clamp_min(0.0),
            found.currents.nan_to_num(0.0, 0.0, 0.0),
            found.believed,
        )

    def prove(self, specifications: Specifications, prices: tuple[Tensor, ...]) -> ProvenNodes:
        """Return what float32 `prices`, last layer first, prove of each node."""
        kernel, error = proof_kernel(), PricedProblem(self.network, specifications, ()).unit_error
        if isinstance(kernel, CompiledProof):
            given = specifications.samples, _readout(self.network, specifications), prices[::-1]
            found = kernel.prove(self.exact, *given, error, LEVEL)
            if bool(found.bound.isfinite().all()):
                return found
        return proven(self.network, specifications, prices)


def proven(network: Staged, specifications: Specifications, prices: tuple[Tensor, ...]) -> ProvenNodes:
    """Return what prices, last layer first, prove of each node, by torch's operations."""
    problem = PricedProblem.of(network, specifications)
    rows = root(network.stages[0].trains, len(specifications.samples))
    assert isinstance(rows, RowRanges)
    pairs = pair_prices(problem, tuple(price.double() for price in prices))
    found = problem.evaluate(pairs)
    left = trim_rows(problem, pairs, found, rows)
    return ProvenNodes(found.bound, left.first.long(), left.last.long())


def _readout(network: Staged, specifications: Specifications) -> tuple[Tensor, Tensor]:
    """Return the coefficients on the last layer's spikes, (T, S, n), and the constant, (S,)."""
    costs, constant = PricedProblem(network, specifications, ()).readout()
    return costs.of(len(network.stages)).flatten(2), constant


def _reaches(network: Staged) -> bool:
    """Return whether the kernel knows all of a network."""
    first, *others = network.stages
    source = network.source
    return (
        first.rule.kernel == "compiled"
        and network.row.device.type == "cpu"
        and network.sequential
        and source.constant
        and source.plain
        and first.trains.rows is not None
        and all(stage.trains.paths is not None and stage.priceable for stage in others)
        and all(
            stage.lower[0, 0].numel() * width <= MOST_WEIGHTS
            for stage, width in zip(network.stages, _widths(network), strict=True)
        )
    )


def _widths(network: Staged) -> Iterator[int]:
    """Yield how many numbers each stage reads."""
    yield network.source.box.lower[0, 0].numel()
    for stage in network.stages[:-1]:
        yield stage.lower[0, 0].numel()


def _dtype(network: Staged) -> torch.dtype:
    """Return float32 where potentials are not forgotten so fast that slopes lose too much of it."""
    steps = len(network.row)
    steep = any(stage.rule.decay ** (steps - 1) * STEEPEST_SINGLE < 1.0 for stage in network.stages[1:])
    return torch.float64 if steep else torch.float32


def _neuron(stage: Stage) -> NeuronConstants:
    rule = stage.rule
    return NeuronConstants(rule.decay, rule.threshold, rule.drop, rule.reset, rule.fires_at == ">")


def _layers(network: Staged) -> Layers:
    return _table(network), tuple(map(_later, network.stages[1:]))


def _cast(layer: Layer, dtype: torch.dtype) -> Layer:
    return replace(layer, weights=layer.weights.to(dtype), bias=layer.bias.to(dtype))


def _table(network: Staged) -> FirstTable:
    stage = network.stages[0]
    found, steps = stage.trains.rows, len(network.row)
    assert found is not None
    shape = (len(stage.lower[0]), stage.lower[0, 0].numel())
    split = torch.zeros(shape, dtype=torch.bool) if stage.split is None else stage.split.reshape(shape)
    box = network.source.box
    return FirstTable(
        *stage.matrix(),
        row_low=found.table.lower,
        row_high=found.table.upper,
        trains=found.table.trains,
        lower=stage.lower[0].reshape(shape),
        upper=stage.upper[0].reshape(shape),
        slack=stage.branches[0].chain.slack.expand_as(stage.lower[0]).reshape(shape),
        box_low=box.lower[0].flatten(1),
        box_high=box.upper[0].flatten(1),
        first=found.first.reshape(shape).long(),
        last=found.last.reshape(shape).long(),
        split=split,
        scale=stage.scale,
        lasting=steps / 2,
        neuron=_neuron(stage),
    )


def _later(stage: Stage) -> LaterGraphs:
    found, scale = stage.trains.paths, stage.scale
    assert found is not None
    chain = stage.branches[0].chain.slack.expand(stage.lower.shape[1:]).flatten(1)
    return LaterGraphs(
        *stage.matrix(),
        lower=found.drives.lower.flatten(2),
        upper=found.drives.upper.flatten(2),
        slack=chain * scale.abs()[:, None, None] + found.drives.slack.flatten(1),
        certain=found.box.lower.flatten(2),
        possible=found.box.upper.flatten(2),
        low=[low for low, _ in found.reach],
        high=[high for _, high in found.reach],
        edges=found.edges,
        ends=found.ends,
        starts=found.left,
        scale=scale,
        lasting=1.0,
        constants=(slope_decay(stage.rule.decay, len(scale)), *found.drives.limits),
        neuron=_neuron(stage),
    )


@lru_cache
def climb_kernel(dtype: torch.dtype) -> CompiledClimb | str:
    """Return the kernel if its bounds on a probe are torch's, up to rounding, or why there is none."""
    return load("climb.c", dtype, CompiledClimb.of, _agrees)


@lru_cache
def proof_kernel() -> CompiledProof | str:
    """Return the kernel if what it proves on a probe is what torch does, up to rounding, or why there is none."""
    return load("prove.c", torch.float64, CompiledProof.of, _proves)


def _proves(built: CompiledProof, dtype: torch.dtype) -> bool:
    """Return whether bounds of a probe, and rows that are left, are those of torch."""
    for reset in RESETS:
        network, specifications = _probe(reset)
        prices = tuple(price.float() for price in _start(network, specifications))
        expected, error = (
            proven(network, specifications, prices),
            PricedProblem(network, specifications, ()).unit_error,
        )
        given = specifications.samples, _readout(network, specifications), prices[::-1]
        found, needed = built.prove(_layers(network), *given, error, LEVEL), expected.bound <= 0
        rows = (found.lowest, expected.lowest), (found.highest, expected.highest)
        if not torch.allclose(found.bound, expected.bound, 1e-9, 1e-9):
            return False
        if not all(torch.equal(one[needed], other[needed]) for one, other in rows):
            return False
    return True


def _agrees(built: CompiledClimb, dtype: torch.dtype) -> bool:
    """Return whether a short climb of a probe comes as far as with torch's operations."""
    error = 1e-3 if dtype == torch.float32 else 1e-6
    for reset in RESETS:
        network, specifications = _probe(reset)
        fused = FusedClimb.made(network, built, dtype)
        start = _start(network, specifications)
        settings = ClimbSettings(3, 0.1, 0.9, (0.5, 0.9), torch.inf)
        found = fused.run(specifications, start, settings)
        if not torch.allclose(found.best, _climbed(network, specifications, start, settings), error, error):
            return False
    return True


def _climbed(
    network: Staged, specifications: Specifications, start: tuple[Tensor, ...], settings: ClimbSettings
) -> Tensor:
    """Return the best bounds of a climb by torch's operations, (S,)."""
    problem = PricedProblem.of(network, specifications)
    state = Ascent.start(problem, tuple(price.float().double() for price in start), settings.momenta)
    evaluation = problem.evaluate(state.prices)
    best = evaluation.bound
    for iteration in range(settings.iterations):
        state.climb(evaluation.gradients, settings.rate * (1.0 - 0.9 * iteration / settings.iterations))
        evaluation = problem.evaluate(state.prices)
        best = best.maximum(evaluation.bound)
    return best


def _start(network: Staged, specifications: Specifications) -> tuple[Tensor, ...]:
    """Return prices of the probe, last layer first."""
    generator = torch.Generator().manual_seed(1)
    prices = zero_prices(network, len(specifications.samples))
    return tuple(torch.randn(price.shape, generator=generator).double() for price in prices)


def _probe(reset: str) -> tuple[Staged, Specifications]:
    """Return a network over four boxes, and six margins of them."""
    generator = torch.Generator().manual_seed(0)
    sizes, layers = (5, 19, 18, 3), list[nn.Module]()
    for before, after in itertools.pairwise(sizes):
        layer = nn.Linear(before, after)
        layer.weight.data = torch.randn(after, before, generator=generator) * 2.0 / before**0.5
        layer.bias.data = torch.randn(after, generator=generator) * 0.1
        layers += [layer, LIF(0.9, reset=reset)]
    network = SpikingNetwork(*layers[:-1], num_steps=5).double().eval()
    middle = torch.rand(4, 5, generator=generator, dtype=torch.float64)
    found = staged(circuit(network), Box(middle - 0.05, middle + 0.05), window_spikes)
    assert found is not None
    coefficients = torch.randn(6, 3, generator=generator, dtype=torch.float64)
    return found, Specifications(torch.tensor([0, 1, 1, 2, 3, 3]), coefficients)
