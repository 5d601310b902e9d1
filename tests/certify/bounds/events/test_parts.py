"""Sums that are kept of a first layer's currents while events move: against members, and against sets.

What a budget keeps for further rows: the reach of all products row by row, from those of events alone.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert import LIF, EventChange, SpikeFlip, SpikeShift, SpikingNetwork
from spikecert.certify import EventRegion
from spikecert.certify.bounds.events import parts as parts_bounds
from spikecert.certify.bounds.events.flips import Budget, Flips, Heaviest
from spikecert.certify.bounds.events.moved_events import Retimings, Shifts, _pooled, rises
from spikecert.certify.bounds.events.parts import (
    ChangedCurrents,
    PartCurrents,
    Parts,
    RankedChanges,
    first_layer,
)
from spikecert.certify.bounds.events.summed import Summed
from spikecert.certify.bounds.propagation import input_signal
from spikecert.certify.bounds.signals.affine import affine_map
from spikecert.certify.bounds.signals.signals import AffineSignal, filter_rows
from spikecert.certify.bounds.signals.windows import Spans
from spikecert.certify.perturbations.events.retiming import EventThreat, ranked_changes
from spikecert.certify.rounding import Rounding
from spikecert.models import latency_code
from spikecert.models.circuit import Mapped, circuit
from spikecert.models.linear_maps import linear_map
from spikecert.models.rules import Leaky
from support.examples import examples
from support.oracles import every_shift

SEEDS = st.integers(0, 2**31)


def first_layers(kind: str) -> tuple[list[nn.Module], tuple[int, ...]]:
    """Return layers up to the first neurons, and the shape of what they take at a step."""
    if kind == "dense":
        return [nn.Linear(6, 4)], (6,)
    if kind == "flat":
        return [nn.Flatten(), nn.Linear(6, 4, bias=False)], (2, 3)
    return [nn.Conv2d(1, 2, 2, padding=1)], (1, 2, 3)


def network_of(kind: str, steps: int) -> tuple[SpikingNetwork, tuple[int, ...]]:
    """Return a network of two layers."""
    layers, shape = first_layers(kind)
    with torch.no_grad():
        width = nn.Sequential(*layers)(torch.zeros(1, *shape)).numel()
    last = [nn.Flatten(), nn.Linear(width, 3)]
    made = SpikingNetwork(*layers, LIF(0.5, 0.5), *last, num_steps=steps, encoding="none")
    return made.double().eval(), shape


def currents(network: SpikingNetwork, ranked: RankedChanges, parts: Parts) -> PartCurrents:
    """Return what is known of the first layer's currents."""
    made = circuit(network)
    first = first_layer(made)
    assert first is not None
    return PartCurrents.of(ChangedCurrents.of(made, first, ranked), parts)


def of_sets(network: SpikingNetwork, threat: EventThreat, ranked: RankedChanges, parts: Parts) -> AffineSignal:
    """Return what is known of them from the sets around the recordings."""
    made, recordings = circuit(network), ranked.recordings(parts)
    movable, free = (ranked.possible(parts, marks) for marks in (ranked.moves, ranked.flips))
    signal = input_signal(made, threat.part(recordings, movable, free > 0, parts.left))
    for node in made.nodes[1 : first_layer(made) + 1]:  # type: ignore[operator]
        signal = AffineSignal(signal, affine_map(node.map), Rounding(made.dtype))  # type: ignore[attr-defined]
    return signal  # type: ignore[return-value]


def all_parts(ranked: RankedChanges, whole: Parts, changes: int) -> Parts:
    """Return all parts in which so many changes of a step were made."""
    for _ in range(changes):
        if not (found := ranked.children(whole, torch.full_like(whole.places, ranked.count))):
            break
        whole = found[0]
    return whole


