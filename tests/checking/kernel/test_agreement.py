"""A short proof is checked as its certificate is, stored with all rules, and both say the same."""

import pytest
import torch

from spikecert import LInf, save
from spikecert.certify.proofs import Prover
from spikecert.checking import Refused, check, read_network
from spikecert.checking.certificates import elaborate
from spikecert.checking.certificates.elaborating import Elaborator
from spikecert.checking.kernel import check_certificate
from support.examples import by_night
from support.proofs import KINDS
from support.subtracting import small

from .conftest import FOLDER


def check_alike(proof, model) -> None:
    """Both are accepted, with one claim, and the margin by all rules is not the lower one."""
    network = read_network(model)
    known, found = check(proof, network), check_certificate(elaborate(proof, network), network)
    for part in ("claim", "point", "label", "ties", "norm", "epsilon", "leaves", "note", "network"):
        assert getattr(known, part) == getattr(found, part), part
    assert found.margin >= known.margin - 1e-9


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.proof")))
def test_both_accept_a_kept_proof(name):
    check_alike(FOLDER / f"{name}.proof", FOLDER / f"{name}.safetensors")


@pytest.mark.parametrize("kind", by_night(*KINDS), indirect=True)
def test_both_accept_a_proof_of_each_kind(proven, kind):
    check_alike(proven.proof, proven.model)


NEEDED = {"a pair": 1, "currents": 9, "both": 11, "either": 15}
"""Samples that only a pair of counted neurons (F9b), only windows by way of currents (F9a), … prove."""


@pytest.mark.parametrize("need", NEEDED)
def test_both_accept_what_cells_alone_do_not_prove(tmp_path, need):
    network, batch = small(6), torch.rand((30, 6), generator=torch.Generator().manual_seed(0))
    sample, model, proof = batch[NEEDED[need]], tmp_path / "network.safetensors", tmp_path / "a.proof"
    save(network, model)
    Prover.of(network).prove(sample, int(network(sample[None]).argmax()), LInf(0.06)).save(proof)
    check_alike(proof, model)
    read = read_network(model)
    lines = list(elaborate(proof, read))
    without = [line for line in lines if not line.startswith(("pair ", "through "))]
    with pytest.raises(Refused, match=r"is not inductive|a leaf.s margin is only proven to be at least"):
        check_certificate(iter(without), read)


def test_the_native_kernel_is_told_nothing_that_it_does_not_read(run, tmp_path):
    network, batch = small(6), torch.rand((30, 6), generator=torch.Generator().manual_seed(0))
    save(network, tmp_path / "network.safetensors")
    label = int(network(batch[:1]).argmax())
    Prover.of(network).prove(batch[0], label, LInf(0.01)).save(tmp_path / "a.proof")
    read = read_network(tmp_path / "network.safetensors")
    assert any(line.startswith("through ") for line in elaborate(tmp_path / "a.proof", read))
    lines = list(elaborate(tmp_path / "a.proof", read, joint=False))
    assert not any(line.startswith(("through ", "pair ", "input ")) for line in lines)
    assert check_certificate(lines, read).label == label
    told = run("elaborate", tmp_path / "a.proof", "--model", tmp_path / "network.safetensors", "--plain")
    assert told.out.splitlines() == lines


@pytest.mark.parametrize(("sample", "needed"), [(0, False), (NEEDED["currents"], True)])
def test_a_prover_asks_rules_of_several_neurons_only_where_a_leaf_needs_them(sample, needed, monkeypatch):
    """One way or the other the facts are made once, and the kernel checks the records that the trials made."""
    made, elaborated = [], Elaborator.facts
    monkeypatch.setattr(Elaborator, "facts", lambda self: (made.append(self.joint), elaborated(self))[1])
    network, batch = small(6), torch.rand((30, 6), generator=torch.Generator().manual_seed(0))
    epsilon = 0.06 if needed else 0.01
    Prover.of(network).prove(batch[sample], int(network(batch[sample][None]).argmax()), LInf(epsilon))
    assert made == [False, True][: 1 + needed]
