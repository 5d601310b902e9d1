"""One training step of the paper's own code, reproduced: VGG5 at width 1/16, DLIF, T = 4, in float64.

`paper_step.npz` holds given weights and four images, and what the authors' code made of them: the single-step
perturbation in evaluation mode, then the loss in training mode with separate batch statistics, and its gradients.
Of the two large gradients it holds every sixteenth row and the sums of all rows and columns.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from spikecert.models import DLIF, SpikingNetwork, vgg5
from spikecert.models.elements.layers import WEIGHTED, walk
from spikecert.training import MSMPPD, SingleStep
from spikecert.training.perturbations import base as single_step

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