def cover(ranked: RankedChanges, parts: Parts) -> Tensor:
    """Return the recordings of parts, and of all that come of them."""
    recordings = [ranked.recordings(parts)]
    if not parts.done:
        for child in ranked.children(parts, torch.full_like(parts.places, ranked.count)):
            recordings.append(cover(ranked, child))
    return torch.cat(recordings)


def ends(network: SpikingNetwork, recordings: Tensor, rows: Tensor, layers: int) -> Tensor:
    """Return the rows' sums of the run's currents, (k, n, ...)."""
    with torch.no_grad():
        signal = nn.Sequential(*list(network.layers)[:layers])(recordings.flatten(0, 1))
    return torch.einsum("kt,nt...->kn...", rows, signal.unflatten(0, recordings.shape[:2]))


@st.composite
def sets(draw: st.DrawFn, steps: int) -> EventThreat:
    """Return flips, moves or both, within few changes."""
    total, count = draw(st.integers(1, 3)), draw(st.sampled_from([None, 1, 2]))
    kind = draw(st.sampled_from(["flip", "insert", "delete"]))
    where = draw(st.sampled_from([None, EventRegion(steps=(0, steps - 1)), EventRegion(columns=(0, 1))]))
    flips = SpikeFlip(min(total, 2), kind, where)
    border, jitter = draw(st.sampled_from(["stay", "leave"])), draw(st.sampled_from([None, 1]))
    merge = draw(st.sampled_from(["or", "refuse", "add"]))
    shifts = SpikeShift(jitter, count, total, merge, border)
    both = [] if merge != "or" else [EventChange(flips, replace(shifts, total=min(total, 2)))]
    return draw(st.sampled_from([flips, shifts, *both]))


@pytest.mark.parametrize("kind", ["dense", "flat", "conv"])
@examples(80)
@given(data=st.data(), seed=SEEDS)
def test_they_hold_for_members_and_are_those_of_sets(kind: str, data: st.DataObject, seed: int):
    """They are of flips and of moves that add up, from a change on whose sums are kept; else they are no less."""
    torch.manual_seed(seed)
    steps = data.draw(st.integers(2, 4))
    network, shape = network_of(kind, steps)
    sample = latency_code(torch.rand(1, *shape, dtype=torch.float64), steps)
    threat = data.draw(sets(steps))
    flips, adds = isinstance(threat, SpikeFlip), isinstance(threat, SpikeShift) and threat.merge == "add"
    if data.draw(st.booleans()):
        sample = (sample + (torch.rand_like(sample) < 0.3)).clamp_max(2.0 if adds else 1.0)
    ranked, whole = ranked_changes(threat, sample[0], torch.randperm(6))
    parts = all_parts(ranked, whole, data.draw(st.integers(0, 2)))
    if len(parts) == 0:
        return
    parts = parts.at(torch.randint(len(parts), (3,)))
    parts = parts.of(torch.randint(ranked.count + 1, (3,)).maximum(parts.places))
    rows = torch.cat([filter_rows(steps, Leaky(0.5)), torch.randn(2, steps, dtype=torch.float64)])
    coarse = data.draw(st.booleans())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts_bounds, "BLOCKS", 2 if coarse else 128)
        signal = currents(network, ranked, parts)
        found, alone = signal.combine(rows), signal.steps()
    known = of_sets(network, threat, ranked, parts)
    for one, other in ((found, known.combine(rows)), (alone, known.steps())) if adds or flips else ():
        assert bool((one.lower <= other.lower + 1e-9).all())
        assert bool((one.upper >= other.upper - 1e-9).all())
        if not coarse:
            assert torch.allclose(one.lower, other.lower, atol=1e-9, rtol=0)
            assert torch.allclose(one.upper, other.upper, atol=1e-9, rtol=0)
    for index in range(3):
        one = parts.at(torch.tensor([index]))
        values = ends(network, cover(ranked, one), rows, len(first_layers(kind)[0]))
        assert bool((values >= found.lower[:, index, None]).all())
        assert bool((values <= found.upper[:, index, None]).all())


