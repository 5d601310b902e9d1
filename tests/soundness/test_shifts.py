"""Events that move in time: against all inputs that they make, listed by moving each event by itself."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert import LIF, SpikeShift, SpikingNetwork, bounds, mlp, verify
from spikecert.certify import EventRegion
from spikecert.certify.bounds.events.moved_events import Shifts, increments
from spikecert.certify.bounds.prices.price_search import PriceSearch
from spikecert.certify.bounds.propagation import input_signal
from spikecert.certify.perturbations.described import build_set, describe_set
from spikecert.certify.rounding import Rounding
from spikecert.certify.verifiers import INTERVAL, TRAINS, Gain, Linear, Lirpa, MarginVerifier
from spikecert.models.circuit import circuit
from spikecert.testing.networks import DTYPES, drawn_network
from spikecert.testing.neurons import SEEDS
from support.event_sets import check_made, check_members, check_membership, rows
from support.examples import examples
from support.oracles import every_shift, least_margin
from support.signals import affine_signal

BOUNDS = [INTERVAL, TRAINS, Linear(PriceSearch(iterations=5)), Gain()]
MERGES, BORDERS = st.sampled_from(["or", "add", "refuse"]), st.sampled_from(["stay", "leave"])
BUDGETS = st.sampled_from([None, 0, 1, 1, 2, 3])


@dataclass(frozen=True)
class Retimed:
    """A sample (T, features), how its events may move, and all inputs that this makes."""

    events: Tensor
    threat: SpikeShift
    every: Tensor


@st.composite
def retimed(draw: st.DrawFn, steps: int, features: int, dtype: torch.dtype = torch.float64) -> Retimed:
    """Return a sample of few events and moves of them."""
    generator = torch.Generator().manual_seed(draw(SEEDS))
    merge, jitter = draw(MERGES), draw(st.integers(0, min(2, steps - 1)))
    size, most = steps * features, draw(st.integers(0, 6 if jitter < 2 else 5))
    picked = torch.randint(0, size, (most,), generator=generator)
    events = torch.zeros(size, dtype=dtype).index_add_(0, picked, torch.ones(most, dtype=dtype))
    events = (events if merge == "add" else events.clamp_max(1)).view(steps, features)
    mask = torch.rand(steps, features, generator=generator) > draw(st.sampled_from([-1.0, 0.3]))
    threat = SpikeShift(jitter, draw(BUDGETS), draw(BUDGETS), merge, draw(BORDERS), mask)
    return Retimed(events, threat, every_shift(events, threat, mask))


@examples(90)
@given(data=st.data(), steps=st.integers(1, 5), features=st.integers(1, 2), seed=SEEDS)
def test_sets_hold_what_they_say(data: st.DataObject, steps: int, features: int, seed: int):
    case, generator = data.draw(retimed(steps, features)), torch.Generator().manual_seed(seed)
    check_members(case)
    near = case.every[torch.randint(0, len(case.every), (40,), generator=generator)]
    changed = near + torch.randint(-1, 2, near.shape, generator=generator) * (
        torch.rand(near.shape, generator=generator) < 0.2
    )
    check_membership(case, torch.cat([near, changed, changed.clamp_min(0)]))
    check_made(case, 40, generator)
    assert case.threat.project(near, case.events.expand(40, -1, -1)).equal(near)


@pytest.mark.parametrize(
    ("train", "jitter", "count", "least"),
    [([1, 1, 0], 1, 1, 1.0), ([1, 0, 1], 1, 2, 1.0), ([1, 0, 1], 2, 1, 1.0), ([1, 0, 0], 2, None, 1.0)],
)
def test_events_that_meet_are_one(train: list[int], jitter: int, count: int | None, least: float):
    """Moves alone do not change how many events there are; bounds are of a hull and may fall further."""
    network = SpikingNetwork(nn.Linear(1, 1), num_steps=3, encoding="none")
    events = torch.tensor(train).double().view(1, 3, 1)
    source = input_signal(circuit(network), SpikeShift(jitter, count).enclosure(events))
    layer = nn.Linear(1, 1, bias=False).double()
    layer.weight.data.fill_(1.0)
    window = affine_signal(source, layer, Rounding(torch.float64)).combine(torch.ones(1, 3).double())
    assert float(window.lower) <= least + 1e-9
    assert float(source.least(torch.ones(3, 1, 1).double(), torch.tensor([0]))[0]) <= least + 1e-9


def test_all_events_may_move_at_once():
    events = torch.eye(4, 4, dtype=torch.float64)
    for threat, count in ((SpikeShift(1), 36), (SpikeShift(1, 3), 32), (SpikeShift(1, total=4), 36)):
        listed = torch.cat(list(threat.members(events).batches(5)))
        assert threat.members(events).count == len(listed) == count
        assert rows(listed) == rows(every_shift(events, threat, torch.ones(4, 4)))


def test_a_projection_pays_for_each_step():
    events = torch.zeros(1, 4, 3)
    events[0, 1] = 1.0
    called = torch.zeros_like(events)
    called[0, 3] = 5.0
    for threat, moved in ((SpikeShift(2, total=3), 1), (SpikeShift(2, 2, 4), 2), (SpikeShift(2, 1), 1)):
        found = threat.project(called, events)
        assert int(found[0, 3].sum()) == moved
        assert bool(threat.contains(found, events).all())


def exact(case: Retimed, budget: Shifts) -> bool:
    """Return whether windows are said to be exact: no events that can meet, and one kind of budget that is."""
    apart = not any(bool(marks.any()) and meets for marks, meets in zip(budget.events, budget.meets, strict=True))
    return apart and (budget.most is None or (budget.count is None and budget.jitter == 1))


@examples(120)
@given(data=st.data(), steps=st.integers(1, 5), features=st.integers(1, 3), seed=SEEDS)
def test_windows_and_least_costs_hold_and_are_exact_where_they_are_said_to_be(
    data: st.DataObject, steps: int, features: int, seed: int
):
    case, generator = data.draw(retimed(steps, features)), torch.Generator().manual_seed(seed)
    network = SpikingNetwork(nn.Linear(1, 1), num_steps=steps, encoding="none")
    source = input_signal(circuit(network), case.threat.enclosure(case.events[None]))
    layer = nn.Linear(features, 2).double()
    for parameter in layer.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64).mul(4).round() / 4
    weights = torch.cat([torch.randn(4, steps, generator=generator).double(), torch.eye(steps).double()])
    signal = affine_signal(source, layer, Rounding(torch.float64))
    costs = torch.randn(steps, 1, features, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        values = torch.einsum("kt,nto->kno", weights, layer(case.every))
        shifted = layer(case.every)
    least = float((costs[:, 0] * case.every).sum((1, 2)).min())
    window, (value, inputs) = signal.combine(weights), source.least(costs, torch.tensor([0]))
    low, high = values.amin(1), values.amax(1)
    assert bool((window.lower[:, 0] <= low).all() and (window.upper[:, 0] >= high).all())
    assert bool((signal.steps().lower[:, 0] <= shifted.amin(0)).all())
    assert bool((signal.steps().upper[:, 0] >= shifted.amax(0)).all())
    assert float(value) <= least + 1e-9
    if not isinstance(source.box.budget, Shifts):
        return
    if exact(case, source.box.budget):
        assert torch.allclose(window.lower[:, 0], low, rtol=0, atol=1e-11)
        assert torch.allclose(window.upper[:, 0], high, rtol=0, atol=1e-11)
        assert float(value) == pytest.approx(least)
    if source.box.budget.most is None:
        assert float((costs * inputs).sum()) == pytest.approx(float(value))


@st.composite
def shift_problems(draw: st.DrawFn, dtypes: Any = DTYPES) -> tuple[SpikingNetwork, Retimed, int]:
    """Return a random network, a sample of few events, moves of them, and the network's own answer."""
    drawn = drawn_network(draw, 3, 4, 4, draw(st.integers(1, 2)), dtypes, ("none",), None)
    network = drawn.network
    first = network.layers[0]
    assert isinstance(first, nn.Linear)
    case = draw(retimed(network.num_steps, first.in_features, network.dtype))
    with torch.no_grad():
        return network, case, int(network(case.events[None]).argmax(1))


