"""The standard attack: as strong as each of its members, and it says where gradients tell little."""

import pytest
import torch
from torch import nn

from spikecert.certify import APGD, L2, LInf, SpikeFlip, attack, verify
from spikecert.certify.attacks import SAPGD, Ensemble, Guided, RateGradient, SparseFlips, Square
from spikecert.certify.attacks.standard import standard_members
from spikecert.certify.perturbations import Perturbation
from spikecert.certify.replay import replays
from spikecert.models import LIF, SpikingNetwork, mlp
from support.examples import by_night

from .conftest import Subject, random_subject

EXPECTED = """large steps, cross-entropy, AdaptiveArctan(width=4.0)"""


def test_its_members_are_told_apart_and_start_with_large_steps_and_end_with_the_search() -> None:
    told = [member.told for member in standard_members()]
    assert told[0] == EXPECTED
    assert told[-1] == "guided"
    assert len(told) == 46
    assert len(set(told)) == len(told)


def test_a_member_runs_on_what_those_before_it_left(digits: Subject) -> None:
    members = (SAPGD(steps=5, loss="dlr"), APGD(10, surrogate=RateGradient("bptr")), Guided(8), Square(50))
    asked = digits.network, digits.inputs, digits.labels, LInf(0.05)
    result = attack(*asked, Ensemble(members), batch_size=40)
    assert [one.name for one in result.members] == [member.told for member in members]
    clean = int(attack(*asked[:3], LInf(0.0), SAPGD(steps=1)).success.sum())
    standing = len(digits.labels) - clean
    for one in result.members:
        assert one.samples == standing
        assert one.gradient == (one.name != "square")
        standing -= one.broken
    assert standing == int((~result.success).sum())
    for member in members:
        alone = attack(*asked, member).success
        assert int(alone.sum()) <= int(result.success.sum())
    assert result.signs.vanished == 0
    assert result.signs.blind == result.members[-1].broken
    assert result.signs.wrong == clean


@pytest.mark.slow
def test_it_breaks_no_sample_that_is_proven_and_the_search_breaks_more_than_walks(digits: Subject) -> None:
    asked = digits.network, digits.inputs[20:48], digits.labels[20:48], LInf(0.05)
    walks = attack(*asked, "ensemble").success
    search = attack(*asked, Ensemble((Guided(32),), name="searched")).success
    proven = torch.tensor([verdict.status == "verified" for verdict in verify(*asked, "auto", timeout=1.0)])
    assert not bool((proven & (walks | search)).any())
    assert int((walks | search).sum()) > int(walks.sum())


def test_events_have_members_of_their_own() -> None:
    subject = random_subject(encoding="none")
    result = attack(subject.network, subject.inputs, subject.labels, SpikeFlip(2), "standard")
    assert {one.name.split(",")[0] for one in result.members} == {"spike-flip", "sparse-flip", "random-events"}


def test_sparse_flips_are_few_of_all_entries() -> None:
    subject = random_subject(encoding="none", seed=3)
    network, inputs = subject.network, subject.inputs
    for parameter in network.parameters():  # sums of sixteenths are exact: every machine goes the same way
        parameter.data = (parameter.data * 16).round() / 16
    with torch.no_grad():
        labels = network(inputs).argmax(1)
    found = attack(network, inputs, labels, SpikeFlip(inputs[0].numel()), SparseFlips())
    counts = (found.inputs != inputs).flatten(1).sum(1)
    assert int(found.success.sum()) == 14  # two are left whose helpful flips don't help together
    assert float(counts[found.success].float().median()) == 1.0  # of 48
    for budget in (1, 2, 4):
        within = attack(network, inputs, labels, SpikeFlip(budget), SparseFlips()).success
        assert bool((within | ~found.success | (counts > budget)).all())


@pytest.mark.parametrize("weight", [1e30, 3e38])
def test_the_search_tries_nothing_where_bounds_say_nothing(weight: float) -> None:
    """Potentials that may overflow."""
    network = SpikingNetwork(nn.Linear(2, 2), LIF(1.0), nn.Linear(2, 2), num_steps=4).eval()
    for parameter in network.parameters():
        nn.init.constant_(parameter, weight)
    result = attack(network, torch.rand(3, 2), torch.zeros(3, dtype=torch.long), LInf(0.1), Guided(2))
    assert bool(result.inputs.isfinite().all())


def test_the_search_reaches_what_a_verifier_splits_only() -> None:
    """A rate code is split by its inputs, a single step by nothing."""
    for network in (mlp((4, 6, 3), num_steps=1), mlp((4, 6, 3), num_steps=4, encoding="rate")):
        inputs, labels = torch.rand(5, 4), torch.arange(5) % 3
        result = attack(network.eval(), inputs, labels, LInf(0.3), Guided(8))
        assert bool(LInf(0.3).contains(result.inputs, inputs).all())


@pytest.mark.parametrize("threat", [LInf(0.2), *by_night(L2(0.4))], ids=repr)
def test_what_it_returns_is_allowed_and_fails_alone(threat: Perturbation) -> None:
    """More networks by night."""
    torch.manual_seed(0)
    network, inputs = mlp((4, 6, 3), num_steps=2, neuron=LIF(0.9)).eval(), torch.rand(3, 4)
    labels = torch.arange(3)
    result = attack(network, inputs, labels, threat, "standard")
    assert bool(threat.contains(result.inputs, inputs).all())
    for candidate, label, broken in zip(result.inputs, labels.tolist(), result.success, strict=True):
        assert not bool(broken) or replays(network, candidate, label, result.ties)
