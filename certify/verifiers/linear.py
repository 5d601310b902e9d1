"""Verifiers by prices on currents (F3, F6), and by margin over gain (F4).

The optimised relaxation: prices on currents (F3, F6) on top of the exact trains and windows (F1, F2, F5).

Margin over gain (F4): the stability theory as a certificate of the real network.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from typing import ClassVar

import torch
from torch import Tensor

from ...models.circuit import Circuit, circuit
from ...models.deadline import Expired, TimeIsUp
from ...models.networks import SpikingNetwork
from ..bounds.prices.narrowing import Enclosure, Narrowing, Task
from ..bounds.prices.price_search import PriceSearch
from ..bounds.prices.prices import PricedProblem, Specifications
from ..bounds.prices.stages import Rows, Stage, Staged, gain_rows, staged, worst_sum
from ..bounds.propagation import LogitBounds
from ..bounds.signals.windows import Box
from ..bounds.trains.trains import window_spikes
from ..perturbations import Perturbation
from ..problem import Problem
from ..questions.rows import RowGoal
from ..rounding import euclidean
from .base import ClassMarginVerifier, Phase
from .events import told_apart
from .trains import TRAINS


@dataclass(frozen=True)
class Linear(ClassMarginVerifier):
    """Bounds each open margin by prices; never below "trains", since prices of 0 are its bound.

    Of a set of few moves events are told apart first. What prices nearly prove is looked at again on
    the inputs where the margin would not be positive.
    A layer that prices do not reach (behind the first one with a decay near 0) keeps a price of 0.

    Args:
        search: how long and how fast to climb.
        narrowing: how to go on where the bound is near zero; None to leave it there.
    """

    asks_rows: ClassVar[bool] = True
    search: PriceSearch = field(default_factory=PriceSearch)
    narrowing: Narrowing | None = field(default_factory=Narrowing)
    name: str = "linear"

    def phases(self, made: Circuit) -> tuple[Phase, ...]:
        """Return the bounds of "trains", those that tell events apart, and those by prices."""
        return (*TRAINS.phases(made), told_apart, self._priced)

    def _priced(self, problem: Problem, known: Tensor) -> Tensor:
        """Return better bounds of margins, −inf elsewhere, (batch, classes): each sample's worst one first.

        Where that is not proven the sample stays open, whatever the others are. Bounds here are above the goal's
        floor: a margin is enough iff they are positive.
        """
        made, inputs, enclosure = problem.circuit, problem.inputs, problem.perturbation.enclosure
        goal = problem.goal
        floor = goal.floor(problem.labels, known.shape[1])
        asked = goal.left(goal.proven(known, problem.labels))
        known = known - floor
        bound = torch.full_like(known, -torch.inf)
        stages = _priced_stages(made, enclosure(inputs))
        if stages is None:
            return bound
        first = known.masked_fill(~asked, torch.inf).argmin(1, keepdim=True)
        worst = torch.zeros_like(asked).scatter(1, first, True)

        def price(asked: Tensor) -> None:
            """Bound the margins that are asked for, (batch, classes) of bool, if there is time."""
            samples, classes = asked.nonzero(as_tuple=True)
            if len(samples) > 0 and not problem.expired():
                specifications = goal.specifications(problem.labels, samples, classes, floor)
                bound[samples, classes] = self._climb(
                    made,
                    stages,
                    specifications,
                    known[samples, classes],
                    lambda rows: enclosure(inputs[samples[rows]]),
                    problem.expired,
                )

        price(worst)
        proven = (bound > 0).any(1, keepdim=True) | isinstance(goal, RowGoal)
        price(asked & ~worst & proven)
        return bound + floor

    def _climb(
        self,
        made: Circuit,
        stages: Staged,
        specifications: Specifications,
        known: Tensor,
        enclosure: Enclosure,
        expired: Expired,
    ) -> Tensor:
        """Return the bounds of some specifications, (S,)."""
        found = self.search.run(stages, specifications, expired=expired, useful=self._useful(known))
        if self.narrowing is None or specifications.inputs is not None:
            return found.bound
        try:
            return self.narrowing.run(made, enclosure, Task(stages, specifications, found), known, expired)
        except TimeIsUp:
            return found.bound

    def _useful(self, known: Tensor) -> Tensor:
        """Return what bounds must reach to prove anything, (S,): what narrowing goes on from.

        It is the same where none follows, so that narrowing begins with what prices alone find.
        """
        reach = (self.narrowing or Narrowing()).reach
        share = 1.0 if reach == math.inf else reach / (1.0 + reach)
        return (share * known).clamp_max(0.0)

    @torch.no_grad()
    def logits(self, network: SpikingNetwork, inputs: Tensor, perturbation: Perturbation) -> LogitBounds:
        """Return bounds of each logit: both ends of every logit are priced."""
        box = perturbation.enclosure(inputs)
        known = TRAINS.logits(network, inputs, perturbation)
        stages = _priced_stages(circuit(network), box)
        if stages is None:
            return known
        batch, classes = known.lower.shape
        samples = torch.arange(batch, device=inputs.device).repeat_interleave(classes)
        unit = torch.eye(classes, dtype=torch.float64, device=inputs.device).repeat(batch, 1)

        def least(sign: float) -> Tensor:
            found = self.search.run(stages, Specifications(samples, sign * unit), target=torch.inf)
            return found.bound.view(batch, classes)

        return LogitBounds(known.lower.maximum(least(1.0)), known.upper.minimum(-least(-1.0)))


def _priced_stages(made: Circuit, inputs: Box) -> Staged | None:
    """Return the network in stages, or None where prices reach none of them."""
    stages = staged(made, inputs, sums=True)
    return stages if stages is not None and any(stage.priceable for stage in stages.stages) else None


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
