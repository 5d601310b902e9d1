"""What a layer's real numbers become on a chip: mantissas of so many bits, a unit, a threshold, decays.

Mantissas are m = round(s·w) with s = (2^(bits−1) − 1)/max|w|, one s a layer; the chip multiplies them by a unit, a
power of two, and by inputs that stand for `entering` units each. A potential of 1 is so many units:

    σ = s·unit·entering,    θ' = round(σ·θ),    b' = round(σ·b).

Loihi (lava's weights of mixed sign, Davies et al., 2018): unit 2^(6 + e) and a bit that the sign takes, thresholds
in 64ths of 2^12, decays in 4096ths, biases of 12 bits and an exponent; a hard reset, v > θ'. The unit is lowered
where the greatest sum that weights and inputs allow would pass 24 bits.
Xylo (Rockpool's `global_quantize`, layer by layer): 16 bits, decays by shifts, dash = round(log2(1/(1 − λ))); it
subtracts, fires up to 31 times a step (once in the readout), v ≥ θ'. Inputs are at most 15 a step. Each neuron has
a synapse, i ← g(i + c), which leaves κ of what enters: σ = s·unit·entering·κ'. There is no bias.
SpiNNaker: s16.15, V ← α − rnd(e·(α − V)), α = c/(1 − λ), so weights are divided by 1 − λ; a hard reset.
qM.N: N bits behind the point of M + N in all, sums and decays rounded to them; behind graded inputs 0..L the first
layer keeps ⌈log2 L⌉ bits more.
"""

import math
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...files.plugged import is_plugged, plugged
from ..elements.integers import NOTHING_LOST, IntegerLIF, WholeDecay
from ..rules import Leaky


@dataclass(frozen=True)
class BuiltLayer:
    """What a weighted layer and its neurons become.

    Attributes:
        name: of the layer, as in the network's state dict.
        weight, bias: whole.
        neuron: None for what a readout sums up.
        scale: σ, how many units a potential of 1 is.
        unit: what mantissas are multiplied with.
        clipped: how many weights were beyond the greatest mantissa.
        decay: λ, and what it became.
    """

    name: str
    weight: Tensor
    bias: Tensor
    neuron: IntegerLIF
    scale: float
    unit: int
    clipped: int
    decay: tuple[float, float]

    @property
    def threshold(self) -> int:
        """Return θ'."""
        return self.neuron.stepped.threshold


@dataclass(frozen=True)
class RealLayer:
    """A weighted layer of the real network with its neurons.

    Attributes:
        name, weight, bias: of the layer, float64; the bias 0 where it has none.
        rule: of its neurons; None where a readout sums its outputs up.
        synapse: κ of a synapse between them, or None.
        entering: how many units an input of 1 is.
        most: the greatest input, in units.
        last: whether the classes are counts of these spikes.
        share: of the readout's steps in which spikes may arrive.
    """

    name: str
    weight: Tensor
    bias: Tensor
    rule: Leaky | None
    synapse: float | None
    entering: int
    most: int
    last: bool
    share: float = 1.0


class ChipTarget(ABC):
    """A chip."""

    name: str
    resets: ClassVar[tuple[str, ...]]
    levels: ClassVar[int] = 255
    """The greatest graded input."""
    delays: ClassVar[bool] = False
    """Whether spikes arrive one step later at the next layer."""
    most: ClassVar[int] = 1
    """Spikes a step of a hidden layer."""

    @abstractmethod
    def build(self, part: RealLayer, bits: int, keep: float) -> BuiltLayer:
        """Return what a layer becomes, with mantissas of so many bits, of which a share `keep` is not clipped."""

    def real(self, part: RealLayer, built: BuiltLayer) -> tuple[Tensor, Tensor]:
        """Return the real weights and biases that the whole ones stand for, float64."""
        share = self.gain(part, built) / built.scale
        return built.weight * (part.entering * share), built.bias * (share / part.share)

    def gain(self, part: RealLayer, built: BuiltLayer) -> float:
        """Return what neurons make of one unit that enters."""
        return 1.0


@dataclass(frozen=True)
class Mantissas:
    """round(s·w), cut at ±(2^(bits−1) − 1), and s."""

    values: Tensor
    scale: float
    clipped: int

    @staticmethod
    def of(weight: Tensor, bits: int, keep: float, most_scale: float = math.inf) -> "Mantissas":
        """Return those of a layer; s is at most `most_scale`."""
        top = 2 ** (bits - 1) - 1
        sizes = weight.abs().flatten()
        largest = float(sizes.max() if keep == 1.0 else sizes.sort().values[math.ceil(keep * len(sizes)) - 1])
        scale = min(top / largest if largest > 0 else math.inf, most_scale)
        scale = scale if scale < math.inf else 1.0
        rounded = (weight * scale).round()
        return Mantissas(rounded.clamp(-top, top), scale, int((rounded.abs() > top).sum()))

    @staticmethod
    def of_power(weight: Tensor, bits: int, keep: float) -> "Mantissas":
        """Return those whose s is 2^−k, k ≥ 0: weights in units of the potential."""
        best = Mantissas.of(weight, bits, keep, 1.0)
        return Mantissas.of(weight, bits, keep, 2.0 ** math.floor(math.log2(best.scale)))

    def worst(self, most: int) -> Tensor:
        """Return Σ|m|·most of each output."""
        return self.values.abs().flatten(1).sum(1) * most


