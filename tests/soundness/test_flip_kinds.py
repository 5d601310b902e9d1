"""Flips of some kinds, of some entries: against all inputs that differ, listed and sorted out otherwise."""

import itertools
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert import SpikeFlip, SpikingNetwork, attack, mlp, verify
from spikecert.certify import EventRegion
from spikecert.certify.bounds.prices.price_search import PriceSearch
from spikecert.certify.bounds.propagation import input_signal
from spikecert.certify.perturbations.described import build_set, describe_set
from spikecert.certify.rounding import Rounding
from spikecert.certify.verifiers import INTERVAL, TRAINS, Gain, Linear
from spikecert.models.circuit import circuit
from spikecert.testing import EventCase, event_cases
from support.examples import examples
from support.oracles import least_margin
from support.signals import affine_signal

BOUNDS = [INTERVAL, TRAINS, Linear(PriceSearch(iterations=5)), Gain()]
KINDS = st.sampled_from(["flip", "insert", "delete"])
SHAPE = (2, 2, 2, 1)


def allowed_inputs(events: Tensor, threat: SpikeFlip, mask: Tensor) -> Tensor:
    """Return all inputs of one sample's set, (n, ...): each of {0, 1}ⁿ is looked at by itself."""
    found, size = [], events.numel()
    for bits in itertools.product((0.0, 1.0), repeat=size):
        moved = torch.tensor(bits, dtype=events.dtype).view_as(events)
        came, went = (moved > events), (moved < events)
        changed = came | went
        kinds = {"flip": True, "insert": not bool(went.any()), "delete": not bool(came.any())}
        if int(changed.sum()) <= threat.count and kinds[threat.kind] and not bool((changed & ~mask).any()):
            found.append(moved)
    return torch.stack(found)


@st.composite
def kinds_of(draw: st.DrawFn, case: EventCase) -> tuple[SpikeFlip, Tensor]:
    """Return flips of some kind and some entries of a case's samples, and which entries these are."""
    shape, steps = case.events[0].shape, case.events.shape[1] if case.network.timed else 0
    mask = torch.tensor(draw(st.lists(st.booleans(), min_size=shape.numel(), max_size=shape.numel()))).view(shape)
    where: Any = mask
    if steps and draw(st.booleans()):
        first = draw(st.integers(0, steps - 1))
        where = EventRegion(steps=(first, draw(st.integers(first + 1, steps))))
        mask = torch.zeros_like(mask)
        mask[first : where.steps[1]] = True
    return SpikeFlip(case.count, draw(KINDS), where), mask


@examples(40)
@given(data=st.data(), case=event_cases())
def test_sets_hold_what_they_say_and_bounds_hold_on_them(data: st.DataObject, case: EventCase):
    threat, mask = data.draw(kinds_of(case))
    generator = torch.Generator().manual_seed(0)
    lists = [allowed_inputs(events, threat, mask) for events in case.events]
    counts = [threat.members(events).count for events in case.events]
    assert counts == [len(members) for members in lists]
    far = case.events + 2 * torch.randn(case.events.shape, generator=generator).to(case.events)
    asked = case.network, case.events, case.labels, threat
    found = attack(*asked, "spike-flip").inputs
    box = threat.enclosure(case.events)
    for candidates in (threat.sample(case.events, generator), threat.project(far, case.events), found):
        assert bool(threat.contains(candidates, case.events).all())
        for candidate, members in zip(candidates, lists, strict=True):
            assert bool((members == candidate).flatten(1).all(1).any())
    exact = [least_margin(case.network, members, int(y)) for members, y in zip(lists, case.labels, strict=True)]
    for verifier in BOUNDS:
        margins = verifier.margins(*asked).tolist()
        assert all(bound <= least for bound, least in zip(margins, exact, strict=True)), verifier.name
    for verdict, least in zip(verify(*asked, "enumeration"), exact, strict=True):
        assert verdict.status != "verified" or least > 0
        assert verdict.status != "falsified" or least <= 0
        assert verdict.status != "unknown" or "rounding" in verdict.reason
    for index, members in enumerate(lists):
        assert bool(((members >= box.lower[index]) & (members <= box.upper[index])).all())


@examples(20)
@given(data=st.data(), kind=KINDS, seed=st.integers(0, 2**31))
def test_membership_is_exact(data: st.DataObject, kind: str, seed: int):
    generator = torch.Generator().manual_seed(seed)
    events, mask = (torch.rand(1, 2, 3, generator=generator) > 0.5 for _ in range(2))
    sample, threat = events.float(), SpikeFlip(data.draw(st.integers(0, 4)), kind, mask[0])
    every = torch.tensor(list(itertools.product((0.0, 1.0), repeat=6))).view(-1, 2, 3)
    inside = every[threat.contains(every, sample.expand(len(every), -1, -1))]
    expected = allowed_inputs(sample[0], threat, mask[0])
    assert inside.equal(expected)
    listed = torch.cat(list(threat.members(sample[0]).batches(3))).float()
    assert sorted(listed.flatten(1).tolist()) == sorted(expected.flatten(1).tolist())


