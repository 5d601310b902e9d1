"""Attacks on any PyTorch module: they run it and go back through it, and need to know nothing else of it.

So they attack properties, too: what they see is a module of two outputs, the property's value and 0.
"""

import copy
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from ...models.deadline import Expired, checked_timeout, never
from ...models.networks import SpikingNetwork
from ...models.progress import Progress, silent
from ...models.validation import check_choice, check_labels, check_logits, check_plain, check_rivals
from ..perturbations import Perturbation, RangedSet
from ..questions.rows import RowGoal
from ..replay import evaluating
from ..ties import STRICT, TIES
from .base import Attack
from .ensemble import Ensemble
from .inspecting import watched
from .pgd import PGD
from .result import AttackResult, joined
from .standard import standard_members

Reset = Callable[[nn.Module], object]


class ForeignModule(nn.Module):
    """A module that begins each run from its first state.

    Args:
        module: any that maps inputs (batch, ...) to logits (batch, classes).
        reset: puts it, or a copy of it, into its first state; None where it keeps none.
    """

    def __init__(self, module: nn.Module, reset: Reset | None = None) -> None:
        super().__init__()
        self.module, self.reset = module, reset

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits."""
        if self.reset is not None:
            self.reset(self.module)
        return self.module(inputs)


def attack_module(
    module: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    perturbation: Perturbation,
    method: str | Attack = "standard",
    *,
    reset: Reset | None = None,
    seed: int = 0,
    batch_size: int = 256,
    ties: str = STRICT,
    timeout: float | None = None,
    progress: Progress = silent,
) -> AttackResult:
    """Attack a module of whatever code, by its own gradients and without any.

    No bound is known of it, so what is left is an upper bound of its robust accuracy and nothing more. "standard"
    has those members of the standard attack that need no surrogate of their choice and no circuit.

    Args:
        module: maps inputs (batch, ...) to logits (batch, classes); taken in evaluation mode, and copied.
        inputs, labels, perturbation, seed, batch_size, ties, timeout, progress: as in `attack`; a real-valued set.
        method: "standard", or an `Attack` without a surrogate.
        reset: called with the module, or a copy, before each run: SpikingJelly's `functional.reset_net`, say.

    Raises:
        TypeError, ValueError: for arguments that don't fit, and for a module that does not repeat itself.
    """
    if isinstance(module, SpikingNetwork) or not isinstance(module, nn.Module):
        raise TypeError(f"module: got {type(module).__name__}, expected a torch module that is none of ours")
    if not isinstance(perturbation, RangedSet):
        raise TypeError(f"perturbation: got {type(perturbation).__name__}, expected LInf, L2 or PixelBox")
    check_plain(inputs=inputs, labels=labels)
    check_choice("ties", ties, TIES)
    if not isinstance(inputs, Tensor) or not len(inputs) or not bool(inputs.isfinite().all()):
        raise ValueError("inputs: got NaN, inf or nothing, expected a batch of finite numbers")
    perturbation.check(inputs)
    chosen = _chosen(method)
    subject, inputs = ForeignModule(copy.deepcopy(module), reset), inputs.detach()
    for parameter in subject.parameters():
        parameter.requires_grad_(False)
    with evaluating(subject):  # pyright: ignore[reportArgumentType]
        check_labels(labels, len(inputs), _classes(subject, inputs))
    asked = subject, inputs, labels, perturbation
    return watched(chosen, asked, ties, seed, batch_size, checked_timeout(timeout), progress)  # pyright: ignore[reportArgumentType]


def _chosen(method: str | Attack) -> Attack:
    if isinstance(method, Attack):
        if getattr(method, "surrogate", None) is not None:
            raise ValueError("method: got one with a surrogate, expected the module's own gradient")
        return method
    check_choice("method", method, ("standard",))
    own = [member for member in standard_members() if member.foreign and not getattr(member, "surrogate", None)]
    return Ensemble((PGD(10, 1, 1.0, name="large steps"), *own), name="standard")


@torch.no_grad()
def _classes(subject: ForeignModule, inputs: Tensor) -> int:
    """Return the number of logits of a module that repeats itself."""
    few = inputs[:2]
    one, two = subject(few), subject(few)
    for logits in (one, two):
        if not isinstance(logits, Tensor):
            raise TypeError(f"module: gave {type(logits).__name__}, expected logits (batch, classes)")
    check_logits(one, len(few))
    if not bool(one.isfinite().all()):
        raise ValueError("module: gave NaN or inf, expected finite logits")
    if not torch.equal(one, two):
        raise ValueError("module: gave other logits on the second run, expected the same: pass `reset`")
    check_rivals(one.shape[1])
    return one.shape[1]


def attacked_rows(
    attack: Attack,
    network: SpikingNetwork,
    inputs: Tensor,
    labels: Tensor,
    perturbation: Perturbation,
    generator: torch.Generator,
    goal: RowGoal,
    expired: Expired = never,
) -> AttackResult:
    """Return what an attack finds, group by group of samples that have the same rows.

    Its logits are (value, 0): the property fails where the first is not above 0, when run alone.

    Args:
        attack: any.
        network, inputs, perturbation, generator, expired: as in `Attack`.
        labels: which of the goal's questions is each sample's, (batch,).
        goal: the rows.
    """
    places, found = goal.alike(labels), list[AttackResult]()
    for group in places:
        posed, label, ties = goal.posed(network, labels[group[:1]])
        asked = posed, inputs[group], label.expand(len(group)), perturbation, generator
        found.append(attack(*asked, expired=expired, ties=ties))  # pyright: ignore[reportArgumentType]
    order = torch.cat(places).argsort()
    result = joined(found, attack.name, found[0].ties)
    unanswered = frozenset(int(place) for place in torch.cat(places)[sorted(result.unanswered)])
    parts = {name: getattr(result, name)[order] for name in ("inputs", "success", "logits")}
    return replace(result, **parts, unanswered=unanswered)
