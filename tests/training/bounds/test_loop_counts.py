"""Counts of layers that hear themselves: no member and no run escapes, and without a set they are the run."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from spikecert import LIF, CertifiedEvents, CertifiedLoss, CrossEntropy, SpikeFlip, SpikeShift, SpikingNetwork
from spikecert.models import Recurrent, Synapse
from spikecert.testing.neurons import SEEDS
from spikecert.training.bounds.interval_bounds import worst_logits
from spikecert.training.objectives.certified_moves import worst_of_events
from support.examples import examples


def looping(
    steps: int, seed: int, synapse: Synapse | None = None, encoding: str = "none", deep: bool = False
) -> SpikingNetwork:
    """Return a network of weights that are multiples of a fourth: potentials meet thresholds."""
    torch.manual_seed(seed)
    neuron = LIF(
        1.0, 0.5, reset="subtract", fires_at=(">=", ">")[seed % 2], reset_amount=(None, 0.75)[seed // 2 % 2]
    )
    layers: list[nn.Module] = [nn.Linear(2, 4), Recurrent(neuron, nn.Linear(4, 4), synapse)]
    layers += (
        [nn.Linear(4, 4), Recurrent(LIF(1.0, 0.5, reset="subtract"), nn.Linear(4, 4, bias=False))] if deep else []
    )
    network = SpikingNetwork(*layers, nn.Linear(4, 3), num_steps=steps, encoding=encoding).double()
    with torch.no_grad():
        for weights in network.parameters():
            weights.copy_((weights * 6).round() / 4)
    return network


def gaps(logits: Tensor, labels: Tensor) -> Tensor:
    return logits - logits.gather(-1, labels.expand(logits.shape[:-1])[..., None])


SYNAPSES = st.sampled_from([None, (0.5, 0), (0.0, 1), (1.0, 2)])


@examples(100)
@given(seed=SEEDS, steps=st.integers(1, 5), synapse=SYNAPSES, deep=st.booleans(), flips=st.booleans())
def test_no_member_escapes(
    seed: int, steps: int, synapse: tuple[float, int] | None, deep: bool, flips: bool
) -> None:
    network = looping(steps, seed % 1000, None if synapse is None else Synapse(*synapse), deep=deep)
    events = (torch.rand(steps, 2, generator=torch.Generator().manual_seed(seed)) < 0.4).double()
    threat = SpikeFlip(1 + seed % 2) if flips else SpikeShift(min(1, steps - 1), merge=("add", "or")[seed % 2])
    with torch.no_grad():
        label = network(events[None]).argmax(1)
        worst = worst_of_events(network, events[None], label, threat, "prefix")
        reached = gaps(network(torch.cat(list(threat.members(events).batches(4096)))), label)
    assert bool((reached <= worst + 1e-9).all())


@examples(60)
@given(seed=SEEDS, steps=st.integers(1, 6), radius=st.sampled_from([0.0, 0.05, 0.3]), direct=st.booleans())
def test_no_run_escapes_and_radius_0_is_the_run(seed: int, steps: int, radius: float, direct: bool) -> None:
    network = looping(steps, seed % 1000, encoding="direct" if direct else "none", deep=bool(seed % 2))
    inputs = (torch.rand(4, *([] if direct else [steps]), 2).double() * 8).round() / 8
    labels = network(inputs).argmax(1)
    lower, upper = inputs - radius, inputs + radius
    worst = worst_logits(network, lower, upper, labels, "prefix")
    if radius == 0.0:
        torch.testing.assert_close(worst, gaps(network(inputs), labels))
    for share in (0.0, 1.0, *torch.rand(10).tolist()):
        moved = lower + (upper - lower) * (torch.rand_like(inputs) < share)
        assert bool((gaps(network(moved), labels) <= worst + 1e-9).all())


@pytest.mark.parametrize("weight", [1.0, -1.0])
def test_what_a_neuron_hears_has_its_exact_counts(weight: float) -> None:
    """The second neuron hears the first alone, which tells it how many events came: both ends are runs."""
    loop = Recurrent(LIF(1.0, 1.0, reset="subtract"), nn.Linear(2, 2, bias=False))
    network = SpikingNetwork(nn.Linear(1, 2), loop, nn.Linear(2, 3), num_steps=5, encoding="none").double()
    with torch.no_grad():
        first, heard, last = network.layers[0], loop.feedback, network.layers[2]
        first.weight.copy_(torch.tensor([[1.0], [0.0]]))  # type: ignore[union-attr, operator]
        first.bias.copy_(torch.tensor([0.0, 0.0 if weight > 0 else 1.0]))  # type: ignore[union-attr, operator]
        heard.weight.copy_(torch.tensor([[0.0, 0.0], [weight, 0.0]]))  # type: ignore[union-attr, operator]
        last.weight.copy_(torch.tensor([[0.0, 0.0], [0.0, 1.0], [0.0, -1.0]]))  # type: ignore[union-attr, operator]
        last.bias.zero_()  # type: ignore[union-attr, operator]
        events = torch.tensor([0.0, 1.0, 0.0, 1.0, 0.0]).double().view(1, 5, 1)
        worst = worst_of_events(network, events, torch.tensor([0]), SpikeFlip(2), "prefix")
        runs = network(torch.cat(list(SpikeFlip(2).members(events[0]).batches(4096))))
    assert float(runs[:, 1].min()) < float(runs[:, 1].max())
    torch.testing.assert_close(worst[0], runs.amax(0))


def test_without_a_ball_the_gradient_is_that_of_the_network() -> None:
    inputs, labels = torch.rand(10, 5, 2, dtype=torch.float64), torch.arange(10) % 3
    gradients = []
    for objective in (CertifiedLoss(0.0, "prefix", weight=0.7), CrossEntropy()):
        network = looping(5, 4, Synapse(0.5, 1), deep=True)
        loss = objective.loss(network, inputs, labels, None)
        loss.total.backward()
        torch.testing.assert_close(loss.total, cross_entropy(network(inputs), labels))
        gradients.append([weight.grad for weight in network.parameters()])
    for ours, plain in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, plain)
        assert plain is not None
        assert float(plain.abs().max()) > 0


def test_loops_that_are_not_bounded_are_refused_in_one_line() -> None:
    events, labels = torch.zeros(1, 3, 2), torch.tensor([0])
    for neuron, told in (
        (LIF(0.9, reset="subtract"), "a loop and neurons that leak, expected decay 1"),
        (LIF(1.0), "'zero' reset, expected to subtract"),
    ):
        layers = nn.Linear(2, 3), Recurrent(neuron, nn.Linear(3, 3)), nn.Linear(3, 2)
        network = SpikingNetwork(*layers, num_steps=3, encoding="none")
        with pytest.raises(ValueError, match=told):
            CertifiedEvents(SpikeShift(1), "prefix").loss(network, events, labels, None)
        with pytest.raises(TypeError, match="which the bounds of training does not know"):
            CertifiedEvents(SpikeShift(1), "interval").loss(network, events, labels, None)
