"""Attacks by smoothed gradients, of the network itself or of another one: MI, TI, DI, and EOT for rate codes.

EOT: the gradient of a rate code, averaged over draws.

TI: the gradient of an image, smoothed: about that of the mean over its translations.

MI, TI, DI: momentum over smoothed gradients at diverse inputs, of the network itself or of another one.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...models.constants import at_least, nonnegative, settle
from ...models.dynamics import Surrogate
from ...models.networks import SpikingNetwork
from ..perturbations.base import expand
from ..replay import evaluating, margins
from .backward import AttackView, Backward, attack_view
from .base import Attack, Lead, Search, Target, check_climb
from .blind import IMAGE_AXES
from .gradients import LOSSES, climb, differentiate, gradient_at

SMALLEST = 0.85
"""Of the sides that are drawn, as a share of the whole."""


def diverse(points: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Return images in another size at another place, with this probability; differentiable (Xie et al., 2019).

    The paper's is larger than the input; here the picture is smaller, so that the network takes it. All samples
    are changed alike. What is no image (batch, channel, height, width) stays as it is.
    """
    if points.dim() < IMAGE_AXES or float(_draw(generator)) >= probability:
        return points
    height, width = points.shape[-2:]
    share = SMALLEST + (1.0 - SMALLEST) * float(_draw(generator))
    rows, columns = max(1, round(share * height)), max(1, round(share * width))
    top, left = (int(float(_draw(generator)) * (size + 1)) for size in (height - rows, width - columns))
    planes = points.reshape(-1, 1, height, width)
    shrunk = F.interpolate(planes, size=(rows, columns), mode="nearest")
    around = left, width - columns - left, top, height - rows - top
    return F.pad(shrunk, around).view_as(points)


def _draw(generator: torch.Generator) -> Tensor:
    return torch.rand((), generator=generator, device=generator.device)


