"""The published ℓ2 gain as secondary sources quote it, put to the test."""

from fractions import Fraction

import sympy as sp

from .steps import Equal, T, lam
from .theorem import Refutation, Theorem


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