@examples(25)
@given(count=st.integers(1, 4), kind=KINDS, seed=st.integers(0, 2**31))
def test_windows_and_least_costs_of_some_flips_are_exact(count: int, kind: str, seed: int):
    generator = torch.Generator().manual_seed(seed)
    network = SpikingNetwork(nn.Linear(1, 1), num_steps=3, encoding="none")
    events = (torch.rand(1, 3, 3, generator=generator) > 0.5).double()
    mask = torch.rand(3, 3, generator=generator) > 0.3
    threat = SpikeFlip(count, kind, mask)
    source = input_signal(circuit(network), threat.enclosure(events))
    layer = nn.Linear(3, 2).double()
    for parameter in layer.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    rows = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    box = affine_signal(source, layer, Rounding(torch.float64)).combine(rows)
    members = allowed_inputs(events[0], threat, mask)
    with torch.no_grad():
        values = torch.einsum("kt,nto->kno", rows, layer(members))
    assert bool((box.lower[:, 0] <= values.amin(1)).all())
    assert bool((box.upper[:, 0] >= values.amax(1)).all())
    assert torch.allclose(box.lower[:, 0], values.amin(1), rtol=0, atol=1e-11)
    assert torch.allclose(box.upper[:, 0], values.amax(1), rtol=0, atol=1e-11)
    costs = torch.randn(3, 1, 3, generator=generator, dtype=torch.float64)
    value, _ = source.least(costs, torch.tensor([0]))
    assert float(value) == pytest.approx(float((costs[:, 0] * members).sum((1, 2)).min()))


def test_a_region_is_a_block_of_a_recording():
    region = EventRegion(steps=(1, 2), polarities=(0, 1), rows=(1, 2))
    mask = torch.zeros(SHAPE, dtype=torch.bool)
    mask[1, 0, 1] = True
    assert region.mask(SHAPE).equal(mask)
    assert EventRegion(steps=(0, 1), columns=(2, 3)).mask((2, 4)).nonzero().tolist() == [[0, 2]]
    assert bool(EventRegion().mask(SHAPE).all())
    flips = SpikeFlip(2, "insert", region)
    events = torch.zeros(1, *SHAPE)
    assert flips.sample(events, torch.Generator()).nonzero().tolist() == [[0, 1, 0, 1, 0]]
    assert flips == SpikeFlip(2, "insert", EventRegion((1, 2), (0, 1), (1, 2))) != SpikeFlip(2, "insert", mask)
    assert SpikeFlip(2, "insert", mask) != SpikeFlip(2, "insert", ~mask)
    assert len({flips, SpikeFlip(2, "insert", mask), SpikeFlip(2, "insert", mask.clone()), SpikeFlip(2)}) == 3


@pytest.mark.parametrize("where", [None, EventRegion(steps=(0, 1), columns=(0, 2)), torch.eye(3, 2) > 0])
def test_sets_of_flips_travel_to_workers(where: EventRegion | Tensor | None):
    threat = SpikeFlip(3, "delete", where)
    assert build_set(*describe_set(threat)) == threat


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: SpikeFlip(-1), ValueError, r"^count: got -1"),
        (lambda: SpikeFlip(1.5), TypeError, r"^count: got float"),  # pyright: ignore[reportArgumentType]
        (lambda: SpikeFlip(1, "swap"), ValueError, r"^kind: got 'swap', expected one of flip, insert, delete"),
        (lambda: SpikeFlip(1, where="left"), TypeError, r"^where: got str"),  # pyright: ignore[reportArgumentType]
        (lambda: SpikeFlip(1, where=torch.ones(2, 4)), TypeError, r"^where: got torch\.float32"),
        (lambda: EventRegion(steps=(1, 1)), ValueError, r"^steps: got \(1, 1\), expected 0 ≤ first < last"),
        (lambda: EventRegion(rows=(-1, 2)), ValueError, r"^rows: got \(-1, 2\)"),
        (lambda: EventRegion(rows=(0.5, 2)), TypeError, r"^rows: got float"),  # pyright: ignore[reportArgumentType]
        (lambda: EventRegion(columns=3), TypeError, r"^columns: got 3"),  # pyright: ignore[reportArgumentType]
    ],
)
def test_bad_sets_are_refused(make: Any, error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (torch.ones(3, 4) > 0, r"^where: got a mask of shape \(3, 4\), expected one sample's \(2, 4\)"),
        (EventRegion(steps=(0, 3)), r"^steps: got \(0, 3\), expected at most the recording's 2 steps"),
        (EventRegion(rows=(0, 1)), r"^rows: got recordings of shape \(2, 4\), expected \(T, polarities"),
    ],
)
def test_what_does_not_fit_a_sample_is_refused(where: Any, message: str):
    network = mlp((4, 3, 2), num_steps=2, encoding="none").eval()
    for asked in (verify, attack):
        with pytest.raises(ValueError, match=message):
            asked(network, torch.zeros(1, 2, 4), torch.tensor([0]), SpikeFlip(1, where=where))
