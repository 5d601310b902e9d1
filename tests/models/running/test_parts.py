"""Passes in parts of a few steps: the same logits and gradients as the whole pass, with less kept."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from spikecert.models import DLIF, LIF, Residual, SpikingNetwork, mlp
from spikecert.training import MSMPPD, CrossEntropy, GaussianNoise, dataset, fit
from support.eager import KERNELS, by

STEPS = 7


def dense() -> SpikingNetwork:
    return mlp((6, 20, 12, 3), STEPS, DLIF(STEPS, 0.9, 0.5, "subtract"))


def convolutional() -> SpikingNetwork:
    block = [nn.Conv2d(4, 4, 3, padding=1), LIF(0.9, 0.5), nn.Conv2d(4, 4, 3, padding=1)]
    layers = (nn.Conv2d(1, 4, 3), LIF(0.8, 0.4), Residual(block), LIF(0.9, 0.3), nn.AvgPool2d(2), nn.Flatten())
    return SpikingNetwork(*layers, nn.Linear(36, 3), num_steps=STEPS)


def evaluated() -> SpikingNetwork:
    layers = (nn.Linear(6, 20), nn.BatchNorm1d(20), LIF(0.9), nn.Linear(20, 3), nn.BatchNorm1d(3))
    return SpikingNetwork(*layers, num_steps=STEPS).eval()


def counting() -> SpikingNetwork:
    return SpikingNetwork(nn.Linear(6, 20), LIF(0.9, 0.5), nn.Linear(20, 3), LIF(0.9, 0.2), num_steps=STEPS)


def accumulating() -> SpikingNetwork:
    layers = (nn.Linear(6, 20), LIF(0.9, 0.5), nn.Linear(20, 3), DLIF(STEPS, 0.9, reset="none"))
    return SpikingNetwork(*layers, num_steps=STEPS, readout="potential")


def events() -> SpikingNetwork:
    return mlp((6, 20, 3), STEPS, LIF(0.9, 0.3), encoding="none")


def affine() -> SpikingNetwork:
    return SpikingNetwork(nn.Linear(6, 3), num_steps=STEPS)


INPUTS: dict[Callable[[], SpikingNetwork], tuple[int, ...]] = {
    dense: (6,),
    convolutional: (1, 8, 8),
    evaluated: (6,),
    counting: (6,),
    accumulating: (6,),
    events: (STEPS, 6),
    affine: (6,),
}


def results(network: SpikingNetwork, inputs: Tensor, steps_at_once: int | None) -> list[Tensor]:
    network.steps_at_once = steps_at_once
    inputs = inputs.clone().requires_grad_()
    logits = network(inputs)
    total = (logits * torch.linspace(-1.0, 2.0, logits.numel()).view_as(logits)).sum()
    return [logits.detach(), *torch.autograd.grad(total, [inputs, *network.parameters()])]


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("build", INPUTS, ids=lambda build: build.__name__)
def test_parts_make_the_whole(build: Callable[[], SpikingNetwork], kernel: str) -> None:
    torch.manual_seed(0)
    network, inputs = build().double(), 2.0 * torch.rand(5, *INPUTS[build], dtype=torch.float64)
    if network.neurons:
        assert 0.02 < float(network.trace(inputs).spikes[0].detach().mean()) < 0.98
    with by(kernel):
        whole, *parts = (results(network, inputs, steps_at_once) for steps_at_once in (None, 1, 3, STEPS, 100))
    assert float(whole[1].abs().max()) > 0
    for part in parts:
        for expected, found in zip(whole, part, strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


def kept(network: SpikingNetwork, inputs: Tensor) -> int:
    """Return how many numbers the backward pass is left."""
    sizes: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        sizes[tensor.data_ptr()] = tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        network(inputs).sum()
    return sum(sizes.values())


def test_less_is_kept() -> None:
    torch.manual_seed(0)
    network, inputs = mlp((6, 100, 100, 3), 16), torch.rand(8, 6)
    whole = kept(network, inputs)
    network.steps_at_once = 2
    assert kept(network, inputs) < 0.5 * whole


def test_a_trace_is_of_all_steps_whatever_runs_in_parts() -> None:
    torch.manual_seed(0)
    network, inputs = accumulating(), torch.rand(5, 6)
    whole = network.trace(inputs).potentials
    network.steps_at_once = 2
    parted = network.trace(inputs).potentials
    assert [len(layer) for layer in parted] == [STEPS, STEPS]
    assert all(torch.equal(one, other) for one, other in zip(whole, parted, strict=True))


def test_without_gradients_nothing_runs_in_parts() -> None:
    torch.manual_seed(0)
    network, inputs = evaluated(), torch.rand(5, 6)
    expected = network(inputs).detach()
    network.steps_at_once = 2
    with torch.no_grad():
        assert torch.equal(network(inputs), expected)


def test_statistics_over_all_steps_are_refused() -> None:
    network = evaluated().train()
    network.steps_at_once = 2
    with pytest.raises(ValueError, match="steps_at_once: got 2 in training, expected a network without"):
        network(torch.rand(5, 6))


def test_training_in_parts_ends_where_training_does() -> None:
    data = dataset("digits")
    torch.manual_seed(0)
    network = mlp((64, 24, 10), 6, LIF(0.9)).double()
    runs = [fit(network, data, CrossEntropy(), epochs=1, steps_at_once=steps) for steps in (None, 2)]
    assert runs[1].network.steps_at_once is None
    assert runs[1].history[0].loss == pytest.approx(runs[0].history[0].loss, rel=1e-9)


def test_the_currents_alone_are_those_of_the_trace() -> None:
    torch.manual_seed(0)
    for build, shape in INPUTS.items():
        network, inputs = build(), torch.rand(5, *shape)
        trace, (currents, logits) = network.trace(inputs), network.currents(inputs)
        torch.testing.assert_close(logits, trace.logits, rtol=0, atol=0)
        assert len(currents) == len(trace.currents)
        for expected, found in zip(trace.currents, currents, strict=True):
            assert torch.equal(found, expected)


def test_an_objective_that_needs_all_currents_still_trains_in_parts() -> None:
    torch.manual_seed(0)
    network, (inputs, labels) = mlp((6, 20, 3), STEPS).double(), (torch.rand(5, 6).double(), torch.arange(5) % 3)
    losses = []
    for steps in (None, 2):
        network.steps_at_once = steps
        generator = torch.Generator().manual_seed(0)
        loss = MSMPPD(perturbation=GaussianNoise(0.1)).loss(network, inputs, labels, generator)
        losses.append(torch.autograd.grad(loss.total, list(network.parameters())))
    for expected, found in zip(*losses, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    assert cross_entropy(network(inputs), labels).isfinite()
