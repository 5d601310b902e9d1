"""Bounds of counts over time that training can differentiate: integrate-and-fire with subtraction (F10).

With λ = 1 and an amount d = θ a neuron's count N[t] = Σ_{k≤t} s[k] grows by one iff C[t] ≥ θ·(N[t−1] + 1), where
C[t] = Σ_{k≤t} I[k]: it is monotone in C. So its exact ends over C ∈ [C_low, C_high] are the counts of two ordinary
runs, on the currents I_low and I_high whose sums these are. Between layers the counts lie between those of two
trains s_low and s_high, whatever their single steps, and

    I = W·m[t] + b ± |W|·r[t]  for  m = (s_low + s_high)/2,  r = (s_high − s_low)/2, of any sign at a single step,

are currents whose sums bound all sums of currents: sums of m and r over time are the middles and the radii of the
counts. What grows step by step in `interval_bounds.py` does not grow here: time costs no width. The backward pass
is that of the two runs. The arithmetic is the network's own, without rounding slack: for training, not for proofs.

Proof of monotony, by induction: let C ≤ C' at each step and N[t−1] ≤ N'[t−1]. If N[t] > N'[t] then N[t−1] =
N'[t−1], and C[t] ≥ θ·(N[t−1] + 1) holds, but C'[t] ≥ C[t] does not: a contradiction. ∎

"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..models.circuit import Added, Algebra, Filtered, Fired, Input, Mapped, Pooled, Read
from ..models.rules import Leaky, Rule
from .affine_ends import affine_pair


@dataclass(frozen=True)
class PrefixEnds:
    """Two signals whose sums over time bound a signal's: (T, batch, ...), or (1, batch, ...) if it is constant."""

    low: Tensor
    high: Tensor

    @property
    def constant(self) -> bool:
        """Return whether the signal is the same at each step, or there is but one step."""
        return len(self.low) == 1

    @property
    def ends(self) -> Tensor:
        """Return both at the first step, (2, batch, ...)."""
        return torch.stack((self.low[0], self.high[0]))

    def each(self, function: Callable[[Tensor], Tensor]) -> "PrefixEnds":
        """Return what a function that keeps the order makes of both."""
        return PrefixEnds(function(self.low), function(self.high))


@dataclass(frozen=True)
class Prefixes(Algebra[PrefixEnds]):
    """The sums over time of each signal.

    Attributes:
        source: the input's.
        num_steps: T.
    """

    reader: ClassVar[str] = 'the bounds "prefix" of training'
    rules: ClassVar[tuple[type[Rule], ...]] = (Leaky,)

    source: PrefixEnds
    num_steps: int

    def input(self, node: Input) -> PrefixEnds:
        """Return the ends of the input: steps in order have sums in order."""
        return self.source

    def mapped(self, node: Mapped, x: PrefixEnds) -> PrefixEnds:
        """Return the ends behind an affine map."""
        return PrefixEnds(*affine_pair(node.map, x.low, x.high))

    def pooled(self, node: Pooled, x: PrefixEnds) -> PrefixEnds:
        """Return the maxima of the ends of a signal that is the same at each step.

        Raises:
            ValueError: for a signal that changes over time, whose maxima's sums are no function of its sums.
        """
        if not x.constant:
            raise ValueError(
                f'bounds: got "prefix" and the max pool {node.name} behind a neuron, expected none there'
            )
        return x.each(lambda end: node.windows.largest(end[0])[None])

    def filtered(self, node: Filtered, x: PrefixEnds) -> PrefixEnds:
        """Return the filtered ends: summing up and filtering may change places, and no weight is below 0."""
        return x.each(lambda end: node.filter.run(end, node.filter.start(end), self.num_steps)[0])

    def added(self, node: Added, x: PrefixEnds, y: PrefixEnds) -> PrefixEnds:
        """Return the sum."""
        return PrefixEnds(x.low + y.low, x.high + y.high)

    def fired(self, node: Fired, x: PrefixEnds) -> PrefixEnds:
        """Return the two runs.

        Raises:
            ValueError: for another neuron, whose counts are not monotone.
        """
        rule = node.rule
        assert isinstance(rule, Leaky)
        if rule.decay != 1.0 or rule.reset != "subtract" or rule.drop != rule.threshold or rule.scale is not None:
            told = f'bounds: got "prefix" for {node.name}, a {rule.reset!r} reset with decay {rule.decay:g}'
            raise ValueError(f"{told}, expected decay 1 and to subtract θ: other counts may fall")
        return x.each(lambda current: node.layer(current, self.num_steps))

    def read(self, node: Read, x: PrefixEnds) -> PrefixEnds:
        """Return what the readout reads: a mean over time, or the last potential of neurons that forget nothing.

        Raises:
            ValueError: for a potential that decays.
        """
        mean = x.each(lambda end: end.mean(0, keepdim=True))
        if node.rule is None:
            return mean
        assert isinstance(node.rule, Leaky)
        if node.rule.decay != 1.0 or node.rule.scale is not None:
            raise ValueError(
                f'bounds: got "prefix" and a potential of decay {node.rule.decay:g}, expected decay 1'
            )
        return mean.each(lambda end: end * self.num_steps)
