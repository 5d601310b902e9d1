"""What a spiking layer does, as plain numbers: the one truth that every reader of a network goes by.

A rule is made when a network becomes a circuit, from the layer as it is then. It holds Python numbers and tuples
only, so it can be a key of a cache, and nothing behind it sees a tensor that changes or a number that wraps.
"""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from .constants import check_normal, positive, real, settle, share
from .dynamics import FIRES_AT, RESETS, Dynamics
from .validation import check_choice

KERNELS = ("eager", "compiled")
"""What may run the recursion, and the bounds of it."""


@dataclass(frozen=True)
class Rule:
    """How currents become spikes. A reader answers for the rules that it names, and refuses all others.

    Attributes:
        layers: the layer types that run by this rule as they stand; subclasses of them may only set constants.
    """

    layers: ClassVar[tuple[type[nn.Module], ...]] = ()

    def check(self, dtype: torch.dtype) -> None:
        """Raise ValueError for a constant that the dtype of the run does not hold to full precision."""


@dataclass(frozen=True)
class Leaky(Rule):
    """v[t] = λ·u[t−1] + a[t]·I[t], u[0] = 0; a spike where v[t] ≥ θ (or > θ); then u = v·(1 − s), v − d·s or v.

    Attributes:
        decay: λ ∈ [0, 1].
        threshold: θ > 0.
        reset: "zero", "subtract" or "none".
        fires_at: ">=" or ">".
        drop: d > 0, what "subtract" takes away.
        scale: a, one number a step, or None for a = 1.
        kernel: which implementation of bounds may run, bitwise alike; no part of what the rule says.
    """

    decay: float
    threshold: float = 1.0
    reset: str = "zero"
    fires_at: str = ">="
    drop: float = 1.0
    scale: tuple[float, ...] | None = None
    kernel: str = field(default="eager", compare=False)

    def __post_init__(self) -> None:
        settle(self, share, "decay")
        settle(self, positive, "threshold", "drop")
        check_choice("reset", self.reset, RESETS)
        check_choice("fires_at", self.fires_at, FIRES_AT)
        check_choice("kernel", self.kernel, KERNELS)
        if self.scale is not None:
            object.__setattr__(self, "scale", tuple(real("input_scale", a) for a in self.scale))

    @staticmethod
    def of(dynamics: Dynamics, scale: Tensor | None = None, kernel: str = "eager") -> "Leaky":
        """Return the rule of a layer's constants, which must be plain numbers, and its input scale.

        Raises:
            TypeError: for constants that were replaced by what is no Python float or string.
        """
        _check_plain(dynamics)
        factors = None if scale is None else tuple(scale.detach().double().tolist())
        d = dynamics
        return Leaky(d.decay, d.threshold, d.reset, d.fires_at, d.drop, factors, kernel)

    @property
    def span(self) -> float:
        """Return max(θ, d), by which bounds of a potential's size and of its rounding grow at each step."""
        return max(self.threshold, self.drop)

    def factors(self, num_steps: int) -> tuple[float, ...]:
        """Return a over T steps."""
        return (1.0,) * num_steps if self.scale is None else self.scale

    @property
    def dynamics(self) -> Dynamics:
        """Return the constants as `simulate` takes them."""
        amount = self.drop if self.reset == "subtract" else None
        return Dynamics(self.decay, self.threshold, self.reset, self.fires_at, reset_amount=amount)

    def scale_like(self, like: Tensor) -> Tensor | None:
        """Return a as a tensor of `like`'s dtype and device, or None for a = 1."""
        return None if self.scale is None else torch.tensor(self.scale, dtype=like.dtype, device=like.device)

    def check(self, dtype: torch.dtype) -> None:
        """Raise ValueError for a constant that is subnormal, or beyond the range, in the dtype of the run."""
        named = {"decay": self.decay, "threshold": self.threshold, "reset_amount": self.drop}
        for name, value in named.items():
            check_normal(name, value, dtype)
        for value in self.scale or ():
            check_normal("input_scale", value, dtype)


def _check_plain(dynamics: Dynamics) -> None:
    if type(dynamics) is not Dynamics:
        raise TypeError(f"dynamics: got {type(dynamics).__name__}, expected Dynamics")
    kinds = {"decay": float, "threshold": float, "drop": float, "reset": str, "fires_at": str}
    for name, kind in kinds.items():
        value = getattr(dynamics, name)
        if type(value) is not kind:
            raise TypeError(f"{name}: got {type(value).__name__}, expected a Python {kind.__name__}")
