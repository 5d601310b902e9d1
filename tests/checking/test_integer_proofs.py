"""Proofs about networks of whole numbers: every claim against all members of its set, run through the network."""

import random

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from spikecert import LIF, IntegerLIF, LInf, SpikeFlip, SpikingNetwork, WholeInput, moves_at_most
from spikecert.certify.proofs import Disproved, Prover, Unproven
from spikecert.models import WholeDecay
from support.chips import CHIPS, Case, Overrun, around, failing, margins, tensor
from support.drawn_chips import MOST, members, network
from support.examples import THOROUGH

DRAWN = 4200 if THOROUGH else 60
SEEDS = 24 if THOROUGH else 2


def proves(made: SpikingNetwork, sample: Tensor, label: int, threat: LInf | SpikeFlip, ties: str) -> bool | None:
    """Return whether a class is proved; False: it is disproved."""
    try:
        proof = Prover.of(made).prove(sample, label, threat, timeout=60, ties=ties)
    except Disproved:
        return False
    except Unproven:
        return None
    assert proof.leaves >= 1
    return True


@torch.no_grad()
def campaign(seeds: range) -> tuple[int, int, int]:
    """Return how many claims were proved, how many of these move, and how many true ones of balls stayed open."""
    proved = moving = still = 0
    for seed in seeds:
        draw = random.Random(seed)
        made = network(draw)
        if made is None:
            continue
        shape = (made.num_steps, 2) if made.timed else (2,)
        sample = torch.tensor(
            [float(draw.randint(0, 1 if made.timed else MOST)) for _ in range(int(np.prod(shape)))],
            dtype=torch.float64,
        ).view(shape)
        outputs = made(sample[None])
        if outputs.isnan().any():
            continue
        label, ties = int(outputs.argmax()), draw.choice(("strict", "argmax"))
        threat = SpikeFlip(draw.choice((1, 2))) if made.timed else LInf(draw.choice((1, 1, 2)))
        found, all_of = proves(made, sample, label, threat, ties), made(members(sample, threat))
        others = all_of.clone()
        others[:, label] = -torch.inf
        lead = all_of[:, label] - others.amax(1)
        breaks = bool((all_of.argmax(1) != label).any() | all_of.isnan().any())
        breaks |= ties == "strict" and bool((lead <= 0).any())
        assert not (found and breaks), seed
        assert found is not False or breaks, seed
        proved += bool(found)
        moving += bool(found) and len(all_of.unique(dim=0)) > 1
        still += found is None and not breaks
    return proved, moving, still


def test_no_proof_of_drawn_networks_is_false():
    proved, moving, still = campaign(range(DRAWN))
    assert proved > DRAWN // 5
    assert moving > DRAWN // 12
    assert still <= DRAWN // 50  # numbers that may wrap, or are cut as they are read


@pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: chip.name)
def test_no_proof_of_a_chip_is_false(chip):
    """All of ±1 around a sample, by equations that are written anew."""
    moving = 0
    for seed in range(SEEDS):
        case = Case.drawn(chip, seed, (5, 5, 4, 3))
        sample = np.random.default_rng(seed).integers(0, chip.most_input + 1, 5)
        try:
            outputs = case.outputs(around(sample, 1, chip.most_input))
        except Overrun:
            continue
        label = int(case.outputs(sample[None])[0].argmax())
        for ties in ("strict", "argmax"):
            found = proves(case.network, tensor(sample), label, LInf(1.0), ties)
            assert found is not None, (seed, ties)
            assert found != bool(failing(outputs, label, ties).any()), (seed, ties)
            moving += len(np.unique(margins(outputs, label))) > 1
    assert moving


