"""Sets of events that are split by which of them changes: against all of their members."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert import LIF, EventChange, LInf, OneSpikeLIF, SpikeFlip, SpikeShift, SpikingNetwork, verify
from spikecert.certify import EventRegion
from spikecert.certify.bounds.events.moved_events import Shifts
from spikecert.certify.bounds.events.parts import Budgets
from spikecert.certify.boxes import influence
from spikecert.certify.perturbations.events import retiming
from spikecert.certify.perturbations.events.retiming import EventThreat
from spikecert.certify.problem import Problem
from spikecert.certify.replay import margins
from spikecert.certify.verifiers import Complete, Enumeration, EventSplitting
from spikecert.certify.verifiers import events as event_bounds
from spikecert.certify.verifiers.events import splits, told_apart
from spikecert.models import latency_code
from spikecert.models.circuit import circuit
from support.examples import examples

SEEDS = st.integers(0, 2**31)
SPLITTING = EventSplitting(enumeration=Enumeration(patience=0))


@st.composite
def networks(draw: st.DrawFn) -> SpikingNetwork:
    """Return a network whose weights and thresholds lie on a grid: potentials meet thresholds exactly."""
    steps, hidden = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    neuron = draw(st.sampled_from([OneSpikeLIF(1.0, 0.5), LIF(0.5, 0.5), LIF(1.0, 0.75, "subtract")]))
    readout = draw(st.sampled_from(["first", "spikes", "mean"]))
    last = [] if readout == "mean" else [LIF(1.0, 0.5)]
    layers = nn.Linear(4, hidden), neuron, nn.Linear(hidden, 3), *last
    network = SpikingNetwork(*layers, num_steps=steps, encoding="none", readout=readout)
    generator = torch.Generator().manual_seed(draw(SEEDS))
    for parameter in network.parameters():
        parameter.data = (torch.randn(parameter.shape, generator=generator) * 4).round() / 4
    return network.to(draw(st.sampled_from([torch.float32, torch.float64]))).eval()


def recordings(network: SpikingNetwork, seed: int, silent: bool) -> tuple[Tensor, Tensor]:
    """Return recordings of one event a feature, or none, and the network's own answers."""
    generator = torch.Generator().manual_seed(seed)
    events = latency_code(torch.rand(2, 4, generator=generator), network.num_steps).to(network.dtype)
    if silent:
        events[:, :, 1] = 0
    with torch.no_grad():
        return events, network(events).argmax(1)


def members(threat: EventThreat, sample: Tensor) -> Tensor:
    """Return all recordings of a set."""
    found = threat.members(sample)
    assert found is not None
    return torch.cat(list(found.batches(256))).to(sample.dtype)


@st.composite
def threats(draw: st.DrawFn, steps: int) -> EventThreat:
    """Return flips, moves or both within any budgets, of all events or of those of the first steps."""
    where = draw(st.sampled_from([None, EventRegion(steps=(0, max(1, steps - 1)))]))
    asked = draw(st.sampled_from(["flips", "moves", "both"]))
    most = 2 if asked == "both" else 3
    flips = SpikeFlip(draw(st.integers(0, most)), draw(st.sampled_from(["flip", "insert", "delete"])), where)
    if asked == "flips":
        return flips
    count, total = draw(st.sampled_from([None, 0, 1, 2, 4])), draw(st.sampled_from([None, 0, 1, 2, 3, 5]))
    jitter = draw(st.sampled_from([None, min(1, steps - 1), steps - 1]))
    merge, border = draw(st.sampled_from(["or", "add", "refuse"])), draw(st.sampled_from(["stay", "leave"]))
    if asked == "both":
        return EventChange(flips, SpikeShift(jitter, min(count or 0, 2), total, "or", border, where))
    return SpikeShift(jitter, count, total, merge, border, where)


def few(threat: SpikeShift) -> bool:
    """Return whether few moves happen: then events that may meet are split, too."""
    return threat.count is not None or threat.total is not None


