"""Layers that do not round, and twins made of them: against whole numbers, in any order.

Two builds of one network: what is called equivalent is, and what is called different differs.
"""

import copy
import math
from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikecert import (
    LIF,
    LInf,
    Residual,
    SpikeFlip,
    SpikeShift,
    SpikingNetwork,
    circuit,
    equivalent,
    exact_twin,
    mlp,
    verify,
)
from spikecert.certify.bounds import exact
from spikecert.certify.bounds.exact import marked, unit_of
from spikecert.certify.bounds.signals.windows import Box
from spikecert.certify.pairs import equivalence
from spikecert.certify.pairs.exact_twin import moved_threshold
from spikecert.certify.replay import margins
from spikecert.certify.verifiers.trains import MARK
from spikecert.models import Recurrent, VariedLIF
from spikecert.models.circuit import Fired, Mapped
from support.oracles import every_flip


def random_network(seed: int, timed: bool = True) -> tuple[SpikingNetwork, Tensor]:
    """Return a network and recordings, or pictures n/256."""
    torch.manual_seed(seed)
    r = torch.Generator().manual_seed(seed)
    pick = lambda *options: options[int(torch.randint(0, len(options), (), generator=r))]  # noqa: E731
    neuron = LIF(
        pick(0.0, 0.5, 0.75, 0.875, 1.0, 0.9),
        pick(0.5, 1.0, 0.7),
        pick("zero", "subtract", "none"),
        pick(">=", ">"),
    )
    steps = pick(1, 3, 5)
    widths = pick((6, 12, 3), (4, 9, 8, 3))
    network = mlp(widths, num_steps=steps, neuron=neuron, encoding="none" if timed else "direct").eval()
    shape = (6, steps, widths[0]) if timed else (6, widths[0])
    drawn = torch.rand(shape, generator=r)
    return network, drawn.round() if timed else (drawn * 256).round() / 256


def shuffled(values: list[Fraction], r: torch.Generator) -> Tensor:
    """Return the float32 sum of numbers in a random order and blocking."""
    order = torch.randperm(len(values), generator=r).tolist()
    total, block = torch.zeros(()), torch.zeros(())
    for place, index in enumerate(order):
        block = block + torch.tensor(float(values[index]))
        if place % 3 == 2:
            total, block = total + block, torch.zeros(())
    return total + block


@torch.no_grad()
def check_marks(network: SpikingNetwork, inputs: Tensor, seed: int) -> int:
    """Check that each marked layer gives the exact result in float32, in orders of all kinds; return how many."""
    made = marked(circuit(network), Box(inputs.double(), inputs.double()))
    r = torch.Generator().manual_seed(seed)
    trace, runs = network.trace(inputs), [node for node in made.nodes if isinstance(node, Fired)]
    signal = inputs.transpose(0, 1) if network.timed else inputs.expand(network.num_steps, *inputs.shape)
    count = 0
    maps = [node for node in made.nodes if isinstance(node, Mapped)]
    for layer, (linear, fired) in enumerate(zip(maps, runs, strict=False)):
        if linear in made.exact:
            count += 1
            weight, bias = linear.map.tensors
            for step in signal:
                sample, row = step[0], int(torch.randint(0, len(weight), (), generator=r))
                terms = [Fraction(float(w)) * Fraction(float(x)) for w, x in zip(weight[row], sample, strict=True)]
                terms.append(Fraction(float(bias[row])))
                assert Fraction(float(shuffled(terms, r))) == sum(terms)
        if fired in made.exact:
            count += 1
            rule: Any = fired.rule
            current = trace.currents[layer][:, 0]
            for neuron in range(current.shape[1]):
                u = Fraction(0)
                for t in range(network.num_steps):
                    v = Fraction(rule.decay) * u + Fraction(float(current[t, neuron]))
                    assert v == Fraction(float(trace.potentials[layer][t, 0, neuron]))
                    spike = (
                        v >= Fraction(rule.threshold) if rule.fires_at == ">=" else v > Fraction(rule.threshold)
                    )
                    assert spike == bool(trace.spikes[layer][t, 0, neuron])
                    u = v if not spike or rule.reset == "none" else v - Fraction(rule.drop)
                    u = Fraction(0) if spike and rule.reset == "zero" else u
        signal = trace.spikes[layer]
    return count


