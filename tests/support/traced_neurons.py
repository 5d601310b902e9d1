"""Neurons as people write them, one step each, with constants that a test may change at one step."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class At:
    """The constants of one step.

    Attributes:
        decay, threshold: λ, θ.
        level: what a reset leaves of the potential's share, 0 if it is what the neuron says.
        clamps: whether the potential is kept from falling below −1.
        late: whether it fires by the potential of before.
    """

    decay: float = 0.8
    threshold: float = 1.0
    level: float = 0.0
    clamps: bool = False
    late: bool = False


WRONG: dict[str, Callable[[At], At]] = {
    "threshold": lambda at: replace(at, threshold=1.0 + 2**-20),
    "decay": lambda at: replace(at, decay=0.8 + 2**-20),
    "reset": lambda at: replace(at, level=2.0**-20),
    "clamp": lambda at: replace(at, clamps=True),
    "order": lambda at: replace(at, late=True),
}
"""What is changed at one step, as little as it can be in float32 or in one operation."""


class Heaviside(torch.autograd.Function):
    """A step with a triangle for its gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Return 1 above 0."""
        ctx.save_for_backward(x)
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the triangle."""
        (x,) = ctx.saved_tensors
        return grad * (1 - x.abs()).clamp(0)


fire: Callable[[Tensor], Tensor] = Heaviside.apply  # pyright: ignore[reportAssignmentType]
Style = Callable[[Tensor, dict[str, Tensor], At], Tensor]


def _kept(state: dict[str, Tensor], x: Tensor, name: str = "v") -> Tensor:
    return state.get(name, torch.zeros_like(x))


def _clamped(v: Tensor, at: At) -> Tensor:
    return v.clamp(min=-1.0) if at.clamps else v


def hard(x: Tensor, state: dict[str, Tensor], at: At) -> Tensor:
    before = _kept(state, x)
    v = _clamped(at.decay * before + x, at)
    spike = fire((before if at.late else v) - at.threshold)
    state["v"] = v * (1 - spike) + at.level * spike
    return spike


def hard_by_where(x: Tensor, state: dict[str, Tensor], at: At) -> Tensor:
    before = _kept(state, x)
    v = _clamped(before.mul(at.decay).add(x), at)
    fires = torch.ge(before if at.late else v, at.threshold)
    state["v"] = torch.where(fires, torch.full_like(v, at.level), v)
    return fires.float()


def hard_by_fill(x: Tensor, state: dict[str, Tensor], at: At) -> Tensor:
    before = _kept(state, x)
    v = _clamped(x + before * at.decay, at)
    mask = (before if at.late else v) > at.threshold
    state["v"] = v.masked_fill(mask, at.level)
    return mask.to(x)


def hard_in_place(x: Tensor, state: dict[str, Tensor], at: At) -> Tensor:
    v = _kept(state, x).clone()
    before = v.clone()
    v.mul_(at.decay).add_(x)
    v = _clamped(v, at)
    spike = ((before if at.late else v) >= at.threshold).float()
    v[spike.bool()] = at.level
    state["v"] = v
    return spike


def hard_by_charge(x: Tensor, state: dict[str, Tensor], at: At) -> Tensor:
    before = _kept(state, x)
    v = _clamped(before + (x - before) * (1 - at.decay), at)
    spike = torch.heaviside((before if at.late else v) - at.threshold, torch.tensor(1.0)).detach()
    state["v"] = (1.0 - spike) * v + spike * at.level
    return spike


def hard_in_units(x: Tensor, state: dict[str, Tensor], at: At) -> Tensor:
    before = _kept(state, x)
    v = _clamped(at.decay * before + x, at)
    spike = fire((before if at.late else v) / at.threshold - 1.0)
    state["v"] = v - v * spike + at.level * spike
    return spike


def hard_late(x: Tensor, state: dict[str, Tensor], at: At) -> Tensor:
    before, spikes = _kept(state, x), _kept(state, x, "s")
    v = _clamped(at.decay * before * (1.0 - spikes) + at.level * spikes + x, at)
    state["v"], state["s"] = v, (before if at.late else v).gt(at.threshold).float()
    return state["s"]


def hard_by_less(x: Tensor, state: dict[str, Tensor], at: At) -> Tensor:
    before = _kept(state, x)
    v = _clamped(torch.addcmul(x, before, torch.tensor(at.decay)), at)
    quiet = (before if at.late else v) < at.threshold
    state["v"] = torch.where(quiet, v, v * at.level)
    return 1.0 - quiet.float()


def hard_by_lerp(x: Tensor, state: dict[str, Tensor], at: At) -> Tensor:
    before = _kept(state, x)
    v = _clamped(torch.lerp(x, before + x, at.decay), at)
    spike = ((before if at.late else v) > at.threshold) * 1.0
    state["v"] = torch.lerp(v, torch.full_like(v, at.level), spike)
    return spike


def soft(x: Tensor, state: dict[str, Tensor], at: At) -> Tensor:
    before = _kept(state, x)
    v = _clamped(at.decay * before + x, at)
    spike = fire((before if at.late else v) - at.threshold)
    state["v"] = v - spike * (1.0 + at.level)
    return spike


