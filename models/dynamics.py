"""The constants of one spiking layer's membrane recursion, as a value (`Dynamics`).

v[t] = λ·u[t−1] + a[t]·I[t]       u[0] = 0
s[t] = 1 if v[t] ≥ θ else 0       (`fires_at` ">": strictly above)
u[t] = v[t]·(1 − s[t])            reset "zero"
u[t] = v[t] − d·s[t]              reset "subtract", d = θ unless `reset_amount` says otherwise
u[t] = v[t]                       reset "none"
"""

from dataclasses import dataclass

from .constants import positive, settle, share, unless_none
from .surrogates import Surrogate, Triangle
from .validation import check_choice

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
    surrogate: Surrogate = Triangle()  # noqa: RUF009 (frozen)
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
