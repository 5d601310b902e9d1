"""Gradient ascent on a loss: one step (FGSM) or many, projected (PGD).

Auto-PGD: projected gradient ascent that sets its own step sizes.

SA-PGD: projected ascent along a momentum in units of the gradient's own size.
"""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from ...models.constants import at_least, positive, settle, unless_none
from ...models.dynamics import Surrogate
from ...models.validation import check_choice
from ..perturbations import L2, RangedSet
from ..perturbations.base import expand
from .backward import AdaptiveSharpness, AttackView, Backward, attack_view
from .base import Attack, Lead, Search, Target, check_climb
from .gradients import LOSSES, Loss, Slope, climb, differentiate, runner_up, targeted

ITERATES = ("worst", "last")


@dataclass(frozen=True)
class FGSM(Attack):
    """One step across the set from the sample (Goodfellow et al., 2015).

    Args:
        loss: "cross-entropy", "margin" or "dlr".
        surrogate: for the backward pass; None for the network's own.
    """

    loss: str = "cross-entropy"
    surrogate: Surrogate | Backward | None = None
    name: str = "fgsm"

    def __post_init__(self) -> None:
        check_climb(self.loss, self.surrogate)

    def propose(self, target: Target, generator: torch.Generator) -> Search:
        """Yield x + ε·ascent(∇loss(x))."""
        view = attack_view(target.network, self.surrogate)
        slope = differentiate(view, target.inputs, target.labels, LOSSES[self.loss])
        yield target.inputs + climb(target.real_set, slope.gradient, generator)


@dataclass(frozen=True)
class PGD(Attack):
    """Projected gradient ascent (Madry et al., 2018).

    Args:
        steps: per restart.
        restarts: the first from the sample itself, the others from a random point of the set.
        random_start: let the first restart begin at a random point, too.
        iterate: "worst" keeps the iterate of least margin, "last" the last of each restart, as papers do.
        step_size: as a share of ε; default 2.5/steps, at most 1.
        halve: halve the step over the last half of the steps.
        loss: "cross-entropy", "margin" or "dlr".
        surrogate: for the backward pass; None for the network's own.

    Raises:
        ValueError: for steps or restarts below 1, a step size that is not positive, or an unknown loss.
    """

    steps: int = 20
    restarts: int = 2
    step_size: float | None = None
    loss: str = "cross-entropy"
    surrogate: Surrogate | Backward | None = None
    halve: bool = True
    random_start: bool = False
    iterate: str = "worst"
    name: str = "pgd"

    def __post_init__(self) -> None:
        settle(self, at_least(1), "steps", "restarts")
        check_choice("iterate", self.iterate, ITERATES)
        settle(self, unless_none(positive), "step_size")
        check_climb(self.loss, self.surrogate)

    def propose(self, target: Target, generator: torch.Generator) -> Search:
        """Yield the worst iterates: whenever a sample falls, and after each restart; or only the last ones."""
        view, samples = attack_view(target.network, self.surrogate), target.inputs
        lead, standing = Lead.start(target), target.everyone
        for restart in range(self.restarts):
            near = restart == 0 and not self.random_start
            current = samples.clone() if near else target.real_set.sample(samples, generator)
            for step in range(self.steps):
                index = standing.nonzero().flatten()
                view.rows.index = index
                slope = differentiate(view, current[index], target.labels[index], LOSSES[self.loss], target.ties)
                if self.iterate == "worst" and lead.note(index, current[index], slope.margins):
                    standing = yield lead.points
                share = min(1.0, 2.5 / self.steps) if self.step_size is None else self.step_size
                share *= 0.5 if self.halve and 2 * step >= self.steps else 1.0
                move = share * climb(target.real_set, slope.gradient, generator)
                current[index] = target.real_set.project(current[index] + move, samples[index])
            standing = yield current
        if self.iterate == "worst":
            yield lead.points

    @staticmethod
    def published(steps: int = 7, step_size: float = 2.55 / 8, name: str = "pgd-paper") -> "PGD":
        """Return PGD as papers run it: one random start, steps of one size, and the last iterate."""
        return PGD(steps, 1, step_size, halve=False, random_start=True, iterate="last", name=name)


MOMENTUM = 0.75
SUCCESS_SHARE = 0.75
"""Fewer successful steps than this share of a period halve the step size (ρ in the paper)."""


