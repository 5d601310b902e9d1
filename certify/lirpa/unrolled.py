"""A spiking network as a plain feed-forward module over its T steps, in float64, for auto_LiRPA to trace.

A signal is a list of tensors (batch, ...), one per step, or one alone where it is constant over time.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...models.dynamics import Dynamics
from ...models.layers import Residual
from ...models.networks import SpikingNetwork
from ...models.neurons import LIF
from .affine import UnrollError, rewritten

SPIKE, RESIDUE = "spikecert::Spike", "spikecert::Residue"


class Spike(torch.autograd.Function):
    """s = 1 where v fires."""

    @staticmethod
    def forward(ctx: Any, potential: Tensor, dynamics: Dynamics, layer: int) -> Tensor:
        """Return the spikes of layer number `layer`."""
        fires = torch.ge if dynamics.fires_at == ">=" else torch.gt
        return fires(potential, dynamics.threshold).to(potential.dtype)

    @staticmethod
    def symbolic(g: Any, potential: Any, dynamics: Dynamics, layer: int) -> Any:
        """Return the node of the traced graph."""
        return g.op(SPIKE, potential, layer_i=layer).setType(potential.type())


class Residue(torch.autograd.Function):
    """λ·u: what a potential leaves to the next step. The spike is an input so that a plane may use it."""

    @staticmethod
    def forward(ctx: Any, potential: Tensor, spike: Tensor, dynamics: Dynamics, layer: int) -> Tensor:
        """Return λ·u of layer number `layer`."""
        if dynamics.reset == "zero":
            return dynamics.decay * (potential * (1.0 - spike))
        if dynamics.reset == "subtract":
            return dynamics.decay * (potential - dynamics.drop * spike)
        return dynamics.decay * potential

    @staticmethod
    def symbolic(g: Any, potential: Any, spike: Any, dynamics: Dynamics, layer: int) -> Any:
        """Return the node of the traced graph."""
        return g.op(RESIDUE, potential, spike, layer_i=layer).setType(potential.type())


class Stage(nn.Module):
    """One step of the unrolled network: a signal in, a signal out."""

    def forward(self, signal: list[Tensor]) -> list[Tensor]:
        """Return the signal behind this stage."""
        raise NotImplementedError


class Affine(Stage):
    """An affine layer, step by step."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, signal: list[Tensor]) -> list[Tensor]:
        """Return layer(x[t]) for each t."""
        return [self.layer(x) for x in signal]


class Membrane(Stage):
    """A spiking layer: v[t] = λ·u[t−1] + a[t]·I[t]."""

    def __init__(self, neuron: LIF, index: int, num_steps: int) -> None:
        super().__init__()
        scale = neuron.scale(num_steps)
        self.dynamics, self.index = neuron.dynamics, index
        self.scale = [1.0] * num_steps if scale is None else scale.detach().double().tolist()

    def forward(self, signal: list[Tensor]) -> list[Tensor]:
        """Return the spikes; the last residue is not needed."""
        trains: list[Tensor] = []
        carried: Any = None
        for t, scale in enumerate(self.scale):
            current = _scaled(signal[t if len(signal) > 1 else 0], scale)
            potential = current if carried is None else carried + current
            spike: Any = Spike.apply(potential, self.dynamics, self.index)
            trains.append(spike)
            if t + 1 < len(self.scale) and self.dynamics.decay > 0:
                carried = Residue.apply(potential, spike, self.dynamics, self.index)
        return trains


class Sum(Stage):
    """The sum of two chains of stages."""

    def __init__(self, branch: Iterable[Stage], shortcut: Iterable[Stage]) -> None:
        super().__init__()
        self.branch, self.shortcut = nn.Sequential(*branch), nn.Sequential(*shortcut)

    def forward(self, signal: list[Tensor]) -> list[Tensor]:
        """Return branch + shortcut, for each step; a constant part counts at each."""
        first, second = self.branch(signal), self.shortcut(signal)
        steps = range(max(len(first), len(second)))
        return [first[t if len(first) > 1 else 0] + second[t if len(second) > 1 else 0] for t in steps]


@dataclass(frozen=True)
class Readout:
    """logits = factor·affine(Σ_t weights[t]·x[t]), the weights summing to 1."""

    weights: tuple[float, ...]
    factor: float