@pytest.mark.parametrize(
    "seed", [*range(20), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(20, 300))]
)
def test_marked_layers_of_twins_do_not_round(seed: int):
    network, inputs = random_network(seed, timed=seed % 2 == 0)
    twin: Any = exact_twin(network)
    assert check_marks(twin, inputs, seed) >= 1
    assert torch.equal(twin(inputs).argmax(1), copy.deepcopy(twin).double()(inputs.double()).argmax(1))
    hidden = zip(
        twin.trace(inputs).spikes, copy.deepcopy(twin).double().trace(inputs.double()).spikes, strict=True
    )
    if all(layer.membranes for layer in twin.twin.layers[:-1]):
        assert all(torch.equal(one.double(), other) for one, other in hidden)


def test_most_layers_of_twins_are_marked_and_none_of_plain_networks_is():
    marks = 0
    for seed in range(20):
        network, inputs = random_network(seed)
        box = Box(inputs.double(), inputs.double())
        assert not marked(circuit(network), box).exact
        marks += len(marked(circuit(exact_twin(network)), box).exact)
    assert marks >= 30


@pytest.mark.parametrize("digits", [26, 28])
def test_a_budget_that_is_too_great_is_noticed(digits: int, monkeypatch: pytest.MonkeyPatch):
    """Beyond 2^24 units sums round: with more, some order strays."""
    monkeypatch.setattr(exact, "DIGITS", digits)
    wrong = 0
    for seed in range(40):
        network, inputs = random_network(seed)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.copy_((parameter * 2.0**23).round() / 2.0**23)
        try:
            check_marks(network, inputs, seed)
        except AssertionError:
            wrong += 1
    assert wrong


@pytest.mark.parametrize("decay", [0.5, 0.75])
def test_potentials_that_leave_the_grid_of_float32_are_not_marked(decay: float):
    network = mlp((2, 2, 2), num_steps=24, neuron=LIF(decay), encoding="none").eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_((parameter * 16).round() / 16)
    inputs = torch.ones(1, 24, 2)
    made = marked(circuit(network), Box(inputs.double(), inputs.double()))
    assert [type(node).__name__ for node in made.nodes if node in made.exact] == ["Mapped"]


@pytest.mark.parametrize(
    "neuron", [LIF(0.5, 0.1), LIF(0.1, 0.5), VariedLIF([0.5, 0.25]), LIF(0.5, 1.0, "subtract")]
)
def test_constants_that_float32_does_not_hold_round(neuron: LIF):
    network = SpikingNetwork(nn.Linear(2, 2), neuron, nn.Linear(2, 2), num_steps=3, encoding="none").eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_((parameter * 16).round() / 16)
    inputs = torch.ones(1, 3, 2)
    made = marked(circuit(network), Box(inputs.double(), inputs.double()))
    kinds = [type(node).__name__ for node in made.nodes if node in made.exact]
    assert kinds == (["Mapped", "Fired"] if neuron.reset == "subtract" else ["Mapped"])


def test_real_inputs_and_what_rounds_by_itself_are_not_marked():
    network, inputs = random_network(0, timed=False)
    twin: Any = exact_twin(network)
    ball = LInf(0.01).enclosure(inputs)
    first = circuit(twin).nodes[1]
    assert first.name not in {node.name for node in marked(circuit(twin), ball).exact}
    assert first.name in {node.name for node in marked(circuit(twin), LInf(0.0).enclosure(inputs)).exact}
    assert not marked(circuit(twin.double()), ball).exact
    looped = SpikingNetwork(
        nn.Linear(2, 2), Recurrent(LIF(0.5), nn.Linear(2, 2)), nn.Linear(2, 2), num_steps=2
    ).eval()
    assert "recurred" not in {
        node.kind for node in marked(circuit(exact_twin(looped)), Box(torch.ones(1, 2), torch.ones(1, 2))).exact
    }


