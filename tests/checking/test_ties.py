"""What a proof says of ties: a tie that falls to the label is proven for argmax, and for nothing else."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from spikecert import LIF, LInf, SpikingNetwork, mlp, save
from spikecert.certify.proofs import Disproved, Prover, Unproven
from spikecert.certify.replay import fails
from spikecert.certify.ties import TIES
from spikecert.checking import Refused, check
from spikecert.checking.short import FORMAT
from spikecert.models.files.storage import read_tensors, write_tensors
from spikecert.testing import cases, points
from support.command_line import Outcome
from support.examples import examples
from support.readouts import has_a_form, read_out

BALL, SAMPLE = LInf(0.02), torch.tensor([0.4, 0.7])


def tied(readout: str = "spikes") -> SpikingNetwork:
    """Classes 0 and 1 have one weight, and class 2 none."""
    torch.manual_seed(3)
    net = mlp((2, 6, 3), num_steps=4, neuron=LIF(0.9, 0.3))
    last = net.layers[-1]
    assert isinstance(last, nn.Linear)
    last.weight.data[:2] = last.weight.data[:1].abs()
    last.bias.data[:] = torch.tensor([0.5, 0.5, -9.0])
    return read_out(net.eval(), readout)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tied")
    save(tied(), folder / "network.safetensors")
    Prover.of(tied()).prove(SAMPLE, 0, BALL, 20.0).save(folder / "sample.proof")
    return folder


def changed(written: Path, **fields: object) -> Path:
    """Return a copy whose header says otherwise, sealed again; None takes a field out."""
    text, tensors = read_tensors(written / "sample.proof", FORMAT)
    told = {**json.loads(text), **fields}
    told = {name: value for name, value in told.items() if value is not None}
    write_tensors(written / "changed.proof", FORMAT, json.dumps(told, sort_keys=True), tensors)
    return written / "changed.proof"


def test_a_tie_that_falls_to_the_label_is_proven_for_argmax(written: Path) -> None:
    found = check(written / "sample.proof", written / "network.safetensors")
    assert (found.label, found.ties, found.margin) == (0, "argmax", 0.0)


@pytest.mark.parametrize("ties", [None, "strict"])
def test_the_same_tree_proves_no_strict_order(written: Path, ties: str | None) -> None:
    """A proof that says nothing of ties is one of an older version, and means strict."""
    with pytest.raises(
        Refused, match=r"^changed\.proof: class 1: a leaf's margin is only proven to be at least -"
    ):
        check(changed(written, ties=ties), written / "network.safetensors")


@pytest.mark.parametrize("ties", ["lowest", 1, ["argmax"], True])
def test_other_words_are_refused(written: Path, ties: object) -> None:
    with pytest.raises(Refused, match=r"^changed\.proof: ties: got .*, expected argmax or strict$"):
        check(changed(written, ties=ties), written / "network.safetensors")


def test_the_greater_index_has_no_proof(written: Path) -> None:
    with pytest.raises(Disproved):
        Prover.of(tied()).prove(SAMPLE, 1, BALL, 20.0)
    with pytest.raises(Disproved):
        Prover.of(tied()).prove(SAMPLE, 0, BALL, 20.0, ties="strict")


def test_no_tie_of_means_is_proven() -> None:
    """Behind an affine layer equal sums may round to unequal logits: at best the bound is below 0."""
    with pytest.raises(Unproven):
        Prover.of(tied("mean")).prove(SAMPLE, 0, BALL, 20.0, ties="argmax")


def test_claims_of_both_kinds_differ(written: Path) -> None:
    net = tied()
    net.layers[-2].bias.data[1] = -9.0  # pyright: ignore[reportAttributeAccessIssue, reportIndexIssue]
    save(net, written / "other.safetensors")
    claims = set()
    for ties in TIES:
        Prover.of(net).prove(SAMPLE, 0, BALL, 20.0, ties=ties).save(written / f"{ties}.other")
        found = check(written / f"{ties}.other", written / "other.safetensors")
        assert (found.ties, found.margin > 0) == (ties, True)
        claims.add(found.claim)
    assert len(claims) == 2


def test_the_command_tells_and_may_demand_a_strict_order(written: Path, run: Callable[..., Outcome]) -> None:
    proof, model = str(written / "sample.proof"), str(written / "network.safetensors")
    status, told, _ = run("check-proof", proof, "--model", model)
    assert status == 0
    assert "class 0 (argmax) within" in told
    status, told, _ = run("check-proof", proof, "--model", model, "--ties", "strict")
    assert status == 1
    assert "lets a tie fall to the label (argmax), which is not the strict order asked for" in told


@examples(10)
@given(cases(most_layers=2, most_width=4, most_steps=4, encodings=("direct",)), st.integers(0, 2**31))
def test_no_accepted_proof_is_contradicted(tmp_path_factory, case, seed: int) -> None:
    network = read_out(case.network, "spikes")
    if not has_a_form(network):
        return
    folder, ball = tmp_path_factory.mktemp("proofs"), LInf(case.epsilon)
    save(network, folder / "network.safetensors")
    with torch.no_grad():
        labels = network(case.inputs).argmax(1)
        logits = torch.stack([network(x) for x in points(case, 30, torch.Generator().manual_seed(seed))])
    for ties, index in itertools.product(TIES, range(2)):
        label = int(labels[index])
        try:
            proof = Prover.of(network).prove(case.inputs[index], label, ball, timeout=2.0, ties=ties)
        except Unproven:
            continue
        proof.save(folder / "sample.proof")
        assert check(folder / "sample.proof", folder / "network.safetensors").ties == ties
        assert not bool(fails(logits[:, index], torch.full((30,), label), ties).any())
