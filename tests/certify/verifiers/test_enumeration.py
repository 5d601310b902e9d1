"""Small sets, listed: against lists made otherwise, with what rounding leaves open and what is too much."""

import math
import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from spikecert import LIF, LInf, RateDraws, SpikeFlip, SpikingNetwork, mlp, verify
from spikecert.certify.listing import rate_members
from spikecert.certify.verifiers import Complete, Enumeration
from spikecert.models.running.encoding import rate_code
from spikecert.testing import Case, EventCase, cases, event_cases
from support.examples import examples
from support.oracles import every_flip, every_rate, least_margin


def rows(inputs: Tensor) -> list[tuple[float, ...]]:
    return sorted(map(tuple, inputs.double().flatten(1).tolist()))


@given(size=st.integers(1, 5), count=st.integers(0, 6), batch=st.integers(1, 9))
def test_flips_are_listed_each_once(size: int, count: int, batch: int):
    sample = (torch.arange(size) % 2).float().view(size, 1)
    members = SpikeFlip(count).members(sample)
    batches = list(members.batches(batch))
    assert rows(torch.cat(batches)) == rows(every_flip(sample, count))
    assert members.count == sum(map(len, batches))
    assert max(map(len, batches)) <= batch


@examples(40)
@given(seed=st.integers(0, 2**31), steps=st.integers(1, 4), grid=st.booleans(), batch=st.integers(1, 40))
def test_rates_make_each_train_once(seed: int, steps: int, grid: bool, batch: int):
    """Equal draws included, and draws that lie on the ends of the set."""
    generator = torch.Generator().manual_seed(seed)
    draws, sample = torch.rand(steps, 3, generator=generator).double(), torch.rand(3, generator=generator)
    if grid:
        draws, sample = (draws * 4).floor() / 4, (sample * 4).round() / 4
    threat = LInf(0.25)
    members = rate_members(threat, sample, draws)
    found = torch.cat(list(members.batches(batch)))
    ends = threat.enclosure(sample[None])
    assert bool(((found >= ends.lower) & (found <= ends.upper)).all())
    expected = rate_code(every_rate(ends.lower[0], ends.upper[0], draws), draws).unbind(1)
    trains = rows(rate_code(found, draws).transpose(0, 1))
    assert trains == sorted(set(rows(torch.stack(expected))))
    assert members.count == len(trains)


@examples(40)
@given(case=event_cases())
def test_flips_are_decided_as_the_list_says(case: EventCase):
    threat = SpikeFlip(case.count)
    exact = [
        least_margin(case.network, every_flip(events, case.count), label)
        for events, label in zip(case.events, case.labels.tolist(), strict=True)
    ]
    for verdict, least in zip(
        verify(case.network, case.events, case.labels, threat, "enumeration"), exact, strict=True
    ):
        assert verdict.status != "unknown" or "rounding" in verdict.reason
        assert verdict.status != "verified" or 0 < float(verdict.margin or 0) <= least
        assert verdict.status != "falsified" or least <= 0


@examples(40)
@given(case=cases(features=2, most_width=4, most_steps=4, dtypes=(torch.float64,), encodings=("rate",)))
def test_rates_are_decided_as_the_list_says(case: Case):
    ends, threat = LInf(case.epsilon).enclosure(case.inputs), LInf(case.epsilon)
    draws = case.network.draws.thresholds(case.network.num_steps, (2,))
    verdicts = verify(case.network, case.inputs, case.labels, threat, "enumeration")
    for verdict, low, high, label in zip(verdicts, ends.lower, ends.upper, case.labels.tolist(), strict=True):
        least = least_margin(case.network, every_rate(low, high, draws), label)
        assert verdict.status != "unknown" or "rounding" in verdict.reason
        assert verdict.status != "verified" or 0 < float(verdict.margin or 0) <= least
        assert verdict.status != "falsified" or least <= 0


def event_network(steps: int = 25, reset: str = "subtract") -> tuple[SpikingNetwork, Tensor, Tensor]:
    torch.manual_seed(0)
    network = mlp((4, 5, 3), num_steps=steps, neuron=LIF(decay=0.9, reset=reset), encoding="none").eval()
    events = (torch.rand(6, steps, 4) < 0.3).float()
    with torch.no_grad():
        return network, events, network(events).argmax(1)


@pytest.mark.parametrize("verifier", ["enumeration", "complete", "auto"])
def test_a_subtracting_reset_over_25_steps_is_decided(verifier: str):
    network, events, labels = event_network()
    verdicts = verify(network, events, labels, SpikeFlip(1), verifier)
    assert {verdict.status for verdict in verdicts} <= {"verified", "falsified"}
    for verdict, sample, label in zip(verdicts, events, labels.tolist(), strict=True):
        assert (verdict.status == "verified") == (least_margin(network, every_flip(sample, 1), label) > 0)


