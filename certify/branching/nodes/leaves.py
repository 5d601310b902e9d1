"""A leaf, where each first-layer train is decided: the whole network is, and a linear program finds its inputs.

With all prices 0 the bound is the margin of the leaf's trains itself. Where that is not positive, the trains
confine the input to a polyhedron {x : Gx ≤ h} ∩ box. The program min t subject to Gx ≤ h + t finds its deepest
point where it has one: a candidate counterexample, since all of it runs alike. Where it is empty, t > 0, and the
program's multipliers y are prices that prove it: Σ y·(Gx − h) ≥ t on the whole box. Over an ℓ2 ball it is a cone
program. The solver is not trusted: its prices, scaled up, go through the same bound as any others. A leaf of a
rate code has one input train, and no program.
"""

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...bounds.prices.stages import Stage
from ...bounds.signals.windows import Box
from ...bounds.trains.train_table import TrainRows
from ..bounding import Climb, bound_nodes
from ..question import MarginQuestion
from ..rates import RateDecisions
from .decisions import Nodes

SCALES = (1.0, 1e2, 1e4, 1e6, 1e8)
"""By how much the multipliers are scaled: the margin's coefficients have their own size."""

NEAR = 1e-6
"""How far a candidate keeps from the border of its region, as a share of the way to the deepest point."""


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

    @property
    def size(self) -> np.ndarray:
        """Return each row's own scale, so that being t outside means the same for each."""
        return np.abs(self.matrix).sum(1) + 1e-12


def solve_leaf(question: MarginQuestion, leaf: Nodes) -> LeafPoint:
    """Bound one leaf (N = 1) by its own margin or by its emptiness, or find a point in it.

    Where its row has alternatives, the first one that proves the leaf is enough.
    """
    row, found = leaf.row, LeafPoint(-np.inf, question.inputs[question.samples(leaf)][0])
    for other in reversed(question.alternatives(int(row)).tolist()):
        found = _solved(question, replace(leaf, row=torch.full_like(row, other)))
        if found.bound > 0:
            break
    return found


def _solved(question: MarginQuestion, leaf: Nodes) -> LeafPoint:
    """Bound one leaf by its own row, or find a point in it."""
    inputs = question.inputs[question.samples(leaf)]
    margin = _bound(question, leaf, leaf.prices, (0.0,))
    if margin > 0:
        return LeafPoint(margin, inputs[0])
    if isinstance(leaf.decisions, RateDecisions):
        train = (leaf.decisions.draws[:, None] < leaf.decisions.low).double()  # the only one that is left
        return LeafPoint(margin, question.inputs_at(leaf, train)[0])
    network, _ = question.staged(leaf)
    box = network.source.box
    stage, steps, rows = network.stages[0], len(box.lower), network.stages[0].trains.rows
    region = _step_region(stage, steps) if rows is None else _row_region(rows, *stage.matrix())
    point, depth, multipliers = _deepest(region, box) if box.ball is None else _deepest_in_ball(region, box)
    if point is None:
        return LeafPoint(margin, inputs[0])
    if depth > 0:
        prices = (*(torch.zeros_like(price) for price in leaf.prices[:-1]), _prices(region, multipliers, leaf))
        return LeafPoint(max(margin, _bound(question, leaf, prices, SCALES)), inputs[0])
    if question.specifications.inputs is not None:
        costs = question.specifications.inputs[leaf.row]
        point, multipliers = _least(region, box, question.circuit.arranged(costs).flatten().numpy(), point)
        prices = (*(torch.zeros_like(price) for price in leaf.prices[:-1]), _prices(region, multipliers, leaf))
        margin = max(margin, _bound(question, leaf, prices, (1.0,)))
    arranged = torch.from_numpy(point).view(box.lower.shape)
    arranged = question.circuit.rearranged(arranged)
    return LeafPoint(margin, question.perturbation.project(arranged.to(inputs.dtype), inputs)[0])