@dataclass(frozen=True)
class Expected(Attack):
    """Projected steps along the mean gradient over draws: expectation over transformation (Athalye et al., 2018).

        x ← P(x + η·ascent(∇loss(x; u₀) + Σ_k ∇loss(x; u_k))),   η = ε at first, halved over the last half,

    u₀ the network's own draws, which alone say whether a sample falls, and u_k new ones at each step: the spikes
    of one set of draws answer to few features at a time. Of a network that draws nothing it is projected ascent.

    Args:
        steps: per restart.
        restarts: the first from the sample itself, the others from a random point of the set.
        draws: how many u_k, at least 1.
        loss: "cross-entropy", "margin" or "dlr".
        surrogate: for the backward pass; None for the network's own.

    Raises:
        TypeError, ValueError: for settings out of range.

    References: athalye2018synthesizing
    """

    steps: int = 20
    restarts: int = 1
    draws: int = 8
    loss: str = "margin"
    surrogate: Surrogate | Backward | None = None
    name: str = "eot"

    def __post_init__(self) -> None:
        settle(self, at_least(1), "steps", "restarts", "draws")
        check_climb(self.loss, self.surrogate)

    def propose(self, target: Target, generator: torch.Generator) -> Search:
        """Yield the worst points: whenever a sample falls, and at the end."""
        view, lead = attack_view(target.network, self.surrogate), Lead.start(target)
        index, samples, ball = target.everyone.nonzero().flatten(), target.inputs, target.real_set
        for restart in range(self.restarts):
            current = ball.sample(samples, generator) if restart else samples.clone()
            for step in range(self.steps):
                view.rows.index, labels = index, target.labels[index]
                slope = differentiate(view, current[index], labels, LOSSES[self.loss], target.ties)
                if lead.note(index, current[index], slope.margins):
                    standing = yield lead.points
                    index = standing.nonzero().flatten()
                    continue
                gradient = slope.gradient + self._others(view, current[index], labels, generator)
                length = 0.5 ** (2 * step >= self.steps)
                move = length * climb(ball, gradient, generator)
                current[index] = ball.project(current[index] + move, samples[index])
            standing = yield current
            index = standing.nonzero().flatten()
        yield lead.points

    def _others(self, view: AttackView, points: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Return the sum of gradients over new draws; 0 where nothing is drawn."""
        network, found = view.network, torch.zeros_like(points)
        if not isinstance(network, SpikingNetwork) or network.encoding != "rate":
            return found
        loss = LOSSES[self.loss]
        for _ in range(self.draws):
            found += differentiate(lambda inputs: network(inputs, generator), points, labels, loss).gradient
        return found


def smoothed(gradient: Tensor, size: int) -> Tensor:
    """Return W * ∇ (Dong et al., 2019), W a Gaussian of size × size, σ = size/√3/2, of sum 1.

    The gradient of Σ_ij W_ij·loss(T_ij(x)) over translations T_ij is about this. What is no image (batch, channel,
    height, width) stays as it is, and so does all with a size of 1.

    Args:
        gradient: (batch, ...).
        size: odd.
    """
    if size == 1 or gradient.dim() < IMAGE_AXES:
        return gradient
    places = torch.arange(size, dtype=gradient.dtype, device=gradient.device) - (size - 1) / 2
    line = (-0.5 * (places / (size / 3**0.5 / 2)) ** 2).exp()
    kernel = (line[:, None] * line) / line.sum() ** 2
    planes = gradient.reshape(-1, 1, *gradient.shape[-2:])
    return F.conv2d(planes, kernel[None, None], padding=size // 2).view_as(gradient)


@dataclass(frozen=True)
class Momentum(Attack):
    """Momentum iterative steps (MI), with smoothed gradients (TI) at diverse inputs (DI).

        g ← μ·g + ∇/‖∇‖₁,   x ← P(x + (ε/steps)·ascent(g)),   ∇ = W * ∂loss(D(x))/∂x

    (Dong et al., 2018; Dong et al., 2019; Xie et al., 2019), W and D those of `smoothed` and `diverse`, for
    images. With a `source` gradients are another network's, and what they find is tried on the attacked one: an
    attack by transfer, which needs no gradient of it. Where it breaks what those by its own gradients left, these
    are masked.

    Args:
        steps: of ε/steps.
        decay: μ ≥ 0.
        smoothing: size of W, odd; 1 for none.
        diversity: probability of D; 0 for none.
        source: a network or a module that takes the same inputs, for the same classes; None for the attacked one.
        loss: "cross-entropy", "margin" or "dlr".
        surrogate: for the backward pass; None for the network's own.

    Raises:
        TypeError, ValueError: for settings out of range.

    References: dong2018boosting, dong2019evading, xie2019improving
    """

    steps: int = 20
    decay: float = 1.0
    smoothing: int = 1
    diversity: float = 0.0
    source: nn.Module | None = field(default=None, compare=False)
    loss: str = "cross-entropy"
    surrogate: Surrogate | Backward | None = None
    name: str = "momentum"

    def __post_init__(self) -> None:
        settle(self, at_least(1), "steps", "smoothing")
        settle(self, nonnegative, "decay", "diversity")
        if self.smoothing % 2 == 0:
            raise ValueError(f"smoothing: got {self.smoothing}, expected an odd size")
        if self.diversity > 1:
            raise ValueError(f"diversity: got {self.diversity}, expected a probability")
        if self.source is not None and not isinstance(self.source, nn.Module):
            raise TypeError(f"source: got {type(self.source).__name__}, expected a torch module")
        check_climb(self.loss, self.surrogate)

    @property
    def by_gradient(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return whether gradients are those of the attacked network."""
        return self.source is None

    def propose(self, target: Target, generator: torch.Generator) -> Search:
        """Yield the worst points: whenever a sample falls, and at the end."""
        source: nn.Module = target.network if self.source is None else self.source
        view, lead = attack_view(source, self.surrogate), Lead.start(target)  # pyright: ignore[reportArgumentType]
        index, current = target.everyone.nonzero().flatten(), target.inputs.clone()
        sums = torch.zeros_like(current)
        with evaluating(view.network):
            for _ in range(self.steps):
                view.rows.index = index
                slope = self._slope(view, current[index], target.labels[index], generator)
                size = slope.abs().flatten(1).sum(1).clamp_min(torch.finfo(slope.dtype).tiny)
                sums[index] = self.decay * sums[index] + slope / expand(size, slope)
                step = climb(target.real_set, sums[index], generator) / self.steps
                current[index] = target.real_set.project(current[index] + step, target.inputs[index])
                if lead.note(index, current[index], _margins(target, current[index], index)):
                    standing = yield lead.points
                    index = standing.nonzero().flatten()
        yield lead.points

    def _slope(
        self, view: Callable[[Tensor], Tensor], points: Tensor, labels: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Return the smoothed gradient at diverse points."""
        with torch.enable_grad():
            leaf = points.detach().clone().requires_grad_()
            value = LOSSES[self.loss](view(diverse(leaf, self.diversity, generator)), labels).sum()
            return smoothed(gradient_at(value, leaf).nan_to_num(nan=0.0), self.smoothing)


@torch.no_grad()
def _margins(target: Target, points: Tensor, index: Tensor) -> Tensor:
    network: SpikingNetwork = target.network
    return margins(network(points), target.labels[index], target.ties)
