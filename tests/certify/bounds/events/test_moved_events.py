"""Sums that are kept of a first layer's currents while events move: against members, and against sets.

What a budget keeps for further rows: the reach of all products row by row, from those of events alone.
"""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert import LIF, SpikeShift, SpikingNetwork, latency_code
from spikecert.certify.bounds.events import moved_events
from spikecert.certify.bounds.events.flips import Budget, Flips, Heaviest
from spikecert.certify.bounds.events.moved_events import (
    Movable,
    MovedCurrents,
    MovedEvents,
    Retimings,
    Shifts,
    _pooled,
    first_layer,
    rises,
)
from spikecert.certify.bounds.events.summed import Summed
from spikecert.certify.bounds.propagation import input_signal
from spikecert.certify.bounds.signals.affine import affine_map
from spikecert.certify.bounds.signals.signals import AffineSignal, filter_rows
from spikecert.certify.bounds.signals.windows import Spans
from spikecert.certify.rounding import Rounding
from spikecert.certify.splitting.apart_bounds import Parts, RankedEvents
from spikecert.models.circuit import Mapped, circuit
from spikecert.models.linear_maps import linear_map
from spikecert.models.rules import Leaky
from support.examples import examples

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


def currents(network: SpikingNetwork, threat: SpikeShift, ranked: RankedEvents, parts: Parts) -> MovedCurrents:
    """Return what is known of the first layer's currents."""
    made = circuit(network)
    first = first_layer(made)
    assert first is not None
    events = MovedEvents.of(made, first, ranked.sample, ranked.features, ranked.before, ranked.jitter)
    after = events.after(parts.moved, parts.there)
    return MovedCurrents(events, after, parts.moved.shape[1], Movable(parts.steps, parts.events), parts.places)


def of_sets(network: SpikingNetwork, threat: SpikeShift, ranked: RankedEvents, parts: Parts) -> AffineSignal:
    """Return what is known of them from the sets around the recordings."""
    made = circuit(network)
    shift = replace(threat, total=parts.steps, count=parts.events, where=None)
    box = shift.enclosed(ranked.recordings(parts).double(), ranked.marks(parts))
    signal = input_signal(made, box)
    for node in made.nodes[1 : first_layer(made) + 1]:  # type: ignore[operator]
        signal = AffineSignal(signal, affine_map(node.map), Rounding(made.dtype))  # type: ignore[attr-defined]
    return signal  # type: ignore[return-value]


def all_parts(ranked: RankedEvents, whole: Parts, moves: int) -> Parts:
    """Return all parts in which so many events have moved by a step."""
    for _ in range(moves):
        whole = ranked.children(whole, torch.full_like(whole.places, ranked.count))[0]
    return whole


def ends(network: SpikingNetwork, recordings: Tensor, rows: Tensor, layers: int) -> Tensor:
    """Return the rows' sums of the run's currents, (k, n, ...)."""
    with torch.no_grad():
        signal = nn.Sequential(*list(network.layers)[:layers])(recordings.flatten(0, 1))
    return torch.einsum("kt,nt...->kn...", rows, signal.unflatten(0, recordings.shape[:2]))


@pytest.mark.parametrize("kind", ["dense", "flat", "conv"])
@examples(40)
@given(data=st.data(), seed=SEEDS)
def test_they_hold_for_members_and_are_those_of_sets(kind: str, data: st.DataObject, seed: int):
    """Of sets from some event on whose sums are kept the bounds are the same; elsewhere they are no less."""
    torch.manual_seed(seed)
    steps = data.draw(st.integers(2, 4))
    network, shape = network_of(kind, steps)
    sample = latency_code(torch.rand(1, *shape, dtype=torch.float64), steps)
    total, count = data.draw(st.integers(1, 3)), data.draw(st.sampled_from([None, 1, 2]))
    threat = SpikeShift(data.draw(st.sampled_from([None, 1])), count, total)
    ranked = RankedEvents.of(circuit(network), threat, sample)
    moves = data.draw(st.integers(0, min(total, count or total) - 1))
    parts = all_parts(ranked, ranked.whole(threat), moves)
    if len(parts) == 0:
        return
    chosen = torch.randint(len(parts), (3,))
    parts = parts.at(chosen)
    parts = parts.of(torch.randint(ranked.count + 1, (3,)).maximum(parts.places))
    rows = torch.cat([filter_rows(steps, Leaky(0.5)), torch.randn(2, steps, dtype=torch.float64)])
    coarse = data.draw(st.booleans())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(moved_events, "BLOCKS", 2 if coarse else 128)
        signal = currents(network, threat, ranked, parts)
        found, alone = signal.combine(rows), signal.steps()
    known = of_sets(network, threat, ranked, parts)
    for one, other in ((found, known.combine(rows)), (alone, known.steps())):
        if coarse:
            assert bool((one.lower <= other.lower + 1e-9).all())
            assert bool((one.upper >= other.upper - 1e-9).all())
        else:
            assert torch.allclose(one.lower, other.lower, atol=1e-9, rtol=0)
            assert torch.allclose(one.upper, other.upper, atol=1e-9, rtol=0)
    for index in range(3):
        rest = replace(threat, total=parts.steps, count=parts.events, where=None)
        one = parts.at(torch.tensor([index]))
        recording, mask = ranked.recordings(one)[0], ranked.marks(one)[0]
        every = torch.cat(list(replace(rest, where=mask > 0).members(recording).batches(512)))
        values = ends(network, every, rows, len(first_layers(kind)[0]))
        assert bool((values >= found.lower[:, index, None]).all())
        assert bool((values <= found.upper[:, index, None]).all())


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