@examples(45)
@given(problem=shift_problems())
def test_no_shift_escapes(problem: tuple[SpikingNetwork, Retimed, int]):
    network, case, label = problem
    asked = network, case.events[None], torch.tensor([label]), case.threat
    least = min(least_margin(one, case.every, label) for one in (network, network.double()))
    network.to(case.events.dtype)
    for verifier in BOUNDS:
        assert float(verifier.margins(*asked)) <= least, verifier.name
    (verdict,) = verify(*asked, "enumeration")
    assert verdict.status != "unknown" or "rounding" in verdict.reason
    assert verdict.status != "verified" or least > 0
    assert verdict.status != "falsified" or least_margin(network, case.every, label) <= 0


@pytest.mark.parametrize("verifier", BOUNDS, ids=lambda v: v.name)
@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("threat", [SpikeShift(1, 2), SpikeShift(2, total=2, merge="add", border="leave")])
def test_no_shift_escapes_convolutions(verifier: MarginVerifier, threat: SpikeShift, flat: bool):
    """What an output sums stands behind several axes of outputs there."""
    torch.manual_seed(2)
    first = nn.Conv1d(2, 4, 3, padding=1) if flat else nn.Conv2d(2, 4, 3, stride=2, padding=1)
    features = (2, 5) if flat else (2, 3, 4)
    layers = [first, LIF(0.8, 0.3), nn.Flatten(), nn.Linear(20 if flat else 16, 3)]
    network = SpikingNetwork(*layers, num_steps=3, encoding="none").double()
    events = (torch.rand(8, 3, *features) < 0.15).double()
    with torch.no_grad():
        labels = network(events).argmax(1)
    found = verifier.margins(network, events, labels, threat).tolist()
    every = [torch.cat(list(threat.members(sample).batches(4096))) for sample in events]
    least = [least_margin(network, one, label) for one, label in zip(every, labels.tolist(), strict=True)]
    assert all(bound <= exact + 1e-9 for bound, exact in zip(found, least, strict=True))
    assert min(least) < 0 < max(least)
    assert max(found) > (0 if verifier.name == "linear" and threat.merge == "or" else min(least) - 1)


