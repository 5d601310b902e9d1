"""Spiking neurons as modules: LIF, and the paper's DLIF with its learnable input scale."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ..constants import at_least
from ..dynamics import Dynamics
from ..rules import Leaky, Rule
from ..running.membrane import resume, simulate, simulate_spikes
from ..surrogates import Surrogate, Triangle

HALVES = (torch.bfloat16, torch.float16)
CONSTANTS = (
    *("decay", "threshold", "reset", "fires_at", "reset_amount", "num_steps", "rest", "start", "input_scale"),
    *("decay_logit", "neuron", "feedback", "synapse", "adaptation", "threshold_decay"),
)
"""What this library's neurons are made of."""


@dataclass(frozen=True)
class Run:
    """What one spiking layer did: input current I, potentials v before reset and spikes s, (T, batch, ...)."""

    current: Tensor
    potentials: Tensor
    spikes: Tensor


class LIF(nn.Module):
    """Leaky integrate-and-fire layer: v[t] = λ·u[t−1] + I[t], fires at θ, then resets.

    Args:
        decay: λ ∈ [0, 1], the share of the potential that survives a step.
        threshold: θ > 0.
        reset: "zero" (u = v(1−s)), "subtract" (u = v − ds) or "none".
        fires_at: ">=" (v ≥ θ fires) or ">" (v > θ fires).
        surrogate: what stands for ds/dv in the backward pass.
        reset_amount: d > 0, what "subtract" takes away; None for θ.

    Raises:
        ValueError, TypeError: for a constant outside its range.

    >>> LIF(decay=0.5)(torch.full((1, 1, 1), 0.6), num_steps=4).flatten()
    tensor([0., 0., 1., 0.])

    References: ding2024robust
    """

    kernel: str = "eager"
    """What runs the recursion: "eager", or "compiled" where that is there; see `models.kernels`."""
    holds: ClassVar[tuple[str, ...]] = ()
    """The constants that a neuron reads of its attributes of these names, and not of `dynamics`."""

    def __init__(
        self,
        decay: float = 0.99,
        threshold: float = 1.0,
        reset: str = "zero",
        fires_at: str = ">=",
        surrogate: Surrogate = Triangle(1.0),  # noqa: B008 (frozen)
        reset_amount: float | None = None,
    ) -> None:
        super().__init__()
        self.dynamics: Dynamics = Dynamics(decay, threshold, reset, fires_at, surrogate, reset_amount)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; refuse the name of a constant that this neuron holds elsewhere, or not at all."""
        ours = type(self).rule.__module__.startswith(f"{__package__}.")
        if ours and name in CONSTANTS and name not in self.holds:
            told = f"{name}: is no attribute that a {type(self).__name__} runs by"
            raise AttributeError(f"{told}, expected `dynamics` to be replaced, or a new neuron")
        super().__setattr__(name, value)

    @property
    def surrogate(self) -> Surrogate:
        """Return what stands for ds/dv in the backward pass."""
        return self.dynamics.surrogate

    @surrogate.setter
    def surrogate(self, surrogate: Surrogate) -> None:
        self.dynamics = replace(self.dynamics, surrogate=surrogate)

    @property
    def reset(self) -> str:
        """Return "zero", "subtract" or "none"."""
        return self.dynamics.reset

    def scale(self, num_steps: int) -> Tensor | None:
        """Return the input scale a, (num_steps,), or None for a = 1."""
        return None

    def rule(self, num_steps: int) -> Rule:
        """Return what this layer does over `num_steps` steps, as plain numbers: readers go by that."""
        return Leaky.of(self.dynamics, self.scale(num_steps), self.kernel)

    def run(self, current: Tensor, num_steps: int) -> Run:
        """Simulate `num_steps` steps; `current` is (T, batch, ...), or (1, batch, ...) if constant."""
        current = in_full(current)
        potentials, spikes = simulate(current, self.scale(num_steps), self.dynamics, num_steps, self.kernel)
        return Run(current, potentials, spikes)

    def forward(self, current: Tensor, num_steps: int) -> Tensor:
        """Return the spikes, (num_steps, batch, ...)."""
        scale = self.scale(num_steps)
        return simulate_spikes(in_full(current), scale, self.dynamics, num_steps, self.kernel)

    def resume(
        self, current: Tensor, residue: Tensor | None, start: int, steps: int, num_steps: int
    ) -> tuple[Tensor, Tensor]:
        """Return spikes and residue of `steps` steps from `start` on, of T = `num_steps`; as `membrane.resume`."""
        scale = self.scale(num_steps)
        scale = None if scale is None else scale[start : start + steps]
        return resume(in_full(current), scale, residue, self.dynamics, steps, self.kernel)

    def extra_repr(self) -> str:
        """Return the constants that distinguish this layer."""
        d = self.dynamics
        amount = "" if d.reset_amount is None else f", reset_amount={d.reset_amount}"
        return f"decay={d.decay}, threshold={d.threshold}, reset={d.reset}, fires_at={d.fires_at}{amount}"


def in_full(current: Tensor) -> Tensor:
    """Return the current in float32 where autocast has made it a half: a membrane sums T steps without loss."""
    if current.dtype in HALVES and torch.is_autocast_enabled(current.device.type):
        return current.float()
    return current


class DLIF(LIF):
    """The paper's LIF whose input is scaled step by step: v[t] = λ·u[t−1] + a[t]·I[t].

    a is one learnable vector (T,), shared by the layer's neurons, unconstrained, initialised to ones.

    Args:
        num_steps: T, the length of a.
        decay, threshold, reset, fires_at, surrogate, reset_amount: as in `LIF`.

    References: ding2024robust
    """

    holds = ("input_scale",)

    def __init__(
        self,
        num_steps: int,
        decay: float = 0.99,
        threshold: float = 1.0,
        reset: str = "zero",
        fires_at: str = ">=",
        surrogate: Surrogate = Triangle(1.0),  # noqa: B008 (frozen)
        reset_amount: float | None = None,
    ) -> None:
        super().__init__(decay, threshold, reset, fires_at, surrogate, reset_amount)
        self.input_scale: nn.Parameter = nn.Parameter(torch.ones(at_least(1)("num_steps", num_steps)))

    def scale(self, num_steps: int) -> Tensor:
        """Return the learnable input scale a, (num_steps,)."""
        if num_steps != len(self.input_scale):
            raise ValueError(f"num_steps: got {num_steps}, expected this DLIF's {len(self.input_scale)}")
        return self.input_scale
