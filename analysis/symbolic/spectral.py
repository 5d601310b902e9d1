"""Theorems on ℓ2 gains: transfer function, H∞ norm, Lyapunov proof, the exact finite-horizon norm, its inverse.

The published ℓ2 gain as secondary sources quote it, put to the test.
"""

from fractions import Fraction

import sympy as sp

from .sums import DECAY, AtLeast, Equal, Refutation, T, Tends, Theorem, decays, eps, j, lam, m, omega, phi, t, w

_z = sp.Symbol("z")
_transfer = _z / (_z - lam)
_denominator = 1 + lam**2 - 2 * lam * sp.cos(omega)

TRANSFER_FUNCTION = Theorem(
    name="transfer-function",
    title="Transfer function and H∞ norm of the simplified dynamics",
    statement="The transfer function from w to ε is G(z) = z/(z − λ), with |G(e^{iω})|² = 1/(1 + λ² − 2λ cos ω), "
    "greatest at ω = 0: ‖G‖_∞ = 1/(1 − λ).",
    assumptions=("0 ≤ λ < 1",),
    formulas={
        "G": sp.Eq(sp.Symbol("G"), _transfer),
        "gain": sp.Eq(sp.Symbol("|G|^2"), 1 / _denominator),
        "norm": sp.Eq(sp.Symbol("|G|_oo"), 1 / (1 - lam)),
    },
    steps=(
        Equal("E = λz⁻¹E + W is solved by E = G·W", lam / _z * _transfer + 1, _transfer),
        Equal("|e^{iω} − λ|² on the unit circle", (sp.cos(omega) - lam) ** 2 + sp.sin(omega) ** 2, _denominator),
        AtLeast(
            "the denominator is least at ω = 0",
            decays(_denominator),
            decays((1 - lam) ** 2),
            4 * DECAY * sp.sin(omega / 2) ** 2,
        ),
        Equal("its value there is (1 − λ)²", _denominator.subs(omega, 0), (1 - lam) ** 2),
    ),
    argument="The z-transform of the recursion; |z| = 1 in the numerator; the greatest |G| is at the "
    "least denominator.",
)

_q = 1 / (1 - lam)
_supply = w**2 / (1 - lam) ** 2
_next = lam * eps + w
_store, _store_next, _store_first = sp.symbols("V_t V_{t+1} V_0", real=True)
_level = sp.Symbol("p", nonnegative=True)
_fading = sp.Symbol("L", nonnegative=True)  # L = λ^T
_gap = sp.Symbol("n", nonnegative=True)  # 1 − λ^T

INFINITE_L2 = Theorem(
    name="infinite-horizon-l2",
    title="ℓ2 gain by a Lyapunov function",
    statement="Σ_t ε[t]² ≤ Σ_t w[t]²/(1−λ)² + λ/(1−λ)·ε[0]² for every horizon, and ‖ε‖₂ ≤ ‖w‖₂/(1−λ) + "
    "|λε[0]|/√(1−λ²). The gain 1/(1−λ) is sharp.",
    assumptions=("0 ≤ λ < 1",),
    formulas={
        "gain": sp.Eq(sp.Symbol("gamma"), 1 / (1 - lam)),
        "bias": sp.Eq(sp.Symbol("beta"), lam * sp.Symbol("|epsilon_0|") / sp.sqrt(1 - lam**2)),
    },
    steps=(
        AtLeast(
            "dissipation with V = λ/(1−λ)·ε²: γ²w² − ε₊² ≥ V₊ − V",
            decays(_supply - _next**2),
            decays((_q - 1) * _next**2 - (_q - 1) * eps**2),
            decays(lam * (eps - w / (1 - lam)) ** 2),
        ),
        Equal(
            "the storage telescopes", (_store - _store_first) + (_store_next - _store), _store_next - _store_first
        ),
        Equal(
            "the free response λ^t·ε[0] has Σ_{t=1}^{T} λ^{2t} = λ²(1−λ^{2T})/(1−λ²) (step of the induction)",
            lam**2 * (1 - lam ** (2 * T)) / (1 - lam**2) + lam ** (2 * T + 2),
            lam**2 * (1 - lam ** (2 * T + 2)) / (1 - lam**2),
        ),
        Equal(
            "w = 1 gives ε[t] = (1−λ^t)/(1−λ)",
            lam * (1 - lam**t) / (1 - lam) + 1,
            (1 - lam ** (t + 1)) / (1 - lam),
        ),
        Equal(
            "Σ_{t≤T}(1−λ^t)² = T − 2λ(1−λ^T)/(1−λ) + λ²(1−λ^{2T})/(1−λ²) (step of the induction)",
            -2 * lam * (1 - lam**T) / (1 - lam)
            + lam**2 * (1 - lam ** (2 * T)) / (1 - lam**2)
            + 1
            + (1 - lam ** (T + 1)) ** 2
            - 1,
            1 - 2 * lam * (1 - lam ** (T + 1)) / (1 - lam) + lam**2 * (1 - lam ** (2 * T + 2)) / (1 - lam**2),
        ),
        AtLeast(
            "so the ratio of w = 1, times (1−λ)², is at least 1 − 2λ/((1−λ)T), with L = λ^T = 1 − n",
            decays(
                1 - 2 * lam * (1 - _fading) / ((1 - lam) * T) + lam**2 * _gap * (1 + _fading) / ((1 - lam**2) * T)
            ),
            decays(1 - 2 * lam / ((1 - lam) * T)),
            2 * _fading / (m * T) + _gap * (1 + _fading) / (m * (m + 2) * T),
        ),
        Tends("which tends to 1: sharp", decays(1 - 2 * lam / ((1 - lam) * T)), T, sp.oo, 1),
    ),
    argument="Sum the dissipation inequality over t; V ≥ 0 at the end. By linearity the response to "
    "ε[0] adds, whose norm is "
    "the bias. A constant w shows that no smaller gain holds for all horizons.",
)

