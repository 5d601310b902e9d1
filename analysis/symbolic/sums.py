"""Theorems on ℓ1, ℓ∞ and ℓ2→ℓ∞ gains, each by induction over time.

Steps of a derivation. Each can be checked by sympy alone, and a wrong one raises.

The symbols of the theorems. λ ∈ (0, 1) is 1/(1+m) with m > 0 where sympy must see the sign of 1 − λ.

Theorems as objects: statement, assumptions, formulas, and a derivation that is replayed on demand.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import sympy as sp

from ...files.errors import SpikecertError


class ProofError(SpikecertError, ArithmeticError):
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


@dataclass(frozen=True)
class Derivation:
    """What `verify` returns for a theorem whose every step holds.

    Attributes:
        theorem: its name.
        claims: the claims that were checked, in order.
    """

    theorem: str
    claims: tuple[str, ...]


@dataclass(frozen=True)
class Refutation:
    """An exact input that a claimed gain does not cover: ‖ε‖² > γ²‖w‖².

    Attributes:
        theorem: the name of the claim.
        decay: λ.
        horizon: T.
        inputs: w.
        outputs: ε.
        ratio: ‖ε‖²/‖w‖², exact.
        claimed: γ², exact, below the ratio.
    """

    theorem: str
    decay: Fraction
    horizon: int
    inputs: tuple[Fraction, ...]
    outputs: tuple[Fraction, ...]
    ratio: Fraction
    claimed: Fraction

    def check(self) -> bool:
        """Run the recursion again in rationals and compare."""
        state, outputs = Fraction(0), []
        for w in self.inputs:
            state = self.decay * state + w
            outputs.append(state)
        ratio = sum((e**2 for e in outputs), Fraction(0)) / sum((w**2 for w in self.inputs), Fraction(0))
        return tuple(outputs) == self.outputs and ratio == self.ratio and bool(ratio > self.claimed)


@dataclass(frozen=True)
class Theorem:
    """A statement about the (simplified) perturbation dynamics, with a derivation that sympy replays.

    Attributes:
        name: by which `theorem(name)` finds it.
        title: a headline.
        statement: the theorem in words and Unicode formulas.
        assumptions: what it needs.
        formulas: its main expressions, by name.
        steps: the derivation.
        argument: how the steps make the proof, in words.
        about: "simplified" for ε, "exact" for the membrane potential of the spiking network.
        refute: for a claim that is false: returns its counterexample.
        corrected: for a false claim: the name of the theorem that replaces it.
    """

    name: str
    title: str
    statement: str
    assumptions: tuple[str, ...]
    formulas: Mapping[str, sp.Basic]
    steps: tuple[DerivationStep, ...]
    argument: str
    about: str = "simplified"
    refute: Callable[[], Refutation] | None = field(default=None, compare=False)
    corrected: str | None = None

    @property
    def status(self) -> str:
        """Return "proved", or "refuted" for a claim that has a counterexample."""
        return "proved" if self.refute is None else "refuted"

    def verify(self) -> Derivation | Refutation:
        """Replay the derivation: check each step with sympy.

        Returns:
            A `Derivation`, or, for a false claim, a `Refutation` that was checked in rationals.

        Raises:
            ProofError: for a step that does not hold.
        """
        for step in self.steps:
            step.check()
        if self.refute is None:
            return Derivation(self.name, tuple(step.claim for step in self.steps))
        found = self.refute()
        if not found.check():
            raise ArithmeticError(f"the counterexample to {self.name} does not replay")
        return found

    def latex(self) -> str:
        """Return statement and derivation in LaTeX, for amsthm's theorem and proof environments."""
        lines = [rf"\begin{{theorem}}[{_escape(self.title)}]", _escape(self.statement)]
        lines += [rf"\[ {sp.latex(formula)} \]" for formula in self.formulas.values()]
        lines += [r"\emph{Assumptions.} " + _escape("; ".join(self.assumptions)) + ".", r"\end{theorem}"]
        lines += [r"\begin{proof}", _escape(self.argument), r"\begin{enumerate}"]
        lines += [rf"\item {_escape(step.claim)}: \( {sp.latex(step.formula())} \)" for step in self.steps]
        return "\n".join([*lines, r"\end{enumerate}", r"\end{proof}"])

    def text(self) -> str:
        """Return statement and derivation as plain text."""
        lines = [f"{self.title} ({self.name}; {self.status})", "", self.statement, ""]
        lines += [f"  {name}:  {sp.sstr(formula)}" for name, formula in self.formulas.items()]
        lines += ["", "Assumptions: " + "; ".join(self.assumptions) + ".", "", self.argument]
        lines += [f"  {k}. {step.claim}:  {sp.sstr(step.formula())}" for k, step in enumerate(self.steps, 1)]
        if self.corrected is not None:
            lines += ["", f"Corrected statement: {self.corrected}"]
        return "\n".join(lines)


_LATEX = {"\\": r"\textbackslash{}", "_": r"\_", "^": r"\^{}", "%": r"\%", "#": r"\#", "&": r"\&"}


def _escape(text: str) -> str:
    """Return text for a Unicode-aware LaTeX."""
    return "".join(_LATEX.get(character, character) for character in text)


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
