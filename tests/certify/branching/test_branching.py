"""The complete verifier: against the exact line oracle, against sampling, and piece by piece.

The search stops in time, and what it had no time for is proven by nothing.
"""

import time
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from spikecert import L2, LIF, LInf, SpikeFlip, SpikingNetwork, attack, mlp, verify
from spikecert.certify import search as pace
from spikecert.certify.bounds.prices.price_search import pair_prices
from spikecert.certify.bounds.prices.prices import Evaluation, PricedProblem, Specifications
from spikecert.certify.bounds.signals.signals import InputSignal
from spikecert.certify.bounds.signals.windows import Box
from spikecert.certify.bounds.trains.train_graph import GraphTrains, graph_trains
from spikecert.certify.bounds.trains.train_table import TableTrains
from spikecert.certify.branching import bounding
from spikecert.certify.branching import search as branching
from spikecert.certify.branching import workers as crew
from spikecert.certify.branching.bounding import Bounded, Climb, bound_nodes
from spikecert.certify.branching.fused_climb import FusedClimb
from spikecert.certify.branching.nodes.decisions import OPEN, FixedSpikes, NodePool, Nodes, RowRanges, trim_rows
from spikecert.certify.branching.question import MarginQuestion
from spikecert.certify.branching.search import Experience, OpenNodes, Search
from spikecert.certify.replay import margins
from spikecert.certify.rounding import Rounding
from spikecert.certify.search import FIRST, Limits, Pace
from spikecert.certify.verifiers import TRAINS, Complete
from spikecert.models import Residual, deadline
from spikecert.models.circuit import leaky_rule
from spikecert.testing import Case, cases, neurons, points
from support.examples import examples
from support.graphs import paths
from support.oracles import line_margin
from support.searches import Given, all_margins, searched

QUICK = Complete(Search(batch=64, start=Climb(10), climb=Climb(5)))
EXAMPLES = examples(150)


def wide_network(seed: int = 0, **constants: object) -> Given:
    """Return a network whose bounds leave much open, with six samples and its own answers."""
    return searched((6, 12, 8, 3), 5, 6, LIF(decay=0.9, **constants), seed)  # pyright: ignore


def check_against_the_line(case: Case) -> None:
    """Decide every sample of a network with one input, and compare with the exact margin over its interval."""
    if case.network.encoding != "direct":
        case.network.encoding = "direct"
        case = Case(case.network, case.inputs[:, 0], case.network(case.inputs[:, 0]).argmax(1), case.epsilon)
    found = verify(case.network, case.inputs, case.labels, LInf(case.epsilon), QUICK)
    for verdict, sample, label in zip(found, case.inputs.tolist(), case.labels.tolist(), strict=True):
        low, high = max(sample[0] - case.epsilon, 0.0), min(sample[0] + case.epsilon, 1.0)
        exact = line_margin(case.network, low, high, label)
        if verdict.status == "verified":
            assert verdict.margin is not None
            assert exact >= verdict.margin - 1e-9
        if verdict.status == "unknown":
            assert "rounding" in verdict.reason or "replay" in verdict.reason, "only a tie may stay open"


@EXAMPLES
@given(case=cases(features=1, dtypes=(torch.float64,)))
def test_decides_as_the_line_oracle_does(case: Case):
    check_against_the_line(case)


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None)
@given(case=cases(features=1, most_width=6, dtypes=(torch.float64,)))
def test_ten_thousand_networks_are_decided_as_the_line_oracle_does(case: Case):
    check_against_the_line(case)


@EXAMPLES
@given(case=cases(), seed=st.integers(0, 2**31))
def test_no_input_falls_in_a_verified_set(case: Case, seed: int):
    found = verify(case.network, case.inputs, case.labels, LInf(case.epsilon), QUICK, timeout=0.5)
    candidates = points(case, 60, torch.Generator().manual_seed(seed))
    with torch.no_grad():
        least = torch.stack([margins(case.network(x).double(), case.labels) for x in candidates]).amin(0)
    for index, verdict in enumerate(found):
        if verdict.margin is not None:
            assert float(least[index]) >= verdict.margin
        if verdict.counterexample is not None:
            logits = case.network(verdict.counterexample[None])
            assert bool(margins(logits, case.labels[index : index + 1]) <= 0)