def _threshold(part: RealLayer, scale: float, top: int, grain: int = 1) -> int:
    """Return θ' ≥ 1, a multiple of `grain`.

    Raises:
        ValueError: where it passes the greatest potential.
    """
    assert part.rule is not None
    found = max(1, round(scale * part.rule.threshold / grain)) * grain
    if found > top:
        raise ValueError(f"network: {part.name}: a threshold of {found} units passes {top}, the chip's greatest")
    return found


@dataclass(frozen=True)
class Loihi(ChipTarget):
    """Loihi 1 and 2, by lava's bit-accurate processes."""

    name: str = "loihi"
    resets: ClassVar[tuple[str, ...]] = ("zero",)
    top: ClassVar[int] = 2**23 - 1

    def build(self, part: RealLayer, bits: int, keep: float) -> BuiltLayer:
        """Return a layer: the unit is halved until no sum can wrap and the threshold fits."""
        mantissas, unit = Mantissas.of(part.weight, bits, keep), 2 ** (7 + 8 - min(bits, 8))
        threshold = 0.0 if part.rule is None else part.rule.threshold
        while unit > 1 and self._reach(part, mantissas, unit, threshold) > self.top:
            unit //= 2
        scale = mantissas.scale * unit * part.entering
        bias = _significant((part.bias * scale * part.share).round(), 12)
        weight, counted = mantissas.values * unit, (mantissas.clipped, unit)
        common = {"bits": 24, "symmetric": True, "current_bits": 24, "fires_at": ">"}
        if part.rule is None:
            neuron = IntegerLIF(NOTHING_LOST, self.top, reset="none", **common)
            return BuiltLayer(part.name, weight, bias, neuron, scale, counted[1], counted[0], (1.0, 1.0))
        leak = WholeDecay("truncate", 12, round(part.rule.decay * 4096))
        synapse = (
            None if part.synapse is None else WholeDecay("truncate", 12, min(4095, round(part.synapse * 4096)))
        )
        neuron = IntegerLIF(leak, _threshold(part, scale, self.top, 64), synapse=synapse, **common)
        decay = part.rule.decay, leak.share
        return BuiltLayer(part.name, weight, bias, neuron, scale, counted[1], counted[0], decay)

    def _reach(self, part: RealLayer, mantissas: Mantissas, unit: int, threshold: float) -> float:
        scale = mantissas.scale * unit * part.entering
        worst = float((mantissas.worst(part.most) * unit + (part.bias * scale).abs()).max())
        return max(worst, scale * threshold + 64)


@dataclass(frozen=True)
class Xylo(ChipTarget):
    """Xylo, by Rockpool's mapping."""

    name: str = "xylo"
    resets: ClassVar[tuple[str, ...]] = ("subtract",)
    levels: ClassVar[int] = 15
    delays: ClassVar[bool] = True
    most: ClassVar[int] = 31
    top: ClassVar[int] = 2**15 - 1

    def build(self, part: RealLayer, bits: int, keep: float) -> BuiltLayer:
        """Return a layer: weights and threshold by one scale, which the threshold's width may lower.

        Raises:
            ValueError: for neurons without a synapse, a bias, or outputs that nothing fires for.
        """
        if part.rule is None or part.synapse is None:
            told = "a Synapse and LIF behind each weighted layer, the last one too"
            raise ValueError(f"network: {part.name} has no such neurons, expected {told}, as {self.name} has them")
        if bool((part.bias != 0).any()):
            raise ValueError(f"network: {part.name} has a bias, expected none on {self.name}")
        unit, synapse, leak = 2 ** (8 - min(bits, 8)), _dash(part.synapse, 1), _dash(part.rule.decay, 0)
        grown = unit * part.entering * synapse.share
        mantissas = Mantissas.of(part.weight, bits, keep, (self.top - 1) / (part.rule.threshold * grown))
        scale = mantissas.scale * grown
        neuron = IntegerLIF(
            leak,
            _threshold(part, scale, self.top),
            reset="subtract",
            most=1 if part.last else self.most,
            synapse=synapse,
            decays_last=True,
            bits=16,
            current_bits=16,
            saturating_sums=True,
        )
        weight, decay = mantissas.values * unit, (part.rule.decay, leak.share)
        bias = torch.zeros_like(part.bias)
        return BuiltLayer(part.name, weight, bias, neuron, scale, unit, mantissas.clipped, decay)

    def gain(self, part: RealLayer, built: BuiltLayer) -> float:
        """Return κ', what a synapse leaves of what enters."""
        synapse = built.neuron.stepped.synapse
        assert synapse is not None
        return synapse.share


