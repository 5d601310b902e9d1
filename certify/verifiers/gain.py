"""Margin over gain (F4): the stability theory as a certificate of the real network."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ...models.networks import SpikingNetwork
from ..bounds.gain_rows import Rows, graph_rows, table_rows, worst_sum
from ..bounds.prices import PricedProblem, Specifications
from ..bounds.propagation import LogitBounds
from ..bounds.stages import Stage, Staged, staged
from ..bounds.train_table import TableTrains
from ..bounds.trains import window_spikes
from ..perturbations import Perturbation
from ..problem import Problem
from ..rounding import euclidean
from .base import ClassMarginVerifier
from .trains import TRAINS


@dataclass(frozen=True)
class Gain(ClassMarginVerifier):
    """Bounds margins by proven gains from the input's ℓ2 change to each layer's currents; see gain_rows.py.

    It is at home with `L2`; a box is taken as the ball around it. Rows are cut to the exact trains of the set, so
    with one hidden layer it is never below "trains". A residual sum leaves the bound of "trains".
    """

    name: str = "gain"

    @torch.no_grad()
    def lower(self, problem: Problem) -> Tensor:
        """Return a lower bound of logit_y − logit_k for each class k, (batch, classes); +inf at k = y."""
        lower, goal = TRAINS.lower(problem), problem.goal
        left = (~goal.proven(lower, problem.labels)).any(1).nonzero().flatten()
        if len(left) == 0 or problem.expired():
            return lower
        part = problem.subset(left)
        stages = staged(part.circuit, part.perturbation.enclosure(part.inputs), window_spikes)
        if stages is not None:
            found = _class_margins(part.network, stages, part.inputs, part.labels, lower.shape[1])
            lower[left] = lower[left].maximum(goal.tightened(found))
        return lower

    def logits(self, network: SpikingNetwork, inputs: Tensor, perturbation: Perturbation) -> LogitBounds:
        """Return the bounds of "trains": gains are about margins."""
        return TRAINS.logits(network, inputs, perturbation)


def _class_margins(
    network: SpikingNetwork, stages: Staged, inputs: Tensor, labels: Tensor, classes: int
) -> Tensor:
    """Return a lower bound of logit_y − logit_k for every class k, (batch, classes); +inf at k = y."""
    rows, budget = _last_layer(network, stages, inputs)
    batch = len(inputs)
    samples = torch.arange(batch, device=inputs.device).repeat_interleave(classes)
    coefficients = -torch.eye(classes, dtype=torch.float64, device=inputs.device).repeat(batch, 1)
    coefficients.scatter_add_(1, labels[samples, None], torch.ones_like(coefficients[:, :1]))
    costs, constant = PricedProblem(stages, Specifications(samples, coefficients), ()).readout()
    costs = costs.of(len(stages.stages))
    reference = (costs * rows.reference[:, samples]).flatten(2).sum((0, 2)) + constant
    lost = worst_sum(rows.lost(costs, samples), rows.distance[samples], budget[samples])
    size = costs.abs().flatten(2).sum((0, 2)) + constant.abs()
    lower = (reference - lost - 1e-12 * size * len(stages.row)).view(batch, classes)
    return lower.scatter(1, labels[:, None], torch.inf)


def _last_layer(network: SpikingNetwork, stages: Staged, inputs: Tensor) -> tuple[Rows, Tensor]:
    """Carry the ℓ2 budget from the input to the last spiking layer; return its rows and budget, (batch,)."""
    from ...analysis import gain  # it takes as long to import as all verifiers together

    shape = tuple(inputs.shape[2 if network.timed else 1 :])
    norms = [layer.operator_norm.upper for layer in gain(network, input_shape=shape).layers]
    signal = network.encode(inputs).double()
    moved = _input_change(stages, signal)
    layers: list[tuple[Rows, Tensor]] = []
    for stage, norm in zip(stages.stages, norms, strict=False):  # a "potential" readout has one neuron more
        budget = moved * norm * (1 + 1e-12) * _repeats(stage, len(signal))
        current = stage.chain.apply(signal.flatten(0, 1)).unflatten(0, signal.shape[:2])
        if isinstance(stage.found, TableTrains):
            rows = table_rows(stage, current[0])
        else:
            rows = graph_rows(stage, current.expand(stage.found.num_steps, *current.shape[1:]))
        moved = worst_sum(rows.changed(), rows.distance, budget).clamp_min(0).sqrt()
        signal = rows.reference
        layers.append((rows, budget))
    return layers[-1]


def _repeats(stage: Stage, length: int) -> float:
    """Return √(how often a layer meets each step of its input): behind a graph a constant one comes T times.

    A table asks for the change of the current itself, a graph for √Σ_t ‖w[t]‖² over all steps.
    """
    return 1.0 if isinstance(stage.found, TableTrains) else math.sqrt(stage.found.num_steps / length)


def _input_change(stages: Staged, signal: Tensor) -> Tensor:
    """Return the greatest ℓ2 distance of an allowed input from the sample, (batch,)."""
    box = stages.source.box
    reach = (box.upper - signal).maximum(signal - box.lower)
    length = euclidean(reach.movedim(1, 0).flatten(1), 1) * (1 + 1e-12)
    return length if box.ball is None else length.minimum(box.ball * (1 + 1e-12))
