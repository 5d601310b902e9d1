"""Attacks on any PyTorch module: they run it and go back through it, and need to know nothing else of it.

So they attack properties, too: what they see is a module of two outputs, the property's value and 0.

Look at what is to be attacked, before the search: signs that what it leaves will say little.
"""

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from ...models.constants import at_least, whole
from ...models.deadline import Expired, Progress, checked_timeout, ending, never, passed, silent, until
from ...models.networks import SpikingNetwork
from ...models.validation import check_choice, check_labels, check_logits, check_rivals, plain
from ..perturbations import Perturbation, RangedSet
from ..perturbations.base import uniform
from ..questions.rows import RowGoal
from ..replay import evaluating, margins
from ..ties import STRICT, TIES
from .backward import attack_view
from .base import Attack, AttackResult, Signs, joined
from .gradients import LOSSES, differentiate
from .pgd import PGD
from .standard import Ensemble, standard_members

Asked = tuple[SpikingNetwork, Tensor, Tensor, Perturbation]
"""A network, inputs, labels and the set."""
LOOKED = 4
"""Members drawn of each sample's set, and inputs drawn of each density over the whole range."""
DENSITIES = (0.0, 0.1, 0.5, 0.9, 1.0)
"""Of ones among entries, or of features at the upper end of their range."""


def watched(
    method: Attack, asked: Asked, ties: str, seed: int, batch_size: int, seconds: float | None, progress: Progress
) -> AttackResult:
    """Return what an attack finds, batch by batch, with the signs that show before it begins: see `attack`."""
    generator = torch.Generator().manual_seed(whole("seed", seed))
    results, size = list[AttackResult](), at_least(1)("batch_size", batch_size)
    network, inputs, labels, perturbation = asked
    for part, own in zip(inputs.detach().split(size), labels.split(size), strict=True):
        asked = network, part, own, perturbation
        results.append(_watched(method, asked, generator, ties, until(seconds, len(part))))
        progress(f"attack ({method.name})", min(len(results) * size, len(inputs)), len(inputs))
    return joined(results, method.name, ties)


def _watched(
    method: Attack, asked: Asked, generator: torch.Generator, ties: str, deadline: float | None
) -> AttackResult:
    """Return what an attack finds; for signs nothing is drawn of its generator, and none are sought late."""
    network, inputs, labels, perturbation = asked
    with evaluating(network), torch.no_grad():
        right = margins(network(inputs), labels, ties) > 0
    with ending(deadline):
        result = method(*asked, generator, expired=partial(passed, deadline), ties=ties).by(deadline)
    if not bool(right.any()) or result.signs.late:
        return result
    with evaluating(network):
        seen = _signs(method, network, inputs[right], labels[right], perturbation)
    return replace(result, signs=replace(seen, samples=len(labels), wrong=result.signs.wrong))


def _signs(
    method: Attack, network: SpikingNetwork, inputs: Tensor, labels: Tensor, perturbation: Perturbation
) -> Signs:
    """Return what shows of samples that are right as they are."""
    generator = torch.Generator().manual_seed(0)
    still = int(_still(perturbation, inputs, generator).sum())
    alike = _alike(network, inputs, perturbation, generator)
    if not method.by_gradient:
        return Signs(still=still, alike=alike)
    view = attack_view(network, getattr(method, "surrogate", None))
    slope = differentiate(view, inputs, labels, LOSSES["margin"])
    vanished = slope.finite & (slope.gradient == 0).flatten(1).all(1)
    return Signs(still=still, alike=alike, vanished=int(vanished.sum()), odd=int((~slope.finite).sum()))


@torch.no_grad()
def _still(perturbation: Perturbation, inputs: Tensor, generator: torch.Generator) -> Tensor:
    """Return the samples in whose sets no other input was found, (batch,) of bool.

    Of real-valued sets the farthest points along all features and along the one nearest to 0 are looked at, of all
    sets a few members. A number is another where it differs by more than the spacing of numbers as great as the
    sample's greatest.
    """
    found = [perturbation.sample(inputs, generator) for _ in range(LOOKED)]
    if isinstance(perturbation, RangedSet):
        extent = perturbation.extent
        reach = extent.to(inputs) if isinstance(extent, Tensor) else extent
        flat = inputs.flatten(1)
        least = torch.zeros_like(flat).scatter(1, flat.abs().argmin(1, keepdim=True), 1.0).view_as(inputs)
        for pattern in (torch.ones_like(inputs), least):
            step = reach * perturbation.ascent(pattern)
            found += [perturbation.project(inputs + sign * step, inputs) for sign in (1.0, -1.0)]
    spacing = inputs.abs().flatten(1).amax(1) * torch.finfo(inputs.dtype).eps
    return torch.stack([(one - inputs).abs().flatten(1).amax(1) <= spacing for one in found]).all(0)


@torch.no_grad()
def _alike(network: SpikingNetwork, inputs: Tensor, perturbation: Perturbation, generator: torch.Generator) -> int:
    """Return at how many inputs the output was looked at and is the same everywhere, 0 where it is not."""
    like = inputs[:1].repeat(LOOKED * len(DENSITIES), *[1] * (inputs.dim() - 1))
    low, high = (getattr(perturbation, name, default) for name, default in (("lower", 0.0), ("upper", 1.0)))
    limit = float(inputs.abs().max()) + 1.0
    low, high = (torch.as_tensor(end, dtype=torch.float64).to(like).clamp(-limit, limit) for end in (low, high))
    shares = like.new_tensor(DENSITIES).repeat(LOOKED).view(-1, *[1] * (inputs.dim() - 1))
    drawn = torch.where(uniform(like, generator) < shares, high, low)
    logits = network(torch.cat([inputs[:LOOKED], drawn]))
    return len(logits) if bool((logits == logits[:1]).all()) else 0


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
    inputs, labels = plain(inputs=inputs, labels=labels)
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
