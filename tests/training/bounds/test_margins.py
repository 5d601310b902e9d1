"""A margin in "prefix" bounds: what strays by up to it stays inside, and what it decides is decided by it.

The ends of spikes by the compiled kernel: those of torch's operations, values and gradients.
"""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert import LIF, SpikeShift, SpikingNetwork, mlp
from spikecert.certify.bounds.signals.windows import Box
from spikecert.models import DLIF, Arctan, Recurrent, Sigmoid, Surrogate, Triangle
from spikecert.testing.neurons import SEEDS
from spikecert.training.bounds.ends import Ends
from spikecert.training.bounds.interval_bounds import SingleSteps, worst_logits
from spikecert.training.bounds.spike_ends import spike_ends
from spikecert.training.objectives.certified_moves import worst_of_events
from support.eager import KERNELS, by
from support.examples import examples


def on_fourths(decay: float, steps: int, seed: int, deep: bool) -> SpikingNetwork:
    """Return a network of weights that are multiples of a fourth: potentials meet thresholds."""
    torch.manual_seed(seed)
    sizes = (2, 4, 3, 3) if deep else (2, 4, 3)
    neuron = LIF(decay, (0.5, 2.0)[seed % 2], reset="subtract", fires_at=(">=", ">")[seed // 2 % 2])
    network = mlp(sizes, steps, neuron, encoding="none").double()
    with torch.no_grad():
        for weights in network.parameters():
            weights.copy_((weights * 6).round() / 4)
    return network


def strayed(network: SpikingNetwork, inputs: Tensor, margin: float, generator: torch.Generator) -> Tensor:
    """Return the logits of a run whose potentials stray by up to the margin, neuron by neuron and step by step."""
    signal = inputs.transpose(0, 1)
    for layer in network.layers:
        if isinstance(layer, LIF):
            decay, reach = layer.dynamics.decay, margin * layer.dynamics.threshold
            signs = torch.randint(-1, 2, signal.shape, generator=generator).double()
            stray = signs * reach * (1.0 - decay)
            stray[0] = signs[0] * reach
            signal = layer(signal + stray, network.num_steps)
        else:
            signal = layer(signal)
    return signal.mean(0)


@examples(100)
@given(
    seed=SEEDS,
    steps=st.integers(1, 5),
    decay=st.sampled_from([1.0, 0.75, 0.0]),
    deep=st.booleans(),
    margin=st.sampled_from([0.0, 1e-9, 0.05, 0.5]),
)
def test_runs_that_stray_by_the_margin_stay_inside(
    seed: int, steps: int, decay: float, deep: bool, margin: float
) -> None:
    network, generator = on_fourths(decay, steps, seed % 1000, deep), torch.Generator().manual_seed(seed)
    events = (torch.rand(1, steps, 2, generator=generator) < 0.4).double()
    threat = SpikeShift(min(1, steps - 1), merge="add")
    with torch.no_grad():
        label = network(events).argmax(1)
        worst = worst_of_events(network, events, label, threat, "prefix", 1.0, margin)
        plain = worst_of_events(network, events, label, threat, "prefix")
        members = torch.cat(list(threat.members(events[0]).batches(4096)))
        logits = torch.cat([strayed(network, members.double(), margin, generator) for _ in range(4)])
    reached = logits - logits.gather(1, label.expand(len(logits))[:, None])
    assert bool((reached <= worst + 1e-9).all())
    assert bool((plain <= worst + 1e-9).all())
    if margin == 0.0:
        torch.testing.assert_close(worst, plain)


@pytest.mark.parametrize("looping", [False, True])
@pytest.mark.parametrize(("current", "opens"), [(0.97, False), (0.99, True), (1.01, True), (1.03, False)])
def test_a_spike_is_open_within_the_margin_of_its_threshold(current: float, opens: bool, looping: bool) -> None:
    neuron = LIF(1.0, 2.0, reset="subtract")
    loop = Recurrent(neuron, nn.Linear(1, 1, bias=False)) if looping else neuron
    network = SpikingNetwork(nn.Linear(1, 1), loop, nn.Linear(1, 2), num_steps=2, encoding="none").double()
    with torch.no_grad():
        for weights in network.parameters():
            weights.zero_()
        network.layers[0].weight.fill_(current)  # type: ignore[union-attr, operator]
        network.layers[2].weight.copy_(torch.tensor([[0.0], [1.0]]))  # type: ignore[union-attr, operator]
    inputs, label = torch.ones(1, 2, 1).double(), torch.tensor([0])
    network.requires_grad_(False)
    exact, wide = (
        float(worst_logits(network, inputs, inputs, label, "prefix", margin=margin)[0, 1]) for margin in (0, 0.02)
    )
    fires = 0.5 if 2 * current >= 2.0 else 0.0
    assert exact == fires
    assert wide == (0.5 if opens else fires)
    low = float(worst_logits(network, inputs, inputs, 1 - label, "prefix", margin=0.02)[0, 0])
    assert -low == (0.0 if opens else fires)


def test_other_bounds_take_no_margin() -> None:
    network, inputs = mlp((2, 3, 2), 2, encoding="none"), torch.zeros(1, 2, 2)
    for bounds in ("interval", "trains", "windows"):
        with pytest.raises(ValueError, match=rf"^margin: got 0\.1 with bounds '{bounds}', expected 0"):
            worst_logits(network, inputs, inputs, torch.tensor([0]), bounds, margin=0.1)


KINDS = [
    (reset, fires_at, surrogate, amount)
    for reset, amounts in (("zero", (None,)), ("subtract", (None, 0.3, 1.7)), ("none", (None,)))
    for amount in amounts
    for fires_at in (">=", ">")
    for surrogate in (Triangle(1.3), Arctan(0.7), Sigmoid())
]


@pytest.mark.parametrize(("reset", "fires_at", "surrogate", "amount"), KINDS)
def test_the_compiled_ends_are_those_of_torch(
    reset: str, fires_at: str, surrogate: Surrogate, amount: float | None
) -> None:
    torch.manual_seed(0)
    for steps, constant, scaled in itertools.product((1, 5), (True, False), (True, False)):
        constants = (0.9, 0.8, reset, fires_at, surrogate, amount)
        neuron = (DLIF(steps, *constants) if scaled else LIF(*constants)).double()
        if scaled:
            neuron.scale(steps).data.normal_()  # type: ignore[union-attr] (of both signs)
        middle = torch.randn(1 if constant else steps, 3, 400, dtype=torch.float64)
        radius = 0.5 * torch.rand_like(middle)
        for bounds in ("interval", "trains"):
            found = [_ends_and_gradients(neuron, middle, radius, steps, bounds, k) for k in KERNELS]
            for expected, other in zip(*found, strict=True):
                torch.testing.assert_close(other, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("fires_at", "surrogate", "amount"), [kind[1:] for kind in KINDS if kind[0] == "subtract"]
)
def test_the_compiled_coupled_runs_are_those_of_torch(
    fires_at: str, surrogate: Surrogate, amount: float | None
) -> None:
    torch.manual_seed(0)
    for steps, constant, decay in itertools.product((1, 5), (True, False), (0.0, 0.9, 1.0)):
        neuron = LIF(decay, 0.75, "subtract", fires_at, surrogate, amount)
        middle = torch.randn(1 if constant else steps, 3, 400, dtype=torch.float64)
        middle[..., ::5] = (middle[..., ::5] * 8).round() / 8  # sums of these lie on thresholds
        radius = torch.rand_like(middle) * (torch.rand_like(middle) > 0.2)
        weights = torch.randn(2, steps, 3, 400, dtype=torch.float64)
        found = []
        for kernel in KERNELS:
            ends = [(middle - radius).requires_grad_(), (middle + radius).requires_grad_()]
            with by(kernel):
                spikes = spike_ends(neuron, Box(ends[0], ends[1]), steps, coupled=True)
            total = (torch.stack((spikes.lower, spikes.upper)) * weights).sum()
            found.append([spikes.lower, spikes.upper, *torch.autograd.grad(total, ends)])
        for expected, other in zip(*found, strict=True):
            torch.testing.assert_close(other, expected, rtol=1e-9, atol=1e-9)


def _ends_and_gradients(
    neuron: LIF, middle: Tensor, radius: Tensor, steps: int, bounds: str, kernel: str
) -> list[Tensor]:
    currents = torch.stack((middle - radius, middle + radius)).requires_grad_()
    box = Box(currents[0], currents[1])
    with by(kernel):
        known = SingleSteps(Ends(box), steps, bounds == "trains").spikes(neuron, box)
    spikes, mean = (torch.stack((ends.lower, ends.upper)) for ends in (known.box, known.mean()))
    generator = torch.Generator().manual_seed(1)
    weights = [torch.randn(x.shape, generator=generator, dtype=x.dtype) for x in (spikes, mean)]
    total = (spikes * weights[0]).sum() + (mean * weights[1]).sum()
    return [spikes, mean, *torch.autograd.grad(total, [currents, *neuron.parameters()])]