@dataclass(frozen=True)
class APGD(Attack):
    """Auto-PGD (Croce & Hein, 2020): momentum, and steps that halve where progress stalls.

    z = P(x_k + η_k·ascent(∇loss)), x_{k+1} = P(x_k + ¾(z − x_k) + ¼(x_k − x_{k−1})), η_0 = 2ε. At each
    checkpoint a sample's η halves, and it returns to its best point, if fewer than ¾ of the steps since the
    last one raised the loss, or neither η nor the best loss changed since then. The periods between checkpoints
    shrink from .22 to .06 of all steps.

    Args:
        steps: per restart.
        restarts: each from a random point of the set.
        loss: "cross-entropy", "margin" or "dlr".
        rank: raise instead the logit of the class that ranks rank-th among the wrong ones at the sample, less
            the label's (the paper's targeted DLR); None for `loss`.
        surrogate: for the backward pass; None for the network's own.

    Raises:
        TypeError, ValueError: for settings out of range.

    References: croce2020reliable
    """

    steps: int = 100
    restarts: int = 1
    loss: str = "cross-entropy"
    rank: int | None = None
    surrogate: Surrogate | Backward | None = None
    name: str = "apgd"

    def __post_init__(self) -> None:
        settle(self, at_least(1), "steps", "restarts")
        settle(self, unless_none(at_least(1)), "rank")
        check_climb(self.loss, self.surrogate)

    def propose(self, target: Target, generator: torch.Generator) -> Search:
        """Yield the worst points: whenever a sample falls, and after each restart."""
        view = attack_view(target.network, self.surrogate)
        classes = self._classes(target)
        lead, standing = Lead.start(target), target.everyone
        for _ in range(self.restarts):
            walk = _Walk.start(view, target, standing, classes, self.loss, generator)
            checkpoints = Checkpoints.of(self.steps)
            for step in range(self.steps):
                if lead.note(walk.index, walk.point, walk.margins):
                    standing = yield lead.points
                    walk = walk.select(standing[walk.index])
                walk.advance(view, target.real_set, self.loss, 1.0 if step == 0 else MOMENTUM, generator)
                if checkpoints.due():
                    walk.adjust(checkpoints.period)
                    checkpoints.shorten()
            lead.note(walk.index, walk.point, walk.margins)
            standing = yield lead.points

    @torch.no_grad()
    def _classes(self, target: Target) -> Tensor | None:
        if self.rank is None:
            return None
        logits = target.network(target.inputs)
        return runner_up(logits, target.labels, min(self.rank, max(1, logits.shape[1] - 1)))


@dataclass
class Checkpoints:
    """When to look back: the steps since the last checkpoint, and the period between two."""

    period: int
    shortest: int
    decrement: int
    elapsed: int = 0

    @staticmethod
    def of(steps: int) -> "Checkpoints":
        return Checkpoints(max(int(0.22 * steps), 1), max(int(0.06 * steps), 1), max(int(0.03 * steps), 1))

    def due(self) -> bool:
        self.elapsed += 1
        return self.elapsed == self.period

    def shorten(self) -> None:
        self.elapsed = 0
        self.period = max(self.period - self.decrement, self.shortest)


@dataclass
class _Walk:
    """The state of the samples that still stand, batch first.

    Attributes:
        ties: what a tie is.
        index: their place in the target's batch; samples, labels, classes: theirs (classes only if targeted).
        point, previous, gradient, losses, margins: where each is.
        best, best_gradient, best_losses: where its loss was greatest.
        share: η/ε; gains: how many steps raised the loss since the last checkpoint.
        marked: the best loss at the last checkpoint; halved: whether η was halved there.
    """

    ties: str
    index: Tensor
    samples: Tensor
    labels: Tensor
    classes: Tensor | None
    point: Tensor
    previous: Tensor
    gradient: Tensor
    losses: Tensor
    margins: Tensor
    best: Tensor
    best_gradient: Tensor
    best_losses: Tensor
    share: Tensor
    gains: Tensor
    marked: Tensor
    halved: Tensor

    @staticmethod
    def start(
        view: AttackView,
        target: Target,
        standing: Tensor,
        classes: Tensor | None,
        loss: str,
        generator: torch.Generator,
    ) -> "_Walk":
        """Start the samples that stand from random points of their sets."""
        index = standing.nonzero().flatten()
        samples, labels = target.inputs[index], target.labels[index]
        classes = None if classes is None else classes[index]
        point = target.real_set.sample(samples, generator)
        view.rows.index = index
        slope = differentiate(view, point, labels, _loss(loss, classes), target.ties)
        zeros = torch.zeros_like(slope.losses)
        return _Walk(
            target.ties,
            index,
            samples,
            labels,
            classes,
            *(point, point, slope.gradient, slope.losses, slope.margins),
            *(point, slope.gradient, slope.losses),
            *(zeros + 2.0, zeros, slope.losses, zeros > 0),
        )

    def select(self, mask: Tensor) -> "_Walk":
        """Return the state of some samples."""
        values = (getattr(self, field.name) for field in fields(self))
        return _Walk(*(value[mask] if isinstance(value, Tensor) else value for value in values))  # pyright: ignore[reportArgumentType]

    def advance(
        self, view: AttackView, perturbation: RangedSet, loss: str, momentum: float, generator: torch.Generator
    ) -> None:
        """Take one step and learn the slope there."""
        step = expand(self.share, self.point) * climb(perturbation, self.gradient, generator)
        ahead = perturbation.project(self.point + step, self.samples)
        drift = momentum * (ahead - self.point) + (1.0 - momentum) * (self.point - self.previous)
        moved = perturbation.project(self.point + drift, self.samples)
        view.rows.index = self.index
        slope = differentiate(view, moved, self.labels, _loss(loss, self.classes), self.ties)
        self.gains = self.gains + (slope.losses > self.losses)
        self.previous, self.point = self.point, moved
        self.gradient, self.losses, self.margins = slope.gradient, slope.losses, slope.margins
        self._remember(slope)

    def _remember(self, slope: Slope) -> None:
        better = slope.losses > self.best_losses
        where = expand(better, self.point)
        self.best = torch.where(where, self.point, self.best)
        self.best_gradient = torch.where(where, slope.gradient, self.best_gradient)
        self.best_losses = torch.where(better, slope.losses, self.best_losses)

    def adjust(self, period: int) -> None:
        """At a checkpoint, halve the steps that stalled and return those samples to their best points."""
        stalled = self.gains < SUCCESS_SHARE * period
        flat = ~self.halved & (self.best_losses <= self.marked)
        halve = stalled | flat
        where = expand(halve, self.point)
        self.share = torch.where(halve, self.share * 0.5, self.share)
        self.point = torch.where(where, self.best, self.point)
        self.gradient = torch.where(where, self.best_gradient, self.gradient)
        self.losses = torch.where(halve, self.best_losses, self.losses)
        self.gains, self.marked, self.halved = torch.zeros_like(self.gains), self.best_losses, halve


