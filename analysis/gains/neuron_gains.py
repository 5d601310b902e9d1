"""Induced norms of the simplified dynamics of one neuron, ε[t] = λε[t−1] + a[t]w[t], as proven upper ends.

The map w ↦ ε over T steps is the matrix M = H·diag(a), H[t,k] = λ^(t−k) for k ≤ t. Signs of a are isometries of
every ℓp, so M is nonnegative without loss, and all nine induced norms are known exactly:

    ℓ1→ℓq   the largest ℓq norm of a column        (the unit ball's corners are the unit vectors)
    ℓp→ℓ∞   the largest dual norm of a row         (Hölder, attained)
    ℓ∞→ℓq   ‖M·1‖_q                                (M ≥ 0: w = 1 is the worst input)
    ℓ2→ℓ1   ‖Mᵀ·1‖₂                                (the dual of the line above)
    ℓ2→ℓ2   σ_max(M)                               (`toeplitz`)

Each is evaluated in 50-digit decimals that round up, or closed by a proof, then rounded up to a float.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from ...models.constants import real, reals, share
from ..arithmetic.intervals import DOWN, UP, float_up, sqrt_up
from .toeplitz import prove_up, scaled_norm, toeplitz_norm

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
