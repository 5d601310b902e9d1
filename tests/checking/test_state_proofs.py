"""Proofs of networks whose neurons rest behind each spike, or whose thresholds rise with it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from spikecert import LInf, SpikingNetwork, moves_at_most, save, verify
from spikecert.certify.proofs import Prover, Unproven
from spikecert.checking import Refused, check, read_network
from spikecert.checking.certificates import elaborate
from spikecert.checking.kernel.certificates import check_certificate
from spikecert.checking.kernel.network import KernelNodes
from spikecert.checking.kernel.numbers import GRID
from spikecert.checking.network.model import FORMAT
from spikecert.models import AdaptiveLIF, RefractoryLIF
from spikecert.models.files.storage import read_tensors, write_tensors
from spikecert.testing import Case
from support.checked_runs import asked, check_run, traced
from support.examples import THOROUGH
from support.property_oracle import worst_seen
from support.timed_networks import adapting, broken, inputs_around, resting


@pytest.mark.parametrize("drawn", [resting, adapting])
def test_what_is_proven_of_random_networks_is_never_false(drawn, tmp_path):
    proven = 0
    for seed in range(300 if THOROUGH else 40):
        network, x, radius = drawn(np.random.default_rng(seed))
        with torch.no_grad():
            label = int(network(x[None])[0].argmax())
        save(network, tmp_path / "network.safetensors")
        ties = ("argmax", "strict")[seed % 2]
        try:
            Prover.of(network).prove(x, label, LInf(radius), 5.0, ties=ties).save(tmp_path / "a.proof")
        except Unproven:
            continue
        found = check(tmp_path / "a.proof", tmp_path / "network.safetensors")
        proven += 1
        assert (found.label, found.ties) == (label, ties)
        assert not broken(network, x, radius, label, ties, 400)
    assert proven >= 15


@pytest.mark.parametrize("drawn", [resting, adapting])
def test_runs_stay_within_what_the_kernel_allows(drawn, tmp_path):
    for seed in range(60 if THOROUGH else 10):
        network, x, radius = drawn(np.random.default_rng(seed))
        if network.readout not in ("mean", "spikes"):
            continue
        case = Case(network, x[None], torch.tensor([0]), radius)
        kernel = asked(case, tmp_path)
        inputs = inputs_around(x, radius, 5)
        trace = traced(network, inputs)
        for index, point in enumerate(inputs):
            check_run(kernel, point, trace, index)


def small() -> tuple[SpikingNetwork, torch.Tensor, int]:
    torch.manual_seed(0)
    layers = nn.Linear(4, 8), RefractoryLIF(0.9, rest=2), nn.Linear(8, 6), RefractoryLIF(0.9, 0.5, rest=1)
    network = SpikingNetwork(*layers, nn.Linear(6, 3), num_steps=6).eval()
    x = torch.rand(4)
    with torch.no_grad():
        return network, x, int(network(x[None])[0].argmax())


def test_what_bounds_verify_has_a_proof(tmp_path):
    network, x, label = small()
    save(network, tmp_path / "network.safetensors")
    radii = [
        radius
        for radius in (0.002, 0.01, 0.02, 0.05, 0.15)
        if verify(network, x[None], torch.tensor([label]), LInf(radius), "trains")[0].status == "verified"
    ]
    assert radii
    for radius in radii:
        Prover.of(network).prove(x, label, LInf(radius), 30.0).save(tmp_path / "a.proof")
        assert check(tmp_path / "a.proof", tmp_path / "network.safetensors").label == label
    prop = moves_at_most(0.5)
    Prover.of(network).prove(x, prop, LInf(0.05), 30.0).save(tmp_path / "a.proof")
    found = check(tmp_path / "a.proof", tmp_path / "network.safetensors")
    assert found.margin <= worst_seen(network, x, prop, 0.05, 2000) + 1e-9


def check_under(folder: Path, lines: list[str], kind: str, field: str, value: object) -> None:
    """Check a certificate of a network against the same weights under another constant of a kind of neurons."""
    text, tensors = read_tensors(folder / "network.safetensors", FORMAT)
    described = json.loads(text)
    for layer in described["layers"]:
        if layer["type"] == kind:
            layer[field] = value
    write_tensors(folder / "other.safetensors", FORMAT, json.dumps(described, sort_keys=True), tensors)
    other = read_network(folder / "other.safetensors")
    claim = json.loads(lines[1]) | {"network": other.digest}
    check_certificate([lines[0], json.dumps(claim), *lines[2:]], other, 100.0)


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("rest", 0, ""),
        ("rest", 1, ""),
        ("rest", 3, ""),
        ("rest", None, ""),
        ("rest", -1, "no proof form for neurons that rest and are described otherwise"),
        ("rest", 1.5, "no proof form for neurons that rest and are described otherwise"),
        ("rest", True, "no proof form for neurons that rest and are described otherwise"),
        ("start", 0.25, "no proof form for neurons that start from another potential than 0"),
        ("start", "0", "no proof form for neurons that start from another potential than 0"),
        ("reset", "subtract", "no proof form for neurons that rest and are described otherwise"),
    ],
)
def test_a_certificate_of_other_rests_is_refused(field, value, told, tmp_path):
    """The same weights under other rests: the certificate's trains and intervals are those of another network."""
    network, x, label = small()
    save(network, tmp_path / "network.safetensors")
    Prover.of(network).prove(x, label, LInf(0.05), 30.0).save(tmp_path / "a.proof")
    lines = list(elaborate(tmp_path / "a.proof", read_network(tmp_path / "network.safetensors")))
    with pytest.raises(
        Refused, match=told or r"is missing, or its rows|not inductive|leads to no node|a node is entered"
    ):
        check_under(tmp_path, lines, "RefractoryLIF", field, value)


