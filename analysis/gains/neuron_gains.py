"""Induced norms of the simplified dynamics of one neuron, ε[t] = λε[t−1] + a[t]w[t], as proven upper ends.

The map w ↦ ε over T steps is the matrix M = H·diag(a), H[t,k] = λ^(t−k) for k ≤ t. Signs of a are isometries of
every ℓp, so M is nonnegative without loss, and all nine induced norms are known exactly:

    ℓ1→ℓq   the largest ℓq norm of a column        (the unit ball's corners are the unit vectors)
    ℓp→ℓ∞   the largest dual norm of a row         (Hölder, attained)
    ℓ∞→ℓq   ‖M·1‖_q                                (M ≥ 0: w = 1 is the worst input)
    ℓ2→ℓ1   ‖Mᵀ·1‖₂                                (the dual of the line above)
    ℓ2→ℓ2   σ_max(M)                               (`toeplitz`)

Each is evaluated in 50-digit decimals that round up, or closed by a proof, then rounded up to a float.

The spectral norm of H·diag(a), H[t,k] = λ^(t−k) for k ≤ t: closed form, and a proof by a Riccati recursion.

Proof of the recursion. H⁻¹ = B = I − λS (S: shift by one step). γ ≥ σ_max(H·diag a) iff γ²I − H·diag(a²)·Hᵀ ⪰ 0,
iff (congruence by B) the tridiagonal γ²BBᵀ − diag(a²) ⪰ 0. BBᵀ has diagonal 1, 1+λ², … and off-diagonal −λ, so
the pivots are

    p₁ = γ² − a₁²,   p_t = γ²(1+λ²) − a_t² − γ⁴λ²/p_{t−1},

and all but the last positive with the last nonnegative proves the bound. p_t grows with p_{t−1}, so pivots that
are rounded down at every operation are below the true ones: their signs are a proof.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from ...models.constants import real, reals, share
from ..arithmetic import DOWN, UNIT, UP, float_up, sqrt_up


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


NORMS = ("l1", "l2", "linf")


def neuron_gain(
    decay: float,
    horizon: float,
    input_norm: str = "l2",
    output_norm: str = "l2",
    input_scale: Sequence[float] | None = None,
) -> float:
    """Return the least proven upper end of ‖ε‖/‖w‖ over T steps of ε[t] = λε[t−1] + a[t]w[t], ε[0] = 0.

    Args:
        decay: λ ∈ [0, 1].
        horizon: T ≥ 1, or math.inf.
        input_norm, output_norm: "l1", "l2" or "linf", of the whole sequence.
        input_scale: a, of length T, or None for a = 1; finite horizons only.

    Returns:
        The induced norm, rounded up; math.inf where there is no finite gain.

    Raises:
        TypeError, ValueError: for arguments outside these ranges.

    References: theorems "finite-horizon-l2", "linf-gain", "l2-linf-gain", "infinite-horizon-l2", "dlif-gain"

    >>> neuron_gain(0.5, 2, "linf", "linf")
    1.5
    """
    decay = share("decay", decay)
    check_norm("input_norm", input_norm)
    check_norm("output_norm", output_norm)
    steps = check_horizon(horizon)
    if steps is None:
        if input_scale is not None:
            raise ValueError("input_scale: got a finite sequence with horizon=inf, expected None")
        return float_up(_INFINITE[input_norm, output_norm](Decimal(decay)))
    scale = check_scale(input_scale, steps)
    if (input_norm, output_norm) == ("l2", "l2"):
        return _spectral(decay, scale)
    return float_up(_FINITE[input_norm, output_norm](_Sums.of(decay, scale)))


def neuron_bias(decay: float, horizon: float, output_norm: str = "l2", initial: float = 1.0) -> float:
    """Return the proven upper end of the norm of t ↦ λ^t·ε[0], t = 1..T: what an initial state adds to a gain.

    ℓ2: |λε[0]|·√((1−λ^{2T})/(1−λ²)); ℓ1: |λε[0]|·(1−λ^T)/(1−λ); ℓ∞: |λε[0]|.

    Args:
        decay: λ ∈ [0, 1].
        horizon: T ≥ 1, or math.inf.
        output_norm: "l1", "l2" or "linf".
        initial: ε[0].

    >>> neuron_bias(0.5, math.inf, "l1", initial=2.0)
    2.0
    """
    decay, initial = share("decay", decay), real("initial", initial)
    response = neuron_gain(decay, horizon, "l1", output_norm)
    if decay == 0.0 or initial == 0.0:
        return 0.0
    if math.isinf(response):
        return math.inf
    return float_up(UP.multiply(UP.multiply(Decimal(abs(initial)), Decimal(decay)), Decimal(response)))


def constant_gain(decay: float, horizon: int, input_scale: Sequence[float] | None = None) -> float:
    """Return the proven upper end of rms(ε)/|w| for a w that is constant over time: ‖H·a‖₂/√T.

    This is the first layer under direct coding, where the perturbation is the same at every step.

    >>> round(constant_gain(0.9, 8), 4)
    3.9077
    """
    steps, decay = check_horizon(horizon), share("decay", decay)
    if steps is None:
        raise ValueError("horizon: got inf, expected a finite number of steps")
    response, total = Decimal(0), Decimal(0)
    lam = Decimal(decay)
    signed = [Decimal(a) for a in check_scale(input_scale, steps)]
    low, high = Decimal(0), Decimal(0)
    for a in signed:
        low, high = DOWN.add(DOWN.multiply(lam, low), a), UP.add(UP.multiply(lam, high), a)
        response = max(abs(low), abs(high))
        total = UP.add(total, UP.multiply(response, response))
    return float_up(sqrt_up(UP.divide(total, Decimal(steps))))


@dataclass(frozen=True)
class _Sums:
    """Row and column sums of M and of its squared entries, each rounded up; scale holds |a|."""

    scale: tuple[Decimal, ...]
    rows: tuple[Decimal, ...]
    columns: tuple[Decimal, ...]
    square_rows: tuple[Decimal, ...]
    square_columns: tuple[Decimal, ...]

    @classmethod
    def of(cls, decay: float, scale: Sequence[float]) -> "_Sums":
        """Return the sums of a neuron of λ = `decay` with input scale `scale`, rounded up."""
        absolute = tuple(Decimal(abs(a)) for a in scale)
        squares = tuple(UP.multiply(a, a) for a in absolute)
        lam = Decimal(decay)
        square = UP.multiply(lam, lam)
        return cls(
            absolute,
            _rows(lam, absolute),
            _columns(lam, absolute),
            _rows(square, squares),
            _columns(square, squares),
        )


def _rows(decay: Decimal, scale: Sequence[Decimal]) -> tuple[Decimal, ...]:
    sums, current = [], Decimal(0)
    for a in scale:
        current = UP.add(UP.multiply(decay, current), a)
        sums.append(current)
    return tuple(sums)


def _columns(decay: Decimal, scale: Sequence[Decimal]) -> tuple[Decimal, ...]:
    sums, tail = [], Decimal(0)
    for a in reversed(scale):
        tail = UP.add(UP.multiply(decay, tail), 1)
        sums.append(UP.multiply(a, tail))
    return tuple(reversed(sums))


def _total(values: Sequence[Decimal]) -> Decimal:
    total = Decimal(0)
    for value in values:
        total = UP.add(total, value)
    return total


def _euclidean(values: Sequence[Decimal]) -> Decimal:
    return sqrt_up(_total([UP.multiply(value, value) for value in values]))


_FINITE: dict[tuple[str, str], Callable[[_Sums], Decimal]] = {
    ("l1", "l1"): lambda sums: max(sums.columns),
    ("l1", "l2"): lambda sums: sqrt_up(max(sums.square_columns)),
    ("l1", "linf"): lambda sums: max(sums.scale),
    ("l2", "l1"): lambda sums: _euclidean(sums.columns),
    ("l2", "linf"): lambda sums: sqrt_up(max(sums.square_rows)),
    ("linf", "l1"): lambda sums: _total(sums.rows),
    ("linf", "l2"): lambda sums: _euclidean(sums.rows),
    ("linf", "linf"): lambda sums: max(sums.rows),
}

_INFINITY = Decimal("Infinity")


def _geometric(decay: Decimal) -> Decimal:
    """Return 1/(1−λ), rounded up."""
    return _INFINITY if decay >= 1 else UP.divide(Decimal(1), DOWN.subtract(Decimal(1), decay))


def _square_geometric(decay: Decimal) -> Decimal:
    """Return 1/√(1−λ²), rounded up."""
    ratio = _geometric(UP.multiply(decay, decay))
    return ratio if ratio == _INFINITY else sqrt_up(ratio)


_INFINITE: dict[tuple[str, str], Callable[[Decimal], Decimal]] = {
    ("l1", "l1"): _geometric,
    ("l1", "l2"): _square_geometric,
    ("l1", "linf"): lambda decay: Decimal(1),
    ("l2", "l1"): lambda decay: _INFINITY,
    ("l2", "l2"): _geometric,
    ("l2", "linf"): _square_geometric,
    ("linf", "l1"): lambda decay: _INFINITY,
    ("linf", "l2"): lambda decay: _INFINITY,
    ("linf", "linf"): _geometric,
}


def _spectral(decay: float, scale: tuple[float, ...]) -> float:
    magnitudes = {abs(a) for a in scale}
    if len(magnitudes) == 1:
        return prove_up(toeplitz_norm(decay, len(scale)) * magnitudes.pop(), decay, scale)
    return prove_up(scaled_norm(decay, scale), decay, scale)


def check_norm(name: str, norm: str) -> None:
    """Raise ValueError unless `norm` is "l1", "l2" or "linf"."""
    if norm not in NORMS:
        raise ValueError(f"{name}: got {norm!r}, expected one of {', '.join(NORMS)}")


def check_horizon(horizon: float) -> int | None:
    """Return T, or None for an infinite horizon; raise unless T is an integer of at least 1, or inf."""
    steps = real("horizon", horizon, finite=False)
    if steps == math.inf:
        return None
    if not steps >= 1 or not steps.is_integer():
        raise ValueError(f"horizon: got {steps!r}, expected an integer of at least 1, or math.inf")
    return int(steps)


def check_scale(scale: Sequence[float] | None, steps: int) -> tuple[float, ...]:
    """Return a as floats; raise ValueError unless it is finite and of length T."""
    if scale is None:
        return (1.0,) * steps
    values = reals("input_scale", scale)
    if len(values) != steps:
        raise ValueError(f"input_scale: got {len(values)} values, expected horizon = {steps}")
    return values