def _loss(name: str, classes: Tensor | None) -> Loss:
    return LOSSES[name] if classes is None else targeted(classes)


LEAST = 1e-12


@dataclass(frozen=True)
class SAPGD(Attack):
    """Stable adaptive projected gradient descent (SA-PGD).

    m ← .5·m + g/mean|g|, q ← .8·q + g²/mean g², x ← P(x + clip(η·m/√q, −η, η)); η = ε at first, and half of it at
    each of auto-PGD's checkpoints. Means are over a sample's features. On ℓ2 balls the step is η along m/√q.

    Args:
        steps: per restart.
        restarts: each from a random point of the set.
        loss: "cross-entropy", "margin" or "dlr".
        surrogate: for the backward pass; None for the network's own.

    Raises:
        TypeError, ValueError: for settings out of range.

    References: wang2025towards
    """

    steps: int = 100
    restarts: int = 1
    loss: str = "cross-entropy"
    surrogate: Surrogate | Backward | None = AdaptiveSharpness()  # noqa: RUF009 (frozen)
    name: str = "sapgd"

    def __post_init__(self) -> None:
        settle(self, at_least(1), "steps", "restarts")
        check_climb(self.loss, self.surrogate)

    def propose(self, target: Target, generator: torch.Generator) -> Search:
        """Yield the worst points: whenever a sample falls, and after each restart."""
        lead, standing = Lead.start(target), target.everyone
        for _ in range(self.restarts):
            view, checkpoints, share = attack_view(target.network, self.surrogate), Checkpoints.of(self.steps), 1.0
            point, kept = target.real_set.sample(target.inputs, generator), _Averages.of(target.inputs)
            for _ in range(self.steps):
                index = standing.nonzero().flatten()
                view.rows.index = index
                labels = target.labels[index]
                slope = differentiate(view, point[index], labels, LOSSES[self.loss], target.ties)
                if lead.note(index, point[index], slope.margins):
                    standing = yield lead.points
                move = share * kept.step(index, slope.gradient, target.real_set, generator)
                point[index] = target.real_set.project(point[index] + move, target.inputs[index])
                if checkpoints.due():
                    share *= 0.5
                    checkpoints.shorten()
            standing = yield point
        yield lead.points


@dataclass
class _Averages:
    """m and q of all samples."""

    momentum: Tensor
    square: Tensor

    @staticmethod
    def of(like: Tensor) -> "_Averages":
        return _Averages(torch.zeros_like(like), torch.zeros_like(like))

    def step(self, index: Tensor, gradient: Tensor, perturbation: RangedSet, generator: torch.Generator) -> Tensor:
        """Return the step of these samples at η = ε; a random one where the gradient vanished."""
        size = gradient.abs().flatten(1).amax(1).view(-1, *[1] * (gradient.dim() - 1))
        unit = gradient / torch.where(size > 0, size, torch.ones_like(size))  # squares neither vanish nor overflow
        self.momentum[index] = 0.5 * self.momentum[index] + unit / _mean(unit.abs())
        self.square[index] = 0.8 * self.square[index] + unit**2 / _mean(unit**2)
        direction = self.momentum[index] / (self.square[index].sqrt() + LEAST)
        climbed = climb(perturbation, direction, generator)
        dead = (direction == 0).flatten(1).all(1).view(-1, *[1] * (direction.dim() - 1))
        whole = dead | isinstance(perturbation, L2)
        return torch.where(whole, climbed, climbed * direction.abs().clamp_max(1.0))


def _mean(values: Tensor) -> Tensor:
    return values.flatten(1).mean(1).clamp_min(LEAST).view(-1, *[1] * (values.dim() - 1))
