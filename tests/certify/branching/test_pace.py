"""The search stops in time, and what it had no time for is proven by nothing."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from spikecert import LInf
from spikecert.certify.bounds.prices.prices import Evaluation, PricedProblem
from spikecert.certify.branching import bounding
from spikecert.certify.branching import search as pace
from spikecert.certify.branching.bounding import Bounded, Climb, bound_nodes
from spikecert.certify.branching.fused_climb import FusedClimb
from spikecert.certify.branching.nodes import frontier
from spikecert.certify.branching.nodes.frontier import Frontier, NodePool
from spikecert.certify.branching.nodes.nodes import Nodes
from spikecert.certify.branching.processes import crew
from spikecert.certify.branching.question import MarginQuestion
from spikecert.certify.branching.search import FIRST, Pace, Search
from spikecert.models import deadline
from support.searches import all_margins, searched


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
    monkeypatch.setattr(frontier, "attack_from", lambda question, samples, starts, *_: (samples[:0], starts[:0]))
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
    found = Frontier(question, never_replays, NodePool(roots, 2**20), roots, lambda: True)
    found.begin(count)
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
