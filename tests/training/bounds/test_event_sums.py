"""Sums over time of changed events: exact where they can be, never below a member, never wider than steps."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert import LIF, CertifiedEvents, EventChange, SpikeFlip, SpikeShift, SpikingNetwork, mlp
from spikecert.certify import EventRegion
from spikecert.models.circuit import circuit
from spikecert.models.elements.synapses import Synapse
from spikecert.models.linear_maps import linear_map
from spikecert.testing.neurons import SEEDS
from spikecert.training.bounds.ends import Ends, EventSums
from spikecert.training.bounds.interval_bounds import WindowRows, worst_logits
from spikecert.training.bounds.prefix_bounds import Prefixes
from spikecert.training.bounds.spike_ends import EventBall
from spikecert.training.objectives.certified_moves import Threat, changes, worst_of_events
from support.examples import examples

QUESTIONS = 300
"""Of the test that lists members; `test_no_member_escapes` was run with 8,000 once."""


def drawn_threat(generator: torch.Generator, steps: int) -> Threat:
    """Return a set that is small enough to be listed."""

    def pick(*choices: Any) -> Any:
        return choices[int(torch.randint(len(choices), (), generator=generator))]

    where = pick(None, None, EventRegion(steps=(0, 1)))
    flips = SpikeFlip(pick(1, 2), pick("flip", "insert", "delete"), where)
    budgets = pick(None, 1, 2), pick(None, None, 1, 3)
    jitter = min(pick(1, 1, 2), steps - 1)
    shifts = SpikeShift(jitter, *budgets, pick("or", "add", "refuse"), pick("stay", "leave"), where)
    return pick(flips, shifts, shifts, EventChange(replace(flips, count=1), replace(shifts, merge="or")))


def drawn_events(generator: torch.Generator, steps: int, width: int, threat: Threat) -> Tensor:
    adds = isinstance(threat, SpikeShift) and threat.merge == "add"
    events = (torch.rand(steps, width, generator=generator) < 0.3).double()
    return events * (1 + (torch.rand(events.shape, generator=generator) < 0.2)) if adds else events


def counting(decay: float = 1.0) -> LIF:
    return LIF(decay, 0.5, reset="subtract")


def gaps(logits: Tensor, labels: Tensor) -> Tensor:
    return logits - logits.gather(-1, labels.expand(logits.shape[:-1])[..., None])


def by_steps(network: SpikingNetwork, events: Tensor, labels: Tensor, threat: Threat, bounds: str) -> Tensor:
    """Return the bound from the ends of steps alone."""
    box, most = threat.enclosure(events), changes(threat)
    ball = None if math.isinf(most) else EventBall(events, most)
    return worst_logits(network, box.lower.to(events), box.upper.to(events), labels, bounds, ball)


@pytest.mark.parametrize("kind", ["prefix", "leaky", "windows"])
def test_no_member_escapes(kind: str) -> None:
    """Neurons that count, neurons that forget and subtract, and hard resets."""
    bounds = "windows" if kind == "windows" else "prefix"
    generator, moving, narrower = torch.Generator().manual_seed(5), 0, 0
    for question in range(QUESTIONS):
        torch.manual_seed(question)
        steps = 1 + question % 5
        decays = {"prefix": (1.0, 1.0), "leaky": (0.5, 0.9), "windows": (0.6, 1.0)}[kind]
        neuron = LIF(decays[question % 2], 0.5, reset="zero" if kind == "windows" else "subtract")
        network = mlp((2, 4, 3, 2)[: 3 + question % 2], steps, neuron, encoding="none").double()
        with torch.no_grad():
            for weights in network.parameters():
                weights.copy_((weights * 6).round() / 4)  # currents that lie on thresholds
        threat = drawn_threat(generator, steps)
        events = drawn_events(generator, steps, 2, threat)[None]
        with torch.no_grad():
            label = network(events).argmax(1)
            worst = worst_of_events(network, events, label, threat, bounds)
            reached = gaps(network(torch.cat(list(threat.members(events[0]).batches(4096)))), label)
            steps_only = by_steps(network, events, label, threat, bounds)
            half = worst_of_events(network, events, label, threat, bounds, 0.5)
        assert bool((reached <= worst + 1e-9).all()), (question, threat)
        assert bool((worst <= steps_only + 1e-9).all()), (question, threat)
        assert bool((half <= worst + 1e-9).all()), (question, threat)
        moving += bool((reached != reached[0]).any())
        narrower += bool((worst < steps_only - 1e-9).any())
    assert moving > QUESTIONS // 3, "too few questions move the outputs"
    assert narrower > QUESTIONS // 20, "events that count once were as wide as steps"


@examples(60)
@given(seed=SEEDS, steps=st.integers(1, 5))
def test_ends_of_prefixes_are_attained(seed: int, steps: int) -> None:
    """Flips and moves that add up, under a budget of how many or none: each neuron, each step."""
    generator = torch.Generator().manual_seed(seed)
    jitter = min(1 + seed % 2, steps - 1)
    border = ("stay", "leave")[seed % 2]
    moves = SpikeShift(jitter, (None, 1, 2)[seed % 3], None, "add", border)
    threat = (SpikeFlip(1 + seed % 2, ("flip", "insert", "delete")[seed % 3]), moves)[seed // 6 % 2]
    events = drawn_events(generator, steps, 3, threat)
    layer = nn.Linear(3, 4).double()
    rows = torch.ones(steps, steps).double().tril()
    ends = threat.enclosure(events[None])
    sums = EventSums.of(rows, events[:, None], EventBall(events[None], 1.0, ends).moved(first).ends, 1.0)  # pyright: ignore[reportArgumentType]
    found = sums.behind(linear_map(layer))
    members = torch.cat(list(threat.members(events).batches(4096)))
    reached = ((members - events) @ layer.weight.T).cumsum(1)
    torch.testing.assert_close(found.upper.squeeze(1), reached.amax(0))
    torch.testing.assert_close(found.lower.squeeze(1), reached.amin(0))


def first(inputs: Tensor) -> Tensor:
    return inputs.transpose(0, 1)


@examples(60)
@given(seed=SEEDS, steps=st.integers(2, 5), decay=st.sampled_from([0.0, 0.5, 1.0]))
def test_rows_of_windows_hold_members_and_are_attained_by_free_moves(seed: int, steps: int, decay: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    threat = SpikeShift(1, None, None, "add", ("stay", "leave")[seed % 2])
    events = drawn_events(generator, steps, 2, threat)
    layer = nn.Linear(2, 3).double()
    rows = WindowRows.of({decay}, steps, events).weights
    ends = EventBall(events[None], math.inf, threat.enclosure(events[None])).moved(first).ends
    assert ends is not None
    found = EventSums.of(rows, events[:, None], ends, 1.0).behind(linear_map(layer))
    members = torch.cat(list(threat.members(events).batches(4096)))
    reached = torch.einsum("rt,nto->nro", rows, (members - events) @ layer.weight.T)
    assert bool((reached <= found.upper.squeeze(1) + 1e-9).all())
    assert bool((reached >= found.lower.squeeze(1) - 1e-9).all())
    steps_up, steps_down = ends.upper - events[:, None], ends.lower - events[:, None]
    capped = (steps_up.amax() > 1) | (steps_down.amin() < -1)
    if not capped:
        torch.testing.assert_close(found.upper.squeeze(1), reached.amax(0))
        torch.testing.assert_close(found.lower.squeeze(1), reached.amin(0))


@pytest.mark.parametrize("bounds", ["prefix", "windows"])
def test_other_first_layers_are_held(bounds: str) -> None:
    """A flattened start, a convolution, one in groups, a synapse and a pool before the first weights."""
    reset = "subtract" if bounds == "prefix" else "zero"
    neuron, torch_seed = LIF(1.0, 0.4, reset=reset), 3
    torch.manual_seed(torch_seed)
    starts: list[list[nn.Module]] = [
        [nn.Flatten(), nn.Linear(16, 5)],
        [nn.Conv2d(1, 2, 2, stride=2, padding=1), nn.Flatten()],
        [nn.Conv2d(1, 2, 3, padding=1, padding_mode="circular"), nn.Flatten()],
        [Synapse(0.5), nn.Flatten(), nn.Linear(16, 5)],
    ]
    starts += [[nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4, 5)]] if bounds == "windows" else []
    events = torch.zeros(3, 1, 4, 4).double()
    events[torch.tensor([0, 0, 1, 2]), 0, torch.tensor([0, 1, 3, 2]), torch.tensor([1, 2, 3, 0])] = 1.0
    for start in starts:
        probe = SpikingNetwork(*start, num_steps=3, encoding="none").double()
        width = probe(events[None]).shape[1]
        network = SpikingNetwork(*start, neuron, nn.Linear(width, 3), num_steps=3, encoding="none").double()
        for threat in (
            SpikeFlip(1),
            SpikeShift(1),
            SpikeShift(1, 2, merge="add"),
            SpikeShift(2, 1, border="leave"),
        ):
            label = network(events[None]).argmax(1)
            with torch.no_grad():
                worst = worst_of_events(network, events[None], label, threat, bounds)
                reached = gaps(network(torch.cat(list(threat.members(events).batches(4096)))), label)
                assert bool((reached <= worst + 1e-9).all())
                assert bool((worst <= by_steps(network, events[None], label, threat, bounds) + 1e-9).all())


@pytest.mark.parametrize("bounds", ["prefix", "windows"])
@pytest.mark.parametrize(
    "threat", [SpikeShift(0), SpikeShift(1), SpikeFlip(2), EventChange(SpikeFlip(1), SpikeShift(1))]
)
def test_without_events_or_moves_it_is_the_run(bounds: str, threat: Threat) -> None:
    neuron = LIF(1.0, 0.5, reset="subtract" if bounds == "prefix" else "zero")
    network = mlp((2, 5, 3), 4, neuron, encoding="none").double()
    nothing, labels = torch.zeros(2, 4, 2).double(), torch.tensor([0, 1])
    kept = worst_of_events(network, nothing, labels, threat, bounds, 0.0)
    torch.testing.assert_close(kept, gaps(network(nothing), labels))
    if isinstance(threat, SpikeShift):
        torch.testing.assert_close(worst_of_events(network, nothing, labels, threat, bounds), kept)
    more = SpikeFlip(100)  # more than there are entries
    reached = worst_of_events(network, nothing, labels, more, bounds)
    assert bool((reached >= worst_of_events(network, nothing, labels, SpikeFlip(8), bounds) - 1e-9).all())


def test_the_gradient_reaches_the_first_layer_and_lowers_the_bound() -> None:
    torch.manual_seed(0)
    network = mlp((3, 8, 2), 5, counting(), encoding="none")
    events = (torch.rand(12, 5, 3, generator=torch.Generator().manual_seed(1)) < 0.4).float()
    labels = torch.arange(12) % 2
    optimizer = torch.optim.Adam(network.parameters(), 0.02)
    for threat in (SpikeShift(1, merge="add"), SpikeFlip(1)):
        losses = []
        for _ in range(30):
            loss = (
                CertifiedEvents(threat, "prefix", ramp=0.0, weight=1.0).loss(network, events, labels, None).total
            )
            optimizer.zero_grad()
            loss.backward()
            assert all(float(p.grad.abs().max()) > 0 for p in network.parameters())  # type: ignore[union-attr]
            optimizer.step()
            losses.append(float(loss.detach()))
        assert losses[-1] < losses[0]


def test_an_event_that_a_leaky_neuron_nearly_keeps_counts_once() -> None:
    """One event may come at any of three steps, and θ is above what it brings: the neuron never fires.

    Step by step it could come three times. What is left of it by the end is between λ² and 1.
    """
    network = mlp((1, 1, 2), 3, LIF(0.9, 1.5, reset="subtract"), encoding="none").double()
    with torch.no_grad():
        for weights in network.parameters():
            weights.zero_()
        network.layers[0].weight.fill_(1.0)  # type: ignore[union-attr, operator]
        network.layers[2].weight[1] = 1.0  # type: ignore[union-attr, index]
        events, label = torch.tensor([[[0.0], [1.0], [0.0]]]).double(), torch.tensor([0])
        threat = SpikeShift(1, merge="add")
        assert float(worst_of_events(network, events, label, threat, "prefix")[0, 1]) == 0.0
        assert float(by_steps(network, events, label, threat, "prefix")[0, 1]) > 0.0
        kept = Prefixes.of(circuit(network), Ends(threat.enclosure(events))).rows
        assert kept is not None
        torch.testing.assert_close(kept[2], torch.tensor([0.81, 0.9, 1.0]).double())


def test_neurons_that_forget_differently_are_bounded_step_by_step() -> None:
    torch.manual_seed(3)
    layers = nn.Linear(4, 5), LIF(0.9, 0.5, reset="subtract"), nn.Linear(5, 5), LIF(0.5, 0.5, reset="subtract")
    network = SpikingNetwork(*layers, nn.Linear(5, 2), num_steps=4, encoding="none").double()
    events, threat = (torch.rand(10, 4, 4) < 0.4).double(), SpikeShift(1, merge="add")
    labels = network(events).argmax(1)
    assert Prefixes.of(circuit(network), Ends(threat.enclosure(events))).rows is None
    found = worst_of_events(network, events, labels, threat, "prefix")
    torch.testing.assert_close(found, by_steps(network, events, labels, threat, "prefix"))


def test_a_budget_of_steps_is_one_of_moves_where_each_is_one_step() -> None:
    torch.manual_seed(1)
    network = mlp((6, 8, 3), 4, counting(), encoding="none").double()
    events = (torch.rand(20, 4, 6) < 0.4).double()
    labels = network(events).argmax(1)
    for most in (1, 2):
        found = [
            worst_of_events(network, events, labels, threat, "prefix")
            for threat in (SpikeShift(1, most), SpikeShift(1, None, most), SpikeShift(1))
        ]
        torch.testing.assert_close(found[0], found[1])
        assert bool((found[0] < found[2] - 1e-6).any())


def test_where_one_budget_over_time_is_wider_the_ends_of_steps_are_kept() -> None:
    """One flip at the first step only, which a neuron that forgets has nearly forgotten at the last."""
    torch.manual_seed(2)
    network = mlp((8, 6, 3), 4, LIF(0.5, 0.5), encoding="none").double()
    where = torch.zeros(4, 8, dtype=torch.bool)
    where[0] = True
    events, threat = (torch.rand(20, 4, 8) < 0.3).double(), SpikeFlip(1, where=where)
    labels = network(events).argmax(1)
    worst = worst_of_events(network, events, labels, threat, "windows")
    assert bool((worst <= by_steps(network, events, labels, threat, "windows") + 1e-9).all())
