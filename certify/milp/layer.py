"""What an encoding is given of one spiking layer, for one sample, its neurons in a row."""

import functools
import operator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from scipy import sparse

from ...models.linear_neuron import LinearNeuron
from ...models.rules import Leaky
from ..bounds.signals.signals import Signal
from ..rounding import Rounding
from .program import Closing, Expressions, Program


@dataclass(frozen=True)
class EncodedLayer:
    """One spiking layer.

    Attributes:
        rule: of its neurons.
        current: what is known of its input current I, for a batch of one.
        spikes: what is known of its spikes.
        steps: I as expressions, one entry if constant, else T.
        slack: how far the run's I may be from those expressions, (n,).
        rounding: the dtype of the run.
        heard: V and b where the layer hears its own last spikes, whose V·s[t−1] + b adds to `steps`; else None.
        filter: H, (T, T), where that sum is filtered over time; else None.
        rest: for how many steps its neurons rest behind a spike.
        start: u[0].
    """

    rule: Leaky | LinearNeuron
    current: Signal
    spikes: Signal
    steps: tuple[Expressions, ...]
    slack: np.ndarray
    rounding: Rounding
    heard: tuple[sparse.csr_array, np.ndarray] | None = None
    filter: np.ndarray | None = None
    rest: int = 0
    start: float = 0.0

    def driven(self, t: int, spikes: list[Expressions]) -> Expressions:
        """Return I[t], for the spikes of the steps before."""
        if self.filter is None:
            return self._summed(t, spikes)
        sums = (self._summed(k, spikes[:k]).scaled(self.filter[t, k]) for k in range(t + 1))
        return functools.reduce(operator.add, sums)

    def _summed(self, t: int, spikes: list[Expressions]) -> Expressions:
        current = self.steps[t % len(self.steps)]
        if self.heard is None:
            return current
        weight, bias = self.heard
        before = spikes[-1] if spikes else Expressions.fixed(np.zeros(len(bias)))
        return current + before.image(weight, bias)

    @property
    def scale(self) -> np.ndarray:
        """Return the input scale a[t], (T,)."""
        return np.array(self.rule.factors(self.spikes.num_steps))


class LayerEncoding(Protocol):
    """Writes one spiking layer into a program and returns its spikes as expressions, one per step."""

    def __call__(self, program: Program, layer: EncodedLayer, closing: Closing) -> tuple[Expressions, ...]:
        """Add the layer's variables and rows."""
        ...


def array(tensor: torch.Tensor) -> np.ndarray:
    """Return a tensor as float64 numbers."""
    return tensor.detach().double().cpu().numpy()