def _least(region: _Region, box: Box, costs: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a point of the region, near the one of least costs, and that program's multipliers.

    Where the leaf's outputs are one number each, the least row is where e·x is least: a linear program, whose
    multipliers are prices at which the bound is its value.
    """
    from scipy.optimize import linprog  # imported here: scipy takes half a second

    low, high, size = box.lower.flatten().tolist(), box.upper.flatten().tolist(), region.size
    program = linprog(
        costs,
        A_ub=region.matrix / size[:, None],
        b_ub=region.limit / size,
        bounds=[*zip(low, high, strict=True)],
        method="highs",
    )
    if program.status != 0:
        return inside, np.zeros_like(size)
    return (1.0 - NEAR) * program.x + NEAR * inside, -program.ineqlin.marginals / size


def _deepest(region: _Region, box: Box) -> tuple[np.ndarray | None, float, np.ndarray]:
    """Return the deepest point of the region within a box, how far it lies outside, and the multipliers."""
    from scipy.optimize import linprog  # imported here: scipy takes half a second

    low, high, size = box.lower.flatten().tolist(), box.upper.flatten().tolist(), region.size
    program = linprog(
        np.append(np.zeros(len(low)), 1.0),
        A_ub=np.hstack([region.matrix / size[:, None], -np.ones((len(size), 1))]),
        b_ub=region.limit / size,
        bounds=[*zip(low, high, strict=True), (-1.0, None)],
        method="highs",
    )
    if program.status != 0:
        return None, 0.0, size
    return program.x[:-1], float(program.x[-1]), -program.ineqlin.marginals / size


def _deepest_in_ball(region: _Region, box: Box) -> tuple[np.ndarray | None, float, np.ndarray]:
    """Return what `_deepest` does, within box and ball: a cone program."""
    import cvxpy

    assert box.center is not None
    assert box.ball is not None
    cp: Any = cvxpy
    point, depth, size = cp.Variable(box.center.numel()), cp.Variable(), region.size
    inside = (region.matrix / size[:, None]) @ point <= region.limit / size + depth
    ends = [point >= box.lower.flatten().numpy(), point <= box.upper.flatten().numpy(), depth >= -1.0]
    ball = cp.norm(point - box.center.flatten().numpy(), 2) <= float(box.ball)
    program = cp.Problem(cp.Minimize(depth), [inside, ball, *ends])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # an inaccurate solution is as good as another: see above
            program.solve(solver=cp.CLARABEL)
    except cp.SolverError:
        return None, 0.0, size
    if point.value is None or inside.dual_value is None:
        return None, 0.0, size
    return np.asarray(point.value), float(program.value), np.asarray(inside.dual_value) / size


def _prices(region: _Region, multipliers: np.ndarray, leaf: Nodes) -> Tensor:
    """Return the multipliers as prices on the first layer's scaled currents, (1, steps, n)."""
    paid = torch.zeros_like(leaf.prices[-1][0].T, dtype=torch.float64)
    paid.index_add_(0, region.neuron, torch.from_numpy(multipliers)[:, None] * region.weights)
    return paid.T[None].to(leaf.prices[-1])


def _bound(question: MarginQuestion, leaf: Nodes, prices: tuple[Tensor, ...], scales: tuple[float, ...]) -> float:
    """Return the best bound of the leaf with its prices scaled by each of `scales`."""
    factors = torch.tensor(scales, dtype=torch.float32)[:, None, None]
    repeated = leaf.select(torch.zeros(len(scales), dtype=torch.long))
    bounded = bound_nodes(
        question, replace(repeated, prices=tuple(price * factors for price in prices)), Climb(iterations=0)
    )
    return float(bounded.nodes.bound.nan_to_num(-torch.inf).max())


def _row_region(rows: TrainRows, matrix: Tensor, bias: Tensor) -> _Region:
    """Return low ≤ W x + b ≤ high for the row of each neuron."""
    low, high = rows.currents.lower.flatten(), rows.currents.upper.flatten()
    count = len(bias)
    limit = torch.cat([high - bias, bias - low])
    keep = limit.isfinite()
    neuron = torch.arange(count).repeat(2)
    sign = torch.ones(2 * count, 1, dtype=torch.float64)
    sign[count:] = -1.0
    whole = torch.cat([matrix, -matrix])
    return _Region(whole[keep].numpy(), limit[keep].numpy(), sign[keep], neuron[keep])


def _step_region(stage: Stage, steps: int) -> _Region:
    """Return v[t] ≥ θ at each spike and v[t] ≤ θ elsewhere, (T·n rows)."""
    rule = stage.rule
    filtered, matrix, bias = stage.over_time()
    spikes = stage.trains.steps().lower.flatten(2)[:, 0]
    time, count = spikes.shape
    factors = torch.tensor(rule.factors(time), dtype=torch.float64)
    weight = torch.zeros(time, count, dtype=torch.float64)  # of each step's scaled current in the potential
    rows, limits, weights = [], [], []
    carried = torch.zeros(count, dtype=torch.float64)
    for t in range(time):
        weight = weight * rule.decay
        weight[t] = 1.0
        carried = carried * rule.decay
        sign = 1.0 - 2.0 * spikes[t]
        on_currents = weight * factors[:, None]
        on_inputs = (filtered.T @ on_currents).T[:, :, None] * matrix[:, None, :]
        if steps == 1:
            on_inputs = on_inputs.sum(1, keepdim=True)
        constant = (on_currents * bias).sum(0) + carried
        rows.append(sign[:, None] * on_inputs.flatten(1))
        limits.append(sign * (rule.threshold - constant))
        weights.append(sign[:, None] * weight.T)
        if rule.reset == "zero":
            weight = weight * (1.0 - spikes[t])
        elif rule.reset == "subtract":
            carried = carried - rule.drop * spikes[t]
    neuron = torch.arange(count).repeat(time)
    return _Region(torch.cat(rows).numpy(), torch.cat(limits).numpy(), torch.cat(weights), neuron)
