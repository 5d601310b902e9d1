"""The rate-code certificate against exact enumeration of all spike trains."""

import itertools
import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert.certify import rate_certificate, rate_radius
from spikecert.certify.smoothing import total_variation
from spikecert.models import LIF, SpikingNetwork, mlp
from support.examples import examples

Trains = list[tuple[int, ...]]


def all_trains(size: int) -> Trains:
    return list(itertools.product((0, 1), repeat=size))


def decisions(network: SpikingNetwork, features: int) -> list[int | None]:
    """Return the network's class on each of the 2^(T·features) spike trains, None for a tie."""
    trains = torch.tensor(all_trains(network.num_steps * features), dtype=torch.float32)
    with torch.no_grad():
        logits = network(trains.unflatten(1, (network.num_steps, features)))
    single = (logits == logits.amax(1, keepdim=True)).sum(1) == 1
    return [int(row.argmax()) if one else None for row, one in zip(logits, single.tolist(), strict=True)]


def probabilities(
    found: list[int | None], rates: tuple[Fraction, ...], steps: int, classes: int
) -> list[Fraction]:
    """Return P[f(S(x)) = c] for each class c, exactly."""
    totals = [Fraction(0)] * classes
    for decision, train in zip(found, all_trains(steps * len(rates)), strict=True):
        if decision is not None:
            chances = (rate if spike else 1 - rate for spike, rate in zip(train, rates * steps, strict=True))
            totals[decision] += math.prod(chances, start=Fraction(1))
    return totals


def random_network(steps: int, features: int, seed: int) -> SpikingNetwork:
    generator = torch.Generator().manual_seed(seed)
    network = mlp((features, 6, 3), num_steps=steps, neuron=LIF(decay=0.8), encoding="none").eval()
    for parameter in network.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator)
    return network


def three_of_four() -> SpikingNetwork:
    """Return the counterexample's decision: class 1 iff at least 3 of 4 spikes of one input are set."""
    first, last = nn.Linear(1, 1), nn.Linear(1, 2)
    network = SpikingNetwork(first, LIF(decay=0.0), last, num_steps=4, encoding="none").eval()
    first.weight.data, first.bias.data = torch.tensor([[2.0]]), torch.tensor([0.0])
    last.weight.data, last.bias.data = torch.tensor([[-1.0], [1.0]]), torch.tensor([0.625, -0.625])
    return network


def ball(rates: tuple[Fraction, ...], radius: Fraction, grid: int) -> list[tuple[Fraction, ...]]:
    """Return points of [0,1]^d at an ℓ1 distance of up to `radius`, on the sphere mostly."""
    found = []
    for shares in itertools.product(range(-grid, grid + 1), repeat=len(rates)):
        weight = sum(map(abs, shares))
        if weight:
            moved = (rate + radius * share / weight for rate, share in zip(rates, shares, strict=True))
            found.append(tuple(min(max(value, Fraction(0)), Fraction(1)) for value in moved))
    return found


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
@pytest.mark.parametrize("features", [1, 2])
def test_no_class_changes_within_the_radius(steps: int, features: int) -> None:
    """Certify with the exact probability, then evaluate the smoothed classifier exactly all around."""
    certified = 0
    for seed in range(6 if features == 1 else 2):
        network = random_network(steps, features, seed)
        found = decisions(network, features)
        for rates in itertools.product((Fraction(1, 20), Fraction(2, 5), Fraction(9, 10)), repeat=features):
            exact = probabilities(found, rates, steps, 3)
            best = max(exact)
            radius = Fraction(rate_radius(float(best) * (1 - 1e-15), steps))
            certified += radius > 0
            for moved in ball(rates, radius, 2) if radius else []:
                there = probabilities(found, moved, steps, 3)
                assert all(
                    there[exact.index(best)] > other for k, other in enumerate(there) if k != exact.index(best)
                )
    assert certified > 10


@pytest.mark.parametrize("draws", [1, 2, 3, 4])
def test_total_variation_bounds_every_event_and_is_attained(draws: int) -> None:
    """Over all trains of 2 features: half the ℓ1 distance of the two distributions, against 1 − (1 − r)^n."""
    for x, y in itertools.product(
        itertools.product((Fraction(0), Fraction(1, 3), Fraction(4, 5)), repeat=2), repeat=2
    ):
        distance = sum((abs(a - b) for a, b in zip(x, y, strict=True)), Fraction(0))
        apart = Fraction(0)
        for train in all_trains(2 * draws):
            chances = [
                math.prod(
                    (r if s else 1 - r for s, r in zip(train, point * draws, strict=True)), start=Fraction(1)
                )
                for point in (x, y)
            ]
            apart += abs(chances[0] - chances[1]) / 2
        assert float(apart) <= total_variation(float(distance), draws) + 1e-12
    silence = 1 - (1 - Fraction(3, 10)) ** draws
    assert total_variation(0.3, draws) == pytest.approx(float(silence), rel=1e-12)