@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
def test_decides_every_sample_of_a_deep_network(reset: str):
    network, inputs, labels = wide_network(reset=reset)
    left = TRAINS.margins(network, inputs, labels, LInf(0.15)) <= 0
    assert bool(left.any()), "bounds alone must not be enough for this test"
    found = verify(network, inputs, labels, LInf(0.15), "complete", timeout=20.0)
    assert {verdict.status for verdict in found} <= {"verified", "falsified"}
    broken = attack(network, inputs, labels, LInf(0.15), "ensemble").success.tolist()
    for verdict, success in zip(found, broken, strict=True):
        assert verdict.status == "falsified" or not success


@pytest.mark.parametrize("threat", [L2(0.2), LInf(0.1)], ids=["l2", "linf"])
def test_the_verdict_does_not_depend_on_the_batch(threat: L2 | LInf):
    network, inputs, labels = wide_network(1)
    found = [
        [v.status for v in verify(network, inputs, labels, threat, Complete(Search(batch=batch)))]
        for batch in (2, 64, 1024)
    ]
    assert found[0] == found[1] == found[2]


def event_network() -> SpikingNetwork:
    torch.manual_seed(2)
    network = mlp((3, 6, 3), num_steps=3, neuron=LIF(decay=0.8)).eval()
    network.encoding = "none"
    for name, parameter in network.named_parameters():
        if name.endswith("weight"):
            parameter.data *= 3.0
    return network


def test_decides_where_inputs_vary_over_time():
    network, inputs = event_network(), torch.rand(6, 3, 3)
    with torch.no_grad():
        labels = network(inputs).argmax(1)
    assert bool((TRAINS.margins(network, inputs, labels, LInf(0.3)) <= 0).any())
    found = verify(network, inputs, labels, LInf(0.3), "complete", timeout=20.0)
    assert {verdict.status for verdict in found} <= {"verified", "falsified"}


def test_decides_flipped_events_as_enumeration_does():
    network = event_network()
    inputs = torch.bernoulli(torch.full((8, 3, 3), 0.5))
    with torch.no_grad():
        labels = network(inputs).argmax(1)
    found = verify(network, inputs, labels, SpikeFlip(1), "complete", timeout=20.0)
    single = torch.eye(9).view(9, 3, 3)
    for verdict, events, label in zip(found, inputs, labels, strict=True):
        with torch.no_grad():
            logits = network(torch.cat([events[None], (events - single).abs()]))
        falls = bool((margins(logits, label.expand(10)) <= 0).any())
        assert verdict.status != ("verified" if falls else "falsified")


def test_time_is_kept_and_the_bound_is_proven():
    network, inputs, labels = wide_network(0)
    slow = Complete(Search(batch=2, start=Climb(0), climb=Climb(0)))
    started = time.perf_counter()
    found = verify(network, inputs, labels, LInf(0.15), slow, timeout=0.02)
    assert time.perf_counter() - started < 3.0
    open_samples = [index for index, verdict in enumerate(found) if verdict.status == "unknown"]
    assert open_samples
    least = TRAINS.margins(network, inputs, labels, LInf(0.15))
    for index in open_samples:
        margin = found[index].margin
        assert margin is not None
        assert margin >= float(least[index]) - 1e-9


def test_little_memory_gives_the_same_verdicts():
    network, inputs, labels = wide_network(5)
    plenty = [v.status for v in verify(network, inputs, labels, LInf(0.1), Complete())]
    scarce = Complete(Search(batch=8, most_bytes=1))
    assert [v.status for v in verify(network, inputs, labels, LInf(0.1), scarce)] == plenty


