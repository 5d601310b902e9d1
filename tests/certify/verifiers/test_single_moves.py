"""All moves of one event at once: against runs of every recording of which one event has moved.

Single moves are the whole set only where no second event may move: two that fail together are not missed.
"""

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert import LIF, EventRegion, LInf, SpikeFlip, SpikeShift, SpikingNetwork, verify
from spikecert.certify.problem import Problem
from spikecert.certify.replay import margins
from spikecert.certify.verifiers.single_moves import OneMove, SingleMoves, steps_moves
from spikecert.certify.verifiers.single_moves import _Moved as Moved
from spikecert.kernels.moves import moves_kernel
from spikecert.models.circuit import circuit
from spikecert.models.rules import Leaky
from support.eager import eager_sums, moves_agree
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
def questions(draw: st.DrawFn) -> Problem:
    """Return a recording of several events a feature, the network's own answer, and moves within any budgets."""
    network, generator = draw(networks()), torch.Generator().manual_seed(draw(SEEDS))
    steps, merge = network.num_steps, draw(st.sampled_from(["or", "add", "refuse"]))
    events = (torch.rand(1, steps, 2, 2, generator=generator) * draw(st.sampled_from([1.2, 1.9]))).floor()
    events = events * (torch.randint(1, 3, events.shape, generator=generator) if merge == "add" else 1)
    jitter = draw(st.sampled_from([None, min(1, steps - 1), steps - 1]))
    budgets = draw(st.sampled_from([(1, None), (None, 1), (1, 2), (2, None), (None, 3), (None, None)]))
    where = draw(st.sampled_from([None, EventRegion(steps=(0, max(1, steps - 1)))]))
    threat = SpikeShift(jitter, *budgets, merge, draw(st.sampled_from(["stay", "leave"])), where=where)
    if threat.members(events[0]).count > MOST:
        threat = replace(threat, count=1)
    events = events.to(network.dtype)
    with torch.no_grad():
        labels = network(events).argmax(1)
    return Problem(
        network, events, labels, threat, made=circuit(network), ties=draw(st.sampled_from(["argmax", "strict"]))
    )


def members(threat: SpikeShift, sample: Tensor) -> Tensor:
    """Return all recordings of a set."""
    return torch.cat(list(threat.members(sample).batches(256))).to(sample.dtype)


@examples(60)
@given(problem=questions())
def test_it_decides_as_all_members_do(problem: Problem):
    (verdict,) = OneMove().decide(problem)
    threat, label = problem.perturbation, problem.labels
    assert isinstance(threat, SpikeShift)
    alone = replace(threat, count=1) if threat.count is None or threat.count > 1 else threat
    with torch.no_grad():
        all_, ones = (members(each, problem.inputs[0]) for each in (threat, alone))
        whole, single = (margins(problem.network(x), label.expand(len(x)), problem.ties) for x in (all_, ones))
    if verdict.status == "verified":
        assert float(whole.min()) > 0
        assert verdict.margin is not None
        assert verdict.margin <= float(whole.min()) + 1e-5 * (1 + whole.abs().max())
    if float(single.min()) <= 0 and steps_moves(problem):
        assert verdict.status == "falsified" or float(single.min()) > -1e-4 * (1 + single.abs().max())
    if verdict.status == "falsified":
        assert verdict.counterexample is not None
        assert bool(threat.contains(verdict.counterexample[None], problem.inputs))
        with torch.no_grad():
            logits = problem.network(verdict.counterexample[None])
        assert float(margins(logits, label, problem.ties)) <= 0


