"""What is proven of integer networks, against all whole inputs around a sample, run by another program."""

from collections import Counter

import numpy as np
import pytest
import torch

from spikecert import LInf, SpikeFlip, SpikingNetwork, Verdict, verify
from spikecert.certify.ties import settled_ties
from support.chips import CHIPS, SIZES, STEPS, Case, Chip, Overrun, around, failing, margins, tensor

SAMPLES = 8
SEEDS = {"daily": 3, "slow": 150}
LEAST_MOVING = 10_000


def asked(chip: Chip, seed: int, radius: int = 1, verifier: str = "trains") -> Counter[str]:
    """Ask about samples of a random network, and compare each answer with all inputs of its set."""
    case, random, told = Case.drawn(chip, seed), np.random.default_rng([seed, 1]), Counter[str]()
    samples = random.integers(0, chip.most_input + 1, (SAMPLES, SIZES[0]))
    try:
        labels = case.outputs(samples).argmax(1)
    except Overrun:
        return told
    found = verify(case.network, tensor(samples), torch.from_numpy(labels), LInf(radius), verifier)
    ties = settled_ties(case.network, None)
    for sample, label, verdict in zip(samples, labels.tolist(), found, strict=True):
        try:
            outputs = case.outputs(around(sample, radius, chip.most_input))
        except Overrun:
            assert verdict.status != "verified"
            continue
        told += checked(verdict, outputs, label, ties, chip.counts)
    return told


def checked(verdict: Verdict, outputs: np.ndarray, label: int, ties: str, counts: bool) -> Counter[str]:
    """Compare one answer with the outputs of all members."""
    falls, least = bool(failing(outputs, label, ties).any()), margins(outputs, label)
    moving = bool((least != least[0]).any())
    assert verdict.status != "verified" or not falls
    assert verdict.status != "falsified" or falls
    if verdict.margin is not None and verdict.margin > -np.inf:
        assert verdict.margin <= least.min() / (STEPS if counts else 1) + 1e-9
    return Counter(moving=moving, robust=not falls, proved=verdict.status == "verified", asked=1)


@pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: chip.name)
def test_nothing_is_proven_that_a_whole_input_breaks(chip: Chip):
    told = sum((asked(chip, seed) for seed in range(SEEDS["daily"])), Counter[str]())
    assert told["asked"] > 0


@pytest.mark.slow
def test_ten_thousand_questions_that_move():
    told = {chip.name: Counter[str]() for chip in CHIPS}
    for chip in CHIPS:
        for seed in range(SEEDS["slow"]):
            told[chip.name] += asked(chip, 1000 + seed)
    assert sum(each["moving"] for each in told.values()) >= LEAST_MOVING
    assert all(each["proved"] > 0 and each["moving"] > 0 for each in told.values())


@pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: chip.name)
def test_the_list_of_all_inputs_decides_as_the_other_program(chip: Chip):
    case, random = Case.drawn(chip, 7), np.random.default_rng(7)
    samples = random.integers(0, chip.most_input + 1, (2, SIZES[0]))
    labels = case.outputs(samples).argmax(1)
    found = verify(case.network, tensor(samples), torch.from_numpy(labels), LInf(1), "enumeration")
    for sample, label, verdict in zip(samples, labels.tolist(), found, strict=True):
        outputs = case.outputs(around(sample, 1, chip.most_input))
        falls = failing(outputs, label, settled_ties(case.network, None)).any()
        assert verdict.status == ("falsified" if falls else "verified")
        if falls:
            assert verdict.counterexample is not None
            replayed = case.outputs(verdict.counterexample[None].numpy().astype(np.int64))
            assert failing(replayed, label, settled_ties(case.network, None)).all()


@pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: chip.name)
def test_a_run_is_that_of_the_other_program(chip: Chip):
    for seed in range(10):
        case, random = Case.drawn(chip, seed), np.random.default_rng(seed)
        samples = random.integers(0, chip.most_input + 1, (64, SIZES[0]))
        try:
            outputs = case.outputs(samples)
        except Overrun:
            continue
        with torch.no_grad():
            found = case.network(tensor(samples)) * (STEPS if chip.counts else 1)
        assert np.array_equal(found.round().numpy().astype(np.int64), outputs)


@pytest.mark.parametrize("name", ["loihi cuba", "shift subtracting", "xylo"])
def test_flipped_events_are_decided_exactly(name: str):
    (chip,) = (each for each in CHIPS if each.name == name)
    case, random = Case.drawn(chip, 3, (5, 5, 4, 3)), np.random.default_rng(3)
    settings = {"num_steps": STEPS, "readout": case.network.readout, "encoding": "none"}
    timed = SpikingNetwork(*case.network.layers, **settings)
    events = (random.random((6, STEPS, 5)) < 0.5).astype(np.int64)
    labels = case.outputs(events).argmax(1)
    ties = settled_ties(timed, None)
    for verifier in ("trains", "enumeration"):
        found = verify(timed, tensor(events), torch.from_numpy(labels), SpikeFlip(1), verifier)
        for sample, label, verdict in zip(events, labels.tolist(), found, strict=True):
            flipped = np.abs(sample[None] - np.vstack([np.zeros((1, 30)), np.eye(30)]).reshape(31, STEPS, 5))
            falls = failing(case.outputs(flipped.astype(np.int64)), label, ties).any()
            assert verdict.status != "verified" or not falls
            assert verifier == "trains" or verdict.status == ("falsified" if falls else "verified")
