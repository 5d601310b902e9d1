"""The spectral norm of H·diag(a), H[t,k] = λ^(t−k) for k ≤ t: closed form, and a proof by a Riccati recursion.

Proof of the recursion. H⁻¹ = B = I − λS (S: shift by one step). γ ≥ σ_max(H·diag a) iff γ²I − H·diag(a²)·Hᵀ ⪰ 0,
iff (congruence by B) the tridiagonal γ²BBᵀ − diag(a²) ⪰ 0. BBᵀ has diagonal 1, 1+λ², … and off-diagonal −λ, so
the pivots are

    p₁ = γ² − a₁²,   p_t = γ²(1+λ²) − a_t² − γ⁴λ²/p_{t−1},

and all but the last positive with the last nonnegative proves the bound. p_t grows with p_{t−1}, so pivots that
are rounded down at every operation are below the true ones: their signs are a proof.
"""

import math
from collections.abc import Sequence
from decimal import Decimal

from ..arithmetic.intervals import DOWN, UNIT, UP


def toeplitz_norm(decay: float, horizon: int) -> float:
    """Return σ_max(H) = 1/√(1+λ²−2λ·cos φ), φ the smallest root in (0, π) of sin((T+1)φ) = λ·sin(Tφ), to rounding.

    The root lies in [π/(2T+1), π/(T+1)], its values for λ = 1 and λ = 0. Not rounded outward: see `prove_up`.

    Args:
        decay: λ ∈ [0, 1].
        horizon: T ≥ 1.

    References: theorem "finite-horizon-l2"

    >>> round(toeplitz_norm(0.9, 8), 5)
    4.11095
    """
    if decay == 0.0 or horizon == 1:
        return 1.0
    angle = math.pi / (2 * horizon + 1) if decay == 1.0 else _angle(decay, horizon)
    return 1.0 / math.sqrt((1.0 - decay) ** 2 + 4.0 * decay * math.sin(angle / 2.0) ** 2)


def _angle(decay: float, horizon: int) -> float:
    from scipy.optimize import brentq  # imported here: scipy takes half a second

    def equation(angle: float) -> float:
        return math.sin((horizon + 1) * angle) - decay * math.sin(horizon * angle)

    low, high = math.pi / (2 * horizon + 1), math.pi / (horizon + 1)
    if equation(low) <= 0.0:  # λ within rounding of 1
        return low
    if equation(high) >= 0.0:  # λ within rounding of 0
        return high
    return float(brentq(equation, low, high, xtol=1e-18, rtol=1e-15))  # pyright: ignore[reportArgumentType]


def scaled_norm(decay: float, scale: Sequence[float]) -> float:
    """Return σ_max(H·diag(a)) to rounding, by bisection on the signs of the pivots."""
    largest = max(abs(a) for a in scale)
    if largest == 0.0:
        return 0.0
    ratios = [a / largest for a in scale]
    low, high = 1.0, toeplitz_norm(decay, len(scale)) * (1.0 + 1e-12)
    while (middle := 0.5 * (low + high)) not in (low, high):
        if _float_pivots(middle, decay, ratios):
            high = middle
        else:
            low = middle
    return high * largest


def _float_pivots(bound: float, decay: float, scale: Sequence[float]) -> bool:
    square = bound * bound
    pivot = square - scale[0] ** 2
    for a in scale[1:]:
        if pivot <= 0.0:
            return False
        pivot = square + square * decay * decay * (1.0 - square / pivot) - a * a
    return pivot > 0.0


def bounds_norm(bound: float, decay: float, scale: Sequence[float]) -> bool:
    """Return True only if γ ≥ σ_max(H·diag(a)) is proven by pivots that are rounded down.

    Args:
        bound: γ.
        decay: λ.
        scale: a, of length T.
    """
    if decay == 0.0 or len(scale) == 1:
        return bound >= max(abs(a) for a in scale)
    gamma, lam = Decimal(bound), Decimal(decay)
    square_low, square_high = DOWN.multiply(gamma, gamma), UP.multiply(gamma, gamma)
    diagonal = DOWN.multiply(square_low, DOWN.add(1, DOWN.multiply(lam, lam)))
    coupling = UP.multiply(UP.multiply(square_high, square_high), UP.multiply(lam, lam))
    pivot = DOWN.subtract(square_low, _square_up(scale[0]))
    for a in scale[1:]:
        if pivot <= 0:
            return False
        pivot = DOWN.subtract(DOWN.subtract(diagonal, _square_up(a)), UP.divide(coupling, pivot))
    return pivot >= 0


def prove_up(estimate: float, decay: float, scale: Sequence[float]) -> float:
    """Return the first of estimate·(1 + 2^j·u), j = 0, 1, …, for which `bounds_norm` is a proof; inf for inf."""
    if estimate == 0.0 or math.isinf(estimate):
        return estimate
    step = 0.0
    while not bounds_norm(bound := estimate * (1.0 + step), decay, scale):
        step = max(2.0 * step, 2.0 * UNIT)
    return bound


def _square_up(value: float) -> Decimal:
    return UP.multiply(Decimal(value), Decimal(value))
