"""Theorems on a plant x⁺ = Ax + Bu whose controller spikes: what can be had, and what one number decides.

A, B, K and the like are matrices: symbols that do not commute.
"""

from typing import Any

import sympy as sp

from .sums import DECAY, AtLeast, Equal, Tends, Theorem, k, m

_A, _B, _K, _M, _L = (sp.Symbol(name, commutative=False) for name in ("A", "B", "K", "M", "Lambda"))
_x, _rest, _offset, _error, _u = (sp.Symbol(name, commutative=False) for name in ("x", "x_s", "k_0", "e", "u_c"))
_v, _next = (sp.Symbol(name, commutative=False) for name in ("v", "v_+"))
_closed = _A + _B * _K
_size, _start, _gain, _later = sp.symbols("z sigma g g_later", nonnegative=True)
_most, _less, _room = sp.symbols("e f d", nonnegative=True)
_range, _steps, _xi = sp.Symbol("ubar", positive=True), sp.Symbol("T", positive=True), sp.Symbol("xi", real=True)
_before, _behind = sp.symbols("v_0 v_1", real=True)
_low, _high = sp.symbols("p q", nonnegative=True)
_count: Any = _before + _steps * (1 + _xi) / 2 - _behind
_half = sp.Rational(1, 2)

NO_LIMIT_POINT = Theorem(
    name="no-limit-point",
    title="No spiking controller makes an unstable plant converge",
    statement="Let u take finitely many values, as spikes do, each on a set of states, and let A be invertible "
    "with an eigenvalue outside the closed unit disc. Then the states from which x⁺ = Ax + Bu(x) converges to any "
    "point have measure zero. So only practical stability is there to be proven.",
    assumptions=("direct code, membranes that start anew at each control step", "T finite"),
    formulas={"near a limit": sp.Eq(sp.Symbol("x_+") - sp.Symbol("x_s"), _A * (_x - _rest), evaluate=False)},
    steps=(
        Equal(
            "with Bu_c = x_s − A x_s a step is linear about x_s",
            _A * _x + (_rest - _A * _rest) - _rest,
            _A * (_x - _rest),
        ),
        Equal("k steps of it are A^k", _A * _A**k, _A ** (k + 1)),
        AtLeast(
            "along an eigenvalue of modulus 1 + m, m > 0, a distance z does not shrink",
            (1 + m) * _size,
            _size,
            m * _size,
        ),
    ),
    argument="If x_k → x_s, a value u_c that occurs infinitely often has Bu_c = lim(x_{k+1} − A x_k) = x_s − A "
    "x_s, and the others end. From then on x_k − x_s is multiplied by A, so it lies in A's "
    "contracting subspace, which is a proper one. The x_s of a value are one point, or an affine "
    "family along A's eigenvalue 1: with it the subspace is still proper, since the unstable "
    "direction is in neither. So it is a null set; its images under the inverses of the finitely many "
    "maps x → Ax + Bu_c are null, and so is their countable union.",
    about="exact",
)

ERROR_GAIN = Theorem(
    name="error-gain",
    title="One number closes a loop for all time",
    statement="Let ē = max over the box |x_i| ≤ r_i of |u(x) − Kx − k_0|, M = A + BK stable, "
    "g_i = Σ_k |M^k B|_i and (I − M)x_s = Bk_0. If |M^k(x_0 − x_s)|_i + |x_s|_i + ē·g_i ≤ r_i for all k and i, "
    "then x_k stays in the box for ever, and limsup |x_k − x_s|_i ≤ ē·g_i.",
    assumptions=("M stable", "ē a proven output range of the network"),
    formulas={"run": sp.Eq(sp.Symbol("x_+") - sp.Symbol("x_s"), _closed * (_x - _rest) + _B * _error)},
    steps=(
        Equal(
            "u = Kx + k_0 + e, with Bk_0 = x_s − M x_s, is a stable system about x_s driven by e",
            _A * _x + _B * (_K * _x + _error) + (_rest - _closed * _rest) - _rest,
            _closed * (_x - _rest) + _B * _error,
        ),
        Equal(
            "M takes what e did j steps ago one step on", _M * (_M**k * _B * _error), _M ** (k + 1) * _B * _error
        ),
        AtLeast(
            "so a state is inside r = σ + (g + g_later)·ē + d, with |e| = e ≤ ē = e + f and σ the start's part",
            _start + (_gain + _later) * (_most + _less) + _room,
            _start + _gain * _most,
            _gain * _less + _later * (_most + _less) + _room,
        ),
        Tends("what the start left fades", DECAY**k, k, sp.oo, 0),
    ),
    argument="Induction: while x_0 … x_k lie in the box, all errors so far are at most ē, and x_{k+1} lies in it. "
    "Nothing is asked of the network but ē: no slope, and none exists, since u jumps. The argument begins anew in "
    "the limit set, with the smaller ē of that.",
    about="exact",
)

KEPT_MEMBRANES = Theorem(
    name="kept-membranes",
    title="Membranes that are kept shape their own error",
    statement="One neuron an input, λ = 1, threshold 1 that its spikes take away, current (1 + ξ)/2 with "
    "ξ = Kx/ū, u = ū(2N/T − 1), N of the T steps spike, and the membrane v is kept. While |ξ| ≤ 1: v stays in "
    "[0, 1], u = Kx + Λ(v − v⁺) with Λ = 2ū/T, and w = x + BΛ(v − ½) obeys w⁺ = Mw + (I − M)BΛ(v − ½).",
    assumptions=("|ξ| ≤ 1", "v[0] in [0, 1]"),
    formulas={"w": sp.Eq(sp.Symbol("w_+"), _closed * (_x + _B * _L * _v) + (1 - _closed) * _B * _L * _v)},
    steps=(
        AtLeast(
            "a spike leaves at most 1: v = 1 − p and a current of 1 − q",
            1,
            (1 - _low) + (1 - _high) - 1,
            _low + _high,
        ),
        Equal(
            "N = v + T(1 + ξ)/2 − v⁺ makes u what is asked, and a difference of membranes",
            _range * (2 * _count / _steps - 1),
            _range * _xi + 2 * _range / _steps * (_before - _behind),
        ),
        Equal("centring changes no difference", (_before - _half) - (_behind - _half), _before - _behind),
        Equal(
            "in w the next membrane cancels",
            _A * _x + _B * (_K * _x + _L * (_v - _next)) + _B * _L * _next,
            _closed * (_x + _B * _L * _v) + (1 - _closed) * _B * _L * _v,
        ),
    ),
    argument="Currents lie in [0, 1], so without a spike v + I < 1, and with one 1 ≤ v + I ≤ 2. What one "
    "control step leaves, the next one gives: the error is a total variation, Σ|M^k(I − M)B|, where that of "
    "membranes which start anew is an integral, Σ|M^k B|.",
    about="exact",
)
