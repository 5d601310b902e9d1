"""Gaussian smoothing of networks whose smoothed classifier is known in closed form.

The Clopper–Pearson bound against the exact binomial tail.
"""

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from torch import nn

from spikecert.certify import SmoothedVerdict, Verdict, smooth
from spikecert.certify.smoothing import lower_confidence_bound
from spikecert.models import LIF, SpikingNetwork, mlp
from support.examples import examples


def half_line() -> SpikingNetwork:
    """Return a network on one input, λ = 0, T = 1: class 1 iff x ≥ ½, class 0 otherwise."""
    first, last = nn.Linear(1, 1), nn.Linear(1, 2)
    network = SpikingNetwork(first, LIF(decay=0.0), last, num_steps=1).eval()
    first.weight.data, first.bias.data = torch.tensor([[2.0]]), torch.tensor([0.0])
    last.weight.data, last.bias.data = torch.tensor([[-1.0], [1.0]]), torch.tensor([0.5, -0.5])
    return network


def test_radii_stay_below_the_true_distance_and_come_near_it() -> None:
    """The smoothed classifier changes its class at x = ½ exactly: the true radius is |x − ½|."""
    inputs = torch.tensor([[0.8], [0.1], [0.55], [0.5]])
    verdicts = smooth(half_line(), inputs, 0.25, 20_000, 0.001, torch.Generator().manual_seed(0))
    assert [verdict.status for verdict in verdicts] == ["certified", "certified", "certified", "abstained"]
    assert [verdict.prediction for verdict in verdicts] == [1, 0, 1, None]
    for value, verdict in zip(inputs.flatten().tolist(), verdicts, strict=True):
        assert verdict.radius <= abs(value - 0.5) + 1e-6
        if verdict.status == "certified":
            assert verdict.radius >= abs(value - 0.5) - 0.02
            assert verdict.radius == pytest.approx(0.25 * norm.ppf(verdict.probability), rel=1e-9)


def test_statements_are_wrong_at_most_as_often_as_alpha() -> None:
    """300 independent certificates of one sample with α = .1: about 30 exceed the true radius, never 60."""
    inputs = torch.full((300, 1), 0.6)
    verdicts = smooth(half_line(), inputs, 0.25, 300, 0.1, torch.Generator().manual_seed(1))
    too_large = sum(verdict.radius > 0.1 + 1e-7 for verdict in verdicts)
    assert 5 <= too_large <= 50


def test_the_selected_class_does_not_borrow_from_the_bound() -> None:
    """Where every draw is a coin flip, choosing on the counted draws would certify often; this must not."""
    verdicts = smooth(half_line(), torch.full((300, 1), 0.5), 1.0, 25, 0.05, torch.Generator().manual_seed(2))
    assert sum(verdict.status == "certified" for verdict in verdicts) <= 30


def test_ties_vote_for_no_class() -> None:
    network = mlp((2, 3, 2), num_steps=2).eval()
    for parameter in network.parameters():
        parameter.data = torch.zeros_like(parameter)
    (verdict,) = smooth(network, torch.zeros(1, 2), 0.5, 50, 0.01, torch.Generator().manual_seed(0))
    assert verdict.status == "abstained"
    assert verdict.probability == 0.0
    assert verdict.radius == 0.0


def test_it_reproduces_streams_and_reports() -> None:
    inputs, calls = torch.tensor([[0.8], [0.3]]), []
    runs = [
        smooth(
            half_line().train(),
            inputs,
            0.25,
            250,
            0.01,
            torch.Generator().manual_seed(5),
            selection=30,
            batch_size=100,
            progress=lambda label, done, total: calls.append((done, total)),
        )
        for _ in range(2)
    ]
    assert runs[0] == runs[1]
    assert calls[:4] == [(30, 560), (130, 560), (230, 560), (280, 560)]
    assert calls[7] == (560, 560)


def test_its_radius_is_bounded_by_its_samples() -> None:
    """n agreeing draws prove no more than p = α^(1/n)."""
    (verdict,) = smooth(half_line(), torch.tensor([[100.0]]), 0.25, 100, 0.001, torch.Generator().manual_seed(0))
    assert verdict.radius == pytest.approx(0.25 * norm.ppf(math.pow(0.001, 0.01)), rel=1e-9)


def test_a_smoothed_verdict_is_no_verdict() -> None:
    (verdict,) = smooth(half_line(), torch.tensor([[0.9]]), 0.25, 100, 0.01, torch.Generator().manual_seed(0))
    assert isinstance(verdict, SmoothedVerdict)
    assert not isinstance(verdict, Verdict)
    assert verdict.status not in {"verified", "falsified", "unknown"}
    assert verdict.norm == "l2"
    with pytest.raises(AttributeError):
        verdict.radius = 9.0  # pyright: ignore[reportAttributeAccessIssue]


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