def test_a_network_that_branching_does_not_reach_is_unknown():
    torch.manual_seed(6)
    block = Residual([torch.nn.Linear(4, 4), LIF(decay=0.9)])
    network = SpikingNetwork(block, torch.nn.Linear(4, 3), num_steps=4).eval()
    inputs = torch.rand(4, 4)
    with torch.no_grad():
        labels = network(inputs).argmax(1)
    left = TRAINS.margins(network, inputs, labels, LInf(0.5)) <= 0
    assert bool(left.any())
    found = verify(network, inputs, labels, LInf(0.5), Complete(programs=None), timeout=5.0)
    for verdict, is_open in zip(found, left.tolist(), strict=True):
        assert verdict.status == ("unknown" if is_open else "verified")
        assert not is_open or "does not reach" in verdict.reason


def test_what_trimming_leaves_says_nothing_of_what_it_dropped():
    torch.manual_seed(98)  # a root that trimming turns into a leaf: its emptiness is no margin
    network = mlp((1, 4, 2), num_steps=3, neuron=LIF(decay=0.5, threshold=0.25)).double().eval()
    for parameter in network.parameters():
        parameter.data *= 3.0
    inputs = torch.rand(6, 1).double()
    with torch.no_grad():
        labels = network(inputs).argmax(1)
    for verdict, sample, label in zip(
        verify(network, inputs, labels, LInf(0.2), "complete"), inputs[:, 0].tolist(), labels.tolist(), strict=True
    ):
        assert verdict.margin is not None
        low, high = max(sample - 0.2, 0.0), min(sample + 0.2, 1.0)
        assert verdict.margin <= line_margin(network, low, high, label) + 1e-9


def dropped_rows(seed: int) -> tuple[MarginQuestion, Nodes]:
    """Trim the roots of a network, and return each row that was dropped as a node of its own, prices kept."""
    question, roots = some_nodes(12, seed, epsilon=0.15)
    bounded = bound_nodes(question, roots, Climb(30))
    network, _ = question.staged(roots)
    rows = torch.arange(len(roots))
    problem = PricedProblem.of(network, Specifications(rows, question.specifications.coefficients[roots.row]))
    prices = pair_prices(problem, tuple(price.double() for price in bounded.nodes.prices))
    before, found = roots.decisions, network.stages[0].trains
    assert isinstance(before, RowRanges)
    assert isinstance(found, TableTrains)
    after = trim_rows(problem, prices, problem.evaluate(prices), before)
    row = torch.arange(len(found.table.lower))
    reachable = (row >= found.first.flatten(1)[..., None]) & (row <= found.last.flatten(1)[..., None])
    dropped = reachable & ((row < after.first[..., None]) | (row > after.last[..., None]))
    node, neuron, chosen = dropped.nonzero(as_tuple=True)
    first, last = before.first[node].clone(), before.last[node].clone()
    each = torch.arange(len(node))
    first[each, neuron] = last[each, neuron] = chosen.to(first.dtype)
    unbounded = torch.full((len(node),), -torch.inf, dtype=torch.float64)
    return question, replace(bounded.nodes.select(node), decisions=RowRanges(first, last), bound=unbounded)


def test_each_row_that_trimming_drops_is_proven_by_the_same_prices():
    seen = 0
    for seed in range(8):
        question, rows = dropped_rows(seed)
        if len(rows):
            assert bool((bound_nodes(question, rows, Climb(0)).nodes.bound > 0).all())
        seen += len(rows)
    assert seen >= 3, "a test of trimming must see some"