@torch.no_grad()
@pytest.mark.parametrize("counts", [False, True])
def test_properties_of_whole_networks_are_proved_as_enumeration_says(counts):
    """How far outputs move, of potentials and of means of counts, which are divided by T as floats."""
    moving, name = 0, "xylo undelayed" if counts else "shift"
    chip = next(chip for chip in CHIPS if chip.name == name)
    for seed in range(12 * (1 + 4 * THOROUGH)):
        case = Case.drawn(chip, seed, (4, 4, 3))
        sample = np.random.default_rng(seed).integers(0, case.chip.most_input + 1, 4)
        outputs = case.network(tensor(around(sample, 1, case.chip.most_input)))
        span = float((outputs - case.network(tensor(sample[None]))).abs().max())
        for most in (span, span + (1 / 6 if counts else 1.0)):
            if most == 0:
                continue
            for room, holds in ((1.0 + 1e-9, True), (1.0 - 1e-6, most > span)):
                try:
                    Prover.of(case.network).prove(
                        tensor(sample), moves_at_most(most * room), LInf(1.0), timeout=60
                    )
                except Unproven:
                    assert not holds, (seed, most)
                    continue
                assert holds, (seed, most)
                moving += 1
    assert moving > 8


def graded(seed: int, depth: int) -> SpikingNetwork:
    """Return a network whose hidden neurons fire up to five times a step."""
    draw = torch.Generator().manual_seed(seed)
    layers, constants = [WholeInput(0, 7)], {"reset": "subtract", "most": 5}
    for _ in range(depth):
        layers += [nn.Linear(2, 2), IntegerLIF(WholeDecay("floor", 2, 3), 4, **constants)]
    made = SpikingNetwork(
        *layers, nn.Linear(2, 2), LIF(1.0, reset="none"), num_steps=3, readout="potential"
    ).double()
    for parameter in made.parameters():
        parameter.data = torch.randint(-1, 5, parameter.shape, generator=draw).double()
    return made.eval()


@torch.no_grad()
@pytest.mark.parametrize("depth", [1, 2])
def test_numbers_of_spikes_are_counted(depth):
    """How far outputs move is proved to be as much as enumeration finds, and not less."""
    several = moving = 0
    for seed in range(10):
        made, sample = graded(seed, depth), np.random.default_rng(seed).integers(0, 8, 2)
        inputs = tensor(around(sample, 2, 7))
        several += max(float(spikes.max()) for spikes in made.trace(inputs).spikes[:-1]) > 1
        span = float((made(inputs) - made(tensor(sample[None]))).abs().max())
        if span == 0:
            continue
        prover, moving = Prover.of(made), moving + 1
        prover.prove(tensor(sample), moves_at_most(span), LInf(2.0), timeout=60)
        with pytest.raises(Unproven):
            prover.prove(tensor(sample), moves_at_most(span - 0.5), LInf(2.0), timeout=60)
    assert several > 3
    assert moving > 5


@pytest.mark.parametrize(("least", "told"), [(0, None), (1, "the whole ones from 1 to 1 of the model")])
def test_recordings_are_what_the_chip_takes(least, told):
    layers = [WholeInput(least, 1), nn.Linear(2, 2), IntegerLIF(WholeDecay("floor", 2, 3), 4), nn.Linear(2, 2)]
    made = SpikingNetwork(
        *layers, LIF(1.0, reset="none"), num_steps=3, encoding="none", readout="potential"
    ).double()
    for parameter in made.parameters():
        parameter.data = parameter.data.round() * 0
    made.layers[3].bias.data = torch.tensor([9.0, 1.0], dtype=torch.float64)
    prover, sample = Prover.of(made.eval()), torch.ones(3, 2, dtype=torch.float64)
    if told is None:
        assert prover.prove(sample, 0, SpikeFlip(1)).leaves == 1
        return
    with pytest.raises(Unproven, match=told):
        prover.prove(sample, 0, SpikeFlip(1))


@torch.no_grad()
def test_ties_fall_as_they_do_on_the_chip():
    """Sums of two classes are equal at each input: of both, argmax takes the first, and no order is strict."""
    made, sample = graded(3, 1), tensor(np.array([3, 4]))
    last = made.layers[3]
    assert isinstance(last, nn.Linear)
    for part in (last.weight, last.bias):
        part.data = part.data[:1].expand_as(part).clone()
    assert Prover.of(made).prove(sample, 0, LInf(1.0), ties="argmax").leaves >= 1
    for label, ties in ((0, "strict"), (1, "argmax"), (1, "strict")):
        with pytest.raises(Disproved):
            Prover.of(made).prove(sample, label, LInf(1.0), ties=ties)
