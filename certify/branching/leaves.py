"""A leaf, where each first-layer train is decided: a linear program over the input.

The trains confine the input to a polyhedron {x : Gx ≤ h} ∩ box. The program min t subject to Gx ≤ h + t finds its
deepest point where it has one: a candidate counterexample, since all of it runs alike. Where it is empty, t > 0, and
the program's multipliers y are prices that prove it: Σ y·(Gx − h) ≥ t on the whole box. The solver is not trusted:
its prices, scaled up, go through the same bound as any others.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.optimize import linprog
from torch import Tensor

from ..bounds.stages import Chain, Stage
from ..bounds.train_table import TableTrains
from .bounding import Climb, bound_nodes
from .nodes import Nodes
from .question import Question

SCALES = (1.0, 1e2, 1e4, 1e6, 1e8)
"""By how much the multipliers are scaled: the margin's coefficients have their own size."""


@dataclass(frozen=True)
class LeafPoint:
    """What a leaf's program gave: a proven bound of the margin over the leaf, and an allowed input."""

    bound: float
    candidate: Tensor


@dataclass(frozen=True)
class _Region:
    """{x : matrix·x ≤ limit}, each row a sum Σ_t weights[r,t]·c[t] of currents of neuron[r], less a constant."""

    matrix: np.ndarray
    limit: np.ndarray
    weights: Tensor
    neuron: Tensor


def solve_leaf(question: Question, leaf: Nodes) -> LeafPoint:
    """Solve the program of one leaf (N = 1)."""
    network, _ = question.staged(leaf)
    box = network.source.box
    region = _region(network.stages[0], len(box.lower))
    low, high = box.lower.flatten().numpy(), box.upper.flatten().numpy()
    size = np.abs(region.matrix).sum(1) + 1e-12  # a row's own scale, so that t means the same in each
    program = linprog(
        np.append(np.zeros(len(low)), 1.0),
        A_ub=np.hstack([region.matrix / size[:, None], -np.ones((len(size), 1))]),
        b_ub=region.limit / size,
        bounds=[*zip(low, high, strict=True), (-1.0, None)],
        method="highs",
    )
    inputs = question.inputs[question.samples(leaf)]
    if program.status != 0:
        return LeafPoint(float(leaf.bound), inputs[0])
    point = torch.from_numpy(program.x[:-1]).view(box.lower.shape)
    arranged = point.squeeze(0) if question.network.encoding == "direct" else point.transpose(0, 1)
    candidate = question.perturbation.project(arranged.to(inputs.dtype), inputs)[0]
    if program.x[-1] <= 0:
        return LeafPoint(float(leaf.bound), candidate)
    multipliers = torch.from_numpy(-program.ineqlin.marginals / size)
    return LeafPoint(_proven(question, leaf, region, multipliers), candidate)


def _proven(question: Question, leaf: Nodes, region: _Region, multipliers: Tensor) -> float:
    """Return the best bound with the multipliers as first-layer prices."""
    count = len(SCALES)
    prices = [torch.zeros(count, *price.shape[1:]) for price in leaf.prices]
    paid = torch.zeros(prices[-1].shape[1:], dtype=torch.float64)
    paid.T.index_add_(0, region.neuron, multipliers[:, None] * region.weights)
    prices[-1] = (paid * torch.tensor(SCALES, dtype=torch.float64)[:, None, None]).float()
    repeated = replace(leaf.select(torch.zeros(count, dtype=torch.long)), prices=tuple(prices))
    bounded = bound_nodes(question, repeated, Climb(iterations=0))
    return float(bounded.nodes.bound.nan_to_num(-torch.inf).max())


def _region(stage: Stage, steps: int) -> _Region:
    matrix, bias = _matrix(stage.chain)
    if isinstance(stage.found, TableTrains):
        return _table_region(stage.found, matrix, bias)
    return _graph_region(stage, matrix, bias, steps)


def _matrix(chain: Chain) -> tuple[Tensor, Tensor]:
    """Return the chain as one dense matrix (n, features) and its bias (n,)."""
    zero = torch.zeros(1, *chain.shapes[0], dtype=torch.float64)
    bias = chain.apply(zero)
    unit = torch.eye(bias.numel(), dtype=torch.float64).view(-1, *bias.shape[1:])
    return chain.pull_back(unit)[0].flatten(1), bias.flatten()


def _table_region(found: TableTrains, matrix: Tensor, bias: Tensor) -> _Region:
    """Return low ≤ W x + b ≤ high for the row of each neuron."""
    low, high = found.table.lower[found.first.flatten()], found.table.upper[found.last.flatten()]
    count = len(bias)
    limit = torch.cat([high - bias, bias - low])
    keep = limit.isfinite()
    neuron = torch.arange(count).repeat(2)
    sign = torch.ones(2 * count, 1, dtype=torch.float64)
    sign[count:] = -1.0
    whole = torch.cat([matrix, -matrix])
    return _Region(whole[keep].numpy(), limit[keep].numpy(), sign[keep], neuron[keep])


def _graph_region(stage: Stage, matrix: Tensor, bias: Tensor, steps: int) -> _Region:
    """Return v[t] ≥ θ at each spike and v[t] ≤ θ elsewhere, (T·n rows)."""
    dynamics, found = stage.neuron.dynamics, stage.found
    spikes = found.steps().lower.flatten(2)[:, 0]
    time, count = spikes.shape
    scale = stage.neuron.scale(time)
    factors = torch.ones(time, dtype=torch.float64) if scale is None else scale.detach().double()
    weight = torch.zeros(time, count, dtype=torch.float64)  # of each step's scaled current in the potential
    rows, limits, weights = [], [], []
    carried = torch.zeros(count, dtype=torch.float64)
    for t in range(time):
        weight = weight * dynamics.decay
        weight[t] = 1.0
        carried = carried * dynamics.decay
        sign = 1.0 - 2.0 * spikes[t]
        on_inputs = (weight * factors[:, None]).T[:, :, None] * matrix[:, None, :]
        if steps == 1:
            on_inputs = on_inputs.sum(1, keepdim=True)
        constant = (weight * factors[:, None]).sum(0) * bias + carried
        rows.append(sign[:, None] * on_inputs.flatten(1))
        limits.append(sign * (dynamics.threshold - constant))
        weights.append(sign[:, None] * weight.T)
        if dynamics.reset == "zero":
            weight = weight * (1.0 - spikes[t])
        elif dynamics.reset == "subtract":
            carried = carried - dynamics.threshold * spikes[t]
    neuron = torch.arange(count).repeat(time)
    return _Region(torch.cat(rows).numpy(), torch.cat(limits).numpy(), torch.cat(weights), neuron)