@examples(150)
@given(data=st.data())
def test_fixed_spikes_leave_the_trains_that_have_them(data: st.DataObject):
    steps = data.draw(st.integers(1, 5))
    neuron = data.draw(neurons(steps, scaled=False))
    low = torch.tensor(data.draw(st.lists(st.floats(-1, 2), min_size=steps, max_size=steps))).double()
    width = torch.tensor(data.draw(st.lists(st.floats(0, 1.5), min_size=steps, max_size=steps))).double()
    box = Box(low.view(-1, 1, 1), (low + width).view(-1, 1, 1))
    found = (
        graph_trains(InputSignal(box, steps), leaky_rule(neuron, steps), Rounding(torch.float64))
        if steps > 1
        else None
    )
    if found is None:
        return
    fixed = data.draw(st.lists(st.sampled_from([OPEN, OPEN, 0, 1]), min_size=steps, max_size=steps))
    restricted = FixedSpikes(torch.tensor(fixed, dtype=torch.int8).view(1, steps, 1)).restrict(found)
    wanted = {t for t in paths(found) if all(f in (OPEN, s) for f, s in zip(fixed, t, strict=True))}
    assert bool(restricted.empty) == (not wanted)
    assert isinstance(restricted.trains, GraphTrains)
    if wanted:
        assert paths(restricted.trains) == wanted
        every = torch.tensor(sorted(wanted)).double()
        assert torch.equal(restricted.trains.box.lower.flatten(), every.amin(0))
        assert torch.equal(restricted.trains.box.upper.flatten(), every.amax(0))


def some_nodes(count: int, seed: int = 7, epsilon: float = 0.2) -> tuple[MarginQuestion, Nodes]:
    network, inputs, labels = wide_network(seed)
    left = torch.ones(len(inputs), 3, dtype=torch.bool).scatter(1, labels[:, None], False)
    question = MarginQuestion.of_margins(network, inputs, labels, LInf(epsilon), left)
    roots = question.roots()
    assert roots is not None
    return question, roots.select(torch.arange(count))


def test_the_pool_gives_the_worst_of_the_least_tried_rows_first():
    _, nodes = some_nodes(4)
    pool = NodePool(nodes, most_bytes=2**20)
    pool.put(replace(nodes, bound=torch.tensor([-1.0, -3.0, -2.0, -4.0]).double()))
    effort = torch.tensor([0, 0, 0, 100])
    assert pool.take(2, effort).bound.tolist() == [-3.0, -2.0]
    assert pool.least(5).tolist() == [-1.0, float("inf"), float("inf"), -4.0, float("inf")]
    pool.drop(torch.tensor([True, False, False, False]))
    assert pool.take(5, effort).bound.tolist() == [-4.0]
    assert len(pool) == 0


def test_experience_favours_what_worked():
    experience = Experience(rows=1, neurons=3)
    row = torch.zeros(1, dtype=torch.long)
    before = torch.tensor([-1.0]).double()
    experience.learn(row, torch.tensor([0]), before, before * 0.1, before * 0.2)
    experience.learn(row, torch.tensor([1]), before, before, before)
    good, bad, new = experience.weights(row)[0].tolist()
    assert good > new > bad


def asked() -> MarginQuestion:
    return all_margins(searched((6, 12, 8, 3), 5, 6), LInf(0.3))


def never_replays(candidate: Tensor, sample: int) -> bool:
    return False


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> "Clock":
    """Return a clock that the search goes by."""
    found = Clock()
    for module in (deadline, pace, crew):
        monkeypatch.setattr(module, "time", found)
    return found


class Clock:
    """Stands still unless it is set."""

    def __init__(self) -> None:
        self.now = 100.0

    def perf_counter(self) -> float:
        return self.now


def test_a_batch_is_as_large_as_the_time_that_is_left(clock: Clock):
    assert Pace(None).fits(500) == 500
    found = Pace(clock.now + 0.5)
    assert found.fits(500) == FIRST
    clock.now += 0.1
    found.note(10, 0.1)
    assert found.fits(500) == 20, "half of .4 s, at .01 s a node"
    clock.now += 0.1
    found.note(20, 0.1)
    assert found.fits(500) == 30, "half of .3 s: the slower of .005 and half of .01"
    assert not found.late
    clock.now += 0.291
    assert found.late, "two nodes take .01 s"
    assert not Pace(None).late
    clock.now += 0.709
    assert found.fits(500) == 2