@dataclass(frozen=True)
class FixedPoint(ChipTarget):
    """Numbers with a fixed point: SpiNNaker's s16.15, where the potential goes towards its drive, and qM.N.

    Attributes:
        whole_bits, fraction: M and N; the sign is one of M.
        towards: whether it goes towards its drive.
    """

    name: str
    whole_bits: int
    fraction: int
    towards: bool = False

    @property
    def resets(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return what it has: of SpiNNaker the hard reset alone."""
        return ("zero",) if self.towards else ("zero", "subtract")

    def build(self, part: RealLayer, bits: int, keep: float) -> BuiltLayer:
        """Return a layer: potentials of N bits behind the point, and those of graded inputs beside."""
        more = 0 if self.towards else math.ceil(math.log2(part.entering))
        width = self.whole_bits + self.fraction + more
        scale, top = 2.0 ** (self.fraction + more), 2 ** (width - 1) - 1
        decay = 0.0 if part.rule is None else part.rule.decay
        gain = 1.0 / (1.0 - decay) if self.towards and part.rule is not None else 1.0
        mantissas = Mantissas.of_power(part.weight * gain * scale / part.entering, bits, keep)
        unit = round(1.0 / mantissas.scale)
        weight, bias = mantissas.values * unit, (part.bias * gain * scale * part.share).round()
        common = {"bits": width, "current_bits": 32}
        if part.rule is None:
            neuron, decays = IntegerLIF(NOTHING_LOST, top, reset="none", **common), (1.0, 1.0)
        else:
            shift = min(self.fraction, 15)
            leak = WholeDecay("nearest", shift, round(decay * 2**shift))
            synapse = None
            if part.synapse is not None:
                synapse = WholeDecay("nearest", shift, round(part.synapse * 2**shift))
            common |= {"fires_at": part.rule.fires_at, "reset": part.rule.reset, "synapse": synapse}
            neuron = IntegerLIF(leak, _threshold(part, scale, top), towards=self.towards, **common)
            decays = decay, leak.share
        return BuiltLayer(part.name, weight, bias, neuron, scale, unit, mantissas.clipped, decays)

    def gain(self, part: RealLayer, built: BuiltLayer) -> float:
        """Return 1 − λ of neurons that go towards their drive."""
        return 1.0 - part.rule.decay if self.towards and part.rule is not None else 1.0


def _dash(decay: float, least: int) -> WholeDecay:
    """Return Xylo's shift for a decay: round(log2(1/(1 − λ))), from `least` to 15."""
    return WholeDecay("dash", 15 if decay >= 1.0 else min(15, max(least, round(-math.log2(1.0 - decay)))))


def _significant(values: Tensor, bits: int) -> Tensor:
    """Return whole numbers with so many leading bits each: a mantissa and an exponent."""
    exponent = (values.abs().clamp_min(1.0).log2().floor() - (bits - 1)).clamp_min(0.0)
    grain = torch.exp2(exponent)
    return (values / grain).round() * grain


TARGETS: dict[str, ChipTarget] = {
    "loihi": Loihi(),
    "xylo": Xylo(),
    "spinnaker": FixedPoint("spinnaker", 17, 15, towards=True),
}
"""Chips by name; "qM.N" names a fixed point besides."""


def target_of(name: str) -> ChipTarget:
    """Return a chip, or a fixed point of M and N bits.

    Raises:
        TypeError, ValueError: for another name.
    """
    if not isinstance(name, str):
        raise TypeError(f"target: got {type(name).__name__}, expected a name")
    if name in TARGETS:
        return TARGETS[name]
    if is_plugged(name):
        made = plugged("chips", name).made()
        if not isinstance(made, ChipTarget):
            raise TypeError(
                f"target: {name} is {type(made).__name__}, expected a spikecert.models.chips ChipTarget"
            )
        return made
    found = re.fullmatch(r"q(\d{1,2})\.(\d{1,2})", name)
    if found is None:
        raise ValueError(f"target: got {name[:40]!r}, expected {', '.join(TARGETS)} or qM.N, such as q8.8")
    whole_bits, fraction = int(found[1]), int(found[2])
    if not (whole_bits >= 1 and 1 <= fraction <= 15 and whole_bits + fraction <= 24):
        raise ValueError(f"target: got {name!r}, expected 1 to 15 bits behind the point, and at most 24 in all")
    return FixedPoint(name, whole_bits, fraction)
