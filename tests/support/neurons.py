"""A neuron with a recursion of its own, which no reader of the library knows."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from spikecert.models import LIF
from spikecert.models.elements.neurons import Run
from spikecert.models.rules import Rule


class Late(LIF):
    """LIF whose spikes leave one step later."""

    def rule(self, num_steps: int) -> Rule:
        return LateRule(self.dynamics.decay)

    def run(self, current: Tensor, num_steps: int) -> Run:
        run = super().run(current, num_steps)
        return Run(run.current, run.potentials, torch.cat((torch.zeros_like(run.spikes[:1]), run.spikes[:-1])))

    def forward(self, current: Tensor, num_steps: int) -> Tensor:
        return self.run(current, num_steps).spikes


@dataclass(frozen=True)
class LateRule(Rule):
    """What `Late` does."""

    layers: ClassVar[tuple[type[nn.Module], ...]] = (Late,)

    decay: float