@examples(200)
@given(st.floats(0.0, 1.0), st.integers(1, 40))
def test_the_radius_is_rounded_down_and_the_largest(probability: float, draws: int) -> None:
    radius = Fraction(rate_radius(probability, draws))
    moved = 1 - (1 - radius) ** draws
    margin = Fraction(probability) - Fraction(1, 2)
    assert radius == 0 or moved < margin
    if margin > Fraction(1, 10**6):
        assert 1 - (1 - radius * (1 + Fraction(1, 10**9))) ** draws > margin


def test_the_published_counterexample() -> None:
    """T = 4, a vote of 3 of 4, x = .9: published .448, true .286; ours is sound, .138.

    A certificate that forgets that four draws were averaged (p − ½, right for one draw only) claims a radius in
    which the smoothed classifier's class changes.
    """
    found = decisions(three_of_four(), 1)
    assert found == [1 if sum(train) >= 3 else 0 for train in all_trains(4)]
    x = Fraction(9, 10)
    p = probabilities(found, (x,), 4, 2)[1]
    published = p - Fraction(1, 2)
    assert float(published) == pytest.approx(0.448, abs=5e-4)
    assert rate_radius(float(p), 1) == pytest.approx(float(published), rel=1e-9)

    def says_one(rate: Fraction) -> bool:
        one = probabilities(found, (rate,), 4, 2)
        return one[1] > one[0]

    low, high = Fraction(0), x
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if says_one(middle) else (middle, high)
    true = float(x - high)
    assert true == pytest.approx(0.286, abs=5e-4)
    assert not says_one(x - published)
    sound = rate_radius(float(p), 4)
    assert sound == pytest.approx(0.138, abs=5e-4)
    assert 0 < sound < true < published
    assert says_one(x - Fraction(sound))


def test_the_estimate_of_the_counterexample_is_sound_too() -> None:
    verdicts = rate_certificate(
        three_of_four(), torch.tensor([[0.9], [0.1], [0.61]]), 5000, 0.001, torch.Generator().manual_seed(0)
    )
    assert [verdict.status for verdict in verdicts] == ["certified", "certified", "abstained"]
    assert [verdict.prediction for verdict in verdicts] == [1, 0, None]
    assert 0.12 < verdicts[0].radius < 0.138
    assert verdicts[0].norm == "l1"


def test_averaged_runs_count_as_draws() -> None:
    """With one step a run and four runs a decision, all four draws count, as they do in one run of four steps."""
    network = three_of_four()
    single = SpikingNetwork(*network.layers, num_steps=1, encoding="none").eval()
    arguments = (torch.tensor([[0.9]]), 4000, 0.001)
    (voted,) = rate_certificate(single, *arguments, torch.Generator().manual_seed(0), votes=4)
    (stepped,) = rate_certificate(network, *arguments, torch.Generator().manual_seed(0))
    assert voted.prediction == stepped.prediction == 1
    assert voted.radius == pytest.approx(stepped.radius, abs=0.01)
    assert voted.radius == rate_radius(voted.probability, 4)


def test_spikes_follow_the_rates() -> None:
    """The certified probability of 'at least 3 of 4' bounds its exact value from below, closely."""
    p = 4 * 0.8**3 * 0.2 + 0.8**4
    (verdict,) = rate_certificate(
        three_of_four(), torch.tensor([[0.8]]), 20_000, 0.01, torch.Generator().manual_seed(3)
    )
    assert p - 0.015 < verdict.probability < p


def test_rates_of_zero_and_one_are_certain() -> None:
    seen: list[Tensor] = []
    network = three_of_four()
    network.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0]))
    rate_certificate(network, torch.tensor([[1.0], [0.0]]), 50, 0.1, torch.Generator(), selection=50)
    assert [float(batch.mean()) for batch in seen] == [1.0, 1.0, 0.0, 0.0]
    assert all(batch.shape == (50, 4, 1) for batch in seen)
