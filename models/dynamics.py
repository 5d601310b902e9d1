"""The constants of one spiking layer's membrane recursion, as a value (`Dynamics`).

v[t] = λ·u[t−1] + a[t]·I[t]       u[0] = 0
s[t] = 1 if v[t] ≥ θ else 0       (`fires_at` ">": strictly above)
u[t] = v[t]·(1 − s[t])            reset "zero"
u[t] = v[t] − d·s[t]              reset "subtract", d = θ unless `reset_amount` says otherwise
u[t] = v[t]                       reset "none"

Surrogate gradients: smooth stand-ins for the derivative of the spike function.

The forward pass always fires exactly; only the backward pass sees a surrogate (Neftci et al., 2019).
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from .constants import positive, settle, share, unless_none
from .validation import check_choice


@dataclass(frozen=True)
class Surrogate(ABC):
    """A surrogate h(x) for ds/dv, where x = v − θ is the distance of the potential to the threshold."""

    width: float = 1.0

    def __post_init__(self) -> None:
        settle(self, positive, "width")

    @abstractmethod
    def derivative(self, distance: Tensor) -> Tensor:
        """Return h(distance), elementwise, with the shape of `distance`."""

    def derivative_(self, distance: Tensor) -> Tensor:
        """Return h(distance); it may overwrite `distance`, to save memory traffic."""
        return self.derivative(distance)

    @property
    @abstractmethod
    def steepest(self) -> float:
        """Return the greatest value of h: the slope L of the surrogate network (theory, section 2)."""


@dataclass(frozen=True)
class Triangle(Surrogate):
    """h(x) = max(0, γ − |x|) / γ², γ = width. The paper's choice, with γ = 1.

    >>> Triangle(1.0).derivative(torch.tensor([0.0, 0.5, 2.0]))
    tensor([1.0000, 0.5000, 0.0000])

    References: ding2024robust
    """

    def derivative(self, distance: Tensor) -> Tensor:
        """Return max(0, γ − |x|) / γ²."""
        return self.derivative_(distance.clone())

    def derivative_(self, distance: Tensor) -> Tensor:
        """Return max(0, γ − |x|) / γ², in the place of x."""
        torch.sub(distance.new_tensor(self.width), distance.abs_(), out=distance).relu_()
        return distance if self.width == 1.0 else distance.div_(self.width**2)

    @property
    def steepest(self) -> float:
        """Return 1/γ."""
        return 1.0 / self.width


@dataclass(frozen=True)
class Sigmoid(Surrogate):
    """h(x) = σ(x/γ)·(1 − σ(x/γ)) / γ, γ = width."""

    width: float = 0.25

    def derivative(self, distance: Tensor) -> Tensor:
        """Return σ(x/γ)(1 − σ(x/γ)) / γ."""
        smooth = torch.sigmoid(distance / self.width)
        return smooth * (1.0 - smooth) / self.width

    @property
    def steepest(self) -> float:
        """Return 1/(4γ)."""
        return 0.25 / self.width


@dataclass(frozen=True)
class Arctan(Surrogate):
    """h(x) = 1 / (γ·(1 + (πx/γ)²)), γ = width: the derivative of arctan(πx/γ)/π (Fang et al., 2021)."""

    def derivative(self, distance: Tensor) -> Tensor:
        """Return 1 / (γ(1 + (πx/γ)²))."""
        return 1.0 / (self.width * (1.0 + (math.pi * distance / self.width) ** 2))

    @property
    def steepest(self) -> float:
        """Return 1/γ."""
        return 1.0 / self.width


SURROGATES: dict[str, type[Surrogate]] = {"triangle": Triangle, "sigmoid": Sigmoid, "arctan": Arctan}


def surrogate_name(surrogate: Surrogate) -> str:
    """Return the name under which `SURROGATES` lists the type of `surrogate`."""
    for name, kind in SURROGATES.items():
        if type(surrogate) is kind:
            return name
    raise ValueError(f"surrogate: got {type(surrogate).__name__}, expected one of {', '.join(SURROGATES)}")


RESETS = ("zero", "subtract", "none")
FIRES_AT = (">=", ">")


@dataclass(frozen=True)
class Dynamics:
    """The constants of a spiking layer: decay λ ∈ [0, 1], threshold θ > 0, reset, firing rule, surrogate.

    `reset_amount` is d > 0, what a "subtract" reset takes away; None stands for θ. Numbers are kept as Python
    floats, so that equal dynamics run alike, and nobody changes them later.
    """

    decay: float = 0.99
    threshold: float = 1.0
    reset: str = "zero"
    fires_at: str = ">="
    surrogate: Surrogate = Triangle()
    reset_amount: float | None = None

    def __post_init__(self) -> None:
        settle(self, share, "decay")
        settle(self, positive, "threshold")
        check_choice("reset", self.reset, RESETS)
        check_choice("fires_at", self.fires_at, FIRES_AT)
        if not isinstance(self.surrogate, Surrogate):
            raise TypeError(f"surrogate: got {type(self.surrogate).__name__}, expected a Surrogate")
        if self.reset_amount is not None and self.reset != "subtract":
            raise ValueError(f'reset_amount: got one with reset {self.reset!r}, expected it with "subtract" only')
        settle(self, unless_none(positive), "reset_amount")

    @property
    def drop(self) -> float:
        """Return d, what a "subtract" reset takes away."""
        return self.threshold if self.reset_amount is None else self.reset_amount

    @property
    def span(self) -> float:
        """Return max(θ, d), by which bounds of a potential's size and of its rounding grow at each step."""
        return max(self.threshold, self.drop)