@examples(160)
@given(data=st.data(), network=networks(), seed=SEEDS, silent=st.booleans())
def test_it_decides_as_all_members_do(data: st.DataObject, network: SpikingNetwork, seed: int, silent: bool):
    """Every recording that rounding decides is bounded as those of lists are: it stays open where theirs does."""
    events, labels = recordings(network, seed, silent)
    threat = data.draw(threats(network.num_steps))
    if isinstance(threat, SpikeShift) and threat.merge == "add" and data.draw(st.booleans()):
        events[:, 0, 0] += 1
    elif not isinstance(threat, SpikeShift) or few(threat):
        events[:, :, 0] = 1
    ties = data.draw(st.sampled_from(["argmax", "strict"]))
    with torch.no_grad():
        labels = network(events).argmax(1)
    found = verify(network, events, labels, threat, SPLITTING, ties=ties)
    lists = verify(network, events, labels, threat, Enumeration(), ties=ties)
    for verdict, listed, sample, label in zip(found, lists, events, labels, strict=True):
        every = members(threat, sample)
        with torch.no_grad():
            logits = network(every).double()
        least = float(margins(logits, label.expand(len(every)), ties).min())
        assert verdict.status == listed.status
        if verdict.status == "verified":
            assert least > 0
            assert verdict.margin is not None
            exact = logits.gather(1, label.expand(len(every))[:, None]) - logits.scatter(
                1, label.expand(len(every))[:, None], -math.inf
            ).amax(1, keepdim=True)
            assert verdict.margin <= float(exact.min()) + 1e-9
        elif verdict.status == "falsified":
            assert least <= 0
        else:
            assert "rounding" in verdict.reason


def grown(seed: int, features: int = 12, steps: int = 4) -> tuple[SpikingNetwork, Tensor, Tensor]:
    """Return a network whose thresholds no potential meets, and recordings."""
    torch.manual_seed(seed)
    layers = nn.Linear(features, 8), OneSpikeLIF(1.0, 0.3), nn.Linear(8, 3), OneSpikeLIF(1.0, 0.3)
    network = SpikingNetwork(*layers, num_steps=steps, encoding="none", readout="first").double().eval()
    events = latency_code(torch.rand(8, features, dtype=torch.float64), steps)
    with torch.no_grad():
        return network, events, network(events).argmax(1)


def test_it_decides_each_sample_that_lists_do():
    """And both answers are met: sets that hold, and sets that do not."""
    met = set()
    for seed in range(3):
        network, events, labels = grown(seed)
        for total in (1, 2):
            asked = network, events, labels, SpikeShift(None, total=total)
            one, other = (verify(*asked, verifier) for verifier in (SPLITTING, Enumeration()))
            assert [verdict.status for verdict in one] == [verdict.status for verdict in other]
            met |= {verdict.status for verdict in one}
    assert met == {"verified", "falsified"}


@pytest.mark.parametrize(
    ("readout", "neuron"),
    [("first", OneSpikeLIF(1.0, 0.3)), ("spikes", LIF(0.9, 0.3)), ("spikes", LIF(0.5, 0.3, "subtract"))],
)
def test_sums_that_are_kept_and_sets_one_by_one_decide_alike(readout: str, neuron: LIF, monkeypatch):
    """Lists, too, of sets of one, two and three steps; some of them hold, and some do not."""
    found = []
    for seed in (6, 8):
        torch.manual_seed(seed)
        layers = nn.Linear(5, 6), neuron, nn.Linear(6, 3), neuron
        network = SpikingNetwork(*layers, num_steps=4, encoding="none", readout=readout).double().eval()
        for parameter in network.parameters():
            parameter.data = torch.randn(parameter.shape, dtype=torch.float64)
        events = latency_code(torch.rand(3, 5, dtype=torch.float64), 4)
        with torch.no_grad():
            labels = network(events).argmax(1)
        for total in (1, 2, 3):
            asked = network, events, labels, SpikeShift(None, total=total)
            sums = verify(*asked, SPLITTING)
            with monkeypatch.context() as patch:
                patch.setattr(event_bounds, "FEW_CHANGES", -1)
                sets = verify(*asked, SPLITTING)
            lists = verify(*asked, Enumeration())
            statuses = [[verdict.status for verdict in each] for each in (sums, sets, lists)]
            assert statuses[0] == statuses[1] == statuses[2]
            found += statuses[0]
    assert set(found) == {"verified", "falsified"}


