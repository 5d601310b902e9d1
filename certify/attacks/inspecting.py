"""Look at what is to be attacked, before the search: signs that what it leaves will say little."""

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from ...models.constants import at_least, whole
from ...models.deadline import ending, passed, until
from ...models.networks import SpikingNetwork
from ...models.progress import Progress
from ..perturbations import Perturbation, RangedSet
from ..perturbations.shapes import uniform
from ..replay import evaluating, margins
from .backward import attack_view
from .base import Attack
from .gradients import differentiate
from .losses import LOSSES
from .result import AttackResult, joined
from .signs import Signs

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
