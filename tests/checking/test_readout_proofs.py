"""Proofs of networks whose logits are sums of potentials, maxima over time, or say who fires first."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from spikecert import LIF, LInf, SpikingNetwork, moves_at_most, save
from spikecert.certify.proofs import Disproved, Prover, Unproven
from spikecert.checking import Refused, check, read_network
from spikecert.checking.certificates import elaborate
from spikecert.checking.conclusions import Conclusions
from spikecert.checking.kernel.certificates import check_certificate
from spikecert.checking.network.graph import arrange
from spikecert.checking.network.neurons import Described
from spikecert.checking.numbers.exact import ARITHMETIC
from support.examples import THOROUGH
from support.oracles import least_margin, line_margin
from support.timed_networks import READ, broken, inputs_around, read_over_time


def prove(network: SpikingNetwork, x: torch.Tensor, radius: float, folder: Path, ties: str, label: int):
    """Return what the checker says of a proof; None: there is none."""
    save(network, folder / "network.safetensors")
    try:
        Prover.of(network).prove(x, label, LInf(radius), 5.0, ties=ties).save(folder / "a.proof")
    except Unproven:
        return None
    return check(folder / "a.proof", folder / "network.safetensors")


@pytest.mark.parametrize("kind", READ)
def test_what_is_proven_of_random_networks_is_never_false(kind, tmp_path):
    proven = 0
    for seed in range(120 if THOROUGH else 15):
        network, x, radius = read_over_time(np.random.default_rng(seed), kind)
        with torch.no_grad():
            logits = network(x[None])[0]
        ties, label = ("argmax", "strict")[seed % 2], int(logits.argmax())
        found = prove(network, x, radius, tmp_path, ties, label)
        if found is None:
            continue
        proven += 1
        assert (found.label, found.ties) == (label, ties)
        assert not broken(network, x, radius, label, ties, 300)
        assert found.margin <= least_margin(network, inputs_around(x, radius, 300), label) + 1e-6
        if x.numel() == 1 and ties == "strict" and x.dtype == torch.float64:
            low, high = (float((x + e).clamp(0, 1)) for e in (-radius, radius))
            exact = line_margin(network, low, high, label)
            assert exact > 0
            assert found.margin <= exact + 1e-6
    assert proven >= 3


@pytest.mark.parametrize("kind", READ)
def test_another_label_has_no_proof(kind, tmp_path):
    for seed in range(10):
        network, x, radius = read_over_time(np.random.default_rng(seed), kind)
        with torch.no_grad():
            logits = network(x[None])[0]
        save(network, tmp_path / "network.safetensors")
        for label in range(len(logits)):
            if label != int(logits.argmax()):
                with pytest.raises(Unproven):
                    Prover.of(network).prove(x, label, LInf(radius), 5.0)


def counted(spikes: torch.Tensor, row) -> int:
    """Return what a row is of spikes, (classes, T)."""
    return int(row.constant) + sum(factor * int(spikes[place, t]) for place, factor, t in row.outputs)


@pytest.mark.parametrize("ties", ["argmax", "strict"])
@pytest.mark.parametrize("label", [0, 1])
def test_rows_of_first_spikes_hold_iff_the_label_is_first(label, ties, tmp_path):
    """All pairs of trains of three steps: the clauses hold for exactly those whose order is claimed."""
    network = SpikingNetwork(nn.Linear(1, 2), LIF(0.5), num_steps=3, readout="first").eval()
    save(network, tmp_path / "network.safetensors")
    goal = Conclusions.of_class(arrange(read_network(tmp_path / "network.safetensors"), (1,)), label, ties)
    for code in range(64):
        spikes = torch.tensor([[code >> 3 * c + t & 1 for t in range(3)] for c in range(2)])
        first = [next((t for t in range(3) if spikes[c, t]), 3) for c in range(2)]
        values = [[counted(spikes, row) for row in goal.rows(clause)] for clause in goal.clauses]
        holds = all(any(value > 0 for value in clause) for clause in values)
        ahead = first[label] < first[1 - label]
        assert holds == (ahead or (ties == "argmax" and label == 0 and first[0] == first[1]))
        assert all(value >= 0 for clause in values for value in clause)


@pytest.mark.parametrize("ties", ["argmax", "strict"])
@pytest.mark.parametrize("label", [0, 1])
def test_rows_of_maxima_hold_iff_the_label_has_the_greatest(label, ties, tmp_path):
    network = SpikingNetwork(nn.Linear(1, 2), LIF(0.5), nn.Linear(2, 2), num_steps=3, readout="largest").eval()
    save(network, tmp_path / "network.safetensors")
    goal = Conclusions.of_class(arrange(read_network(tmp_path / "network.safetensors"), (1,)), label, ties)
    generator = np.random.default_rng(0)
    for _ in range(300):
        z = generator.integers(0, 3, (2, 3))
        holds = all(
            any(
                value > row.least or (value == row.least and not row.strict)
                for row in goal.rows(clause)
                for value in [sum(factor * z[place, t] for place, factor, t in row.outputs)]
            )
            for clause in goal.clauses
        )
        gap = z[label].max() - z[1 - label].max()
        assert holds == (gap > 0 or (gap == 0 and ties == "argmax" and label == 0))


def test_forged_steps_rows_and_classes_are_refused(tmp_path):
    torch.manual_seed(0)
    network = SpikingNetwork(
        nn.Linear(4, 8), LIF(0.9), nn.Linear(8, 3), LIF(0.9, reset="none"), num_steps=5, readout="largest"
    ).eval()
    x = torch.rand(4)
    with torch.no_grad():
        label = int(network(x[None]).argmax())
    assert prove(network, x, 0.02, tmp_path, "strict", label) is not None
    read = read_network(tmp_path / "network.safetensors")
    lines = list(elaborate(tmp_path / "a.proof", read))

    def refusal(changed: list[str]) -> str:
        try:
            check_certificate(changed, read, 100.0)
        except Refused as error:
            return str(error)
        return ""

    assert not refusal(lines)
    trees = [index for index, line in enumerate(lines) if line.startswith("class ")]
    assert len(trees) == 10  # each step of each other class
    for one, other in zip([*trees, len(lines)], [*trees[1:], len(lines)], strict=False):
        assert "cut short" in refusal(lines[:one] + lines[other:]) or one == other
    leaves = [index for index, line in enumerate(lines) if line.startswith("leaf ")]
    refused = 0
    for index in leaves:
        for row in range(5):
            told = refusal([*lines[:index], f"leaf {row}", *lines[index + 1 :]])
            assert not told or "is only proven to be at least" in told
            refused += bool(told)
    assert refused > 0
    own = next(line for line in lines if line.startswith("class "))
    assert refusal([*lines[: trees[0]], f"class {5 * label}", *lines[trees[0] + 1 :]]), own
    claim = lines[1].replace(f'"label": {label}', f'"label": {(label + 1) % 3}')
    assert claim != lines[1]
    assert refusal([lines[0], claim, *lines[2:]])


def test_rows_of_a_property_need_sums_over_time():
    network = SpikingNetwork(nn.Linear(2, 3), LIF(0.9), num_steps=3, readout="first").eval()
    with pytest.raises(Unproven, match="no proof form for a property of readout 'first'"):
        Prover.of(network).prove(torch.rand(2), moves_at_most(1.0), LInf(0.01))


def test_a_sample_of_another_class_is_a_counterexample():
    torch.manual_seed(0)
    network = SpikingNetwork(nn.Linear(2, 3), LIF(0.9), nn.Linear(3, 2), num_steps=3, readout="largest").eval()
    x = torch.rand(2)
    with torch.no_grad():
        label = int(network(x[None]).argmin())
    with pytest.raises(Disproved):
        Prover.of(network).prove(x, label, LInf(0.01), ties="strict")


def test_a_sum_of_potentials_strays_as_often_as_it_has_steps():
    arithmetic = ARITHMETIC[np.dtype(np.float32)]
    neuron = Described(Fraction(1, 2), Fraction(1), "none", Fraction(1), (Fraction(1),) * 6)
    alone, summed = (neuron.slip_read(Fraction(3), name, arithmetic) for name in ("potential", "summed"))
    assert summed > 6 * alone
    with pytest.raises(Refused, match="a sum over time may overflow"):
        neuron.slip_read(Fraction(10**35) * 2, "summed", arithmetic)
