"""EOT: the gradient of a rate code, averaged over draws."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ....models.constants import at_least, settle
from ....models.networks import SpikingNetwork
from ....models.surrogates import Surrogate
from ..backward import AttackView, Backward, attack_view
from ..base import Attack, Search, Target
from ..gradients import climb, differentiate
from ..lead import Lead
from ..losses import LOSSES
from ..settings import check_climb


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