def test_trains_are_those_of_the_threshold_that_was_not_moved():
    for seed in range(40):
        network, inputs = random_network(seed)
        twin: Any = exact_twin(network)
        for layer, before in zip(twin.neurons, network.neurons, strict=True):
            grid = copy.deepcopy(twin)
            place = list(twin.neurons).index(layer)
            moved, kept = layer.dynamics.threshold, before.dynamics.threshold
            if moved == kept or layer.reset == "subtract":
                continue
            old = list(grid.neurons)[place]
            unit = unit_of(torch.tensor([moved], dtype=torch.float64), 60)
            assert unit is not None
            half, up = 2.0**-unit, layer.dynamics.fires_at == ">="
            on_grid = moved + half if up else moved - half
            old.dynamics = type(old.dynamics)(
                old.dynamics.decay, on_grid, old.dynamics.reset, old.dynamics.fires_at, old.dynamics.surrogate
            )
            if twin.twin.layers[place].membranes:
                assert all(map(torch.equal, grid.trace(inputs).spikes, twin.trace(inputs).spikes))


@pytest.mark.parametrize(
    ("fires_at", "threshold"), [(">=", 10.3), (">", 10.3), (">=", 10.0), (">", 10.0), (">=", 0.2)]
)
def test_a_moved_threshold_parts_the_same_potentials(fires_at: str, threshold: float):
    moved = moved_threshold(threshold, fires_at, 0)
    assert moved is not None
    for potential in range(-3, 20):
        fires = potential >= threshold if fires_at == ">=" else potential > threshold
        assert fires == (potential >= moved) == (potential > moved)
    assert moved_threshold(1.0, ">=", 30) is None


def test_a_deep_network_is_decided_at_points_once_it_is_exact():
    """What blinds a deep network at ε = 0 is γ: its twin is decided, and the verdict says by what."""
    counts, told = {"network": 0, "twin": 0}, 0
    torch.manual_seed(0)
    network = mlp((8, *[512] * 9, 3), num_steps=4, neuron=LIF(0.5, 0.5), encoding="none").eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(6.0)
    inputs = torch.rand(20, 4, 8).round()
    for name, build in (("network", network), ("twin", exact_twin(network))):
        verdicts = verify(build, inputs, build(inputs).argmax(1), LInf(0.0), "trains")
        counts[name] = sum(verdict.status == "verified" for verdict in verdicts)
        told += sum(MARK in verdict.reason for verdict in verdicts)
    assert counts["network"] < 15
    assert counts["twin"] == 20
    assert told >= 20 - counts["network"]


def test_flips_of_a_deep_twin_are_listed():
    torch.manual_seed(1)
    network = mlp((4, *[64] * 6, 3), num_steps=3, neuron=LIF(0.5, 0.5), encoding="none").eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(4.0)
    twin, inputs = exact_twin(network), torch.rand(4, 3, 4).round()
    labels = twin(inputs).argmax(1)
    verdicts = verify(twin, inputs, labels, SpikeFlip(1), "enumeration")
    assert all(verdict.status in ("verified", "falsified") for verdict in verdicts)


def test_a_twin_of_images_merges_its_norms_and_says_what_it_costs():
    torch.manual_seed(0)
    parts = (
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        LIF(0.5),
        nn.AvgPool2d(2),
        nn.Conv2d(4, 4, 3),
        LIF(0.5),
    )
    network = SpikingNetwork(
        *parts, Residual([nn.Conv2d(4, 4, 1), LIF(0.5)]), nn.Flatten(), nn.Linear(144, 3), num_steps=4
    )
    inputs = (torch.rand(20, 1, 16, 16) * 256).round() / 256
    network(inputs)
    network.eval()
    labels = network(inputs).argmax(1)
    twin: Any = exact_twin(network, (inputs, labels))
    assert twin.twin.accuracy == 1.0
    assert 0.5 <= twin.twin.twin_accuracy <= 1.0
    assert "accuracy 1.0000 → " in str(twin.twin)
    assert [layer.sums for layer in twin.twin.layers] == [True] * 4
    doubled = copy.deepcopy(twin).double()
    assert all(
        torch.equal(one.double(), other)
        for one, other in zip(twin.trace(inputs).spikes, doubled.trace(inputs.double()).spikes, strict=True)
    )


