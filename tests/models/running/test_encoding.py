"""The rate code: its draws, its spikes, its gradient, and how a network keeps them.

One event an input, the brighter the earlier.
"""

import math
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from spikecert import SpikeShift, verify
from spikecert.certify import LInf, attack
from spikecert.models import LIF, RateDraws, SpikingNetwork, latency_code, load, mlp, network_hash, save
from spikecert.models.files.description import build, describe
from spikecert.models.running.encoding import rate_code
from support.examples import examples
from support.oracles import every_shift, least_margin


def network(seed: int = 0, steps: int = 5) -> SpikingNetwork:
    torch.manual_seed(2)
    coded = mlp((6, 10, 3), num_steps=steps, neuron=LIF(0.9, threshold=0.3), encoding="rate").eval()
    coded.layers[-1].bias.data.zero_()  # pyright: ignore[reportAttributeAccessIssue, reportCallIssue]
    coded.draws = RateDraws(seed)
    return coded


def rates(count: int = 8) -> Tensor:
    return torch.rand(count, 6, generator=torch.Generator().manual_seed(4))


def test_spikes_are_the_draws_below_the_rate():
    draws = torch.tensor([[0.5, 0.2], [0.1, 0.9]], dtype=torch.float64)
    spikes = rate_code(torch.tensor([[0.5, 0.5], [0.6, 0.0], [2.0, -1.0]]), draws)
    assert spikes.tolist() == [[[0, 1], [1, 0], [1, 0]], [[1, 0], [1, 0], [1, 0]]]


def test_a_rate_of_one_always_spikes_and_of_zero_never():
    draws = RateDraws(2).thresholds(1000, (1,))
    ends = torch.tensor([[0.0], [1.0]])
    assert rate_code(ends, draws).mean((0, 2)).tolist() == [0.0, 1.0]


@pytest.mark.parametrize("source", ["draws", "generator", "training"])
def test_spikes_are_as_frequent_as_the_rate_says(source: str):
    coded = network(steps=20_000).train(source == "training")
    generator = torch.Generator().manual_seed(0) if source == "generator" else None
    torch.manual_seed(7)
    found = coded.encode(rates(2), generator).mean(0)
    assert torch.allclose(found, rates(2), rtol=0, atol=0.02)  # 5 standard deviations


def test_evaluation_meets_the_same_draws_every_time_and_for_every_sample():
    coded, inputs = network(), rates()
    assert coded(inputs).equal(coded(inputs))
    together = coded.encode(inputs)
    assert all(coded.encode(inputs[k : k + 1])[:, 0].equal(together[:, k]) for k in range(len(inputs)))
    torch.manual_seed(99)
    assert coded.encode(inputs).equal(together)
    assert not network(seed=1).encode(inputs).equal(together)


def test_training_draws_afresh_and_follows_the_global_seed():
    coded, inputs = network().train(), rates(1).expand(50, -1)
    torch.manual_seed(3)
    first, second = coded.encode(inputs), coded.encode(inputs)
    torch.manual_seed(3)
    assert coded.encode(inputs).equal(first)
    assert not first.equal(second)
    assert not first[:, 0].equal(first[:, 1])


def test_a_generator_decides_the_spikes_in_either_mode():
    coded, inputs = network(), rates()
    logits = [coded(inputs, torch.Generator().manual_seed(s)) for s in (5, 5, 6)]
    assert logits[0].equal(logits[1])
    assert not logits[0].equal(logits[2])
    trace = coded.trace(inputs, torch.Generator().manual_seed(5))
    assert trace.logits.equal(logits[0])
    assert coded.train()(inputs, torch.Generator().manual_seed(5)).equal(logits[0])


def test_a_rate_code_is_an_event_network_fed_its_spikes():
    coded, inputs = network(), rates()
    events = SpikingNetwork(*coded.layers, num_steps=5, encoding="none").eval()
    assert coded(inputs).equal(events(coded.encode(inputs).transpose(0, 1)))


def test_the_gradient_passes_straight_through():
    coded, inputs = network(), rates().requires_grad_()
    spikes = coded.encode(inputs)
    assert set(spikes.unique().tolist()) == {0.0, 1.0}
    weights = torch.randn(spikes.shape, generator=torch.Generator().manual_seed(2))
    (gradient,) = torch.autograd.grad((spikes * weights).sum(), inputs)
    assert torch.allclose(gradient, weights.sum(0))


def test_an_attack_meets_the_draws_that_evaluation_meets():
    coded, inputs = network(), rates(30)
    labels = coded(inputs).argmax(1)
    found = attack(coded.train(), inputs, labels, LInf(0.3), "pgd")
    assert bool(found.success.any())
    assert torch.allclose(coded.eval()(found.inputs), found.logits, rtol=0, atol=1e-6)