def test_a_set_that_is_too_large_is_left_alone():
    network, events, labels = event_network()
    (verdict, *_) = verify(network, events, labels, SpikeFlip(1), Enumeration(patience=1000))
    assert (verdict.status, verdict.reason) == ("unknown", "the set has 101 members, above the 0 that are run")
    (verdict, *_) = verify(network, events, labels, SpikeFlip(50), "enumeration")
    assert "the set has 6.8e+29 members" in verdict.reason
    inputs = torch.rand(2, 4)
    (verdict, *_) = verify(mlp((4, 5, 3)).eval(), inputs, torch.tensor([0, 0]), LInf(0.1), "enumeration")
    assert verdict.status != "verified"


def test_the_time_is_kept():
    network, events, labels = event_network()
    started = time.perf_counter()
    verdicts = verify(network, events, labels, SpikeFlip(4), Enumeration(patience=2**60), timeout=0.1)
    assert time.perf_counter() - started < 6.0
    assert all(v.status == "falsified" or "the time was up after" in v.reason for v in verdicts)


def test_a_member_within_the_rounding_error_leaves_the_sample_unknown():
    network, events, labels = event_network(steps=3)
    last = network.layers[-1]
    assert isinstance(last, torch.nn.Linear)
    last.weight.data.zero_()
    last.bias.data.copy_(torch.tensor([0.25, math.nextafter(0.25, 0.0), -1.0]))
    last.bias.data[1] = torch.nextafter(torch.tensor(0.25), torch.tensor(0.0))
    (verdict, *_) = verify(network, events, torch.zeros_like(labels), SpikeFlip(1), "enumeration")
    assert verdict.status == "unknown"
    assert verdict.reason == "13 of 13 members are decided only within the rounding error"


def test_a_tie_that_falls_to_the_label_is_proven_of_counts():
    """Spike counts of a network that never fires are all 0: argmax takes class 0, and nothing else is strict."""
    made = SpikingNetwork(torch.nn.Linear(2, 3), LIF(threshold=1e3), num_steps=3, encoding="none").eval()
    events = (torch.rand(2, 3, 2) < 0.5).float()
    labels = torch.zeros(2, dtype=torch.long)
    for verdict in verify(made, events, labels, SpikeFlip(2), "enumeration", ties="argmax"):
        assert (verdict.status, verdict.margin, verdict.ties) == ("verified", 0.0, "argmax")
        assert "22 members is proven" in verdict.reason
    for ties, label in (("strict", 0), ("argmax", 1)):
        found = verify(made, events, torch.full((2,), label), SpikeFlip(2), "enumeration", ties=ties)
        assert {verdict.status for verdict in found} == {"falsified"}


def test_complete_lists_small_sets_and_searches_others():
    network, events, labels = event_network(steps=4)
    listed = verify(network, events, labels, SpikeFlip(1), Complete())
    searched = verify(network, events, labels, SpikeFlip(1), Complete(enumeration=None))
    assert {verdict.verifier for verdict in listed} == {"complete"}
    assert any("members is proven" in v.reason or "members fails" in v.reason for v in listed)
    for one, other in zip(listed, searched, strict=True):
        assert {one.status, other.status} != {"verified", "falsified"}


def test_draws_may_be_each_samples_own():
    torch.manual_seed(1)
    network = mlp((2, 6, 3), num_steps=4, neuron=LIF(decay=0.9, threshold=0.2), encoding="rate").double().eval()
    own = (torch.rand(5, 4, 2, dtype=torch.float64) * 8).floor() / 8
    network.draws = RateDraws(own.transpose(0, 1))
    inputs, threat = torch.rand(5, 2, dtype=torch.float64), LInf(0.2)
    with torch.no_grad():
        labels = network(inputs).argmax(1)
    for name in ("enumeration", "complete", "trains"):
        found = verify(network, inputs, labels, threat, name)
        ends = threat.enclosure(inputs)
        for index, verdict in enumerate(found):
            alone = SpikingNetwork(
                *network.layers, num_steps=4, encoding="rate", draws=RateDraws(own[index])
            ).eval()
            rates = every_rate(ends.lower[index], ends.upper[index], own[index])
            least = least_margin(alone, rates, int(labels[index]))
            assert verdict.reason.endswith(f"for the given draws ({RateDraws(own[index]).name})")
            assert verdict.status != "verified" or least > 0
            assert verdict.status != "falsified" or least <= 0
            assert name == "trains" or verdict.status != "unknown"
