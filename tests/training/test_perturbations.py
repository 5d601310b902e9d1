"""Training perturbations: their definitions, their declared sets, and what they leave alone."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from spikecert.models import LIF, SpikingNetwork, mlp
from spikecert.training import GaussianNoise, Perturber, PGDTraining, SingleStep, perturbations
from support.examples import examples

ALL = [
    GaussianNoise(),
    GaussianNoise(0.3, clamp=True),
    SingleStep(),
    SingleStep(0.1, clamp=False),
    PGDTraining(0.1, 3),
]


@pytest.fixture
def network() -> SpikingNetwork:
    torch.manual_seed(0)
    layers = (nn.Linear(6, 8), nn.BatchNorm1d(8), LIF(0.9), nn.Linear(8, 3))
    return SpikingNetwork(*layers, num_steps=4)


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    inputs = torch.rand(64, 6, generator=generator)
    inputs[:, 0], inputs[:, 1] = 0.0, 1.0
    return inputs, torch.arange(64) % 3


def seeded(seed: int = 7) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("rule", ALL, ids=str)
def test_the_generator_decides_and_the_network_is_left_alone(
    network: SpikingNetwork, batch: tuple[Tensor, Tensor], rule: Perturber
) -> None:
    network.train()
    network.layers[1].eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    originals = batch[0].clone()
    first, again = rule(network, *batch, seeded()), rule(network, *batch, seeded())
    assert torch.equal(first, again)
    assert not torch.equal(first, rule(network, *batch, seeded(8)))
    assert torch.equal(batch[0], originals)
    assert not first.requires_grad
    assert [module.training for module in network.layers] == [True, False, True, True]
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_gaussian_noise_has_its_spread(network: SpikingNetwork) -> None:
    inputs = torch.full((4000, 6), 0.5)
    noise = GaussianNoise(0.2)(network, inputs, torch.zeros(4000).long(), seeded()) - inputs
    assert float(noise.std()) == pytest.approx(0.2, rel=0.02)
    assert float(noise.mean()) == pytest.approx(0.0, abs=0.005)
    assert bool((noise.abs() > 0.5).any())  # not clamped, as in the paper
    clamped = GaussianNoise(0.2, clamp=True)(network, inputs, torch.zeros(4000).long(), seeded())
    assert torch.equal(clamped, (inputs + noise).clamp(0, 1))


def test_single_step_is_the_papers_step(network: SpikingNetwork, batch: tuple[Tensor, Tensor]) -> None:
    inputs, labels = batch
    start = (inputs + 0.001 * torch.randn(inputs.shape, generator=seeded())).requires_grad_()
    network.eval()
    (gradient,) = torch.autograd.grad(cross_entropy(network(start), labels), start)
    paper = (start.detach() + 0.1 * gradient.sign()).clamp(0, 1)
    network.train()
    torch.testing.assert_close(SingleStep(0.1, clamp=False)(network, inputs, labels, seeded()), paper)
    clamped = SingleStep(0.1)(network, inputs, labels, seeded())
    torch.testing.assert_close(clamped, torch.clamp(paper, inputs - 0.1, inputs + 0.1))
    assert bool((gradient != 0).any())


@pytest.mark.parametrize("epsilon", [0.0, 1e-4, 4 / 255, 0.5])
def test_the_single_step_stays_in_its_ball_and_the_papers_does_not(
    network: SpikingNetwork, batch: tuple[Tensor, Tensor], epsilon: float
) -> None:
    inside = SingleStep(epsilon)(network, *batch, seeded())
    assert float((inside - batch[0]).abs().max()) <= epsilon + 1e-7
    assert (float(inside.min()), float(inside.max())) >= (0.0, 0.0)
    assert float(inside.max()) <= 1.0
    outside = SingleStep(epsilon, clamp=False)(network, *batch, seeded())
    assert float((outside - batch[0]).abs().max()) > epsilon + 1e-5


def test_the_single_step_raises_the_loss() -> None:
    torch.manual_seed(0)
    network = mlp((20, 30, 3), 6, LIF(0.9, 0.4))
    inputs, labels = torch.rand(100, 20), torch.arange(100) % 3
    perturbed = SingleStep(0.05)(network, inputs, labels, seeded())
    with torch.no_grad():
        before, after = (float(cross_entropy(network(x), labels)) for x in (inputs, perturbed))
    assert after > before + 0.02


def test_training_pgd_is_the_plain_loop(network: SpikingNetwork, batch: tuple[Tensor, Tensor]) -> None:
    inputs, labels = batch
    network.eval()
    noise = 2 * torch.rand(inputs.shape, generator=seeded()) - 1
    point = (inputs + 0.1 * noise).clamp(0, 1)
    for _ in range(4):
        point.requires_grad_()
        (gradient,) = torch.autograd.grad(cross_entropy(network(point), labels), point)
        point = point.detach() + 0.03 * gradient.sign()
        point = torch.minimum(torch.maximum(point, inputs - 0.1), inputs + 0.1).clamp(0, 1)
    network.train()
    torch.testing.assert_close(PGDTraining(0.1, 4, 0.03)(network, inputs, labels, seeded()), point)


@pytest.mark.parametrize(
    "rule", [PGDTraining(0.1), PGDTraining(0.1, 5, 0.4), PGDTraining(0.0, 1), PGDTraining(0.5, 2)]
)
def test_training_pgd_stays_in_its_set(
    network: SpikingNetwork, batch: tuple[Tensor, Tensor], rule: PGDTraining
) -> None:
    found = rule(network, *batch, seeded())
    assert float((found - batch[0]).abs().max()) <= rule.epsilon + 1e-7
    assert (float(found.min()), float(found.max())) == (0.0, 1.0)


SETS: dict[type[Perturber], Callable[[float, float], Perturber]] = {
    GaussianNoise: lambda size, top: GaussianNoise(size, clamp=True, lower=-0.5, upper=top),
    SingleStep: lambda size, top: SingleStep(size, start=size, lower=-0.5, upper=top),
    PGDTraining: lambda size, top: PGDTraining(size, 3, 2 * size + 0.01, lower=-0.5, upper=top),
}


@pytest.mark.parametrize("kind", SETS)
@examples(30)
@given(
    size=st.sampled_from([0.0, 1e-8, 0.1, 3.0]) | st.floats(0.0, 2.0),
    top=st.sampled_from([0.7, 1.0, 1.3]),
    seed=st.integers(0, 2**31),
    double=st.booleans(),
)
def test_no_perturbation_leaves_its_declared_set(
    kind: type[Perturber], size: float, top: float, seed: int, double: bool
) -> None:
    """The range of inputs, and where an ε is declared its ball, to the rounding of one addition."""
    dtype = torch.float64 if double else torch.float32
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    network = mlp((6, 8, 3), 4, LIF(0.9)).to(dtype)
    inputs = torch.rand(16, 6, dtype=dtype, generator=generator) * (top + 0.5) - 0.5
    inputs[:, 0], inputs[:, 1] = -0.5, top
    found = SETS[kind](size, top)(network, inputs, torch.arange(16) % 3, generator)
    assert float(found.min()) >= -0.5
    assert bool((found <= torch.tensor(top, dtype=dtype)).all())
    if kind is not GaussianNoise:  # it declares no ball
        reach = (found.double() - inputs.double()).abs().max()
        assert float(reach) <= size * (1 + 1e-6) + 4 * torch.finfo(dtype).eps


def test_every_perturbation_is_among_them() -> None:
    exported = (getattr(perturbations, name) for name in perturbations.__all__)
    kinds = {item for item in exported if isinstance(item, type) and issubclass(item, Perturber)}
    assert kinds - {Perturber} == set(SETS)


def test_more_steps_raise_the_loss_more() -> None:
    torch.manual_seed(0)
    network = mlp((20, 30, 3), 6, LIF(0.9, 0.4))
    inputs, labels = torch.rand(200, 20), torch.arange(200) % 3
    losses = []
    for rule in (SingleStep(0.05), PGDTraining(0.05, 10)):
        with torch.no_grad():
            losses.append(float(cross_entropy(network(rule(network, inputs, labels, seeded())), labels)))
    assert losses[1] > losses[0]


def test_it_attacks_a_network_with_frozen_weights_under_no_grad(
    network: SpikingNetwork, batch: tuple[Tensor, Tensor]
) -> None:
    expected = SingleStep(0.1)(network, *batch, seeded())
    network.requires_grad_(False)
    with torch.no_grad():
        assert torch.equal(SingleStep(0.1)(network, *batch, seeded()), expected)


def test_float64_inputs_stay_float64(network: SpikingNetwork, batch: tuple[Tensor, Tensor]) -> None:
    for rule in ALL:
        assert rule(network.double(), batch[0].double(), batch[1], seeded()).dtype == torch.float64


def test_the_modes_come_back_after_an_error(network: SpikingNetwork) -> None:
    network.train()
    with pytest.raises(ValueError, match="inputs: got features"):
        SingleStep()(network, torch.rand(2, 5), torch.zeros(2).long(), seeded())
    assert all(module.training for module in network.modules())


def test_diverged_weights_are_named_as_such(network: SpikingNetwork, batch: tuple[Tensor, Tensor]) -> None:
    next(network.parameters()).data.fill_(torch.nan)
    with pytest.raises(FloatingPointError, match="perturbation: the gradient of the loss is NaN"):
        SingleStep()(network, *batch, seeded())


def test_steps_of_pgd_reach_across_the_ball_and_back_where_none_is_given() -> None:
    assert PGDTraining(0.1, 5).length == pytest.approx(2.5 * 0.1 / 5)
    assert PGDTraining(0.1, 5, 0.4).length == 0.4
