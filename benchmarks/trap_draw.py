"""Random choices for benchmarks/traps.py: constants of every numeric type, neurons of every kind, weights.

A constant is drawn as a number and then turned into one of `KINDS`. A library may refuse a kind, in one line, but
must never prove what is not so of a network that it takes.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from spikecert import DLIF, LIF, PLIF, OneSpikeLIF, Recurrent, RefractoryLIF, Share, Synapse, VariedLIF
from spikecert.models import Triangle

NUMPY_FLOATS = ("float16", "float32", "float64", "longdouble")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8")
TORCH_FLOATS = ("float16", "bfloat16", "float32", "float64")
UNSIGNED = ("uint16", "uint32", "uint64")


def _numpy(name: str) -> Callable[[float], Any]:
    def turn(value: float) -> Any:
        with np.errstate(over="ignore"):
            return getattr(np, name)(value)

    return turn


def _torch(name: str) -> Callable[[float], Any]:
    return lambda value: torch.tensor(value, dtype=getattr(torch, name))


WHOLE: dict[str, Callable[[float], Any]] = {
    "int": int,
    **{f"numpy {name}": _numpy(name) for name in (*INTEGERS, *UNSIGNED)},
    **{f"torch {name}": _torch(name) for name in INTEGERS},
}
REAL: dict[str, Callable[[float], Any]] = {
    **{f"numpy {name}": _numpy(name) for name in NUMPY_FLOATS},
    **{f"torch {name}": _torch(name) for name in TORCH_FLOATS},
    "Fraction": Fraction,
    "Decimal": lambda value: Decimal(repr(value)),
    "numpy array": np.array,
    "torch, one entry": lambda value: torch.tensor([value]),
    "str": repr,
    "complex": complex,
    "bool": bool,
    "numpy bool": np.bool_,
    "NaN": lambda _: math.nan,
    "inf": lambda _: math.inf,
}
KINDS: dict[str, Callable[[float], Any]] = {"float": float, **WHOLE, **REAL}
DECAYS = (0.0, 0.25, 0.5, 0.9, 0.99, 1.0, 1.0 - 2.0**-53, 1.0 - 2.0**-24, 2.0**-10, 1e-6, 1e-30)
USUAL = (1.0, 1.0, 1.0, 0.25, 3.0, 0.7)
EXTREME = (1.0, 2.0**-20, 1e-3, 1e3, 2.0**20, 1e-12, 1e12, 1e-30, 1e30)
"""Thresholds: those of most networks, and those of the others, by which the weights in front are scaled, too."""
UNITS = (1.0, 1.0, 1.0, 1.0, 1e30, 1e-30)
"""The sizes of an affine layer's logits."""
AMOUNTS = (None, None, 0.5, 1.25, 2.0, 1e-3, 1e3)
FACTORS = (-1.5, -0.5, 0.0, 0.5, 1.0, 1.25, -1.0, 1e-3)
KAPPAS = (0.0, 0.0, 0.5, 0.9, 1.0, 0.25, 1e-6)
SUBNORMALS = (1e-39, 5e-324, 1e-310, 2.0**-126)
SPREAD = 1.5


