"""Rate codes with given draws against every reachable pattern of input spikes, listed."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from spikecert.certify import L2, LInf, PixelBox, SpikeFlip, verify
from spikecert.certify.bounds.prices.price_search import PriceSearch
from spikecert.certify.bounds.signals.windows import Box
from spikecert.certify.bounds.trains.recurrent import RateTrains, rate_trains
from spikecert.certify.replay import margins
from spikecert.certify.verifiers import INTERVAL, TRAINS, Gain, Linear, MarginVerifier
from spikecert.models import RateDraws
from spikecert.models.running.encoding import rate_code
from spikecert.testing import Case, cases, points
from support.examples import examples
from support.oracles import every_flip, every_rate, least_margin

LINEAR = Linear(PriceSearch(iterations=10))
BOUNDS = [INTERVAL, TRAINS, LINEAR, Gain()]
RATE = ("rate",)


def exact_margins(case: Case) -> list[float]:
    """Return each sample's exact margin over its box: every reachable spike pattern is run."""
    ends = LInf(case.epsilon).enclosure(case.inputs)
    draws = case.network.draws.thresholds(case.network.num_steps, tuple(case.inputs.shape[1:]))
    return [
        least_margin(case.network, every_rate(low, high, draws), label)
        for low, high, label in zip(ends.lower, ends.upper, case.labels.tolist(), strict=True)
    ]


@pytest.mark.parametrize("verifier", BOUNDS, ids=lambda v: v.name)
@examples(100)
@given(
    case=cases(features=2, most_width=4, most_steps=4, dtypes=(torch.float64,), encodings=RATE),
    seed=st.integers(0, 99),
)
def test_bounds_stay_below_the_exact_margin(verifier: MarginVerifier, case: Case, seed: int):
    case.network.draws = RateDraws(seed)
    proven = verifier.margins(case.network, case.inputs, case.labels, LInf(case.epsilon))
    assert bool((proven <= torch.tensor(exact_margins(case), dtype=torch.float64)).all())


@examples(30)
@given(case=cases(features=2, most_width=4, most_steps=4, dtypes=(torch.float64,), encodings=RATE))
def test_auto_never_contradicts_the_list(case: Case):
    for verdict, exact in zip(
        verify(case.network, case.inputs, case.labels, LInf(case.epsilon)), exact_margins(case), strict=True
    ):
        assert verdict.reason.endswith("for the given draws (seed 0)")
        assert verdict.status != "verified" or exact > 0
        assert verdict.status != "falsified" or exact <= 0


@pytest.mark.parametrize("verifier", BOUNDS, ids=lambda v: v.name)
@examples(60)
@given(case=cases(encodings=RATE), seed=st.integers(0, 2**31))
def test_no_rate_escapes(verifier: MarginVerifier, case: Case, seed: int):
    """By sampling, in both dtypes, boxes and balls."""
    generator = torch.Generator().manual_seed(seed)
    ball = L2(case.epsilon)
    drawn = torch.stack([ball.sample(case.inputs, generator) for _ in range(8)])
    radius = torch.full(case.inputs.shape[1:], case.epsilon)
    for threat, candidates in (
        (LInf(case.epsilon), points(case, 12, generator)),
        (PixelBox(radius.double()), points(case, 12, generator)),
        (ball, drawn),
    ):
        lower = verifier.margins(case.network, case.inputs, case.labels, threat)
        with torch.no_grad():
            for candidate in candidates:
                logits = case.network(candidate.to(case.network.dtype)).double()
                assert bool((margins(logits, case.labels) >= lower).all())


@examples(40)
@given(case=cases(features=3, most_width=4, most_steps=3, encodings=RATE), count=st.integers(0, 2))
def test_no_flip_of_certain_rates_escapes(case: Case, count: int):
    """Rates of 0 and 1 never and always spike, whatever the draws."""
    events = case.inputs.round()
    with torch.no_grad():
        labels = case.network(events).argmax(1)
    lower = TRAINS.margins(case.network, events, labels, SpikeFlip(count))
    for sample, label, bound in zip(events, labels.tolist(), lower.tolist(), strict=True):
        assert bound <= least_margin(case.network, every_flip(sample, count), label)


@st.composite
def chains(draw: st.DrawFn) -> tuple[RateTrains, Box, Tensor]:
    """Return the trains of one box (1, features), the box, and the draws (T, features), sometimes equal ones."""
    steps, features = draw(st.integers(1, 5)), 3
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    draws, ends = torch.rand(steps, features, generator=generator), torch.rand(2, features, generator=generator)
    if draw(st.booleans()):
        draws, ends = (draws * 4).floor() / 4, (ends * 4).round() / 4
    ends = ends.double().sort(0).values.unsqueeze(1)
    box = Box(ends[0], ends[1])
    return rate_trains(box, draws.double()), box, draws.double()


def spikes_of(box: Box, draws: Tensor) -> Tensor:
    """Return every reachable pattern of spikes, (T, n, features)."""
    return rate_code(every_rate(box.lower[0], box.upper[0], draws), draws)


@examples(150)
@given(chain=chains(), seed=st.integers(0, 2**31))
def test_sums_over_time_are_exact(chain: tuple[RateTrains, Box, Tensor], seed: int):
    trains, box, draws = chain
    spikes = spikes_of(box, draws)
    rows = torch.randn(4, len(draws), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    found, sums = trains.combine(rows), torch.tensordot(rows, spikes, 1)
    distinct = all(len(column.unique()) == len(column) for column in draws.T)
    for ours, exact, outward in ((found.lower, sums.amin(1), -1), (found.upper, sums.amax(1), 1)):
        assert bool(((ours.squeeze(1) - exact) * outward >= -1e-12).all())
        assert not distinct or torch.allclose(ours.squeeze(1), exact, rtol=0, atol=1e-12)
    steps = trains.steps()
    assert steps.lower.squeeze(1).equal(spikes.amin(1))
    assert steps.upper.squeeze(1).equal(spikes.amax(1))


@examples(100)
@given(chain=chains(), seed=st.integers(0, 2**31))
def test_the_least_cost_is_exact_and_attained(chain: tuple[RateTrains, Box, Tensor], seed: int):
    trains, box, draws = chain
    costs = torch.randn(len(draws), 2, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    value, inputs = trains.least(costs, torch.tensor([0, 0]))
    assert torch.allclose(value, (costs * inputs).sum((0, 2)))
    exact = torch.einsum("tsf,tnf->sn", costs, spikes_of(box, draws)).amin(1)
    assert bool((value <= exact + 1e-12).all())
    if all(len(column.unique()) == len(column) for column in draws.T):
        assert torch.allclose(value, exact, rtol=0, atol=1e-12)


def test_chains_prove_what_single_steps_can_not():
    """One feature, T = 2: a spike at the greater draw implies one at the smaller, so s₂ − s₁ is never 1."""
    trains = rate_trains(
        Box(torch.zeros(1, 1).double(), torch.ones(1, 1).double()), torch.tensor([[0.3], [0.7]]).double()
    )
    assert trains.combine(torch.tensor([[-1.0, 1.0]]).double()).upper.item() == 0.0
    value, _ = trains.least(torch.tensor([[[1.0]], [[-1.0]]]).double(), torch.tensor([0]))
    assert value.item() == 0.0
    assert trains.steps().upper.flatten().tolist() == [1.0, 1.0]
    assert trains.steps().lower.flatten().tolist() == [0.0, 0.0]
