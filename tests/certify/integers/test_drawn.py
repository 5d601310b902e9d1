"""Integer neurons of drawn constants: every answer against all members of its set, run through the network."""

import random
from dataclasses import replace
from math import prod
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikecert import (
    LIF,
    IntegerLIF,
    LInf,
    SpikeFlip,
    SpikingNetwork,
    Verdict,
    WholeDecay,
    WholeInput,
    circuit,
    verify,
)
from spikecert.certify.bounds.automata.reachable import path_trains
from spikecert.certify.bounds.signals.box import Box
from spikecert.certify.bounds.signals.signals import InputSignal
from spikecert.certify.rounding import Rounding
from spikecert.certify.verdicts import SoundnessError
from spikecert.models.elements.integers import Stepped
from spikecert.models.rules import Label, Move, Range
from support.examples import THOROUGH
from support.oracles import every_flip

DRAWN = 2000 if THOROUGH else 48
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


def check(found: Verdict, outputs: Tensor, label: int) -> bool:
    """Hold an answer against the outputs of all members; return whether these differ."""
    others = outputs.clone()
    others[:, label] = -torch.inf
    lead = outputs[:, label] - others.amax(1)
    breaks = bool((outputs.argmax(1) != label).any() | outputs.isnan().any())
    breaks |= found.ties == "strict" and bool((lead <= 0).any())
    assert not (found.status == "verified" and breaks)
    assert found.status != "falsified" or breaks
    if found.status == "verified" and found.margin is not None:
        assert found.margin <= float(lead.min()) + 1e-9
    return len(outputs.unique(dim=0)) > 1


@torch.no_grad()
def campaign(seeds: range) -> tuple[int, int]:
    """Return how many answers were verified, and how many were about sets with several outputs."""
    verified, moving = 0, 0
    for seed in seeds:
        draw = random.Random(seed)
        made = network(draw)
        if made is None:
            continue
        shape = (made.num_steps, 2) if made.timed else (2,)
        numbers = [float(draw.randint(0, 1 if made.timed else MOST)) for _ in range(4 * prod(shape))]
        inputs = torch.tensor(numbers, dtype=torch.float64).view(4, *shape)
        outputs = made(inputs)
        if outputs.isnan().any():
            continue
        labels = outputs.argmax(1)
        threat = SpikeFlip(draw.choice((1, 1, 2))) if made.timed else LInf(draw.choice((0, 1, 2)))
        name, ties = (
            draw.choice(("interval", "trains", "auto", "enumeration", "complete")),
            draw.choice((None, "strict", "argmax")),
        )
        for sample, label, found in zip(
            inputs, labels.tolist(), verify(made, inputs, labels, threat, name, ties=ties), strict=True
        ):
            moving += check(found, made(members(sample, threat)), label)
            verified += found.status == "verified"
    return verified, moving


def test_no_answer_is_wrong():
    verified, moving = campaign(range(DRAWN))
    assert verified > DRAWN
    assert moving > DRAWN // 4


@torch.no_grad()
def test_real_ends_of_whole_currents_hold_all_trains():
    """Sets of events have ends that are outward by a few units in the last place, where f is not monotone."""
    changing = 0
    for seed in range(300):
        draw, generator = random.Random(seed), torch.Generator().manual_seed(seed)
        layer, steps = neuron(draw, 8), draw.choice((1, 2, 4))
        low = torch.randint(-9, 10, (steps, 1, 4), generator=generator).double()
        high = low + torch.randint(0, 3, low.shape, generator=generator)
        box = Box(low - 2.0**-40, high + 2.0**-40)
        try:
            known = path_trains(
                InputSignal(box, steps), layer.stepped, Rounding(torch.float64, whole=True)
            ).steps()
        except OverflowError:
            continue
        drawn = low + (torch.rand(steps, 200, 4, generator=generator).double() * (high - low + 1)).floor()
        spikes = layer(drawn, steps)
        assert bool(((known.lower <= spikes) & (spikes <= known.upper)).all()), (seed, layer)
        changing += len(spikes.flatten(2).unique(dim=1)[0]) > 1
    assert changing > 80


def test_a_layer_without_states_is_an_error():
    """What knows nothing possible of a neuron is broken, and says so in the place of a bound."""

    class Lost(Stepped):
        def moves(
            self, labels: tuple[Label, ...], state: tuple[Range, ...], current: Range, tie: float | Tensor
        ) -> tuple[Move, ...]:
            both = super().moves(labels, state, current, tie)
            return tuple(replace(move, possible=move.possible & False) for move in both)

    lost = Lost(WholeDecay("shift", 1), 2)
    box = Box(torch.zeros(3, 1, 2).double(), torch.ones(3, 1, 2).double())
    with pytest.raises(SoundnessError, match="no state of Lost is left at step 1"):
        path_trains(InputSignal(box, 3), lost, Rounding(torch.float64, whole=True))
