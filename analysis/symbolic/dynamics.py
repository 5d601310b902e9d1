"""Theorems on the perturbation dynamics themselves: the exact identity, the simplified solution, validity."""

from typing import Any

import sympy as sp

from .sums import AtLeast, Equal, Tends, Theorem, eps, lam, scale, t, theta, w

_v, _v2, _current, _current2 = sp.symbols("v vtilde I Itilde", real=True)
_s, _s2 = sp.symbols("s stilde", real=True)
_x, _y, _d = sp.symbols("x y delta", real=True)
_size_x, _size_y = sp.symbols("|x| |y|", nonnegative=True)
_k = sp.Symbol("k", integer=True, positive=True)
_input: Any = sp.IndexedBase("w")


def _step(v: sp.Expr, s: sp.Expr, current: sp.Expr, reset: str) -> sp.Expr:
    residue = {"zero": v * (1 - s), "subtract": v - theta * s, "none": v}[reset]
    return lam * residue + scale * current


def _difference(reset: str) -> sp.Expr:
    return _step(_v, _s, _current, reset) - _step(_v2, _s2, _current2, reset)


_removed = {"zero": lam * (_v * _s - _v2 * _s2), "subtract": lam * theta * (_s - _s2), "none": sp.Integer(0)}
_ideal = lam * (_v - _v2) + scale * (_current - _current2)

PERTURBATION_IDENTITY = Theorem(
    name="perturbation-identity",
    title="Exact perturbation dynamics",
    statement="ϑ[t] = v[t] − ṽ[t] of two runs obeys ϑ[t] = λϑ[t−1] + a[t]·WΔs[t] − r[t], ϑ[0] = 0, "
    "where the reset "
    "term r[t] is λ(v s − ṽ s̃)[t−1] for hard reset, λθ(s − s̃)[t−1] for soft reset, and 0 without reset.",
    assumptions=("any λ, θ, input scale a[t], weights and inputs",),
    formulas={
        "hard reset": sp.Eq(sp.Symbol("vartheta_+"), _ideal - _removed["zero"], evaluate=False),
        "soft reset": sp.Eq(sp.Symbol("vartheta_+"), _ideal - _removed["subtract"], evaluate=False),
    },
    steps=tuple(
        Equal(f"one step of both runs, subtracted, {name}", _difference(reset), _ideal - _removed[reset])
        for reset, name in (("zero", "hard reset"), ("subtract", "soft reset"), ("none", "no reset"))
    ),
    argument="Subtract one step of both runs; a bias of the affine layer cancels in I − Ĩ = WΔs.",
    about="exact",
)

SIMPLIFIED_SOLUTION = Theorem(
    name="simplified-solution",
    title="Solution of the simplified dynamics",
    statement="ε[t] = λε[t−1] + w[t], ε[0] = 0, is solved by ε[t] = Σ_{k=1}^{t} λ^{t−k} w[k].",
    assumptions=("any λ",),
    formulas={"solution": sp.Eq(sp.Symbol("epsilon_t"), sp.Sum(lam ** (t - _k) * _input[_k], (_k, 1, t)))},
    steps=(
        Equal("base t = 1", sp.Sum(lam ** (1 - _k) * _input[_k], (_k, 1, 1)).doit(), _input[1]),
        Equal("term k of λ·Σ at t is term k of Σ at t+1", lam * lam ** (t - _k), lam ** (t + 1 - _k)),
        Equal("the new term k = t+1 is w[t+1]", (lam ** (t + 1 - _k) * _input[_k]).subs(_k, t + 1), _input[t + 1]),
    ),
    argument="Induction over t: λ times the sum at t, term by term, plus w[t+1], is the sum at t+1.",
)

_case = {0: sp.Integer(0), 1: sp.Integer(1)}

