"""Leaky neurons that rest after each spike, for R steps in which they take nothing in, or that start elsewhere."""

from typing import Any

import torch
from torch import Tensor

from ..constants import at_least, real, unless_none
from ..dynamics import Dynamics
from ..linear_neuron import LinearNeuron
from ..rules import Leaky, Rule
from ..surrogates import Surrogate, Triangle
from .fields import Positive, Real, UpToOne, Wait, or_none
from .neurons import FIRING, Run, SteppedLIF, built, said
from .registry import Element, register
from .varied import Fires


class RefractoryLIF(SteppedLIF):
    """LIF of a hard reset that rests for R steps behind each spike, and starts from a potential u[0] of its own.

    v[t] = λ·u[t−1] + I[t] and s[t] = 1 iff v[t] ≥ θ where it does not rest; v[t] = 0 and s[t] = 0 where it does;
    u[t] = v[t]·(1 − s[t]). So it goes on from 0 behind its rest, as if nothing had been.

    Args:
        decay: λ ∈ [0, 1].
        threshold: θ > 0.
        rest: R ≥ 0, in steps; None: for good, so that each neuron fires at most once.
        fires_at, surrogate: as in `LIF`.
        start: u[0], of any sign. A reset leaves 0 all the same.

    Raises:
        ValueError, TypeError: for a constant outside its range.

    >>> RefractoryLIF(decay=0.5, rest=2)(torch.full((1, 1, 1), 1.2), num_steps=5).flatten()
    tensor([1., 0., 0., 1., 0.])

    References: pehle2021norse
    """

    holds = ("rest", "start")

    def __init__(
        self,
        decay: float = 0.99,
        threshold: float = 1.0,
        rest: int | None = 1,
        fires_at: str = ">=",
        surrogate: Surrogate = Triangle(1.0),  # noqa: B008 (frozen)
        start: float = 0.0,
    ) -> None:
        super().__init__(decay, threshold, "zero", fires_at, surrogate)
        self.rest: int | None = unless_none(at_least(0))("rest", rest)
        self.start: float = real("start", start)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; constants of another reset than to zero are refused."""
        if name == "dynamics" and isinstance(value, Dynamics) and value.reset != "zero":
            raise ValueError(f"reset: got {value.reset!r}, expected neurons that rest to reset to zero")
        super().__setattr__(name, value)

    def rule(self, num_steps: int) -> Rule:
        """Return the constants: a rest for good lasts all T steps."""
        own, rest = Leaky.of(self.dynamics), num_steps if self.rest is None else self.rest
        potential, firing = ((own.decay,), (own.threshold,), (own.drop,)), {"fires_at": own.fires_at}
        return LinearNeuron(*potential, **firing, rest=rest, start=self.start).normal

    def _go(self, current: Tensor, residue: Tensor | None, steps: int, num_steps: int) -> tuple[Run, Tensor]:
        silent = torch.zeros_like(current[0])
        left, waits = (silent + self.start, silent) if residue is None else residue
        longest, threshold = self._longest(current, num_steps), current.new_tensor(self.dynamics.threshold)
        potentials, spikes = [], []
        for t in range(steps):
            free = waits == 0
            drive = torch.add(current[t % len(current)], left, alpha=self.dynamics.decay)
            potential = torch.where(free, drive, 0.0)
            fired: Tensor = Fires.apply(potential, threshold, self.dynamics)  # pyright: ignore[reportAssignmentType]
            spike = torch.where(free, fired, 0.0)
            left = potential * (1.0 - spike)
            waits = torch.where(spike.detach() > 0, longest, (waits - 1.0).clamp_min(0.0))
            potentials.append(potential)
            spikes.append(spike)
        return Run(current, torch.stack(potentials), torch.stack(spikes)), torch.stack((left, waits))

    def _longest(self, current: Tensor, num_steps: int) -> int:
        """Return how many steps a rest may last within T.

        Raises:
            ValueError: where the current's dtype can't count them.
        """
        longest = num_steps if self.rest is None else min(self.rest, num_steps)
        if longest * torch.finfo(current.dtype).eps > 1.0:
            raise ValueError(f"inputs: got {current.dtype}, which can't count rests of {longest} steps")
        return longest

    def extra_repr(self) -> str:
        """Return the constants that distinguish this layer."""
        return f"{super().extra_repr()}, rest={self.rest}, start={self.start}"


class OneSpikeLIF(RefractoryLIF):
    """LIF that rests for good behind its first spike: what it says is when it fires, if it does.

    v[t] = λ·v[t−1] + I[t], v[0] = u[0]; s[t] = 1 iff v[t] ≥ θ and no step before t has a spike. It runs as
    `RefractoryLIF(rest=None)`, and a file names that.

    Args:
        decay: λ ∈ [0, 1].
        threshold: θ > 0.
        fires_at, surrogate, start: as in `RefractoryLIF`.

    Raises:
        ValueError, TypeError: for a constant outside its range.

    >>> import torch
    >>> OneSpikeLIF(decay=0.5)(torch.full((1, 1, 1), 0.6), num_steps=6).flatten()
    tensor([0., 0., 1., 0., 0., 0.])
    """

    def __init__(
        self,
        decay: float = 0.99,
        threshold: float = 1.0,
        fires_at: str = ">=",
        surrogate: Surrogate = Triangle(1.0),  # noqa: B008 (frozen)
        start: float = 0.0,
    ) -> None:
        super().__init__(decay, threshold, None, fires_at, surrogate, start)


FIELDS = {"decay": UpToOne, "threshold": Positive, "rest": or_none(Wait), "start": Real, **FIRING}
register(Element(RefractoryLIF, rules=(Leaky, LinearNeuron), fields=FIELDS, said=said, build=built(RefractoryLIF)))
