"""The constants of one spiking layer's membrane recursion, as a value (`Dynamics`).

v[t] = λ·u[t−1] + a[t]·I[t]       u[0] = 0
s[t] = 1 if v[t] ≥ θ else 0       (`fires_at` ">": strictly above)
u[t] = v[t]·(1 − s[t])            reset "zero"
u[t] = v[t] − d·s[t]              reset "subtract", d = θ unless `reset_amount` says otherwise
u[t] = v[t]                       reset "none"
"""

import math
from dataclasses import dataclass

from .surrogates import Surrogate, Triangle

RESETS = ("zero", "subtract", "none")
FIRES_AT = (">=", ">")


@dataclass(frozen=True)
class Dynamics:
    """The constants of a spiking layer: decay λ ∈ [0, 1], threshold θ > 0, reset, firing rule, surrogate.

    `reset_amount` is d > 0, what a "subtract" reset takes away; None stands for θ.
    """

    decay: float = 0.99
    threshold: float = 1.0
    reset: str = "zero"
    fires_at: str = ">="
    surrogate: Surrogate = Triangle()  # noqa: RUF009 (frozen)
    reset_amount: float | None = None

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
        self._check_amount()

    def _check_amount(self) -> None:
        amount = self.reset_amount
        if amount is None:
            return
        if self.reset != "subtract":
            raise ValueError(f'reset_amount: got one with reset {self.reset!r}, expected it with "subtract" only')
        if not (math.isfinite(amount) and amount > 0):
            raise ValueError(f"reset_amount: got {amount!r}, expected a positive finite number")

    @property
    def drop(self) -> float:
        """Return d, what a "subtract" reset takes away."""
        return self.threshold if self.reset_amount is None else self.reset_amount

    @property
    def span(self) -> float:
        """Return max(θ, d), by which bounds of a potential's size and of its rounding grow at each step."""
        return max(self.threshold, self.drop)
