"""Leaky neurons whose threshold rises with each spike and decays back: ALIF."""

from typing import Any

import torch
from torch import Tensor

from ..constants import nonnegative, share
from ..dynamics import Dynamics
from ..linear_neuron import MIXING, LinearNeuron
from ..rules import Leaky, Rule
from ..surrogates import Surrogate, Triangle
from .fields import Nonnegative, UpToOne
from .neurons import LEAKY, Run, SteppedLIF, built, said
from .registry import Element, register
from .varied import Fires


class AdaptiveLIF(SteppedLIF):
    """LIF of an adaptive threshold (ALIF): each spike raises it by β, and what it was raised by decays with ρ.

    a[t] = ρ·a[t−1] + s[t−1], a[1] = 0;  B[t] = θ + β·a[t];  v[t] = λ·u[t−1] + I[t];  s[t] = 1 iff v[t] ≥ B[t].
    u[t] = v[t]·(1 − s[t]) ("zero") or v[t] − d·s[t] ("subtract"), where d is θ or `reset_amount`: not B[t].
    So a spike raises the threshold from the next step on. Gradients go through v and through B.

    Args:
        decay: λ ∈ [0, 1].
        threshold: θ > 0.
        adaptation: β ≥ 0; 0 is a `LIF`, bit by bit.
        threshold_decay: ρ ∈ [0, 1]; 0: only the last step's spike counts, 1: all count for good.
        reset: "zero" or "subtract".
        fires_at, surrogate, reset_amount: as in `LIF`.

    Raises:
        ValueError, TypeError: for a constant outside its range.

    >>> AdaptiveLIF(0.0, adaptation=1.0, threshold_decay=0.5)(torch.full((1, 1, 1), 1.6), num_steps=5).flatten()
    tensor([1., 0., 1., 0., 0.])

    References: bellec2018long
    """

    holds = ("adaptation", "threshold_decay")

    def __init__(
        self,
        decay: float = 0.99,
        threshold: float = 1.0,
        adaptation: float = 1.0,
        threshold_decay: float = 0.9,
        reset: str = "zero",
        fires_at: str = ">=",
        surrogate: Surrogate = Triangle(1.0),  # noqa: B008 (frozen)
        reset_amount: float | None = None,
    ) -> None:
        super().__init__(decay, threshold, reset, fires_at, surrogate, reset_amount)
        self.adaptation: float = adaptation
        self.threshold_decay: float = threshold_decay

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute, β and ρ as floats; what is outside their ranges is refused, and so is no reset."""
        if name == "dynamics" and isinstance(value, Dynamics) and value.reset == "none":
            raise ValueError('reset: got "none", expected adaptive neurons to reset to zero or to subtract')
        convert = {"adaptation": nonnegative, "threshold_decay": share}.get(name)
        super().__setattr__(name, value if convert is None else convert(name, value))

    def rule(self, num_steps: int) -> Rule:
        """Return the constants: a further state to which each spike adds 1, and which raises the threshold."""
        own, states = Leaky.of(self.dynamics), {"others": 1, "jump": (1.0,), "rise": (self.adaptation,)}
        states |= {"fading": (self.threshold_decay,), **dict.fromkeys(MIXING, (0.0,))}
        states["called"] = (("rise", "adaptation"), ("fading", "threshold_decay"))
        potential = (own.decay,), (own.threshold,), (own.drop,)
        return LinearNeuron(*potential, reset=own.reset, fires_at=own.fires_at, **states).normal

    def _go(self, current: Tensor, residue: Tensor | None, steps: int, num_steps: int) -> tuple[Run, Tensor]:
        d, threshold = self.dynamics, torch.full_like(current[0], self.dynamics.threshold)
        left, raised = current.new_zeros(2, *current.shape[1:]) if residue is None else residue
        potentials, spikes = [], []
        for t in range(steps):
            potential = torch.add(current[t % len(current)], left, alpha=d.decay)
            limit = torch.add(threshold, raised, alpha=self.adaptation)
            spike: Tensor = Fires.apply(potential, limit, d)  # pyright: ignore[reportAssignmentType]
            left = potential * (1.0 - spike) if d.reset == "zero" else torch.add(potential, spike, alpha=-d.drop)
            raised = torch.add(spike, raised, alpha=self.threshold_decay)
            potentials.append(potential)
            spikes.append(spike)
        return Run(current, torch.stack(potentials), torch.stack(spikes)), torch.stack((left, raised))

    def extra_repr(self) -> str:
        """Return the constants that distinguish this layer."""
        return f"{super().extra_repr()}, adaptation={self.adaptation}, threshold_decay={self.threshold_decay}"


FIELDS = {**LEAKY, "adaptation": Nonnegative, "threshold_decay": UpToOne}
register(Element(AdaptiveLIF, rules=(Leaky, LinearNeuron), fields=FIELDS, said=said, build=built(AdaptiveLIF)))
