"""Polynomials of spikes: their normal form is that of the function, whatever it is written as."""

from fractions import Fraction
from itertools import product

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikecert.models.tracing.operations.arithmetic import mapped
from spikecert.models.tracing.polynomials import (
    UNIT,
    ApartSpike,
    Fractions,
    ModuleInput,
    Polynomial,
    collapsed,
    exact,
)
from spikecert.models.tracing.rests import is_rest

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


ATOMS = 4
apart = st.lists(st.sets(st.integers(0, ATOMS - 1)), min_size=ATOMS, max_size=ATOMS)
"""Of each spike, which earlier ones it never fires with."""


@given(apart, st.data())
def test_spikes_that_never_fire_together_have_no_product(others: list[set[int]], data: st.DataObject):
    """Each polynomial is the same function of the states that there are, whatever it was made by."""
    besides = [frozenset(each for each in own if each < place) for place, own in enumerate(others)]
    spikes = [Polynomial.spike(ApartSpike.of(place, own) if own else place) for place, own in enumerate(besides)]
    states = [
        state
        for state in product((0, 1), repeat=ATOMS)
        if not any(state[one] and state[two] for one, own in enumerate(besides) for two in own)
    ]

    def at(signal: Polynomial, state: tuple[int, ...]) -> Fraction:
        found = Fraction(0)
        for (own, _), number in signal.terms.items():
            found += number * all(state[spike] for spike in own)  # type: ignore[operator]
        return found

    def drawn() -> Polynomial:
        terms = data.draw(
            st.lists(st.tuples(small, st.integers(0, ATOMS - 1), st.integers(0, ATOMS - 1)), max_size=4)
        )
        found = Polynomial.of(data.draw(small))
        for number, one, other in terms:
            found = found + spikes[one] * spikes[other] * number
        return found

    first, second, place = drawn(), drawn(), data.draw(st.integers(0, ATOMS - 1))
    for state in states:
        assert at(first * second, state) == at(first, state) * at(second, state)
        assert at(first.where(place, bool(state[place])), state) == at(first, state)
        assert at(mapped(first, lambda value: value * value), state) == at(first, state) ** 2
    if first.exclusive:
        assert {at(first, state) for state in states} <= first.values()
        assert all(len(own) <= 1 for own, _ in first.terms)
    assert first.boolean == (first.values() <= {0, 1})
    assert not first.boolean or all(at(first, state) in (0, 1) for state in states)


def test_a_sum_is_exclusive_where_one_fires_at_most():
    one, two = Polynomial.spike(0), Polynomial.spike(ApartSpike.of(1, frozenset({0})))
    three = Polynomial.spike(ApartSpike.of(2, frozenset({1})))
    assert (one + two).exclusive
    assert not (one + two + three).exclusive
    assert not (one + Polynomial.spike(5)).exclusive
    assert (one + two).boolean
    assert one * two == Polynomial({})
    assert one * three != Polynomial({})


def test_a_mask_of_a_rest_is_a_sum_of_spikes_one_of_which_fires_at_most():
    one, two = Polynomial.spike(0), Polynomial.spike(ApartSpike.of(1, frozenset({0})))
    assert is_rest(one)
    assert is_rest(one + two)
    assert not is_rest(one + Polynomial.spike(5))
    assert not is_rest(one * Fraction(2) + two)
    assert not is_rest(Polynomial.of(UNIT) - one)
    assert not is_rest(Polynomial({}))
