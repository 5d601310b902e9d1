"""Ranges through an image of few numbers hold runs of networks that see many; what has no such image."""

# pyright: reportArgumentType=false

import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikecert import LIF, LInf, SpikeFlip, SpikingNetwork, inputs, mlp, output, output_range, sample
from spikecert.certify.perturbations import L2
from spikecert.certify.ranges import OutputRange, image, image_range
from support.examples import examples


def low_rank(seed: int, features: int, rank: int, exact: bool = True) -> tuple[SpikingNetwork, np.ndarray]:
    """Return a network whose first weights are V·C on quarters, or nearly, so that currents meet thresholds."""
    draw = random.Random(seed)
    generator = np.random.default_rng(seed)
    C = generator.integers(-4, 5, (rank, features)) / 4 + np.eye(rank, features)
    V = generator.integers(-4, 5, (5, rank)) / 4
    network = SpikingNetwork(
        torch.nn.Linear(features, 5),
        LIF(draw.choice([0.0, 0.5, 0.9, 1.0]), reset=draw.choice(["zero", "subtract"])),
        torch.nn.Linear(5, 2),
        num_steps=draw.choice([1, 3, 4]),
    ).eval()
    moved = 0.0 if exact else generator.normal(size=(5, features)) * draw.choice([1e-9, 1e-3, 0.05, 0.2])
    network.layers[0].weight.data = torch.from_numpy(V @ C + moved).float()
    network.layers[0].bias.data = torch.from_numpy(generator.integers(-2, 5, 5) / 4).float()
    return network, C