_mu = 1 + lam**2 - 2 * lam * sp.cos(phi)


def _vector(index: sp.Expr) -> sp.Expr:
    return sp.sin((T + 1 - index) * phi)


_characteristic = sp.sin((T + 1) * phi) - lam * sp.sin(T * phi)
_node = sp.pi * j / (T + 1)

FINITE_L2 = Theorem(
    name="finite-horizon-l2",
    title="Exact ℓ2 gain over T steps",
    statement="H[t,k] = λ^{t−k} (k ≤ t ≤ T) has the singular values (1 + λ² − 2λ cos φ_i)^{−1/2}, "
    "where φ_1 < … < φ_T are the "
    "roots of sin((T+1)φ) = λ sin(Tφ) in (0, π), one in each ((i−1)π/(T+1), iπ/(T+1)). So σ_max(H) "
    "belongs to φ_1; "
    "for λ = 1, φ_1 = π/(2T+1) and σ_max = 1/(2 sin(φ_1/2)).",
    assumptions=("0 < λ ≤ 1", "T ≥ 1"),
    formulas={
        "equation": sp.Eq(sp.sin((T + 1) * phi), lam * sp.sin(T * phi)),
        "norm": sp.Eq(sp.Symbol("sigma_max"), 1 / sp.sqrt(_mu)),
    },
    steps=(
        Equal(
            "H⁻¹ = B = I − λS: column k of BH is 1 at t = k and λ^{t−k} − λ·λ^{t−1−k} = 0 below",
            lam ** (t - 1) - lam * lam ** (t - 2),
            0,
        ),
        Equal(
            "BBᵀ has 1 + λ² inside, 1 first, −λ beside: interior rows of BBᵀx = μx for x_t = sin((T+1−t)φ)",
            (1 + lam**2) * _vector(t) - lam * (_vector(t - 1) + _vector(t + 1)),
            _mu * _vector(t),
        ),
        Equal("the last row needs x_{T+1} = 0", _vector(T + 1), 0),
        Equal(
            "the first row, x_1 − λx_2 = μx_1, fails by λ times the characteristic equation",
            _vector(sp.Integer(1)) - lam * _vector(sp.Integer(2)) - _mu * _vector(sp.Integer(1)),
            lam * _characteristic,
        ),
        Equal("at jπ/(T+1) the first term vanishes", sp.sin((T + 1) * _node), 0),
        Equal(
            "and Tjπ/(T+1) = jπ − jπ/(T+1), whose sine is −(−1)^j sin(jπ/(T+1)): so the equation's "
            "sign is (−1)^j there",
            sp.expand_trig(sp.sin(sp.pi * j - phi)),
            -((-1) ** j) * sp.sin(phi),
        ),
        Tends(
            "near 0 it is positive: it grows like (T+1−λT)φ",
            sp.diff(_characteristic, phi),
            phi,
            0,
            T + 1 - lam * T,
        ),
        AtLeast("T + 1 − λT > 0 for λ ≤ 1, with λ = 1/(1+m)", decays(T + 1 - lam * T), 1, T * m / (1 + m)),
        Equal(
            "μ grows with φ on (0, π): its derivative is 2λ sin φ > 0", sp.diff(_mu, phi), 2 * lam * sp.sin(phi)
        ),
        Equal(
            "λ = 1: φ = π/(2T+1) is a root, as (T+1)φ = π − Tφ",
            sp.sin(sp.pi - T * sp.pi / (2 * T + 1)) - sp.sin(T * sp.pi / (2 * T + 1)),
            0,
        ),
        Equal("λ = 1: μ = 4 sin²(φ/2)", (2 - 2 * sp.cos(phi)), 4 * sp.sin(phi / 2) ** 2),
    ),
    argument="The signs (+ at 0, (−1)^j at jπ/(T+1)) give one root in each of T intervals, hence T "
    "different eigenvalues μ_i of "
    "BBᵀ: all of them. σ(H) = μ^{−1/2}, greatest at the least φ.",
)

