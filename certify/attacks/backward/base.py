"""What an attack's backward pass takes for the gradient of a layer's spikes; the forward pass stays what it is."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ....models.elements.neurons import LIF
from ....models.elements.recurrent import Recurrent
from ....models.rules import Leaky, plain
from ....models.surrogates import Surrogate


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
        given, made = GivenSlopes(by_step=isinstance(neuron, Recurrent)), self.remembered()
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