class Unrolled(nn.Module):
    """The network over its T steps; logits = `readout.factor`·forward(inputs).

    Args:
        network: in evaluation mode, with encoding "direct" or "none".
        inputs: a batch that shows the shape.

    Attributes:
        summands: at least the number of terms in any sum that a bound of this module makes.

    Raises:
        UnrollError: for a layer, a readout or an encoding that can't be written this way.
    """

    def __init__(self, network: SpikingNetwork, inputs: Tensor) -> None:
        super().__init__()
        if network.encoding not in ("direct", "none"):
            raise UnrollError(f'encoding: got {network.encoding!r}, expected "direct" or "none" for lirpa')
        self.readout = readout_of(network)
        self.steps = 0 if network.encoding == "direct" else network.num_steps
        compiler = _Compiler(network)
        layers = list(network.layers)[: -1 if network.readout == "potential" else None]
        split = _trailing(layers)
        sample = inputs[:1].double() if self.steps == 0 else inputs[:1, 0].double()
        stages, sample = compiler.compile(layers[:split], sample)
        last, _ = compiler.compile(layers[split:], sample)
        self.stages, self.last = nn.Sequential(*stages), nn.Sequential(*last)
        self.summands = network.num_steps * (compiler.size + 2 * inputs[0].numel())

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits/factor, (batch, classes)."""
        signal = [inputs] if self.steps == 0 else [inputs[:, t] for t in range(self.steps)]
        signal = self.stages(signal)
        mean = signal[0]
        if len(signal) > 1:
            mean = _scaled(signal[0], self.readout.weights[0])
            for x, weight in zip(signal[1:], self.readout.weights[1:], strict=True):
                mean = mean + _scaled(x, weight)
        return self.last([mean])[0]


class _Compiler:
    """Turns layers into stages, numbers the spiking ones in execution order, and adds up the signals' sizes."""

    def __init__(self, network: SpikingNetwork) -> None:
        self.num_steps = network.num_steps
        self.neurons = 0
        self.size = 0

    @torch.no_grad()
    def compile(self, layers: Iterable[nn.Module], sample: Tensor) -> tuple[list[Stage], Tensor]:
        """Return the stages and what `sample` (the shape of one step, batch 1) becomes behind them."""
        stages: list[Stage] = []
        for layer in layers:
            stage, sample = self._stage(layer, sample)
            stages.append(stage)
            self.size += 2 * sample.numel()
        return stages, sample

    def _stage(self, layer: nn.Module, sample: Tensor) -> tuple[Stage, Tensor]:
        if isinstance(layer, Residual):
            branch, result = self.compile(layer.branch, sample)
            shortcut, _ = self.compile(layer.shortcut, sample)
            return Sum(branch, shortcut), result
        if isinstance(layer, LIF):
            self.neurons += 1
            return Membrane(layer, self.neurons - 1, self.num_steps), sample
        if isinstance(layer, nn.Linear) and sample.dim() > 2:
            raise UnrollError(f"layer: got {layer} on images, expected a linear layer on vectors for lirpa")
        stage = Affine(rewritten(layer, sample.shape[1]).to(sample.device))
        return stage, stage.layer(sample)


def readout_of(network: SpikingNetwork) -> Readout:
    """Return the readout as a weighted mean over time and a factor.

    Raises:
        UnrollError: where the weights of a "potential" readout cancel.
    """
    steps = network.num_steps
    neuron = network.layers[-1]
    if network.readout != "potential" or not isinstance(neuron, LIF):
        return Readout((1.0 / steps,) * steps, 1.0)
    scale = neuron.scale(steps)
    scales = [1.0] * steps if scale is None else scale.detach().double().tolist()
    row = [a * neuron.dynamics.decay ** (steps - 1 - t) for t, a in enumerate(scales)]
    factor = sum(row)
    if factor == 0.0:
        raise UnrollError("readout: got input scales that cancel over time, expected a sum other than 0 for lirpa")
    return Readout(tuple(weight / factor for weight in row), factor)


def _trailing(layers: list[nn.Module]) -> int:
    """Return where the last run of affine layers starts: a mean over time may be taken there."""
    split = len(layers)
    while split > 0 and not isinstance(layers[split - 1], LIF | Residual):
        split -= 1
    return split


def _scaled(tensor: Tensor, factor: float) -> Tensor:
    return tensor if factor == 1.0 else tensor * factor