@examples(40)
@given(problem=questions(), seed=SEEDS)
def test_spikes_of_each_member_lie_between_the_ends(problem: Problem, seed: int):
    if not steps_moves(problem):
        return
    found, hidden = Moved.of(problem), problem.network.layers[2]
    assert isinstance(hidden, LIF)
    rule = hidden.rule(problem.network.num_steps)
    assert isinstance(rule, Leaky)
    fired = SingleMoves.of(found.events, rule, found.moves)
    rows = torch.randn(2, problem.network.num_steps, generator=torch.Generator().manual_seed(seed)).double()
    points = found.recordings(torch.arange(len(found))).to(problem.inputs.dtype)
    with torch.no_grad():
        current = problem.network.layers[1](points.flatten(2)).transpose(0, 1)
        spikes = hidden(current, problem.network.num_steps).double()
    run = torch.tensordot(rows, spikes, 1)
    eager = eager_sums(fired.layer, fired.constants, fired.reset, rows)
    assert bool((eager[0] <= run + 1e-9).all())
    assert bool((run <= eager[1] + 1e-9).all())
    box = fired.combine(rows)
    assert bool((box.lower <= run + 1e-9).all())
    assert bool((run <= box.upper + 1e-9).all())
    assert bool((fired.steps().lower <= spikes).all())
    assert bool((spikes <= fired.steps().upper).all())


@pytest.mark.parametrize("towards", [0.0, 1.0])
@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
def test_what_rounding_may_decide_goes_either_way(towards: float, reset: str):
    first, hidden = nn.Linear(2, 1, bias=False), LIF(0.0, 0.75, reset)
    network = SpikingNetwork(first, hidden, nn.Linear(1, 2), num_steps=4, encoding="none")
    first.weight.data.fill_(float(torch.nextafter(torch.tensor(0.75), torch.tensor(towards))))
    events = torch.zeros(1, 4, 2)
    events[0, 1, 0] = 1.0
    made, threat = circuit(network.eval()), SpikeShift(None, count=1)
    found = Moved.of(Problem(network, events, torch.tensor([0]), threat, made=made, ties="argmax"))
    rule = hidden.rule(4)
    assert isinstance(rule, Leaky)
    box = SingleMoves.of(found.events, rule, found.moves).combine(torch.ones(1, 4).double())
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
    found = verify(network, events, labels, threat, OneMove())
    for verdict, sample, label in zip(found, events, labels, strict=True):
        points = members(threat, sample)
        with torch.no_grad():
            least = float(margins(network(points), label.expand(len(points))).min())
        assert verdict.status == ("verified" if least > 0 else "falsified")
        assert verdict.margin is None or least - 1e-4 < verdict.margin <= least


def test_the_kernel_finds_what_torch_does():
    assert moves_agree(moves_kernel())


def test_others_are_left_alone():
    network = SpikingNetwork(nn.Linear(4, 3), LIF(0.5), nn.Linear(3, 2), num_steps=3, encoding="none").eval()
    deep = SpikingNetwork(
        nn.Linear(4, 3), LIF(0.5), nn.Linear(3, 3), LIF(0.5), nn.Linear(3, 2), num_steps=3, encoding="none"
    ).eval()
    events = torch.ones(1, 3, 4)
    for made, threat, inputs in (
        (network, SpikeFlip(1), events),
        (network, LInf(0.1), events),
        (deep, SpikeShift(1, 1), events),
        (network, SpikeShift(1, 1), torch.zeros(1, 3, 4)),
        (network, SpikeShift(0), events),
    ):
        (verdict,) = OneMove().decide(Problem(made, inputs, made(inputs).argmax(1), threat))
        assert verdict.status == "unknown"
        assert "not stepped" in verdict.reason
    (verdict,) = OneMove(most=2).decide(
        Problem(network, events, network(events).argmax(1), SpikeShift(1, 1, merge="add"))
    )
    assert "more than 2" in verdict.reason


def test_late_is_told():
    network = SpikingNetwork(nn.Linear(4, 3), LIF(0.5), nn.Linear(3, 2), num_steps=3, encoding="none").eval()
    events = torch.zeros(1, 3, 4)
    events[0, 1] = 1
    (verdict,) = OneMove().decide(
        Problem(network, events, network(events).argmax(1), SpikeShift(1, 1), deadline=0.0)
    )
    assert verdict.status == "unknown"


@pytest.mark.parametrize("most", [-1, 0.5, "2"])
def test_a_number_of_moves_is_a_whole_one(most: object):
    with pytest.raises((TypeError, ValueError), match="most"):
        OneMove(most)  # type: ignore[arg-type]


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
    "one event, any moves": (ONE, {"count": None}, "verified"),
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
    assert OneMove().decide(problem)[0].status == status
