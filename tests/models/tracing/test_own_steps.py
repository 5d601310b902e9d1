"""Layers of their own at each step, and neurons of two numbers: over events, on images, in sums, written back."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from spikecert import ConversionRefused, CoupledLIF, PerStep, SpikingNetwork, convert, from_torch, into
from spikecert.models import check_conversion

STEPS = 4
SAMPLE = torch.rand(8, 5, generator=torch.Generator().manual_seed(0))
EVENTS = (torch.rand(8, STEPS, 5, generator=torch.Generator().manual_seed(0)) < 0.6).float()


def fires(v: Tensor) -> Tensor:
    return (v > 0).float()


class Norms(nn.Module):
    """Batch norms through time in front of neurons that reset to zero; `middle` stands behind these."""

    def __init__(self, middle: Callable[..., Tensor] = lambda net, t, s: s, images: bool = False) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.middle, self.images = middle, images
        self.first = nn.Conv2d(1, 6, 2, bias=False) if images else nn.Linear(5, 6, bias=False)
        self.first.weight.data.mul_(5.0)
        kind = nn.BatchNorm2d if images else nn.BatchNorm1d
        self.norms = nn.ModuleList(kind(6) for _ in range(STEPS))
        self.later = nn.ModuleList(nn.BatchNorm1d(6) for _ in range(STEPS))
        self.rec, self.last = nn.Linear(6, 6), nn.Linear(6, 3)
        for norm in (*self.norms, *self.later):
            norm.running_mean.uniform_(-0.5, 0.5)  # pyright: ignore
            norm.running_var.uniform_(0.5, 2.0)  # pyright: ignore
            norm.bias.data.uniform_(0.0, 0.5)  # pyright: ignore
            norm.weight.data.uniform_(0.5, 1.5)  # pyright: ignore
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean over time; of events, time is first."""
        v, total = 0.0, 0.0
        for t in range(STEPS):
            now = x[t] if x.dim() == 3 and not self.images else x
            v = 0.75 * v + self.norms[t](self.first(now))
            s = fires(v - 1.0)
            v = v * (1 - s)
            total = total + self.last(self.middle(self, t, s.mean((2, 3)) if self.images else s))
        return total / STEPS  # pyright: ignore


def in_a_sum() -> Norms:
    """Return a network in which a norm of each step is on one path of a sum."""

    kept = [torch.zeros(0)]

    def middle(net: Norms, t: int, s: Tensor) -> Tensor:
        before = kept[0] if t else torch.zeros_like(s)
        v = 0.5 * before + net.later[t](net.rec(s)) + s
        z = fires(v - 0.75)
        kept[0] = v * (1 - z)
        return z

    return Norms(middle)


def equal(module: nn.Module, network: SpikingNetwork, like: Tensor) -> None:
    for scale in (1.0, -2.0, 9.0):
        inputs = torch.randn(64, *like.shape[1:], generator=torch.Generator().manual_seed(3)) * scale
        assert check_conversion(module, network, inputs).matches


@pytest.mark.parametrize("name", ["a constant input", "events", "images", "a sum"])
def test_batch_norms_through_time_come_in(name: str) -> None:
    sample = {"events": EVENTS, "images": torch.rand(8, 1, 4, 4)}.get(name, SAMPLE)
    module = in_a_sum() if name == "a sum" else Norms(images=name == "images")
    found = convert(module, sample, encoding="none" if name == "events" else "direct")
    own = [layer for layer in found.network.modules() if isinstance(layer, PerStep)]
    assert [len(layer.steps) for layer in own] == [STEPS] * (2 if name == "a sum" else 1)
    assert any("a current of its own at each step" in note for note in found.notes)
    assert found.check.rates[0] > 0.0
    equal(module, found.network, sample)


def test_what_was_trained_at_one_step_is_written_back() -> None:
    module = Norms()
    network = from_torch(module, SAMPLE)
    (own,) = (layer for layer in network.layers if isinstance(layer, PerStep))
    own.steps[2].weight.data.mul_(1.5)  # pyright: ignore
    into(module, network, SAMPLE)
    assert torch.equal(module.norms[2].weight, own.steps[2].weight)  # pyright: ignore
    equal(module, network, SAMPLE)


def test_a_layer_that_hears_others_at_one_step_is_refused() -> None:
    def middle(net: Norms, t: int, s: Tensor) -> Tensor:
        return fires(net.rec(s) - 0.5) if t != 2 else fires(net.rec(s * 0.0 + 1.0) - 0.5)

    with pytest.raises(ConversionRefused):
        from_torch(Norms(middle), SAMPLE)


class Adapting(nn.Module):
    """Neurons of learned constants: adLIF's second state, or a raised threshold that a spike takes away."""

    def __init__(self, raised: bool) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.first, self.last, self.raised = nn.Linear(5, 6), nn.Linear(6, 3), raised
        self.first.weight.data.mul_(6.0)
        self.tau, self.tau_w = nn.Parameter(torch.rand(6) * 4 + 1), nn.Parameter(torch.rand(6) * 4 + 1)
        self.a, self.b = nn.Parameter(torch.rand(6) - 0.5), nn.Parameter(torch.rand(6))

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean over time; of events, time is first."""
        alpha, rho = torch.exp(-1 / self.tau), torch.exp(-1 / self.tau_w)
        u = w = s = torch.zeros(x.shape[-2], 6)
        total = torch.zeros(x.shape[-2], 3)
        for t in range(STEPS + 1):
            current = (1 - alpha) * self.first(x[t % len(x)] if x.dim() == 3 else x)
            if self.raised:
                w = rho * w + (1 - rho) * s
                limit = 0.25 + 1.75 * w
                u = alpha * u + current - limit * s
            else:
                w, limit = rho * w + self.a * u + self.b * s, 0.5
                u = alpha * (u - s) + current - (1 - alpha) * w
            s = fires(u - limit)
            total = total + self.last(s)
        return total


@pytest.mark.parametrize("raised", [False, True])
@pytest.mark.parametrize("timed", [False, True])
def test_neurons_of_two_numbers_come_in_as_they_are_trained(raised: bool, timed: bool) -> None:
    events = torch.cat([EVENTS, EVENTS[:, :1]], 1)
    module, sample = Adapting(raised).eval(), events if timed else SAMPLE
    network = from_torch(module, sample, encoding="none" if timed else "direct")
    (neuron,) = network.neurons
    assert type(neuron) is CoupledLIF
    assert neuron.get_buffer("decay").shape == (6,)
    equal(module, network, sample)


class Late(nn.Module):
    """Two layers whose spikes are of the potential before: nothing comes out at the first two steps of six."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.then, self.last = (nn.Linear(*sides, bias=False) for sides in ((5, 6), (6, 6), (6, 3)))
        for layer in (self.first, self.then):
            layer.weight.data.mul_(5.0)

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean over time."""
        one = two = torch.zeros(len(x), 6)
        total = torch.zeros(len(x), 3)
        for _ in range(6):
            s, z = fires(one - 1.0), fires(two - 1.0)
            one, two = 0.75 * one + self.first(x) - s, 0.75 * two + self.then(s) - z
            total = total + self.last(z)
        return total / 6


def test_steps_that_are_left_out_are_told() -> None:
    found = convert(Late(), SAMPLE)
    assert found.network.num_steps == 4
    assert any("the module takes 6 steps; T is 4" in note for note in found.notes)
    equal(Late(), found.network, SAMPLE)