THREATS = {
    "steps": SpikeShift(None, total=3, where=EventRegion(steps=(0, 3))),
    "events": SpikeShift(1, 2),
    "both": SpikeShift(2, 2, 3),
    "leaving": SpikeShift(2, 2, 3, border="leave"),
    "adding": SpikeShift(1, 3, merge="add"),
    "adding and leaving": SpikeShift(None, 2, 3, "add", "leave", EventRegion(columns=(0, 2))),
    "flips": SpikeFlip(2),
    "inserts": SpikeFlip(2, "insert", EventRegion(columns=(0, 2))),
    "deletes": SpikeFlip(3, "delete"),
    "none": SpikeFlip(0),
    "meeting": SpikeShift(2, 2, 3, border="leave", where=EventRegion(steps=(0, 3))),
    "keeping apart": SpikeShift(1, 3, merge="refuse"),
    "moves and flips": EventChange(SpikeFlip(1), SpikeShift(1, 2)),
    "moves and inserts": EventChange(
        SpikeFlip(2, "insert", EventRegion(columns=(0, 2))), SpikeShift(2, total=2, border="leave")
    ),
    "moves and deletes": EventChange(SpikeFlip(2, "delete"), SpikeShift(1, 1, where=EventRegion(columns=(0, 1)))),
}


@pytest.mark.parametrize("told", THREATS)
def test_parts_cover_a_set_and_no_choice_of_changes_twice(told: str):
    """Where events add up, several choices may make one recording; so may ways that take other budgets."""
    threat, steps, generator = THREATS[told], 4, torch.Generator().manual_seed(7)
    for _ in range(3):
        events = latency_code(torch.rand(1, 4, generator=generator), steps)[..., :3]
        if isinstance(threat, SpikeShift) and threat.merge == "add":
            events[:, 1, :1] += 2
        if told not in ("steps", "events", "both", "leaving", "adding"):
            events[:, 2, 1:3] = 1
        sample = nn.functional.pad(events, (0, 1))[0]
        ranked, whole = ranked_changes(threat, sample, torch.randperm(4, generator=generator))
        found, expected = cover(ranked, whole).flatten(1), every_member(threat, sample).flatten(1).double()
        assert torch.equal(found.unique(dim=0), expected.unique(dim=0))
        chosen = list(ranked.choices(whole, 5))
        assert max(map(len, chosen)) <= 5
        recordings = torch.cat([ranked.recordings(parts) for parts in chosen]).flatten(1)
        assert torch.equal(recordings.unique(dim=0), found.unique(dim=0))
        assert len(recordings) == len(found) == ranked.number(whole)
        if told in ("steps", "events", "both", "leaving", "flips", "inserts", "deletes", "keeping apart"):
            assert len(found.unique(dim=0)) == len(found)
        assert len(found) > 5 or told == "none"


def every_member(threat: SpikeFlip | SpikeShift | EventChange, sample: Tensor) -> Tensor:
    """Return all recordings of a set, found by other means."""
    every = torch.tensor(list(itertools.product((0.0, 1.0), repeat=sample.numel()))).view(-1, *sample.shape)
    if isinstance(threat, SpikeFlip):
        return every[threat.contains(every, sample.expand_as(every))]
    if isinstance(threat, EventChange):
        moved = every_member(threat.shifts, sample)
        return every[torch.stack([threat.flips.contains(every, one.expand_as(every)) for one in moved]).any(0)]
    mask = torch.ones_like(sample) * threat.allowed(sample[None])
    return every_shift(sample, replace(threat, jitter=min(threat.reach, len(sample))), mask)


