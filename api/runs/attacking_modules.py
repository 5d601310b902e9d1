"""Attack a module of whatever code, named on the command line: what is left, with no bound from below."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spikecert.certify.attacks import ATTACKS, Attack, Ensemble, attack_module
from spikecert.certify.attacks.standard import STANDARD, VERSION
from spikecert.certify.perturbations import RangedSet
from spikecert.files import write_atomically
from spikecert.models import SpikingNetwork
from spikecert.models.files.storage import digest_of, read_state
from spikecert.models.validation import check_choice
from spikecert.reports import Threat

from .sources import function_of, guarded, loaded

SCHEMA = "spikecert.module_attack/1"


@dataclass(frozen=True)
class ForeignSubject:
    """A module of whatever code, how it is put into its first state, and the samples that it is attacked on."""

    name: str
    module: nn.Module
    reset: Any
    data: str
    inputs: Tensor
    labels: Tensor

    @property
    def sha256(self) -> str:
        """Return the hash of the module's state."""
        return digest_of("", self.module.state_dict())


def foreign_module(source: str, weights: Path | None) -> nn.Module:
    """Return the module that code makes, with the weights of a safetensors file.

    Raises:
        ValueError: for code that makes none, and for weights of another module.
    """
    found, _ = loaded(source)
    if isinstance(found, SpikingNetwork):
        raise ValueError(f"model: {source} is a network of ours, expected its file: save(network, path)")
    if not isinstance(found, nn.Module):
        raise ValueError(f"model: {source} is {type(found).__name__}, expected a torch module, or what makes one")
    if weights is not None:
        state = read_state(weights)
        guarded(f"{source} with {weights}", lambda: found.load_state_dict(state))
    return found.eval()


def foreign_subject(
    source: str, weights: Path | None, reset: str | None, data: str, inputs: Tensor, labels: Tensor, device: str
) -> ForeignSubject:
    """Return what is to be attacked: inputs in the module's dtype, the module tried on two of them."""
    module = foreign_module(source, weights).to(device)
    first = next((one for one in module.parameters() if one.is_floating_point()), None)
    inputs = inputs.to(device, torch.float32 if first is None else first.dtype)
    begin = None if reset is None else function_of(reset)
    subject = ForeignSubject(source, module, begin, data, inputs, labels.to(device))
    guarded(f"{source} on inputs of shape {tuple(inputs[:2].shape)}", lambda: _run(subject, inputs[:2]))
    return subject


@torch.no_grad()
def _run(subject: ForeignSubject, inputs: Tensor) -> Any:
    if subject.reset is not None:
        subject.reset(subject.module)
    return subject.module(inputs)


def attack_subject(
    subject: ForeignSubject, threat: Threat, methods: Sequence[str], asked: dict[str, Any]
) -> dict[str, Any]:
    """Return what each attack leaves at each ε, with the signs that it says little, as JSON keeps it.

    `asked` are further arguments of `attack_module`, its seed and ties among them.
    A sample that an attack broke at one ε is broken at all greater ones.

    Raises:
        ValueError: for sets and attacks that go by more than a module's own gradients.
    """
    chosen = {name: _method(name) for name in methods}
    balls = [_ball(threat, epsilon) for epsilon in threat.epsilons]
    asked = {"reset": subject.reset, **asked}
    found = {name: _attacked(subject, balls, method, asked) for name, method in chosen.items()}
    points = [
        {
            "epsilon": epsilon,
            "robust": {name: each.left[place] for name, each in found.items()},
            "warnings": {name: each.warnings[place] for name, each in found.items()},
        }
        for place, epsilon in enumerate(threat.epsilons)
    ]
    return {
        "schema": SCHEMA,
        "source": subject.name,
        "sha256": subject.sha256,
        "data": subject.data,
        "samples": len(subject.labels),
        "norm": threat.norm,
        "ties": asked["ties"],
        "seed": asked["seed"],
        "standard attack": VERSION if STANDARD in found else None,
        "clean": next(iter(found.values())).clean,
        "points": points,
        "broken_at": {name: [_size(threat, at) for at in each.broken] for name, each in found.items()},
    }


@dataclass
class _Fallen:
    """What one attack did: at which ε each sample fell, how many were right before it, and left at each ε."""

    broken: list[int | None]
    clean: int = 0
    left: list[int] = field(default_factory=list)
    warnings: list[list[str]] = field(default_factory=list)


def _attacked(
    subject: ForeignSubject, balls: Sequence[RangedSet], method: str | Attack, asked: Mapping[str, Any]
) -> _Fallen:
    found = _Fallen([None] * len(subject.labels))
    for place, ball in enumerate(balls):
        standing = torch.tensor([at for at, fell in enumerate(found.broken) if fell is None], dtype=torch.long)
        told: tuple[str, ...] = ()
        if len(standing):
            inputs, labels = subject.inputs[standing], subject.labels[standing]
            result = attack_module(subject.module, inputs, labels, ball, method, **asked)
            told = result.warnings
            if place == 0:
                found.clean = len(labels) - result.signs.wrong
            for at in standing[result.success.cpu()].tolist():
                found.broken[at] = place
        found.left.append(found.broken.count(None))
        found.warnings.append(list(told))
    return found


def _size(threat: Threat, place: int | None) -> float | None:
    return None if place is None else threat.epsilons[place]


def _ball(threat: Threat, epsilon: float) -> RangedSet:
    found = threat.around(epsilon)
    if not isinstance(found, RangedSet):
        raise ValueError(f"norm: got {threat.norm}, expected linf or l2 for a module that no converter took")
    return found


def _method(name: str) -> str | Attack:
    """Return an attack that needs a module's own gradients, or none."""
    check_choice("method", name, ATTACKS)
    if name == STANDARD:
        return name
    found = ATTACKS[name]()
    own = isinstance(found, Ensemble) or RangedSet not in found.accepts or not found.foreign
    if own or getattr(found, "surrogate", None) is not None:
        expected = "expected one of a module's own gradients, such as standard, pgd or square"
        raise ValueError(f"method: got {name}, {expected}")
    return found


def write_found(found: Mapping[str, Any], out: Path) -> Path:
    """Write what was found to a folder, atomically, and return the path."""
    path = out / "attack.json"
    write_atomically(path, json.dumps(found, indent=1, allow_nan=False).encode())
    return path
