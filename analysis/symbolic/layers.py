"""Theorems on layers: DLIF's time-varying gain, the Kronecker product, the bounded real lemma, the ℓ2 margin."""

from typing import Any

import sympy as sp

from .sums import AtLeast, Equal, Theorem, lam, w

_x, _y, _e = sp.symbols("x y e", real=True)
_p = sp.Symbol("p", positive=True)
_d = sp.Symbol("d", real=True)
_a, _slack = sp.symbols("|a| d_a", nonnegative=True)
_gamma = sp.Symbol("gamma", positive=True)

DLIF_GAIN = Theorem(
    name="dlif-gain",
    title="ℓ2 gain with a time-varying input scale",
    statement="γ ≥ σ_max(H·diag(a)) exactly when the Riccati recursion p₁ = γ² − a₁², p_t = γ²(1+λ²) "
    "− a_t² − γ⁴λ²/p_{t−1} "
    "keeps p_t > 0 for t < T and p_T ≥ 0. And σ_max(H·diag(a)) ≤ max|a_t|·σ_max(H), with equality for constant a.",
    assumptions=("0 < λ ≤ 1", "a any vector of length T"),
    formulas={
        "recursion": sp.Eq(
            sp.Symbol("p_t"),
            _gamma**2 * (1 + lam**2) - sp.Symbol("a_t") ** 2 - _gamma**4 * lam**2 / sp.Symbol("p_{t-1}"),
        ),
        "bound": sp.Le(sp.Symbol("sigma"), sp.Symbol("max|a|") * sp.Symbol("sigma_max")),
    },
    steps=(
        Equal(
            "x is B times the response: ε[t] − λε[t−1] = a[t]w[t], so H⁻¹ = B = I − λS",
            (lam * _x + _y) - lam * _x,
            _y,
        ),
        Equal(
            "BBᵀ has λ·λ + 1·1 on its diagonal and 1·(−λ) beside it: one column of Bᵀ, (…, −λ, 1, …), squared",
            (_x - lam * _y) ** 2,
            _x**2 + lam**2 * _y**2 - 2 * lam * _x * _y,
        ),
        Equal(
            "one step of LDLᵀ of a tridiagonal form, off-diagonal −e",
            _p * _x**2 - 2 * _e * _x * _y + _d * _y**2,
            _p * (_x - _e * _y / _p) ** 2 + (_d - _e**2 / _p) * _y**2,
        ),
        Equal(
            "with e = γ²λ and d = γ²(1+λ²) − a² its pivot is the recursion's",
            (_d - _e**2 / _p).subs({_e: _gamma**2 * lam}),
            _d - _gamma**4 * lam**2 / _p,
        ),
        AtLeast(
            "(aw)² ≤ max|a|²·w², with max|a| = |a| + d",
            (_a + _slack) ** 2 * w**2,
            _a**2 * w**2,
            (2 * _a * _slack + _slack**2) * w**2,
        ),
    ),
    argument="γ²I ⪰ H·diag(a²)·Hᵀ iff γ²BBᵀ − diag(a²) ⪰ 0 by congruence with B, iff the pivots of "
    "LDLᵀ are positive (the last "
    "nonnegative). For the bound, H·diag(a)w is H applied to aw.",
)

_energy_out, _energy_mid, _energy_in = sp.symbols("E Y X", nonnegative=True)
_sigma, _norm = sp.symbols("sigma g", nonnegative=True)
_r, _q = sp.symbols("r q", nonnegative=True)
_h11, _h21, _h22, _w11, _w12, _u1, _u2, _v1, _v2 = sp.symbols("h_11 h_21 h_22 w_1 w_2 u_1 u_2 v_1 v_2", real=True)

LAYER_GAIN = Theorem(
    name="layer-gain",
    title="Gain of a layer",
    statement="ε = (H·diag(a) ⊗ W)Δs has ‖ε‖₂ ≤ σ_max(H·diag(a))·‖W‖₂·‖Δs‖₂, and this is sharp; "
    "likewise for every pair of "
    "ℓp norms.",
    assumptions=("one linear W at all steps", "H ≥ 0 entry by entry"),
    formulas={"gain": sp.Eq(sp.Symbol("gamma"), sp.Symbol("sigma_max") * sp.Symbol("|W|_2"))},
    steps=(
        Equal(
            "‖Wx_t‖² ≤ g²‖x_t‖² and ‖Hy‖² ≤ σ²‖y‖² chain: with E = σ²Y − r, Y = g²X − q",
            _sigma**2 * (_norm**2 * _energy_in - _q) - _r,
            _sigma**2 * _norm**2 * _energy_in - (_sigma**2 * _q + _r),
        ),
        AtLeast(
            "so E ≤ σ²g²X",
            _sigma**2 * _norm**2 * _energy_in,
            _sigma**2 * _norm**2 * _energy_in - (_sigma**2 * _q + _r),
            _sigma**2 * _q + _r,
        ),
        Equal(
            "an input u_t·v is mapped to (Hu)_t·(Wv): here for T = 2, two inputs",
            _h21 * (_w11 * _u1 * _v1 + _w12 * _u1 * _v2) + _h22 * (_w11 * _u2 * _v1 + _w12 * _u2 * _v2),
            (_h21 * _u1 + _h22 * _u2) * (_w11 * _v1 + _w12 * _v2),
        ),
        Equal(
            "and its squared norm is the product of squared norms",
            sum(u**2 * v**2 for u in (_u1, _u2) for v in (_v1, _v2)),
            (_u1**2 + _u2**2) * (_v1**2 + _v2**2),
        ),
    ),
    argument="ε[t] = Σ_k H_tk y_k with y_k = a_k·Wx_k: H acts on each neuron alone, so the first "
    "bound sums over neurons, the second "
    "over steps. Worst u for H·diag(a) times worst v for W attains both.",
)