def small_sets() -> Iterator[EventThreat]:
    """Yield moves under all rules, and moves with a flip of one step."""
    borders, one, two = ("stay", "leave"), (1, 2), (0, 1, 2)
    for merge, border, jitter, count in itertools.product(("or", "refuse", "add"), borders, one, one):
        yield SpikeShift(jitter, count, None, merge, border)
    for kind, step, border in itertools.product(("flip", "insert", "delete"), two, borders):
        yield EventChange(SpikeFlip(1, kind, EventRegion(steps=(step, step + 1))), SpikeShift(1, 1, border=border))


def test_of_one_feature_no_choice_of_ways_escapes():
    """All samples of three steps and all signs of rows: events leave, merge, flip where one went or may come."""
    layers = nn.Linear(1, 1), LIF(0.5, 0.5), nn.Linear(1, 3)
    network = SpikingNetwork(*layers, num_steps=3, encoding="none").double()
    rows = torch.tensor(list(itertools.product((-1.0, 0.0, 1.0), repeat=3))).double()
    for threat, events in itertools.product(small_sets(), itertools.product((0.0, 1.0), repeat=3)):
        ranked, whole = ranked_changes(threat, torch.tensor(events)[:, None], torch.arange(1))
        found, values = (
            currents(network, ranked, whole).combine(rows),
            ends(network, cover(ranked, whole), rows, 1),
        )
        assert bool((values >= found.lower).all())
        assert bool((values <= found.upper).all())


def test_how_many_choices_there_are_is_told_of_any_set():
    """As many as binomials say; and of budgets that all ways keep to, whatever they take."""
    order, sample = torch.arange(300), torch.zeros(10, 300)
    for flips in (0, 1, 3, 50):
        ranked, whole = ranked_changes(SpikeFlip(flips), sample, order)
        assert ranked.number(whole) == sum(math.comb(3000, k) for k in range(flips + 1))
    sample[4] = 1
    ranked, whole = ranked_changes(SpikeShift(2), sample, order)
    assert ranked.number(whole) == 5**300
    ranked, whole = ranked_changes(SpikeShift(2, 2, 3), sample, order)
    assert ranked.number(whole) == 1 + 300 * 4 + math.comb(300, 2) * (2 * 2 + 2 * 2 * 2)


def test_a_layer_that_reads_the_input_alone_is_found():
    dense, _ = network_of("dense", 3)
    flat, _ = network_of("flat", 3)
    single = SpikingNetwork(nn.Linear(4, 3), num_steps=3, encoding="none")
    spiking = SpikingNetwork(LIF(), nn.Linear(4, 3), num_steps=3, encoding="none")
    found = [first_layer(circuit(network)) for network in (dense, flat, single, spiking)]
    assert found == [1, 2, None, None]


def pairs_of(decay: float, jitter: int, each: int) -> list[tuple[Tensor, Tensor]]:
    """Return changes of 70 outputs, some steps empty, and the gains of all windows of 12 steps, either way."""
    generator = torch.Generator().manual_seed(int(100 * decay) + jitter)
    rows = Spans.of(Leaky(decay), 12).rows(range(1, 13))
    changes = [torch.rand(12, 2, 35, each, generator=generator).double() for _ in range(2)]
    changes[0][::3] = 0
    gains = [Retimings.of(sign * rows, jitter, False, sign < 0).gains for sign in (1.0, -1.0)]
    return list(zip(changes, gains, strict=True))


