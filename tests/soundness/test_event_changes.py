"""Events that move and flip at once: against all inputs that both make, one after the other."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from spikecert import LIF, EventChange, SpikeFlip, SpikeShift, SpikingNetwork, attack, bounds, mlp, verify
from spikecert.certify import EventRegion
from spikecert.certify.attacks import EventChanges
from spikecert.certify.perturbations.described import build_set, describe_set
from spikecert.certify.problem import ChangeScale
from spikecert.certify.verifiers import INTERVAL, TRAINS, Linear
from spikecert.testing.networks import drawn_network
from spikecert.testing.neurons import SEEDS
from support.event_sets import check_made, check_members, check_membership
from support.examples import examples
from support.oracles import every_flip, every_shift, least_margin

KINDS = st.sampled_from(["flip", "insert", "delete"])


@dataclass(frozen=True)
class Changed:
    """A sample (T, features), how its events may change, and all inputs that this makes."""

    events: Tensor
    threat: EventChange
    every: Tensor


def changed(events: Tensor, threat: EventChange) -> Tensor:
    """Return all inputs: each list of moves, and each flip of an open entry of what they make."""
    open_entries = threat.flips.allowed(events[None]).expand(events.shape)
    signs = {"flip": (True, True), "insert": (True, False), "delete": (False, True)}[threat.flips.kind]
    found = {}
    for moved in every_shift(events, threat.shifts, threat.shifts.allowed(events[None]).expand(events.shape)):
        for after in every_flip(moved, threat.flips.count):
            differ = after != moved
            kinds = torch.where(moved == 0, signs[0], signs[1])
            if bool((~differ | (open_entries & kinds)).all()):
                found[tuple(after.flatten().tolist())] = after
    return torch.stack(list(found.values()))


@st.composite
def cases(
    draw: st.DrawFn, steps: int, features: int, dtype: torch.dtype = torch.float64, least: int = 0
) -> Changed:
    """Return a sample of few events, and moves and flips of them; `least` is that of each budget."""
    generator = torch.Generator().manual_seed(draw(SEEDS))
    events = (torch.rand(steps, features, generator=generator) < draw(st.sampled_from([0.2, 0.5]))).to(dtype)
    masks = [torch.rand(steps, features, generator=generator) > draw(st.sampled_from([-1.0, 0.3])) for _ in "ab"]
    count, total = (draw(st.sampled_from([None, least, 1, 2])) for _ in "ab")
    border = draw(st.sampled_from(["stay", "leave"]))
    jitter = draw(st.integers(least, max(least, min(2, steps - 1))))
    shifts = SpikeShift(jitter, count, total, border=border, where=masks[0])
    threat = EventChange(SpikeFlip(draw(st.integers(least, 2)), draw(KINDS), masks[1]), shifts)
    return Changed(events, threat, changed(events, threat))


@examples(40)
@given(data=st.data(), steps=st.integers(1, 4), features=st.integers(1, 2), seed=SEEDS)
def test_sets_hold_what_they_say(data: st.DataObject, steps: int, features: int, seed: int):
    case, generator = data.draw(cases(steps, features)), torch.Generator().manual_seed(seed)
    check_members(case)
    check_membership(case, (torch.rand(30, steps, features, generator=generator) < 0.5).double())
    check_membership(case, case.every)
    check_made(case, 30, generator)


@examples(20)
@given(data=st.data(), steps=st.integers(1, 3), features=st.integers(1, 2))
def test_the_fewest_flips_are_those_of_the_list(data: st.DataObject, steps: int, features: int):
    case = data.draw(cases(steps, features))
    sets = ChangeScale(case.threat)
    flips = range(case.threat.flips.count + 1)
    lists = [{tuple(x.flatten().tolist()) for x in changed(case.events, sets.around(count))} for count in flips]
    found = sets.distance(case.every, case.events.expand_as(case.every))
    for candidate, least in zip(case.every, found.tolist(), strict=True):
        assert least == min(count for count in flips if tuple(candidate.flatten().tolist()) in lists[count])


@examples(90)
@given(data=st.data(), steps=st.integers(2, 4), features=st.integers(1, 2), seed=SEEDS)
def test_sums_hold_for_every_change(data: st.DataObject, steps: int, features: int, seed: int):
    case = data.draw(cases(steps, features, least=1))
    box = case.threat.enclosure(case.events[None])
    if box.budget is None or box.center is None:
        return
    generator = torch.Generator().manual_seed(seed)
    sizes = (2, steps), (3, features)
    matrix, weights = (torch.randint(-3, 4, size, generator=generator).double() for size in sizes)
    sums = torch.einsum("kt,ntf,of->nko", matrix, case.every, weights)
    middle = torch.einsum("kt,tf,of->ko", matrix, case.events, weights)
    timed = box.budget.moved(lambda marks: marks.transpose(0, 1)).of_rows(matrix)
    fall, rise = timed.reach(lambda marks: marks.unsqueeze(1) * weights, {})
    assert bool((middle + rise[:, 0] >= sums.amax(0) - 1e-9).all())
    assert bool((middle - fall[:, 0] <= sums.amin(0) + 1e-9).all())
    costs = torch.einsum("t,f->tf", matrix[0], weights[0])[:, None]
    timed = box.budget.moved(lambda marks: marks.transpose(0, 1))
    least, _ = timed.least(costs, case.events[:, None])
    assert float(least) <= float((case.every * costs[:, 0]).flatten(1).sum(1).min()) + 1e-9


@st.composite
def run_cases(draw: st.DrawFn) -> tuple[SpikingNetwork, Changed]:
    """Return a network, and a sample of its inputs that may change."""
    features = draw(st.integers(1, 2))
    drawn = drawn_network(draw, 2, 4, 4, features, (torch.float32, torch.float64), ("none",), None)
    network = drawn.network.eval()
    return network, draw(cases(network.num_steps, features, network.dtype))


@examples(12)
@given(drawn=run_cases(), verifier=st.sampled_from([INTERVAL, TRAINS, Linear()]))
def test_no_change_escapes(drawn: tuple[SpikingNetwork, Changed], verifier: Any):
    network, case = drawn
    with torch.no_grad():
        logits = network(case.every.to(network.dtype))
    found = bounds(network, case.events[None].to(network.dtype), case.threat, verifier)
    assert bool((logits.double() >= found.lower[0].double()).all())
    assert bool((logits.double() <= found.upper[0].double()).all())


THREATS = [
    EventChange(SpikeFlip(1), SpikeShift(1, 1)),
    EventChange(SpikeFlip(1, "insert"), SpikeShift(2, total=2, border="leave")),
    EventChange(SpikeFlip(1, "delete", EventRegion(steps=(0, 2))), SpikeShift(1, 2)),
]


@pytest.mark.parametrize("threat", THREATS, ids=range(3))
@pytest.mark.parametrize("verifier", ["enumeration", "milp", "auto"])
def test_verdicts_agree_with_the_list(verifier: str, threat: EventChange):
    torch.manual_seed(3)
    network = mlp((2, 4, 3), num_steps=3, neuron=LIF(0.8, threshold=0.5), encoding="none").eval()
    events = (torch.rand(3, 3, 2) < 0.5).float()
    with torch.no_grad():
        labels = network(events).argmax(1)
    verdicts = verify(network, events, labels, threat, verifier)
    broken = attack(network, events, labels, threat, EventChanges()).success.tolist()
    decided = 0
    for sample, label, verdict, fell in zip(events, labels.tolist(), verdicts, broken, strict=True):
        margin = least_margin(network, changed(sample, threat), label)
        assert not (fell and margin > 0)
        if verdict.status != "unknown":
            assert verdict.status == ("verified" if margin > 0 else "falsified")
            decided += 1
    assert decided == 3


@pytest.mark.parametrize("verifier", ["enumeration", "milp"])
def test_a_flip_beside_a_move_decides(verifier: str):
    """Moves alone change no class here; with one flip they do for the first three of six samples."""
    torch.manual_seed(24)
    network = mlp((2, 4, 3), num_steps=3, neuron=LIF(0.8, threshold=0.5), encoding="none").eval()
    events = (torch.rand(6, 3, 2) < 0.5).float()
    with torch.no_grad():
        labels = network(events).argmax(1)
    moves, both = SpikeShift(1, 1), EventChange(SpikeFlip(1), SpikeShift(1, 1))
    told = [[v.status for v in verify(network, events, labels, threat, verifier)] for threat in (moves, both)]
    assert told == [["verified"] * 6, ["falsified"] * 3 + ["verified"] * 3]


def test_changes_travel_to_workers():
    mask = torch.eye(3, 2) > 0
    for threat in (*THREATS, EventChange(SpikeFlip(1, where=mask), SpikeShift(1, where=mask))):
        assert build_set(*describe_set(threat)) == threat


OTHER: Any = SpikeShift(1)
NONE: Any = None


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: EventChange(SpikeFlip(1), SpikeShift(1, merge="add")), ValueError, r"^shifts: got merge 'add'"),
        (lambda: EventChange(OTHER, SpikeShift(1)), TypeError, r"^flips: got SpikeShift, expected"),
        (lambda: EventChange(SpikeFlip(1), NONE), TypeError, r"^shifts: got NoneType, expected a SpikeShift"),
    ],
)
def test_what_is_no_change_is_refused(make: Any, error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        make()