PATTERN_HARD = Theorem(
    name="pattern-preserving-hard",
    title="Gains hold for the membrane while trains agree, hard reset",
    statement="If s[t] = s̃[t] for all t < T, hard reset gives ϑ[t] = λ(1 − s[t−1])ϑ[t−1] + w[t], "
    "and |ϑ[t]| ≤ e[t] with "
    "e[t] = λe[t−1] + |w[t]|. So every gain of ε bounds ϑ as well, in every norm.",
    assumptions=("λ ≥ 0", "equal spike trains in this layer at all earlier steps"),
    formulas={"recursion": sp.Eq(sp.Symbol("vartheta_+"), lam * (1 - _s) * eps + w, evaluate=False)},
    steps=(
        Equal(
            "equal spikes factor out",
            _difference("zero").subs(_s2, _s),
            lam * (1 - _s) * (_v - _v2) + scale * (_current - _current2),
        ),
        Equal("without a spike (s = 0) the factor is λ", (lam * (1 - _s)).subs(_s, 0), lam),
        Equal("with a spike (s = 1) the past is erased", (lam * (1 - _s)).subs(_s, 1), 0),
        AtLeast(
            "triangle inequality for x = λ(1−s)ϑ, y = w: (|x|+|y|)² − (x+y)² ≥ 0, with xy = |x||y| − δ², δ real",
            (_size_x + _size_y) ** 2,
            _size_x**2 + _size_y**2 + 2 * (_size_x * _size_y - _d**2),
            2 * _d**2,
        ),
        AtLeast(
            "λ|ϑ| ≤ λe where |ϑ| = x ≤ e = x + y, x, y ≥ 0",
            lam * (_size_x + _size_y),
            lam * _size_x,
            lam * _size_y,
        ),
    ),
    argument="Induction over t: |ϑ[t]| ≤ λ|ϑ[t−1]| + |w[t]| ≤ λe[t−1] + |w[t]| = e[t], and a spike "
    "only erases. e is ε "
    "driven by |w|, whose norms are those of w, and every induced norm of H ≥ 0 is attained on "
    "nonnegative inputs.",
    about="exact",
)

PATTERN_SOFT = Theorem(
    name="pattern-preserving-soft",
    title="Gains hold for the membrane while trains agree, soft reset",
    statement="If s[t] = s̃[t] for all t < T, soft reset gives ϑ[t] = λϑ[t−1] + w[t]: exactly the "
    "simplified dynamics.",
    assumptions=("any λ", "equal spike trains in this layer at all earlier steps"),
    formulas={"recursion": sp.Eq(sp.Symbol("vartheta_+"), lam * eps + w, evaluate=False)},
    steps=(
        Equal("the reset terms cancel", _difference("subtract").subs(_s2, _s), _ideal),
        Equal("so they do without a reset", _difference("none").subs(_s2, _s), _ideal),
    ),
    argument="Put s̃ = s into the exact identity: the reset term is 0 and ϑ obeys the recursion of "
    "ε, from the same 0.",
    about="exact",
)

_after_spike = _step(theta, sp.Integer(1), theta, "zero").subs(scale, 1)
_no_spike = _step(theta - w, sp.Integer(0), theta - w, "zero").subs(scale, 1)
_soft_spike = _step(theta, sp.Integer(1), theta, "subtract").subs(scale, 1)

NO_GAIN_ACROSS_SPIKES = Theorem(
    name="no-gain-across-spikes",
    title="No gain bounds the membrane where trains differ",
    statement="Take constant currents I = θ and Ĩ = θ − w, 0 < w < θ, λ > 0. The first run fires at "
    "t = 1, the second "
    "does not, and ϑ[2] → −λθ as w → 0: the ratio of ϑ to w grows without bound. The condition of equal trains "
    "cannot be dropped.",
    assumptions=("0 < λ ≤ 1", "hard or soft reset", "v ≥ θ fires"),
    formulas={"ϑ[2]": sp.Eq(sp.Symbol("vartheta_2"), sp.expand(_after_spike - _no_spike), evaluate=False)},
    steps=(
        Equal(
            "hard reset: v[2] = θ, ṽ[2] = (1+λ)(θ − w)", _after_spike - _no_spike, theta - (1 + lam) * (theta - w)
        ),
        Equal("soft reset at v = θ leaves 0, as hard reset does", _soft_spike, _after_spike),
        Tends("ϑ[2] does not vanish with w", _after_spike - _no_spike, w, 0, -lam * theta),
        Tends("w/ϑ[2] does: no finite gain", w / (_after_spike - _no_spike).subs(lam, sp.Rational(1, 2)), w, 0, 0),
    ),
    argument="Compute two steps of both runs and let w → 0.",
    about="exact",
)
