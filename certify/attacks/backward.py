"""What an attack's backward pass takes for the gradient of a layer's spikes; the forward pass stays what it is.

A surrogate that takes its width from where the potentials are.

PDSG: a Gaussian surrogate as wide as potentials differ.

Gradients of firing rates in the place of gradients of spikes: RGA, BPTR and HART.

ASSG: a surrogate as wide as potentials have been far from their thresholds, neuron by neuron, step by step.

An attack's own view of a network: the same spikes, gradients of the attacker's choice.
"""

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ...models.constants import positive, settle, share
from ...models.dynamics import Surrogate
from ...models.elements.neurons import LIF, Run
from ...models.networks import SpikingNetwork
from ...models.rules import Leaky, plain
from ...models.validation import check_choice


@dataclass
class RunningRows:
    """Which of an attack's samples are in the batch that runs, (rows,) of integers; None: all, in order."""

    index: Tensor | None = None


class Backward(ABC):
    """A gradient of spikes that is more than a function of each distance to the threshold by itself."""

    @abstractmethod
    def attach(self, neuron: LIF, rows: RunningRows) -> None:
        """Make a layer of an attack's own view of a network go back like this.

        Args:
            neuron: a layer of the view, whose `forward` may be replaced by one with the same spikes.
            rows: kept up to date by the attack, for what remembers samples.
        """


@dataclass(frozen=True)
class GivenSlopes(Surrogate):
    """Slopes that are known before the backward pass, (T, batch, ...), handed out as that asks for them.

    It goes back step by step: one block of samples after the other, or, with `by_step`, all blocks of a step.
    """

    by_step: bool = False
    state: dict[str, Tensor | int] = field(default_factory=dict, compare=False)

    def begin(self, slopes: Tensor) -> None:
        """Set the slopes of the pass to come."""
        self.state.update(slopes=slopes, row=0, step=len(slopes) - 1)

    def derivative(self, distance: Tensor) -> Tensor:
        """Return the next slopes, with the shape of `distance`."""
        slopes, row, step = self.state["slopes"], self.state["row"], self.state["step"]
        assert isinstance(slopes, Tensor) and isinstance(row, int) and isinstance(step, int)  # noqa: PT018
        ahead = row + len(distance)
        if self.by_step:
            row, step = (0, step - 1) if ahead == slopes.shape[1] else (ahead, step)
        else:
            row, step = (row, step - 1) if step else (ahead, len(slopes) - 1)
        part = slopes[self.state["step"], self.state["row"] : ahead]
        self.state.update(row=row, step=step)
        return part.clone()

    @property
    def steepest(self) -> float:
        """Return +inf: nothing is said of the slopes."""
        return torch.inf


class SlopesOfRun(Backward):
    """Slopes that a whole run decides; gradients go back through time by them as by any surrogate.

    `through_reset` says whether they also go through what a reset takes off. Where they do not, a leaky neuron's
    are dL/dv[t] = h[t]·dL/ds[t] + λ·k[t]·dL/dv[t+1], with k = 1 − s for a reset to zero and 1 for the others.
    Neurons with other states, and those that hear themselves, always go through it.
    """

    through_reset: bool = True

    @abstractmethod
    def remembered(self) -> "Slopes":
        """Return what makes the slopes of one layer, new for each view."""

    def attach(self, neuron: LIF, rows: RunningRows) -> None:
        """Give a layer the slopes of its own last run."""
        given, made = GivenSlopes(by_step=neuron.hears), self.remembered()
        neuron.surrogate = given
        threshold = neuron.dynamics.threshold

        def forward(current: Tensor, num_steps: int) -> Tensor:
            """Return the spikes, and note the slopes."""
            rule = None if self.through_reset else neuron.rule(num_steps)
            with torch.set_grad_enabled(torch.is_grad_enabled() and not plain(rule)):
                run = neuron.run(current, num_steps)
            slopes = made((run.potentials.detach() - threshold) / threshold, rows.index) / threshold
            if plain(rule):
                return _BesideReset.apply(current, run.spikes, slopes, rule)  # pyright: ignore[reportReturnType]
            given.begin(slopes)
            return run.spikes

        neuron.forward = forward


