"""The Clopper–Pearson bound against the exact binomial tail."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikecert.certify.smoothing import lower_confidence_bound
from support.examples import examples


def tail(successes: int, samples: int, probability: Fraction) -> Fraction:
    """Return P[Binomial(samples, p) ≥ successes], exactly."""
    return sum(
        (
            math.comb(samples, k) * probability**k * (1 - probability) ** (samples - k)
            for k in range(successes, samples + 1)
        ),
        Fraction(0),
    )


@examples(80)
@given(st.integers(1, 40), st.integers(0, 40), st.sampled_from([0.5, 0.1, 0.05, 0.001, 1e-6]))
def test_the_tail_at_the_bound_is_alpha(samples: int, successes: int, alpha: float) -> None:
    successes = min(successes, samples)
    bound = lower_confidence_bound(successes, samples, alpha)
    assert 0 <= bound <= successes / samples
    if successes:
        assert tail(successes, samples, Fraction(bound)) <= Fraction(alpha) * (1 + Fraction(1, 10**12))
        assert tail(successes, samples, Fraction(bound * (1 + 1e-9))) > Fraction(alpha)


def test_all_successes_give_the_root_of_alpha() -> None:
    assert lower_confidence_bound(50, 50, 0.01) == pytest.approx(0.01 ** (1 / 50), rel=1e-12)


def test_it_covers_as_often_as_it_says() -> None:
    """Summed over all outcomes of Binomial(30, p), the bound exceeds p with probability at most α."""
    bounds = [lower_confidence_bound(k, 30, 0.05) for k in range(31)]
    for percent in range(5, 100, 5):
        p = Fraction(percent, 100)
        wrong = sum(
            (math.comb(30, k) * p**k * (1 - p) ** (30 - k) for k in range(31) if bounds[k] > p), Fraction(0)
        )
        assert wrong <= Fraction(5, 100)
