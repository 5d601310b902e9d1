"""Steps of a derivation. Each can be checked by sympy alone, and a wrong one raises.

The symbols of the theorems. λ ∈ (0, 1) is 1/(1+m) with m > 0 where sympy must see the sign of 1 − λ.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import sympy as sp


class ProofError(ArithmeticError):
    """A step of a derivation that does not hold."""


@dataclass(frozen=True)
class DerivationStep(ABC):
    """One checkable claim.

    Attributes:
        claim: what the step shows, in words.
    """

    claim: str

    @abstractmethod
    def holds(self) -> bool:
        """Return whether sympy confirms the step."""

    @abstractmethod
    def formula(self) -> sp.Basic:
        """Return the claim as a sympy relation."""

    def check(self) -> None:
        """Raise ProofError unless the step holds."""
        if not self.holds():
            raise ProofError(f"step does not hold: {self.claim}: {self.formula()}")


@dataclass(frozen=True)
class Equal(DerivationStep):
    """left = right, for all values of the symbols."""

    left: Any
    right: Any

    def holds(self) -> bool:
        """Return whether left − right simplifies to 0."""
        return vanishes(sp.sympify(self.left) - sp.sympify(self.right))

    def formula(self) -> sp.Basic:
        """Return left = right."""
        return sp.Eq(sp.sympify(self.left), sp.sympify(self.right), evaluate=False)


@dataclass(frozen=True)
class AtLeast(DerivationStep):
    """left ≥ right, because left − right equals `certificate`, which is nonnegative by its form.

    Its form: sympy's rules of sign decide it (squares of reals, products and sums of nonnegative symbols).
    """

    left: Any
    right: Any
    certificate: Any

    def holds(self) -> bool:
        """Return whether the identity holds and the certificate is a nonnegative form."""
        difference = sp.sympify(self.left) - sp.sympify(self.right) - sp.sympify(self.certificate)
        return vanishes(difference) and sp.sympify(self.certificate).is_nonnegative is True

    def formula(self) -> sp.Basic:
        """Return left − right = certificate."""
        difference = sp.Add(sp.sympify(self.left), -sp.sympify(self.right), evaluate=False)
        return sp.Eq(difference, sp.sympify(self.certificate), evaluate=False)


@dataclass(frozen=True)
class Tends(DerivationStep):
    """expression → value as variable → point."""

    expression: Any
    variable: sp.Symbol
    point: Any
    value: Any

    def holds(self) -> bool:
        """Return whether sympy finds that limit."""
        return vanishes(sp.limit(self.expression, self.variable, self.point) - self.value)

    def formula(self) -> sp.Basic:
        """Return lim expression = value."""
        return sp.Eq(sp.Limit(self.expression, self.variable, self.point), sp.sympify(self.value), evaluate=False)


def vanishes(expression: sp.Expr) -> bool:
    """Return whether `expression` is identically zero, by expansion, trigonometry or simplification."""
    attempts = (
        sp.expand,
        lambda e: sp.expand(sp.expand_trig(e)),
        lambda e: sp.simplify(sp.together(sp.powsimp(sp.expand(e)))),
        lambda e: sp.simplify(sp.expand(e.rewrite(sp.exp), func=True)),
    )
    return any(attempt(expression) == 0 for attempt in attempts)


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