def test_files_and_descriptions_keep_the_draws(tmp_path: Path):
    coded, inputs = network(seed=11), rates()
    assert build(describe(coded)).draws == RateDraws(11)
    save(coded, tmp_path / "coded.safetensors")
    read = load(tmp_path / "coded.safetensors")
    assert read.draws == RateDraws(11)
    assert read(inputs).equal(coded(inputs))
    assert network_hash(read) == network_hash(coded) != network_hash(network(seed=12))


def test_given_draws_decide_the_spikes():
    draws = torch.rand(5, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    coded, inputs = network(), rates()
    coded.draws = RateDraws(draws)
    assert coded.encode(inputs).equal((draws[:, None] < inputs).to(inputs))
    kept = draws.clone()
    draws.zero_()
    assert coded.encode(inputs).equal((kept[:, None] < inputs).to(inputs)), "the draws are a copy"


def test_each_sample_may_have_draws_of_its_own():
    draws = torch.rand(5, 8, 6, generator=torch.Generator().manual_seed(3))
    coded, inputs = network(), rates()
    coded.draws = RateDraws(draws)
    together, logits = coded.encode(inputs), coded(inputs)
    for index in range(8):
        coded.draws = RateDraws(draws[:, index])
        one = inputs[index : index + 1]
        assert coded.encode(one)[:, 0].equal(together[:, index])
        assert torch.allclose(coded(one)[0], logits[index], rtol=0, atol=1e-6)


def test_given_draws_are_equal_iff_their_numbers_are(tmp_path: Path):
    draws = torch.rand(5, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    one, same, other = RateDraws(draws), RateDraws(draws.clone()), RateDraws(draws + 0.001)
    assert (one == same, one == other, one == RateDraws(0)) == (True, False, False)
    assert hash(one) == hash(same)
    assert one.name == same.name != other.name
    assert RateDraws(3).name == "seed 3"
    coded = network()
    coded.draws = one
    save(coded, tmp_path / "coded.safetensors")
    read = load(tmp_path / "coded.safetensors")
    assert read.draws == one
    assert read(rates()).equal(coded(rates()))
    assert network_hash(read) == network_hash(coded) != network_hash(network())


def test_other_encodings_are_described_without_draws():
    assert "seed" not in describe(mlp((4, 3, 2), 3))


def test_one_step_of_one_feature_has_a_draw():
    (draw,) = RateDraws(2).thresholds(1, (1,)).flatten().tolist()
    assert 0 <= draw < 1
    coded = network(steps=1)
    assert coded.encode(rates()).equal((RateDraws(0).thresholds(1, (6,))[0] < rates()).float()[None])


@examples(60)
@given(values=st.lists(st.floats(0, 1, width=32), min_size=1, max_size=5), steps=st.integers(1, 9))
def test_each_input_is_one_event_at_its_step(values: list[float], steps: int):
    events = latency_code(torch.tensor([values]), steps)
    assert events.sum(1).eq(1).all()
    for step, value in zip(events[0].argmax(0).tolist(), values, strict=True):
        exact = (1 - Fraction(value)) * (steps - 1) + Fraction(1, 2)
        assert step == math.floor(exact) or abs(exact - round(exact)) < Fraction(1, 10**9)


def test_the_brighter_the_earlier():
    events = latency_code(torch.linspace(1, 0, 9)[None], 5)
    assert bool((events[0].argmax(0).diff() >= 0).all())
    assert latency_code(torch.ones(1, 2, 3), 4)[0, 0].eq(1).all()


def test_all_shifts_of_a_sum_are_decided():
    torch.manual_seed(3)
    network = mlp((4, 6, 3), num_steps=4, neuron=LIF(0.9, 0.4), encoding="none").eval()
    events, threat = latency_code(torch.rand(6, 4), 4), SpikeShift(None, total=2, merge="add")
    with torch.no_grad():
        labels = network(events).argmax(1)
    for sample, label, verdict in zip(
        events, labels.tolist(), verify(network, events, labels, threat, "enumeration"), strict=True
    ):
        every = every_shift(sample, SpikeShift(2, total=2, merge="add"), torch.ones(4, 4))
        assert (verdict.status == "verified") == (least_margin(network, every, label) > 0)


@pytest.mark.parametrize(
    ("inputs", "steps", "error", "message"),
    [
        (torch.zeros(1, 2).long(), 3, TypeError, "^inputs: got torch.int64"),
        (torch.full((1, 2), 1.5), 3, ValueError, "^inputs: got values outside"),
        (torch.full((1, 2), torch.nan), 3, ValueError, "^inputs: got values outside"),
        (torch.zeros(1, 2), 0, ValueError, "^num_steps: got 0"),
    ],
)
def test_what_is_no_brightness_is_refused(inputs: torch.Tensor, steps: int, error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        latency_code(inputs, steps)