def test_a_node_that_rests_holds_no_more_than_0(tmp_path):
    """Intervals behind spikes of resting neurons are points: any that leaves 0 out is refused."""
    network, x, label = small()
    save(network, tmp_path / "network.safetensors")
    Prover.of(network).prove(x, label, LInf(0.05), 30.0).save(tmp_path / "a.proof")
    read = read_network(tmp_path / "network.safetensors")
    lines = list(elaborate(tmp_path / "a.proof", read))
    place = next(i for i, line in enumerate(lines) if line.startswith("graph ") and " 0 0 -1 " in line[40:])
    words = lines[place].split()
    steps = network.num_steps
    first = 3 + steps + 1
    zeros = [
        i
        for i in range(first + 1, len(words) - 1)
        if words[i] == words[i + 1] == "0" and words[i + 2 : i + 3] == ["-1"]
    ]
    assert zeros
    for i in zeros:
        changed = [*words[:i], f"1p{GRID}", f"1p{GRID}", *words[i + 2 :]]
        with pytest.raises(Refused):
            check_certificate([*lines[:place], " ".join(changed), *lines[place + 1 :]], read, 100.0)


def adaptive(**constants: Any) -> AdaptiveLIF:
    usual: dict[str, Any] = {"decay": 0.9, "adaptation": 0.5, "threshold_decay": 0.8, "threshold": 0.5}
    return AdaptiveLIF(**(usual | constants))


def test_runs_whose_threshold_rose_do_not_repeat_themselves(tmp_path):
    for neuron, repeats in ((adaptive(), False), (adaptive(adaptation=0.0), True), (RefractoryLIF(rest=2), True)):
        save(SpikingNetwork(nn.Linear(2, 2), neuron, nn.Linear(2, 2), num_steps=3), tmp_path / "a.safetensors")
        read = read_network(tmp_path / "a.safetensors")
        nodes = KernelNodes.over(read, read.inputs(np.zeros(2, dtype=np.float32), np.array([1.0]), 0.0, 1.0))
        assert nodes.spiking(2).neuron.periodic == repeats


def rising() -> tuple[SpikingNetwork, torch.Tensor, int]:
    torch.manual_seed(1)
    layers = nn.Linear(4, 8), adaptive(), nn.Linear(8, 6), adaptive()
    network = SpikingNetwork(*layers, nn.Linear(6, 3), num_steps=6).eval()
    x = torch.rand(4)
    with torch.no_grad():
        return network, x, int(network(x[None])[0].argmax())


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("adaptation", 0.0, ""),
        ("adaptation", 0.25, ""),
        ("threshold_decay", 0.0, ""),
        ("threshold_decay", 1.0, ""),
        ("adaptation", -0.5, "has constants outside their range"),
        ("threshold_decay", 1.5, "has constants outside their range"),
        ("adaptation", 1e-42, "adaptation"),
        ("reset", "none", "has constants outside their range"),
        ("rest", 1, "no proof form for a neuron with rest"),
    ],
)
def test_a_certificate_of_other_thresholds_is_refused(field, value, told, tmp_path):
    network, x, label = rising()
    save(network, tmp_path / "network.safetensors")
    Prover.of(network).prove(x, label, LInf(0.002), 30.0).save(tmp_path / "a.proof")
    assert check(tmp_path / "a.proof", tmp_path / "network.safetensors").label == label
    lines = list(elaborate(tmp_path / "a.proof", read_network(tmp_path / "network.safetensors")))
    with pytest.raises(
        Refused, match=told or r"is missing, or its rows|not inductive|leads to no node|is only proven"
    ):
        check_under(tmp_path, lines, "AdaptiveLIF", field, value)
