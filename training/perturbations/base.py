"""Training perturbations: Gaussian noise, the paper's single step, and PGD.

What a training perturbation is: a rule that moves inputs, seeded, and leaves the network as it was.

Gaussian noise on the inputs.

The gradient that adversarial perturbations climb.

The paper's single-step adversarial perturbation.

Several projected gradient steps, as in adversarial training with PGD.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ...certify.attacks.gradients import gradient_at
from ...models.constants import at_least, nonnegative, positive, real, settle, unless_none
from ...models.networks import SpikingNetwork
from ..generators import draw_like


@dataclass(frozen=True)
class Perturber(ABC):
    """A rule x ↦ x̃ that training applies to its inputs. A subclass writes only `perturb`."""

    def __call__(
        self, network: SpikingNetwork, inputs: Tensor, labels: Tensor, generator: torch.Generator | None
    ) -> Tensor:
        """Return perturbed inputs, detached; the network's modes and gradients stay as they were.

        Args:
            network: the network under training; evaluation mode holds while it is attacked.
            inputs: (batch, ...).
            labels: (batch,).
            generator: the source of all randomness, on any device, or None for torch's global one.
        """
        with evaluation_mode(network):
            return self.perturb(network, inputs, labels, generator).detach()

    @abstractmethod
    def perturb(
        self, network: SpikingNetwork, inputs: Tensor, labels: Tensor, generator: torch.Generator | None
    ) -> Tensor:
        """Return the perturbed inputs; called with `network` in evaluation mode."""


@contextmanager
def evaluation_mode(network: SpikingNetwork) -> Iterator[None]:
    """Hold every module of `network` in evaluation mode, and give each its own mode back."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def noise_like(inputs: Tensor, generator: torch.Generator | None) -> Tensor:
    """Return standard normal noise, drawn as `draw_like` does."""
    return draw_like(torch.randn, inputs, generator)


def uniform_like(inputs: Tensor, generator: torch.Generator | None) -> Tensor:
    """Return uniform noise in [−1, 1), drawn as `draw_like` does."""
    return draw_like(torch.rand, inputs, generator).mul_(2.0).sub_(1.0)


class _Ranged(Protocol):
    @property
    def lower(self) -> float: ...
    @property
    def upper(self) -> float: ...


def settle_range(owner: _Ranged) -> None:
    """Convert both ends of a range to floats, ±inf among them; raise unless they are numbers, lower < upper."""
    settle(owner, partial(real, finite=False), "lower", "upper")
    if not owner.lower < owner.upper:
        raise ValueError(f"lower: got {owner.lower!r} with upper {owner.upper!r}, expected lower < upper")


@dataclass(frozen=True)
class GaussianNoise(Perturber):
    """x̃ = x + σ·n, n ~ N(0, 1) in each feature.

    Args:
        sigma: σ ≥ 0.
        clamp: clip x̃ to [lower, upper]; the paper does not.
        lower, upper: the range of valid inputs, for `clamp`.

    Raises:
        ValueError: for σ < 0 or an empty range.

    >>> GaussianNoise(sigma=0.1).sigma
    0.1

    References: ding2024robust
    """

    sigma: float = 8 / 255
    clamp: bool = False
    lower: float = 0.0
    upper: float = 1.0

    def __post_init__(self) -> None:
        settle(self, nonnegative, "sigma")
        settle_range(self)

    def perturb(
        self, network: SpikingNetwork, inputs: Tensor, labels: Tensor, generator: torch.Generator | None
    ) -> Tensor:
        """Return x + σ·n, clipped if `clamp`."""
        noisy = noise_like(inputs, generator).mul_(self.sigma).add_(inputs)
        return noisy.clamp_(self.lower, self.upper) if self.clamp else noisy


def loss_slope(network: SpikingNetwork, inputs: Tensor, labels: Tensor) -> Tensor:
    """Return ∇CE(f(x), y) of each sample's own loss, also where gradients are switched off.

    Raises:
        FloatingPointError: if it is not finite, as with diverged weights; its sign would hide that.
    """
    point = inputs.detach().requires_grad_()
    with torch.enable_grad():
        loss = cross_entropy(network(point), labels, reduction="sum")
        gradient = gradient_at(loss, point)
    if not bool(torch.isfinite(gradient).all()):
        raise FloatingPointError("perturbation: the gradient of the loss is NaN or inf, expected finite values")
    return gradient


