"""Members of sets of events, walked: against runs of every one of them, and of those of which one event changed.

Single changes are the whole set only where no second event may change: two that fail together are not missed.
"""

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert import LIF, EventChange, EventRegion, LInf, SpikeFlip, SpikeShift, SpikingNetwork, verify
from spikecert.certify.listing import Walk, walked
from spikecert.certify.perturbations import Perturbation
from spikecert.certify.perturbations.base import Changes, Members
from spikecert.certify.problem import Problem
from spikecert.certify.replay import margins
from spikecert.certify.verifiers.enumeration import Enumeration, OneChange
from spikecert.kernels.members import members_kernel
from spikecert.models.circuit import circuit
from support.eager import eager_sums, members_agree
from support.examples import examples

SEEDS = st.integers(0, 2**31)
MOST = 2000
"""Members of a set that are all run; of more than that, one event moves."""


@st.composite
def networks(draw: st.DrawFn) -> SpikingNetwork:
    """Return a network whose weights and thresholds lie on a grid: potentials meet thresholds exactly."""
    steps, hidden = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    reset, decay = draw(st.sampled_from(["zero", "subtract", "none"])), draw(st.sampled_from([0.0, 0.5, 0.9, 1.0]))
    scale = draw(st.sampled_from([1.0, 1.0, 64.0, 2.0**-10]))
    first = nn.Linear(4, hidden, bias=draw(st.booleans())), LIF(decay, scale * 0.75, reset)
    network = SpikingNetwork(nn.Flatten(), *first, nn.Linear(hidden, 3), num_steps=steps, encoding="none")
    generator = torch.Generator().manual_seed(draw(SEEDS))
    for parameter in network.parameters():
        parameter.data = (torch.randn(parameter.shape, generator=generator) * 4).round() / 4
    next(network.parameters()).data.mul_(scale)
    return network.to(draw(st.sampled_from([torch.float32, torch.float64]))).eval()


@st.composite
def changes(draw: st.DrawFn, steps: int) -> Perturbation:
    """Return a set of events that move, flip, or both, within any budgets and rules."""
    where = draw(st.sampled_from([None, EventRegion(steps=(0, max(1, steps - 1)))]))
    flips = SpikeFlip(draw(st.integers(0, 2)), draw(st.sampled_from(["flip", "insert", "delete"])), where)
    jitter = draw(st.sampled_from([None, min(1, steps - 1), steps - 1]))
    budgets = draw(st.sampled_from([(1, None), (None, 1), (1, 2), (2, None), (None, 3), (None, None)]))
    merge = draw(st.sampled_from(["or", "add", "refuse"]))
    shifts = SpikeShift(jitter, *budgets, merge, draw(st.sampled_from(["stay", "leave"])), where=where)
    both = EventChange(flips, replace(shifts, merge="or"))
    return draw(st.sampled_from([flips, shifts, both]))


@st.composite
def questions(draw: st.DrawFn) -> Problem:
    """Return a recording of several events a feature, the network's own answer, and a set around it."""
    network, generator = draw(networks()), torch.Generator().manual_seed(draw(SEEDS))
    steps = network.num_steps
    threat = draw(changes(steps))
    adds = isinstance(threat, SpikeShift) and threat.merge == "add"
    events = (torch.rand(1, steps, 2, 2, generator=generator) * draw(st.sampled_from([1.2, 1.9]))).floor()
    events = events * (torch.randint(1, 3, events.shape, generator=generator) if adds else 1)
    if members_of(threat, events[0]).count > MOST:
        threat = threat.alone()[-1]
    events = events.to(network.dtype)
    with torch.no_grad():
        labels = network(events).argmax(1)
    return Problem(
        network, events, labels, threat, made=circuit(network), ties=draw(st.sampled_from(["argmax", "strict"]))
    )


def members_of(threat: Perturbation, sample: Tensor) -> Members:
    """Return the members of a set."""
    found = threat.members(sample)
    assert found is not None
    return found


def members(threat: Perturbation, sample: Tensor) -> Tensor:
    """Return all recordings of a set."""
    return torch.cat(list(members_of(threat, sample).batches(256))).to(sample.dtype)


def least(problem: Problem, threat: Perturbation) -> float:
    """Return the least margin of all recordings of a set."""
    points = members(threat, problem.inputs[0])
    with torch.no_grad():
        return float(margins(problem.network(points), problem.labels.expand(len(points)), problem.ties).min())


