"""The membrane recursion of one spiking layer, as a value (`Dynamics`) and as one differentiable operation.

v[t] = λ·u[t−1] + a[t]·I[t]       u[0] = 0
s[t] = 1 if v[t] ≥ θ else 0       (`fires_at` ">": strictly above)
u[t] = v[t]·(1 − s[t])            reset "zero"
u[t] = v[t] − θ·s[t]              reset "subtract"
u[t] = v[t]                       reset "none"
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .surrogates import Surrogate, Triangle

RESETS = ("zero", "subtract", "none")
FIRES_AT = (">=", ">")


@dataclass(frozen=True)
class Dynamics:
    """The constants of a spiking layer: decay λ ∈ [0, 1], threshold θ > 0, reset, firing rule, surrogate."""

    decay: float = 0.99
    threshold: float = 1.0
    reset: str = "zero"
    fires_at: str = ">="
    surrogate: Surrogate = Triangle()  # noqa: RUF009 (frozen)

    def __post_init__(self) -> None:
        if not 0.0 <= self.decay <= 1.0:
            raise ValueError(f"decay: got {self.decay!r}, expected a number in [0, 1]")
        if not (math.isfinite(self.threshold) and self.threshold > 0):
            raise ValueError(f"threshold: got {self.threshold!r}, expected a positive finite number")
        if self.reset not in RESETS:
            raise ValueError(f"reset: got {self.reset!r}, expected one of {', '.join(RESETS)}")
        if self.fires_at not in FIRES_AT:
            raise ValueError(f"fires_at: got {self.fires_at!r}, expected one of {', '.join(FIRES_AT)}")
        if not isinstance(self.surrogate, Surrogate):
            raise TypeError(f"surrogate: got {type(self.surrogate).__name__}, expected a Surrogate")


def simulate(
    current: Tensor, input_scale: Tensor | None, dynamics: Dynamics, num_steps: int
) -> tuple[Tensor, Tensor]:
    """Run the membrane recursion over T = num_steps steps, differentiably.

    Args:
        current: I, (T, batch, ...) or (1, batch, ...) for a current that is constant over time.
        input_scale: a, (T,), or None for a = 1.
        dynamics: the layer's constants; the backward pass uses its surrogate for ds/dv.
        num_steps: T.

    Returns:
        Potentials v before reset and spikes s, each (T, batch, ...).
    """
    return _Membrane.apply(current, input_scale, dynamics, num_steps)  # pyright: ignore[reportReturnType]


class _Membrane(torch.autograd.Function):
    """One autograd node for all T steps: the graph of T·6 small operations costs more than the arithmetic."""

    @staticmethod
    def forward(
        ctx: Any, current: Tensor, input_scale: Tensor | None, dynamics: Dynamics, num_steps: int
    ) -> tuple[Tensor, Tensor]:
        shape = (num_steps, *current.shape[1:])
        potentials, spikes = current.new_empty(shape), current.new_empty(shape)
        scaled = _scale(current, input_scale)
        residue = current.new_zeros(shape[1:])
        fire = torch.ge if dynamics.fires_at == ">=" else torch.gt
        for t in range(num_steps):
            drive = scaled[t if len(scaled) > 1 else 0]
            potential, spike = potentials[t], spikes[t]
            torch.add(drive, residue, alpha=dynamics.decay, out=potential)
            fire(potential, dynamics.threshold, out=spike)
            residue = _reset(potential, spike, dynamics, residue)
        ctx.save_for_backward(current, input_scale, potentials, spikes)
        ctx.dynamics = dynamics
        ctx.set_materialize_grads(False)
        return potentials, spikes

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, grad_potentials: Tensor | None, grad_spikes: Tensor | None
    ) -> Any:
        current, input_scale, potentials, spikes = ctx.saved_tensors
        adjoint = _adjoint(potentials, spikes, grad_potentials, grad_spikes, ctx.dynamics)
        grad_current = grad_scale = None
        if ctx.needs_input_grad[1]:
            grad_scale = (adjoint * current).flatten(1).sum(1)
        if ctx.needs_input_grad[0]:
            grad_current = _scale(adjoint, input_scale)
            if len(current) == 1:
                grad_current = grad_current.sum(0, keepdim=True)
        return grad_current, grad_scale, None, None


def _scale(signal: Tensor, input_scale: Tensor | None) -> Tensor:
    """Return a[t]·signal[t]."""
    if input_scale is None:
        return signal
    return signal * input_scale.reshape(-1, *([1] * (signal.dim() - 1)))


def _reset(potential: Tensor, spike: Tensor, dynamics: Dynamics, out: Tensor) -> Tensor:
    if dynamics.reset == "zero":  # v − v·s is exactly v or exactly 0
        return torch.addcmul(potential, potential, spike, value=-1.0, out=out)
    if dynamics.reset == "subtract":
        return torch.add(potential, spike, alpha=-dynamics.threshold, out=out)
    return potential


def _adjoint(
    potentials: Tensor,
    spikes: Tensor,
    grad_potentials: Tensor | None,
    grad_spikes: Tensor | None,
    dynamics: Dynamics,
) -> Tensor:
    """Return q[t] = dLoss/dv[t] by the reverse recursion q[t] = direct[t] + λ·carry[t]·q[t+1].

    `direct` is what reaches v[t] through s[t] and v[t] themselves, `carry` = du[t]/dv[t] with the surrogate
    for ds/dv, the reset path included.
    """
    slope = dynamics.surrogate.derivative(potentials - dynamics.threshold)
    direct = torch.zeros_like(potentials) if grad_spikes is None else slope * grad_spikes
    if grad_potentials is not None:
        direct = direct + grad_potentials
    if dynamics.reset == "zero":
        carry = (1.0 - spikes).addcmul_(potentials, slope, value=-1.0)
    elif dynamics.reset == "subtract":
        carry = slope.mul(-dynamics.threshold).add_(1.0)
    else:
        carry = torch.ones_like(potentials)
    adjoint = direct
    for t in range(len(adjoint) - 2, -1, -1):
        adjoint[t].addcmul_(carry[t], adjoint[t + 1], value=dynamics.decay)
    return adjoint
