"""Neurons as platforms run them that no element states: the differ runs them, and nobody proves anything of them.

    c[t] = x[t] + V·s[t−1−l] + b,   i[t] = κ·i[t−1] + c[t−d],   v[t] = clamp(λ·u[t−1] + i[t], floor, ceiling)

with l steps more before a layer hears itself, b perhaps from the second step on alone, the loop perhaps behind
the synapse (κ, d), and a bias e that enters there. A spike leaves 0, v − d, v or a value of its own; a reset that
comes late acts a step later: v[t] = λ·v[t−1] + i[t] − d·s[t−1], or (λ·v[t−1] + i[t])·(1 − s[t−1]).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...elements.layers import apply_affine
from ...elements.neurons import Run, SteppedLIF
from ...rules import Rule

Constant = float | Tensor
"""One number for all neurons of a layer, or an array that torch broadcasts to their features, float64."""


@dataclass(frozen=True, eq=False)
class PlatformSettings:
    """What such neurons run by.

    Attributes:
        decay, threshold, drop: λ, θ and d.
        reset: "zero", "subtract", "none" or "value", to `value`.
        strict: whether v must exceed θ.
        late_reset: whether a reset acts behind the leak of the next step.
        left_again: whether d is taken off what a reset leaves above θ at the next step, in the place of that
            step's own reset: v[t] = λ·u[t−1] + i[t] − d·r[t], r[t] = [u[t−1] ≥ θ], u[t] = v[t] − d·(s[t] − r[t]).
        floor, ceiling: between which v is held; None for no end.
        synapse: κ and d of the current; None for none.
        heard_late: l.
        first_bias: whether b is there at the first step, when no spike was.
        behind_synapse: whether the loop enters behind the synapse.
        value: what a reset leaves.
    """

    decay: Constant
    threshold: Constant
    drop: Constant
    reset: str
    strict: bool
    late_reset: bool = False
    left_again: bool = False
    floor: float | None = None
    ceiling: float | None = None
    synapse: tuple[float, int] | None = None
    heard_late: int = 0
    first_bias: bool = True
    behind_synapse: bool = False
    value: float = 0.0


class PlatformLIF(SteppedLIF):
    """Neurons of a platform; `circuit` refuses them, as their code is not the one that a rule states.

    Args:
        settings: what they run by.
        heard: V and b; None for no loop.
        bias: e, what enters behind the synapse; None for nothing.
    """

    def __init__(
        self, settings: PlatformSettings, heard: nn.Module | None = None, bias: Tensor | None = None
    ) -> None:
        super().__init__(reset="none" if settings.reset == "none" else "zero")
        self.settings: PlatformSettings = settings
        self.heard: nn.Module | None = heard
        self.entering: Tensor | None
        self.register_buffer("entering", bias)

    def rule(self, num_steps: int) -> Rule:
        """Raise TypeError: no rule states these neurons."""
        raise TypeError("layer: got a PlatformLIF, which the differ runs and no rule states")

    def _go(
        self, current: Tensor, residue: Tensor | None, start: int, steps: int, num_steps: int
    ) -> tuple[Run, Tensor]:
        if residue is not None:
            raise ValueError("steps_at_once: got a PlatformLIF, expected None: it runs all steps at once")
        s = self.settings
        decay, threshold, drop = (_like(value, current) for value in (s.decay, s.threshold, s.drop))
        silent = torch.zeros_like(current[0])
        left, last, filtered = silent, silent, silent
        currents, potentials, spikes, entered = [], [], [], list[Tensor]()
        for t in range(steps):
            drive, looped = current[t % len(current)], self._looped(spikes, silent)
            if looped is not None and not s.behind_synapse:
                drive = drive + looped
            if s.synapse is not None:
                entered.append(drive)
                late = entered[t - s.synapse[1]] if t >= s.synapse[1] else silent
                filtered = s.synapse[0] * filtered + late
                drive = filtered
            if looped is not None and s.behind_synapse:
                drive = drive + looped
            drive = drive if self.entering is None else drive + self.entering
            again = self._above(left, threshold) if s.left_again else silent
            potential = self._clamped(self._integrated(left, last, drive, decay, drop) - drop * again)
            last = self._above(potential, threshold)
            left = potential if s.late_reset else self._left(potential, last - again, drop)
            currents.append(drive)
            potentials.append(potential)
            spikes.append(last)
        return Run(torch.stack(currents), torch.stack(potentials), torch.stack(spikes)), left

    def _looped(self, spikes: list[Tensor], silent: Tensor) -> Tensor | None:
        """Return what a layer hears of itself; None for nothing."""
        if self.heard is None:
            return None
        late = len(spikes) - 1 - self.settings.heard_late
        if late < 0 and not self.settings.first_bias:
            return None
        return apply_affine(self.heard, (spikes[late] if late >= 0 else silent)[None])[0]

    def _above(self, potential: Tensor, threshold: Tensor) -> Tensor:
        """Return 1 where a potential fires."""
        return (potential > threshold if self.settings.strict else potential >= threshold).to(potential)

    def _integrated(self, left: Tensor, last: Tensor, drive: Tensor, decay: Tensor, drop: Tensor) -> Tensor:
        """Return v before it is held between its ends."""
        potential = decay * left + drive
        return self._left(potential, last, drop) if self.settings.late_reset else potential

    def _left(self, potential: Tensor, spike: Tensor, drop: Tensor) -> Tensor:
        """Return what a spike leaves."""
        s = self.settings
        if s.reset == "subtract":
            return potential - drop * spike
        if s.reset == "none":
            return potential
        return torch.where(
            spike > 0, torch.full_like(potential, s.value if s.reset == "value" else 0.0), potential
        )

    def _clamped(self, potential: Tensor) -> Tensor:
        s = self.settings
        held = s.floor is not None or s.ceiling is not None
        return potential.clamp(s.floor, s.ceiling) if held else potential

    def extra_repr(self) -> str:
        """Return the settings."""
        return repr(self.settings)


def _like(value: Constant, current: Tensor) -> Tensor:
    return torch.as_tensor(value, dtype=torch.float64).to(current)