def test_what_is_no_data_and_no_float32_is_refused_in_one_line():
    network, _ = random_network(0)
    with pytest.raises(TypeError, match=r"data: got int, expected two tensors"):
        exact_twin(network, 3)
    with pytest.raises(ValueError, match=r"network: got torch.float64, expected torch.float32"):
        exact_twin(network.double())
    assert math.isfinite(unit_of(torch.tensor([0.375]), 10) or math.nan)


def rounded(network: SpikingNetwork, parts: int) -> SpikingNetwork:
    found = copy.deepcopy(network)
    with torch.no_grad():
        for parameter in found.parameters():
            parameter.copy_((parameter * parts).round() / parts)
    return found


def random_pair(seed: int, timed: bool = False) -> tuple[SpikingNetwork, SpikingNetwork, Tensor]:
    torch.manual_seed(seed)
    r = torch.Generator().manual_seed(seed)
    pick = lambda *options: options[int(torch.randint(0, len(options), (), generator=r))]  # noqa: E731
    neuron = LIF(pick(0.5, 0.9, 1.0), pick(0.5, 1.0), pick("zero", "subtract"), pick(">=", ">"))
    encoding = "none" if timed else "direct"
    steps = 3 if timed else pick(2, 4)
    a = mlp((3, 7, 3), num_steps=steps, neuron=neuron, encoding=encoding).eval()
    b = rounded(a, pick(2, 4, 16, 64))
    shape = (8, steps, 3) if timed else (8, 3)
    inputs = torch.rand(shape, generator=r)
    return a, b, inputs.round() if timed else inputs


def class_of(network: SpikingNetwork, points: Tensor) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        logits = network(points)
    labels = logits.argmax(1)
    return labels, margins(logits, labels)


def check(
    a: SpikingNetwork, b: SpikingNetwork, points: Tensor, found: equivalence.Equivalence
) -> tuple[bool, bool]:
    """Check an answer against inputs of its set; return whether builds differ there, and whether classes vary."""
    (one, sure), (other, certain) = class_of(a, points), class_of(b, points)
    differ = (one != other) & (sure > 1e-5) & (certain > 1e-5)
    if found.status == "equivalent":
        assert not bool(differ.any())
    if found.status == "different":
        assert found.counterexample is not None
        (first, _), (second, _) = class_of(a, found.counterexample[None]), class_of(b, found.counterexample[None])
        assert int(first) != int(second)
    return bool(differ.any()), len(one.unique()) > 1


@pytest.mark.parametrize(
    "seed", [*range(8), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(8, 60))]
)
def test_sets_of_flips_are_decided_as_their_members_say(seed: int):
    a, b, inputs = random_pair(seed, timed=True)
    found = equivalent(a, b, inputs, SpikeFlip(2))
    for sample, answer in zip(inputs, found, strict=True):
        points = torch.stack([point for count in range(3) for point in every_flip(sample, count)])
        differ, _ = check(a, b, points, answer)
        assert answer.status == "different" or not differ
        if answer.status == "different":  # perhaps by a margin within the rounding error: runs differ all the same
            assert bool((class_of(a, points)[0] != class_of(b, points)[0]).any())


@pytest.mark.parametrize(
    "seed", [*range(8), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(8, 60))]
)
def test_no_point_of_a_ball_contradicts_an_answer(seed: int):
    a, b, inputs = random_pair(seed)
    r = torch.Generator().manual_seed(seed)
    for threat in (None, LInf(0.02)):
        for sample, answer in zip(inputs, equivalent(a, b, inputs, threat, "trains"), strict=True):
            many = sample.expand(256, *sample.shape)
            check(a, b, sample[None] if threat is None else threat.project(threat.sample(many, r), many), answer)