def test_sums_are_kept_of_few_moves_of_a_first_layer_alone():
    network, events, labels = grown(0)
    spiking = SpikingNetwork(LIF(), nn.Linear(12, 3), num_steps=4, encoding="none").double()
    answers = [
        event_bounds.sums_are_kept(Problem(made, events, labels, threat))
        for made in (network, spiking)
        for threat in (SpikeShift(None, total=16), SpikeShift(1, 2), SpikeShift(1), SpikeShift(1, total=17))
    ]
    assert answers == [True, True, False, False] + [False] * 4


def test_complete_splits_what_is_too_long_to_list():
    network, events, labels = grown(0)
    asked = network, events, labels, SpikeShift(None, total=2)
    lazy = Complete(enumeration=Enumeration(patience=0))
    assert not lazy.enumeration.takes(Problem(*asked)).any()  # type: ignore[union-attr]
    listed = [verdict.status for verdict in verify(*asked, Enumeration())]
    assert [verdict.status for verdict in verify(*asked, lazy)] == listed


def test_what_branching_does_not_reach_is_told_by_what_splitting_met():
    """Each neuron meets its threshold exactly, and none of the set's six recordings fails: rounding decides."""
    layers = nn.Linear(2, 2, bias=False), OneSpikeLIF(1.0, 0.5), nn.Linear(2, 2, bias=False), OneSpikeLIF(1.0, 0.5)
    for layer in (layers[0], layers[2]):
        layer.weight.data.copy_(torch.eye(2) / 2)
    network = SpikingNetwork(*layers, num_steps=4, encoding="none", readout="first").eval()
    events = torch.zeros(1, 4, 2)
    events[0, 0, 0] = events[0, 3, 1] = 1
    (verdict,) = verify(network, events, torch.tensor([0]), SpikeShift(None, total=2), "complete")
    assert (verdict.status, verdict.verifier) == ("unknown", "complete")
    assert "are decided only within the rounding error" in verdict.reason


def test_a_recording_that_rounding_decides_stays_open_where_all_others_are_proven():
    """The hidden neuron meets its threshold at once or never fires; either has class 0 a step ahead of class 1."""
    layers = nn.Linear(1, 1), OneSpikeLIF(1.0, 0.5), nn.Linear(1, 2), OneSpikeLIF(1.0, 0.5)
    values = [[0.75]], [-0.25], [[0.3], [0.2]], [0.3, 0.2]
    parameters = [parameter for layer in (layers[0], layers[2]) for parameter in (layer.weight, layer.bias)]
    for parameter, value in zip(parameters, values, strict=True):
        parameter.data.copy_(torch.tensor(value))
    network = SpikingNetwork(*layers, num_steps=3, encoding="none", readout="first").eval()
    events = torch.zeros(2, 3, 1)
    events[0, 0] = events[1, 1] = 1
    labels = torch.zeros(2, dtype=torch.long)
    tied, clear = verify(network, events, labels, SpikeShift(None, total=1), SPLITTING, ties="strict")
    assert (tied.status, tied.reason) == ("unknown", "1 recordings are decided only within the rounding error")
    moved = verify(network, events, labels, SpikeShift(None, count=0), SPLITTING, ties="strict")
    assert [verdict.status for verdict in moved] == ["unknown", "verified"]
    assert clear.status == "unknown"


def test_columns_are_those_of_all_parts_or_none(monkeypatch: pytest.MonkeyPatch):
    """Recordings that other bounds prove have no columns: here of all that parts leave open."""
    network, events, labels = grown(1)
    problem = Problem(network, events, labels, SpikeShift(None, total=1))
    known = torch.full((len(events), 3), -1.0, dtype=torch.float64)
    found = told_apart(problem, known)
    assert bool(found.isneginf().all(1).any())
    assert bool(found.isfinite().any())
    monkeypatch.setattr(event_bounds, "bounded", lambda _, points: (points[:, 0, 0] + 1, points[:, 0, 0] >= 0))
    monkeypatch.setattr(event_bounds._EventSearch, "_failing", lambda *_: None)
    assert torch.equal(told_apart(problem, known), found)