@examples(10)
@given(problem=shift_problems((torch.float64,)))
def test_no_shift_escapes_auto_lirpa(problem: tuple[SpikingNetwork, Retimed, int]):
    network, case, label = problem
    margin = Lirpa().margins(network, case.events[None], torch.tensor([label]), case.threat)
    assert float(margin) <= least_margin(network, case.every, label)


@examples(45)
@given(values=st.lists(st.integers(0, 9), min_size=1, max_size=5))
def test_increments_are_those_of_the_least_concave_majorant(values: list[int]):
    gains = torch.tensor(values, dtype=torch.float64).cummax(0).values
    found = increments(gains[None])[0]
    assert bool((found.cumsum(0) >= gains).all())
    assert bool((found.diff() <= 1e-9).all())
    assert float(found.sum()) == pytest.approx(float(gains[-1]))


def recordings(reset: str = "zero") -> tuple[SpikingNetwork, Tensor, Tensor]:
    torch.manual_seed(5)
    network = mlp((3, 6, 3), num_steps=4, neuron=LIF(0.8, threshold=0.5, reset=reset), encoding="none").eval()
    events = (torch.rand(8, 4, 3) < 0.25).float()
    with torch.no_grad():
        return network, events, network(events).argmax(1)


@pytest.mark.parametrize(
    "verifier",
    [*(pytest.param(v, marks=pytest.mark.slow) for v in ("lirpa", "milp", "linear", "auto")), "complete"],
)
@pytest.mark.parametrize("threat", [SpikeShift(1, 1), SpikeShift(2, total=3, merge="add", border="leave")])
def test_verdicts_agree_with_the_list(verifier: str, threat: SpikeShift):
    network, events, labels = recordings()
    verdicts = verify(network, events, labels, threat, verifier)
    for sample, label, found in zip(events, labels.tolist(), verdicts, strict=True):
        least = least_margin(network, every_shift(sample, threat, torch.ones(4, 3)), label)
        assert found.status != "verified" or least > 0
        assert found.status != "falsified" or least <= 0
        assert found.status != "unknown" or verifier not in ("complete", "auto", "milp")