def proven_alone(*asked: object, **settings: object) -> OutputRange:
    """Return what is proven, where runs of the network that were tried could not mend it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(image, "_tried", lambda _, rows, low, high: torch.from_numpy((low + high)[None] / 2))
        return image_range(*asked, **settings)


@given(seed=st.integers(0, 2**31))
@examples(96)
def test_no_run_leaves_the_range(seed: int):
    draw = random.Random(seed)
    rank = draw.randint(1, 3)
    network, C = low_rank(seed, draw.randint(rank, 9), rank, exact=draw.random() < 0.6)
    x = torch.tensor([[draw.randint(0, 4) / 4 for _ in range(C.shape[1])]])
    threat = LInf(draw.choice([0.0, 0.03, 0.125, 0.25]))
    form = output[0] - 0.5 * output[1]
    if draw.random() < 0.4:
        form = form + draw.choice([1.0, -0.25]) * inputs[draw.randrange(C.shape[1])]
    found = proven_alone(network, x, threat, C, form, 1e-2, timeout=2.0)
    generator = torch.Generator().manual_seed(seed)
    share = torch.randint(0, 5, (800, C.shape[1]), generator=generator) / 4
    share[:400] = (share[:400] > 0.5).float()
    box = threat.enclosure(x)
    points = threat.project((box.lower + (box.upper - box.lower) * share).float(), x.expand(800, -1))
    with torch.no_grad():
        y = network(points).double()
    values = y[:, 0] - 0.5 * y[:, 1] + sum(factor * points[:, k].double() for k, factor in form.inputs)
    assert float(values.min()) >= found.lower - 1e-12
    assert float(values.max()) <= found.upper + 1e-12
    for point in (found.at_least, found.at_greatest):
        assert bool(threat.contains(point[None], x))


def test_many_inputs_are_as_few():
    """Twelve inputs through two: closed, where halving twelve is hopeless; the same range as of the two alone."""
    network, _ = low_rank(3, 12, 2)
    x = torch.full((1, 12), 0.5)
    found = image_range(network, x, LInf(0.25), None, output[0], 1e-2)
    assert found.verifier == "inputs, 2 of 12"
    wide = output_range(network, x, LInf(0.25), output[0], 1e-2)[0]
    assert found.upper >= wide.greatest
    assert found.lower <= wide.least


def test_an_identity_changes_little():
    torch.manual_seed(0)
    network = mlp((2, 8, 1), 4)
    x = torch.full((1, 2), 0.5)
    (plain,) = output_range(network, x, LInf(0.2))
    found = image_range(network, x, LInf(0.2), np.eye(2))
    assert found.closed
    assert abs(found.lower - plain.lower) < 3e-3
    assert abs(found.upper - plain.upper) < 3e-3


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda n, x: image_range(mlp((5, 8, 1)), torch.full((1, 5), 0.5), LInf(0.1)), "C: got none, and a first"),
        (lambda n, x: image_range(n, x, LInf(0.1), [[1.0, 2.0]], output[0]), "C: got shape"),
        (lambda n, x: image_range(n, x, LInf(0.1), [[float("nan")] * 6], output[0]), "C: got inf or NaN"),
        (lambda n, x: image_range(n, x, L2(0.1), None, output[0]), "perturbation: got L2"),
        (lambda n, x: image_range(n, x.repeat(2, 1), LInf(0.1), None, output[0]), "perturbation: got LInf"),
        (lambda n, x: image_range(n, x, LInf(0.1), None, output[0] - sample[0]), "form: got"),
        (lambda n, x: image_range(n, x, LInf(0.1), None, output[0] + inputs[9]), "form: got inputs"),
        (lambda n, x: image_range(n, x, LInf(0.1), None, output[7]), "property: got outputs"),
        (lambda n, x: image_range(n, x, LInf(0.1), None, output[0], 0.0), "tolerance: got"),
        (lambda n, x: image_range(_timed(), torch.ones(1, 2, 4), SpikeFlip(1)), "network: got encoding 'none'"),
    ],
)
def test_what_has_no_image_is_refused_in_one_line(make, told):
    network, _ = low_rank(0, 6, 2)
    with pytest.raises((TypeError, ValueError), match=f"^{told}") as error:
        make(network, torch.full((1, 6), 0.5))
    assert "\n" not in str(error.value)


def _timed() -> SpikingNetwork:
    return SpikingNetwork(torch.nn.Linear(4, 3), LIF(0.9), torch.nn.Linear(3, 1), num_steps=2, encoding="none")


def test_what_an_image_does_not_say_is_paid():
    """C that misses an input altogether, and a current that rounding alone takes over the threshold."""
    network = mlp((2, 1, 1), 1, neuron=LIF(0.0))
    for layer, weight, bias in ((network.layers[0], [[1.0, 0.5]], 0.0), (network.layers[-1], [[1.0]], 0.0)):
        layer.weight.data, layer.bias.data = torch.tensor(weight), torch.tensor([bias])
    found = proven_alone(network, torch.tensor([[0.8, 0.35]]), LInf(0.1), [[1.0, 0.0]])
    assert found.lower <= 0.0 < 1.0 <= found.upper
    found = proven_alone(network, torch.tensor([[0.8, 0.4]]), LInf(0.1), [[1.0, 0.5]], output[0] + inputs[1])
    assert found.lower <= 0.3
    assert found.upper >= 1.5 - 1e-6
    network.layers[0].weight.data, network.layers[0].bias.data = torch.ones(1, 2), torch.tensor([-0.5])
    found = proven_alone(network, torch.full((1, 2), 0.5), LInf(0.25))  # it fires at one corner alone
    assert found.lower <= 0.0 < 1.0 <= found.upper
    for count in (2, 3, 7, 12, 39):
        weights = torch.full((1, count), 0.1)
        network = mlp((count, 1, 1), 1, neuron=LIF(0.0))
        x = torch.rand(1, count, generator=torch.Generator().manual_seed(count))
        for layer, weight in ((network.layers[0], weights), (network.layers[-1], torch.ones(1, 1))):
            layer.weight.data, layer.bias.data = weight, torch.zeros(1)
        with torch.no_grad():
            current = network.layers[0](x)
            network.layers[0].bias.data = 1.0 - current[0]  # within rounding of the threshold
            value = float(network(x))
        found = proven_alone(network, x, LInf(0.0), torch.ones(1, count).tolist())
        assert found.lower <= value <= found.upper
        assert found.lower <= 0.0 < 1.0 <= found.upper
