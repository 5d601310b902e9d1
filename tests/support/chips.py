"""Chips in integers: each rule written anew from its equations, in numpy's int64, and small random networks.

Nothing here shares code with the library but the network that is built of a case. Spikes are counts. A case whose
currents would leave their width on the way is told by `Overrun`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise, product
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spikecert import LIF, Delay, IntegerLIF, SpikingNetwork, WholeInput
from spikecert.models import WholeDecay

SIZES = (6, 6, 5, 3)
STEPS = 6


class Overrun(Exception):
    """A number left the width in which it wraps, or in which the order of a sum counts."""


@dataclass(frozen=True)
class Chip:
    """A rule.

    Attributes:
        name: of the rule.
        neuron: the library's layer.
        step: (state, weights, bias, inputs) ↦ (state, spikes), for inputs (N, features) and neurons' state.
        scale: what weights are multiplied with.
        most_input: inputs are 0 to this.
        bias: biases are up to this.
        counts: whether the classes are counts of a last spiking layer.
        delay: whether spikes arrive one step later.
        last: the library's layer of such a last layer, and its step.
    """

    name: str
    neuron: Callable[[], IntegerLIF]
    step: Callable[..., tuple[Any, np.ndarray]]
    scale: int = 1
    most_input: int = 3
    bias: int = 0
    counts: bool = False
    delay: bool = False
    last: tuple[Callable[[], IntegerLIF], Callable[..., tuple[Any, np.ndarray]]] | None = None


@dataclass
class Case:
    """A network of a chip with random weights."""

    chip: Chip
    weights: list[np.ndarray]
    biases: list[np.ndarray]
    network: SpikingNetwork = field(init=False)

    @staticmethod
    def drawn(chip: Chip, seed: int, sizes: tuple[int, ...] = SIZES) -> "Case":
        """Return one of int8 weights."""
        random = np.random.default_rng(seed)
        weights = [random.integers(-127, 128, (m, n)) * (random.random((m, n)) < 0.9) for n, m in pairwise(sizes)]
        biases = [random.integers(-chip.bias, chip.bias + 1, m) for m in sizes[1:]]
        return Case(chip, weights, biases)

    def __post_init__(self) -> None:
        layers: list[nn.Module] = [WholeInput(0, self.chip.most_input)]
        for index, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            layers.append(_dense(weight * self.chip.scale, bias))
            final = index == len(self.weights) - 1
            if not final:
                layers += [self.chip.neuron(), *([Delay(1)] if self.chip.delay else [])]
            elif self.chip.last is not None:
                layers.append(self.chip.last[0]())
            else:
                layers.append(LIF(1.0, reset="none"))
        readout = "spikes" if self.chip.counts else "potential"
        self.network = SpikingNetwork(*layers, num_steps=STEPS, readout=readout).double().eval()

    def outputs(self, inputs: np.ndarray) -> np.ndarray:
        """Return counts or sums of the last layer, (N, classes), of inputs (N, features) or (N, T, features)."""
        signal = [inputs] * STEPS if inputs.ndim == 2 else list(inputs.transpose(1, 0, 2))
        for index, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            weight, final = weight * self.chip.scale, index == len(self.weights) - 1
            if final and self.chip.last is None:
                return np.sum([x @ weight.T + bias for x in signal], axis=0)
            step = self.chip.last[1] if final and self.chip.last is not None else self.chip.step
            state, found = None, []
            for x in signal:
                state, spikes = step(state, weight, bias, x)
                found.append(spikes)
            if self.chip.delay and not final:
                found = [np.zeros_like(found[0]), *found[:-1]]
            signal = found
        return np.sum(signal, axis=0)


def _dense(weight: np.ndarray, bias: np.ndarray) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0]).double()
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight))
        layer.bias.copy_(torch.from_numpy(bias))
    return layer


def around(sample: np.ndarray, radius: int, most: int) -> np.ndarray:
    """Return all whole vectors within a radius and 0..most, (N, features)."""
    ends = [range(max(0, x - radius), min(most, x + radius) + 1) for x in sample.tolist()]
    return np.array(list(product(*ends)), dtype=np.int64)


def margins(outputs: np.ndarray, label: int) -> np.ndarray:
    """Return the least difference to another class, (N,)."""
    others = np.delete(outputs, label, 1)
    return outputs[:, label] - others.max(1)


def failing(outputs: np.ndarray, label: int, ties: str) -> np.ndarray:
    """Return which outputs have another class, (N,) of bool."""
    if ties == "strict":
        return margins(outputs, label) <= 0
    return outputs.argmax(1) != label


def tensor(inputs: np.ndarray) -> Tensor:
    """Return inputs as the library takes them."""
    return torch.from_numpy(inputs).double()


def _toward_zero(x: np.ndarray, shift: int) -> np.ndarray:
    return np.where(x < 0, -((-x) >> shift), x >> shift)


def _fits(x: np.ndarray, top: int, bottom: int | None = None) -> np.ndarray:
    if (x > top).any() or (x < (-top if bottom is None else bottom)).any():
        raise Overrun
    return x


def loihi(du: int, dv: int, vth: int, bits: int = 24) -> Callable[..., tuple[Any, np.ndarray]]:
    """Return Loihi's step: lava/proc/lif/models.py."""
    top = 2 ** (bits - 1) - 1

    def step(state: Any, weight: np.ndarray, bias: np.ndarray, x: np.ndarray) -> tuple[Any, np.ndarray]:
        current = x @ weight.T + bias
        u, v = state or (np.zeros_like(current), np.zeros_like(current))
        u = _fits(_toward_zero(u * (4096 - du - 1), 12) + current, 2**23 - 1)
        v = np.clip(_toward_zero(v * (4096 - dv), 12) + u, -top, top)
        spikes = (v > (vth << 6)).astype(np.int64)
        return (u, v * (1 - spikes)), spikes

    return step


