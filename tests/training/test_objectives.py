"""Objectives against the formulas of the paper, written as float64 loops."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from spikecert.models import DLIF, LIF, SpikingNetwork, mlp
from spikecert.training import (
    MSMPPD,
    SIBP,
    CertifiedLoss,
    CrossEntropy,
    GainPenalty,
    GaussianNoise,
    MarginOverGain,
    Objective,
    Perturber,
    Ramp,
)
from spikecert.training.objectives.ms_mppd import simplified_dynamics
from support.examples import examples


@dataclass(frozen=True)
class Shift(Perturber):
    """A perturbation without chance: every input moves by the same amount."""

    by: float = 0.1

    def perturb(
        self, network: SpikingNetwork, inputs: Tensor, labels: Tensor, generator: torch.Generator | None
    ) -> Tensor:
        return inputs + self.by


def network(steps: int = 5) -> SpikingNetwork:
    torch.manual_seed(2)
    built = mlp((6, 8, 7, 3), steps, DLIF(steps, decay=0.8, threshold=0.3)).double()
    for neuron in built.neurons:
        assert isinstance(neuron, DLIF)
        neuron.input_scale.data = torch.linspace(1.5, -0.5, steps, dtype=torch.float64)
    return built


def normalised() -> SpikingNetwork:
    torch.manual_seed(2)
    layers = (nn.Linear(6, 8), nn.BatchNorm1d(8), LIF(0.9, 0.3), nn.Linear(8, 7), nn.BatchNorm1d(7), LIF(0.9, 0.3))
    return SpikingNetwork(*layers, nn.Linear(7, 3), num_steps=4).double()


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    inputs = torch.rand(10, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    return inputs, torch.arange(10) % 3


def loop(clean: Tensor, perturbed: Tensor, neuron: LIF, norm: str, scaled: bool) -> Tensor:
    """Return the mean of ε² or |ε|, step by step."""
    epsilon, total = torch.zeros_like(clean[0]), torch.zeros((), dtype=torch.float64)
    scale = neuron.scale(len(clean)) if scaled else None
    for t in range(len(clean)):
        drive = clean[t] - perturbed[t]
        epsilon = neuron.dynamics.decay * epsilon + (drive if scale is None else scale[t] * drive)
        total = total + (epsilon.square() if norm == "l2" else epsilon.abs()).sum()
    return total / clean.numel()


@pytest.mark.parametrize(("two_sided", "scaled"), list(itertools.product((False, True), repeat=2)))
@pytest.mark.parametrize("norm", ["l2", "l1"])
@pytest.mark.parametrize("layers", ["last", "all"])
def test_loss_terms_and_gradients_equal_the_formula(
    batch: tuple[Tensor, Tensor], norm: str, layers: str, two_sided: bool, scaled: bool
) -> None:
    objective = MSMPPD(0.7, 0.3, norm, layers, Shift(), include_input_scale=scaled, two_sided=two_sided)
    ours, plain = network(), network()
    loss = objective.loss(ours, *batch, None)
    loss.total.backward()
    clean, noisy = plain.trace(batch[0]), plain.trace(batch[0] + 0.1)
    chosen = list(zip(clean.currents, noisy.currents, plain.neurons, strict=True))[-1 if layers == "last" else 0 :]
    values = [loop(c if two_sided else c.detach(), p, neuron, norm, scaled) for c, p, neuron in chosen]
    stability = torch.stack(values).mean()
    entropies = [cross_entropy(trace.logits, batch[1]) for trace in (clean, noisy)]
    expected = 0.3 * entropies[0] + 0.7 * entropies[1] + 0.7 * stability
    expected.backward()
    torch.testing.assert_close(loss.total, expected, rtol=1e-10, atol=1e-12)
    told = [loss.terms[name] for name in ("clean", "perturbed", "ms_mppd")]
    torch.testing.assert_close(told, [term.detach() for term in (*entropies, stability)], rtol=1e-10, atol=1e-12)
    assert float(stability.detach()) > 1e-4
    for a, b in zip(ours.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-8, atol=1e-12)


@examples(50)
@given(decay=st.floats(0, 1), steps=st.integers(1, 10), scaled=st.booleans(), seed=st.integers(0, 1000))
def test_gradient_of_the_mean_square_is_the_reverse_recursion(
    decay: float, steps: int, scaled: bool, seed: int
) -> None:
    """dL_MS/dw[t] = 2q[t]/N with q[t] = ε[t] + λ·q[t+1]."""
    generator = torch.Generator().manual_seed(seed)
    drive = torch.randn(steps, 3, 4, dtype=torch.float64, generator=generator).requires_grad_()
    scale = torch.randn(steps, dtype=torch.float64, generator=generator) if scaled else None
    (gradient,) = torch.autograd.grad(simplified_dynamics(drive, decay, scale).square().mean(), drive)
    w = drive.detach() if scale is None else drive.detach() * scale.view(-1, 1, 1)
    epsilon, states = torch.zeros_like(w[0]), []
    for t in range(steps):
        epsilon = decay * epsilon + w[t]
        states.append(epsilon)
    q = torch.zeros_like(w[0])
    for t in range(steps - 1, -1, -1):
        q = states[t] + decay * q
        expected = 2 * q / w.numel() * (1.0 if scale is None else scale[t])
        torch.testing.assert_close(gradient[t], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("statistics", ["joint", "separate"])
@pytest.mark.parametrize("build", [network, normalised])
def test_equal_inputs_give_no_perturbation(
    batch: tuple[Tensor, Tensor], build: Callable[[], SpikingNetwork], statistics: str
) -> None:
    objective = MSMPPD(perturbation=Shift(0.0), batch_statistics=statistics, layers="all")
    for mode in (True, False):
        loss = objective.loss(build().train(mode), *batch, None)
        assert float(loss.terms["ms_mppd"]) < 1e-25
        torch.testing.assert_close(loss.terms["clean"], loss.terms["perturbed"])


def test_batch_statistics_joint_and_separate(batch: tuple[Tensor, Tensor]) -> None:
    """A shift of all inputs is invisible to batch norm with separate statistics, and visible with joint ones."""
    shift = Shift(0.2)
    joint = MSMPPD(perturbation=shift).loss(normalised().train(), *batch, None)
    separate = MSMPPD(perturbation=shift, batch_statistics="separate", layers="all")
    assert float(separate.loss(normalised().train(), *batch, None).terms["ms_mppd"]) < 1e-25
    assert float(joint.terms["ms_mppd"]) > 1e-3
    twins = [normalised().eval(), normalised().eval()]
    values = [
        MSMPPD(perturbation=shift, batch_statistics=kind).loss(twin, *batch, None).total
        for kind, twin in zip(("joint", "separate"), twins, strict=True)
    ]
    torch.testing.assert_close(*values)


def test_no_rho_needs_no_currents(batch: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SpikingNetwork, "currents", _forbidden)
    loss = MSMPPD(rho=0.0, perturbation=Shift()).loss(network(), *batch, None)
    assert set(loss.terms) == {"clean", "perturbed"}
    expected = [cross_entropy(network()(batch[0] + by), batch[1]).detach() for by in (0.0, 0.1)]
    torch.testing.assert_close([loss.terms["clean"], loss.terms["perturbed"]], expected)
    with pytest.raises(RuntimeError, match="currents was called"):
        MSMPPD(perturbation=Shift()).loss(network(), *batch, None)


def _forbidden(*_: object) -> None:
    raise RuntimeError("currents was called")


@pytest.mark.parametrize(
    "objective",
    [
        CrossEntropy(),
        MSMPPD(perturbation=Shift(), include_input_scale=True),
        MSMPPD(perturbation=Shift(), norm="l1", layers="all", two_sided=True),
        CertifiedLoss(0.02),
        SIBP(0.02),
        GainPenalty(),
        MarginOverGain(layers="all"),
    ],
    ids=lambda item: type(item).__name__,
)
def test_dlif_of_ones_trains_as_lif(batch: tuple[Tensor, Tensor], objective: Objective) -> None:
    losses, gradients = [], []
    for neuron in (LIF(0.9, 0.3), DLIF(4, 0.9, 0.3)):
        torch.manual_seed(1)
        built = mlp((6, 8, 7, 3), 4, neuron).double()
        losses.append(objective.loss(built, *batch, None).total)
        losses[-1].backward()
        gradients.append([p.grad for name, p in built.named_parameters() if "input_scale" not in name])
    torch.testing.assert_close(*losses, rtol=1e-12, atol=0.0)
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


def test_a_final_accumulator_does_not_count_as_spiking(batch: tuple[Tensor, Tensor]) -> None:
    torch.manual_seed(0)
    layers = (nn.Linear(6, 8), LIF(0.9, 0.3), nn.Linear(8, 3), LIF(0.5, reset="none"))
    built = SpikingNetwork(*layers, num_steps=4, readout="potential").double()
    clean, noisy = built.trace(batch[0]), built.trace(batch[0] + 0.1)
    expected = loop(clean.currents[0], noisy.currents[0], built.neurons[0], "l2", scaled=False)
    loss = MSMPPD(perturbation=Shift()).loss(built, *batch, None)
    torch.testing.assert_close(loss.terms["ms_mppd"], expected.detach())


def test_objectives_add_up(batch: tuple[Tensor, Tensor]) -> None:
    stable = MSMPPD(perturbation=Shift())
    total = (CrossEntropy() + stable) + CrossEntropy()
    loss = total.loss(network(), *batch, None)
    alone = [part.loss(network(), *batch, None) for part in (CrossEntropy(), stable)]
    torch.testing.assert_close(loss.total, 2 * alone[0].total + alone[1].total)
    assert list(loss.terms) == ["cross_entropy", "clean", "perturbed", "ms_mppd", "cross_entropy_2"]
    assert total.attack == Shift()
    assert (CrossEntropy() + CrossEntropy()).attack is None


def test_weights_scale_losses_and_may_be_schedules(batch: tuple[Tensor, Tensor]) -> None:
    stable = MSMPPD(Ramp(0.0, 2.0, begin=0.25, end=0.5), mix=Ramp(1.0, 0.5), perturbation=Shift())
    now = stable.at(0.375)
    assert (now.rho, now.mix) == (1.0, 0.8125)
    assert stable.at(0.125) == MSMPPD(0.0, mix=0.9375, perturbation=Shift())
    assert "ms_mppd" not in stable.at(0.125).loss(network(), *batch, None).terms
    last = MSMPPD(2.0, 0.5, perturbation=Shift())
    ended = [item.loss(network(), *batch, None).total for item in (stable, last)]
    assert torch.equal(*ended)  # without a moment it is that of the end
    mixed = 0.5 * CrossEntropy() + Ramp(0.0, 4.0) * (now + CrossEntropy())
    assert mixed.attack == Shift()
    loss = mixed.at(0.25).loss(network(), *batch, None)
    entropy, other = (part.loss(network(), *batch, None) for part in (CrossEntropy(), now))
    torch.testing.assert_close(loss.total, 1.5 * entropy.total + other.total)
    torch.testing.assert_close(loss.terms["cross_entropy"], entropy.total.detach())


def test_a_certified_loss_follows_schedules_of_its_own() -> None:
    loss = CertifiedLoss(Ramp(0.02, 0.1, end=0.8), weight=0.6, ramp=0.4)
    told = [(loss.at(p).epsilon, loss.at(p).weight) for p in (0.0, 0.2, 0.4, 0.9)]
    torch.testing.assert_close(
        torch.tensor(told), torch.tensor([(0.02, 0.0), (0.04, 0.3), (0.06, 0.6), (0.1, 0.6)])
    )


def test_ramps_stay_at_their_ends() -> None:
    ramp = Ramp(3.0, 1.0, begin=0.25, end=0.75)
    assert [ramp.at(p) for p in (0.0, 0.25, 0.5, 0.75, 1.0)] == [3.0, 3.0, 2.0, 1.0, 1.0]
    jump = Ramp(0.0, 1.0, begin=0.5, end=0.5)
    assert [jump.at(p) for p in (0.0, 0.49, 0.5)] == [0.0, 0.0, 1.0]
    assert ramp.ends == (1.0, 3.0)


def test_noise_comes_from_the_generator_alone(batch: tuple[Tensor, Tensor]) -> None:
    objective = MSMPPD(perturbation=GaussianNoise(0.1))
    values = []
    for seed in (1, 1, 2):
        torch.manual_seed(len(values))
        loss = objective.loss(network(), *batch, torch.Generator().manual_seed(seed))
        values.append(float(loss.total.detach()))
    assert values[0] == values[1] != values[2]
