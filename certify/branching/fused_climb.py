"""`kernels/sources/climb.c`: the climb of a batch of nodes as one call.

It reaches networks whose layers follow each other, with one dense matrix between two of them, a table behind the
input and graphs behind that, over boxes and balls that are constant in time. What it finds are prices, inputs and
splits to try: each node is bounded again at these prices, by prove.c or by torch, so a climb that lies costs time
and changes no verdict. Others, and other devices, climb by torch's operations.

prove.c sums up in float64 what `PricedProblem.evaluate` does, in another order, which the error that is paid
allows, and it pays for each product's modulus by itself. Where a number comes near an overflow nothing is proven.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor

from ...kernels.climb import (
    ClimbSettings,
    CompiledClimb,
    FirstTable,
    LaterGraphs,
    NeuronConstants,
    Proposal,
    ProvenNodes,
    climb_kernel,
    proof_kernel,
)
from ..bounds.prices.prices import PricedProblem, Specifications
from ..bounds.prices.stages import Stage, Staged
from ..bounds.trains.train_graph import slope_decay
from .nodes.decisions import LEVEL

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
        """Return the climb of a network that it reaches; None for others."""
        if not _reaches(network):
            return None
        dtype = _dtype(network)
        return FusedClimb.made(network, climb_kernel(dtype), dtype)

    @staticmethod
    def made(network: Staged, compiled: CompiledClimb, dtype: torch.dtype) -> "FusedClimb":
        """Return the climb of a network by a kernel."""
        table, later = _table(network), tuple(map(_later, network.stages[1:]))
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
        )

    def prove(self, specifications: Specifications, prices: tuple[Tensor, ...]) -> ProvenNodes:
        """Return what float32 `prices`, last layer first, prove of each node."""
        error = PricedProblem(self.network, specifications, ()).unit_error
        given = specifications.samples, _readout(self.network, specifications), prices[::-1]
        return proof_kernel().prove(self.exact, *given, error, LEVEL)


def _readout(network: Staged, specifications: Specifications) -> tuple[Tensor, Tensor]:
    """Return the coefficients on the last layer's spikes, (T, S, n), and the constant, (S,)."""
    costs, constant = PricedProblem(network, specifications, ()).readout()
    return costs.of(len(network.stages)).flatten(2), constant


def _reaches(network: Staged) -> bool:
    """Return whether the kernel knows all of a network."""
    first, *others = network.stages
    source = network.source
    return (
        network.row.device.type == "cpu"
        and network.sequential
        and source.constant
        and (source.plain or source.box.ball is not None)
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


def _cast(layer: Layer, dtype: torch.dtype) -> Layer:
    return replace(layer, weights=layer.weights.to(dtype), bias=layer.bias.to(dtype))


def _table(network: Staged) -> FirstTable:
    stage = network.stages[0]
    found, steps = stage.trains.rows, len(network.row)
    assert found is not None
    shape = (len(stage.lower[0]), stage.lower[0, 0].numel())
    split = torch.zeros(shape, dtype=torch.bool) if stage.split is None else stage.split.reshape(shape)
    box = network.source.box
    ball = None if box.ball is None or box.center is None else (box.center[0].flatten(1), box.ball.double())
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
        center=None if ball is None else ball[0],
        radius=None if ball is None else ball[1].expand(shape[0]),
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
