"""MI, TI, DI: momentum over smoothed gradients at diverse inputs, of the network itself or of another one."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ....models.constants import at_least, nonnegative, settle
from ....models.networks import SpikingNetwork
from ....models.surrogates import Surrogate
from ...perturbations.shapes import expand
from ...replay import evaluating, margins
from ..backward import Backward, attack_view
from ..base import Attack, Search, Target
from ..gradients import climb, gradient_at
from ..lead import Lead
from ..losses import LOSSES
from ..settings import check_climb
from .diversity import diverse
from .smoothing import smoothed


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
