"""The symbols of the theorems. λ ∈ (0, 1) is 1/(1+m) with m > 0 where sympy must see the sign of 1 − λ."""

import sympy as sp

m: sp.Symbol = sp.Symbol("m", positive=True)
DECAY = 1 / (1 + m)
"""λ ∈ (0, 1), as a function of m > 0."""

lam: sp.Symbol = sp.Symbol("lambda", nonnegative=True)
theta: sp.Symbol = sp.Symbol("theta", positive=True)
scale: sp.Symbol = sp.Symbol("a", real=True)
w, eps, eps_next = sp.symbols("w epsilon epsilon_+", real=True)
T, t, k, j = sp.symbols("T t k j", integer=True, positive=True)
phi, omega = sp.symbols("phi omega", real=True)


def decays(expression: sp.Basic) -> sp.Basic:
    """Return `expression` with λ = 1/(1+m), for which sympy knows 0 < λ < 1."""
    return expression.subs(lam, DECAY)