@pytest.mark.slow
def test_a_margin_above_the_gap_says_the_class_of_the_other_build():
    asked, told = 0, 0
    for seed in range(12):
        a, b, inputs = random_pair(seed)
        r = torch.Generator().manual_seed(seed)
        threat = LInf(0.05)
        for sample, answer in zip(inputs, equivalent(a, b, inputs, threat, "interval"), strict=True):
            if answer.gap is None:
                continue
            many = sample.expand(256, *sample.shape)
            points = threat.project(threat.sample(many, r), many)
            label = int(class_of(a, sample[None])[0])
            for one, other in ((a, b), (b, a)):
                (labels, sure), (others, _) = class_of(one, points), class_of(other, points)
                chosen = (labels == label) & (sure > answer.gap)
                told += int(chosen.sum())
                assert bool((others[chosen] == label).all())
                with torch.no_grad():
                    margin = margins(one(points), torch.full_like(labels, label))
                    twin = margins(other(points), torch.full_like(labels, label))
                assert float((margin - twin).abs().max()) <= answer.gap + 1e-6
            asked += 1
    assert asked >= 50
    assert told >= 1000


def test_all_three_answers_occur_and_a_forgotten_build_is_noticed(monkeypatch: pytest.MonkeyPatch):
    statuses = []
    for seed in range(20):
        a, b, inputs = random_pair(seed, timed=True)
        statuses += [answer.status for answer in equivalent(a, b, inputs, SpikeFlip(1))]
    assert min(statuses.count("equivalent"), statuses.count("different")) >= 10
    monkeypatch.setattr(equivalence, "verify", lambda build, *rest, **more: verify(asked[0], *rest, **more))
    monkeypatch.setattr(equivalence, "_differ", lambda builds, point: False)
    wrong = 0
    for seed in range(20):
        a, b, inputs = random_pair(seed)
        asked = [a]
        for sample, answer in zip(inputs, equivalent(a, b, inputs), strict=True):
            wrong += answer.status == "equivalent" and int(a(sample[None]).argmax()) != int(
                b(sample[None]).argmax()
            )
    assert wrong


def test_a_build_in_float64_is_a_build():
    a, _, inputs = random_pair(3)
    b = copy.deepcopy(a).double()
    assert {answer.status for answer in equivalent(a, b, inputs)} == {"equivalent"}
    shifted = copy.deepcopy(a)
    with torch.no_grad():
        shifted.get_parameter("layers.2.bias").add_(torch.tensor([0.0, 9.0, 0.0]))
    assert all(
        answer.status == "different" or int(a(sample[None]).argmax()) == 1
        for sample, answer in zip(inputs, equivalent(a, shifted, inputs), strict=True)
    )


A = SpikingNetwork(nn.Linear(4, 5), LIF(0.9), nn.Linear(5, 3), num_steps=3).eval()
INPUTS = torch.rand(2, 4)
WRONG: list[Any] = ["a"]


@pytest.mark.parametrize(
    ("b", "threat", "told"),
    [
        (SpikingNetwork(nn.Linear(4, 3), num_steps=2), None, r"b: got num_steps 2, expected a's 3"),
        (SpikingNetwork(nn.Linear(5, 3), num_steps=3), None, r"b: takes other inputs than a: inputs"),
        (SpikingNetwork(nn.Linear(4, 2), num_steps=3), None, r"b: got 2 classes, expected a's 3"),
        (
            SpikingNetwork(nn.Linear(4, 3), LIF(0.9), num_steps=3),
            None,
            r"b: got readout 'spikes', expected a's 'mean'",
        ),
        (WRONG[0], None, r"b: got str, expected a SpikingNetwork"),
        (A, SpikeShift(1), r"perturbation: got SpikeShift for encoding"),
        (A, WRONG[0], r"perturbation: got str, expected LInf"),
    ],
)
def test_builds_of_another_form_are_refused_in_one_line(b: Any, threat: Any, told: str):
    with pytest.raises((TypeError, ValueError), match=told) as error:
        equivalent(A, b, INPUTS, threat)
    assert "\n" not in str(error.value)
