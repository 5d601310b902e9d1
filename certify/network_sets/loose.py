"""A leaky neuron whose λ and θ are known up to a share of each: its automaton holds that of every such neuron.

A neuron of λ' ∈ [λ₁, λ₂] and θ' ∈ [θ₁, θ₂] makes of u ∈ [l, h] the potential λ'·u + c. For a fixed u that is
monotone in λ', so it lies between min(λ₁·l, λ₂·l) + c and max(λ₁·h, λ₂·h) + c. It is silent only where
v ≤ θ' ≤ θ₂, and fires only where v ≥ θ' ≥ θ₁. A subtracting reset leaves v − d', with d' = θ' where the neuron
says no amount of its own. So each step of each neuron is among the moves below, and each of its trains is a path.
That λ' and θ' are the same at all steps is forgotten: the paths are more than the trains.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ...models.linear_neuron import LinearNeuron
from ...models.rules import DeclaredRule, Label, Leaky, Move, Number, Range, Recursion, reset_label

Constant = float | Tensor
Constants = tuple[Constant, Constant, Constant]


@dataclass(frozen=True)
class Loose(DeclaredRule):
    """The neurons of `own` with θ within ±`threshold` and λ within ±`decay` of themselves, λ in [0, 1].

    Attributes:
        own: the rule that they lie around.
        threshold, decay: shares, rounded outward.
    """

    own: Leaky | LinearNeuron
    threshold: float
    decay: float

    def _constants(self, like: Tensor) -> Constants:
        """Return λ, θ and d of `own`; of neurons that differ as (*features), like (n, batch, *features)."""
        return self.own.constants(like)

    def recursion(self, like: Tensor) -> Recursion:
        """Return the potential's, with the greatest constants that there may be."""
        decay, threshold, drop = self._constants(like)
        highest, span = self._decays(decay)[1], _number(threshold).maximum(_number(drop))
        most = 1.0 + self.threshold
        size = span * most
        return Recursion(threshold * most, (Number(highest, size if size.dim() else float(size)),))

    def moves(
        self, labels: tuple[Label, ...], state: tuple[Range, ...], current: Range, tie: float | Tensor
    ) -> tuple[Move, Move]:
        """Return silence up to the greatest θ, and a spike from the least on."""
        decay, threshold, drop = self._constants(current.low)
        (slow, fast), before = self._decays(decay), state[0]
        low = (before.low * slow).minimum(before.low * fast) + current.low
        high = (before.high * slow).maximum(before.high * fast) + current.high
        least, most = threshold * (1.0 - self.threshold), threshold * (1.0 + self.threshold)
        potential = Range(low, high)
        quiet, fires = potential.below(most + tie), potential.above(least - tie)
        return Move(quiet.some, (quiet,)), Move(fires.some, (self._after(fires, threshold, drop),))

    def _after(self, fires: Range, threshold: Constant, drop: Constant) -> Range:
        """Return what a spike leaves; an amount equal to θ is taken to follow it, or to stay."""
        if self.own.reset != "subtract":
            return fires.times(0.0) if self.own.reset == "zero" else fires
        follows = (_number(drop) == _number(threshold)).to(fires.low) * self.threshold
        return Range(fires.low - drop * (1.0 + follows), fires.high - drop * (1.0 - follows))

    def _decays(self, decay: Constant) -> tuple[Constant, Constant]:
        if isinstance(decay, Tensor):
            return decay * (1.0 - self.decay), (decay * (1.0 + self.decay)).clamp_max(1.0)
        return decay * (1.0 - self.decay), min(1.0, decay * (1.0 + self.decay))

    def label(self, label: Label, spike: int, t: int) -> Label:
        """Return the last spike's step, or a count."""
        return reset_label(self.own.reset, label, spike, t)

    def factors(self, num_steps: int) -> tuple[float, ...]:
        """Return the input scale of `own`."""
        return self.own.factors(num_steps)


def _number(constant: Constant) -> Tensor:
    return torch.as_tensor(constant, dtype=torch.float64)
