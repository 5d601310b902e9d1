"""Plants as grids and tubes need them: enclosures of the next states over boxes of states and inputs.

All is float64, rounded outward at the end: each end is moved by `LOST` times the sum of the moduli of all its
terms, far more than the few dozen operations that it takes may lose.

Pendulum. θ'' = f, f = a·sin θ − d·ω + b·u, u constant over one step Δ. With ω'' = a·cos θ·ω − d·f and
ω''' = a·(cos θ·f − sin θ·ω²) − d·ω'', Taylor's theorem with Lagrange's remainder gives, exactly,

    θ(Δ) = θ + ω·Δ + f·Δ²/2 + ω''·Δ³/6 + ω'''(s)·Δ⁴/24,    ω(Δ) = ω + f·Δ + ω''·Δ²/2 + ω'''(s')·Δ³/6

for some times s, s' in [0, Δ]. Along the way |ω| ≤ W = (|ω(0)| + Δ·(a + b·|u|))/(1 − Δ·d), as |sin| ≤ 1 and
|ω(t)| ≤ |ω(0)| + Δ·(a + d·W + b·|u|); so |f| ≤ F = a + d·W + b·|u| and |ω'''| ≤ a·(F + W²) + d·(a·W + d·F).

Sine. For |x| ≤ `REACH` it is its Taylor polynomial up to x^27, cosine's up to x^28, within REACH^29/29! < 4e-14;
sums of moduli are below e^4 < 55, so float64 loses less than 60·2^-52·55 < 1e-12 more. Over [c − h, c + h] sine
moves by at most h·max|cos|, |cos| ≤ min(1, |cos c| + h), and cosine alike. Beyond REACH both are in [−1, 1].

What loops are given: matrices, numbers and boxes, each refused by its name.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import factorial

import numpy as np
from torch import Tensor

from ...analysis.loops.kept import Rows
from ...models.constants import positive, real, reals, settle
from ...models.validation import check_choice

LOST = 2.0**-44
"""What float64 may lose, relative to the sum of moduli."""
SMALLEST = 2.0**-1000
"""What it may lose of subnormal numbers, which is far less."""
REACH = 4.0
SINE_LOST = 2e-12
SUBSTEPS = 64
"""Of one simulated step of a flow."""

Ends = tuple[np.ndarray, np.ndarray]
"""Lower and upper ends."""


class StepPlant(ABC):
    """x⁺ as a function of x and u."""

    states: int
    inputs: int

    @abstractmethod
    def image(self, x: Ends, u: Ends) -> Ends:
        """Return ends (batch, n) of all next states from boxes of states (batch, n) and inputs (batch, m)."""

    @abstractmethod
    def step(self, states: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """Return next states as float64 computes them, for simulation."""


@dataclass(frozen=True, eq=False)
class LinearPlant(StepPlant):
    """x⁺ = A_t·x + B_t·u, each within a spread of A and B, entry by entry, at each step anew."""

    A: np.ndarray
    B: np.ndarray
    spread: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def states(self) -> int:  # type: ignore[override]
        """Return n."""
        return len(self.A)

    @property
    def inputs(self) -> int:  # type: ignore[override]
        """Return m."""
        return self.B.shape[1]

    def image(self, x: Ends, u: Ends) -> Ends:
        """Return ends of next states."""
        (centre, half), (middle, wide) = _centred(x), _centred(u)
        size, given = np.abs(centre) + half, np.abs(middle) + wide
        moduli = size @ np.abs(self.A).T + given @ np.abs(self.B).T
        reach = half @ np.abs(self.A).T + wide @ np.abs(self.B).T
        if self.spread is not None:
            rest = size @ self.spread[0].T + given @ self.spread[1].T
            reach, moduli = reach + rest, moduli + rest
        return _outward(centre @ self.A.T + middle @ self.B.T, reach, moduli * (1 + len(self.A) + self.B.shape[1]))

    def step(self, states: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """Return next states of A and B themselves."""
        return states @ self.A.T + inputs @ self.B.T


@dataclass(frozen=True)
class Pendulum(StepPlant):
    """θ'' = (g/L)·sin θ + (u − c·θ')/(m·L²), θ from upright, u constant over each step; states (θ, θ').

    Args:
        mass, length, damping, gravity: m, L, c and g.
        dt: the step Δ.
        method: "flow": the differential equation, at its sampling instants; "euler": θ + Δ·θ', θ' + Δ·θ''.

    Raises:
        TypeError, ValueError: for what is no positive number, or a damping that is too strong for the step.
    """

    mass: float = 0.5
    length: float = 0.5
    damping: float = 0.0
    gravity: float = 1.0
    dt: float = 0.05
    method: str = "flow"
    states = 2
    inputs = 1

    def __post_init__(self) -> None:
        for name in ("mass", "length", "gravity", "dt"):
            settle(self, positive, name)
        settle(self, real, "damping")
        check_choice("method", self.method, ("flow", "euler"))
        if self.damping < 0 or self._constants[1] * self.dt > 0.5:
            raise ValueError(f"damping: got {self.damping}, expected c·dt/(m·L²) from 0 to 0.5")

    @property
    def _constants(self) -> tuple[float, float, float]:
        """Return a, d and b."""
        b = 1.0 / (self.mass * self.length**2)
        return self.gravity / self.length, self.damping * b, b

    def image(self, x: Ends, u: Ends) -> Ends:
        """Return ends of next states."""
        a, d, b = self._constants
        step = self.dt
        theta, omega = ((x[0][:, k], x[1][:, k]) for k in range(2))
        torque = u[0][:, 0], u[1][:, 0]
        sine, cosine = (_moved(*_centred(theta), turned) for turned in (1, 0))
        push = _sum(_scaled(a, sine), _scaled(b, torque))
        if self.method == "euler":
            terms = [(theta, _scaled(step, omega)), (_scaled(1 - step * d, omega), _scaled(step, push))]
            return _stacked([_closed(*parts) for parts in terms])
        turn = _sum(_scaled(a, _product(cosine, omega)), _scaled(-d, push), _scaled(d * d, omega))  # ω''
        largest = np.maximum(np.abs(torque[0]), np.abs(torque[1]))
        speed = (np.maximum(np.abs(omega[0]), np.abs(omega[1])) + step * (a + b * largest)) / (1 - step * d)
        force = a + d * speed + b * largest
        rest = (a * (force + speed**2) + d * (a * speed + d * force)) * (1 + LOST)
        around = -rest, rest
        angle = (
            theta,
            _scaled(step - d * step**2 / 2, omega),
            _scaled(step**2 / 2, push),
            _scaled(step**3 / 6, turn),
            _scaled(step**4 / 24, around),
        )
        rate = (
            _scaled(1 - step * d, omega),
            _scaled(step, push),
            _scaled(step**2 / 2, turn),
            _scaled(step**3 / 6, around),
        )
        return _stacked([_closed(*angle), _closed(*rate)])

    def step(self, states: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """Return next states: of a flow by many small steps of Runge and Kutta."""
        if self.method == "euler":
            return states + self.dt * self._slope(states, inputs)
        small = self.dt / SUBSTEPS
        for _ in range(SUBSTEPS):
            one = self._slope(states, inputs)
            two = self._slope(states + small / 2 * one, inputs)
            three = self._slope(states + small / 2 * two, inputs)
            four = self._slope(states + small * three, inputs)
            states = states + small / 6 * (one + 2 * two + 2 * three + four)
        return states

    def _slope(self, states: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        a, d, b = self._constants
        force = a * np.sin(states[:, 0]) - d * states[:, 1] + b * inputs[:, 0]
        return np.stack([states[:, 1], force], axis=1)


def _centred(ends: Ends) -> Ends:
    """Return middle and half width; rounding is far less than `LOST` of both."""
    middle = (ends[0] + ends[1]) / 2
    return middle, np.maximum(ends[1] - middle, middle - ends[0])


def _outward(centre: np.ndarray, reach: np.ndarray, moduli: np.ndarray) -> Ends:
    lost = reach + LOST * (moduli + reach) + SMALLEST
    return centre - lost, centre + lost


def _sum(*parts: Ends) -> Ends:
    low, high = (np.sum(np.stack(np.broadcast_arrays(*ends)), axis=0) for ends in zip(*parts, strict=True))
    size = np.sum(np.stack([np.abs(low) + np.abs(high) for low, high in parts]), axis=0)
    return low - LOST * size, high + LOST * size


def _closed(*parts: Ends) -> Ends:
    """Return a last sum, rounded outward."""
    low, high = _sum(*parts)
    return low - SMALLEST, high + SMALLEST


def _scaled(factor: float, ends: Ends) -> Ends:
    low, high = factor * ends[0], factor * ends[1]
    return (low, high) if factor >= 0 else (high, low)


def _product(one: Ends, other: Ends) -> Ends:
    corners = np.stack([x * y for x in one for y in other])
    return corners.min(axis=0), corners.max(axis=0)


def _stacked(parts: list[Ends]) -> Ends:
    low, high = (np.stack(ends, axis=1) for ends in zip(*parts, strict=True))
    return low, high


def _series(x: np.ndarray, first: int) -> np.ndarray:
    """Return the Taylor polynomial of sine, first 1, or of cosine, first 0, by Horner's scheme."""
    square, total = x * x, np.zeros_like(x)
    for power in range(first + 26 + 2 * (1 - first), first - 1, -2):
        sign = -1.0 if (power // 2) % 2 else 1.0
        total = total * square + sign / factorial(power)
    return total * x if first else total


def _moved(middle: np.ndarray, half: np.ndarray, first: int) -> Ends:
    """Return ends of sine or cosine over middle ± half."""
    near = (np.abs(middle) + half) <= REACH
    x = np.where(near, middle, 0.0)
    value, slope = _series(x, first), np.abs(_series(x, 1 - first))
    reach = half * np.minimum(1.0, slope + half + SINE_LOST) * (1 + LOST) + SINE_LOST
    low, high = (np.where(near, value + sign * reach, sign) for sign in (-1.0, 1.0))
    return np.maximum(low, -1.0), np.minimum(high, 1.0)


def matrix_of(rows: Rows | None) -> np.ndarray:
    """Return rows as an array."""
    return np.asarray(rows, dtype=np.float64)


def identity(size: int) -> Rows:
    """Return the unit matrix."""
    return tuple(tuple(float(i == k) for k in range(size)) for i in range(size))


def rows_of(name: str, value: object, height: int | None = None, width: int | None = None) -> Rows:
    """Return a matrix of finite numbers as rows of floats."""
    several = value.tolist() if isinstance(value, np.ndarray | Tensor) else value
    if not isinstance(several, Sequence) or isinstance(several, str | bytes):
        raise TypeError(f"{name}: got {type(value).__name__}, expected a matrix of numbers")
    found = tuple(reals(name, row) for row in several)
    if not found or not found[0] or len({len(row) for row in found}) != 1:
        raise ValueError(f"{name}: got rows of {sorted({len(row) for row in found})} numbers, expected a matrix")
    shape, wanted = (len(found), len(found[0])), (height or len(found), width or len(found[0]))
    if shape != wanted:
        raise ValueError(f"{name}: got shape {shape}, expected {wanted}")
    return found


def numbers_of(name: str, value: object, count: int, above: bool) -> tuple[float, ...]:
    """Return `count` numbers of at least 0, or above it; one number stands for all."""
    single = not isinstance(value, tuple | list | np.ndarray | Tensor)
    found = reals(name, [value] * count if single else value)
    if len(found) != count or any(x < 0 or (above and x == 0) for x in found):
        expected = f"{count} {'positive numbers' if above else 'numbers of at least 0'}, or one"
        raise ValueError(f"{name}: got {value!r}, expected {expected}")
    return found


def box_of(box: object, states: int) -> tuple[float, ...]:
    """Return the radii of a box of states.

    Raises:
        TypeError, ValueError: for another number of them, NaN, inf, or none that is positive.
    """
    return numbers_of(
        "box", list(box) if isinstance(box, Sequence | np.ndarray | Tensor) else box, states, above=True
    )