@examples(80)
@given(problem=questions(), all_=st.booleans())
def test_it_decides_as_all_members_do(problem: Problem, all_: bool):
    threat = problem.perturbation
    (verdict,) = (Enumeration() if all_ else OneChange()).decide(problem)
    lowest, steps = least(problem, threat), walked(problem, members_of(threat, problem.inputs[0]))
    alone = lowest if all_ else min(least(problem, each) for each in threat.alone())
    if verdict.status == "verified":
        assert lowest > 0
        assert verdict.margin is not None
        assert verdict.margin <= lowest + 1e-5 * (1 + abs(lowest))
    if alone <= 0 and (steps or all_):
        assert verdict.status == "falsified" or alone > -1e-4
    if verdict.status == "falsified":
        assert verdict.counterexample is not None
        assert bool(threat.contains(verdict.counterexample[None], problem.inputs))
        with torch.no_grad():
            logits = problem.network(verdict.counterexample[None])
        assert float(margins(logits, problem.labels, problem.ties)) <= 0


@examples(60)
@given(problem=questions(), seed=SEEDS, size=st.sampled_from([3, 1000]))
def test_spikes_of_each_member_lie_between_the_ends(problem: Problem, seed: int, size: int):
    found, (_, first, hidden, *_) = members_of(problem.perturbation, problem.inputs[0]), problem.network.layers
    if not walked(problem, found):
        return
    assert isinstance(hidden, LIF)
    walk, rows = Walk.of(problem, found), torch.randn(2, problem.network.num_steps, dtype=torch.float64)
    for changed in walk.members(size):
        fired, points = walk.spikes(changed), changed.applied(problem.inputs[0]).to(problem.inputs.dtype)
        assert bool(problem.perturbation.contains(points, problem.inputs.expand_as(points)).all())
        with torch.no_grad():
            current = first(points.flatten(2)).transpose(0, 1)
            spikes = hidden(current, problem.network.num_steps).double()
        run, box = torch.tensordot(rows, spikes, 1), fired.combine(rows)
        for low, high in (eager_sums(fired.layer, fired.constants, fired.reset, rows), (box.lower, box.upper)):
            assert bool(((low <= run + 1e-9) & (run <= high + 1e-9)).all())
        assert bool(((fired.steps().lower <= spikes) & (spikes <= fired.steps().upper)).all())


@examples(80)
@given(data=st.data(), steps=st.integers(1, 4), seed=SEEDS)
def test_members_are_all_that_a_set_holds(data: st.DataObject, steps: int, seed: int):
    threat, generator = data.draw(changes(steps)), torch.Generator().manual_seed(seed)
    sample = (torch.rand(steps, 2, generator=generator) < 0.5).double()
    listed, most = members(threat, sample), 3 if isinstance(threat, SpikeShift) and threat.merge == "add" else 2
    every = torch.cartesian_prod(*[torch.arange(float(most), dtype=torch.float64)] * (2 * steps)).view(
        -1, steps, 2
    )
    held = every[threat.contains(every, sample.expand_as(every))]
    assert {*map(str, held.tolist())} <= {*map(str, listed.tolist())}
    assert bool(threat.contains(listed, sample.expand_as(listed)).all())
    assert len(listed) == members_of(threat, sample).count


def only(problem: Problem) -> Changes:
    """Return all members of a small set at once."""
    found = list(members_of(problem.perturbation, problem.inputs[0]).changes(1000))
    most = max(each.entries.shape[1] for each in found)
    parts = [
        torch.nn.functional.pad(part, (0, most - part.shape[1])) for each in found for part in vars(each).values()
    ]
    return Changes(torch.cat(parts[::2]), torch.cat(parts[1::2]))


@pytest.mark.parametrize("towards", [0.0, 1.0])
@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
def test_what_rounding_may_decide_goes_either_way(towards: float, reset: str):
    first, hidden = nn.Linear(2, 1, bias=False), LIF(0.0, 0.75, reset)
    network = SpikingNetwork(first, hidden, nn.Linear(1, 2), num_steps=4, encoding="none")
    first.weight.data.fill_(float(torch.nextafter(torch.tensor(0.75), torch.tensor(towards))))
    events = torch.zeros(1, 4, 2)
    events[0, 1, 0] = 1.0
    made, threat = circuit(network.eval()), SpikeShift(None, count=1)
    problem = Problem(network, events, torch.tensor([0]), threat, made=made, ties="argmax")
    walk = Walk.of(problem, members_of(threat, events[0]))
    box = walk.spikes(only(problem)).combine(torch.ones(1, 4).double())
    assert bool((box.lower == 0).all())
    assert bool((box.upper == 1).all())


