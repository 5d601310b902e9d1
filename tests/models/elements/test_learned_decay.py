"""A learned decay: it runs as LIF does, its gradient is the recursion's, and all else reads its present value."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from spikecert.analysis import gain
from spikecert.certify import LInf, verify
from spikecert.models import (
    LIF,
    PLIF,
    Residual,
    SpikingNetwork,
    Surrogate,
    Triangle,
    load,
    mlp,
    network_hash,
    settled,
)
from spikecert.models import save as save_network
from spikecert.training import MSMPPD, CrossEntropy, GainPenalty, GaussianNoise, MarginOverGain, dataset, fit


class _Fires(torch.autograd.Function):
    @staticmethod
    def forward(ctx, distance: Tensor, surrogate: Surrogate) -> Tensor:
        ctx.save_for_backward(distance)
        ctx.surrogate = surrogate
        return (distance >= 0).to(distance.dtype)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return grad * ctx.surrogate.derivative(ctx.saved_tensors[0]), None


def plain_loop(current: Tensor, decay: Tensor, neuron: LIF, steps: int) -> tuple[Tensor, Tensor]:
    """Return potentials and spikes with autograd's own gradient of every step."""
    d, left = neuron.dynamics, torch.zeros_like(current[0])
    potentials, spikes = [], []
    for t in range(steps):
        v = decay * left + current[t % len(current)]
        s = _Fires.apply(v - d.threshold, d.surrogate)
        assert isinstance(s, Tensor)
        left = {"zero": v * (1 - s), "subtract": v - d.drop * s, "none": v}[d.reset]
        potentials.append(v)
        spikes.append(s)
    return torch.stack(potentials), torch.stack(spikes)


@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
@pytest.mark.parametrize("constant", [True, False])
def test_the_gradient_is_that_of_the_recursion(reset: str, constant: bool) -> None:
    steps, generator = 6, torch.Generator().manual_seed(1)
    amount = 0.7 if reset == "subtract" else None
    neuron = PLIF(0.8, 0.5, reset, surrogate=Triangle(0.9), reset_amount=amount).double()
    shape = (1 if constant else steps, 5, 7)
    ours = torch.rand(shape, dtype=torch.float64, generator=generator).requires_grad_()
    plain = ours.detach().clone().requires_grad_()
    decay = torch.sigmoid(neuron.decay_logit.detach()).requires_grad_()
    weights = [torch.randn(steps, 5, 7, dtype=torch.float64, generator=generator) for _ in range(2)]
    run = neuron.run(ours, steps)
    potentials, spikes = plain_loop(plain, decay, neuron, steps)
    torch.testing.assert_close(run.potentials, potentials)
    assert torch.equal(run.spikes, spikes)
    assert 0 < float(spikes.detach().mean()) < 1 or reset == "none"
    (weights[0] * run.potentials + weights[1] * run.spikes).sum().backward()
    (weights[0] * potentials + weights[1] * spikes).sum().backward()
    torch.testing.assert_close(ours.grad, plain.grad)
    assert neuron.decay_logit.grad is not None
    assert decay.grad is not None
    chained = decay.grad * decay * (1 - decay)
    torch.testing.assert_close(neuron.decay_logit.grad, chained.detach())
    again = PLIF(0.8, 0.5, reset, surrogate=Triangle(0.9), reset_amount=amount).double()
    (weights[1] * again(ours.detach(), steps)).sum().backward()
    alone = torch.autograd.grad((weights[1] * plain_loop(plain, decay, neuron, steps)[1]).sum(), decay)[0]
    torch.testing.assert_close(again.decay_logit.grad, (alone * decay * (1 - decay)).detach())


def network() -> SpikingNetwork:
    torch.manual_seed(0)
    return mlp((64, 24, 10), 5, PLIF(0.9))


def decay_of(network: SpikingNetwork) -> float:
    return network.neurons[0].dynamics.decay


