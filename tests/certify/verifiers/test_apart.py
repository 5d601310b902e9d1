"""Events told apart: parts hold exactly the set, bounds hold for members, and "linear" certifies more."""

import itertools
from collections.abc import Iterator

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert.certified_networks import load_zoo
from spikecert.certify import SpikeFlip, SpikeShift, verify
from spikecert.certify.bounds.events.moved_events import Shifts
from spikecert.certify.problem import Problem
from spikecert.certify.splitting.apart_bounds import MovedSets, _PartSearch, tells_apart, told_apart
from spikecert.models import LIF, SpikingNetwork, mlp

Members = set[tuple[float, ...]]


def moved(recording: Tensor, movable: Tensor, threat: SpikeShift) -> Iterator[Tensor]:
    """Yield all recordings that moves of `movable` events make, by their definition alone; events add up."""
    steps = len(recording)
    places = [place for place, many in enumerate(movable.flatten().tolist()) for _ in range(int(many))]
    inside = recording[0].numel()
    reach = min(steps if budget is None else budget for budget in (threat.jitter, threat.total))
    options = []
    for place in places:
        step = place // inside
        ahead = [(p, abs(p - step)) for p in range(-1, steps + 1) if abs(p - step) <= reach]
        options.append([one for one in ahead if 0 <= one[0] < steps or threat.border == "leave"])
    for choice in itertools.product(*options):
        spent = [distance for _, distance in choice]
        too_many = threat.count is not None and sum(d > 0 for d in spent) > threat.count
        if too_many or (threat.total is not None and sum(spent) > threat.total):
            continue
        found = recording.clone().flatten(1)
        for place, (after, _) in zip(places, choice, strict=True):
            found[place // inside, place % inside] -= 1
            if 0 <= after < steps:
                found[after, place % inside] += 1
        yield found.view_as(recording)


def members(sets: MovedSets) -> Members:
    pairs = zip(sets.recordings, sets.movable, strict=True)
    return {tuple(x.flatten().tolist()) for pair in pairs for x in moved(*pair, sets.threat)}


def _mask(seed: int, steps: int, features: int) -> Tensor:
    return torch.rand(steps, features, generator=torch.Generator().manual_seed(seed)) < 0.7


@st.composite
def questions(draw: st.DrawFn, adding: bool | None = None) -> tuple[SpikeShift, Tensor]:
    """Draw a set of moves and a recording of few events, one a feature at most where they may meet."""
    steps, features = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    adds = draw(st.booleans()) if adding is None else adding
    recording = torch.zeros(1, steps, features)
    if adds:
        for _ in range(draw(st.integers(0, 3))):
            recording[0, draw(st.integers(0, steps - 1)), draw(st.integers(0, features - 1))] += 1
    else:
        for feature in range(features):
            if draw(st.booleans()):
                recording[0, draw(st.integers(0, steps - 1)), feature] = 1
    budget = st.none() | st.integers(0, 4)
    threat = SpikeShift(
        draw(st.none() | st.integers(0, steps - 1)),
        draw(budget),
        draw(budget),
        merge="add" if adds else draw(st.sampled_from(("or", "refuse"))),
        border=draw(st.sampled_from(("stay", "leave"))),
        where=draw(st.none() | st.integers(0, 99).map(lambda seed: _mask(seed, steps, features))),
    )
    return threat, recording


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(questions())
def test_parts_of_each_event_hold_the_set_and_nothing_else(question: tuple[SpikeShift, Tensor]) -> None:
    threat, recording = question
    assert tells_apart(threat, recording)
    whole = MovedSets.of(threat, recording)
    events = whole.events()
    every = members(whole)
    exact = {tuple(x.flatten().tolist()) for batch in threat.members(recording[0]).batches(64) for x in batch}
    assert every == exact
    for index in range(len(events)):
        parts = whole.parts(events[index, None])
        assert set().union(*(members(part) for _, part in parts)) == every
        assert all((which == 0).all() for which, _ in parts)
        budgets = [(part.enclosure().budget, part.movable) for _, part in parts]
        marked = [(budget.events, movable) for budget, movable in budgets if isinstance(budget, Shifts)]
        assert all(torch.equal(torch.stack(marks).sum(0), movable) for marks, movable in marked)
        assert all(float(part.movable.sum()) == len(part) * (float(whole.movable.sum()) - 1) for _, part in parts)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(questions())
def test_parts_of_several_events_are_those_of_each(question: tuple[SpikeShift, Tensor]) -> None:
    whole = MovedSets.of(*question)
    events = whole.events()
    if len(events) == 0:
        return
    for index, event in enumerate(events):
        alone = whole.parts(event[None])
        together = [(which == index, part) for which, part in whole.parts(events)]
        kept = [(part.threat, part.at(chosen)) for chosen, part in together if bool(chosen.any())]
        assert [threat for threat, _ in kept] == [part.threat for _, part in alone]
        for (_, some), (_, part) in zip(kept, alone, strict=True):
            assert torch.equal(some.recordings, part.recordings)
            assert torch.equal(some.movable, part.movable)


def drawn(seed: int) -> tuple[SpikingNetwork, Tensor, Tensor]:
    """Return a network of two layers, recordings of three events, and its own classes of these, not all alike."""
    torch.manual_seed(seed)
    neuron = LIF(
        (1.0, 0.9, 0.5)[seed % 3], (1.0, 0.75)[seed % 2], reset=("subtract", "subtract", "zero")[seed % 3]
    )
    recordings = torch.zeros(8, 6, 2)
    while True:
        network = mlp((2, 6, 4, 2), 6, neuron, encoding="none").eval()
        with torch.no_grad():
            for layer in network.layers:
                if isinstance(layer, nn.Linear):
                    layer.weight.mul_(3.0)
                    if seed % 4 == 0:  # currents exactly on a threshold
                        layer.weight.copy_((4 * layer.weight).round() / 4)
        for recording in recordings.zero_():
            steps, features = (torch.randint(most, (3,)) for most in (6, 2))
            recording.index_put_((steps, features), torch.ones(3), accumulate=True)
        logits = network(recordings).detach()
        if len(logits.unique(dim=0)) > 3:
            return network, recordings, logits.argmax(1)


THREATS = (
    SpikeShift(1, merge="add"),
    SpikeShift(2, count=2, merge="add"),
    SpikeShift(None, count=1, merge="add", border="leave"),
    SpikeShift(2, total=3, merge="add"),
)


def least_margins(network: SpikingNetwork, every: Tensor, label: int) -> tuple[float, bool]:
    """Return the least margin to the other of two classes, and whether logits differ among recordings."""
    with torch.no_grad():
        logits = network(every.float()).double()
    return float((logits[:, label] - logits[:, 1 - label]).min()), bool((logits.amax(0) > logits.amin(0)).any())


@pytest.mark.parametrize("seed", range(8))
def test_bounds_of_parts_hold_for_each_member(seed: int) -> None:
    """Those questions are counted of which members differ: there bounds can be wrong."""
    network, recordings, labels = drawn(seed)
    moving = 0
    for threat, (index, recording) in itertools.product(THREATS, enumerate(recordings[:4])):
        problem = Problem(network, recordings[index, None], labels[index, None], threat)
        whole = MovedSets.of(threat, recording[None])
        for _, parts in whole.parts(whole.events()):
            bounds = _PartSearch(problem)._bounds(parts)
            for row, x, movable in zip(bounds, parts.recordings, parts.movable, strict=True):
                every = torch.stack(list(moved(x, movable, parts.threat)))
                least, moves = least_margins(network, every, int(labels[index]))
                moving += moves
                assert float(row[1 - labels[index]]) <= least
    assert moving > 40


@pytest.mark.parametrize("seed", range(8))
def test_what_is_told_apart_holds_for_each_member(seed: int) -> None:
    network, recordings, labels = drawn(seed)
    proven = moving = 0
    for threat in THREATS:
        problem = Problem(network, recordings, labels, threat)
        known = torch.full((len(recordings), 2), -10.0, dtype=torch.float64)  # as if little were known
        for row, recording, label in zip(told_apart(problem, known), recordings, labels, strict=True):
            least, moves = least_margins(
                network, torch.cat(list(threat.members(recording).batches(512))), int(label)
            )
            if row.isneginf().all():
                continue
            proven, moving = proven + 1, moving + moves
            assert 0 < float(row[1 - label]) <= least
    assert proven > 0
    assert moving > 0


def test_what_all_neurons_do_together_is_certified() -> None:
    """A recording of the zoo that "trains" leaves open, and all its nine members are right."""
    network, threat = load_zoo("coincidence-shift-1"), SpikeShift(1, merge="add")
    recordings = torch.zeros(90, 10, 2)
    places = [(a, b) for a in range(10) for b in range(10) if a != b]
    for recording, (a, b) in zip(recordings, places, strict=True):
        recording[a, 0], recording[b, 1] = 1, 1
    labels = network(recordings).argmax(1)
    trains, linear = (
        [v.status for v in verify(network, recordings, labels, threat, verifier=name)]
        for name in ("trains", "linear")
    )
    listed = [v.status for v in verify(network, recordings, labels, threat, verifier="enumeration")]
    assert sum(one == "verified" for one in linear) > sum(one == "verified" for one in trains)
    assert all(after == "verified" for before, after in zip(trains, linear, strict=True) if before == "verified")
    assert [one == "verified" for one in linear] == [one == "verified" for one in listed]


@pytest.mark.parametrize("threat", [SpikeFlip(1), SpikeShift(1), SpikeShift(1, merge="refuse")])
def test_sets_whose_events_may_meet_are_left_alone(threat: SpikeFlip | SpikeShift) -> None:
    network = mlp((2, 3, 2), 4, LIF(1.0, reset="subtract"), encoding="none").eval()
    recordings = torch.tensor([[[1.0, 0.0], [1.0, 0.0], [0.0, 0.0], [0.0, 0.0]]])
    problem = Problem(network, recordings, torch.zeros(1, dtype=torch.long), threat)
    known = torch.full((1, 2), -1.0, dtype=torch.float64)
    assert not tells_apart(threat, recordings)
    assert told_apart(problem, known).isinf().all()
