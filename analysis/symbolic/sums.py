"""Theorems on ℓ1, ℓ∞ and ℓ2→ℓ∞ gains, each by induction over time."""

import sympy as sp

from .steps import DECAY, AtLeast, Equal, T, Tends, decays, eps, lam, m, t, w
from .theorem import Theorem

_geometric = (1 - lam**t) / (1 - lam)
_size, _drive, _slack = sp.symbols("|epsilon| |w| d", nonnegative=True)
_n = sp.Symbol("n", integer=True, nonnegative=True)
_c, _energy = sp.Symbol("c", positive=True), sp.Symbol("S", nonnegative=True)

LINF_GAIN = Theorem(
    name="linf-gain",
    title="ℓ∞ gain",
    statement="max_t |ε[t]| ≤ (1−λ^T)/(1−λ)·max_t |w[t]|, attained by w = 1; 1/(1−λ) for an infinite "
    "horizon; T for λ = 1.",
    assumptions=("0 ≤ λ < 1, or the limit λ → 1", "ε[0] = 0"),
    formulas={"gain": sp.Eq(sp.Symbol("gamma"), (1 - lam**T) / (1 - lam))},
    steps=(
        Equal("b_t = (1−λ^t)/(1−λ) obeys b_{t+1} = λb_t + 1", lam * _geometric + 1, _geometric.subs(t, t + 1)),
        Equal("b_1 = 1", _geometric.subs(t, 1), 1),
        AtLeast(
            "|ε| ≤ b implies λ|ε| + |w| ≤ λb + 1 for |w| ≤ 1, with b = |ε| + d and 1 = |w| + |x|",
            lam * (_size + _slack) + (_drive + sp.Symbol("|x|", nonnegative=True)),
            lam * _size + _drive,
            lam * _slack + sp.Symbol("|x|", nonnegative=True),
        ),
        Equal(
            "w = 1 attains it: ε obeys the recursion of b",
            (lam * eps + w).subs({eps: _geometric, w: 1}),
            _geometric.subs(t, t + 1),
        ),
        Tends("λ → 1 gives T (here T = 7)", _geometric.subs(t, 7), lam, 1, 7),
        AtLeast("b_t ≤ 1/(1−λ)", decays(1 / (1 - lam)), decays(_geometric), DECAY**t * (1 + m) / m),
    ),
    argument="Induction over t: |ε[t]| ≤ b_t·max|w|, by the triangle inequality |λε + w| ≤ λ|ε| + |w|.",
)

L1_GAIN = Theorem(
    name="l1-gain",
    title="ℓ1 gain",
    statement="Σ_t |ε[t]| ≤ (1−λ^T)/(1−λ)·Σ_t |w[t]|, attained by an impulse at t = 1; 1/(1−λ) for "
    "an infinite horizon.",
    assumptions=("0 ≤ λ < 1, or the limit λ → 1", "ε[0] = 0"),
    formulas={"gain": sp.Eq(sp.Symbol("gamma"), (1 - lam**T) / (1 - lam))},
    steps=(
        Equal(
            "b_{n+1} = 1 + λb_n, b_n = (1−λ^n)/(1−λ), n = T − t steps to go",
            1 + lam * (1 - lam**_n) / (1 - lam),
            (1 - lam ** (_n + 1)) / (1 - lam),
        ),
        AtLeast(
            "|ε₊| + λb_n|ε₊| ≤ b_{n+1}(λ|ε| + |w|), with λ|ε| + |w| = |ε₊| + d and b = b_n ≥ 0",
            (1 + lam * _c) * (_size + _slack),
            _size + lam * _c * _size,
            (1 + lam * _c) * _slack,
        ),
        AtLeast(
            "b_{n+1} grows with n, so the greatest weight is that of the first step",
            decays((1 - lam ** (_n + 1)) / (1 - lam)),
            decays((1 - lam**_n) / (1 - lam)),
            DECAY**_n,
        ),
        Equal(
            "an impulse w[1] = 1 gives ε[t] = λ^{t−1}, whose sum grows by λ^T a step",
            (1 - lam**T) / (1 - lam) + lam**T,
            (1 - lam ** (T + 1)) / (1 - lam),
        ),
    ),
    argument="Φ_t = λb_{T−t}|ε[t]| obeys |ε[t]| + Φ_t − Φ_{t−1} ≤ b_{T−t+1}|w[t]|; sum over t, with "
    "Φ_0 = 0 and Φ_T = 0.",
)

_square = (1 - lam ** (2 * t)) / (1 - lam**2)

L2_LINF_GAIN = Theorem(
    name="l2-linf-gain",
    title="ℓ2→ℓ∞ gain",
    statement="max_t |ε[t]| ≤ √((1−λ^{2T})/(1−λ²))·‖w‖₂, attained by w[k] = λ^{T−k}; 1/√(1−λ²) for "
    "an infinite horizon.",
    assumptions=("0 ≤ λ < 1, or the limit λ → 1", "ε[0] = 0"),
    formulas={"gain": sp.Eq(sp.Symbol("gamma"), sp.sqrt((1 - lam ** (2 * T)) / (1 - lam**2)))},
    steps=(
        Equal("c_t = (1−λ^{2t})/(1−λ²) obeys c_{t+1} = λ²c_t + 1", lam**2 * _square + 1, _square.subs(t, t + 1)),
        AtLeast(
            "(λε + w)² ≤ (λ²c + 1)(ε²/c + w²)",
            (lam**2 * _c + 1) * (eps**2 / _c + w**2),
            (lam * eps + w) ** 2,
            (eps - lam * _c * w) ** 2 / _c,
        ),
        AtLeast(
            "ε² ≤ cS implies ε²/c + w² ≤ S + w², with cS = ε² + d",
            (eps**2 + _slack) / _c + w**2,
            eps**2 / _c + w**2,
            _slack / _c,
        ),
        Equal(
            "w[k] = λ^{T−k} gives ε[T] = Σλ^{2(T−k)} = c_T and ‖w‖² = c_T: the ratio is √c_T",
            _c / sp.sqrt(_c),
            sp.sqrt(_c),
        ),
    ),
    argument="Induction over t: ε[t]² ≤ c_t·Σ_{k≤t} w[k]²; the first step is w² ≤ w². Attained where "
    "the square vanishes.",
)
