"""Random tiny networks of all elements that proofs cover, and sets for them, for benchmarks/checker_prices.py."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from spikecert import (
    DLIF,
    L2,
    LIF,
    EventChange,
    LInf,
    RateDraws,
    Recurrent,
    Residual,
    SpikeFlip,
    SpikeShift,
    SpikingNetwork,
    Synapse,
    VariedLIF,
)
from spikecert.certify.perturbations import PixelBox

DECAYS, THRESHOLDS = (0.0, 0.5, 0.9, 0.97, 1.0), (1.0, 1.0, 0.5, 2.0)
FACTORS, AMOUNTS = (-1.0, 0.0, 0.5, 1.0, 1.25), (None, 0.5, 1.25, 2.0)

Threat = LInf | L2 | PixelBox | SpikeFlip | SpikeShift | EventChange
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Draw:
    """The random choices of one network over `steps`; on a `grid` weights and inputs are quarters: ties come."""

    random: random.Random
    generator: torch.Generator
    steps: int
    grid: bool

    @staticmethod
    def of(seed: int, index: int) -> "Draw":
        """Return the choices of the network `index` of a campaign."""
        chosen = random.Random(f"{seed}-{index}")
        generator = torch.Generator().manual_seed(chosen.getrandbits(60))
        return Draw(chosen, generator, chosen.randint(1, 5), chosen.random() < 0.4)

    def often(self, share: float) -> bool:
        """Return True this often."""
        return self.random.random() < share

    def rounded(self, values: Tensor) -> Tensor:
        """Return numbers, on the grid where this network is."""
        return (values * 4).round() / 4 if self.grid else values

    def uniform(self, *shape: int) -> Tensor:
        """Return random numbers in [0, 1], float64."""
        return self.rounded(torch.rand(shape, generator=self.generator, dtype=torch.float64))

    def neuron(self, shape: Shape, reset: str | None = None) -> LIF:
        """Return neurons for signals of a shape: alike or not, with a loop or without."""
        reset = reset or self.random.choice(("zero", "subtract", "subtract", "none"))
        fires_at = self.random.choice((">=", ">"))
        kind = self.random.choice(("LIF", "LIF", "DLIF", "VariedLIF", "Recurrent"))
        if kind == "VariedLIF":
            decay, threshold = (self._each(values, shape) for values in (DECAYS, THRESHOLDS))
            amounts = self._each(THRESHOLDS, shape) if reset == "subtract" and self.often(0.5) else None
            return VariedLIF(decay, threshold, reset, fires_at, reset_amount=amounts)
        plain = self.alike(kind, reset, fires_at)
        if kind != "Recurrent":
            return plain
        width = shape[0]
        return Recurrent(
            plain, nn.Linear(width, width) if len(shape) == 1 else nn.Conv1d(width, width, 3, padding=1)
        )

    def alike(self, kind: str, reset: str, fires_at: str) -> LIF:
        """Return neurons of one kind."""
        decay, threshold = self.random.choice(DECAYS), self.random.choice(THRESHOLDS)
        share = self.random.choice(AMOUNTS) if reset == "subtract" else None
        constants: dict[str, Any] = {"decay": decay, "threshold": threshold, "reset": reset, "fires_at": fires_at}
        constants["reset_amount"] = None if share is None else share * threshold
        if kind == "LIF" or (kind == "Recurrent" and self.often(0.7)):
            return LIF(**constants)
        made = DLIF(self.steps, **constants)
        made.input_scale.data = torch.tensor([self.random.choice(FACTORS) for _ in range(self.steps)])
        return made

    def _each(self, values: tuple[float, ...], shape: Shape) -> Tensor:
        count = shape[0] if self.often(0.7) else 1
        drawn = torch.tensor([self.random.choice(values) for _ in range(count)], dtype=torch.float64)
        return drawn.view(-1, *([1] * (len(shape) - 1)))

    def filtered(self, layers: list[nn.Module]) -> list[nn.Module]:
        """Return layers, sometimes with a synapse or a delay behind them."""
        if not self.often(0.2):
            return layers
        return [*layers, Synapse(self.random.choice((0.0, 0.5, 0.9, 1.0)), self.random.choice((0, 0, 1, 2)))]


def drawn(draw: Draw) -> tuple[SpikingNetwork, Shape]:
    """Return a network in evaluation mode and the shape of a sample of it.

    Raises:
        TypeError, ValueError: where the library refuses what was drawn.
    """
    encoding = draw.random.choice(("direct", "direct", "none", "none", "rate"))
    layers, shape, width = draw.random.choice((_dense, _dense, _line))(draw)
    layers.append(nn.Linear(width, classes := draw.random.randint(2, 3)))
    readout = draw.random.choice(("mean", "mean", "spikes", "spikes", "potential"))
    if readout == "spikes":
        layers.append(draw.neuron((classes,)))
    elif readout == "potential":
        layers.append(draw.alike(draw.random.choice(("LIF", "DLIF")), "none", ">="))
    settings = {"draws": RateDraws(draw.random.randint(0, 99))} if encoding == "rate" else {}
    network = SpikingNetwork(*layers, num_steps=draw.steps, encoding=encoding, readout=readout, **settings)
    for module in network.modules():
        for parameter in () if isinstance(module, LIF) else module.parameters(recurse=False):
            normal = torch.randn(parameter.shape, generator=draw.generator, dtype=torch.float64)
            parameter.data = draw.rounded(normal * 1.5).to(parameter.dtype)
        if isinstance(module, nn.BatchNorm1d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.copy_(draw.uniform(len(module.running_mean)))
            module.running_var.copy_(draw.uniform(len(module.running_var)) + 0.25)
    network = network.to(draw.random.choice((torch.float32, torch.float64))).eval()
    return network, (draw.steps, *shape) if network.timed else shape


def _dense(draw: Draw) -> tuple[list[nn.Module], Shape, int]:
    widths = [
        draw.random.randint(1, 3),
        *(draw.random.randint(1, 5) for _ in range(draw.random.choice((1, 1, 2)))),
    ]
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers.append(nn.Linear(before, after, bias=draw.often(0.8)))
        if draw.often(0.15):
            layers.append(nn.BatchNorm1d(after))
        layers = draw.filtered(layers)
        layers = draw.filtered([*layers, draw.neuron((after,))])
        if draw.often(0.25):
            branch: list[nn.Module] = [nn.Linear(after, after), *([draw.neuron((after,))] * draw.often(0.6))]
            shortcut: list[nn.Module] | None = [nn.Linear(after, after)] if draw.often(0.3) else None
            layers.append(Residual(branch, shortcut))
    return layers, (widths[0],), widths[-1]


def _line(draw: Draw) -> tuple[list[nn.Module], Shape, int]:
    length, channels = draw.random.randint(3, 4), draw.random.choice((1, 2))
    pools: list[Callable[[], nn.Module]] = [
        lambda: nn.MaxPool1d(2, stride=1, padding=draw.random.choice((0, 1))),
        lambda: nn.MaxPool1d(2, ceil_mode=True),
        lambda: nn.AvgPool1d(2, stride=1),
    ]
    moved: list[Callable[[], nn.Module]] = [
        *pools,
        lambda: nn.Upsample(scale_factor=2),
        lambda: nn.ZeroPad1d((1, 0)),
        lambda: nn.ConvTranspose1d(channels, channels, 2, stride=2),
    ]
    layers: list[nn.Module] = [draw.random.choice(pools)()] if draw.often(0.2) else []
    signal = nn.Sequential(*layers, first := nn.Conv1d(1, channels, 3, padding=1))(torch.zeros(1, 1, length))
    layers += [first, draw.neuron(tuple(signal.shape[1:]))]
    if draw.often(0.8):
        layers.append(draw.random.choice(moved)())
        signal = layers[-1](signal)
        layers = draw.filtered(layers)
    return [*layers, nn.Flatten()], (1, length), signal[0].numel()


@dataclass(frozen=True)
class Family:
    """Sets around a sample by level: each about twice as large as the one before."""

    at: Callable[[int], Threat]
    levels: int
    events: bool


def family(draw: Draw, network: SpikingNetwork, shape: Shape) -> Family:
    """Return sets for samples of a shape."""
    if network.timed and draw.steps > 1 and draw.often(0.6):
        return _of_events(draw, shape)
    upper, least = draw.random.choice((1.0, 2.0)), draw.random.choice((0.005, 0.008))
    share = torch.rand(shape, generator=draw.generator, dtype=torch.float64) * 2
    share = torch.where(share < 0.5, 0.0, share)
    makers: list[Callable[[int], Threat]] = [
        lambda level: LInf(least * 2**level, 0.0, upper),
        lambda level: PixelBox(share * least * 2**level, 0.0, upper),
        *([lambda level: L2(least * 2**level, 0.0, upper)] * (network.encoding != "rate")),
    ]
    return Family(draw.random.choice(makers), 7, events=False)


def _of_events(draw: Draw, shape: Shape) -> Family:
    where = torch.rand(shape, generator=draw.generator) < 0.8 if draw.often(0.2) else None
    kind, merge = draw.random.choice(("flip", "flip", "insert", "delete")), draw.random.choice(("or", "add"))
    jitter, border = draw.random.choice((1, 1, 2, None)), draw.random.choice(("stay", "leave"))
    jitter = None if jitter is None else min(jitter, draw.steps - 1)
    by_total = jitter is None or draw.often(0.3)

    def shift(level: int, merge: str) -> SpikeShift:
        budgets = {"total" if by_total else "count": 2**level}
        return SpikeShift(jitter, merge=merge, border=border, where=where, **budgets)

    makers: list[Callable[[int], Threat]] = [
        lambda level: SpikeFlip(2**level, kind, where),
        lambda level: shift(level, merge),
        lambda level: EventChange(SpikeFlip(2**level, kind, where), shift(level, "or")),
    ]
    return Family(draw.random.choice(makers), 3, events=True)


def sample_of(draw: Draw, shape: Shape, events: bool) -> Tensor:
    """Return one input: of events at most seven."""
    values = torch.rand(shape, generator=draw.generator, dtype=torch.float64)
    if not events:
        return draw.rounded(values)
    found = (values < draw.random.choice((0.2, 0.5))).double()
    for extra in found.flatten().nonzero().flatten()[7:].tolist():
        found.view(-1)[extra] = 0.0
    return found
