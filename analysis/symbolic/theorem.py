"""Theorems as objects: statement, assumptions, formulas, and a derivation that is replayed on demand."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import sympy as sp

from .steps import DerivationStep


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
