"""Integer networks of drawn constants, and the members of small sets around their inputs."""

import random
from typing import Any

import torch
from torch import Tensor, nn

from spikecert import LIF, IntegerLIF, LInf, SpikeFlip, SpikingNetwork, WholeInput, circuit
from spikecert.models import WholeDecay
from support.oracles import every_flip

CUTS = ("truncate", "floor", "nearest", "shift", "dash")
MOST = 3


def decay(draw: random.Random) -> WholeDecay:
    cut, shift = draw.choice(CUTS), draw.choice((0, 1, 2, 4))
    if cut in CUTS[:3]:
        return WholeDecay(cut, shift, draw.randint(0, 2**shift))
    return WholeDecay(cut, draw.choice((1, 2, 4, 15)))


def neuron(draw: random.Random, bits: int) -> IntegerLIF:
    reset = draw.choice(("zero", "subtract", "none"))
    constants: dict[str, Any] = {
        "reset": reset,
        "fires_at": draw.choice((">=", ">")),
        "bits": bits,
        "overflow": draw.choice(("saturate", "saturate", "refuse")),
        "symmetric": draw.random() < 0.5,
        "current_bits": draw.choice((bits, 24)),
        "saturating_sums": draw.random() < 0.3,
        "towards": draw.random() < 0.3,
        "decays_last": draw.random() < 0.3,
        "most": draw.choice((1, 3, 31)) if reset == "subtract" else 1,
        "rest": draw.choice((0, 1, 2)) if reset == "zero" else 0,
        "synapse": decay(draw) if draw.random() < 0.4 else None,
    }
    return IntegerLIF(decay(draw), draw.randint(1, min(2 ** (bits - 1) - 1, 12)), **constants)


def network(draw: random.Random) -> SpikingNetwork | None:
    """Return a small network, or None for one that is refused."""
    bits, encoding = draw.choice((5, 6, 8, 12, 24)), draw.choice(("direct", "none"))
    layers: list[nn.Module] = [WholeInput(0, MOST), nn.Linear(2, 3), neuron(draw, bits)]
    layers += [nn.Linear(3, 3), neuron(draw, bits)] if draw.random() < 0.5 else []
    last, readouts = LIF(1.0, reset="none"), ("potential", "summed", "largest")
    if draw.random() < 0.5:
        last, readouts = neuron(draw, bits), ("spikes", "first")
    steps, readout = draw.choice((1, 2, 3, 5)), draw.choice(readouts)
    try:
        made = SpikingNetwork(
            *layers, nn.Linear(3, 2), last, num_steps=steps, encoding=encoding, readout=readout
        ).double()
        for name, parameter in made.named_parameters():
            ends = 6 if name.endswith("weight") else 3
            numbers = [float(draw.randint(-ends, ends)) for _ in range(parameter.numel())]
            parameter.data = torch.tensor(numbers, dtype=torch.float64).view_as(parameter)
        circuit(made)
    except (TypeError, ValueError):
        return None
    return made.eval()


def members(sample: Tensor, threat: LInf | SpikeFlip) -> Tensor:
    """Return all of a set: vectors within a radius, or recordings with so many flips at most."""
    if isinstance(threat, SpikeFlip):
        return every_flip(sample, threat.count)
    radius = int(threat.epsilon)
    ends = [range(max(0, int(x) - radius), min(MOST, int(x) + radius) + 1) for x in sample.tolist()]
    return torch.cartesian_prod(*(torch.tensor(list(each), dtype=torch.float64) for each in ends))
