"""Small sets, listed: against lists made otherwise, with what rounding leaves open and what is too much.

Members of sets of events, walked: against runs of every one of them, and of those of which one event changed.

Single changes are the whole set only where no second event may change: two that fail together are not missed.
"""

import math
import time
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert import LIF, EventChange, LInf, RateDraws, SpikeFlip, SpikeShift, SpikingNetwork, mlp, verify
from spikecert.certify import EventRegion
from spikecert.certify.listing import MemberWalk, rate_members, walked
from spikecert.certify.perturbations import Perturbation
from spikecert.certify.perturbations.base import ChangedMembers
from spikecert.certify.problem import Problem
from spikecert.certify.replay import margins
from spikecert.certify.verifiers import Complete, Enumeration
from spikecert.certify.verifiers.enumeration import OneChange
from spikecert.kernels.walks import ListedLayer, member_sums
from spikecert.models import Recurrent
from spikecert.models.circuit import circuit
from spikecert.models.running.encoding import rate_code
from spikecert.testing import Case, EventCase, cases, event_cases
from support.eager import eager_sums, members_agree
from support.examples import examples
from support.oracles import every_flip, every_rate, least_margin


def rows(inputs: Tensor) -> list[tuple[float, ...]]:
    return sorted(map(tuple, inputs.double().flatten(1).tolist()))


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
    assert all(v.status == "falsified" or "the time was up" in v.reason for v in verdicts)


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
    deeper = [nn.Linear(hidden, hidden), LIF(decay, 0.75, reset)] * draw(st.integers(0, 1))
    network = SpikingNetwork(nn.Flatten(), *first, *deeper, nn.Linear(hidden, 3), num_steps=steps, encoding="none")
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


def members_of(threat: Perturbation, sample: Tensor) -> ChangedMembers:
    """Return the members of a set."""
    found = threat.members(sample)
    assert isinstance(found, ChangedMembers)
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
    walk, rows = (
        MemberWalk.of(problem, found.free),
        torch.randn(2, problem.network.num_steps, dtype=torch.float64),
    )
    for changed in found.changes(size):
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


def test_currents_of_runs_lie_between_the_ends_whatever_they_round():
    torch.manual_seed(0)
    first = nn.Linear(200, 5)
    network = SpikingNetwork(first, LIF(0.9), nn.Linear(5, 2), num_steps=3, encoding="none").eval()
    events = (torch.rand(1, 3, 200) < 0.5).float()
    problem = Problem(network, events, torch.tensor([0]), SpikeFlip(1), made=circuit(network))
    found = members_of(problem.perturbation, events[0])
    for changed in found.changes(1000):
        layer = MemberWalk.of(problem, found.free).spikes(changed).layer
        at = (layer.step[..., None] == torch.arange(3)) * layer.weight[..., None]
        added = torch.einsum("mkt,mkn->tmn", at, layer.columns[layer.event])
        with torch.no_grad():
            run = first(changed.applied(events[0]).float()).double().transpose(0, 1)
        assert bool(((layer.lower[:, None] + added <= run) & (run <= layer.upper[:, None] + added)).all())


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
    found = members_of(threat, events[0])
    for changed in found.changes(1000):
        box = MemberWalk.of(problem, found.free).spikes(changed).combine(torch.ones(1, 4).double())
        assert bool(((box.lower == 0) & (box.upper == 1)).all())


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
    assert members_agree()


@pytest.mark.parametrize(("last", "unit"), [(0.75, 0.0), (0.7, 0.05)])
def test_a_tie_behind_what_has_changed_is_a_doubt(last: float, unit: float):
    """A change of nothing, then a potential that meets the end from which on it may fire, or by rounding alone."""
    still, upper = torch.zeros(3, 1).double(), torch.tensor([[0.0], [0.0], [last]]).double()
    one = torch.zeros(1, 1).long()
    layer = ListedLayer(still, upper, torch.ones(3).double(), still[:1], one, one, torch.ones(1, 1).double())
    low, high = member_sums(layer, (0.5, 1.25, 0.75, 1.0, 1.0, unit, 0.0), "zero", torch.ones(1, 3).double())
    assert (low.item(), high.item()) == (0.0, 1.0)


def test_others_are_left_alone():
    network = SpikingNetwork(nn.Linear(4, 3), LIF(0.5), nn.Linear(3, 2), num_steps=3, encoding="none").eval()
    heard = Recurrent(LIF(0.5), nn.Linear(3, 3))
    loop = SpikingNetwork(nn.Linear(4, 3), heard, nn.Linear(3, 2), num_steps=3, encoding="none").eval()
    events = torch.ones(1, 3, 4)
    for made, threat, inputs in (
        (network, LInf(0.1), events),
        (loop, SpikeShift(1, 1), events),
        (network, SpikeShift(1, 1), torch.zeros(1, 3, 4)),
        (network, SpikeShift(0), events),
    ):
        (verdict,) = OneChange().decide(Problem(made, inputs, made(inputs).argmax(1), threat))
        assert verdict.status == "unknown"
        assert "no single change" in verdict.reason
    problem = Problem(network, events, network(events).argmax(1), SpikeShift(1, 1, merge="add"))
    (verdict,) = OneChange(patience=2**14).decide(problem)
    assert "members, above the" in verdict.reason


def test_what_is_late_or_not_listed_is_told(monkeypatch: pytest.MonkeyPatch):
    network = SpikingNetwork(nn.Linear(4, 3), LIF(0.5), nn.Linear(3, 2), num_steps=3, encoding="none").eval()
    events = torch.eye(3, 4)[None]
    problem = Problem(network, events, network(events).argmax(1), SpikeShift(1, 1))
    assert OneChange().decide(replace(problem, deadline=0.0))[0].status == "unknown"
    assert [bool(Enumeration().takes(replace(problem, deadline=end))) for end in (None, 0.0)] == [True, False]
    monkeypatch.setattr("spikecert.certify.verifiers.enumeration.parts", lambda *_: iter(()))
    assert Enumeration().decide(problem)[0].reason == "0 of the set's 5 members were listed"


@pytest.mark.parametrize("most", [-1, 0.5, "2"])
def test_a_number_of_moves_is_a_whole_one(most: object):
    with pytest.raises((TypeError, ValueError), match="patience"):
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
