"""The paper's single-step adversarial perturbation."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ...models.constants import nonnegative, settle
from ...models.networks import SpikingNetwork
from .base import Perturber, noise_like, settle_range
from .slope import loss_slope


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