@dataclass(frozen=True)
class SingleStep(Perturber):
    """x0 = x + .001·n;  x̃ = clip(x0 + ε·sign ∇CE(f(x0), y), lower, upper), the network in evaluation mode.

    As the step starts from x0, the paper's x̃ can lie outside the ε-ball around x by the start's noise.
    With `clamp` it is then projected into that ball, so that ‖x̃ − x‖∞ ≤ ε holds for inputs in range;
    `clamp=False` is the paper's step to the letter.

    Args:
        epsilon: ε ≥ 0, of the ℓ∞ ball.
        clamp: project x̃ into the ε-ball.
        start: the standard deviation of the noise at the start, .001 in the paper.
        lower, upper: the range of valid inputs.

    Raises:
        ValueError: for a negative ε or start, or an empty range.

    >>> SingleStep(epsilon=0.05).clamp
    True

    References: ding2024robust
    """

    epsilon: float = 4 / 255
    clamp: bool = True
    start: float = 0.001
    lower: float = 0.0
    upper: float = 1.0

    def __post_init__(self) -> None:
        settle(self, nonnegative, "epsilon", "start")
        settle_range(self)

    def perturb(
        self, network: SpikingNetwork, inputs: Tensor, labels: Tensor, generator: torch.Generator | None
    ) -> Tensor:
        """Return one signed-gradient step from a noisy start.

        Raises:
            FloatingPointError: if the gradient is not finite, as with diverged weights; its sign would hide it.
        """
        start = noise_like(inputs, generator).mul_(self.start).add_(inputs)
        stepped = torch.add(start, loss_slope(network, start, labels).sign(), alpha=self.epsilon)
        if self.clamp:
            stepped = stepped.clamp(inputs - self.epsilon, inputs + self.epsilon)
        return stepped.clamp(self.lower, self.upper)


@dataclass(frozen=True)
class PGDTraining(Perturber):
    """x_0 = x + U(−ε, ε);  x_{k+1} = P(x_k + α·sign ∇CE(f(x_k), y)), P onto the ε-ball and the range; x̃ = x_steps.

    The network is in evaluation mode, as for every perturbation.

    Args:
        epsilon: ε ≥ 0, of the ℓ∞ ball.
        steps: how many, at least 1.
        step_size: α > 0, in the units of ε; default 2.5·ε/steps.
        random_start: start from a random point of the ball, else from x.
        lower, upper: the range of valid inputs.

    Raises:
        ValueError: for a number out of range.

    >>> PGDTraining(epsilon=8 / 255, steps=10).length == 2 / 255
    True

    References: madry2018towards
    """

    epsilon: float = 8 / 255
    steps: int = 7
    step_size: float | None = None
    random_start: bool = True
    lower: float = 0.0
    upper: float = 1.0

    def __post_init__(self) -> None:
        settle(self, nonnegative, "epsilon")
        settle(self, at_least(1), "steps")
        settle(self, unless_none(positive), "step_size")
        settle_range(self)

    @property
    def length(self) -> float:
        """Return the length of one step, α; 2.5·ε over the steps where none is given."""
        return 2.5 * self.epsilon / self.steps if self.step_size is None else self.step_size

    def perturb(
        self, network: SpikingNetwork, inputs: Tensor, labels: Tensor, generator: torch.Generator | None
    ) -> Tensor:
        """Return the last iterate.

        Raises:
            FloatingPointError: if a gradient is not finite.
        """
        low = (inputs - self.epsilon).clamp_min(self.lower)
        high = (inputs + self.epsilon).clamp_max(self.upper)
        point = inputs
        if self.random_start:
            point = (inputs + self.epsilon * uniform_like(inputs, generator)).clamp(low, high)
        for _ in range(self.steps):
            slope = loss_slope(network, point, labels)
            point = torch.add(point, slope.sign(), alpha=self.length).clamp(low, high)
        return point
