"""Bounds of counts over time that training can differentiate: integrate-and-fire with subtraction (F10).

With λ = 1 and an amount d = θ a neuron's count N[t] = Σ_{k≤t} s[k] grows by one iff C[t] ≥ θ·(N[t−1] + 1), where
C[t] = Σ_{k≤t} I[k]: it is monotone in C. So its exact ends over C ∈ [C_low, C_high] are the counts of two ordinary
runs, on the currents C[t] − C[t−1] of either end. Between layers

    C[t] = W·N[t] + t·b,      its ends W·m[t] + t·b ± |W|·r[t] for counts with middle m and radius r,

and a mean readout asks for N[T]/T alone. What grows step by step in `interval_bounds.py` does not grow here: time
costs no width. The backward pass is that of the two runs. The arithmetic is the network's own, without rounding
slack: for training, not for proofs.

Proof of monotony, by induction: let C ≤ C' at each step and N[t−1] ≤ N'[t−1]. If N[t] > N'[t] then N[t−1] =
N'[t−1], and C[t] ≥ θ·(N[t−1] + 1) holds, but C'[t] ≥ C[t] does not: a contradiction. ∎

Ends travel as one tensor (2, T, batch, ...) of sums over the steps so far, or (2, 1, batch, ...) for a signal that
is the same at each step: then it is one step's.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..models.circuit import Added, Algebra, Filtered, Fired, Input, Mapped, Pooled, Read
from ..models.linear_maps import LinearMap
from ..models.rules import Leaky, Rule


@dataclass(frozen=True)
class Prefixes(Algebra[Tensor]):
    """The ends of each signal's sums over time.

    Attributes:
        source: of the input, (2, T or 1, batch, ...), step by step.
        num_steps: T.
    """

    reader: ClassVar[str] = 'the bounds "prefix" of training'
    rules: ClassVar[tuple[type[Rule], ...]] = (Leaky,)
    encodings: ClassVar[tuple[str, ...]] = ("direct", "none")

    source: Tensor
    num_steps: int

    def input(self, node: Input) -> Tensor:
        """Return the ends of the input's sums."""
        return self.source if self._constant(self.source) else self.source.cumsum(1)

    def mapped(self, node: Mapped, x: Tensor) -> Tensor:
        """Return the ends behind an affine map."""
        middle, radius = (x[0] + x[1]) * 0.5, (x[1] - x[0]) * 0.5
        middle, radius = _linear(node.map, middle), _linear(node.map.absolute(), radius)
        times = self._times(middle) if not self._constant(x) else 1.0
        middle = middle + times * node.map.bias.to(middle)
        return torch.stack((middle - radius, middle + radius))

    def pooled(self, node: Pooled, x: Tensor) -> Tensor:
        """Return the ends of the maxima's sums: between the greatest of the sums and the sum of all entries' ends.

        Raises:
            ValueError: for a signal that changes over time, whose maxima's sums are no function of its sums.
        """
        if not self._constant(x):
            raise ValueError(
                f'bounds: got "prefix" and the max pool {node.name} behind a neuron, expected none there'
            )
        return node.windows.largest(x.flatten(0, 2)).unflatten(0, x.shape[:3])

    def filtered(self, node: Filtered, x: Tensor) -> Tensor:
        """Return the filtered ends: summing up and filtering may change places, and no weight is below 0."""
        sums = self._summed(x).transpose(0, 1)
        return node.filter.run(sums, node.filter.start(sums), self.num_steps)[0].transpose(0, 1)

    def added(self, node: Added, x: Tensor, y: Tensor) -> Tensor:
        """Return the sum."""
        if self._constant(x) == self._constant(y):
            return x + y
        return self._summed(x) + self._summed(y)

    def fired(self, node: Fired, x: Tensor) -> Tensor:
        """Return the ends of counts: those of two runs.

        Raises:
            ValueError: for another neuron, whose counts are not monotone.
        """
        rule = node.rule
        assert isinstance(rule, Leaky)
        if rule.decay != 1.0 or rule.reset != "subtract" or rule.drop != rule.threshold or rule.scale is not None:
            told = f'bounds: got "prefix" for {node.name}, a {rule.reset!r} reset with decay {rule.decay:g}'
            raise ValueError(f"{told}, expected decay 1 and to subtract θ: other counts may fall")
        currents = x if self._constant(x) else torch.diff(x, dim=1, prepend=torch.zeros_like(x[:, :1]))
        both = currents.transpose(0, 1).flatten(1, 2)
        spikes = node.layer(both, self.num_steps)
        return spikes.unflatten(1, (2, -1)).transpose(0, 1).cumsum(1)

    def read(self, node: Read, x: Tensor) -> Tensor:
        """Return what the readout reads: a mean over time, or the last potential of neurons that forget nothing.

        Raises:
            ValueError: for a potential that decays.
        """
        total = x[:, :1] * self.num_steps if self._constant(x) else x[:, -1:]
        if node.rule is None:
            return total / self.num_steps
        assert isinstance(node.rule, Leaky)
        if node.rule.decay != 1.0 or node.rule.scale is not None:
            raise ValueError(
                f'bounds: got "prefix" and a potential of decay {node.rule.decay:g}, expected decay 1'
            )
        return total

    def _constant(self, x: Tensor) -> bool:
        """Return whether a signal is the same at each step, or there is but one step."""
        return x.shape[1] == 1

    def _summed(self, x: Tensor) -> Tensor:
        return x * self._times(x[0]) if self._constant(x) else x

    def _times(self, like: Tensor) -> Tensor:
        """Return 1..T along the first axis of a signal (time, batch, ...)."""
        times = torch.arange(1, self.num_steps + 1, dtype=like.dtype, device=like.device)
        return times.reshape(-1, *([1] * (like.dim() - 1)))


def _linear(layer: LinearMap, x: Tensor) -> Tensor:
    """Return W·x for a signal (time, batch, ...), wide again under mixed precision."""
    return layer.linear(x.flatten(0, 1)).to(x.dtype).unflatten(0, x.shape[:2])
