"""Margin over gain (F4): the stability theory as a certificate of the real network."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import torch
from torch import Tensor

from ...models.circuit import Circuit
from ...models.networks import SpikingNetwork
from ..bounds.prices.prices import PricedProblem, Specifications
from ..bounds.prices.stages import Rows, Stage, Staged, gain_rows, staged, worst_sum
from ..bounds.propagation import LogitBounds
from ..bounds.trains.trains import window_spikes
from ..perturbations import Perturbation
from ..problem import Problem
from ..rounding import euclidean
from .base import ClassMarginVerifier, Phase
from .trains import TRAINS


@dataclass(frozen=True)
class Gain(ClassMarginVerifier):
    """Bounds margins by proven gains from the input's ℓ2 change to each layer's currents; see stages.py.

    It is at home with `L2`; a box is taken as the ball around it. Rows are cut to the exact trains of the set, so
    with one hidden layer it is never below "trains". A residual sum leaves the bound of "trains".
    """

    name: str = "gain"

    def phases(self, made: Circuit) -> tuple[Phase, ...]:
        """Return the bounds of "trains", and those by gains."""
        return (*TRAINS.phases(made), partial(_gained, cache(_norms)))

    def logits(self, network: SpikingNetwork, inputs: Tensor, perturbation: Perturbation) -> LogitBounds:
        """Return the bounds of "trains": gains are about margins."""
        return TRAINS.logits(network, inputs, perturbation)


Norms = Callable[[SpikingNetwork, torch.Size], list[float]]


def _norms(network: SpikingNetwork, features: torch.Size) -> list[float]:
    """Return a proven norm of the map in front of each spiking layer."""
    from ...analysis import gain  # it takes as long to import as all verifiers together

    return [layer.operator_norm.upper for layer in gain(network, input_shape=tuple(features)).layers]


def _gained(norms: Norms, problem: Problem, known: Tensor) -> Tensor:
    """Return the bounds by gains; where there are none what is known."""
    stages = staged(problem.circuit, problem.perturbation.enclosure(problem.inputs), window_spikes)
    if stages is None:
        return known
    inputs, labels, classes = problem.inputs, problem.labels, known.shape[1]
    rows, budget = _last_layer(problem.network, stages, inputs, norms)
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


def _last_layer(network: SpikingNetwork, stages: Staged, inputs: Tensor, norms: Norms) -> tuple[Rows, Tensor]:
    """Carry the ℓ2 budget from the input to the last spiking layer; return its rows and budget, (batch,)."""
    signal = network.encode(inputs).double()
    moved = _input_change(stages, signal)
    layers: list[tuple[Rows, Tensor]] = []
    for stage, norm in zip(
        stages.stages, norms(network, inputs.shape[2 if network.timed else 1 :]), strict=False
    ):  # a "potential" readout has one neuron more
        budget = moved * norm * (1 + 1e-12) * _repeats(stage, len(signal))
        current = stage.chain.apply(signal.flatten(0, 1)).unflatten(0, signal.shape[:2])
        rows = gain_rows(stage.trains, stage, current)
        moved = worst_sum(rows.changed(), rows.distance, budget).clamp_min(0).sqrt()
        signal = rows.reference
        layers.append((rows, budget))
    return layers[-1]


def _repeats(stage: Stage, length: int) -> float:
    """Return √(how often a layer meets each step of its input): behind a graph a constant one comes T times.

    A table asks for the change of the current itself, a graph for √Σ_t ‖w[t]‖² over all steps.
    """
    return math.sqrt(max(1.0, stage.trains.price_steps / length))


def _input_change(stages: Staged, signal: Tensor) -> Tensor:
    """Return the greatest ℓ2 distance of an allowed input from the sample, (batch,)."""
    box = stages.source.box
    reach = (box.upper - signal).maximum(signal - box.lower)
    length = euclidean(reach.movedim(1, 0).flatten(1), 1) * (1 + 1e-12)
    return length if box.ball is None else length.minimum(box.ball * (1 + 1e-12))
