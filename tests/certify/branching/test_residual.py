"""The complete verifier on residual sums: where their parts start from spikes the first layer decides them."""

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from spikecert import L2, LIF, LInf, SpikeFlip, SpikingNetwork, attack, verify, wrn16_4
from spikecert.certify.branching.bounding import Climb
from spikecert.certify.branching.question import MarginQuestion
from spikecert.certify.branching.search import Search
from spikecert.certify.replay import margins
from spikecert.certify.verifiers import TRAINS, Complete
from spikecert.models import Residual
from spikecert.testing import Case, inputs, points, residual_networks
from support.examples import by_night, examples
from support.oracles import every_flip, least_margin, line_margin

QUICK = Complete(Search(batch=64, start=Climb(10), climb=Climb(5)))
RADII = st.sampled_from([0.0, 0.05, 0.2, 0.25, 1.0])


def own_labels(network: SpikingNetwork, batch: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return network(batch).argmax(1)


def case_of(data: st.DataObject, network: SpikingNetwork) -> Case:
    batch = data.draw(inputs(network))
    return Case(network, batch, own_labels(network, batch), data.draw(RADII))


def check_against_the_line(data: st.DataObject, most_width: int) -> None:
    """Decide every sample of a network with one input, and compare with the exact margin over its interval."""
    drawn = residual_networks(features=1, most_width=most_width, dtypes=(torch.float64,), encodings=("direct",))
    case = case_of(data, data.draw(drawn))
    found = verify(case.network, case.inputs, case.labels, LInf(case.epsilon), QUICK)
    for verdict, sample, label in zip(found, case.inputs[:, 0].tolist(), case.labels.tolist(), strict=True):
        low, high = max(sample - case.epsilon, 0.0), min(sample + case.epsilon, 1.0)
        if verdict.status == "verified":
            assert verdict.margin is not None
            assert line_margin(case.network, low, high, label) >= verdict.margin - 1e-9
        if verdict.status == "unknown":
            assert "rounding" in verdict.reason or "replay" in verdict.reason, "only a tie may stay open"


@examples(100)
@given(data=st.data())
def test_decides_as_the_line_oracle_does(data: st.DataObject):
    check_against_the_line(data, 5)


@pytest.mark.slow
@settings(max_examples=5_000, deadline=None)
@given(data=st.data())
def test_five_thousand_networks_are_decided_as_the_line_oracle_does(data: st.DataObject):
    check_against_the_line(data, 6)


@examples(40)
@given(data=st.data(), seed=st.integers(0, 2**31))
def test_no_input_falls_in_a_verified_set(data: st.DataObject, seed: int):
    case = case_of(data, data.draw(residual_networks()))
    found = verify(case.network, case.inputs, case.labels, LInf(case.epsilon), QUICK, timeout=0.2)
    with torch.no_grad():
        candidates = points(case, 60, torch.Generator().manual_seed(seed))
        least = torch.stack([margins(case.network(x).double(), case.labels) for x in candidates]).amin(0)
    for index, verdict in enumerate(found):
        if verdict.margin is not None:
            assert float(least[index]) >= verdict.margin
        if verdict.counterexample is not None:
            logits = case.network(verdict.counterexample[None])
            assert bool(margins(logits, case.labels[index : index + 1]) <= 0)


def residual_network(seed: int, **settings: object) -> tuple[SpikingNetwork, torch.Tensor, torch.Tensor]:
    """Return a network of two sums, whose bounds leave much open, with six samples and its own answers."""
    torch.manual_seed(seed)
    neuron = partial(LIF, decay=0.9, **settings)  # pyright: ignore[reportArgumentType]
    first = Residual([nn.Linear(10, 8), neuron(), nn.Linear(8, 8)], [nn.Linear(10, 8)])
    second = Residual([neuron(), nn.Linear(8, 8)])  # its shortcut carries currents
    layers = [nn.Linear(6, 10), neuron(), first, second, neuron(), nn.Linear(8, 3)]
    network = SpikingNetwork(*layers, num_steps=4).double().eval()
    for name, parameter in network.named_parameters():
        if name.endswith("weight"):
            parameter.data *= 3.0
    batch = torch.rand(6, 6).double()
    return network, batch, own_labels(network, batch)


@pytest.mark.parametrize("reset", ["zero", *by_night("subtract", "none")])
def test_decides_every_sample(reset: str):
    network, batch, labels = residual_network(5, reset=reset)
    threat = LInf(0.08)
    assert bool((TRAINS.margins(network, batch, labels, threat) <= 0).any()), "bounds alone must not be enough"
    found = verify(network, batch, labels, threat, "complete", timeout=20.0)
    assert {verdict.status for verdict in found} <= {"verified", "falsified"}
    broken = attack(network, batch, labels, threat, "ensemble").success.tolist()
    for verdict, success in zip(found, broken, strict=True):
        assert verdict.status == "falsified" or not success


@pytest.mark.slow
def test_a_leaf_outside_of_the_ball_is_closed():
    """The box around the ball reaches a leaf of the second sample that the ball does not."""
    network, batch, labels = residual_network(0)
    found = verify(network, batch[:2], labels[:2], L2(0.2), "complete", timeout=20.0)
    assert [verdict.status for verdict in found] == ["verified", "verified"]
    assert not bool(attack(network, batch[:2], labels[:2], L2(0.2), "ensemble").success.any())


def test_flipped_events_are_decided_as_enumeration_does():
    torch.manual_seed(3)
    neuron = partial(LIF, decay=0.8)
    block = Residual([nn.Linear(6, 6), neuron(), nn.Linear(6, 6)])
    layers = [nn.Linear(3, 6), neuron(), block, neuron(), nn.Linear(6, 3)]
    network = SpikingNetwork(*layers, num_steps=3, encoding="none").eval()
    for name, parameter in network.named_parameters():
        if name.endswith("weight"):
            parameter.data *= 3.0
    events = torch.bernoulli(torch.full((8, 3, 3), 0.5))
    labels = own_labels(network, events)
    found = verify(network, events, labels, SpikeFlip(1), "complete", timeout=20.0)
    for verdict, sample, label in zip(found, events, labels.tolist(), strict=True):
        falls = least_margin(network, every_flip(sample, 1), label) <= 0
        assert verdict.status != ("verified" if falls else "falsified")
    assert {verdict.status for verdict in found} >= {"verified", "falsified"}


@pytest.mark.slow
def test_the_verdict_does_not_depend_on_the_batch():
    network, batch, labels = residual_network(1)
    found = [
        [v.status for v in verify(network, batch, labels, LInf(0.07), Complete(Search(batch=size)))]
        for size in (2, 64, 1024)
    ]
    assert found[0] == found[1] == found[2]
    scarce = Complete(Search(batch=8, most_bytes=1))
    assert [v.status for v in verify(network, batch, labels, LInf(0.07), scarce)] == found[0]


def test_a_network_whose_nodes_take_too_much_is_left_open_and_told(monkeypatch: pytest.MonkeyPatch):
    network, batch, labels = residual_network(1)
    monkeypatch.setattr("spikecert.certify.branching.search.MOST_BYTES", 1000)
    left = TRAINS.margins(network, batch, labels, LInf(0.08)) <= 0
    assert bool(left.any())
    for verdict, is_open in zip(
        verify(network, batch, labels, LInf(0.08), "complete"), left.tolist(), strict=True
    ):
        assert verdict.status == ("unknown" if is_open else "verified")
        assert not is_open or verdict.reason.startswith("a node of this network takes ")


def test_the_papers_residual_network_is_reached():
    """A small WRN16-4 with batch norms that learned: every sample of a small ball is decided."""
    torch.manual_seed(4)
    network = wrn16_4((1, 4, 4), 3, 3, LIF(0.9, 0.5), width=1 / 16).train()
    for _ in range(3):
        network(torch.rand(16, 1, 4, 4))
    batch = torch.rand(4, 1, 4, 4)
    labels = own_labels(network.eval(), batch)
    left = torch.ones(4, 3, dtype=torch.bool).scatter(1, labels[:, None], False)
    question = MarginQuestion.of_margins(network, batch, labels, LInf(0.01), left)
    roots = question.roots()
    assert roots is not None
    assert len(roots.prices) == 13
    found = verify(network, batch, labels, LInf(0.01), "complete", timeout=20.0)
    assert {verdict.status for verdict in found} <= {"verified", "falsified"}
