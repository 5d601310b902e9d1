"""A spiking network as a plain feed-forward module over its T steps, in float64, for auto_LiRPA to trace.

A signal is a list of tensors (batch, ...), one per step, or one alone where it is constant over time.
"""

import itertools
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ...models.circuit import (
    Added,
    Algebra,
    Circuit,
    Filtered,
    Fired,
    Input,
    Mapped,
    Pooled,
    Read,
    Recurred,
    fold,
)
from ...models.deadline import check_time
from ...models.elements.refractory import Refractory
from ...models.elements.varied import Varied
from ...models.linear_maps import DenseMap, NoPlainModule
from ...models.rules import Leaky, Rule
from ...models.running.readouts import LINEAR

Steps = list[Tensor]
SPIKE, RESIDUE = "spikecert::Spike", "spikecert::Residue"


class UnrollError(ValueError):
    """A network has a part that can't be written for auto_LiRPA, or one on which that itself raises."""


class Spike(torch.autograd.Function):
    """s = 1 where v fires."""

    @staticmethod
    def forward(ctx: Any, potential: Tensor, rule: Leaky, layer: int) -> Tensor:
        """Return the spikes of layer number `layer`."""
        check_time()  # of many steps, tracing alone takes long
        fires = torch.ge if rule.fires_at == ">=" else torch.gt
        return fires(potential, rule.threshold).to(potential.dtype)

    @staticmethod
    def symbolic(g: Any, potential: Any, rule: Leaky, layer: int) -> Any:
        """Return the node of the traced graph."""
        return g.op(SPIKE, potential, layer_i=layer).setType(potential.type())


class Residue(torch.autograd.Function):
    """λ·u: what a potential leaves to the next step. The spike is an input so that a plane may use it."""

    @staticmethod
    def forward(ctx: Any, potential: Tensor, spike: Tensor, rule: Leaky, layer: int) -> Tensor:
        """Return λ·u of layer number `layer`."""
        if rule.reset == "zero":
            return rule.decay * (potential * (1.0 - spike))
        if rule.reset == "subtract":
            return rule.decay * (potential - rule.drop * spike)
        return rule.decay * potential

    @staticmethod
    def symbolic(g: Any, potential: Any, spike: Any, rule: Leaky, layer: int) -> Any:
        """Return the node of the traced graph."""
        return g.op(RESIDUE, potential, spike, layer_i=layer).setType(potential.type())


class Stepwise(nn.Module):
    """An affine layer, step by step."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, signal: Steps) -> Steps:
        """Return layer(x[t]) for each t."""
        return [self.layer(x) for x in signal]


class Firing(nn.Module):
    """A spiking layer: v[t] = λ·u[t−1] + a[t]·I[t]."""

    def __init__(self, rule: Leaky, index: int, num_steps: int) -> None:
        super().__init__()
        self.rule, self.index, self.scale = rule, index, rule.factors(num_steps)

    def forward(self, signal: Steps) -> Steps:
        """Return the spikes; the last residue is not needed."""
        trains: Steps = []
        carried: Any = None
        for t, scale in enumerate(self.scale):
            current = _scaled(_at(signal, t), scale)
            potential = current if carried is None else carried + current
            spike: Any = Spike.apply(potential, self.rule, self.index)
            trains.append(spike)
            if t + 1 < len(self.scale) and self.rule.decay > 0:
                carried = Residue.apply(potential, spike, self.rule, self.index)
        return trains


class Adding(nn.Module):
    """The sum of two signals; a constant one counts at each step."""

    def forward(self, first: Steps, second: Steps) -> Steps:
        """Return first[t] + second[t]."""
        return [_at(first, t) + _at(second, t) for t in range(max(len(first), len(second)))]


@dataclass(frozen=True)
class Readout:
    """logits = factor·affine(Σ_t weights[t]·x[t]), the weights summing to 1."""

    weights: tuple[float, ...]
    factor: float


class Unrolled(nn.Module):
    """The network over its T steps; logits = `readout.factor`·forward(inputs).

    Args:
        circuit: with encoding "direct" or "none".
        inputs: a batch that shows the shape.

    Attributes:
        summands: at least the number of terms in any sum that a bound of this module makes.

    Raises:
        UnrollError: for a layer, a readout or an encoding that can't be written this way.
    """

    def __init__(self, circuit: Circuit, inputs: Tensor) -> None:
        super().__init__()
        if circuit.source.encoding not in _Writing.encodings:
            raise UnrollError(f'encoding: got {circuit.source.encoding!r}, expected "direct" or "none" for lirpa')
        self.readout = readout_of(circuit)
        self.steps = circuit.num_steps if circuit.timed else 0
        writing = _Writing(circuit.arranged(inputs[:1].double())[0], circuit.num_steps, nn.ModuleList())
        samples = fold(circuit, writing)[:-1]
        self.parts = writing.parts
        self.sources = [node.sources for node in circuit.nodes[1:-1]]
        self.split = _trailing(circuit)
        signals = 2 * sum(sample.numel() for sample in samples[1:])
        self.summands = circuit.num_steps * (signals + 2 * inputs[0].numel())

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits/factor, (batch, classes)."""
        signals = [[inputs] if self.steps == 0 else [inputs[:, t] for t in range(self.steps)]]
        for index, (part, sources) in enumerate(zip(self.parts, self.sources, strict=True), start=1):
            taken = [signals[source] for source in sources]
            signals.append(part(*([self._mean(taken[0])] if index == self.split else taken)))
        return (self._mean(signals[-1]) if self.split == len(signals) else signals[-1])[0]

    def _mean(self, signal: Steps) -> Steps:
        """Return the weighted mean over time, as a signal of one step."""
        if len(signal) == 1:
            return signal
        mean = _scaled(signal[0], self.readout.weights[0])
        for x, weight in zip(signal[1:], self.readout.weights[1:], strict=True):
            mean = mean + _scaled(x, weight)
        return [mean]


