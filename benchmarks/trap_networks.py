"""Random small networks for benchmarks/traps.py: constants of every numeric type, all layers, readouts, encodings.

A constant is drawn as a number and then turned into one of `KINDS`. A library may refuse a kind, in one line, but
must never prove what is not so of a network that it takes.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from spikecert import DLIF, LIF, PLIF, Normalize, RateDraws, Residual, SpikingNetwork, Triangle
from spikecert.models.kernels import use_kernel

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
THRESHOLDS = (1.0, 1.0, 1.0, 0.25, 3.0, 0.7, 2.0**-20, 1e-3, 1e3, 2.0**20, 1e-12, 1e12)
AMOUNTS = (None, None, 0.5, 1.25, 2.0, 1e-3, 1e3)
FACTORS = (-1.5, -0.5, 0.0, 0.5, 1.0, 1.25, -1.0, 1e-3)
SUBNORMALS = (1e-39, 5e-324, 1e-310, 2.0**-126)
MEANS, GAINS, VARIANCES = (1e30, 1e38, -1e20), (1e-38, 1e-30, 1e-20), (1e30, 1e-10, 1e37)
SPREAD = 1.5


def _takes(layer: nn.Module) -> bool:
    """Return whether a network may hold a layer."""
    try:
        SpikingNetwork(layer, LIF(), nn.Flatten(), nn.Linear(2, 2), num_steps=1)
    except TypeError:
        return False
    return True


ONE_DIMENSIONAL = all(map(_takes, (nn.Conv1d(1, 1, 1), nn.AvgPool1d(1))))
"""Whether networks take Conv1d and AvgPool1d."""


@dataclass
class Draw:
    """The random choices of one network.

    Attributes:
        random, generator: where all choices and all weights come from.
        kind: of `KINDS`, what some of the constants are turned into.
        steps: T.
        dtype: of the network.
        grid: whether weights and inputs are multiples of a quarter, so that currents lie on thresholds.
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
    plain: bool = False
    scalars: list[Any] = field(default_factory=list)
    thresholds: dict[int, float] = field(default_factory=dict)

    most_steps: ClassVar[int] = 8
    readouts: ClassVar[tuple[str, ...]] = ("mean", "mean", "spikes", "potential")

    @classmethod
    def of(cls, seed: int, index: int, kind: str | None = None) -> Self:
        """Return the choices of the network `index` of a campaign."""
        chosen = random.Random(f"{seed}-{index}")
        generator = torch.Generator().manual_seed(chosen.getrandbits(60))
        names = (*KINDS, "subnormal")
        drawn = "float" if chosen.random() < 0.3 else chosen.choice(names)
        dtype = chosen.choice((torch.float32, torch.float64))
        return cls(
            chosen, generator, kind or drawn, chosen.randint(1, cls.most_steps), dtype, chosen.random() < 0.5
        )

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

    def neuron(self, reset: str | None = None) -> LIF:
        """Return a LIF, DLIF or PLIF."""
        reset = reset or self.random.choice(("zero", "subtract", "subtract", "none"))
        decay = self.number(SUBNORMALS if self.kind == "subnormal" else DECAYS, (0, 1))
        threshold = self.number(THRESHOLDS)
        constants: dict[str, Any] = {"decay": decay, "threshold": threshold, "reset": reset}
        constants |= {"fires_at": self.random.choice((">=", ">")), "surrogate": Triangle(self.number((1.0, 0.5)))}
        if reset == "subtract" and (share := self.random.choice(AMOUNTS)) is not None:
            constants["reset_amount"] = self.number((share * plain(threshold),))
        kind: type[LIF] = self.random.choice((LIF, LIF, DLIF, PLIF))
        made = DLIF(self.steps, **constants) if kind is DLIF else kind(**constants)
        if isinstance(made, DLIF):
            made.input_scale.data = torch.tensor([self.random.choice(FACTORS) for _ in range(self.steps)])
        self.thresholds[id(made)] = plain(threshold)
        return made

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


@dataclass(frozen=True)
class Drawn:
    """A network with what tables count it under, and the shape of a sample."""

    network: SpikingNetwork
    shape: tuple[int, ...]
    tags: dict[str, tuple[str, ...]]


def drawn(draw: Draw) -> Drawn:
    """Return a random network in evaluation mode.

    Raises:
        TypeError, ValueError: where the library refuses a constant.
    """
    make = draw.random.choice((_dense, _dense, _dense, _residual, _image, _image, *([_line] * ONE_DIMENSIONAL)))
    layers, shape, width = make(draw)
    classes = draw.random.randint(2, 4)
    readout = draw.random.choice(draw.readouts)
    layers += [nn.Linear(width, classes)]
    if readout != "mean":
        layers.append(draw.neuron("none" if readout == "potential" else None))
    encoding = draw.random.choice(("direct", "direct", "none", "rate"))
    settings: dict[str, Any] = {"num_steps": draw.steps, "encoding": encoding, "readout": readout}
    if draw.kind in WHOLE and draw.random.random() < 0.1:
        settings["num_steps"] = KINDS[draw.kind](draw.steps)
    if encoding == "rate":
        settings["draws"] = RateDraws(draw.random.randint(0, 9))
    network = SpikingNetwork(*layers, **settings)
    fill(network, draw)
    network = network.to(draw.dtype).eval()
    kernel = use_kernel(network, draw.random.choice(("eager", "eager", "eager", "compiled")))
    return Drawn(
        network, (network.num_steps, *shape) if network.timed else shape, _tags(network, draw, kernel.name)
    )


