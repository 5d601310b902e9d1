"""Attacks that see no gradient: noise, patches, random search, and a walk along where the decision changes.

Random noise, clipped into the set: what an attack must beat.

Random parts of a sample, one per sample: squares of an image, or sets of features where there is no image.

The Square attack: random search without gradients.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...models.constants import at_least, settle
from ..perturbations import L2, Perturbation, RangedSet
from ..perturbations.base import expand, lengths, normal, uniform, unit
from ..replay import fails
from .base import Attack, Lead, Search, Target, some_share
from .gradients import margins_at

DOUBLINGS = 24
"""First points are drawn within ε, 2ε, 4ε, … of the sample, up to the ends of the range."""
HALVINGS = 12
"""Steps of bisection from a first point towards the sample."""
ASIDE, TOWARDS = 0.2, 0.1
"""The first steps, as shares of the distance that is left."""


@dataclass(frozen=True)
class Boundary(Attack):
    """The boundary attack (Brendel et al., 2018): only decisions are used, neither gradients nor logits.

    It begins at a misclassified input, however far, and takes two steps in turn, where it stays misclassified:
    towards the sample by a share κ of the distance in the set's norm, and aside as far as it is: in ℓ2 along
    δ·d·η, η normal and at a right angle to the way back, and in boxes by turning the signs of a share δ of all
    changes (Chen et al., 2020). κ and δ grow where such steps go well and shrink where not. Where it comes within
    the set the sample falls.

    Args:
        queries: steps of the walk, two runs each.

    Raises:
        TypeError, ValueError: for settings out of range.

    References: brendel2018decision, chen2020boosting
    """

    queries: int = 500
    name: str = "boundary"
    by_gradient: ClassVar[bool] = False

    def __post_init__(self) -> None:
        settle(self, at_least(1), "queries")

    def propose(self, target: Target, generator: torch.Generator) -> Search:
        """Yield points when one comes within its set, and what is nearest at the end."""
        walk = _DecisionWalk.start(target, generator)
        standing = yield walk.points
        for _ in range(self.queries):
            index = (standing & walk.found).nonzero().flatten()
            if not len(index) or target.expired():
                break
            if walk.step(index, generator):
                standing = yield walk.points
        yield walk.points


@dataclass
class _DecisionWalk:
    """Misclassified points, as far as some were found, how far they are in units of ε, and both steps."""

    target: Target
    points: Tensor
    found: Tensor
    aside: Tensor
    towards: Tensor

    @staticmethod
    def start(target: Target, generator: torch.Generator) -> "_DecisionWalk":
        """Look for a misclassified point near each sample, then farther; bisect towards the sample."""
        samples = target.inputs
        ones = torch.ones_like(samples.flatten(1)[:, 0])
        walk = _DecisionWalk(target, samples.clone(), ~target.everyone, ASIDE * ones, TOWARDS * ones)
        for doubling in range(DOUBLINGS):
            index = (~walk.found).nonzero().flatten()
            if not len(index):
                break
            here = samples[index]
            reach = _within_reach(target.real_set, here, 2.0**doubling)
            tried = walk.inside(here + reach * (2.0 * uniform(here, generator) - 1.0), index)
            walk.take(index, tried, walk.wrong(tried, index))
        low, high = torch.zeros_like(walk.aside), torch.ones_like(walk.aside)
        first, index = walk.points.clone(), walk.found.nonzero().flatten()
        for _ in range(HALVINGS if len(index) else 0):
            middle = (low + high) / 2
            tried = (samples + expand(middle, samples) * (first - samples))[index]
            wrong = walk.wrong(tried, index)
            walk.take(index, tried, wrong)
            low[index] = torch.where(wrong, low[index], middle[index])
            high[index] = torch.where(wrong, middle[index], high[index])
        return walk

    def step(self, index: Tensor, generator: torch.Generator) -> bool:
        """Take one step of these samples' walks; return whether one came within its set."""
        samples, ball = self.target.inputs[index], self.target.real_set
        before = self._far(self.points[index], index) <= 1.0
        near = samples + _shrunk(ball, self.points[index] - samples, 1.0 - self.towards[index])
        nearer = self.wrong(near, index)
        self.take(index, near, nearer)
        aside = self.inside(samples + self._turned(index, generator), index)
        stays = self.wrong(aside, index)
        self.take(index, aside, stays)
        self.towards[index] = (self.towards[index] * torch.where(nearer, 1.5, 0.8)).clamp(1e-4, 0.5)
        self.aside[index] = (self.aside[index] * torch.where(stays, 1.1, 0.95)).clamp(1e-3, 0.5)
        return bool((self._far(self.points[index], index) <= 1.0).logical_and(~before).any())

    def _turned(self, index: Tensor, generator: torch.Generator) -> Tensor:
        """Return steps from samples to points as far as these and elsewhere."""
        back = self.points[index] - self.target.inputs[index]
        share = expand(self.aside[index], back)
        if not isinstance(self.target.real_set, L2):
            return torch.where(uniform(back, generator) < share, -back, back)
        length, tiny = lengths(back), torch.finfo(back.dtype).tiny
        noise = normal(back, generator)
        along = (noise * back).flatten(1).sum(1) / length.flatten().clamp_min(tiny) ** 2
        noise = noise - expand(along, back) * back
        turned = back + share * length * noise / lengths(noise).clamp_min(tiny)
        return length * turned / lengths(turned).clamp_min(tiny)

    def take(self, index: Tensor, points: Tensor, taken: Tensor) -> None:
        """Go on from those of the points that are taken."""
        self.points[index[taken]] = points[taken]
        self.found[index[taken]] = True

    def inside(self, points: Tensor, index: Tensor) -> Tensor:
        """Return points within the range of inputs; features that may not change stay."""
        ball, samples = self.target.real_set, self.target.inputs[index]
        moving = torch.as_tensor(_extent(ball, samples)).expand_as(samples) > 0
        return torch.where(moving, ball.clipped(points), samples)

    @torch.no_grad()
    def wrong(self, points: Tensor, index: Tensor) -> Tensor:
        """Return which points are misclassified: all that is asked of the network."""
        return fails(self.target.network(points), self.target.labels[index], self.target.ties)

    def _far(self, points: Tensor, index: Tensor) -> Tensor:
        """Return how many ε points are from their samples, (batch,)."""
        ball, step = self.target.real_set, points - self.target.inputs[index]
        if isinstance(ball, L2):
            return lengths(step).flatten() / ball.extent
        shares = step.abs() / torch.as_tensor(_extent(ball, step)).expand_as(step)
        return shares.nan_to_num(nan=0.0).flatten(1).amax(1)


