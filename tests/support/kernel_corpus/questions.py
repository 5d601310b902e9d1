"""What the corpus asks: small drawn networks of each kind, and sets of each kind around a sample."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spikecert import L2, LIF, EventChange, LInf, RateDraws, SpikeFlip, SpikeShift, SpikingNetwork
from spikecert.certify import PixelBox
from spikecert.certify.proofs.asked import asked_of
from support.certificates import tiny
from support.drawn_chips import MOST
from support.drawn_chips import network as chip
from support.timed_networks import adapting, read_over_time, resting

Settings = tuple[SpikingNetwork, Tensor, Any]


@dataclass(frozen=True)
class Question:
    """A network, a sample, a set around it, and how the certificate is made: cells, a pair, multipliers γ."""

    network: SpikingNetwork
    sample: Tensor
    threat: Any
    cells: int = 0
    paired: bool = False
    through: bool = False
    inputs: tuple[tuple[int, float], ...] = field(default=())

    @property
    def claim(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return what a claim's text and arrays say of the set."""
        asked = asked_of(self.threat, self.sample)
        if asked.rules is not None:
            told = {"norm": self.threat.norm, "events": asked.rules.described}
            return told, {"sample": asked.sample, **asked.rules.masks}
        told = {"norm": asked.norm, "lower": asked.lower, "upper": asked.upper}
        return told, {"sample": asked.sample, "radius": asked.radius}


def _plain(rng: np.random.Generator) -> Question:
    network, sample, radius = tiny(rng)
    inputs = ((0, float(rng.choice([-0.75, 0.3]))),) if rng.random() < 0.3 else ()
    through = rng.random() < 0.3
    return Question(network, sample, LInf(radius), int(rng.choice([0, 3])), through=through, inputs=inputs)


def _ball(rng: np.random.Generator) -> Question:
    network, sample, radius = tiny(rng)
    return Question(network, sample, L2(max(radius, 0.1)), int(rng.choice([0, 3])))


def _features(rng: np.random.Generator) -> Question:
    network, sample, _ = tiny(rng)
    radius = torch.tensor(rng.random(tuple(sample.shape)) / 4)
    return Question(network, sample, PixelBox(radius))


def _timed(rng: np.random.Generator) -> SpikingNetwork:
    while True:
        network, _, _ = tiny(rng)
        if network.encoding == "none" and isinstance(network.layers[0], nn.Linear):
            return network


def _events(rng: np.random.Generator) -> Question:
    network = _timed(rng)
    first = network.layers[0]
    assert isinstance(first, nn.Linear)
    shape = network.num_steps, first.in_features
    events = torch.tensor((rng.random(shape) < 0.5).astype(float), dtype=network.dtype)
    flips = SpikeFlip(int(rng.integers(1, 3)), str(rng.choice(["flip", "insert", "delete"])))
    jitter, border = int(min(rng.integers(1, 3), shape[0] - 1)), str(rng.choice(["stay", "leave"]))
    moves = SpikeShift(jitter, [None, 1, 2][int(rng.integers(3))], [None, 2][int(rng.integers(2))], border=border)
    return Question(network, events, (flips, flips, moves, EventChange(flips, moves))[int(rng.integers(4))])


def _of(make: Callable[[np.random.Generator], Settings]) -> Callable[[np.random.Generator], Question]:
    """Return questions about networks that are made so, where outputs are sums, and some neuron may fire."""

    def drawn(rng: np.random.Generator) -> Question:
        while True:
            network, sample, radius = make(rng)
            for values in network.parameters():
                values.data *= 2
            fires = network.trace(sample[None]).spikes[0].any()
            if network.readout in ("mean", "spikes", "summed") and fires:
                return Question(network, sample, LInf(max(radius, 0.03)), through=bool(rng.random() < 0.2))

    return drawn


def _counting(rng: np.random.Generator) -> Question:
    """Return neurons that subtract and count, of the same inputs: cells, pairs and γ say most of them."""
    decay, steps, width = float(rng.choice([0.5, 0.75, 1.0])), int(rng.integers(2, 5)), int(rng.integers(2, 5))
    fires = str(rng.choice([">=", ">"]))
    neurons = [LIF(decay, reset="subtract", fires_at=fires) for _ in range(2)]
    layers: list[nn.Module] = [nn.Linear(2, width), neurons[0]]
    layers += [nn.Linear(width, 2), neurons[1]]
    readout = "spikes"
    if rng.random() < 0.3:
        layers.append(nn.Linear(2, 2))
        readout = "mean"
    network = SpikingNetwork(*layers, num_steps=steps, readout=readout).eval()
    for values in network.parameters():
        values.data = torch.tensor(np.round(rng.normal(size=tuple(values.shape)) * 4) / 4, dtype=torch.float32)
    sample = torch.tensor(rng.random(2), dtype=torch.float32)
    return Question(network, sample, LInf(float(rng.choice([0.1, 0.3]))), 4, True, True)


def _whole(rng: np.random.Generator) -> Question:
    draw = random.Random(int(rng.integers(2**31)))
    while True:
        network = chip(draw)
        if network is None or network.readout not in ("potential", "spikes", "summed"):
            continue
        timed = network.encoding == "none"
        shape = (network.num_steps, 2) if timed else (2,)
        drawn = [float(draw.randint(0, 1 if timed else MOST)) for _ in range(int(np.prod(shape)))]
        sample = torch.tensor(drawn, dtype=torch.float64).view(shape)
        if not network(sample[None]).isnan().any():
            return Question(
                network, sample, SpikeFlip(1) if timed and draw.random() < 0.5 else LInf(1, upper=float(MOST))
            )


def _rates(rng: np.random.Generator) -> Question:
    steps, neuron = (
        int(rng.integers(2, 5)),
        LIF(float(rng.choice([0.5, 0.9])), reset=str(rng.choice(["zero", "none"]))),
    )
    layers = nn.Linear(2, 2), neuron, nn.Linear(2, 2)
    draws = RateDraws(int(rng.integers(100)))
    network = SpikingNetwork(*layers, num_steps=steps, encoding="rate", draws=draws).eval()
    for values in network.parameters():
        values.data = torch.tensor(np.round(rng.normal(size=tuple(values.shape)) * 6) / 4, dtype=torch.float32)
    return Question(network, torch.tensor(rng.random(2), dtype=torch.float32), LInf(0.3))


def drawn_class(rng: np.random.Generator, kind: str) -> Question:
    """Return a question about a class whose logits are read over time, or are whole, or tie."""
    if kind == "whole":
        return _whole(rng)
    network, sample, _ = read_over_time(rng, kind) if kind != "mean" else tiny(rng)
    return Question(network, sample, LInf(0.0))


CLASSES = "largest", "largest affine", "first", "summed", "mean", "whole"
"""Kinds of readouts whose classes are proven; of each also by argmax."""
KINDS: dict[str, Callable[[np.random.Generator], Question]] = {
    "plain": _plain, "ball": _ball, "features": _features, "events": _events, "resting": _of(resting),
    "adapting": _of(adapting), "summed": _of(lambda rng: read_over_time(rng, "summed")), "counting": _counting,
    "whole": _whole, "rates": _rates,
}  # fmt: skip
