"""Gaps by pairs of trains: nothing that two builds do on one input is outside them, and they are tight."""

import copy
import itertools
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert import DLIF, L2, LIF, LInf, SpikeFlip, SpikingNetwork, equivalent, mlp
from spikecert.certify.pairs.equivalence import Gaps
from spikecert.certify.pairs.joint import joint_gaps
from spikecert.models.chips import quantization
from support.examples import examples

UNIT = 2.0**-4


def _build(
    generator: torch.Generator, sizes: tuple[int, int, int], neuron: LIF, steps: int, grid: bool
) -> SpikingNetwork:
    """Return a network of one hidden layer; on a grid currents lie on thresholds, exactly."""
    inputs, hidden, classes = sizes
    layers = nn.Linear(inputs, hidden), copy.deepcopy(neuron), nn.Linear(hidden, classes)
    with torch.no_grad():
        for layer in (layers[0], layers[2]):
            for parameter in layer.parameters():
                drawn = torch.randn(parameter.shape, generator=generator)
                parameter.copy_((drawn / UNIT).round() * UNIT if grid else drawn)
                parameter.mul_((torch.rand(parameter.shape, generator=generator) < 0.9).to(parameter))
    return SpikingNetwork(*layers, num_steps=steps).eval()


def _moved(build: SpikingNetwork, generator: torch.Generator, size: float, neuron: LIF) -> SpikingNetwork:
    """Return another build: weights moved by up to a size, other neurons."""
    first = build.layers[0]
    assert isinstance(first, nn.Linear)
    found = _build(generator, (first.in_features, first.out_features, 3), neuron, build.num_steps, False)
    with torch.no_grad():
        for name, own in build.named_parameters():
            if "weight" not in name and "bias" not in name:
                continue
            parameter = found.get_parameter(name)
            parameter.copy_(own + size * (2 * torch.rand(own.shape, generator=generator) - 1))
    return found


def _apart(a: SpikingNetwork, b: SpikingNetwork, points: Tensor, labels: Tensor) -> Tensor:
    """Return the greatest |m_k − m'_k| over points (n, batch, ...), run in a batch and alone, (batch, classes)."""
    worst = torch.zeros(points.shape[1], 3, dtype=torch.float64)
    for part in points:
        for runs in (lambda build, x: build(x), lambda build, x: torch.cat([build(one[None]) for one in x])):
            logits = [runs(build, part.to(build.dtype)).double() for build in (a, b)]
            one, other = (each.gather(1, labels[:, None]) - each for each in logits)
            worst = worst.maximum((one - other).abs())
    return worst


def _points(ball: LInf | L2, inputs: Tensor, generator: torch.Generator) -> Tensor:
    """Return the samples, points drawn around them, and corners."""
    drawn = [inputs, *(ball.project(ball.sample(inputs, generator), inputs) for _ in range(6))]
    for _ in range(6):
        signs = torch.randint(-1, 2, inputs.shape, generator=generator).to(inputs)
        drawn.append(ball.project(inputs + ball.epsilon * signs, inputs))
    return torch.stack(drawn)


NEURONS = (
    LIF(0.8, 1.0),
    LIF(0.5, 0.75, reset="subtract"),
    LIF(1.0, 0.5),
    LIF(0.0, 0.5),
    LIF(0.9, 1.0, reset="none"),
    LIF(0.75, 1.0, reset="subtract", reset_amount=0.5),
    DLIF(5, 0.9, 0.5),
)


