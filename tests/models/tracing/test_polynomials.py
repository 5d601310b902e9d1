"""Polynomials of spikes: their normal form is that of the function, whatever it is written as."""

from fractions import Fraction
from itertools import product

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikecert.models.tracing.polynomials import UNIT, Fractions, ModuleInput, Polynomial, collapsed, exact

SPIKES = 3
INPUT = Polynomial.graded(ModuleInput(None))
small = st.fractions(-2, 2, max_denominator=4)
leaves = st.one_of(st.builds(Polynomial.of, small), st.builds(Polynomial.spike, st.integers(0, SPIKES - 1)))
boolean = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda two: two[0] + two[1]),
        st.tuples(inner, inner).map(lambda two: two[0] * two[1]),
        inner.map(lambda one: Polynomial.of(UNIT) - one),
    ),
    max_leaves=8,
)


def values(signal: Polynomial) -> list[tuple[object, object]]:
    """Return the constant, and the factor of the input, for each state of the spikes."""
    found = []
    for states in product((False, True), repeat=SPIKES):
        settled = signal
        for spike, fires in enumerate(states):
            settled = settled.where(spike, fires)
        found.append((settled.constant, settled.coefficient(ModuleInput(None))))
    return found


@given(boolean, boolean, boolean)
def test_two_are_equal_just_where_they_are_the_same_function(one: Polynomial, other: Polynomial, gate: Polynomial):
    first, second = one + gate * INPUT, other + gate * INPUT
    assert (first == second) == (values(first) == values(second))
    assert first * UNIT == first
    assert first + second - second == first


@given(boolean)
def test_a_spike_is_its_own_square(gate: Polynomial):
    spike = Polynomial.spike(0)
    assert spike * spike * gate == spike * gate
    assert spike * (Polynomial.of(UNIT) - spike) * gate == Polynomial({})


def test_constants_are_what_the_modules_own_type_makes_of_them():
    assert exact(0.9, torch.float32) == Fraction(float(torch.tensor(0.9)))
    assert exact(0.9, torch.float64) == Fraction(0.9)
    numbers = exact(torch.tensor([[0.1, 0.2], [0.1, 0.2]]), torch.float64)
    assert numbers == Fractions((2,), (Fraction(float(torch.tensor(0.1))), Fraction(float(torch.tensor(0.2)))))
    assert numbers - numbers == 0
    assert collapsed(np.array([[Fraction(1)], [Fraction(2)]], dtype=object)) == Fractions(
        (2, 1), (UNIT, Fraction(2))
    )
