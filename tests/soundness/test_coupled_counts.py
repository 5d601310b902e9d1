"""Counts of loops with rounding paid: no member escapes, nothing gets wider, and loops of one sign are exact."""

from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from spikecert.certify import LInf, SpikeFlip, SpikeShift, verify
from spikecert.certify.bounds.automata.whole import CountedSpikes, by_parts, counted, counts_behind
from spikecert.certify.bounds.propagation import signals_of
from spikecert.certify.bounds.signals.windows import Box
from spikecert.certify.bounds.trains.recurrent import recurrent_spikes
from spikecert.certify.bounds.trains.trains import conserved_spikes, step_spikes
from spikecert.certify.rounding import Rounding
from spikecert.models import LIF, Recurrent, SpikingNetwork, Synapse
from spikecert.models.circuit import Recurred, circuit
from spikecert.testing.neurons import SEEDS
from support.examples import examples

SYNAPSES = st.sampled_from([None, (0.5, 0), (0.0, 1), (1.0, 2)])
DTYPES = st.sampled_from([torch.float32, torch.float64])


def looping(steps: int, seed: int, synapse: tuple[float, int] | None, dtype: torch.dtype) -> SpikingNetwork:
    """Return a loop whose potentials meet thresholds, or just miss them."""
    torch.manual_seed(seed)
    fires_at, amount = (">=", ">")[seed % 2], (None, 0.75)[seed // 2 % 2]
    neuron = LIF(1.0, 0.5, reset="subtract", fires_at=fires_at, reset_amount=amount)
    made = None if synapse is None else Synapse(*synapse)
    layers = nn.Linear(2, 4), Recurrent(neuron, nn.Linear(4, 4), made), nn.Linear(4, 3)
    network = SpikingNetwork(*layers, num_steps=steps, encoding="none").to(dtype)
    with torch.no_grad():
        for weights in network.parameters():
            weights.copy_((weights * 6).round() / 4)
            weights.mul_((1.0, 1.0, 1.0 + 1e-6, 1.0 / 3.0)[seed // 4 % 4])
    return network


@examples(120)
@given(seed=SEEDS, steps=st.integers(1, 5), synapse=SYNAPSES, dtype=DTYPES, kind=st.integers(0, 2))
def test_no_member_escapes_and_nothing_gets_wider(
    seed: int, steps: int, synapse: tuple[float, int] | None, dtype: torch.dtype, kind: int
) -> None:
    network = looping(steps, seed % 1000, synapse, dtype)
    generator = torch.Generator().manual_seed(seed)
    events = (torch.rand(1, steps, 2, generator=generator) < 0.4).to(dtype)
    threat = (SpikeFlip(1 + seed % 2), SpikeShift(min(1, steps - 1), merge=("add", "or")[seed % 2]), LInf(0.1))[
        kind
    ]
    made = circuit(network)
    known = signals_of(made, threat.enclosure(events), conserved_spikes)
    place, node = next((k, each) for k, each in enumerate(made.nodes) if isinstance(each, Recurred))
    found = known[place]
    assert isinstance(found, CountedSpikes)
    if isinstance(threat, LInf):
        draws = [threat.sample(events, generator) for _ in range(64)]
        members = torch.cat([*draws, events.sub(0.1).clamp_min(0), events.add(0.1).clamp_max(1)])
    else:
        members = torch.cat(list(threat.members(events[0]).batches(4096)))
    with torch.no_grad():
        spikes = network.trace(members.to(dtype)).spikes[0].double()
    counts = spikes.cumsum(0)
    assert bool((counts >= found.low).all())
    assert bool((counts <= found.high).all())
    before = recurrent_spikes(known[place - 1], node, conserved_spikes, Rounding(made.dtype))
    rows = torch.cat(
        (torch.ones(steps, steps).tril(), torch.eye(steps), torch.randn(3, steps, generator=generator))
    )
    ours, theirs = found.combine(rows.double()), before.combine(rows.double())
    reached = torch.einsum("rt,tbo->rbo", rows.double(), spikes)
    assert bool((reached >= ours.lower - 1e-9).all())
    assert bool((reached <= ours.upper + 1e-9).all())
    assert bool((ours.lower >= theirs.lower).all())
    assert bool((ours.upper <= theirs.upper).all())
    steps_box = found.steps()
    assert bool((spikes >= steps_box.lower).all())
    assert bool((spikes <= steps_box.upper).all())


def test_it_proves_what_trains_alone_do_not() -> None:
    """A neuron that hears another has its exact counts, which the trains of single neurons lose."""
    proven = wider = 0
    for seed in range(16):
        network = looping(5, seed, None, torch.float64)
        events = (torch.rand(1, 5, 2, generator=torch.Generator().manual_seed(seed)) < 0.4).double()
        threat = SpikeShift(1, merge="add")
        made = circuit(network)
        known = signals_of(made, threat.enclosure(events), conserved_spikes)
        found = known[2]
        assert isinstance(found, CountedSpikes)
        rows = torch.ones(5, 5).tril().double()
        ours, theirs = found.combine(rows), found.known.combine(rows)
        wider += bool((theirs.upper - theirs.lower > ours.upper - ours.lower + 0.5).any())
        label = network(events).argmax(1)
        proven += verify(network, events, label, threat, "trains")[0].status == "verified"
    assert wider >= 4
    assert proven >= 2


@pytest.mark.parametrize(
    ("low", "high", "stray", "expected"),
    [
        (6.0, 4.0, 0.0, (1, 3)),
        (6.2, 6.0, 0.0, (2, 3)),
        (6.05, 6.95, 0.0, (1, 4)),
        (6.3, 6.7, 0.25, (1, 4)),
        (6.4, 6.6, 0.25, (2, 3)),
    ],
)
def test_a_count_grows_where_it_must_and_where_it_may(
    low: float, high: float, stray: float, expected: tuple[int, int]
) -> None:
    """θ⁻ = 0.9, θ⁺ = 1.1; 1 to 3 spikes before, of which each took d = 5 (the lower end) or d = 2 (the upper)."""
    before = Box(torch.tensor([1.0]).double(), torch.tensor([3.0]).double())
    sums = Box(torch.full((1,), low, dtype=torch.float64), torch.full((1,), high, dtype=torch.float64))
    many, few = (counts_behind(before, sums, torch.full((1,), stray).double(), (1.1, 0.9), d) for d in (5.0, 2.0))
    assert (int(many.lower), int(few.upper)) == expected


@pytest.mark.parametrize(("sums", "fires"), [(0.9, True), (0.9 - 1e-9, False), (1.1, True)])
def test_ties_may_fire_and_need_not(sums: float, fires: bool) -> None:
    """Between θ⁻ and θ⁺ the run may do either; at θ⁺ itself it need not fire yet."""
    nothing = Box(torch.zeros(1).double(), torch.zeros(1).double())
    reached = Box(torch.full((1,), sums, dtype=torch.float64), torch.full((1,), sums, dtype=torch.float64))
    found = counts_behind(nothing, reached, torch.zeros(1).double(), (1.1, 0.9), 1.0)
    assert (int(found.lower), int(found.upper)) == (0, int(fires))


@examples(80)
@given(seed=SEEDS, steps=st.integers(1, 6))
def test_sums_by_parts_are_those_of_trains_with_such_counts(seed: int, steps: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    trains = torch.randint(0, 2, (20, steps), generator=generator).double()
    counts = trains.cumsum(1)
    rows = torch.randn(4, steps, generator=generator, dtype=torch.float64)
    box = by_parts(rows, counts.amin(0)[:, None], counts.amax(0)[:, None])
    sums = rows @ trains.T
    assert bool((sums >= box.lower).all())
    assert bool((sums <= box.upper).all())
    one = by_parts(rows, counts[0][:, None], counts[0][:, None])
    torch.testing.assert_close(one.lower.squeeze(1), sums[:, 0], atol=1e-9, rtol=0)
    for row, low, high in zip(
        rows.tolist(), one.lower.squeeze(1).tolist(), one.upper.squeeze(1).tolist(), strict=True
    ):
        exact = sum(Fraction(r) for r, spike in zip(row, trains[0].tolist(), strict=True) if spike)
        assert Fraction(low) <= exact <= Fraction(high)


@pytest.mark.parametrize(("threshold", "sign"), [(7.0, 1.0), (6.0, -1.0)])
def test_rounding_that_piles_up_over_time_is_paid(threshold: float, sign: float) -> None:
    """Currents of about θ/60 over 60 steps: which neurons fire at last is for the run's own rounding to say."""
    steps, width = 60, 500
    loop = Recurrent(LIF(1.0, threshold, reset="subtract"), nn.Linear(width, width, bias=False))
    network = SpikingNetwork(loop, nn.Linear(width, 2), num_steps=steps, encoding="none")
    near = torch.randn(width, generator=torch.Generator().manual_seed(0)) * 1e-6
    inputs = (threshold / steps * (1.0 + near)).expand(1, steps, width)
    with torch.no_grad():
        loop.feedback.weight.zero_()  # type: ignore[union-attr, operator]
        counts = network.trace(inputs).spikes[0].double().cumsum(0)[-1, 0]
    made, exact = circuit(network), (inputs[0, 0].double() * steps >= threshold).double()
    assert bool((sign * (counts - exact) > 0).any()), "rounding decides nothing here"
    found = signals_of(made, LInf(0.0).enclosure(inputs), step_spikes)[1]
    assert isinstance(found, CountedSpikes)
    assert bool((found.low[-1, 0] <= counts).all())
    assert bool((found.high[-1, 0] >= counts).all())


@pytest.mark.parametrize("neuron", [LIF(0.9, reset="subtract"), LIF(1.0, reset="zero"), LIF(1.0, reset="none")])
def test_other_neurons_are_left_as_they_are(neuron: LIF) -> None:
    layers = nn.Linear(2, 3), Recurrent(neuron, nn.Linear(3, 3)), nn.Linear(3, 2)
    made = circuit(SpikingNetwork(*layers, num_steps=3, encoding="none"))
    known = signals_of(made, SpikeFlip(1).enclosure(torch.zeros(1, 3, 2)), conserved_spikes)
    node = made.nodes[2]
    assert isinstance(node, Recurred)
    assert not isinstance(known[2], CountedSpikes)
    assert counted(known[1], node, known[2], Rounding(made.dtype)) is known[2]