@pytest.mark.parametrize("most", [None, 1, 2, 5, 16, 17])
@pytest.mark.parametrize(("decay", "jitter"), [(1.0, 1), (0.9, 1), (0.9, 3), (0.0, 2)])
def test_rows_that_share_gains_have_the_sums_of_torch(decay: float, jitter: int, most: int | None):
    pairs = pairs_of(decay, jitter, 3)
    pooled = torch.cat([_pooled(*pair) for pair in pairs], -1)
    expected = pooled.sum(-1) if most is None else pooled.topk(most).values.sum(-1)
    torch.testing.assert_close(rises(pairs, most), expected, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("count", [None, 1, 3])
@pytest.mark.parametrize("decay", [1.0, 0.9])
def test_windows_are_those_of_rows(count: int | None, decay: float):
    torch.manual_seed(4)
    layers = nn.Flatten(), nn.Linear(12, 5), LIF(decay), nn.Linear(5, 2)
    network = SpikingNetwork(*layers, num_steps=7, encoding="none")
    made, rounding = circuit(network), Rounding(torch.float32)
    events = (torch.rand(2, 7, 3, 4) < 0.3).float()
    signal = input_signal(made, SpikeShift(2, count).enclosure(events))
    for node in made.nodes[1:3]:
        assert isinstance(node, Mapped)
        signal = AffineSignal(signal, affine_map(node.map), rounding)
    asked, ends = Spans.of(Leaky(decay), 7, 5), range(2, 8)
    found, expected = signal.windowed(asked, ends), signal.combine(asked.rows(ends))
    torch.testing.assert_close(found.lower, expected.lower, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found.upper, expected.upper, rtol=1e-12, atol=1e-12)


STEPS, BATCH, FEATURES, OUTPUTS = 5, 3, 24, 4


def recordings(generator: torch.Generator, share: float) -> Tensor:
    """Return events, (T, batch, features)."""
    return (torch.rand(STEPS, BATCH, FEATURES, generator=generator) < share).double()


def budgets(events: Tensor, count: int | None, total: int | None, jitter: int) -> dict[str, Budget]:
    """Return one of each kind."""
    shifts = Shifts(STEPS, jitter, count, total, False, (events,), (True,))
    flips = Flips(count or 3, 1.0 - 2.0 * events)
    few = Flips(count or 3, -events)
    return {"moves": shifts, "flips": flips, "fewer": few, "both": Summed(shifts, few)}


@pytest.mark.parametrize("kind", ["moves", "flips", "fewer", "both"])
@examples(30)
@given(
    seed=st.integers(0, 10**6),
    share=st.sampled_from((0.0, 0.05, 0.3, 1.0)),
    limits=st.sampled_from(((None, None), (1, None), (2, 3), (None, 2), (500, None))),
    jitter=st.integers(1, 4),
)
def test_what_is_kept_gives_the_reach_of_all_products_row_by_row(
    kind: str, seed: int, share: float, limits: tuple[int | None, int | None], jitter: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    layer = nn.Linear(FEATURES, OUTPUTS).double()
    nn.init.normal_(layer.weight, generator=generator)
    budget = budgets(recordings(generator, share), *limits, jitter)[kind]
    rows = torch.randn(7, STEPS, generator=generator, dtype=torch.float64)
    rows[::2, 2:] = 0.0
    products, kept = linear_map(layer).products, dict[int, Heaviest]()
    assert products is not None
    found = budget.of_rows(rows).reach(products, kept)
    again = budget.of_rows(rows).reach(products, kept)
    assert kept
    assert all(map(torch.equal, found, again))
    for k, row in enumerate(rows):
        dense = budget.of_rows(row[None])
        plain = dense.reach_of(dense.heaviest(lambda marks: marks.unsqueeze(-2) * layer.weight.detach()))
        for one, other in zip(found, plain, strict=True):
            torch.testing.assert_close(one[k], other[0], rtol=1e-12, atol=1e-12)


def test_products_of_few_entries_are_theirs_alone() -> None:
    layer = nn.Linear(FEATURES, OUTPUTS)
    products = linear_map(layer).products
    assert products is not None
    inputs = torch.zeros(2, FEATURES)
    inputs[0, 3], inputs[1, 5], inputs[1, 7] = 1.0, -2.0, 1.0
    assert products(inputs).shape == (2, OUTPUTS, 2)
    torch.testing.assert_close(products(inputs).sum(-1), inputs @ layer.weight.T)
    assert products(torch.ones(2, FEATURES)).shape == (2, OUTPUTS, FEATURES)
    assert products(torch.zeros(2, FEATURES)).abs().sum() == 0
