"""Attacks on modules that no converter takes."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikecert.certify import L2, PGD, LInf, SpikeFlip, attack
from spikecert.certify.attacks import attack_module
from spikecert.models import Arctan

from .conftest import Subject, random_subject


class Spike(torch.autograd.Function):
    """A step, and a triangle in the backward pass."""

    @staticmethod
    def forward(ctx: Any, potential: Tensor) -> Tensor:
        """Return where the potential fires."""
        ctx.save_for_backward(potential)
        return (potential >= 0).to(potential.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the gradient times a triangle."""
        return gradient * (1 - ctx.saved_tensors[0].abs()).clamp_min(0)


class Strange(nn.Module):
    """Soft gates, which the library has no neuron for, and a state that stays from run to run."""

    def __init__(self, subject: Subject) -> None:
        super().__init__()
        layers = copy.deepcopy(subject.network.layers)
        self.first, self.last = layers[0], layers[2]
        self.left: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean of four steps."""
        found = []
        for _ in range(4):
            left = torch.zeros(()) if self.left is None else self.left
            potential = self.first(x) + torch.sigmoid(left) * left
            spikes = Spike.apply(potential - 1.0)
            self.left = potential * (1 - spikes)
            found.append(self.last(spikes))
        return torch.stack(found).mean(0)


def forget(module: nn.Module) -> None:
    """Put the module into its first state."""
    module.left = None  # type: ignore[assignment]


def test_a_module_with_states_of_its_own_is_attacked_as_it_runs() -> None:
    subject = random_subject()
    module = Strange(subject)
    with torch.no_grad():
        labels = module(subject.inputs).argmax(1)
    forget(module)
    before = copy.deepcopy(module.state_dict())
    for threat in (LInf(0.2), L2(0.6)):
        for method in ("standard", PGD(5)):
            found = attack_module(module, subject.inputs, labels, threat, method, reset=forget)
            assert bool(threat.contains(found.inputs, subject.inputs).all())
            assert 4 < int(found.success.sum()) <= 16
            for point, label, broken in zip(found.inputs, labels, found.success, strict=True):
                forget(module)
                with torch.no_grad():
                    assert bool(module(point[None]).argmax() != label) or not bool(broken)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert all(parameter.requires_grad for parameter in module.parameters())


def test_a_member_without_a_surrogate_does_what_it_does_to_a_network() -> None:
    subject = random_subject()

    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = subject.network

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x)

    asked = subject.inputs, subject.labels, LInf(0.1), PGD(5)
    own, other = attack(subject.network, *asked), attack_module(Wrapped(), *asked)
    assert own.inputs.equal(other.inputs)
    assert own.success.equal(other.success)


class Other(nn.Module):
    """Gives what it is told."""

    def __init__(self, outputs: Any) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, x: Tensor) -> Any:
        """Return it."""
        return self.outputs(x)


@pytest.mark.parametrize(
    ("module", "settings", "message"),
    [
        (lambda s: Strange(s), {}, "module: gave other logits on the second run, expected the same: pass `reset`"),
        (lambda s: s.network, {}, "module: got SpikingNetwork, expected a torch module"),
        (lambda s: len, {}, "module: got builtin_function_or_method"),
        (lambda s: Other(lambda x: (x, x)), {}, "module: gave tuple, expected logits"),
        (lambda s: Other(lambda x: x[:, :1]), {}, "network: got 1 output, expected two or more"),
        (lambda s: Other(lambda x: x[0]), {}, "network: got outputs of shape"),
        (lambda s: Other(lambda x: x * float("nan")), {}, "module: gave NaN or inf, expected finite logits"),
        (
            lambda s: Other(lambda x: x),
            {"perturbation": SpikeFlip(1)},
            "perturbation: got SpikeFlip",
        ),
        (lambda s: Other(lambda x: x), {"inputs": torch.full((2, 4), float("nan"))}, "inputs: got NaN"),
        (lambda s: Other(lambda x: x), {"method": PGD(surrogate=Arctan())}, "method: got one with a surrogate"),
        (lambda s: Other(lambda x: x), {"method": "ensemble"}, "method: got 'ensemble', expected"),
        (lambda s: Other(lambda x: x), {"labels": torch.tensor([0, 9])}, "labels: got"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(module: Any, settings: dict[str, Any], message: str) -> None:
    asked = {"inputs": torch.rand(2, 4), "labels": torch.tensor([0, 1]), "perturbation": LInf(0.1), **settings}
    subject = random_subject()
    if isinstance(made := module(subject), Strange):
        asked["inputs"] = subject.inputs
        asked["labels"] = subject.labels
    with pytest.raises((TypeError, ValueError), match=message) as caught:
        attack_module(made, **asked)
    assert "\n" not in str(caught.value)
