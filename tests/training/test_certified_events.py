"""The certified loss over sets of events: its bounds hold for all members, and training with it certifies more."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from spikecert import (
    LIF,
    CertifiedEvents,
    CrossEntropy,
    EventChange,
    SpikeFlip,
    SpikeShift,
    SpikingNetwork,
    dataset,
    fit,
    mlp,
    verify,
)
from spikecert.certify import EventRegion
from spikecert.certify.verifiers import INTERVAL
from spikecert.models import Residual, network_hash
from spikecert.testing.networks import drawn_network
from spikecert.testing.neurons import SEEDS
from spikecert.training import Dataset, Ramp
from spikecert.training.bounds.spike_ends import greatest_changes
from spikecert.training.objectives.certified_moves import changes, worst_of_events
from support.examples import examples

BUDGETS = st.sampled_from([None, 0, 1, 2, 3])
KINDS = st.sampled_from(["flip", "insert", "delete"])
Threat = SpikeFlip | SpikeShift | EventChange


def gaps(logits: Tensor, labels: Tensor) -> Tensor:
    return logits - logits.gather(-1, labels.expand(logits.shape[:-1])[..., None])


def threats(steps: int) -> st.SearchStrategy[Threat]:
    """Return flips, moves and both, small enough to be listed."""
    jitters, borders = st.integers(0, min(2, steps - 1)), st.sampled_from(["stay", "leave"])
    merges = st.sampled_from(["or", "add"])
    flips = st.builds(SpikeFlip, st.integers(0, 2), KINDS, st.sampled_from([None, EventRegion(steps=(0, 1))]))
    shifts = st.builds(SpikeShift, jitters, BUDGETS, BUDGETS, merges, borders)
    merging = st.builds(SpikeShift, jitters, BUDGETS, BUDGETS, border=borders)
    return st.one_of(flips, shifts, st.builds(EventChange, st.builds(SpikeFlip, st.just(1), KINDS), merging))


def few_events(shape: tuple[int, ...], threat: Threat, seed: int) -> Tensor:
    """Return a sample of up to 5 events, several of them in one entry where they add up."""
    generator = torch.Generator().manual_seed(seed)
    size, most = math.prod(shape), seed % 6
    picked = torch.randint(0, size, (most,), generator=generator)
    events = torch.zeros(size, dtype=torch.float64).index_add_(0, picked, torch.ones(most).double())
    adds = isinstance(threat, SpikeShift) and threat.merge == "add"
    return (events if adds else events.clamp_max(1)).view(shape)


def check_members(network: SpikingNetwork, events: Tensor, threat: Threat, bounds: str) -> None:
    """Hold the bound against every member, and against a smaller share of the budget."""
    label = network(events[None]).argmax(1)
    listed = torch.cat(list(threat.members(events).batches(4096)))
    with torch.no_grad():
        worst, half = (
            worst_of_events(network, events[None], label, threat, bounds, share) for share in (1.0, 0.5)
        )
        reached = gaps(network(listed), label)
    assert bool((reached <= worst + 1e-9).all())
    assert bool((half <= worst + 1e-9).all())
    assert bool((gaps(network(events[None]), label) <= half + 1e-9).all())


@examples(80)
@given(data=st.data(), seed=SEEDS, depth=st.integers(1, 2), bounds=st.sampled_from(["interval", "trains"]))
def test_no_member_escapes(data: st.DataObject, seed: int, depth: int, bounds: str) -> None:
    network = data.draw(networks_of_events(depth))
    first = network.layers[0]
    assert isinstance(first, nn.Linear)
    threat = data.draw(threats(network.num_steps))
    check_members(network, few_events((network.num_steps, first.in_features), threat, seed), threat, bounds)


@st.composite
def networks_of_events(draw: st.DrawFn, depth: int) -> SpikingNetwork:
    return drawn_network(draw, 3, 4, 4, depth, (torch.float64,), ("none",), None).network


@examples(60)
@given(
    data=st.data(),
    seed=SEEDS,
    decay=st.sampled_from([1.0, 0.9, 0.5]),
    steps=st.integers(1, 4),
    threshold=st.sampled_from([0.25, 1.0]),
)
def test_no_member_escapes_neurons_that_subtract(
    data: st.DataObject, seed: int, decay: float, steps: int, threshold: float
) -> None:
    torch.manual_seed(seed % 1000)
    network = mlp((3, 5, 4, 3), steps, LIF(decay, threshold, reset="subtract"), encoding="none").double()
    threat = data.draw(threats(steps))
    check_members(network, few_events((steps, 3), threat, seed), threat, "prefix")


def images(reset: str, groups: int = 1, mode: str = "zeros") -> SpikingNetwork:
    """A padded convolution with a stride, a norm, a residual sum and a dense end."""
    torch.manual_seed(4)
    norm = nn.BatchNorm2d(4)
    norm.running_mean, norm.running_var = torch.rand(4) - 0.5, torch.rand(4) + 0.1
    first = nn.Conv2d(2, 4, 3, stride=2, padding=1, groups=groups, padding_mode=mode)  # pyright: ignore[reportArgumentType]
    inner = Residual([nn.Conv2d(4, 4, 3, padding=1), LIF(0.8, 0.3, reset=reset)])
    layers = [first, norm, LIF(0.8, 0.3, reset=reset), inner, nn.Flatten(), nn.Linear(16, 3)]
    return SpikingNetwork(*layers, num_steps=3, encoding="none").eval().double()


@pytest.mark.parametrize(
    "network", [images("zero"), images("subtract"), images("zero", 2), images("zero", 1, "circular")]
)
@pytest.mark.parametrize(
    "threat",
    [
        SpikeFlip(1),
        SpikeFlip(2, "delete"),
        SpikeShift(1, 2),
        SpikeShift(2, total=2),
        SpikeShift(1, 1, merge="add"),
    ],
)
def test_no_member_escapes_convolutions(network: SpikingNetwork, threat: Threat) -> None:
    generator = torch.Generator().manual_seed(1)
    events = (torch.rand(3, 2, 4, 4, generator=generator) < 0.1).double()
    check_members(network, events, threat, "interval")


@examples(60)
@given(data=st.data(), seed=SEEDS, count=st.integers(0, 4), kind=KINDS)
def test_bounds_of_flips_are_those_of_the_interval_verifier(
    data: st.DataObject, seed: int, count: int, kind: str
) -> None:
    """Off thresholds, where the verifier counts ties as both outcomes."""
    torch.manual_seed(seed % 1000)
    reset = data.draw(st.sampled_from(["zero", "subtract", "none"]))
    network = mlp((6, 7, 5, 3), 3, LIF(0.8, 0.4, reset=reset), encoding="none").double()
    events = (torch.rand(5, 3, 6) < 0.4).double()
    labels, threat = network(events).argmax(1), SpikeFlip(count, kind)
    worst = worst_of_events(network, events, labels, threat).scatter(1, labels[:, None], -torch.inf).amax(1)
    torch.testing.assert_close(-worst, INTERVAL.margins(network, events, labels, threat), rtol=1e-6, atol=1e-6)


@examples(60)
@given(seed=SEEDS, steps=st.integers(2, 4), jitter=st.integers(1, 1), count=st.integers(1, 3))
def test_bounds_of_moves_are_never_wider_than_the_interval_verifier(
    seed: int, steps: int, jitter: int, count: int
) -> None:
    torch.manual_seed(seed % 1000)
    network = mlp((6, 7, 5, 3), steps, LIF(0.8, 0.4), encoding="none").double()
    events = (torch.rand(5, steps, 6) < 0.3).double()
    labels, threat = network(events).argmax(1), SpikeShift(jitter, count)
    worst = worst_of_events(network, events, labels, threat).scatter(1, labels[:, None], -torch.inf).amax(1)
    assert bool((-worst >= INTERVAL.margins(network, events, labels, threat) - 1e-9).all())


def greatest_by_sorting(weight: Tensor, up: Tensor, down: Tensor, most: float) -> Tensor:
    """Return the greatest rise of each row: all units of change in order, the last one in part."""
    found = torch.zeros(len(up), len(weight), dtype=weight.dtype)
    for sample in range(len(up)):
        for row in range(len(weight)):
            rooms = torch.where(weight[row] > 0, up[sample], down[sample])
            units = weight[row].abs().repeat_interleave(rooms.long()).sort(descending=True).values
            whole = math.floor(most)
            last = units[whole] if whole < len(units) else 0.0
            found[sample, row] = units[:whole].sum() + (most - whole) * last
    return found


@examples(80)
@given(
    seed=SEEDS,
    sizes=st.tuples(st.integers(1, 3), st.integers(1, 20)),
    most=st.sampled_from([0.0, 0.25, 1.0, 1.5, 2.0, 7.75, 100.0]),
    room=st.integers(0, 3),
)
def test_the_greatest_changes_are_those_of_all_units_in_order(
    seed: int, sizes: tuple[int, int], most: float, room: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight = (torch.randn(sizes, generator=generator, dtype=torch.float64) * 4).round() / 4
    up, down = (torch.randint(0, room + 1, (2, sizes[1]), generator=generator).double() for _ in range(2))
    rise, fall = greatest_changes(weight, up.unsqueeze(2), down.unsqueeze(2), most).squeeze(3)
    torch.testing.assert_close(rise, greatest_by_sorting(weight, up, down, most))
    torch.testing.assert_close(fall, greatest_by_sorting(weight, down, up, most))


@pytest.mark.parametrize("most", [0.5, 3.0, 4.5, 40.0])
def test_the_gradient_is_that_of_finite_differences(most: float) -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(4, 13, generator=generator, dtype=torch.float64, requires_grad=True)
    up, down = (torch.randint(0, 2, (3, 13, 2), generator=generator).double() for _ in range(2))
    assert torch.autograd.gradcheck(lambda w: greatest_changes(w, up, down, most), (weight,))


@pytest.mark.parametrize("threat", [SpikeFlip(0), SpikeShift(0), SpikeFlip(3), SpikeShift(1)])
def test_without_a_budget_it_is_cross_entropy(threat: Threat) -> None:
    networks = []
    events = (torch.rand(10, 4, 6, generator=torch.Generator().manual_seed(1)) < 0.4).double()
    labels = torch.arange(10) % 3
    for objective in (CertifiedEvents(threat, weight=0.7, share=0.0), CrossEntropy()):
        torch.manual_seed(2)
        network = mlp((6, 9, 8, 3), 4, LIF(0.8, 0.3), encoding="none").double()
        loss = objective.loss(network, events, labels, None)
        loss.total.backward()
        torch.testing.assert_close(loss.total, cross_entropy(network(events), labels))
        networks.append(network)
    for ours, plain in zip(networks[0].parameters(), networks[1].parameters(), strict=True):
        torch.testing.assert_close(ours.grad, plain.grad)
        assert float(plain.grad.abs().max()) > 1e-4  # type: ignore[union-attr]


@pytest.mark.parametrize("threat", [SpikeFlip(2), SpikeShift(1, 2), SpikeShift(1)])
def test_the_gradient_lowers_the_bound_and_reaches_every_layer(threat: Threat) -> None:
    network = images("zero")
    events = (torch.rand(6, 3, 2, 4, 4, generator=torch.Generator().manual_seed(0)) < 0.2).double()
    labels = torch.arange(6) % 3
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    losses = []
    for _ in range(40):
        loss = cross_entropy(worst_of_events(network, events, labels, threat), labels)
        optimizer.zero_grad()
        loss.backward()
        losses.append(float(loss.detach()))
        if len(losses) == 1:
            assert all(float(p.grad.abs().max()) > 0 for p in network.parameters())  # type: ignore[union-attr]
        optimizer.step()
    assert losses[-1] < 0.8 * losses[0]


def test_budget_and_weight_ramp_up() -> None:
    loss = CertifiedEvents(SpikeFlip(4), weight=0.6, ramp=0.4)
    told = [(loss.at(p).share, loss.at(p).weight) for p in (0.0, 0.1, 0.4, 0.9)]
    assert torch.allclose(torch.tensor(told), torch.tensor([(0.0, 0.0), (0.25, 0.15), (1.0, 0.6), (1.0, 0.6)]))
    timed = replace(loss, share=Ramp(0.5, 1.0, end=0.5)).at(0.25)
    assert (timed.share, timed.weight) == (0.75, 0.6 * 0.625)
    assert (CrossEntropy() + loss).at(0.1) == CrossEntropy() + loss.at(0.1)


@pytest.mark.parametrize(
    ("threat", "most"),
    [
        (SpikeFlip(3), 3.0),
        (SpikeShift(1), math.inf),
        (SpikeShift(0), 0.0),
        (SpikeShift(1, 4, 2), 2.0),
        (SpikeShift(None, total=5), 5.0),
        (EventChange(SpikeFlip(2), SpikeShift(1, 3)), 5.0),
        (EventChange(SpikeFlip(2), SpikeShift(1)), math.inf),
    ],
)
def test_a_step_changes_by_so_much(threat: Threat, most: float) -> None:
    assert changes(threat) == most


@pytest.fixture(scope="module")
def digits() -> Dataset:
    data = dataset("digit-events", num_steps=3)
    return replace(data, validation=data.validation.take(torch.arange(60)))


def start() -> SpikingNetwork:
    torch.manual_seed(0)
    layers = mlp((128, 24, 10), num_steps=3, neuron=LIF(decay=0.9)).layers
    return SpikingNetwork(nn.Flatten(), *layers, num_steps=3, encoding="none")


def certified(network: SpikingNetwork, data: Dataset, threat: Threat, verifier: str = "interval") -> float:
    inputs, labels = data.test.inputs[:100].float(), data.test.labels[:100]
    return sum(v.status == "verified" for v in verify(network, inputs, labels, threat, verifier)) / 100


@pytest.mark.parametrize("threat", [SpikeFlip(2), SpikeShift(1, 2)], ids=["flips", "moves"])
def test_training_with_it_certifies_more(threat: Threat, digits: Dataset) -> None:
    runs = [
        fit(start(), digits, objective, epochs=4, optimizer="adam", learning_rate=2e-2)
        for objective in (CrossEntropy(), CertifiedEvents(threat))
    ]
    before, after = (certified(run.network, digits, threat) for run in runs)
    assert after > before + 0.15
    picked = runs[1].best.robust_accuracy
    assert picked == max(epoch.robust_accuracy or 0.0 for epoch in runs[1].history)
    split = digits.validation
    verdicts = verify(runs[1].network, split.inputs.float(), split.labels, threat, "trains")
    assert picked == sum(verdict.status == "verified" for verdict in verdicts) / len(verdicts)


def test_it_goes_on_after_a_stop_bitwise(digits: Dataset, tmp_path: Path) -> None:
    data = replace(
        digits, train=digits.train.take(torch.arange(200)), validation=digits.validation.take(torch.arange(20))
    )
    where = torch.rand(3, 2, 8, 8, generator=torch.Generator().manual_seed(0)) < 0.5
    objective = CertifiedEvents(SpikeFlip(2, where=where))

    def train(folder: Path | None, stop_after: int, objective: CertifiedEvents = objective) -> SpikingNetwork:
        def stop(label: str, done: int, total: int) -> None:
            if done > stop_after * 4:
                raise KeyboardInterrupt

        return fit(start(), data, objective, epochs=3, folder=folder, progress=stop).network

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, 2)
    other = CertifiedEvents(SpikeFlip(2, where=~where))
    with pytest.raises(ValueError, match="folder"):
        train(tmp_path, 3, other)
    assert network_hash(train(tmp_path, 3)) == network_hash(train(None, 3))


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"weight": 1.5}, ValueError, "weight: got 1.5"),
        ({"share": -0.5}, ValueError, "share: got -0.5"),
        ({"share": math.nan}, ValueError, "share: got nan"),
        ({"ramp": -1.0}, ValueError, "ramp: got -1.0"),
        ({"q": 1.5}, ValueError, "q: got 1.5"),
        ({"bounds": "exact"}, ValueError, "bounds: got 'exact'"),
        ({"bounds": "prefix", "margin": -0.1}, ValueError, "margin: got -0.1"),
        ({"bounds": "prefix", "margin": math.nan}, ValueError, "margin: got nan"),
        ({"margin": 0.1}, ValueError, "margin: got 0.1 with bounds 'interval', expected 0, or bounds \"prefix\""),
        ({"threat": 3}, TypeError, "threat: got int, expected a SpikeFlip, a SpikeShift or an EventChange"),
    ],
)
def test_bad_settings_are_named(wrong: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        CertifiedEvents(**{"threat": SpikeFlip(1), **wrong})


@pytest.mark.parametrize(
    ("threat", "value", "message"),
    [
        (SpikeFlip(1), 0.5, "inputs: got 0.5, expected events of 0 and 1"),
        (SpikeFlip(1), math.nan, "inputs: got nan"),
        (SpikeShift(3), 1.0, "jitter: got 3"),
        (SpikeShift(1), 2.0, "inputs: got 2"),
    ],
)
def test_what_does_not_fit_the_set_is_refused(threat: Threat, value: float, message: str) -> None:
    network = mlp((2, 3, 2), 3, encoding="none")
    with pytest.raises(ValueError, match=message):
        CertifiedEvents(threat).loss(network, torch.full((1, 3, 2), value), torch.tensor([0]), None)


@pytest.mark.parametrize("encoding", ["rate", "latency"])
def test_inputs_that_are_coded_are_refused(encoding: str) -> None:
    network = mlp((2, 3, 2), 3)
    network.encoding = encoding
    with pytest.raises(ValueError, match=f'network: got encoding "{encoding}", expected "none"'):
        CertifiedEvents(SpikeFlip(1)).loss(network, torch.ones(2, 2), torch.tensor([0, 1]), None)


def test_moves_of_inputs_without_time_are_refused() -> None:
    with pytest.raises(ValueError, match="encoding"):
        CertifiedEvents(SpikeShift(1)).loss(mlp((2, 3, 2), 3), torch.ones(2, 3, 2), torch.tensor([0, 1]), None)