@dataclass(frozen=True)
class _Writing(Algebra[Tensor]):
    """Writes a module for each node behind the input; a node's value is the shape of one step, a batch of 1."""

    reader: ClassVar[str] = "lirpa"
    rules: ClassVar[tuple[type[Rule], ...]] = (Leaky, Varied, Refractory)
    encodings: ClassVar[tuple[str, ...]] = ("direct", "none")

    sample: Tensor
    num_steps: int
    parts: nn.ModuleList

    def input(self, node: Input) -> Tensor:
        """Return one step of the input."""
        return self.sample

    def mapped(self, node: Mapped, x: Tensor) -> Tensor:
        """Write an affine map."""
        if isinstance(node.map, DenseMap) and x.dim() > 2:
            raise UnrollError(f"layer: got {node.map} on images, expected a linear layer on vectors for lirpa")
        if node.map.rank == 3 and x.dim() != 4:
            raise UnrollError(f"layer: got {node.map} on {x.dim() - 1} axes, expected images for lirpa")
        try:
            layer = node.map.module(x.shape[1])
        except NoPlainModule as error:
            raise UnrollError(str(error)) from error
        self.parts.append(Stepwise(layer.to(x.device).requires_grad_(False)))
        return node.map.to(torch.float64).linear(x)

    def pooled(self, node: Pooled, x: Tensor) -> Tensor:
        """Refuse a max pool: its relaxation is no plain module."""
        raise UnrollError(f"layer: got {node.windows}, expected no max pool for lirpa")

    def filtered(self, node: Filtered, x: Tensor) -> Tensor:
        """Refuse a filter: what is unrolled step by step has no node over time."""
        raise UnrollError(f"layer: got {node.filter}, expected no synapse for lirpa")

    def added(self, node: Added, x: Tensor, y: Tensor) -> Tensor:
        """Write a sum."""
        self.parts.append(Adding())
        return x

    def fired(self, node: Fired, x: Tensor) -> Tensor:
        """Write a spiking layer; they are numbered in order."""
        if isinstance(node.rule, Varied):
            raise UnrollError("layer: got neurons whose constants differ, expected one λ and θ a layer for lirpa")
        if isinstance(node.rule, Refractory):
            raise UnrollError(
                f"layer: {node.name} rests behind a spike or starts elsewhere, expected plain neurons for lirpa"
            )
        assert isinstance(node.rule, Leaky)
        index = sum(isinstance(part, Firing) for part in self.parts)
        self.parts.append(Firing(node.rule, index, self.num_steps))
        return x

    def recurred(self, node: Recurred, x: Tensor) -> Tensor:
        """Refuse a layer that hears itself."""
        raise UnrollError(f"layer: {node.name} hears its own spikes, expected no recurrence for lirpa")

    def read(self, node: Read, x: Tensor) -> Tensor:
        """Write nothing: `Unrolled` reads."""
        return x


def readout_of(circuit: Circuit) -> Readout:
    """Return the readout as a weighted mean over time and a factor.

    Raises:
        UnrollError: where the weights of a "potential" readout cancel.
    """
    steps, rule = circuit.num_steps, circuit.read.rule
    if circuit.read.readout not in LINEAR:
        raise UnrollError(f"readout: got {circuit.read.readout!r}, expected a sum over time for lirpa")
    if rule is None:
        return Readout((1.0 / steps,) * steps, 1.0)
    assert isinstance(rule, Leaky)
    powers = [rule.decay**n for n in range(steps)]
    reach = list(itertools.accumulate(powers)) if circuit.read.readout == "summed" else powers
    row = [a * reach[steps - 1 - t] for t, a in enumerate(rule.factors(steps))]
    factor = sum(row)
    if factor == 0.0:
        raise UnrollError("readout: got input scales that cancel over time, expected a sum other than 0 for lirpa")
    return Readout(tuple(weight / factor for weight in row), factor)


def _trailing(circuit: Circuit) -> int:
    """Return where the last run of affine maps starts: a mean over time may be taken there."""
    index = len(circuit.nodes) - 1
    while isinstance(circuit.nodes[index - 1], Mapped):
        index -= 1
    return index


def _at(signal: Steps, t: int) -> Tensor:
    return signal[t if len(signal) > 1 else 0]


def _scaled(tensor: Tensor, factor: float) -> Tensor:
    return tensor if factor == 1.0 else tensor * factor
