"""What the checker knows of sets of recordings, in whole numbers, against lists of all their members."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from spikecert import LIF, EventChange, SpikeFlip, SpikeShift, SpikingNetwork, save
from spikecert.certify import EventRegion
from spikecert.certify.proofs.asked import rules_of
from spikecert.checking import Refused, read_network
from spikecert.checking.events.inputs import Inputs
from spikecert.checking.events.recordings import Rules, Travels
from spikecert.checking.numbers.exact import Dyadic
from spikecert.checking.numbers.ranks import Ranks
from spikecert.checking.numbers.sparse import Matrix
from spikecert.testing.neurons import SEEDS
from support.certificates import root_bound
from support.event_rules import Changing, changing, members
from support.exact_numbers import values
from support.examples import examples
from support.oracles import least_margin

SIZES = {"steps": st.integers(1, 4), "features": st.integers(1, 2), "seed": SEEDS}


def set_of(case: Changing) -> Inputs:
    return rules_of(case.threat, case.events).around(case.events.numpy(), len(case.events))


def listed(case: Changing) -> np.ndarray:
    """Return all members, (n, features, T) of integers."""
    return case.every.permute(0, 2, 1).long().numpy().astype(object)


def drawn_numbers(generator: np.random.Generator, *shape: int) -> np.ndarray:
    """Return quarters, some of them 0 and some alike."""
    return generator.integers(-6, 7, shape) / 4


@examples(200)
@given(data=st.data(), **SIZES)
def test_no_member_is_outside(data: st.DataObject, steps: int, features: int, seed: int):
    case, generator = data.draw(changing(steps, features)), np.random.default_rng(seed)
    found, every = set_of(case), listed(case)
    assert np.all((values(found.low) <= every) & (every <= values(found.high)))
    for _ in range(4):
        costs = drawn_numbers(generator, features, steps)
        least = min((values(Dyadic.of(costs)) * x).sum() for x in every)
        assert found.least(Dyadic.of(costs)).fraction() <= least


@examples(200)
@given(data=st.data(), **SIZES)
def test_no_sum_of_a_member_is_outside(data: st.DataObject, steps: int, features: int, seed: int):
    case, generator = data.draw(changing(steps, features)), np.random.default_rng(seed)
    weight, rows = drawn_numbers(generator, 3, features), drawn_numbers(generator, steps, 4)
    matrix, changes = Matrix.dense(Dyadic.of(weight)), set_of(case).changes
    assert changes is not None
    low, high = map(values, changes.between(matrix @ changes.center, Ranks.of(matrix), Dyadic.of(rows)))
    sums = np.stack([values(Dyadic.of(weight)) @ x @ values(Dyadic.of(rows)) for x in listed(case)])
    assert np.all((low <= sums.min(0)) & (sums.max(0) <= high))
    if exact_where(case.threat):
        assert np.array_equal(low, sums.min(0))
        assert np.array_equal(high, sums.max(0))


def exact_where(threat: SpikeFlip | SpikeShift | EventChange) -> bool:
    """Return whether sums are exact: of flips, and of at most so many events that add up."""
    if isinstance(threat, SpikeShift):
        return threat.merge == "add" and threat.total is None
    return isinstance(threat, SpikeFlip)


FIRST = torch.tensor([[True], [False]])


@pytest.mark.parametrize(
    ("train", "threat", "costs", "least"),
    [
        ([3, 0], SpikeShift(1, count=2, merge="add"), [0.0, -1.0], -2),  # two of three events of one entry move
        ([1, 1, 0], SpikeShift(1, count=1), [1.0, 1.0, 1.0], 1),  # one moves to the other, and they are one
        ([1, 0, 1], SpikeShift(1, count=2), [1.0, 1.0, 1.0], 1),  # both meet half way
        ([1, 0], EventChange(SpikeFlip(1, "insert", FIRST), SpikeShift(1, count=1)), [-1.0, -1.0], -2),
        ([0, 1], EventChange(SpikeFlip(1, "delete", FIRST), SpikeShift(1, count=1)), [1.0, 1.0], 0),
    ],
)
def test_a_member_that_is_easily_forgotten_is_inside(train, threat, costs, least):
    events = torch.tensor(train, dtype=torch.float64)[:, None]
    every = members(events, threat).squeeze(2)
    assert (every * torch.tensor(costs).double()).sum(1).min() == least
    found, numbers = rules_of(threat, events).around(events.numpy(), len(train)), Dyadic.of([costs])
    assert found.changes is not None
    assert found.least(numbers).fraction() <= least
    one = Matrix.dense(Dyadic.of([[1.0]]))
    low, _ = found.changes.between(one @ found.changes.center, Ranks.of(one), numbers.T)
    assert values(low)[0, 0] <= least


@pytest.mark.parametrize("where", [None, torch.zeros(1, 3, dtype=torch.bool)])
def test_a_recording_of_one_step_has_no_windows_and_a_bound(where: torch.Tensor | None, tmp_path: Path):
    torch.manual_seed(0)
    layers = nn.Linear(3, 4), LIF(0.9), nn.Linear(4, 2)
    network = SpikingNetwork(*layers, num_steps=1, encoding="none").eval()
    save(network, tmp_path / "network.safetensors")
    events, threat = torch.tensor([[1.0, 0.0, 1.0]]), SpikeFlip(1, where=where)
    inputs = rules_of(threat, events).around(events.numpy(), 1)
    bound = root_bound(read_network(tmp_path / "network.safetensors"), inputs)
    assert bound <= Fraction(least_margin(network, members(events, threat), 0))
    if where is not None:  # nothing may flip
        assert float(bound) == pytest.approx(least_margin(network, events[None], 0), abs=1e-5)


def test_a_budget_of_steps_is_bounded_by_the_best_increments():
    """One event gains 1 in two steps, the other 3/4 in each of two: three steps gain 3/4 + 3/4 + 1/2 at most."""
    events = np.zeros((3, 2))
    events[0] = 1
    costs = -np.array([[0.0, 0.0, 1.0], [0.0, 0.75, 1.5]])
    for total, gain in ((1, Fraction(3, 4)), (2, Fraction(3, 2)), (3, Fraction(2)), (4, Fraction(5, 2))):
        rules = rules_of(SpikeShift(2, total=total, merge="add"), torch.from_numpy(events))
        assert -rules.around(events, 3).least(Dyadic.of(costs)).fraction() == gain


def test_increments_are_rounded_up():
    """A gain of 1 in three steps is 1/3 a step, which no dyadic number is."""
    events = np.array([[1.0], [0.0], [0.0], [0.0]])
    rules = rules_of(SpikeShift(None, total=1, merge="add"), torch.from_numpy(events))
    assert rules.around(events, 4).least(Dyadic.of([[0.0, 0.0, 0.0, -1.0]])).fraction() == 0  # one step reaches 0
    units = Travels(np.array([[1, 0, 0, 0]]), 3, leaves=False, vanishes=False)
    increments = values(units.gains(Dyadic.of([0.0, 0.0, 0.0, 1.0]), sized=True))
    for size, reached in enumerate(np.cumsum(increments[0]), start=1):
        assert Fraction(size, 3) <= reached <= Fraction(size, 3) + Fraction(1, 2**32)


def test_a_budget_beyond_all_entries_is_the_box():
    events = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).double()
    found = Rules.read("l0", {"flips": FLIPS | {"count": 10**30}}, lambda name: None).around(events.numpy(), 2)
    assert found.least(Dyadic.of([[-1.0, 2.0], [0.5, -3.0]])).fraction() == -4
    matrix = Matrix.dense(Dyadic.of([[1.0, -2.0]]))
    assert found.changes is not None
    low, high = found.changes.between(matrix @ found.changes.center, Ranks.of(matrix), Dyadic.of(np.eye(2)))
    assert values(low).tolist() == [[-2, -2]]
    assert values(high).tolist() == [[1, 1]]


FLIPS, SHIFTS = (
    {"count": 1, "kind": "flip"},
    {"jitter": 1, "count": 1, "total": None, "merge": "or", "border": "stay"},
)
STRANGE = {
    "no rules": ("l0", None, "events: got NoneType"),
    "rules of another norm": ("l0", {"shifts": SHIFTS}, "events: got shifts, expected flips"),
    "one rule of two": ("l0+shift", {"flips": FLIPS}, "events: got flips, expected flips, shifts"),
    "another kind": ("l0", {"flips": FLIPS | {"kind": "swap"}}, "flips.kind: got 'swap'"),
    "no kind": ("l0", {"flips": {"count": 1}}, "flips: got count, expected count, kind"),
    "another field": ("l0", {"flips": FLIPS | {"free": 9}}, "flips: got count, free, kind"),
    "a fraction": ("l0", {"flips": FLIPS | {"count": 1.5}}, "flips.count: got 1.5"),
    "a whole float": ("l0", {"flips": FLIPS | {"count": 1.0}}, "flips.count: got 1.0"),
    "a boolean": ("l0", {"flips": FLIPS | {"count": True}}, "flips.count: got True"),
    "a negative count": ("l0", {"flips": FLIPS | {"count": -1}}, "flips.count: got -1"),
    "no count": ("l0", {"flips": FLIPS | {"count": None}}, "flips.count: got None"),
    "a negative jitter": ("shift", {"shifts": SHIFTS | {"jitter": -1}}, "shifts.jitter: got -1"),
    "a fraction of a step": ("shift", {"shifts": SHIFTS | {"total": 0.5}}, "shifts.total: got 0.5"),
    "another merge": ("shift", {"shifts": SHIFTS | {"merge": "xor"}}, "shifts.merge: got 'xor'"),
    "another border": ("shift", {"shifts": SHIFTS | {"border": 3}}, "shifts.border: got '3'"),
    "flips of counts": (
        "l0+shift",
        {"flips": FLIPS, "shifts": SHIFTS | {"merge": "add"}},
        "shifts.merge: got 'add'",
    ),
}


@pytest.mark.parametrize("name", STRANGE)
def test_rules_that_are_not_known_are_refused(name: str):
    norm, given, message = STRANGE[name]
    with pytest.raises(Refused, match=f"^{message}"):
        Rules.read(norm, given, lambda name: None)


@pytest.mark.parametrize(
    ("sample", "norm", "rules", "message"),
    [
        ([[0.5]], "l0", {"flips": FLIPS}, "sample: holds other numbers than whole ones from 0 to 1"),
        ([[2.0]], "l0", {"flips": FLIPS}, "sample: holds other numbers than whole ones from 0 to 1"),
        ([[float("nan")]], "l0", {"flips": FLIPS}, "sample: holds other numbers"),
        ([[-1.0]], "shift", {"shifts": SHIFTS | {"jitter": 0, "merge": "add"}}, "sample: holds other numbers"),
        ([[256.0]], "shift", {"shifts": SHIFTS | {"jitter": 0, "merge": "add"}}, "sample: .* to 255"),
        ([[1.0], [0.0]], "l0", {"flips": FLIPS}, "sample: has no first axis of 1 steps"),
        ([1.0], "l0", {"flips": FLIPS}, "sample: has no first axis of 1 steps"),
        ([[1.0]], "shift", {"shifts": SHIFTS}, "shifts.jitter: got 1, expected less than the recording's 1 steps"),
    ],
)
def test_samples_that_are_no_such_recordings_are_refused(sample, norm, rules, message):
    with pytest.raises(Refused, match=f"^{message}"):
        Rules.read(norm, rules, lambda name: None).around(np.array(sample), 1)


def test_masks_of_another_shape_and_inputs_without_time_are_refused():
    rules = Rules.read("l0", {"flips": FLIPS}, lambda name: np.ones((2, 3), dtype=bool))
    with pytest.raises(Refused, match=r"^flips.where: has shape \(2, 3\), expected the sample's \(2, 2\)"):
        rules.around(np.zeros((2, 2)), 2)
    with pytest.raises(Refused, match=r"^unknown: no proof form for events of inputs that have none of their own"):
        rules.around(np.zeros((2, 3)), None)


@examples(100)
@given(data=st.data(), **SIZES)
def test_rules_that_hold_others_have_all_their_members(data: st.DataObject, steps: int, features: int, seed: int):
    one, two = data.draw(changing(steps, features)), data.draw(changing(steps, features)).threat
    if isinstance(two, SpikeShift) and two.merge == "add":
        two = SpikeFlip(1)
    events = one.events.clamp_max(1)
    first, second = rules_of(one.threat, events), rules_of(two, events)
    assert first.holds(first)
    if isinstance(one.threat, SpikeShift) and one.threat.merge == "add":
        return
    mine, theirs = ({tuple(x.flatten().tolist()) for x in members(events, threat)} for threat in (one.threat, two))
    assert theirs <= mine or not first.holds(second)


def test_what_rules_hold():
    events = torch.zeros(3, 2)
    half = torch.tensor([[True, False]] * 3)

    def holds(one, other) -> bool:
        return rules_of(one, events).holds(rules_of(other, events))

    assert holds(SpikeFlip(2), SpikeFlip(1, "insert", half))
    assert not holds(SpikeFlip(2, "delete"), SpikeFlip(1, "insert"))
    assert not holds(SpikeFlip(2, where=half), SpikeFlip(1))
    assert holds(SpikeFlip(1, where=half), SpikeFlip(1, where=EventRegion(steps=(0, 1)).mask((3, 2)) & half))
    assert holds(SpikeShift(2, border="leave"), SpikeShift(1, count=3))
    assert not holds(SpikeShift(1, count=3), SpikeShift(1))
    assert not holds(SpikeShift(1), SpikeShift(1, border="leave"))
    assert not holds(SpikeShift(1), SpikeShift(1, merge="add"))
    assert holds(EventChange(SpikeFlip(2), SpikeShift(1)), SpikeFlip(1))
    assert holds(EventChange(SpikeFlip(2), SpikeShift(1)), SpikeShift(1, count=1))
    assert not holds(SpikeFlip(2), EventChange(SpikeFlip(1), SpikeShift(1)))
    assert holds(SpikeFlip(2), EventChange(SpikeFlip(1), SpikeShift(0)))
