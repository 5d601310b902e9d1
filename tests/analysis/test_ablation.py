"""Time taken away from a network: each row is what a network made for it by hand gives, and it stays as it is."""

import copy

import pytest
import torch
from torch import Tensor, nn

from spikecert.analysis import TemporalAblation, temporal_ablation, without_loops, without_memory
from spikecert.models import DLIF, LIF, PLIF, Residual, SpikingNetwork
from spikecert.models.elements.neuron import Neuron, RefractoryLIF
from spikecert.models.elements.recurrent import Recurrent
from spikecert.models.elements.synapses import Synapse
from spikecert.models.running.encoding import RateDraws

STEPS, SAMPLES = 6, 300


def network(
    first: LIF, second: LIF, *between: nn.Module, num_steps: int = STEPS, encoding: str = "none"
) -> SpikingNetwork:
    """Return a network with weights that make neurons fire now and then."""
    torch.manual_seed(4)
    layers = nn.Linear(5, 12), first, *between, nn.Linear(12, 12), second, nn.Linear(12, 3)
    found = SpikingNetwork(*layers, num_steps=num_steps, encoding=encoding).eval()
    for layer in found.layers:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, 0.0, 1.2)
            nn.init.zeros_(layer.bias)
    return found


def asked(subject: SpikingNetwork) -> tuple[Tensor, Tensor]:
    """Return samples and labels that are right for about half of them."""
    generator = torch.Generator().manual_seed(5)
    shape = (SAMPLES, STEPS, 5) if subject.timed else (SAMPLES, 5)
    inputs = torch.rand(shape, generator=generator)
    with torch.no_grad():
        labels = subject(inputs).argmax(1)
    labels[::2] = torch.randint(3, (len(labels[::2]),), generator=generator)
    return inputs, labels


def check(
    found: TemporalAblation, name: str, subject: SpikingNetwork, other: SpikingNetwork, *both: Tensor
) -> None:
    """Check a row against a network that was made by hand, on inputs of its own."""
    inputs, labels, seen = both
    with torch.no_grad():
        before, after = subject(inputs).argmax(1), other(seen).argmax(1)
    row = found.row(name)
    assert row.accuracy == pytest.approx(float((after == labels).double().mean()), abs=1e-12)
    assert row.kept == pytest.approx(float((after == before).double().mean()), abs=1e-12)
    assert row.kept < 1


def test_each_row_is_that_of_a_network_made_by_hand() -> None:
    subject = network(LIF(0.9), LIF(0.8))
    inputs, labels = asked(subject)
    kept = copy.deepcopy(subject.state_dict()), subject.num_steps, subject.training
    found = temporal_ablation(subject, inputs, labels, seed=4)
    with torch.no_grad():
        assert found.accuracy == pytest.approx(float((subject(inputs).argmax(1) == labels).double().mean()))
        spikes = subject.trace(inputs).spikes
    assert found.constant == pytest.approx([float((s == s[:1]).all(0).double().mean()) for s in spikes])
    assert found.left_out == ()
    short = network(LIF(0.9), LIF(0.8), num_steps=2)
    check(found, "first 2 steps", subject, short, inputs, labels, inputs[:, :2])
    check(found, "last 2 steps", subject, short, inputs, labels, inputs[:, -2:])
    check(found, "λ = 0", subject, network(LIF(0.0), LIF(0.0)), inputs, labels, inputs)
    check(found, "steps reversed", subject, subject, inputs, labels, inputs.flip(1))
    order = torch.randperm(STEPS, generator=torch.Generator().manual_seed(4))
    check(found, "steps shuffled", subject, subject, inputs, labels, inputs[:, order])
    names = [row.name for row in found.rows]
    assert names[:3] == ["first step", "first 2 steps", "first 4 steps"]
    state, *rest = kept
    assert rest == [subject.num_steps, subject.training]
    assert all(torch.equal(state[name], tensor) for name, tensor in subject.state_dict().items())


def test_a_scale_of_steps_is_cut_with_them() -> None:
    scale = torch.tensor([0.4, 1.8, 0.7, 1.5, 0.2, 1.1])
    subject, short = (network(DLIF(t, 0.9), LIF(0.8), num_steps=t, encoding="direct") for t in (STEPS, 2))
    for one, part in ((subject, scale), (short, scale[-2:])):
        neuron = one.neurons[0]
        assert isinstance(neuron, DLIF)
        neuron.input_scale.data = part.clone()
    inputs, labels = asked(subject)
    found = temporal_ablation(subject, inputs, labels)
    check(found, "last 2 steps", subject, short, inputs, labels, inputs)
    assert "steps reversed" not in [row.name for row in found.rows]


def test_constants_of_steps_are_cut_with_them() -> None:
    torch.manual_seed(0)
    scale, limits = torch.rand(STEPS) + 0.5, torch.rand(STEPS, 12) + 0.5
    neurons = (Neuron(0.9, limits[-t:], steps=t, input_scale=scale[-t:]) for t in (STEPS, 2))
    subject, short = (network(own, LIF(0.8), num_steps=own.steps, encoding="direct") for own in neurons)
    inputs, labels = asked(subject)
    check(temporal_ablation(subject, inputs, labels), "last 2 steps", subject, short, inputs, labels, inputs)