@examples(240)
@given(
    seed=st.integers(0, 2**31),
    neurons=st.tuples(st.sampled_from(NEURONS), st.sampled_from(NEURONS)),
    same=st.booleans(),
    size=st.sampled_from([0.0, 1e-4, 0.02, 0.3]),
    epsilon=st.sampled_from([0.0, 1e-6, 0.05, 0.25, 1.0]),
    grid=st.booleans(),
    norm=st.sampled_from([LInf, L2]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_no_input_tells_builds_further_apart(seed, neurons, same, size, epsilon, grid, norm, dtype):
    generator = torch.Generator().manual_seed(seed)
    hidden = int(torch.randint(1, 9, (), generator=generator))
    a = _build(generator, (4, hidden, 3), neurons[0], 5, grid)
    b = _moved(a, generator, size, neurons[0] if same else neurons[1]).to(dtype)
    inputs = torch.rand(5, 4, generator=generator)
    inputs = (inputs / UNIT).round() * UNIT if grid else inputs
    labels, ball = torch.randint(0, 3, (5,), generator=generator), norm(epsilon)
    joint = joint_gaps(a, b, inputs, labels, ball)
    assert joint is not None
    assert bool((_apart(a, b, _points(ball, inputs, generator), labels) <= joint).all())
    gaps = Gaps.of(a, b, inputs, labels, ball)
    assert gaps is not None
    assert bool((gaps.joint <= gaps.naive).all())


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.5])
def test_of_builds_with_one_first_layer_each_neuron_has_one_train(epsilon: float):
    """Or two that are neighbours, where its current may be on a breakpoint: worked out over a line of inputs."""
    generator = torch.Generator().manual_seed(0)
    a = _build(generator, (1, 1, 3), LIF(0.8, 0.5), 6, False)
    b = _build(generator, (1, 1, 3), LIF(0.8, 0.5), 6, False)
    b.layers[0].load_state_dict(a.layers[0].state_dict())
    inputs, labels = torch.tensor([[0.3], [0.6]]), torch.tensor([0, 2])
    gaps = Gaps.of(a, b, inputs, labels, LInf(epsilon))
    assert gaps is not None
    ends, line = LInf(epsilon).enclosure(inputs), torch.linspace(0, 1, 5001, dtype=torch.float64)
    for index, label in enumerate(labels.tolist()):
        low, high = ends.lower[index], ends.upper[index]
        points = (low + line[:, None] * (high - low)).float()
        margins = [(build(points)[:, label, None] - build(points)).double().detach() for build in (a, b)]
        pairs = [(margins[0], margins[1]), (margins[0][1:], margins[1][:-1]), (margins[0][:-1], margins[1][1:])]
        worst = torch.stack([(one - other).abs().amax(0) for one, other in pairs]).amax(0)
        assert torch.allclose(worst, gaps.joint[index], atol=1e-4)
    if epsilon == 0.5:
        assert bool((gaps.joint < gaps.naive).any())


def test_it_is_exact_rational_arithmetic_up_to_rounding():
    """One neuron, one step: two thresholds on one line, worked out by hand."""
    first, last = nn.Linear(1, 1, bias=False), nn.Linear(1, 2, bias=False)
    with torch.no_grad():
        first.weight.copy_(torch.tensor([[1.0]]))
        last.weight.copy_(torch.tensor([[1.0], [0.0]]))
    a = SpikingNetwork(first, LIF(0.0, 0.5), last, num_steps=1)
    other = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        other.weight.copy_(torch.tensor([[0.5]]))
    b = SpikingNetwork(other, LIF(0.0, 0.5), last, num_steps=1)
    cases = {Fraction(1, 4): 0.0, Fraction(3, 4): 1.0, Fraction(1, 2): 1.0}  # a fires from 1/2 on, b from 1 on
    for x, gap in cases.items():
        found = joint_gaps(a, b, torch.tensor([[float(x)]]), torch.tensor([0]), LInf(0.0))
        assert found is not None
        assert float(found[0, 1]) == pytest.approx(gap, abs=1e-5)
    found = joint_gaps(a, b, torch.tensor([[0.25]]), torch.tensor([0]), LInf(0.2))
    assert found is not None
    assert float(found[0, 1]) < 1e-5  # neither fires up to .45


def _deep() -> SpikingNetwork:
    return mlp((4, 5, 5, 3), num_steps=4)


def _timed() -> SpikingNetwork:
    return SpikingNetwork(nn.Linear(4, 5), LIF(0.8), nn.Linear(5, 3), num_steps=4, encoding="none")


@pytest.mark.parametrize("make", [_deep, _timed])
def test_other_forms_have_the_gap_of_bounds(make: Any):
    torch.manual_seed(0)
    a, b = make().eval(), make().eval()
    timed = a.encoding == "none"
    inputs = (torch.rand(3, 4, 4) < 0.5).float() if timed else torch.rand(3, 4)
    sets, labels = (SpikeFlip(1) if timed else LInf(0.01)), a(inputs).argmax(1)
    assert joint_gaps(a, b, inputs, labels, sets) is None
    gaps = Gaps.of(a, b, inputs, labels, sets)
    assert gaps is not None
    assert torch.equal(gaps.joint, gaps.naive)


