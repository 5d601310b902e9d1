"""S-IBP: its bound is what "interval" proves, its loss the published mix, and training with it certifies.

One training step of the paper's own code, reproduced: VGG5 at width 1/16, DLIF, T = 4, in float64.

`paper_step.npz` holds given weights and four images, and what the authors' code made of them: the single-step
perturbation in evaluation mode, then the loss in training mode with separate batch statistics, and its gradients.
Of the two large gradients it holds every sixteenth row and the sums of all rows and columns.
"""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from spikecert.certify import LInf, verify
from spikecert.certify.verification import bounds
from spikecert.certify.verifiers import INTERVAL
from spikecert.models import DLIF, LIF, SpikingNetwork, mlp, vgg5
from spikecert.models.elements.layers import WEIGHTED, walk
from spikecert.testing import Case, cases
from spikecert.training import MSMPPD, SIBP, CrossEntropy, Ramp, SingleStep, dataset, fit
from spikecert.training.objectives.judging import certified_share
from spikecert.training.perturbations import base as single_step
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


FILE = np.load(Path(__file__).with_name("paper_step.npz"))
STEP = {name: torch.from_numpy(FILE[name]) for name in FILE}
OBJECTIVE = MSMPPD(rho=1.0, batch_statistics="separate", perturbation=SingleStep(4 / 255, clamp=False))
INPUTS, LABELS = STEP["inputs"].double(), STEP["labels"]


@pytest.fixture
def network() -> SpikingNetwork:
    built = vgg5(num_steps=4, neuron=DLIF(4), width=1 / 16).double()
    state = {name.removeprefix("state/"): tensor for name, tensor in STEP.items() if name.startswith("state/")}
    built.load_state_dict(state)
    return built


@pytest.fixture(autouse=True)
def known_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the step begin where theirs did: at the images plus their noise."""
    noise = (STEP["start"].double() - INPUTS) / OBJECTIVE.perturbation.start  # type: ignore[attr-defined]
    monkeypatch.setattr(single_step, "noise_like", lambda inputs, generator: noise.clone())


def near(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours.detach(), theirs.double(), rtol=0.0, atol=1e-6)


def test_the_perturbation_is_theirs(network: SpikingNetwork) -> None:
    leaf = STEP["start"].double().requires_grad_()
    (slope,) = torch.autograd.grad(cross_entropy(network.eval()(leaf), LABELS), leaf)
    near(slope, STEP["input_gradient"])
    near(network(INPUTS), STEP["eval_logits"])
    near(OBJECTIVE.perturbation(network.train(), INPUTS, LABELS, None), STEP["perturbed"])


def test_loss_and_gradients_are_theirs(network: SpikingNetwork) -> None:
    loss = OBJECTIVE.loss(network.train(), INPUTS, LABELS, None)
    near(0.5 * (loss.terms["clean"] + loss.terms["perturbed"]), STEP["cross_entropy"])
    near(loss.terms["ms_mppd"], STEP["ms_mppd"])
    near(loss.total, STEP["total"])
    loss.total.backward()
    weights = [layer.weight for layer in walk(network.layers) if isinstance(layer, WEIGHTED)]
    scales = [neuron.input_scale for neuron in network.neurons if isinstance(neuron, DLIF)]
    assert len(weights + scales) == 11
    for number, parameter in enumerate((*weights, *scales)):
        assert isinstance(parameter, nn.Parameter)
        assert parameter.grad is not None
        check_gradient(parameter.grad, f"gradient/{number:02d}")


def check_gradient(ours: Tensor, name: str) -> None:
    if name in STEP:
        near(ours, STEP[name])
        return
    near(ours[::16], STEP[f"{name}/rows"])
    near(ours.sum(1), STEP[f"{name}/row_sums"])
    near(ours.sum(0), STEP[f"{name}/column_sums"])


def test_logits_in_training_mode_are_theirs(network: SpikingNetwork) -> None:
    near(network.train()(INPUTS), STEP["train_clean_logits"])


@pytest.mark.parametrize(
    "change", [{"batch_statistics": "joint"}, {"perturbation": SingleStep(4 / 255)}, {"two_sided": True}]
)
def test_another_setting_is_another_step(network: SpikingNetwork, change: dict[str, Any]) -> None:
    """Each setting that the cells take from the authors is seen by this comparison."""
    other = replace(OBJECTIVE, **change)
    loss = other.loss(network.train(), INPUTS, LABELS, None)
    loss.total.backward()
    grads = [layer.weight.grad for layer in walk(network.layers) if isinstance(layer, nn.Conv2d)]
    assert max(float((grad - STEP[f"gradient/{k:02d}"]).abs().max()) for k, grad in enumerate(grads)) > 1e-5  # type: ignore[operator]
