"""`kernels/sources/climb.c` where a network's kernel is "compiled": the climb of a batch of nodes as one call.

It reaches networks whose layers follow each other, with one dense matrix between two of them, a table behind the
input and graphs behind that, over boxes that are constant in time. What it finds are prices, inputs and splits to
try: each node is bounded again at these prices (bounding.py), so a kernel that lies costs time and
changes no verdict. Others, and other devices, climb by torch's operations.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn

from ...kernels.climb import ClimbSettings, CompiledClimb, FirstTable, LaterGraphs, NeuronConstants, Proposal
from ...kernels.loading import RESETS, load
from ...models.circuit import circuit
from ...models.elements.neurons import LIF
from ...models.networks import SpikingNetwork
from ..bounds.prices.price_search import Ascent, zero_prices
from ..bounds.prices.prices import PricedProblem, Specifications
from ..bounds.prices.stages import Stage, Staged, staged
from ..bounds.signals.box import Box
from ..bounds.trains.train_graph import slope_decay
from ..bounds.trains.trains import window_spikes

MOST_WEIGHTS = 2**22
"""Numbers that a layer's matrix may hold: beyond that a layer that shares its weights is faster as it is."""

STEEPEST_SINGLE = 100.0
"""The greatest λ^{−(T−1)} for which prices are sought in float32."""

MOST_PRICE = 1e30
"""Prices are cut to this: what a kernel proposes is finite."""


@dataclass(frozen=True)
class FusedClimb:
    """A staged network as the kernel reads it.

    Attributes:
        network: in stages.
        compiled: the kernel.
        table, later: the layers.
    """

    network: Staged
    compiled: CompiledClimb
    table: FirstTable
    later: tuple[LaterGraphs, ...]

    @staticmethod
    def of(network: Staged) -> "FusedClimb | None":
        """Return the climb of a network that it reaches, and whose layers want it; None for others."""
        if not _reaches(network):
            return None
        dtype = _dtype(network)
        compiled = climb_kernel(dtype)
        if not isinstance(compiled, CompiledClimb):
            return None
        later = tuple(_later(stage, dtype) for stage in network.stages[1:])
        return FusedClimb(network, compiled, _table(network, dtype), later)

    def run(self, specifications: Specifications, start: tuple[Tensor, ...], settings: ClimbSettings) -> Proposal:
        """Climb from prices `start`, last layer first; what comes back is finite."""
        costs, constant = PricedProblem(self.network, specifications, ()).readout()
        last = costs.of(len(self.network.stages)).flatten(2)
        found = self.compiled.climb(
            settings, (self.table, self.later), specifications.samples, (last, constant), start[::-1]
        )
        return Proposal(
            found.best,
            tuple(price.nan_to_num(0.0).clamp(-MOST_PRICE, MOST_PRICE) for price in found.prices[::-1]),
            found.inputs.nan_to_num(0.0, 0.0, 0.0),
            found.score.nan_to_num(0.0, 0.0, 0.0).clamp_min(0.0),
            found.currents.nan_to_num(0.0, 0.0, 0.0),
            found.believed,
        )


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


def _matrix(stage: Stage, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    weights, bias = stage.matrix()
    return weights.to(dtype), bias.to(dtype)


def _table(network: Staged, dtype: torch.dtype) -> FirstTable:
    stage = network.stages[0]
    found, steps = stage.trains.rows, len(network.row)
    assert found is not None
    shape = (len(stage.lower[0]), stage.lower[0, 0].numel())
    split = torch.zeros(shape, dtype=torch.bool) if stage.split is None else stage.split.reshape(shape)
    box = network.source.box
    return FirstTable(
        *_matrix(stage, dtype),
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


def _later(stage: Stage, dtype: torch.dtype) -> LaterGraphs:
    found, scale = stage.trains.paths, stage.scale
    assert found is not None
    chain = stage.branches[0].chain.slack.expand(stage.lower.shape[1:]).flatten(1)
    return LaterGraphs(
        *_matrix(stage, dtype),
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


def _agrees(built: CompiledClimb, dtype: torch.dtype) -> bool:
    """Return whether a short climb of a probe comes as far as with torch's operations."""
    error = 1e-3 if dtype == torch.float32 else 1e-6
    for reset in RESETS:
        network, specifications = _probe(reset)
        later = tuple(_later(stage, dtype) for stage in network.stages[1:])
        fused = FusedClimb(network, built, _table(network, dtype), later)
        generator = torch.Generator().manual_seed(1)
        start = tuple(
            torch.randn(price.shape, generator=generator).double()
            for price in zero_prices(network, len(specifications.samples))
        )
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
