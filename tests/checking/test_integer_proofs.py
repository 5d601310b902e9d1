"""Proofs about networks of whole numbers: every claim against all members of its set, run through the network."""

import random
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from spikecert import (
    LInf,
    SpikeFlip,
    SpikingNetwork,
)
from spikecert.certify.proofs import Disproved, Prover, Unproven
from support.chips import CHIPS, Case, Overrun, around, failing, margins, tensor
from support.examples import THOROUGH

sys.path.append(str(Path(__file__).parents[1] / "certify" / "integers"))
from test_drawn import MOST, members, network

DRAWN = 3000 if THOROUGH else 60
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
        still += found is None and not breaks and not made.timed
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