@pytest.mark.parametrize("seconds", [0.5, 2.0])
def test_a_time_limit_is_kept_within_a_tenth(seconds: float, clock: Clock, monkeypatch: pytest.MonkeyPatch):
    def slow(question: MarginQuestion, nodes: Nodes, climb: Climb, *_: object) -> Bounded:
        clock.now += 0.01 + 0.01 * len(nodes)
        return bound_nodes(question, nodes, Climb(0))

    monkeypatch.setattr(crew, "bound_nodes", slow)
    monkeypatch.setattr(branching, "attack_from", lambda question, samples, starts, *_: (samples[:0], starts[:0]))
    started = clock.now
    answer = Search(batch=512).run(asked(), never_replays, started + seconds)
    assert answer is not None
    assert answer.expired
    assert clock.now - started < 1.1 * seconds


@pytest.mark.parametrize("iterations", [30, 300])
def test_a_climb_stops_when_time_is_up(iterations: int, monkeypatch: pytest.MonkeyPatch):
    """It takes the iterations for which there is time, and its bound is no worse than where it started."""
    question, clock = all_margins(searched((6, 12, 8, 3), 5, 6), LInf(0.05)), Clock()
    roots = question.roots()
    assert roots is not None
    monkeypatch.setattr(bounding, "time", clock)
    evaluate = PricedProblem.evaluate

    def slow(*arguments: Any, **options: Any) -> Evaluation:
        clock.now += 0.25
        return evaluate(*arguments, **options)

    monkeypatch.setattr(PricedProblem, "evaluate", slow)
    monkeypatch.setattr(FusedClimb, "of", staticmethod(lambda network: None))
    whole = bound_nodes(question, roots, Climb(iterations)).nodes.bound
    started = clock.now
    late = bound_nodes(question, roots, Climb(iterations), None, clock.now + 10.5).nodes.bound
    least = bound_nodes(question, roots, Climb(0)).nodes.bound
    assert clock.now - started <= 10.5 + 2 * 0.25, "and what counts in the end"
    assert bool((late >= least).all())
    assert torch.equal(late, whole) == (iterations == 30)
    assert bool((late > least).any()) or iterations == 300


def test_what_had_no_turn_is_not_proven(clock: Clock):
    question = asked()
    late = Search().run(question, never_replays, clock.now)
    stopped = Search().run(question, never_replays, None, lambda: True)
    for answer in (late, stopped):
        assert answer is not None
        assert answer.expired
        assert bool(answer.bound.isneginf().all())


def test_a_leaf_that_had_no_turn_is_not_proven():
    question = asked()
    roots = question.roots()
    assert roots is not None
    count = len(roots)
    found = OpenNodes(Search(), question, never_replays, roots, Limits(stopped=lambda: True))
    found.take(count)
    nodes = replace(roots, bound=torch.full((count,), -1.0).double())
    far = torch.full((count,), torch.inf).double()
    inputs = question.inputs[question.samples(nodes)]
    found.settle(Bounded(nodes, torch.zeros(count, dtype=torch.bool), inputs, far))
    assert found.answer().bound.tolist() == [-1.0] * count


def test_a_search_keeps_to_its_memory_and_says_so(monkeypatch: pytest.MonkeyPatch):
    """Its open nodes never fill more than half of it; where they must, it ends, and what it left is not proven."""
    question, told = asked(), list[dict[str, float]]()
    roots = question.roots()
    assert roots is not None
    each, quick = NodePool(roots, 1).each, Search(8, Climb(0), Climb(0), memory=question.bytes_each)
    assert quick.run(question, never_replays, None) is None
    monkeypatch.setattr(MarginQuestion, "bytes_each", 1)
    known = {"stopped": lambda: len(told) > 30, "told": lambda figures: told.append(dict(figures))}
    roomy = replace(quick, memory=2 * 20 * each).run(question, never_replays, None, **known)
    assert roomy is not None
    assert not roomy.full
    assert max(figures["open"] for figures in told) <= 20
    assert max(figures["memory"] for figures in told) <= 2 * 20 * each
    assert [figures["nodes"] for figures in told] == sorted(figures["nodes"] for figures in told)
    assert max(figures["depth"] for figures in told) > 3
    scarce = replace(quick, memory=2 * 4 * each).run(question, never_replays, None)
    assert scarce is not None
    assert scarce.full
    assert scarce.expired
    assert bool((scarce.bound <= 0).any())
