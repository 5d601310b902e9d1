"""Several projected gradient steps, as in adversarial training with PGD."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ...models.constants import at_least, nonnegative, positive, settle, unless_none
from ...models.networks import SpikingNetwork
from .base import Perturber, settle_range, uniform_like
from .slope import loss_slope


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