def test_draws_of_a_rate_code_are_cut_with_its_steps() -> None:
    subject = network(LIF(0.9), LIF(0.8), encoding="rate")
    inputs, labels = asked(subject)
    short = network(LIF(0.9), LIF(0.8), num_steps=2, encoding="rate")
    short.draws = RateDraws(subject.draws.thresholds(STEPS, (5,))[-2:])
    check(temporal_ablation(subject, inputs, labels), "last 2 steps", subject, short, inputs, labels, inputs)


def test_synapses_and_loops_lose_their_memory_and_feedback_its_weights() -> None:
    def made(decay: float, kept: float, weight: float) -> SpikingNetwork:
        torch.manual_seed(8)
        feedback = nn.Linear(12, 12)
        feedback.weight.data *= 3 * weight
        return network(Recurrent(LIF(decay), feedback, Synapse(kept)), LIF(decay), Synapse(kept, 1))

    subject = made(0.9, 0.5, 1.0)
    inputs, labels = asked(subject)
    found = temporal_ablation(subject, inputs, labels)
    check(found, "λ = 0", subject, made(0.0, 0.0, 1.0), inputs, labels, inputs)
    check(found, "no feedback", subject, made(0.9, 0.5, 0.0), inputs, labels, inputs)


def test_a_learned_decay_is_taken_away_and_a_rest_is_left_out_by_name() -> None:
    subject = network(PLIF(0.7), LIF(0.8))
    inputs, labels = asked(subject)
    found = temporal_ablation(subject, inputs, labels)
    check(found, "λ = 0", subject, network(LIF(0.0), LIF(0.0)), inputs, labels, inputs)
    resting = temporal_ablation(network(RefractoryLIF(0.7, rest=2), LIF(0.8)), inputs, labels)
    assert "λ = 0" not in [row.name for row in resting.rows]
    assert resting.left_out == ("λ = 0: got RefractoryLIF, expected LIF, DLIF or PLIF: others remember otherwise",)


def test_what_needs_its_memory_loses_its_accuracy_without_it_and_one_step_has_nothing_to_lose() -> None:
    layers = nn.Linear(1, 1, bias=False), LIF(1.0, threshold=2.0), nn.Linear(1, 2)
    subject = SpikingNetwork(*layers, num_steps=3, encoding="none").eval()
    nn.init.ones_(layers[0].weight)
    layers[2].weight.data, layers[2].bias.data = torch.tensor([[0.0], [1.0]]), torch.tensor([0.1, 0.0])
    inputs = torch.tensor([[1.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 1.0], [0.0, 0.0, 0.0]]).unsqueeze(2)
    labels = torch.tensor([1, 0, 1, 0])  # whether two pulses came
    found = temporal_ablation(subject, inputs, labels)
    assert (found.accuracy, found.row("λ = 0").accuracy, found.row("first step").accuracy) == (1.0, 0.5, 0.5)
    single = temporal_ablation(SpikingNetwork(*layers, num_steps=1), torch.ones(2, 1), torch.tensor([0, 1]))
    assert [row.name for row in single.rows] == ["λ = 0"]
    assert (single.row("λ = 0").kept, single.constant) == (1.0, (1.0,))


def test_what_does_not_fit_is_refused() -> None:
    subject = network(LIF(0.9), LIF(0.8))
    inputs, labels = asked(subject)
    with pytest.raises(ValueError, match="labels"):
        temporal_ablation(subject, inputs, labels + 3)
    with pytest.raises(ValueError, match="inputs"):
        temporal_ablation(subject, inputs.fill_(torch.nan), labels)
    found = temporal_ablation(subject, torch.ones_like(inputs), labels)
    with pytest.raises(ValueError, match="name: got 'x', expected one of first step, "):
        found.row("x")
    assert without_memory(copy.deepcopy(subject)).neurons[0].dynamics.decay == 0


def test_a_network_without_its_loops_is_that_of_its_neurons() -> None:
    looped = network(Recurrent(LIF(0.9), nn.Linear(12, 12), Synapse(0.5)), LIF(0.8))
    inputs, _ = asked(looped)
    plain = SpikingNetwork(*looped.layers, num_steps=STEPS, encoding="none")
    plain.layers[1] = looped.layers[1].neuron  # type: ignore[union-attr, assignment]
    found = without_loops(copy.deepcopy(looped))
    assert not any(isinstance(layer, Recurrent) for layer in found.neurons)
    assert torch.equal(found(inputs), plain(inputs))
    inner = SpikingNetwork(
        nn.Linear(4, 8), Residual([Recurrent(LIF(0.9), nn.Linear(8, 8))]), num_steps=STEPS, encoding="none"
    )
    with pytest.raises(ValueError, match="got a loop inside another layer"):
        without_loops(inner)