class _BesideReset(torch.autograd.Function):
    """(current, spikes, slopes, rule) → spikes, with gradients of potentials that a reset does not pass on."""

    @staticmethod
    def forward(ctx: Any, current: Tensor, spikes: Tensor, slopes: Tensor, rule: Leaky) -> Tensor:
        """Return the spikes as they are."""
        ctx.save_for_backward(spikes, slopes)
        ctx.rule, ctx.constant = rule, len(current) == 1
        return spikes.view_as(spikes)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the current's gradient; of a current that is the same at all steps, their sum."""
        spikes, slopes = ctx.saved_tensors
        found, rule = slopes * gradient, ctx.rule
        kept = rule.decay * (1.0 - spikes) if rule.reset == "zero" else torch.full_like(spikes, rule.decay)
        for t in range(len(found) - 2, -1, -1):
            found[t] += kept[t] * found[t + 1]
        if rule.scale is not None:
            found *= found.new_tensor(rule.scale).view(-1, *[1] * (found.dim() - 1))
        return (found.sum(0, keepdim=True) if ctx.constant else found), None, None, None


class Slopes(ABC):
    """Makes slopes h(x) of x = (v − θ)/θ, (T, batch, ...) each, run by run."""

    @abstractmethod
    def __call__(self, distance: Tensor, rows: Tensor | None) -> Tensor:
        """Return the slopes of a run of these samples."""


LEAST = 1e-30
"""A width above 0 for samples whose potentials all lie on their thresholds."""


@dataclass(frozen=True)
class AdaptiveArctan(Surrogate):
    """h(x) = 1 / (γ·(1 + (πx/γ)²)), with γ = width · mean|x| over the layer's neurons, for each sample and step.

    A fixed width is right for one unit of potentials: where thresholds are 50 it is too narrow, and gradients
    vanish; where they are .02 it is so wide that all neurons count alike. Here c·x has the slope h(x)/c, so what
    is attacked does not depend on the unit, and layers far from their thresholds still say where to go. A
    sample's slope does not depend on what else is in the batch.

    Args:
        width: γ in units of the mean distance.

    References: wang2025towards (adaptive sharpness; theirs follows a running mean over the steps of an attack)
    """

    width: float = 0.5

    def derivative(self, distance: Tensor) -> Tensor:
        """Return h(distance), for (batch, ...); 0 where a distance is not finite."""
        mean = distance.abs().flatten(1).mean(1).clamp_min(LEAST)
        width = self.width * mean.view(-1, *[1] * (distance.dim() - 1))
        return (1.0 / (width * (1.0 + (math.pi * distance / width) ** 2))).nan_to_num(nan=0.0)

    @property
    def steepest(self) -> float:
        """Return +inf: neurons may be as near as they like."""
        return math.inf


@dataclass(frozen=True)
class PotentialDependent(SlopesOfRun):
    """The potential-dependent surrogate gradient (PDSG).

    h(x) = exp(−(x − σ/2)²/(2σ²))/(√(2π)·σ), where σ is the standard deviation of v over the steps until now, the
    batch and, for images, each channel's places, and 1 where that is 0.

    Args:
        through_reset: let gradients go through resets, too, as theirs do.

    References: lun2025towards
    """

    through_reset: bool = True

    def remembered(self) -> Slopes:
        """Return the slopes: nothing is remembered from run to run."""
        return _Deviations()


class _Deviations(Slopes):
    def __call__(self, distance: Tensor, rows: Tensor | None) -> Tensor:
        """Return the slopes of a run."""
        width = _deviations(distance)
        slopes = torch.exp(-0.5 * ((distance - 0.5 * width) / width) ** 2) / (math.sqrt(2.0 * math.pi) * width)
        return slopes.nan_to_num(nan=0.0)


