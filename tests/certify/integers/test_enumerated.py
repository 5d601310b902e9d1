"""What is proven of integer networks, against all whole inputs around a sample, run by another program."""

import random
from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn

from spikecert import (
    L2,
    LIF,
    IntegerLIF,
    LInf,
    SpikeFlip,
    SpikingNetwork,
    Verdict,
    WholeInput,
    attack,
    output,
    output_range,
    verify,
)
from spikecert.certify.proofs import Disproved, Prover
from spikecert.certify.ties import settled_ties
from spikecert.certify.verifiers import Verifier
from spikecert.certify.verifiers.complete import Complete
from spikecert.certify.verifiers.enumeration import Enumeration, InputSplitting
from spikecert.models import WholeDecay
from support.chips import CHIPS, SIZES, STEPS, Case, Chip, Overrun, around, failing, margins, tensor
from support.drawn_chips import MOST, members, network
from support.examples import THOROUGH, by_night

SAMPLES = 8
SEEDS = {"daily": 3, "slow": 150}
LEAST_MOVING = 10_000


def asked(chip: Chip, seed: int, radius: int = 1, verifier: str | Verifier = "trains") -> Counter[str]:
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


@pytest.mark.parametrize("timed", [False, True])
def test_whole_outputs_are_bounded_by_what_they_attain(timed: bool):
    """Nothing rounds, so nothing is paid: ≤ holds at the greatest member, < does not; a proof says the same."""
    told = Counter[str]()
    for seed in range(60 if THOROUGH else 30):
        draw = random.Random(seed)
        made = network(draw)
        if made is None or made.timed != timed or made.readout == "spikes":
            continue
        shape = (made.num_steps, 2) if timed else (2,)
        numbers = [float(draw.randint(0, 1 if timed else MOST)) for _ in range(int(np.prod(shape)))]
        sample, threat = torch.tensor(numbers, dtype=torch.float64).view(shape), SpikeFlip(1) if timed else LInf(1)
        outputs = made(members(sample, threat))[:, 0].detach()
        if outputs.isnan().any():
            continue
        least, most = float(outputs.min()), float(outputs.max())
        for name, prop in (("yes", output[0] <= most), ("no", output[0] < most), ("yes", least <= output[0])):
            for verifier in ("enumeration", "auto") if seed < 10 or THOROUGH else ("enumeration",):
                (found,) = verify(made, sample[None], prop, threat, verifier)
                assert found.status == ("verified" if name == "yes" else "falsified"), (seed, verifier)
                assert name == "no" or found.margin == 0.0
            if made.readout in ("potential", "summed") and not timed:
                try:
                    Prover.of(made).prove(sample, prop, threat)
                except Disproved:
                    assert name == "no"
                told[name] += 1
        told[made.readout] += 1
    assert min(told[each] for each in ("potential", "summed", "largest")) > 0


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


def test_sums_beyond_what_float64_holds_are_not_proven():
    """Their currents are 0, but Σ|w||x| passes 2^51: in some order a sum would round."""
    wide, last = nn.Linear(40, 2, bias=False).double(), nn.Linear(2, 2).double()
    with torch.no_grad():
        wide.weight.copy_(torch.tensor([2.0**31, -(2.0**31)]).repeat(2, 20))
        last.weight.fill_(1.0)
        last.bias.copy_(torch.tensor([1.0, 0.0]))
    layers = WholeInput(0, 2**16), wide, IntegerLIF(WholeDecay("shift", 1), 5), last, LIF(1.0, reset="none")
    network = SpikingNetwork(*layers, num_steps=2, readout="potential").double()
    inputs = torch.full((1, 40), 2.0**16, dtype=torch.float64)
    (verdict,) = verify(network, inputs, torch.tensor([0]), LInf(0), "trains")
    assert verdict.status == "unknown"
    assert "a sum of products may reach" in verdict.reason
    (verdict,) = verify(network, inputs / 2**10, torch.tensor([0]), LInf(0), "trains")
    assert verdict.status == "verified"
    assert verdict.margin == 2.0


def test_a_potential_that_is_read_and_may_be_cut_is_not_proven():
    dense = nn.Linear(2, 2, bias=False).double()
    with torch.no_grad():
        dense.weight.copy_(torch.tensor([[20.0, 0.0], [0.0, 10.0]]))
    reads = IntegerLIF(WholeDecay("truncate", 0, 1), 127, reset="none", bits=8)
    network = SpikingNetwork(WholeInput(0, 9), dense, reads, num_steps=3, readout="potential").double()
    inputs, label = torch.tensor([[2.0, 1.0], [1.0, 1.0]], dtype=torch.float64), torch.tensor([0, 0])
    found = [verify(network, inputs[k : k + 1], label[:1], LInf(r), "trains")[0] for k in (0, 1) for r in (0, 1)]
    assert [verdict.status for verdict in found] == ["verified", "unknown", "verified", "unknown"]
    assert "a potential that is read may reach 180, beyond 127" in found[1].reason


def test_only_whole_vectors_are_asked_about():
    case = Case.drawn(CHIPS[0], 0)
    sample = tensor(np.array([[1, 2, 3, 0, 1, 2]]))
    label = case.network(sample).argmax(1)
    half, one = (verify(case.network, sample, label, LInf(r), "trains")[0] for r in (0.5, 1.5))
    assert half.margin == verify(case.network, sample, label, LInf(0), "trains")[0].margin
    assert one.margin == verify(case.network, sample, label, LInf(1), "trains")[0].margin
    for asked, told in (
        (L2(1.0), "perturbation: got L2"),
        (LInf(1, 2, 9), "inputs: got values from 0"),
    ):
        with pytest.raises(ValueError, match=told):
            verify(case.network, sample, label, asked, "trains")


