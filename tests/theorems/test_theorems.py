"""Every theorem replays, a wrong step raises, the quoted claim is refuted, and formulas agree with the gains.

docs/theory.md is what the theorem objects say.
"""

import dataclasses
import importlib.util
import math
from fractions import Fraction
from pathlib import Path

import pytest
import sympy as sp

from spikecert.analysis import neuron_gain
from spikecert.analysis.symbolic import (
    Derivation,
    ProofError,
    Refutation,
    Theorem,
    counterexample,
    theorem,
    theorems,
)
from spikecert.analysis.symbolic.sums import AtLeast, DerivationStep, Equal, T, Tends, lam, phi

NAMES = [item.name for item in theorems()]


@pytest.mark.parametrize("name", NAMES)
def test_the_derivation_replays(name: str) -> None:
    item = theorem(name)
    result = item.verify()
    assert isinstance(result, Derivation if item.status == "proved" else Refutation)
    if isinstance(result, Derivation):
        assert len(result.claims) == len(item.steps) > 0


@pytest.mark.parametrize("name", NAMES)
def test_each_step_matters(name: str) -> None:
    """A step whose left side is off by one, or whose certificate is, must raise."""
    item = theorem(name)
    for index, step in enumerate(item.steps):
        broken = (*item.steps[:index], wrong(step), *item.steps[index + 1 :])
        with pytest.raises(ProofError, match="step does not hold"):
            dataclasses.replace(item, steps=broken).verify()


def wrong(step: DerivationStep) -> DerivationStep:
    if isinstance(step, Tends):
        return dataclasses.replace(step, value=step.value + 1)
    assert isinstance(step, (Equal, AtLeast))
    return dataclasses.replace(step, left=sp.sympify(step.left) + 1)


def test_an_inequality_needs_a_nonnegative_certificate() -> None:
    x = sp.Symbol("x", real=True)
    with pytest.raises(ProofError):
        AtLeast("x ≥ 0 for every real x", x, 0, x).check()
    with pytest.raises(ProofError):
        AtLeast("x² ≥ 1", x**2, 1, x**2 - 1).check()
    AtLeast("x² + 1 ≥ 1", x**2 + 1, 1, x**2).check()


def test_the_quoted_gain_is_refuted_and_the_corrected_one_stands_beside_it() -> None:
    item = theorem("quoted-l2-gain")
    found = item.verify()
    assert isinstance(found, Refutation)
    assert (found.decay, found.horizon) == (Fraction(1, 2), 3)
    assert found.ratio == Fraction(101, 48)
    assert found.claimed == 2
    assert found.check()
    assert item.corrected is not None
    assert isinstance(theorem(item.corrected).verify(), Derivation)
    assert not dataclasses.replace(found, claimed=Fraction(3)).check()
    assert not dataclasses.replace(found, outputs=found.inputs).check()


@pytest.mark.parametrize(("decay", "shortest"), [("1/2", 3), ("9/10", 6), ("99/100", 18)])
def test_the_quoted_gain_breaks_first_at(decay: str, shortest: int) -> None:
    value = Fraction(decay)
    found = counterexample(value)
    assert found is not None
    assert found.horizon == shortest
    assert counterexample(value, shortest - 1) is None
    assert neuron_gain(float(value), shortest) > math.sqrt(1 / (1 - float(value)))
    assert neuron_gain(float(value), shortest) <= 1 / (1 - float(value))


@pytest.mark.parametrize(
    ("name", "norms"),
    [("linf-gain", ("linf", "linf")), ("l1-gain", ("l1", "l1")), ("l2-linf-gain", ("l2", "linf"))],
)
def test_formulas_agree_with_the_numerical_gains(name: str, norms: tuple[str, str]) -> None:
    formula = theorem(name).formulas["gain"]
    for decay, steps in (("0.5", 8), ("0.99", 5)):
        value = float(formula.args[1].subs({lam: sp.Rational(decay), T: steps}))  # type: ignore[arg-type]
        assert neuron_gain(float(decay), steps, *norms) == pytest.approx(value, rel=1e-12)


def test_the_characteristic_equation_gives_every_singular_value() -> None:
    """The theorem's own formulas: a root in each interval, and the singular value that belongs to it."""
    import numpy as np
    from scipy.optimize import brentq

    decay, steps = 0.8, 6
    formulas = theorem("finite-horizon-l2").formulas
    at = {lam: decay, T: steps}
    equation, norm = formulas["equation"], formulas["norm"].args[1]
    gap = sp.lambdify(phi, (equation.args[0] - equation.args[1]).subs(at))  # type: ignore[operator]
    width = math.pi / (steps + 1)
    roots = [float(brentq(gap, (i + 1e-9) * width, (i + 1) * width)) for i in range(steps)]  # type: ignore[arg-type]
    values = [float(norm.subs({**at, phi: root})) for root in roots]  # type: ignore[arg-type]
    matrix = np.array([[decay ** (r - c) if r >= c else 0.0 for c in range(steps)] for r in range(steps)])
    assert values == pytest.approx(np.linalg.svd(matrix, compute_uv=False))
    assert neuron_gain(decay, steps) == pytest.approx(values[0], rel=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_texts_are_complete(name: str) -> None:
    item = theorem(name)
    assert item.latex().count(r"\begin{") == item.latex().count(r"\end{") == 3
    assert all(step.claim in item.text() for step in item.steps)
    assert item.statement in item.text()
    assert item.about in ("simplified", "exact")


def test_names_are_unique_and_an_unknown_one_raises() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert all(isinstance(item, Theorem) for item in theorems())
    with pytest.raises(ValueError, match=r"^name: got 'banach', expected one of perturbation-identity"):
        theorem("banach")


DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("make_theory", DOCS / "make_theory.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = (DOCS / "theory.md").read_text(encoding="utf-8")
    assert page == module.page(), "run: python docs/make_theory.py"
    assert all(item.statement in page for item in theorems())