def _shrunk(ball: RangedSet, step: Tensor, share: Tensor) -> Tensor:
    """Return steps whose length in the set's norm is a share of what it was."""
    if isinstance(ball, L2):
        return expand(share, step) * step
    extent = torch.as_tensor(_extent(ball, step)).expand_as(step)
    size = (step.abs() / extent).nan_to_num(nan=0.0).flatten(1).amax(1)
    most = expand(share * size, step) * extent
    return step.clamp(-most, most)


def _within_reach(ball: RangedSet, like: Tensor, times: float) -> Tensor:
    """Return so many ε, or the whole range of inputs where that is less: a finite number."""
    most = torch.as_tensor(ball.upper - ball.lower, dtype=torch.float64).to(like.device)
    reach = torch.as_tensor(_extent(ball, like), dtype=torch.float64) * times
    return reach.minimum(most.clamp_max(torch.finfo(like.dtype).max / 4)).to(like)


def _extent(ball: RangedSet, like: Tensor) -> Tensor | float:
    return ball.extent.to(like) if isinstance(ball.extent, Tensor) else ball.extent


@dataclass(frozen=True)
class Gaussian(Attack):
    """Adds ε·n, n standard normal, and projects; `draws` times. With `PixelBox`, each feature's own radius·n."""

    draws: int = 10
    name: str = "gaussian"
    by_gradient: ClassVar[bool] = False

    def __post_init__(self) -> None:
        settle(self, at_least(1), "draws")

    def propose(self, target: Target, generator: torch.Generator) -> Search:
        """Yield one noisy copy per draw."""
        inputs, extent = target.inputs, target.real_set.extent
        scale = extent.to(inputs) if isinstance(extent, Tensor) else extent
        for _ in range(self.draws):
            yield inputs + scale * normal(inputs, generator)


@dataclass(frozen=True)
class AnyDraws(Attack):
    """Random members of any set, and those next to points far off: another package's has no more to go by."""

    draws: int = 64
    name: str = "draws"
    accepts: ClassVar[tuple[type[Perturbation], ...]] = (Perturbation,)
    by_gradient: ClassVar[bool] = False

    def propose(self, target: Target, generator: torch.Generator) -> Search:
        """Yield members."""
        yield target.inputs + 1
        yield target.inputs - 1
        for _ in range(self.draws):
            yield target.perturbation.sample(target.inputs, generator)
            yield target.inputs + normal(target.inputs, generator)


IMAGE_AXES = 4
"""Inputs with at least (batch, channel, height, width) are images; axes before height are all channels."""