def test_a_margin_above_the_gap_is_proof_for_the_other_build():
    """By "interval" b is not verified, and what pairs of trains leave of the gap is less than a's margin."""
    found = []
    for seed in range(30):
        generator = torch.Generator().manual_seed(seed)
        a = _build(generator, (4, 8, 3), LIF(0.8, 1.0), 5, False)
        b = _moved(a, generator, 0.01, LIF(0.8, 1.0))
        inputs, ball = torch.rand(8, 4, generator=generator), LInf(0.02)
        for one, sample in zip(equivalent(a, b, inputs, ball, "interval"), inputs, strict=True):
            if one.status == "equivalent" and "exceed the gap" in one.reason:
                points = _points(ball, sample[None], generator).flatten(0, 1)
                assert torch.equal(a(points).argmax(1), b(points).argmax(1))
                found.append(one)
    assert len(found) >= 5


def _chip_pair(target: str) -> tuple[SpikingNetwork, SpikingNetwork]:
    """Return a real network that reads units of 1/4, and its build for a chip."""
    torch.manual_seed(1)
    reset = "zero" if target == "loihi" else "subtract"
    layers = [nn.Linear(3, 6), LIF(0.75, 1.0, reset=reset), nn.Linear(6, 3)]
    source = SpikingNetwork(*layers, num_steps=3).eval()
    scale = nn.BatchNorm1d(3, eps=0.0, affine=False)
    assert isinstance(scale.running_var, Tensor)
    scale.running_var.fill_(16.0)
    real = SpikingNetwork(scale, *source.layers, num_steps=3).eval()
    return real, quantization(source, target, 4, levels=4).network


@pytest.mark.parametrize("target", ["loihi", "q8.8"])
def test_a_real_network_and_its_chip_build_at_whole_inputs(target: str):
    """Against a run of all whole vectors."""
    real, chip = _chip_pair(target)
    inputs = torch.tensor(list(itertools.product(range(5), repeat=3)), dtype=torch.float32)
    classes = [real(inputs).argmax(1), chip(inputs.double()).argmax(1)]
    agree = dict(zip(map(tuple, inputs.tolist()), (classes[0] == classes[1]).tolist(), strict=True))
    statuses = set[str]()
    for epsilon in (0, 1, 2):
        for pair in ((real, chip), (chip, real)):
            given_inputs = inputs[::7].to(pair[0].dtype)
            around = None if epsilon == 0 else LInf(epsilon)
            for one, sample in zip(equivalent(*pair, given_inputs, around), inputs[::7].tolist(), strict=True):
                axes = [range(max(0, int(x) - epsilon), min(4, int(x) + epsilon) + 1) for x in sample]
                same = all(agree[tuple(map(float, point))] for point in itertools.product(*axes))
                assert one.status != "equivalent" or same
                assert one.status != "different" or not same
                statuses.add(one.status)
                if one.counterexample is not None:
                    assert not agree[tuple(one.counterexample.tolist())]
    assert "equivalent" in statuses


def test_a_network_of_whole_numbers_has_ends_of_its_own():
    torch.manual_seed(1)
    source = SpikingNetwork(nn.Linear(3, 6), LIF(0.75), nn.Linear(6, 3), num_steps=3).eval()
    one, other = (quantization(source, "loihi", 4, levels=levels).network for levels in (4, 5))
    with pytest.raises(
        ValueError, match="b: takes whole numbers from 0 to 5, expected a's whole numbers from 0 to 4"
    ):
        equivalent(one, other, torch.ones(1, 3, dtype=torch.float64))
    with pytest.raises(ValueError, match="inputs: got numbers that are not whole"):
        equivalent(source, one, torch.full((1, 3), 0.5), LInf(1))


def test_sets_of_one_size_hold_those_of_lesser_ones():
    generator = torch.Generator().manual_seed(3)
    a = _build(generator, (4, 8, 3), LIF(0.8, 1.0), 5, False)
    b = _moved(a, generator, 0.02, LIF(0.8, 1.0))
    inputs, labels, before = torch.rand(6, 4, generator=generator), torch.zeros(6, dtype=torch.long), None
    for epsilon in (0.0, 0.01, 0.05, 0.2):
        found = joint_gaps(a, b, inputs, labels, replace(LInf(0.0), epsilon=epsilon))
        assert found is not None
        assert before is None or bool((found >= before).all())
        before = found
