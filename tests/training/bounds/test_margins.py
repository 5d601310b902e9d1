"""A margin in "prefix" bounds: what strays by up to it stays inside, and what it decides is decided by it."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert import LIF, SpikeShift, SpikingNetwork, mlp
from spikecert.models import Recurrent
from spikecert.testing.neurons import SEEDS
from spikecert.training.bounds.interval_bounds import worst_logits
from spikecert.training.objectives.certified_moves import worst_of_events
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