@pytest.mark.parametrize("where", [None, EventRegion(steps=(0, 1), columns=(0, 2)), torch.eye(3, 2) > 0])
def test_sets_of_shifts_travel_to_workers(where: EventRegion | Tensor | None):
    threat = SpikeShift(2, 3, 4, "add", "leave", where)
    assert build_set(*describe_set(threat)) == threat != SpikeShift(2, 3, 4, "add", "stay", where)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: SpikeShift(-1), ValueError, r"^jitter: got -1"),
        (lambda: SpikeShift(1.5), TypeError, r"^jitter: got float"),  # pyright: ignore[reportArgumentType]
        (lambda: SpikeShift(1, -2), ValueError, r"^count: got -2"),
        (lambda: SpikeShift(1, total=0.5), TypeError, r"^total: got float"),  # pyright: ignore[reportArgumentType]
        (lambda: SpikeShift(1, merge="xor"), ValueError, r"^merge: got 'xor', expected one of or, add"),
        (lambda: SpikeShift(1, border="wrap"), ValueError, r"^border: got 'wrap', expected one of stay, leave"),
        (lambda: SpikeShift(1, where=3), TypeError, r"^where: got int"),  # pyright: ignore[reportArgumentType]
    ],
)
def test_bad_sets_are_refused(make: Any, error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("threat", "inputs", "message"),
    [
        (SpikeShift(4), torch.zeros(1, 4, 3), r"^jitter: got 4, expected less than the recordings' 4 steps"),
        (SpikeShift(1, where=torch.ones(4, 2) > 0), torch.zeros(1, 4, 3), r"^where: got a mask of shape \(4, 2\)"),
        (SpikeShift(1), torch.full((1, 4, 3), 2.0), r"^inputs: got 2, expected events of 0 and 1 for SpikeShift"),
        (SpikeShift(1, merge="add"), torch.full((1, 4, 3), 0.5), r"^inputs: got 0\.5, expected whole numbers"),
        (SpikeShift(1, merge="add"), torch.full((1, 4, 3), -1.0), r"^inputs: got -1, expected whole numbers"),
    ],
)
def test_what_does_not_fit_a_recording_is_refused(threat: SpikeShift, inputs: Tensor, message: str):
    network, labels = recordings()[0], torch.tensor([0])
    with pytest.raises(ValueError, match=message):
        verify(network, inputs, labels, threat)
    with pytest.raises(ValueError, match=message):
        bounds(network, inputs, threat)


@pytest.mark.parametrize("encoding", ["rate", "direct"])
def test_inputs_that_are_no_events_over_time_are_refused(encoding: str):
    network = mlp((3, 6, 3), num_steps=4, encoding=encoding).eval()
    message = f'^perturbation: got SpikeShift for encoding "{encoding}", expected encoding "none"'
    for asked in (
        lambda: verify(network, torch.zeros(1, 3), torch.tensor([0]), SpikeShift(1)),
        lambda: bounds(network, torch.zeros(1, 3), SpikeShift(1)),
    ):
        with pytest.raises(ValueError, match=message):
            asked()
    if encoding == "rate":
        return
    box = SpikeShift(1).enclosure(torch.eye(3)[None])
    with pytest.raises(ValueError, match=r"^perturbation: got a signal of 1 steps"):
        affine_signal(input_signal(circuit(network), box), nn.Linear(3, 2), Rounding(torch.float64)).steps()