@pytest.mark.parametrize("name", ["linear", "gain", "lirpa", "milp"])
def test_what_knows_real_inputs_alone_says_so(name: str):
    case = Case.drawn(CHIPS[0], 0)
    sample = tensor(np.array([[1, 2, 3, 0, 1, 2]]))
    with pytest.raises(ValueError, match=f"verifier: got '{name}', expected"):
        verify(case.network, sample, case.network(sample).argmax(1), LInf(1), name)


@pytest.mark.parametrize("name", ["pgd", "ensemble", "standard", "guided", "sapgd"])
def test_attacks_by_gradients_are_refused(name: str):
    case = Case.drawn(CHIPS[0], 0)
    sample = tensor(np.array([[1, 2, 3, 0, 1, 2]]))
    with pytest.raises(ValueError, match="expected one without gradients"):
        attack(case.network, sample, case.network(sample).argmax(1), LInf(1), name)


@pytest.mark.parametrize("name", ["square", "gaussian"])
def test_attacks_without_gradients_find_whole_inputs(name: str):
    broken = 0
    for seed in range(4 if THOROUGH else 2):
        case, random = Case.drawn(CHIPS[1], seed), np.random.default_rng(seed)
        samples = random.integers(0, 4, (8, SIZES[0]))
        labels = case.outputs(samples).argmax(1)
        found = attack(case.network, tensor(samples), torch.from_numpy(labels), LInf(1), name)
        assert torch.equal(found.inputs, found.inputs.round())
        assert bool(((found.inputs - tensor(samples)).abs() <= 1).all())
        for index in found.success.nonzero().flatten().tolist():
            outputs = case.outputs(found.inputs[index : index + 1].numpy().astype(np.int64))
            assert failing(outputs, labels[index], "strict").all()
        broken += int(found.success.sum())
    assert broken > 0


@pytest.mark.parametrize(("name", "seeds"), by_night(("loihi", 4), ("xylo undelayed", 4)))
def test_auto_decides(name: str, seeds: int):
    (chip,) = (each for each in CHIPS if each.name == name)
    told = sum((asked(chip, seed, verifier="auto") for seed in range(seeds)), Counter[str]())
    assert told["proved"] == told["robust"] > 0


@pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: chip.name)
def test_boxes_of_whole_inputs_decide_as_all_members_do(chip: Chip):
    """By splitting alone, no set listed: nothing is left open but batches with a sample that a chip may wrap."""
    for seed in range(40 if THOROUGH else 1):
        told = asked(chip, 50 + seed, verifier=InputSplitting(2**12))
        assert told["proved"] == told["robust"] or told["asked"] < SAMPLES


@pytest.mark.parametrize("name", ["shift subtracting", *by_night("loihi", "xylo")])
def test_complete_goes_on_where_a_set_is_too_large_to_list(name: str):
    (chip,) = (each for each in CHIPS if each.name == name)
    splitting = Complete(enumeration=Enumeration(patience=0))
    told = sum((asked(chip, seed, verifier=splitting) for seed in (11, 12, 13)), Counter[str]())
    assert told["proved"] == told["robust"]
    assert told["moving"]


@pytest.mark.parametrize("name", ["loihi", "shift subtracting", "xylo undelayed"])
@torch.no_grad()
def test_ranges_of_outputs_are_those_of_all_members(name: str):
    (chip,) = (each for each in CHIPS if each.name == name)
    case, random = Case.drawn(chip, 2), np.random.default_rng(2)
    samples = random.integers(0, chip.most_input + 1, (3, SIZES[0]))
    form = output[0] - output[1]
    found = output_range(case.network, tensor(samples), LInf(1), form, tolerance=1e-6)
    for sample, ends in zip(samples, found, strict=True):
        outputs = case.network(tensor(around(sample, 1, chip.most_input)))
        values = outputs[:, 0] - outputs[:, 1]
        assert ends.closed
        assert ends.least == pytest.approx(float(values.min()), abs=1e-9)
        assert ends.greatest == pytest.approx(float(values.max()), abs=1e-9)
        assert ends.lower <= float(values.min())
        assert float(values.max()) <= ends.upper


def test_a_sum_whose_order_counts_is_not_proven():
    """Two spikes of weights that cancel: cut after the first one, they leave something."""
    dense = nn.Linear(2, 2, bias=False).double()
    with torch.no_grad():
        dense.weight.copy_(torch.tensor([[20_000.0, -20_000.0], [0.0, 0.0]]))
    constants = {"reset": "subtract", "bits": 16, "current_bits": 16, "saturating_sums": True}
    neuron = IntegerLIF(WholeDecay("dash", 2), 9, **constants)
    network = SpikingNetwork(WholeInput(0, 15), dense, neuron, num_steps=2, readout="spikes").double()
    inputs = torch.tensor([[2.0, 2.0], [1.0, 1.0]], dtype=torch.float64)
    found = [verify(network, each[None], torch.tensor([0]), LInf(0), "trains")[0] for each in inputs]
    assert [verdict.status for verdict in found] == ["unknown", "unknown"]
    assert "a part of a sum of currents may reach 80000, beyond 32767" in found[0].reason
    (verdict,) = verify(network, inputs[:1] * 0.0, torch.tensor([0]), LInf(0), "trains")
    assert verdict.status == "verified"