def _deviations(values: Tensor) -> Tensor:
    """Return the deviation over all steps so far, the batch and places, (T, 1, channels, 1, ...)."""
    others = (1, *range(3, values.dim()))
    count = values[:1].numel() // values.shape[2] if values.dim() > 2 else values.shape[1]
    counts = count * torch.arange(1, len(values) + 1, device=values.device, dtype=values.dtype)
    counts = counts.view(-1, *[1] * (values.dim() - 1))
    centred = values - values.mean((0, *others), keepdim=True)  # squares of these lose less
    mean = centred.sum(others, keepdim=True).cumsum(0) / counts
    square = (centred**2).sum(others, keepdim=True).cumsum(0) / counts
    variance = (square - mean**2).clamp_min(0.0) * counts / (counts - 1.0).clamp_min(1.0)
    found = variance.sqrt()
    return torch.where((found > 0) & found.isfinite(), found, torch.ones_like(found))


QUIET = 0.2
"""RGA's slope of currents too small to fire ever."""


@dataclass(frozen=True)
class RateGradient(Backward):
    """A layer as a function of rates: dL/dI[t] = h·dL/ds[t], no gradient from step to step.

    With x = I/θ, the mean over time, and λ the decay:

    * "rga": h = (1 − .2 + .2λ)/(1 + λ) for 1 − λ ≤ x ≤ 2, and .2 for 0 ≤ x < 1 − λ: the slope of a leaky
      neuron's rate;
    * "bptr": h = 1 where the neuron fires at all;
    * "hart": h[t] = max(0, γ − |x|)/γ² of x = (v[t] − θ)/θ, and the mean over t of h[t]·dL/ds[t] for all steps.

    Args:
        kind: one of these.
        width: γ, of "hart".

    References: bu2023rate, ding2022snn, hao2024threaten
    """

    kind: str = "rga"
    width: float = 1.0

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, KINDS)
        settle(self, positive, "width")

    def attach(self, neuron: LIF, rows: RunningRows) -> None:
        """Make a layer pass gradients on as a function of rates."""
        slopes, averaged = KINDS[self.kind], self.kind == "hart"

        def forward(current: Tensor, num_steps: int) -> Tensor:
            """Return the spikes."""
            with torch.no_grad():
                run = neuron.run(current, num_steps)
                found = slopes(run, neuron, self.width) / neuron.dynamics.threshold
            return _Passed.apply(current, run.spikes, found, averaged)  # pyright: ignore[reportReturnType]

        neuron.forward = forward


def _leaky(run: Run, neuron: LIF, width: float) -> Tensor:
    """Return the slope of the rate of a leaky neuron under its mean current, (1, batch, ...)."""
    decay = neuron.dynamics.decay
    mean = run.current.mean(0, keepdim=True) / neuron.dynamics.threshold
    fires, below = (mean >= 1.0 - decay) & (mean <= 2.0), (mean >= 0.0) & (mean < 1.0 - decay)
    return fires * ((1.0 - QUIET + QUIET * decay) / (1.0 + decay)) + below * QUIET


def _firing(run: Run, neuron: LIF, width: float) -> Tensor:
    """Return 1 where a neuron fires at some step, (1, batch, ...)."""
    return run.spikes.amax(0, keepdim=True)


def _near(run: Run, neuron: LIF, width: float) -> Tensor:
    """Return a triangle around the threshold, (T, batch, ...)."""
    distance = run.potentials / neuron.dynamics.threshold - 1.0
    return (width - distance.abs()).clamp_min(0.0) / width**2


KINDS: dict[str, Callable[[Run, LIF, float], Tensor]] = {"rga": _leaky, "bptr": _firing, "hart": _near}


class _Passed(torch.autograd.Function):
    """(current, spikes, slopes, averaged) → spikes: dL/dI[t] = slope[t]·dL/ds[t], or the mean of that over t."""

    @staticmethod
    def forward(ctx: Any, current: Tensor, spikes: Tensor, slopes: Tensor, averaged: bool) -> Tensor:
        """Return the spikes as they are."""
        ctx.save_for_backward(slopes)
        ctx.averaged, ctx.constant = averaged, len(current) == 1
        return spikes.view_as(spikes)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the current's gradient; of a current that is the same at all steps, their sum."""
        (slopes,) = ctx.saved_tensors
        found = slopes * gradient
        if ctx.constant:
            return found.sum(0, keepdim=True), None, None, None
        if ctx.averaged:
            found = found.mean(0, keepdim=True).expand_as(found)
        return found, None, None, None