@dataclass
class Draw:
    """The random choices of one network.

    Attributes:
        random, generator: where all choices and all weights come from.
        kind: of `KINDS`, what some of the constants are turned into.
        steps: T.
        dtype: of the network.
        grid: whether weights and inputs are multiples of a quarter, so that currents lie on thresholds.
        extreme: whether thresholds may be of any size.
        listed: whether inputs are events so few that all their changes can be listed.
        unit: the size of an affine layer's logits.
        plain: whether constants are turned back into the floats that they equal.
        scalars: the constants that were turned, in order.
        thresholds: θ of each neuron by its id, by which the weights before it are scaled.
    """

    random: random.Random
    generator: torch.Generator
    kind: str
    steps: int
    dtype: torch.dtype
    grid: bool
    extreme: bool
    listed: bool
    unit: float
    plain: bool = False
    scalars: list[Any] = field(default_factory=list)
    thresholds: dict[int, float] = field(default_factory=dict)

    most_steps: ClassVar[int] = 8
    readouts: ClassVar[tuple[str, ...]] = (
        *("mean", "mean", "spikes", "spikes", "potential", "summed", "largest", "largest", "first"),
    )

    @classmethod
    def of(cls, seed: int, index: int, kind: str | None = None) -> Self:
        """Return the choices of the network `index` of a campaign."""
        chosen = random.Random(f"{seed}-{index}")
        generator = torch.Generator().manual_seed(chosen.getrandbits(60))
        drawn = "float" if chosen.random() < 0.5 else chosen.choice((*KINDS, "subnormal"))
        dtype = chosen.choice((torch.float32, torch.float64))
        listed = chosen.random() < 0.35
        steps = chosen.choice((2, 3, 4, 4)) if listed else chosen.randint(1, cls.most_steps)
        tied, extreme = chosen.random() < 0.5, chosen.random() < 0.3
        unit = chosen.choice(UNITS)
        return cls(chosen, generator, kind or drawn, steps, dtype, tied, extreme, listed, unit)

    def number(self, values: tuple[float, ...], whole: tuple[int, ...] = (1, 2, 3), share: float = 0.7) -> Any:
        """Return one of `values` as it is, or (`share` of the time) of this network's kind: one of `whole`."""
        if self.kind in ("float", "subnormal") or self.random.random() > share:
            return self.random.choice(values)
        turn = KINDS[self.kind]
        made = turn(self.random.choice(whole)) if self.kind in WHOLE else turn(float(self.random.choice(values)))
        self.scalars.append(made)
        return plain(made) if self.plain else made

    @property
    def name(self) -> str:
        """Return what tables call the constants."""
        return f"float after {self.kind}" if self.plain and self.kind != "float" else self.kind

    def spiking(self, features: tuple[int, ...]) -> LIF:
        """Return any spiking layer for signals of a shape."""
        made = self.random.choice((self.neuron, self.neuron, self.neuron, None))
        if made is not None:
            return made()
        kind = self.random.choice((self._differing, self._resting, self.looping))
        return kind(features)

    def neuron(self, reset: str | None = None) -> LIF:
        """Return a LIF, DLIF or PLIF."""
        constants = self._constants(reset or self.random.choice(("zero", "subtract", "subtract", "none")))
        kind: type[LIF] = self.random.choice((LIF, LIF, DLIF, PLIF))
        made = DLIF(self.steps, **constants) if kind is DLIF else kind(**constants)
        if isinstance(made, DLIF):
            made.input_scale.data = torch.tensor([self.random.choice(FACTORS) for _ in range(self.steps)])
        return self._known(made, plain(constants["threshold"]))

    def _known(self, made: LIF, threshold: float) -> LIF:
        self.thresholds[id(made)] = threshold
        return made

    def _constants(self, reset: str) -> dict[str, Any]:
        decay = self.number(SUBNORMALS if self.kind == "subnormal" else DECAYS, (0, 1))
        threshold = self.number(EXTREME if self.extreme else USUAL)
        constants: dict[str, Any] = {"decay": decay, "threshold": threshold, "reset": reset}
        constants |= {"fires_at": self.random.choice((">=", ">")), "surrogate": Triangle(self.number((1.0, 0.5)))}
        if reset == "subtract" and (share := self.random.choice(AMOUNTS)) is not None:
            constants["reset_amount"] = self.number((share * plain(threshold),))
        return constants

    def _differing(self, features: tuple[int, ...]) -> LIF:
        """Return neurons with one λ, θ and d a neuron or a channel."""
        constants = self._constants(self.random.choice(("zero", "subtract", "none")))
        unit, each = plain(constants["threshold"]), self.random.random() < 0.5
        shape = features if each else (features[0], *[1] * (len(features) - 1))
        constants["decay"] = self._array(shape, DECAYS[:6])
        constants["threshold"] = self._array(shape, (1.0, 1.0, 0.25, 3.0, 0.7)) * unit
        if "reset_amount" in constants:
            constants["reset_amount"] = self._array(shape, (1.0, 0.5, 1.25)) * unit
        return self._known(VariedLIF(**constants), unit)

    def _array(self, shape: tuple[int, ...], values: tuple[float, ...]) -> Tensor:
        drawn = [self.random.choice(values) for _ in range(math.prod(shape))]
        return torch.tensor(drawn, dtype=torch.float64).view(shape)

    def _resting(self, features: tuple[int, ...]) -> LIF:
        """Return neurons that rest for some steps behind a spike, or for good."""
        constants = self._constants("zero")
        unit = plain(constants["threshold"])
        constants["start"] = unit * self.random.choice((0.0, 0.0, 0.5, -1.0, 0.9, 1.0))
        del constants["reset"]
        if self.random.random() < 0.5:
            return self._known(OneSpikeLIF(**constants), unit)
        return self._known(RefractoryLIF(**constants, rest=self.random.choice((0, 1, 1, 2, None))), unit)

    def looping(self, features: tuple[int, ...]) -> LIF:
        """Return neurons that hear themselves, all or those nearby, and perhaps through a synapse."""
        neuron = self.neuron()
        while isinstance(neuron, PLIF):
            neuron = self.neuron()
        size, bias = features[0], self.random.random() < 0.5
        near = {2: nn.Conv1d, 3: nn.Conv2d}.get(len(features))
        heard = nn.Linear(size, size, bias) if near is None else near(size, size, 3, padding=1, bias=bias)
        feedback = heard if self.random.random() < 0.8 else Share()
        synapse = self.synapse() if self.random.random() < 0.4 else None
        return self._known(Recurrent(neuron, feedback, synapse), self.thresholds[id(neuron)])

    def synapse(self) -> Synapse:
        """Return a synapse, a delay, or both."""
        decay = self.number(KAPPAS, (0, 1), share=0.3)
        return Synapse(decay, self.random.choice((0, 0, 1, 1, 2)))

    def normal(self, *shape: int) -> Tensor:
        """Return random numbers, on the grid where this network is."""
        values = torch.randn(shape, generator=self.generator, dtype=torch.float64) * SPREAD
        return (values * 4).round() / 4 if self.grid else values

    def uniform(self, *shape: int) -> Tensor:
        """Return random numbers in [0, 1], on the grid or at the ends for some networks."""
        values = torch.rand(shape, generator=self.generator, dtype=torch.float64)
        return (values * 4).round() / 4 if self.grid else values


def plain(value: Any) -> float:
    """Return about the number that a constant stands for; 1 where it stands for none."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return 1.0