def fixed(
    decay: Callable[[np.ndarray], np.ndarray], threshold: int, subtract: bool, bits: int = 16, wraps: bool = False
) -> Callable[..., tuple[Any, np.ndarray]]:
    """Return the step of a neuron in fixed point: v ← decay(v) + c, saturating, fires at ≥."""
    top = 2 ** (bits - 1) - 1

    def step(state: Any, weight: np.ndarray, bias: np.ndarray, x: np.ndarray) -> tuple[Any, np.ndarray]:
        current = _fits(x @ weight.T + bias, 2**23 - 1)
        v = np.zeros_like(current) if state is None else state
        v = decay(v) + current
        v = _fits(v, top, -top - 1) if wraps else np.clip(v, -top - 1, top)
        spikes = (v >= threshold).astype(np.int64)
        return v - threshold * spikes if subtract else v * (1 - spikes), spikes

    return step


def xylo(
    dash_syn: int, dash_mem: int, threshold: int, most: int = 31, bits: int = 16
) -> Callable[..., tuple[Any, np.ndarray]]:
    """Return Xylo's step, v1: spike by spike into a saturating current, which decays then; XyloIAFNeuron.cpp."""
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1

    def leak(x: np.ndarray, dash: int) -> np.ndarray:
        shifted = x >> dash
        return x - np.where((shifted == 0) & (x > 0), 1, shifted)

    def step(state: Any, weight: np.ndarray, bias: np.ndarray, x: np.ndarray) -> tuple[Any, np.ndarray]:
        shape = (len(x), len(weight))
        i, v = state or (np.zeros(shape, np.int64), np.zeros(shape, np.int64))
        for source in range(x.shape[1]):
            for spike in range(int(x[:, source].max(initial=0))):
                due = (x[:, source] > spike)[:, None]
                i = np.where(due, np.clip(i + weight[:, source], -(2**15), 2**15 - 1), i)
        i = leak(i, dash_syn)
        v = np.clip(leak(v, dash_mem) + i, low, high)
        spikes = np.zeros(shape, np.int64)
        for _ in range(most):
            fires = v >= threshold
            v, spikes = v - threshold * fires, spikes + fires
        return (i, v), spikes

    return step