def test_bounds_gains_and_files_read_the_present_value(tmp_path: Path) -> None:
    built = network()
    neuron = built.neurons[0]
    assert isinstance(neuron, PLIF)
    neuron.decay_logit.data.fill_(0.3)
    plain = settled(built)
    assert type(plain.neurons[0]) is LIF
    assert decay_of(plain) == decay_of(built) == pytest.approx(torch.tensor(0.3).sigmoid().item())
    inputs = torch.rand(20, 64)
    labels = plain(inputs).argmax(1)
    assert torch.equal(built(inputs), plain(inputs))
    with torch.no_grad():
        assert torch.equal(built(inputs), plain(inputs))
    for name in ("interval", "trains", "linear"):
        found, expected = (verify(item, inputs, labels, LInf(0.01), name) for item in (built, plain))
        assert [v.margin for v in found] == [v.margin for v in expected]
    assert gain(built).layers[0].gain == gain(plain).layers[0].gain
    assert gain(built).check()
    save_network(built, tmp_path / "learned.safetensors")
    again = load(tmp_path / "learned.safetensors")
    assert network_hash(again) == network_hash(built) != network_hash(plain)
    assert decay_of(again) == decay_of(built)
    assert isinstance(again.neurons[0], PLIF)


def test_settling_reaches_residual_sums_and_leaves_the_original() -> None:
    torch.manual_seed(0)
    branch = [nn.Linear(6, 6), PLIF(0.7), nn.Linear(6, 6)]
    built = SpikingNetwork(nn.Linear(4, 6), PLIF(0.8), Residual(branch), nn.Linear(6, 2), num_steps=4)
    plain, inputs = settled(built), torch.rand(5, 4)
    assert all(type(neuron) is LIF for neuron in plain.neurons)
    assert all(type(neuron) is PLIF for neuron in built.neurons)
    assert torch.equal(plain(inputs), built(inputs))
    assert [name for name, _ in plain.named_parameters() if "decay" in name] == []


@pytest.mark.parametrize("start", [0.0, 1.0])
def test_the_decay_stays_in_range(start: float) -> None:
    neuron = PLIF(start)
    assert neuron.dynamics.decay == pytest.approx(start, abs=1e-6)
    neuron.decay_logit.data.fill_(100.0)
    assert neuron.dynamics.decay == 1.0
    with pytest.raises(ValueError, match=r"decay: got 1\.5"):
        PLIF(1.5)


def test_gain_objectives_lower_the_decay() -> None:
    inputs, labels = torch.rand(8, 64), torch.zeros(8).long()
    for objective in (GainPenalty(1.0), MarginOverGain(1.0, epsilon=1.0)):
        built = network()
        objective.loss(built, inputs, labels, None).total.backward()
        neuron = built.neurons[0]
        assert isinstance(neuron, PLIF)
        assert neuron.decay_logit.grad is not None
        assert bool(neuron.decay_logit.grad > 0) or isinstance(objective, MarginOverGain)
        assert bool(neuron.decay_logit.grad != 0)
    data = dataset("digits")
    settings = {"epochs": 3, "optimizer": "adam", "learning_rate": 0.02, "weight_decay": 0.0}
    free, held = (
        fit(network(), data, objective, **settings).network
        for objective in (CrossEntropy(), CrossEntropy() + GainPenalty(1.0))
    )
    assert decay_of(free) != pytest.approx(0.9, abs=1e-3)
    assert decay_of(held) < decay_of(free) - 0.01


def test_the_papers_term_sees_currents_without_the_decays_gradient() -> None:
    """L_MS is about the current: the trick that carries the decay's gradient must not be part of it."""
    built, inputs = network().double(), torch.rand(8, 64, dtype=torch.float64)
    trace = built.trace(inputs)
    neuron = built.neurons[0]
    assert isinstance(neuron, PLIF)
    (gradient,) = torch.autograd.grad(trace.currents[0].sum(), [neuron.decay_logit], allow_unused=True)
    assert gradient is None
    loss = MSMPPD(perturbation=GaussianNoise(0.1)).loss(built, inputs, torch.zeros(8).long(), torch.Generator())
    assert bool(torch.isfinite(loss.total))
