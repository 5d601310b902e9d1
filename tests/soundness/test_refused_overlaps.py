"""Events that may not meet: a set within that of merging events, for all who search and all who prove."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert import LIF, SpikeShift, SpikingNetwork, attack, verify
from spikecert.certify.attacks import ATTACKS
from spikecert.certify.perturbations.events.spike_shift import kept_apart
from spikecert.certify.proofs.asked import rules_of
from spikecert.certify.replay import replays
from spikecert.testing.neurons import SEEDS
from support.examples import examples
from support.oracles import every_shift

BUDGETS = st.sampled_from([None, 1, 2, 3])
DECIDE = ("milp", "enumeration")
PROVE = ("interval", "linear", "complete", "auto", *DECIDE)


@st.composite
def refused(draw: st.DrawFn, steps: int = 4, features: int = 2) -> tuple[Tensor, SpikeShift]:
    """Return a crowded recording of up to six events, and moves of them that may not meet."""
    generator = torch.Generator().manual_seed(draw(SEEDS))
    events = (torch.rand(steps, features, generator=generator) < draw(st.sampled_from([0.3, 0.6, 1.0]))).float()
    for extra in events.flatten().nonzero().flatten()[6:].tolist():
        events.view(-1)[extra] = 0
    mask = torch.rand(steps, features, generator=generator) > draw(st.sampled_from([-1.0, 0.3]))
    border = draw(st.sampled_from(["stay", "leave"]))
    return events, SpikeShift(draw(st.integers(1, 2)), draw(BUDGETS), draw(BUDGETS), "refuse", border, mask)


def merging(threat: SpikeShift) -> SpikeShift:
    return SpikeShift(threat.jitter, threat.count, threat.total, "or", threat.border, threat.where)


def every(events: Tensor, threat: SpikeShift) -> Tensor:
    """Return all members, found by moving each event by itself."""
    return every_shift(events, threat, threat.allowed(events[None]).expand(events.shape))


@examples(60)
@given(refused())
def test_members_are_members_of_merging_events_and_have_as_many_of_them(case: tuple[Tensor, SpikeShift]):
    events, threat = case
    members = every(events, threat)
    among = members, events.expand(len(members), -1, -1)
    assert bool(threat.contains(*among).all())
    assert bool(merging(threat).contains(*among).all())
    counts = members.sum(1)
    assert bool((counts <= events.sum(0)).all())
    if threat.border == "stay":
        assert bool((counts == events.sum(0)).all())
    box, wide = threat.enclosure(events[None]), merging(threat).enclosure(events[None])
    assert torch.equal(box.lower, wide.lower)
    assert torch.equal(box.upper, wide.upper)
    listed = torch.cat(list(threat.members(events).batches(7)))
    assert {tuple(row.flatten().tolist()) for row in listed} == {tuple(row.flatten().tolist()) for row in members}


@examples(60)
@given(refused(), SEEDS)
def test_moves_are_kept_apart_and_as_many_as_have_room(case: tuple[Tensor, SpikeShift], seed: int):
    events, _ = case
    generator = torch.Generator().manual_seed(seed)
    offsets = torch.randint(-3, 4, (5, *events.shape), generator=generator) * (events > 0)
    kept = kept_apart(events.expand(5, -1, -1), offsets)
    assert bool(((kept == 0) | (kept == offsets)).all())
    steps = len(events)
    for asked, moves in zip(offsets, kept, strict=True):
        ends = [(step + int(moves[step, feature]), feature) for step, feature in events.nonzero().tolist()]
        inside = [end for end in ends if 0 <= end[0] < steps]
        assert len(set(inside)) == len(inside)
        for step, feature in asked.nonzero().tolist() if int(asked.count_nonzero()) == 1 else ():
            goal = step + int(asked[step, feature])
            free = not 0 <= goal < steps or float(events[goal, feature]) == 0
            assert (int(moves[step, feature]) != 0) == free


def network_of(seed: int, steps: int = 4, features: int = 2) -> SpikingNetwork:
    """Return a tiny network on a grid of weights, so that currents lie exactly on thresholds."""
    generator = torch.Generator().manual_seed(seed)
    decay = [0.0, 0.5, 1.0][seed % 3]
    network = SpikingNetwork(
        nn.Linear(features, 3), LIF(decay, 0.5), nn.Linear(3, 2), num_steps=steps, encoding="none"
    ).eval()
    for parameter in network.parameters():
        parameter.data = torch.randint(-3, 4, parameter.shape, generator=generator) / 4.0
    return network


@examples(40)
@given(refused(), SEEDS, st.sampled_from(["strict", "argmax"]))
def test_verdicts_hold_for_all_members_and_the_exact_ones_decide(
    case: tuple[Tensor, SpikeShift], seed: int, ties: str
):
    events, threat = case
    network = network_of(seed)
    members = every(events, threat)
    with torch.no_grad():
        label = int(network(events[None]).argmax())
    falls = [replays(network, member, label, ties) for member in members]
    for verifier in PROVE:
        asked = network, events[None], torch.tensor([label]), threat, verifier
        (verdict,) = verify(*asked, timeout=5.0, ties=ties)
        if verdict.status == "verified":
            assert not any(falls), verifier
        if verdict.status == "falsified":
            assert verdict.counterexample is not None
            assert bool(threat.contains(verdict.counterexample[None], events[None]))
            assert replays(network, verdict.counterexample, label, ties)
        if verifier == "enumeration" and not any(falls):
            assert verdict.status in ("verified", "unknown")
        if verifier == "milp" and any(falls):
            assert verdict.status != "verified"


SEARCH = ("spike-shift", "pil", "random-events", "ensemble-fast")


@examples(25)
@given(refused(), SEEDS)
def test_attacks_hand_out_members(case: tuple[Tensor, SpikeShift], seed: int):
    events, threat = case
    network, batch = network_of(seed), events[None].repeat(2, 1, 1)
    batch[1] = batch[1].flip(0)
    with torch.no_grad():
        labels = network(batch).argmax(1)
    for name in SEARCH:
        result = attack(network, batch, labels, threat, ATTACKS[name](), seed=seed % 97)
        assert bool(threat.contains(result.inputs, batch).all()), name


def test_what_only_a_merge_breaks_is_verified():
    """Two events that stay two give one spike each; merged they are one, and the other class wins."""
    network = SpikingNetwork(nn.Linear(1, 2), num_steps=2, encoding="none", readout="mean").eval()
    network.layers[0].weight.data = torch.tensor([[1.0], [0.0]])
    network.layers[0].bias.data = torch.tensor([0.0, 0.75])
    events, label = torch.ones(1, 2, 1), torch.tensor([0])
    found = {
        merge: {
            name: verify(network, events, label, SpikeShift(1, merge=merge), name)[0].status for name in DECIDE
        }
        for merge in ("or", "refuse")
    }
    assert set(found["or"].values()) == {"falsified"}
    assert set(found["refuse"].values()) == {"verified"}


@pytest.mark.parametrize("name", ["spike-shift", "pil"])
def test_an_event_may_come_to_where_another_one_went(name: str):
    """Only where both move one step on, the first to where the second was, the potential at the end is enough."""
    network = SpikingNetwork(
        nn.Linear(1, 2), LIF(0.5, 100.0, reset="none"), num_steps=3, encoding="none", readout="potential"
    ).eval()
    network.layers[0].weight.data = torch.tensor([[0.0], [1.0]])
    network.layers[0].bias.data = torch.tensor([0.8, 0.0])  # 1.4 against .75, 1.25 and 1.5
    events, goal = torch.tensor([[[1.0], [1.0], [0.0]]]), torch.tensor([[[0.0], [1.0], [1.0]]])
    threat = SpikeShift(1, merge="refuse")
    assert len(every(events[0], threat)) == 3
    result = attack(network, events, torch.tensor([0]), threat, name)
    assert torch.equal(result.inputs, goal)
    assert bool(result.success.all())


@pytest.mark.parametrize("value", [2.0, 0.5, -1.0])
def test_entries_of_more_than_one_event_are_refused(value: float):
    network = network_of(0)
    events = torch.zeros(1, 4, 2)
    events[0, 0, 0] = value
    with pytest.raises(ValueError, match='expected events of 0 and 1 for SpikeShift with merge "refuse"'):
        attack(network, events, torch.tensor([0]), SpikeShift(1, merge="refuse"), "pil")


def test_a_proof_is_about_merging_events():
    """The checker knows no "refuse": what is proved, and what check-proof asks for, is the set that holds it."""
    sample = torch.zeros(4, 2)
    sample[1, 0] = 1.0
    known = [rules_of(SpikeShift(1, 2, merge=merge), sample) for merge in ("refuse", "or")]
    assert known[0] == known[1]
    assert known[1].holds(known[0])
