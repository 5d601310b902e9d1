"""Gradients of firing rates in the place of gradients of spikes: RGA, BPTR and HART."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ....models.constants import positive, settle
from ....models.elements.neurons import LIF, Run
from ....models.validation import check_choice
from .base import Backward, RunningRows

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
