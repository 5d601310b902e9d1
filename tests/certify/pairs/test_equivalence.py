"""Two builds of one network: what is called equivalent is, and what is called different differs."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikecert import LIF, LInf, SpikeFlip, SpikeShift, SpikingNetwork, equivalent, mlp, verify
from spikecert.certify.pairs import equivalence
from spikecert.certify.replay import margins
from support.oracles import every_flip


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
