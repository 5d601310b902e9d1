"""Bounds of counts over time that training can differentiate: integrate-and-fire with subtraction (F10).

With λ = 1 and an amount d a neuron's count N[t] = Σ_{k≤t} s[k] grows by one iff C[t] ≥ θ + d·N[t−1], where
C[t] = Σ_{k≤t} I[k]: it is monotone in C. A start u[0] = v₀ at a threshold of d is one from 0 at θ = d − v₀. So
its exact ends over C ∈ [C_low, C_high] are the counts of two ordinary runs, on the currents I_low and I_high whose
sums these are. Between layers the counts lie between those of two trains s_low and s_high, whatever their single
steps, and

    I = W·m[t] + b ± |W|·r[t]  for  m = (s_low + s_high)/2,  r = (s_high − s_low)/2, of any sign at a single step,

are currents whose sums bound all sums of currents: sums of m and r over time are the middles and the radii of the
counts. What grows step by step in `interval_bounds.py` does not grow here: time costs no width. The backward pass
is that of the two runs. The arithmetic is the network's own, without rounding slack: for training, not for proofs.

Where a neuron forgets (λ < 1), counts are not monotone. Then all layers take the ends of single steps, from
`coupled_ends.py`, which holds what came in over time beside them.

Proof of monotony, by induction: let C ≤ C' at each step and N[t−1] ≤ N'[t−1]. If N[t] > N'[t] then N[t−1] =
N'[t−1], and C[t] ≥ θ + d·N[t−1] holds, but C'[t] ≥ C[t] does not: a contradiction. ∎

"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...models.circuit import Added, Algebra, Circuit, Filtered, Fired, Input, Mapped, Pooled, Read
from ...models.elements.neurons import LIF
from ...models.rules import Leaky, Rule
from .affine_ends import affine_pair
from .coupled_ends import coupled_ends
from .event_ends import EventBall, events_behind


@dataclass(frozen=True)
class PrefixEnds:
    """Two signals that bound a signal at each step, or in their sums over time where all neurons count.

    Each is (T, batch, ...), or (1, batch, ...) if it is constant. `ball` is what else is known of events that
    enter the first layer.
    """

    low: Tensor
    high: Tensor
    ball: EventBall | None = None

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
        counting: whether no neuron forgets, and ends are those of sums; they are those of steps otherwise.
    """

    reader: ClassVar[str] = 'the bounds "prefix" of training'
    rules: ClassVar[tuple[type[Rule], ...]] = (Leaky,)

    source: PrefixEnds
    num_steps: int
    counting: bool

    def input(self, node: Input) -> PrefixEnds:
        """Return the ends of the input: steps in order have sums in order."""
        return self.source

    def mapped(self, node: Mapped, x: PrefixEnds) -> PrefixEnds:
        """Return the ends behind an affine map."""
        if x.ball is not None:
            return PrefixEnds(*events_behind(node.map, x.low, x.high, x.ball))
        return PrefixEnds(*affine_pair(node.map, x.low, x.high))

    def pooled(self, node: Pooled, x: PrefixEnds) -> PrefixEnds:
        """Return the maxima of the ends.

        Raises:
            ValueError: for sums of a signal that changes over time: its maxima's sums are no function of them.
        """
        if self.counting and not x.constant:
            raise ValueError(
                f'bounds: got "prefix" and the max pool {node.name} behind a neuron, expected none there'
            )
        return x.each(lambda end: node.windows.largest(end.flatten(0, 1)).unflatten(0, end.shape[:2]))

    def filtered(self, node: Filtered, x: PrefixEnds) -> PrefixEnds:
        """Return the filtered ends: summing up and filtering may change places, and no weight is below 0."""
        return x.each(lambda end: node.filter.run(end, node.filter.start(end), self.num_steps)[0])

    def added(self, node: Added, x: PrefixEnds, y: PrefixEnds) -> PrefixEnds:
        """Return the sum."""
        return PrefixEnds(x.low + y.low, x.high + y.high)

    def fired(self, node: Fired, x: PrefixEnds) -> PrefixEnds:
        """Return the two runs.

        Raises:
            ValueError: for a neuron that does not subtract, or whose currents are scaled over time.
        """
        rule = node.rule
        assert isinstance(rule, Leaky)
        if rule.reset != "subtract" or rule.scale is not None:
            told = f"a {rule.reset!r} reset" + (" and an input scale" if rule.scale is not None else "")
            raise ValueError(f'bounds: got "prefix" for {node.name}, {told}, expected to subtract, and no scale')
        assert isinstance(node.layer, LIF)
        if self.counting:
            return x.each(lambda current: node.layer(current, self.num_steps))
        layer = node.layer
        return PrefixEnds(*coupled_ends(x.low, x.high, layer.dynamics, self.num_steps, layer.kernel))

    def read(self, node: Read, x: PrefixEnds) -> PrefixEnds:
        """Return what the readout reads: a mean over time, or the last potential of neurons that never fire.

        Raises:
            ValueError: for a potential of currents that are scaled over time.
        """
        if node.rule is None:
            return x.each(lambda end: end.mean(0, keepdim=True))
        assert isinstance(node.rule, Leaky)
        if node.rule.scale is not None:
            raise ValueError('bounds: got "prefix" and a potential with an input scale, expected none')
        weights = [node.rule.decay**age for age in reversed(range(self.num_steps))]
        return x.each(lambda end: _weighted(end, weights))


def counts(made: Circuit) -> bool:
    """Return whether no neuron of a circuit forgets: sums over time are then all that bounds need."""
    rules = [node.rule for node in made.nodes if isinstance(node, (Fired, Read))]
    return all(isinstance(rule, Leaky) and rule.decay == 1.0 for rule in rules if rule is not None)


def _weighted(end: Tensor, weights: list[float]) -> Tensor:
    """Return Σ_t w[t]·end[t], (1, batch, ...)."""
    steps = end.expand(len(weights), *end.shape[1:])
    return torch.einsum("t,t...->...", end.new_tensor(weights), steps)[None]
