"""What bounds say of sizes holds for runs, of each step and of all, and a size of 0 says that nothing is there.

Affine layers on boxes, with weights of either sign: no image escapes, and the ends are attained.
"""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert import LIF, LInf, SpikingNetwork, VariedLIF, circuit
from spikecert.certify.bounds.intervals import interval_spikes
from spikecert.certify.bounds.propagation import input_signal, propagate
from spikecert.certify.bounds.signals.affine import affine_map, fold
from spikecert.certify.bounds.signals.signals import InputSignal, SpikeBound, SumSignal
from spikecert.certify.bounds.signals.windows import Box
from spikecert.certify.bounds.trains.trains import conserved_spikes, step_spikes, train_spikes
from spikecert.certify.rounding import Rounding
from spikecert.models.circuit import Added, Fired, Input, Mapped, Pooled
from spikecert.models.linear_maps import linear_map
from spikecert.testing import image_networks
from support.examples import examples
from support.signals import affine_signal

BOUNDS = {
    "interval": interval_spikes,
    "steps": step_spikes,
    "trains": train_spikes,
    "conserved": conserved_spikes,
}


def signals(network: SpikingNetwork, x: Tensor) -> list[Tensor]:
    """Return a run's signal at each node of the circuit, (1 or T, batch, ...)."""
    made, found = circuit(network), list[Tensor]()
    with torch.no_grad():
        spikes = iter(network.trace(x).spikes)
    for node in made.nodes:
        parts: list[Any] = [found[source] for source in node.sources]
        if isinstance(node, Input):
            found.append(made.arranged(x))
        elif isinstance(node, Mapped):
            found.append(fold(node.map.apply, parts[0]).detach())
        elif isinstance(node, Pooled):
            found.append(fold(node.windows.largest, parts[0]))
        elif isinstance(node, Added):
            found.append(parts[0] + parts[1])
        else:
            found.append(next(spikes) if isinstance(node, Fired) else parts[0])
    return found


def check(network: SpikingNetwork, x: Tensor, epsilon: float, spikes: SpikeBound) -> int:
    """Compare runs at random points of each sample's set with the sizes; return how often a spike's size is 0."""
    made, threat = circuit(network), LInf(epsilon)
    known = propagate(made, input_signal(made, threat.enclosure(x)), spikes, Rounding(network.dtype))
    zeros = 0
    for _ in range(4):
        moved = threat.project(x + epsilon * (2 * torch.rand_like(x) - 1), x)
        for signal, run in zip(known, signals(network, moved), strict=True):
            _, size = signal.sized()
            for most in (size, signal.magnitude()):
                assert bool((run.abs() <= most * (1 + 1e-6)).all())
                zeros += int((most == 0).sum())
    return zeros


@pytest.mark.parametrize("name", BOUNDS)
@examples(100)
@given(image_networks(side=4, most_channels=2), st.sampled_from([0.0, 0.02, 0.2]), st.integers(0, 2**31))
def test_sizes_hold_for_runs_of_images(name: str, network: SpikingNetwork, epsilon: float, seed: int):
    x = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(seed)).to(network.dtype)
    check(network, x, epsilon, BOUNDS[name])


@pytest.mark.parametrize("name", BOUNDS)
@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_silent_neurons_have_no_size(name: str, reset: str):
    """Of a table, a graph, cells and kinds of neurons; and an average of silence is silent."""
    torch.manual_seed(0)
    kinds = VariedLIF(torch.tensor([0.5, 0.9, 0.9, 0.5]).view(4, 1, 1), 1.0, reset)
    layers = nn.Conv2d(1, 4, 3, padding=1), kinds, nn.AvgPool2d(2), nn.Conv2d(4, 4, 3, padding=1)
    head = (
        LIF(0.9, 1.0, reset),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(4, 8),
        LIF(0.9, 1.0, reset),
        nn.Linear(8, 3),
    )
    network = SpikingNetwork(*layers, *head, num_steps=4).eval()
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.weight.data *= 3
    x = torch.rand(3, 1, 4, 4)
    assert check(network, x, 0.01, BOUNDS[name]) > 100
    made = circuit(network)
    known = propagate(made, input_signal(made, LInf(0.01).enclosure(x)), BOUNDS[name], Rounding(torch.float32))
    averages = known[3].sized()[1]
    assert averages.shape[0] == 4
    assert 0 < int((averages == 0).sum()) < averages.numel()


