"""S-IBP: its bound is what "interval" proves, its loss the published mix, and training with it certifies."""

import math

import pytest
import torch
from hypothesis import assume, given
from torch import nn
from torch.nn.functional import cross_entropy

from spikecert.certify import LInf, verify
from spikecert.certify.verification import bounds
from spikecert.certify.verifiers import INTERVAL
from spikecert.models import LIF, SpikingNetwork, mlp
from spikecert.testing import Case, cases
from spikecert.training import SIBP, CrossEntropy, Ramp, dataset, fit
from spikecert.training.objectives.judging import certified_share
from support.examples import examples


@examples(60)
@given(case=cases(dtypes=(torch.float64,)))
def test_its_bound_is_the_interval_verifiers(case: Case) -> None:
    """Two classes: the certified cross-entropy is softplus of the margin, which "interval" proves."""
    assume(all(neuron.dynamics.decay < 1 for neuron in case.network.neurons))
    for layer in case.network.layers:
        if isinstance(layer, nn.Linear):
            layer.bias.data += math.pi * 1e-3  # off thresholds, where the verifier counts ties as both outcomes
    verdicts = verify(case.network, case.inputs, case.labels, LInf(case.epsilon), "interval")
    for index, verdict in enumerate(verdicts):
        sample, label = case.inputs[index : index + 1], case.labels[index : index + 1]
        loss = SIBP(case.epsilon).loss(case.network, sample, label, None)
        others = loss.terms["certified"].exp() - 1  # Σ over k ≠ y of e^{z_k}
        if verdict.margin is None:
            continue
        classes = case.network(sample).shape[1]
        worst = math.exp(-verdict.margin)
        assert worst * (1 - 1e-5) - 1e-9 <= float(others) <= (classes - 1) * worst * (1 + 1e-5) + 1e-9
        if classes == 2:
            assert float(others) == pytest.approx(worst, rel=1e-5, abs=1e-9)


def spiking_output() -> SpikingNetwork:
    """The authors' kind: λ = θ = .25, hard reset, the mean of output spikes."""
    torch.manual_seed(0)
    layers = (nn.Linear(6, 12), LIF(0.25, 0.25, fires_at=">"), nn.Linear(12, 4), LIF(0.25, 0.25, fires_at=">"))
    built = SpikingNetwork(*layers, num_steps=5).double()
    with torch.no_grad():
        for parameter in built.parameters():
            parameter *= 2.0
    return built


def test_the_loss_is_the_published_mix_of_nominal_and_worst_logits() -> None:
    network, labels = spiking_output(), torch.arange(8) % 4
    inputs = torch.rand(8, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    box = bounds(network, inputs, LInf(0.1), "interval")
    right = torch.nn.functional.one_hot(labels, 4).bool()
    worst = torch.where(right, box.lower, box.upper)
    loss = SIBP(0.1, kappa=0.3).loss(network, inputs, labels, None)
    expected = 0.3 * cross_entropy(network(inputs), labels) + 0.7 * cross_entropy(worst, labels)
    assert bool((box.upper > box.lower + 0.1).any())
    torch.testing.assert_close(loss.total.detach(), expected.detach())
    nominal = SIBP(0.0, kappa=0.0).loss(network, inputs, labels, None)
    torch.testing.assert_close(nominal.terms["certified"], nominal.terms["clean"])


def test_epsilon_rises_and_kappa_follows_its_schedule() -> None:
    loss = SIBP(0.06, kappa=Ramp(1.0, 0.5, end=0.5))
    told = [(loss.at(p).epsilon, loss.at(p).kappa) for p in (0.0, 0.25, 0.5, 0.9)]
    assert told == [(0.0, 1.0), (0.03, 0.75), (0.06, 0.5), (0.06, 0.5)]
    assert SIBP(Ramp(0.01, 0.02)).at(0.5).epsilon == pytest.approx(0.015)
    assert (CrossEntropy() + loss).at(0.25) == CrossEntropy() + loss.at(0.25)


def test_training_with_it_certifies_what_plain_training_does_not() -> None:
    data = dataset("digits")
    torch.manual_seed(0)
    start = mlp((64, 48, 10), 4, LIF(0.25, 0.25))
    shares = []
    for objective in (CrossEntropy(), SIBP(0.05)):
        run = fit(start, data, objective, epochs=12, optimizer="adam", learning_rate=0.005, batch_size=128)
        verdicts = verify(run.network, data.test.inputs, data.test.labels, LInf(0.05), "interval")
        shares.append(sum(verdict.status == "verified" for verdict in verdicts) / len(verdicts))
    assert shares[1] > shares[0] + 0.2
    assert shares[1] > 0.6
    picked = certified_share(run.network, data.validation, LInf(0.05), INTERVAL, 0)
    assert picked == run.best.robust_accuracy
