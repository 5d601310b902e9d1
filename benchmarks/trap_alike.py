"""Networks for benchmarks/traps.py whose layers subtract and share their constants, as most people's do."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import torch
from trap_draw import FACTORS, Draw

from spikecert import DLIF, LIF


@dataclass
class Alike(Draw):
    """The choices of a network that subtracts, most of its layers of one λ and θ, as people's networks are."""

    constants: dict[str, Any] = field(default_factory=dict)

    most_steps: ClassVar[int] = 12
    readouts: ClassVar[tuple[str, ...]] = ("mean", "spikes", "spikes", "potential", "summed", "largest", "first")

    @classmethod
    def of(cls, seed: int, index: int, kind: str | None = None) -> Self:
        """Return the choices of the network `index`, its constants plain floats unless `kind` says otherwise."""
        return super().of(seed, index, kind or "float")

    def neuron(self, reset: str | None = None) -> LIF:
        """Return a LIF or DLIF of the network's constants, or now and then any neuron."""
        if self.random.random() < 0.12:
            return super().neuron(reset)
        if not self.constants:
            self.constants = self._drawn()
        constants = {**self.constants, "fires_at": self.random.choice((">=", ">"))}
        if reset is not None:
            constants = {**constants, "reset": reset, "reset_amount": None}
        made = DLIF(self.steps, **constants) if self.random.random() < 0.15 else LIF(**constants)
        if isinstance(made, DLIF):
            made.input_scale.data = torch.tensor([self.random.choice(FACTORS) for _ in range(self.steps)])
        self.thresholds[id(made)] = constants["threshold"]
        return made

    def _drawn(self) -> dict[str, Any]:
        """Return λ in [0, 1], θ and d, among them snnTorch's delayed reset d = θ/λ."""
        decay = self.random.choice((0.0, 0.5, 0.9, 0.95, 1.0, self.random.random()))
        threshold = self.random.choice((1.0, 1.0, 0.25, 0.7))
        amounts = (None, None, threshold / max(decay, 0.1), threshold * self.random.choice((0.5, 1.25, 2.0)))
        amount = self.random.choice(amounts)
        return {"decay": decay, "threshold": threshold, "reset": "subtract", "reset_amount": amount}