def test_steps_pay_for_their_own_spikes():
    """A neuron that reads a silent layer at first, and a loud one later, has wider currents later."""
    torch.manual_seed(0)
    network = SpikingNetwork(nn.Linear(1, 64, False), LIF(1.0), nn.Linear(64, 2, False), LIF(0.9), num_steps=3)
    network.layers[0].weight.data = torch.full((64, 1), 0.6)
    made = circuit(network.eval())
    known = propagate(
        made, input_signal(made, LInf(0.0).enclosure(torch.ones(1, 1))), train_spikes, Rounding(torch.float32)
    )
    widths = known[3].spread().radius[:, 0, 0].tolist()
    assert widths[0] == widths[2] < 1e-30
    assert widths[1] > 1e-7


ROUNDING = Rounding(torch.float64)


def batch_norm(features: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(features).double()
    for statistic, low, high in ((norm.running_mean, -0.5, 0.5), (norm.running_var, 0.1, 2.0)):
        assert statistic is not None
        statistic.uniform_(low, high)
    norm.weight.data = torch.linspace(-1.5, 1.0, features).double()
    norm.bias.data.uniform_(-0.5, 0.5)
    return norm.eval()


LAYERS = {
    "linear": lambda: nn.Sequential(nn.Flatten(), nn.Linear(36, 5).double()),
    "conv": lambda: nn.Conv2d(4, 3, 2, stride=2, padding=1).double(),
    "average pool": lambda: nn.AvgPool2d(2),
    "batch norm": lambda: batch_norm(4),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_images_fill_their_box(kind: str):
    torch.manual_seed(0)
    layer = LAYERS[kind]()
    low = torch.randn(2, 4, 3, 3).double()
    signal = InputSignal(Box(low[None], (low + torch.rand_like(low))[None]), 1)
    image = signal
    for part in layer if isinstance(layer, nn.Sequential) else [layer]:
        image = affine_signal(image, part, ROUNDING)
    found, box = image.steps()[0], signal.box[0]
    share = torch.rand(200, *low.shape).double()
    with torch.no_grad():
        images = layer((box.lower + share * (box.upper - box.lower)).flatten(0, 1)).unflatten(0, (200, 2))
        assert bool((images >= found.lower).all())
        assert bool((images <= found.upper).all())
        for flat, end in ((found.lower.flatten(1), -1.0), (found.upper.flatten(1), 1.0)):
            corner = low.new_zeros(2, *low.shape[1:]).requires_grad_()
            with torch.enable_grad():
                (slope,) = torch.autograd.grad(layer(corner).flatten(1)[:, -1].sum(), corner)
            furthest = torch.where(end * slope > 0, box.upper, box.lower)
            torch.testing.assert_close(layer(furthest).flatten(1)[:, -1], flat[:, -1])


def test_a_residual_sum_adds_up_both_parts():
    low = torch.tensor([[0.0, -1.0]]).double()
    source = InputSignal(Box(low[None], low[None] + 1.0), 1)
    double = nn.Linear(2, 2, bias=False).double()
    double.weight.data = torch.tensor([[2.0, 0.0], [0.0, -2.0]]).double()
    found = SumSignal(source, affine_signal(source, double, ROUNDING), ROUNDING).steps()[0]
    torch.testing.assert_close(found.lower, torch.tensor([[0.0, -1.0]]).double())
    torch.testing.assert_close(found.upper, torch.tensor([[3.0, 2.0]]).double())
    assert affine_map(linear_map(double)).terms == 2