def _tags(network: SpikingNetwork, draw: Draw, kernel: str) -> dict[str, tuple[str, ...]]:
    names = {type(module).__name__ for module in network.modules()} - {"SpikingNetwork", "ModuleList"}
    return {
        "dtype": (str(draw.dtype).removeprefix("torch."),),
        "encoding": (network.encoding,),
        "readout": (network.readout,),
        "module": tuple(sorted(names)),
        "constant": (draw.name,),
        "reset": tuple(sorted({neuron.dynamics.reset for neuron in network.neurons})),
        "kernel": (kernel,),
        "T": (str(draw.steps),),
    }


def _dense(draw: Draw) -> tuple[list[nn.Module], tuple[int, ...], int]:
    """Return layers from a linear one to the last hidden neurons, the shape of a sample and the last width."""
    widths = [draw.random.randint(1, 7) for _ in range(draw.random.choice((2, 2, 3, 3, 4)))]
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers.append(nn.Linear(before, after, bias=draw.random.random() < 0.8))
        if draw.random.random() < 0.2:
            layers.append(nn.BatchNorm1d(after))
        layers.append(draw.neuron())
    return layers, (widths[0],), widths[-1]


def _residual(draw: Draw) -> tuple[list[nn.Module], tuple[int, ...], int]:
    size, width = draw.random.randint(1, 6), draw.random.randint(1, 6)
    plans = draw.random.choice(("w", "ws", "wsw")), draw.random.choice(("", "w", "ws"))
    parts: list[list[nn.Module]] = [
        [nn.Linear(width, width) if layer == "w" else draw.neuron() for layer in plan] for plan in plans
    ]
    sums: list[nn.Module] = [Residual(*parts)]
    if draw.random.random() < 0.7:
        sums += [nn.Linear(width, width), draw.neuron()]
    return [nn.Linear(size, width), draw.neuron(), *sums], (size,), width


def _image(draw: Draw) -> tuple[list[nn.Module], tuple[int, ...], int]:
    side, channels = draw.random.choice((3, 4)), draw.random.choice((1, 2))
    mode = draw.random.choice(("zeros", "zeros", "circular", "replicate"))
    layers: list[nn.Module] = []
    if draw.random.random() < 0.3:
        layers.append(Normalize((draw.number((0.5, 0.3)),), (draw.number((0.5, 0.25)),)))
    layers.append(nn.Conv2d(1, channels, 3, stride=draw.random.choice((1, 2)), padding=1, padding_mode=mode))
    if draw.random.random() < 0.4:
        layers.append(nn.BatchNorm2d(channels))
    layers.append(draw.neuron())
    if draw.random.random() < 0.4:
        inner: list[nn.Module] = [nn.Conv2d(channels, channels, 3, padding=1, groups=channels), draw.neuron()]
        layers += [Residual(inner)] if draw.random.random() < 0.5 else inner
    if draw.random.random() < 0.5:
        layers.append(nn.AvgPool2d(2, stride=draw.random.choice((1, 2)), padding=draw.random.choice((0, 1))))
    return _flat(layers, (1, side, side))


def _line(draw: Draw) -> tuple[list[nn.Module], tuple[int, ...], int]:
    """Return layers over a line of features: Conv1d and AvgPool1d."""
    length, channels = draw.random.randint(3, 6), draw.random.choice((1, 2))
    layers: list[nn.Module] = [nn.Conv1d(1, channels, 3, stride=draw.random.choice((1, 2)), padding=1)]
    layers.append(draw.neuron())
    if draw.random.random() < 0.6:
        layers.append(nn.AvgPool1d(2, stride=1, padding=draw.random.choice((0, 1))))
    return _flat(layers, (1, length))


def _flat(layers: list[nn.Module], shape: tuple[int, ...]) -> tuple[list[nn.Module], tuple[int, ...], int]:
    """Return the layers with a Flatten behind them, and the width there."""
    signal = torch.zeros(1, *shape)
    for layer in layers:
        if not isinstance(layer, (LIF, Residual, nn.BatchNorm2d)):
            signal = layer(signal)
    return [*layers, nn.Flatten()], shape, signal.numel()


def fill(network: SpikingNetwork, draw: Draw) -> None:
    """Draw all weights; those before a neuron in units of its threshold."""
    layers = [module for module in network.modules() if not isinstance(module, (nn.ModuleList, SpikingNetwork))]
    unit = 1.0
    for layer in reversed(layers):
        if isinstance(layer, LIF):
            unit = draw.thresholds[id(layer)]
        elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d) and not isinstance(layer, Normalize):
            _fill_norm(layer, draw, unit)
            unit = 1.0
        else:
            for parameter in layer.parameters(recurse=False):
                parameter.data = (draw.normal(*parameter.shape) * unit).to(parameter.dtype)
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d):
            unit = 1.0


def _fill_norm(layer: nn.BatchNorm1d | nn.BatchNorm2d, draw: Draw, unit: float) -> None:
    assert layer.running_mean is not None
    assert layer.running_var is not None
    size = layer.num_features
    mean, variance = draw.normal(size), 0.25 + draw.uniform(size)
    weight = draw.normal(size) * unit
    if draw.random.random() < 0.15:
        one = draw.random.randrange(size)
        mean[one] *= draw.random.choice(MEANS)
        variance[one] *= draw.random.choice(VARIANCES)
        weight[one] *= draw.random.choice(GAINS)
    layer.running_mean.copy_(mean)
    layer.running_var.copy_(variance)
    layer.weight.data = weight.to(layer.weight.dtype)
    layer.bias.data = (draw.normal(size) * unit).to(layer.bias.dtype)