def test_what_it_does_not_split_is_left_to_lists(monkeypatch: pytest.MonkeyPatch):
    """Moves of which all may happen, where some meet; boxes; and what changes in too many ways."""
    network, events, labels = grown(0)
    twice = events.clone()
    twice[:, :, 0] = 1
    both = EventChange(SpikeFlip(1), SpikeShift(1, 1))
    assert splits(Problem(network, twice, labels, SpikeShift(None, total=1)))
    assert splits(Problem(network, twice, labels, both))
    monkeypatch.setattr(retiming, "MOST_WAYS", 50)
    for inputs, threat in ((twice, SpikeShift(1)), (events, both), (events, LInf(0.1))):
        problem = Problem(network, inputs, labels, threat)
        assert not splits(problem)
        (verdict, *_) = EventSplitting(enumeration=Enumeration(patience=0)).decide(problem)
        assert (verdict.status, verdict.verifier) == ("unknown", "enumeration")


def test_what_changes_in_too_many_ways_is_not_listed(monkeypatch: pytest.MonkeyPatch):
    network, events, labels = grown(0)
    threat = EventChange(SpikeFlip(1), SpikeShift(1, 1))
    assert threat.few_members(events[0]) is not None
    for limit in ("MOST_WAYS", "MOST_TOLD"):
        with monkeypatch.context() as patch:
            patch.setattr(retiming, limit, 5)
            assert threat.few_members(events[0]) is None
            with pytest.raises(OverflowError, match="more than 5 ways"):
                threat.members(events[0])
            for verdict in verify(network, events, labels, threat, Enumeration()):
                assert (verdict.status, verdict.reason) == ("unknown", "the set has no list of members")


def test_no_sample_has_no_problem_of_its_own():
    network, events, labels = grown(0)
    asked = Problem(network, events[:0], labels[:0], SpikeFlip(1))
    assert asked.each() == []
    assert EventSplitting().decide(asked) == Enumeration().decide(asked) == []
    assert not EventSplitting().takes(asked)


def test_what_splits_leave_open_is_listed():
    """Of patience for no part; and small sets are listed at once, whatever the patience."""
    network, events, labels = grown(0)
    for threat in (SpikeFlip(2), SpikeShift(None, total=2)):
        lists = verify(network, events, labels, threat, Enumeration())
        for splitting in (EventSplitting(0), EventSplitting()):
            found = verify(network, events, labels, threat, splitting)
            assert [(one.status, one.margin) for one in found] == [(one.status, one.margin) for one in lists]
            assert {one.verifier for one in found} == {"enumeration"}


def test_it_stops_in_time_and_at_its_patience():
    network, events, labels = grown(0)
    threat = SpikeShift(None, total=6)
    for verdict in verify(network, events, labels, threat, SPLITTING, 1e-6):
        assert verdict.status != "verified"
        assert verdict.status == "falsified" or "the time was up" in verdict.reason
    lazy = EventSplitting(0, Enumeration(patience=0))
    for verdict in verify(network, events, labels, threat, lazy):
        assert (verdict.status, verdict.reason) == ("unknown", "its patience was spent on 0 parts")


def test_events_are_ranked_by_the_weights_they_meet():
    layers = nn.Flatten(), nn.Linear(4, 2), LIF(), nn.Linear(2, 2)
    layers[1].weight.data.copy_(torch.tensor([[1.0, -3.0, 0.0, 2.0], [1.0, 1.0, 0.0, -4.0]]))
    network = SpikingNetwork(*layers, num_steps=2, encoding="none")
    found = influence(circuit(network), (2, 2))
    assert found.tolist() == [[2.0, 4.0], [0.0, 6.0]]


@pytest.mark.parametrize("patience", [-1, 1.5])
def test_no_other_patience(patience: float):
    with pytest.raises((ValueError, TypeError), match="patience: got"):
        EventSplitting(patience)  # type: ignore[arg-type]


@pytest.mark.parametrize(("moves", "steps", "told"), [(3, 6, (None, None)), (2, 6, (2, None)), (3, 5, (None, 5))])
def test_budgets_that_bind_nothing_make_sums_of_all_events(moves: int, steps: int, told: tuple[int | None, ...]):
    """The sums are the same as with them, and found without a product by itself."""
    events = torch.eye(4)[None, :, :3].double()
    box = SpikeShift(2).part(events, events, events > 1, Budgets(moves, steps, 0))
    assert isinstance(box.budget, Shifts)
    assert (box.budget.count, box.budget.most) == told
    bound = SpikeShift(2, moves, steps).enclosure(events)
    assert torch.equal(box.lower, bound.lower)
    assert torch.equal(box.upper, bound.upper)