_x, _y = sp.symbols("x y", real=True)

LOSS_LINK = Theorem(
    name="loss-link",
    title="σ_min and the two-sided link between the MS-MPPD loss and the perturbation of the input",
    statement="‖w‖₂/(1+λ) ≤ ‖ε‖₂ ≤ σ_max(H)·‖w‖₂. So σ_min(H) ≥ 1/(1+λ), and the MS-MPPD loss, the mean of ε², is "
    "between mean(w²)/(1+λ)² and σ_max(H)²·mean(w²): it is small exactly when the perturbation of the current is.",
    assumptions=("0 ≤ λ ≤ 1", "ε[0] = 0"),
    formulas={"lower": sp.Ge(sp.Symbol("sigma_min"), 1 / (1 + lam))},
    steps=(
        Equal("w is ε[t] − λε[t−1]", _next - lam * eps, w),
        AtLeast(
            "(ε[t] − λε[t−1])² ≤ (1+λ)(ε[t]² + λε[t−1]²)",
            (1 + lam) * (_x**2 + lam * _y**2),
            (_x - lam * _y) ** 2,
            lam * (_x + _y) ** 2,
        ),
        Equal(
            "summed over t, each ε[t]² comes at most once as ε[t] and once as ε[t−1]",
            (1 + lam) * (_x**2 + lam * _x**2),
            (1 + lam) ** 2 * _x**2,
        ),
    ),
    argument="Sum the second step over t = 1..T with ε[0] = 0: ‖w‖² ≤ (1+λ)²‖ε‖². The upper half is "
    "finite-horizon-l2.",
)


def counterexample(decay: Fraction, longest: int = 1000) -> Refutation | None:
    """Return the shortest constant input that breaks γ² = 1/(1−λ), exactly, or None up to T = longest.

    Args:
        decay: λ, rational, in [0, 1).
        longest: the last horizon to try.
    """
    claimed = 1 / (1 - decay)
    state, outputs, energy = Fraction(0), [], Fraction(0)
    for horizon in range(1, longest + 1):
        state = decay * state + 1
        outputs.append(state)
        energy += state**2
        if energy > claimed * horizon:
            ones = (Fraction(1),) * horizon
            return Refutation(QUOTED, decay, horizon, ones, tuple(outputs), energy / horizon, claimed)
    return None


def _refute() -> Refutation:
    found = counterexample(Fraction(1, 2))
    if found is None:
        raise ArithmeticError("no counterexample was found where one is known")
    return found


QUOTED = "quoted-l2-gain"
_response = (1 - lam**T) / (1 - lam)

QUOTED_L2_GAIN = Theorem(
    name=QUOTED,
    title="The published ℓ2 gain, as quoted",
    statement="Theorem 3.1 of the paper, as quoted verbatim in secondary notes: “γ[l] = sqrt(1/(1−λ)) ∥W[l]∥ and "
    "β[l] = 0”, that is ‖ε‖₂ ≤ √(1/(1−λ))·‖W‖₂·‖Δs‖₂ for every horizon, with bias 0. The paper itself was not "
    "seen. As quoted it is false for ε[t] = λε[t−1] + w[t]: a constant w breaks it "
    "from T = 3 (λ = 1/2), "
    "T = 6 (λ = 9/10), T = 18 (λ = 99/100). The sharp gain is ‖W‖₂/(1−λ).",
    assumptions=("0 < λ < 1",),
    formulas={
        "claimed": sp.Eq(sp.Symbol("gamma"), sp.sqrt(1 / (1 - lam))),
        "correct": sp.Eq(sp.Symbol("gamma"), 1 / (1 - lam)),
    },
    steps=(
        Equal("w = 1 gives ε[T] = (1−λ^T)/(1−λ)", lam * _response + 1, _response.subs(T, T + 1)),
        Equal(
            "λ = 1/2, T = 3: Σε² = 1 + 9/4 + 49/16",
            sum(_response.subs(lam, sp.Rational(1, 2)).subs(T, n) ** 2 for n in (1, 2, 3)),
            sp.Rational(101, 16),
        ),
        Equal(
            "the ratio 101/48 exceeds the claimed 1/(1−λ) = 2 by 5/48",
            sp.Rational(101, 16) / 3 - 2,
            sp.Rational(5, 48),
        ),
    ),
    argument="One exact input suffices.",
    refute=_refute,
    corrected="infinite-horizon-l2",
)