def soft_late(x: Tensor, state: dict[str, Tensor], at: At) -> Tensor:
    before = _kept(state, x)
    reset = (before > 1.0).float().detach()
    v = _clamped(at.decay * before + x - reset * (1.0 + at.level), at)
    state["v"] = v
    return ((before if at.late else v) > at.threshold).float()


def soft_in_place(x: Tensor, state: dict[str, Tensor], at: At) -> Tensor:
    v = at.decay * _kept(state, x)
    before = v.clone()
    v += x
    v = _clamped(v, at)
    spike = ((before if at.late else v) >= at.threshold).to(torch.float32)
    state["v"] = torch.sub(v, spike, alpha=1.0 + at.level)
    return spike


def soft_with_amount(x: Tensor, state: dict[str, Tensor], at: At) -> Tensor:
    before = _kept(state, x)
    v = _clamped(before * at.decay + 0.5 * x, at)
    spike = ((before if at.late else v) >= at.threshold).type_as(x)
    state["v"] = v - (0.75 + at.level) * spike
    return spike


def silent_reset(x: Tensor, state: dict[str, Tensor], at: At) -> Tensor:
    before = _kept(state, x)
    state["v"] = _clamped(at.decay * before + x, at) - at.level
    return ((before if at.late else state["v"]) > at.threshold).float()


def to_level(x: Tensor, state: dict[str, Tensor], at: At) -> Tensor:
    before = state.get("v", torch.full_like(x, -0.25))
    v = _clamped(-0.25 + at.decay * (before + 0.25) + x, at)
    spike = ((before if at.late else v) > at.threshold).float()
    state["v"] = torch.where(spike == 1, torch.full_like(v, -0.25 + at.level), v)
    return spike


def synaptic(x: Tensor, state: dict[str, Tensor], at: At) -> Tensor:
    state["i"] = 0.5 * _kept(state, x, "i") + x
    before = _kept(state, x)
    v = _clamped(at.decay * before + state["i"], at)
    spike = fire((before if at.late else v) - at.threshold)
    state["v"] = v * (1 - spike) + at.level * spike
    return spike


def synaptic_soft(x: Tensor, state: dict[str, Tensor], at: At) -> Tensor:
    state["i"] = 0.5 * _kept(state, x, "i") + x
    before = _kept(state, x)
    v = _clamped(at.decay * before + state["i"], at)
    spike = ((before if at.late else v) > at.threshold).float()
    state["v"] = v - (1.0 + at.level) * spike
    return spike


def resting(x: Tensor, state: dict[str, Tensor], at: At) -> Tensor:
    before, awake = _kept(state, x), 1.0 - _kept(state, x, "s")
    v = _clamped((at.decay * before + x) * awake, at)
    state["s"] = ((before if at.late else v) > at.threshold).float()
    state["v"] = v * (1.0 - state["s"]) + at.level * state["s"]
    return state["s"]


def adaptive(x: Tensor, state: dict[str, Tensor], at: At) -> Tensor:
    before, raised = _kept(state, x), _kept(state, x, "a")
    v = _clamped(at.decay * before + x, at)
    spike = ((before if at.late else v) >= at.threshold + 0.25 * raised).float()
    state["v"] = v * (1.0 - spike) + at.level * spike
    state["a"] = 0.5 * raised + spike
    return spike


def adaptive_soft(x: Tensor, state: dict[str, Tensor], at: At) -> Tensor:
    before, raised = _kept(state, x), _kept(state, x, "a")
    v = _clamped(at.decay * before + x, at)
    spike = fire((before if at.late else v) - (at.threshold + 0.25 * raised))
    state["v"] = v - (1.0 + at.level) * spike
    state["a"] = 0.5 * raised + spike
    return spike


STYLES: dict[str, Style] = {
    style.__name__: style
    for style in (
        *(
            hard,
            hard_by_where,
            hard_by_fill,
            hard_in_place,
            hard_by_charge,
            hard_in_units,
            hard_late,
            hard_by_less,
        ),
        *(hard_by_lerp, soft, soft_late, soft_in_place, soft_with_amount, silent_reset, to_level, synaptic),
        *(synaptic_soft, resting, adaptive, adaptive_soft),
    )
}


class Looped(nn.Module):
    """fc2 of the spikes of one layer of neurons over 4 steps, the mean of it; one step may have other constants.

    Args:
        style: of the neurons.
        change: what is other, None for nothing.
        step: where.
    """

    STEPS = 4

    def __init__(self, style: Style, change: Callable[[At], At] | None = None, step: int = 2) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fc1, self.fc2 = nn.Linear(5, 6), nn.Linear(6, 3)
        self.fc1.weight.data.mul_(6.0)
        self.style, self.change, self.step = style, change, step

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean, (batch, 3); x is (T, batch, 5) or (batch, 5)."""
        state: dict[str, Tensor] = {}
        total = torch.zeros(())
        for step in range(self.STEPS):
            at = self.change(At()) if self.change is not None and step == self.step else At()
            given = x[step] if x.dim() == 3 else x
            total = total + self.fc2(self.style(self.fc1(given), state, at))
        return total / self.STEPS