def spinnaker(factor: int, threshold: int, rest: int) -> Callable[..., tuple[Any, np.ndarray]]:
    """Return SpiNNaker's closed form, s16.15: V ← α − rnd(e·(α − V)), R steps deaf behind a spike."""

    def step(state: Any, weight: np.ndarray, bias: np.ndarray, x: np.ndarray) -> tuple[Any, np.ndarray]:
        alpha = _fits(x @ weight.T + bias, 2**31 - 1)
        v, waits = state or (np.zeros_like(alpha), np.zeros_like(alpha))
        moved = alpha + (((v - alpha) * factor + 2**14) >> 15)
        v = np.where(waits > 0, 0, np.clip(moved, -(2**31), 2**31 - 1))
        spikes = (v >= threshold).astype(np.int64)
        waits = np.where(spikes > 0, rest, np.maximum(waits - 1, 0))
        return (v * (1 - spikes), waits), spikes

    return step


def _loihi(name: str, du: int, dv: int, vth: int, bits: int = 24) -> Chip:
    synapse = WholeDecay("truncate", 12, 4096 - du - 1)

    def neuron() -> IntegerLIF:
        leak = WholeDecay("truncate", 12, 4096 - dv)
        return IntegerLIF(leak, vth << 6, fires_at=">", symmetric=True, bits=bits, synapse=synapse)

    return Chip(name, neuron, loihi(du, dv, vth, bits), scale=64, bias=640)


def _fixed(name: str, leak: WholeDecay, decay: Callable[[np.ndarray], np.ndarray], theta: int, **how: Any) -> Chip:
    subtract, bits, wraps = how.pop("subtract"), how.pop("bits", 16), how.pop("wraps", False)

    def neuron() -> IntegerLIF:
        reset = "subtract" if subtract else "zero"
        return IntegerLIF(leak, theta, reset=reset, bits=bits, overflow="refuse" if wraps else "saturate")

    return Chip(name, neuron, fixed(decay, theta, subtract, bits, wraps), bias=40)


def _xylo(name: str, dash_syn: int, dash_mem: int, theta: int, bits: int = 16, delay: bool = True) -> Chip:
    def made(most: int, threshold: int) -> Callable[[], IntegerLIF]:
        constants = {
            "reset": "subtract",
            "bits": bits,
            "current_bits": 16,
            "saturating_sums": True,
            "decays_last": True,
        }
        synapse = WholeDecay("dash", dash_syn)
        return lambda: IntegerLIF(WholeDecay("dash", dash_mem), threshold, most=most, synapse=synapse, **constants)

    last = made(1, theta // 2), xylo(dash_syn, dash_mem, theta // 2, 1, bits)
    step = xylo(dash_syn, dash_mem, theta, 31, bits)
    return Chip(name, made(31, theta), step, most_input=2, counts=True, delay=delay, last=last)


def _spinnaker(name: str, factor: int, theta: int, rest: int) -> Chip:
    def neuron() -> IntegerLIF:
        leak = WholeDecay("nearest", 15, factor)
        return IntegerLIF(leak, theta, bits=32, current_bits=32, towards=True, rest=rest)

    return Chip(name, neuron, spinnaker(factor, theta, rest), bias=40)


CHIPS = (
    _loihi("loihi", 4095, 409, 150),
    _loihi("loihi cuba", 2048, 409, 300),
    _loihi("loihi saturating", 4095, 200, 150, bits=15),
    _fixed("shift", WholeDecay("shift", 3), lambda v: v - (v >> 3), 150, subtract=False),
    _fixed("shift subtracting", WholeDecay("shift", 2), lambda v: v - (v >> 2), 150, subtract=True),
    _fixed("nearest", WholeDecay("nearest", 8, 230), lambda v: (v * 230 + 128) >> 8, 150, subtract=False),
    _fixed("floor", WholeDecay("floor", 8, 200), lambda v: (v * 200) >> 8, 150, subtract=True),
    _fixed("narrow", WholeDecay("shift", 3), lambda v: v - (v >> 3), 120, subtract=True, bits=9),
    _fixed("wrapping", WholeDecay("shift", 3), lambda v: v - (v >> 3), 150, subtract=False, bits=13, wraps=True),
    _xylo("xylo", 1, 3, 220),
    _xylo("xylo undelayed", 2, 2, 450, delay=False),
    _xylo("xylo saturating", 1, 2, 200, bits=10),
    _spinnaker("spinnaker", 16384, 100, 2),
)
