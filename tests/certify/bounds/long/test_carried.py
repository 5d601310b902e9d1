"""What came in less what earlier spikes took, against all recordings that moves of events make."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert import LIF, SpikeFlip, SpikeShift, SpikingNetwork, circuit, verify
from spikecert.certify.bounds.long_trains import LongTrains, carried_trains, long_trains
from spikecert.certify.bounds.propagation import input_signal, logit_bounds
from spikecert.certify.bounds.signals.affine import affine_map
from spikecert.certify.bounds.trains.trains import carried_spikes, conserved_spikes, window_spikes
from spikecert.certify.rounding import Rounding
from spikecert.models.circuit import leaky_rule
from spikecert.models.linear_maps import linear_map
from spikecert.testing.neurons import DECAYS, SEEDS
from support.examples import examples
from support.oracles import every_flip, every_shift
from support.signals import affine_signal

DTYPES = st.sampled_from([torch.float32, torch.float64])
MERGES, BORDERS = st.sampled_from(["or", "add", "refuse"]), st.sampled_from(["stay", "leave"])


def layer(features: int, neurons: int, seed: int, dtype: torch.dtype) -> nn.Linear:
    """Return weights of which every other draw brings potentials exactly to a threshold."""
    torch.manual_seed(seed)
    made = nn.Linear(features, neurons).to(dtype)
    made.weight.data = torch.randn(neurons, features).to(dtype) * 1.2
    made.bias.data = torch.randn(neurons).to(dtype) * 0.2
    if seed % 2:
        made.weight.data, made.bias.data = ((each * 2).round() / 2 for each in (made.weight.data, made.bias.data))
    return made


def holds(found: LongTrains, spikes: Tensor) -> bool:
    """Return whether spikes (T, n, neurons) are among the steps, and in the range of some sums."""
    steps = len(spikes)
    rows = torch.cat((torch.ones(1, steps), torch.randn(3, steps), -torch.eye(steps))).double()
    sums, ends = torch.tensordot(rows, spikes.double(), 1), found.combine(rows)
    inside = (ends.lower <= sums.amin(1, keepdim=True) + 1e-9) & (ends.upper >= sums.amax(1, keepdim=True) - 1e-9)
    box = found.steps()
    return bool(
        inside.all() & (box.lower[:, 0] <= spikes.amin(1)).all() & (box.upper[:, 0] >= spikes.amax(1)).all()
    )


@examples(120)
@given(
    data=st.data(),
    decay=DECAYS,
    dtype=DTYPES,
    seed=SEEDS,
    steps=st.integers(1, 6),
    features=st.integers(1, 2),
    longest=st.sampled_from([None, 1, 3, 9]),
    labels=st.integers(1, 7),
)
def test_no_run_escapes(
    data: st.DataObject,
    decay: float,
    dtype: torch.dtype,
    seed: int,
    steps: int,
    features: int,
    longest: int,
    labels: int,
):
    made, neuron = layer(features, 61, seed, dtype), LIF(decay)
    events = torch.zeros(steps * features, dtype=dtype)
    events[torch.randperm(len(events))[: data.draw(st.integers(0, 5))]] = 1.0
    events = events.view(steps, features)
    if data.draw(st.booleans()):
        jitter, count = (
            data.draw(st.integers(0, min(2, steps - 1))),
            data.draw(st.sampled_from([None, None, 1, 2])),
        )
        threat = SpikeShift(jitter, count, merge=data.draw(MERGES), border=data.draw(BORDERS))
        every = every_shift(events, threat, torch.ones_like(events) > 0)
    else:
        threat, every = SpikeFlip(1), every_flip(events, 1)
    with torch.no_grad():
        spikes = neuron.run(made(every.to(dtype)).transpose(0, 1), steps).spikes
    network = SpikingNetwork(made, neuron, nn.Linear(61, 2).to(dtype), num_steps=steps, encoding="none")
    source = input_signal(circuit(network), threat.enclosure(events[None]))
    current = affine_signal(source, made.double(), Rounding(dtype))
    found = carried_trains(current, leaky_rule(neuron, steps), Rounding(dtype), longest, labels)
    assert holds(found, spikes)


@examples(40)
@given(DECAYS, SEEDS, st.integers(2, 9), st.integers(1, 2))
def test_it_is_never_wider_than_windows(decay: float, seed: int, steps: int, jitter: int):
    made, neuron = layer(4, 9, seed, torch.float64), LIF(decay)
    events = (torch.rand(1, steps, 4) < 0.3).double()
    network = SpikingNetwork(made, neuron, nn.Linear(9, 2).double(), num_steps=steps, encoding="none")
    source = input_signal(circuit(network), SpikeShift(min(jitter, steps - 1)).enclosure(events))
    asked = (
        affine_signal(source, made, Rounding(torch.float64)),
        leaky_rule(neuron, steps),
        Rounding(torch.float64),
    )
    wide, narrow = long_trains(*asked), carried_trains(*asked)
    rows = torch.cat((torch.randn(4, steps), torch.ones(1, steps))).double()
    assert bool((narrow.steps().lower >= wide.steps().lower).all())
    assert bool((narrow.steps().upper <= wide.steps().upper).all())
    assert bool((narrow.combine(rows).lower >= wide.combine(rows).lower - 1e-12).all())
    assert bool((narrow.combine(rows).upper <= wide.combine(rows).upper + 1e-12).all())


def one_event(steps: int) -> tuple[SpikingNetwork, Tensor]:
    """Return a network whose neuron fires once for each event, and a recording of one in the middle."""
    first, last = nn.Linear(1, 1), nn.Linear(1, 2)
    network = SpikingNetwork(first, LIF(1.0), last, num_steps=steps, encoding="none").eval()
    for part, weight, bias in ((first, [[1.0]], [0.0]), (last, [[0.0], [1.0]], [1.5 / steps, 0.0])):
        part.weight.data, part.bias.data = torch.tensor(weight), torch.tensor(bias)
    events = torch.zeros(1, steps, 1)
    events[0, steps // 2] = 1.0
    return network, events


@pytest.mark.parametrize("steps", [4, 40])
def test_an_event_that_moves_makes_one_spike(steps: int):
    """Windows let the event come before a spike and behind it: three spikes."""
    network, events = one_event(steps)
    label, box = torch.tensor([0]), SpikeShift(1).enclosure(events)
    counts = [
        logit_bounds(circuit(network), box, spikes).upper[0, 1] for spikes in (window_spikes, carried_spikes)
    ]
    assert [round(float(count) * steps, 3) for count in counts] == [3.0, 1.0]
    (verdict,) = verify(network, events, label, SpikeShift(1), "trains")
    assert verdict.status == "verified"


@pytest.mark.parametrize(
    ("decay", "threat"), [(1.0, SpikeShift(2)), (0.9, SpikeShift(1)), (0.5, SpikeShift(3, 4))]
)
def test_no_run_of_many_steps_escapes(decay: float, threat: SpikeShift):
    torch.manual_seed(1)
    network = SpikingNetwork(
        layer(9, 12, 2, torch.float32),
        LIF(decay),
        layer(12, 8, 4, torch.float32),
        LIF(decay),
        nn.Linear(8, 3),
        num_steps=40,
        encoding="none",
    ).eval()
    events = (torch.rand(1, 40, 9) < 0.2).float()
    generator = torch.Generator().manual_seed(0)
    tried = torch.cat([threat.sample(events.expand(50, -1, -1), generator) for _ in range(8)])
    with torch.no_grad():
        logits = network(tried).double()
    known = logit_bounds(circuit(network), threat.enclosure(events), conserved_spikes)
    assert bool((known.lower[0] <= logits.amin(0)).all())
    assert bool((known.upper[0] >= logits.amax(0)).all())
    assert float((logits.amax(0) - logits.amin(0)).max()) > 0  # something moves


@examples(40)
@given(SEEDS, st.sampled_from([1.0, 1e-12, 1e12]))
def test_sums_of_one_sign_are_those_of_the_products(seed: int, scale: float):
    torch.manual_seed(seed)
    made = nn.Linear(5, 6, bias=False).double()
    made.weight.data[torch.rand(6, 5) < 0.2] = 0.0
    made.weight.data[:, 0] *= scale
    marks = (torch.rand(9, 5) < 0.5).double() * torch.randint(1, 4, (9, 5))
    rises, falls = affine_map(linear_map(made)).signed(marks)
    products = linear_map(made).products
    assert products is not None
    each = products(marks)
    for found, sign in ((rises, 1), (falls, -1)):
        exact = (sign * each).clamp_min(0).sum(-1)
        assert bool((found >= exact).all())
        assert bool((found <= exact + 1e-13 * each.abs().sum(-1)).all())


@pytest.mark.parametrize("merge", ["or", "add"])
def test_sums_are_enough_where_all_events_may_move(merge: str):
    torch.manual_seed(0)
    made, events = nn.Linear(6, 5).double(), (torch.rand(3, 8, 6) < 0.4).double()
    budget = SpikeShift(1, merge=merge).enclosure(events).budget
    assert budget is not None
    budget = budget.moved(lambda marks: marks.transpose(0, 1)).of_rows(torch.randn(7, 8))
    products, sums = linear_map(made).products, affine_map(linear_map(made)).signed
    assert products is not None
    for one, other in zip(budget.reach(products, {}), budget.reach(products, {}, sums), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=0)


@pytest.mark.parametrize("merge", ["or", "add"])
def test_three_events_make_three_spikes_at_most(merge: str):
    network, _ = one_event(6)
    events = torch.zeros(1, 6, 1)
    events[0, [1, 3, 5]] = 1.0
    known = logit_bounds(circuit(network), SpikeShift(1, merge=merge).enclosure(events), carried_spikes)
    assert 6 * float(known.upper[0, 1]) == pytest.approx(3.0, abs=1e-3)


@pytest.mark.parametrize("step", range(5))
@pytest.mark.parametrize("steps", [5, 40])
def test_a_spike_at_any_step_counts(step: int, steps: int):
    """Also the last one's, which no label outlives."""
    network, _ = one_event(steps)
    events = torch.zeros(1, steps, 1)
    events[0, steps - 1 - step] = 1.0
    known = logit_bounds(circuit(network), SpikeShift(1).enclosure(events), carried_spikes)
    assert steps * float(known.upper[0, 1]) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("longest", [None, 8])
def test_a_spike_of_the_last_step_counts_where_none_was_before(steps: int, longest: int | None):
    """Its potential is exactly θ, so that silence may be there, too."""
    network, _ = one_event(steps)
    events = torch.zeros(1, steps, 1)
    events[0, -1] = 1.0
    source = input_signal(circuit(network), SpikeShift(0).enclosure(events))
    first = network.layers[0]
    assert isinstance(first, nn.Linear)
    current = affine_signal(source, first.double(), Rounding(torch.float32))
    found = carried_trains(current, leaky_rule(network.neurons[0], steps), Rounding(torch.float32), longest)
    count = found.combine(torch.ones(1, steps).double())
    assert (float(count.lower), float(count.upper)) == (0.0, 1.0)