@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_many_neurons_and_steps_are_decided_as_each_run_alone(reset: str):
    torch.manual_seed(3)
    layers = nn.Linear(30, 45), LIF(0.9, reset=reset), nn.Linear(45, 4)
    network = SpikingNetwork(*layers, num_steps=40, encoding="none").eval()
    events = (torch.rand(6, 40, 30) < 0.1).float()
    with torch.no_grad():
        labels = network(events).argmax(1)
    threat = SpikeShift(3, count=1)
    found = verify(network, events, labels, threat, OneChange())
    for verdict, sample, label in zip(found, events, labels, strict=True):
        points = members(threat, sample)
        with torch.no_grad():
            lowest = float(margins(network(points), label.expand(len(points))).min())
        assert verdict.status == ("verified" if lowest > 0 else "falsified")
        assert verdict.margin is None or lowest - 1e-4 < verdict.margin <= lowest


def test_the_kernel_finds_what_torch_does():
    assert members_agree(members_kernel())


def test_others_are_left_alone():
    network = SpikingNetwork(nn.Linear(4, 3), LIF(0.5), nn.Linear(3, 2), num_steps=3, encoding="none").eval()
    deep = SpikingNetwork(
        nn.Linear(4, 3), LIF(0.5), nn.Linear(3, 3), LIF(0.5), nn.Linear(3, 2), num_steps=3, encoding="none"
    ).eval()
    events = torch.ones(1, 3, 4)
    for made, threat, inputs in (
        (network, LInf(0.1), events),
        (deep, SpikeShift(1, 1), events),
        (network, SpikeShift(1, 1), torch.zeros(1, 3, 4)),
        (network, SpikeShift(0), events),
    ):
        (verdict,) = OneChange().decide(Problem(made, inputs, made(inputs).argmax(1), threat))
        assert verdict.status == "unknown"
        assert "not stepped" in verdict.reason or "none of its events" in verdict.reason
    (verdict,) = OneChange(most=2).decide(
        Problem(network, events, network(events).argmax(1), SpikeShift(1, 1, merge="add"))
    )
    assert "more than 2" in verdict.reason


def test_late_is_told():
    network = SpikingNetwork(nn.Linear(4, 3), LIF(0.5), nn.Linear(3, 2), num_steps=3, encoding="none").eval()
    events = torch.zeros(1, 3, 4)
    events[0, 1] = 1
    (verdict,) = OneChange().decide(
        Problem(network, events, network(events).argmax(1), SpikeShift(1, 1), deadline=0.0)
    )
    assert verdict.status == "unknown"


@pytest.mark.parametrize("most", [-1, 0.5, "2"])
def test_a_number_of_moves_is_a_whole_one(most: object):
    with pytest.raises((TypeError, ValueError), match="most"):
        OneChange(most)  # type: ignore[arg-type]


def meeting(*events: tuple[int, int]) -> tuple[SpikingNetwork, Tensor]:
    """Return a network whose class changes where events of both inputs meet in one step, and a recording."""
    network = SpikingNetwork(nn.Linear(2, 1), LIF(0.0, 1.5), nn.Linear(1, 2), num_steps=4, encoding="none").eval()
    numbers = [[[1.0, 1.0]], [0.0], [[-8.0], [8.0]], [1.0, 0.0]]
    for values, own in zip(network.parameters(), numbers, strict=True):
        values.data = torch.tensor(own)
    sample = torch.zeros(1, 4, 2)
    for place in events:
        sample[0][place] = 1.0
    return network, sample


BOTH, ONE = ((0, 0), (3, 1)), ((0, 0),)
SETS = {
    "one event, one move": (ONE, {"count": 1}, "verified"),
    "two events, one moves": (BOTH, {"count": 1}, "verified"),
    "two events, one step in all": (BOTH, {"count": None, "total": 1}, "verified"),
    "two events, two move": (BOTH, {"count": 2}, "unknown"),
    "two events, both may": (BOTH, {"count": None}, "unknown"),
    "two events, three steps in all": (BOTH, {"count": None, "total": 3}, "unknown"),
}


@pytest.mark.parametrize("name", SETS)
def test_two_moves_are_no_single_ones(name: str):
    events, budgets, status = SETS[name]
    (network, sample), settings = meeting(*events), dict[str, Any](budgets)
    threat = SpikeShift(2, settings.pop("count"), **settings)
    members = torch.cat(list(threat.members(sample[0]).batches(64))).to(sample)
    with torch.no_grad():
        breaks = bool((network(members).argmax(1) != 0).any())
    assert breaks == (status == "unknown")
    problem = Problem(network, sample, torch.tensor([0]), threat, made=circuit(network))
    assert OneChange().decide(problem)[0].status == status