def patches(inputs: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Return a mask of about `share` of each sample's features, (batch, ...) of bool.

    An image's mask is one square, the same in all channels (and steps).
    """
    if inputs.dim() < IMAGE_AXES:
        return _subsets(inputs, share, generator)
    height, width = inputs.shape[-2:]
    side = max(1, min(height, width, round((share * height * width) ** 0.5)))
    rows = _windows(len(inputs), height, side, inputs.device, generator)
    columns = _windows(len(inputs), width, side, inputs.device, generator)
    mask = rows[:, :, None] & columns[:, None, :]
    return mask.reshape(len(inputs), *([1] * (inputs.dim() - 3)), height, width).expand(inputs.shape)


def signs(inputs: Tensor, generator: torch.Generator) -> Tensor:
    """Return ±1 at random: one per channel of an image, one per feature elsewhere; broadcastable to `inputs`."""
    shape = inputs.shape if inputs.dim() < IMAGE_AXES else (*inputs.shape[:-2], 1, 1)
    return coin_flips(shape, inputs, generator)


def stripes(inputs: Tensor, generator: torch.Generator) -> Tensor:
    """Return ±1 at random: one per channel and column of an image, one per feature elsewhere."""
    shape = inputs.shape if inputs.dim() < IMAGE_AXES else (*inputs.shape[:-2], 1, inputs.shape[-1])
    return coin_flips(shape, inputs, generator)


def coin_flips(shape: tuple[int, ...], like: Tensor, generator: torch.Generator) -> Tensor:
    """Return ±1 at random."""
    drawn = torch.randint(0, 2, shape, generator=generator, device=generator.device)
    return drawn.to(like) * 2.0 - 1.0


def _subsets(inputs: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Return masks of equally many random features."""
    features = inputs[0].numel()
    size = max(1, min(features, round(share * features)))
    scores = torch.rand(len(inputs), features, generator=generator, device=generator.device).to(inputs.device)
    bar = scores.kthvalue(features - size + 1, dim=1).values
    return scores.reshape(inputs.shape) >= expand(bar, inputs)


def _windows(batch: int, length: int, side: int, device: torch.device, generator: torch.Generator) -> Tensor:
    """Return masks of `side` neighbours at a random place on an axis, (batch, length)."""
    starts = torch.randint(0, length - side + 1, (batch, 1), generator=generator, device=generator.device)
    places = torch.arange(length, device=device)
    starts = starts.to(device)
    return (places >= starts) & (places < starts + side)


HALVINGS_SQUARE = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""After how many of 10,000 queries the share of features that one query changes is halved."""


@dataclass(frozen=True)
class Square(Attack):
    """Square (Andriushchenko et al., 2020): changes one random square at a time, keeps what lowers the margin.

    Box sets: the square goes to ± the radius, one sign per channel. ℓ2: a square gives its share of the budget
    to another. All samples advance together, each with its own squares. Inputs that are no images (fewer than
    three axes per sample) get random sets of features in place of squares.

    Args:
        queries: network runs per sample.
        share: of the features, changed by one query at first.

    Raises:
        TypeError, ValueError: for settings out of range.

    References: andriushchenko2020square
    """

    queries: int = 1000
    share: float = 0.8
    name: str = "square"
    by_gradient: ClassVar[bool] = False

    def __post_init__(self) -> None:
        settle(self, at_least(1), "queries")
        settle(self, some_share, "share")

    def propose(self, target: Target, generator: torch.Generator) -> Search:
        """Yield the worst points: whenever a sample falls, and at the end."""
        perturbation, lead = target.real_set, Lead.start(target)
        index = target.everyone.nonzero().flatten()
        for query in range(self.queries):
            samples, best = target.inputs[index], lead.points[index]
            if query == 0 and target.starts is not None:
                moved = target.starts
            elif query == 0:
                pattern = stripes(samples, generator).expand_as(samples)  # of ± the radius, or the ball's length
                moved = samples + _extent(perturbation, samples) * perturbation.ascent(pattern)
            else:
                halvings = sum(query / self.queries * 10_000 > bar for bar in HALVINGS_SQUARE)
                mask = patches(samples, self.share / 2**halvings, generator)
                moved = _move(best, samples, mask, perturbation, generator)
            moved = perturbation.project(moved, samples)
            if lead.note(index, moved, margins_at(target.network, moved, target.labels[index], target.ties)):
                standing = yield lead.points
                index = standing.nonzero().flatten()
        yield lead.points


def _move(
    best: Tensor, samples: Tensor, mask: Tensor, perturbation: RangedSet, generator: torch.Generator
) -> Tensor:
    if isinstance(perturbation, L2):
        return _move_budget(best - samples, samples, mask, perturbation, generator)
    return torch.where(mask, samples + _extent(perturbation, samples) * signs(samples, generator), best)


def _move_budget(
    step: Tensor, samples: Tensor, mask: Tensor, perturbation: L2, generator: torch.Generator
) -> Tensor:
    """Take the step's length within `mask` and a second patch, and what is left of ε, and spend it within `mask`.

    The new part points along its old direction plus a random pattern, as in the paper; the pattern is flat,
    where the paper's is a pyramid.
    """
    share = float(mask[0].float().mean())
    donor = patches(samples, share, generator) & ~mask
    zero = torch.zeros_like(step)
    kept = torch.where(mask | donor, zero, step)
    pattern = torch.where(mask, signs(samples, generator).expand_as(step), zero)
    direction = unit(unit(pattern) + unit(torch.where(mask, step, zero)))
    reach = min(perturbation.extent, torch.finfo(step.dtype).max ** 0.5 / 2)  # its square is finite
    budget = (reach**2 - lengths(kept) ** 2).clamp_min(0.0).sqrt()
    return samples + kept + budget * direction