LEAST_SPREAD = 1e-4


@dataclass(frozen=True)
class AdaptiveSharpness(SlopesOfRun):
    """The adaptive sharpness surrogate gradient (ASSG).

    For each neuron, step and sample, over the iterations of an attack, from M = 1 and D = 0 on,

        M ← .9·M + .1·|x|,   D ← .9·D + .1·||x| − M|,   α = w/(M + 1.5·D + 10⁻⁴),   w = 2·tan(πA/2)/π,
        h(x) = (α/2)/(1 + (παx/2)²),   x = (v − θ)/θ:

    so that a share A of a gradient vanishes where |x| is what it has been.

    Args:
        vanishing: A ∈ (0, 1).
        fading: .9, the share of M and D that an iteration keeps.
        relaxed: 1.5, the weight of D.
        through_reset: let gradients go through resets, too; theirs do not.

    References: wang2025towards
    """

    vanishing: float = 0.85
    fading: float = 0.9
    relaxed: float = 1.5
    through_reset: bool = False

    def __post_init__(self) -> None:
        settle(self, share, "vanishing", "fading")

    def remembered(self) -> Slopes:
        """Return the slopes of one layer, which remember its runs."""
        return _Sharpness(self)


class _Sharpness(Slopes):
    """M and D of one layer, (T, samples, ...) each."""

    def __init__(self, asked: AdaptiveSharpness) -> None:
        self.asked = asked
        self.known: list[Tensor] = []

    def __call__(self, distance: Tensor, rows: Tensor | None) -> Tensor:
        """Take a run into account, and return its slopes."""
        rows = torch.arange(distance.shape[1], device=distance.device) if rows is None else rows
        mean, deviation = self._rows(distance, rows)
        size, kept = distance.abs(), self.asked.fading
        mean = kept * mean + (1.0 - kept) * size
        deviation = kept * deviation + (1.0 - kept) * (size - mean).abs()
        for known, now in zip(self.known, (mean, deviation), strict=True):
            known[:, rows] = now
        width = 2.0 * math.tan(0.5 * math.pi * self.asked.vanishing) / math.pi
        alpha = width / (mean + self.asked.relaxed * deviation + LEAST_SPREAD)
        return (0.5 * alpha / (1.0 + (0.5 * math.pi * alpha * distance) ** 2)).nan_to_num(nan=0.0)

    def _rows(self, like: Tensor, rows: Tensor) -> list[Tensor]:
        """Return M and D of these samples, 1 and 0 of those that are new."""
        count, shape = int(rows.max()) + 1, like.shape[2:]
        known = self.known[0].shape[1] if self.known else 0
        if count > known:
            new = [like.new_full((len(like), count - known, *shape), start) for start in (1.0, 0.0)]
            old = self.known or [part[:, :0] for part in new]
            self.known = [torch.cat(pair, 1) for pair in zip(old, new, strict=True)]
        return [part[:, rows] for part in self.known]


@dataclass(frozen=True)
class AttackView:
    """A network that shares its weights, frozen, and goes back by other gradients.

    Attributes:
        network: the view.
        rows: which of the attack's samples run, for gradients that remember them.
    """

    network: SpikingNetwork
    rows: RunningRows

    def __call__(self, points: Tensor) -> Tensor:
        """Return the logits, the same as the network's own."""
        return self.network(points)


def attack_view(network: SpikingNetwork, surrogate: "Surrogate | Backward | None") -> AttackView:
    """Return a view of `network` that goes back by `surrogate`; None keeps the network's own."""
    shared: dict[int, Tensor] = {
        id(p): nn.Parameter(p.detach(), requires_grad=False) for p in network.parameters()
    }
    shared |= {id(b): b for b in network.buffers()}
    view, rows = copy.deepcopy(network, shared), RunningRows()
    for neuron in getattr(view, "neurons", ()):  # attack_module runs others
        if isinstance(surrogate, Surrogate):
            neuron.surrogate = surrogate
        elif surrogate is not None:
            surrogate.attach(neuron, rows)
    return AttackView(view, rows)