def _quadratic(matrix: sp.Matrix, left: sp.Matrix, right: sp.Matrix) -> sp.Expr:
    return sp.expand((left.T * matrix * right)[0, 0])


def _matrix(name: str, rows: int, columns: int) -> sp.Matrix:
    return sp.Matrix(rows, columns, lambda r, c: sp.Symbol(f"{name}_{r + 1}{c + 1}", real=True))


_A, _B, _C, _D = _matrix("A", 2, 2), _matrix("B", 2, 1), _matrix("C", 1, 2), _matrix("D", 1, 1)
_P = sp.Matrix([[sp.Symbol("P_11"), sp.Symbol("P_12")], [sp.Symbol("P_12"), sp.Symbol("P_22")]])
_xi, _omega = _matrix("x", 2, 1), _matrix("w", 1, 1)
_drive: Any = _omega[0, 0]
_state_next, _output = _A * _xi + _B * _omega, _C * _xi + _D * _omega
_form = (
    _quadratic(_A.T * _P * _A - _P + _C.T * _C, _xi, _xi)
    + 2 * _quadratic(_A.T * _P * _B + _C.T * _D, _xi, _omega)
    + _quadratic(_B.T * _P * _B + _D.T * _D - _gamma**2 * sp.eye(1), _omega, _omega)
)
_storage_change = _quadratic(_P, _state_next, _state_next) - _quadratic(_P, _xi, _xi)
_V0, _V1, _V2 = sp.symbols("V_0 V_t V_{t+1}", nonnegative=True)

BOUNDED_REAL = Theorem(
    name="bounded-real",
    title="Bounded real lemma in discrete time",
    statement="If P ⪰ 0 and M = [AᵀPA − P + CᵀC, AᵀPB + CᵀD; ·, BᵀPB + DᵀD − γ²I] ⪯ 0, then x₊ = Ax + Bw, "
    "y = Cx + Dw has ‖y‖₂² ≤ γ²‖w‖₂² + x[0]ᵀPx[0] over every horizon.",
    assumptions=("A, B, C, D constant, or M ⪯ 0 at each step with P_t in place of P and P_{t+1} in AᵀPA",),
    formulas={
        "dissipation": sp.Le(
            sp.Symbol("|y|^2") + sp.Symbol("V_+") - sp.Symbol("V"), _gamma**2 * sp.Symbol("|w|^2")
        )
    },
    steps=(
        Equal(
            "the form of M at (x, w) is ΔV + |y|² − γ²|w|² (written out for two states, one input, one output)",
            _form,
            _storage_change + (_output.T * _output)[0, 0] - _gamma**2 * _drive**2,
        ),
        Equal("the storage telescopes", (_V1 - _V0) + (_V2 - _V1), _V2 - _V0),
        AtLeast("and V ≥ 0 at the end may be dropped", _V2 - _V0, -_V0, _V2),
    ),
    argument="M ⪯ 0 makes |y|² ≤ γ²|w|² − ΔV at each step; sum over the steps.",
)

_change, _price, _budget, _used = sp.symbols("m mu R^2 q", nonnegative=True)
_margin = sp.Symbol("S", real=True)
_distance, _excess, _loss = sp.symbols("d x c", nonnegative=True)

L2_MARGIN = Theorem(
    name="l2-margin",
    title="From an ℓ2 gain to a certified margin",
    statement="First layer, direct coding, ‖δ‖₂ ≤ r: w = Wδ has ‖w‖₂ ≤ R = ‖W‖₂r. Let neuron j "
    "change its train only if "
    "|w_j| ≥ d_j, and then lower the margin by at most c_j ≥ 0. For every μ ≥ 0 the margin falls by at most "
    "μR² + Σ_j max(0, c_j − μd_j²).",
    assumptions=("d_j: distance of the clean current to its nearest breakpoint", "any μ ≥ 0; the least is best"),
    formulas={
        "bound": sp.Le(
            sp.Symbol("loss"),
            _price * sp.Symbol("R") ** 2 + sp.Symbol("sum_j") * sp.Max(0, _loss - _price * _distance**2),
        )
    },
    steps=(
        Equal(
            "price the budget: ΣΔ = (ΣΔ + μΣw²) − μR² + μ(R² − Σw²), with Σw² = R² − q",
            _margin,
            (_margin + _price * (_budget - _used)) - _price * _budget + _price * (_budget - (_budget - _used)),
        ),
        AtLeast(
            "whose last term is not negative",
            (_margin + _price * (_budget - _used)) - _price * _budget + _price * _used,
            (_margin + _price * (_budget - _used)) - _price * _budget,
            _price * _used,
        ),
        AtLeast("an unchanged neuron gives 0 + μw² ≥ 0", _price * w**2, 0, _price * w**2),
        AtLeast(
            "a changed one, |w| = d + x, gives at least −c + μd²",
            -_loss + _price * (_distance + _excess) ** 2,
            -_loss + _price * _distance**2,
            _price * (2 * _distance * _excess + _excess**2),
        ),
    ),
    argument="Weak duality: minimise each neuron's term of the first bracket alone. The least is at least "
    "−max(0, c − μd²), so the sum of all falls by no more than stated.",
    about="exact",
)
