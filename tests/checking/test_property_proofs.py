"""Proofs of properties: `robust` is a strict proof of the class, others say the rows that hold."""

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spikecert import (
    LIF,
    LInf,
    Property,
    SpikeFlip,
    abstains,
    inputs,
    mlp,
    moves_at_most,
    output,
    output_range,
    robust,
    sample,
    save,
    targeted,
    top_k,
    verify,
)
from spikecert.certify.proofs import Disproved, Prover, Unproven
from spikecert.certify.questions.classes import property_goal
from spikecert.checking import Refused, Statement, check, read_network
from spikecert.checking.certificates import elaborate
from spikecert.checking.kernel.certificates import check_certificate
from spikecert.checking.short import ROWS_FORMAT
from spikecert.models.files.storage import read_tensors, write_tensors
from support.certificates import tiny
from support.examples import THOROUGH
from support.property_oracle import drawn_property, worst_seen

Change = Callable[[dict[str, Any], dict[str, torch.Tensor]], None]


class Told:
    """A network's file, a proof of a property, and the property."""

    def __init__(self, folder: Path, prop: Property, reach: float = 0.05) -> None:
        torch.manual_seed(0)
        self.network, self.sample = mlp((4, 6, 3), 4, neuron=LIF(decay=0.9)).eval(), torch.rand(4)
        self.folder, self.prop, self.reach = folder, prop, reach
        save(self.network, folder / "network.safetensors")
        proof = Prover.of(self.network).prove(self.sample, prop, LInf(reach), 60.0)
        proof.save(folder / "a.proof", "sample 7")

    def check(self, name: str = "a.proof") -> Statement:
        return check(self.folder / name, self.folder / "network.safetensors")

    def changed(self, change: Change) -> str:
        """Return why a changed proof is refused; nothing where it is accepted."""
        text, tensors = read_tensors(self.folder / "a.proof", ROWS_FORMAT)
        told = json.loads(text)
        change(told, tensors)
        write_tensors(self.folder / "b.proof", ROWS_FORMAT, json.dumps(told, sort_keys=True), tensors)
        try:
            self.check("b.proof")
        except Refused as error:
            return str(error)
        return ""

    @property
    def lines(self) -> list[str]:
        """Return the lines of its certificate."""
        return list(elaborate(self.folder / "a.proof", read_network(self.folder / "network.safetensors")))

    def refusal(self, lines: list[str]) -> str:
        """Return why the kernel refuses a certificate; nothing where it accepts it."""
        try:
            check_certificate(lines, read_network(self.folder / "network.safetensors"), 100.0)
        except Refused as error:
            return str(error)
        return ""


def test_robust_is_a_strict_proof_of_the_class(tmp_path):
    torch.manual_seed(0)
    network, x = mlp((3, 6, 3), 4).eval(), torch.full((3,), 0.5)
    with torch.no_grad():
        label = int(network(x[None]).argmax())
    save(network, tmp_path / "network.safetensors")
    for prop in (robust(), robust(label)):
        Prover.of(network).prove(x, prop, LInf(0.001)).save(tmp_path / "a.proof")
        found = check(tmp_path / "a.proof", tmp_path / "network.safetensors")
        assert (found.label, found.ties) == (label, "strict")
        assert found.prop is None
    with pytest.raises(Unproven):
        Prover.of(network).prove(x, robust((label + 1) % 3), LInf(0.001))


PROPERTIES = (
    moves_at_most(0.3),
    moves_at_most(0.25, 1),
    targeted(0),
    top_k(2),
    abstains(0.1),
    output[0] <= 1.0,
    output[0] - 0.5 * inputs[1] + 0.25 * inputs[3] < 0.2,
    (abs(output[0] - output[1]) <= 0.2) | (output[2] >= 0.0),
    (output[0] <= output[2]) & (abs(output[1] - sample[1]) <= 0.5),
)


@pytest.mark.parametrize("prop", PROPERTIES, ids=str)
def test_a_proof_says_the_rows_that_it_proves(prop, tmp_path):
    told = Told(tmp_path, prop)
    found = told.check()
    assert verify(told.network, told.sample[None], prop, LInf(told.reach), "complete")[0].status == "verified"
    assert found.label is None
    assert found.prop is not None
    with torch.no_grad():
        own = told.network(told.sample[None])[0].tolist()
    asked = prop.clauses(own)
    assert [len(clause) for clause in found.prop.clauses] == [len(clause) for clause in asked]
    for stated, meant in zip(sum(found.prop.clauses, ()), sum(asked, ()), strict=True):
        form = meant.form
        assert (stated.outputs, stated.inputs, stated.own) == (form.outputs, form.inputs, form.own)
        assert (stated.constant, stated.strict) == (form.constant, meant.strict)
    assert list(found.prop.own) == own
    worst = worst_seen(told.network, told.sample, prop, told.reach, 4000)
    assert 0 <= found.margin <= worst + 1e-9
    assert not told.refusal(told.lines)
    assert told.lines[0] == "spikecert.proof/2.1"


def test_what_does_not_hold_has_no_proof(tmp_path):
    torch.manual_seed(0)
    network, x = mlp((4, 6, 3), 4, neuron=LIF(decay=0.9)).eval(), torch.rand(4)
    prover = Prover.of(network)
    with pytest.raises(Disproved):
        prover.prove(x, moves_at_most(0.05), LInf(0.3), 60.0)
    with pytest.raises(Disproved):
        prover.prove(x, output[0] > 5.0, LInf(0.0), 60.0)
    with pytest.raises(ValueError, match=r"^property: got outputs\[3\]"):
        prover.prove(x, output[3] <= 0.0, LInf(0.05))
    with pytest.raises(ValueError, match=r"^ties: got 'argmax' beside a property"):
        prover.prove(x, moves_at_most(1.0), LInf(0.01), ties="argmax")


def rows(told: dict[str, Any]) -> list[dict[str, Any]]:
    return [row for clause in told["property"] for row in clause]


def test_a_proof_of_another_claim_is_refused_or_another_statement(tmp_path):
    told = Told(tmp_path, (abs(output[0] - sample[0]) <= 0.3) & ((output[1] <= 2.0) | (output[2] >= 0.0)))
    claim = told.check().claim
    assert not told.changed(lambda text, tensors: None)

    def refused(change: Change, reason: str) -> None:
        assert reason in told.changed(change)

    def shrunk(text, tensors):
        rows(text)[0]["constant"] = -1e-6

    def own_moved(text, tensors):
        text["own"] = [value + 1.0 for value in text["own"]]

    def other_sign(text, tensors):
        rows(text)[0]["outputs"] = [[0, -1.0]]

    def wider(text, tensors):
        tensors["radius"] = tensors["radius"] * 0 + 1.0

    for change in (shrunk, own_moved, other_sign, wider):
        refused(change, "is only proven to be at least")
    refused(lambda text, tensors: text.update(label=0), "beside a label or ties")
    refused(lambda text, tensors: text.update(ties="strict"), "beside a label or ties")
    refused(lambda text, tensors: text.update(property=[]), "no clause")
    refused(lambda text, tensors: text.update(property=[[], []]), "no clause")
    refused(lambda text, tensors: text["property"].append(text["property"][0]), "lacks a part")
    refused(lambda text, tensors: text["own"].pop(), "2 outputs of the sample, expected 3")
    refused(lambda text, tensors: rows(text)[0].update(outputs=[[3, 1.0]]), "output[3]")
    refused(lambda text, tensors: rows(text)[0].update(own=[[-1, 1.0]]), "different whole numbers")
    refused(lambda text, tensors: rows(text)[0].update(outputs=[[0, 1.0], [0, 1.0]]), "different whole numbers")
    refused(lambda text, tensors: rows(text)[0].update(inputs=[[4, 1.0]]), "inputs[4]")
    refused(lambda text, tensors: rows(text)[0].update(constant=1e-200), "expected 0 or a modulus")
    refused(lambda text, tensors: rows(text)[0].update(constant=True), "expected a finite number")
    refused(lambda text, tensors: rows(text)[0].update(strict=0), "other fields")
    refused(lambda text, tensors: rows(text)[0].update(more=0), "other fields")
    refused(lambda text, tensors: tensors.update({"2.row": tensors["2.row"] + 2}), "expected a whole number")
    assert not told.changed(lambda text, tensors: rows(text)[0].update(constant=-0.5))  # weaker: another claim
    assert told.check("b.proof").claim != claim


def test_each_row_counts_the_rounding_of_all_its_outputs(tmp_path):
    told = Told(tmp_path, 3.0 * output[0] - 2.0 * output[1] <= 4.0, 0.0)
    bound = told.check().margin
    with torch.no_grad():
        y = [Fraction(value) for value in told.network(told.sample[None])[0].tolist()]
    exact = 4 - (3 * y[0] - 2 * y[1])
    assert Fraction(bound) <= exact
    assert float(exact) - bound < 1e-4


def test_rounding_counts_as_often_as_an_output(tmp_path):
    """A row of 2^20 times an output has 2^20 times the bound, what the output rounds included."""
    bounds = [Told(tmp_path, factor * output[0] <= 4.0 * factor, 0.0).check().margin for factor in (1.0, 2.0**20)]
    assert bounds[1] == pytest.approx(2.0**20 * bounds[0], rel=1e-12)


def test_a_strict_row_must_not_meet(tmp_path):
    told = Told(tmp_path, inputs[1] <= 1.0, 1.0)
    assert told.check().margin == 0.0
    assert "at least 0" in told.changed(lambda text, tensors: rows(text)[0].update(strict=True))


def test_rows_that_meet_are_proven_only_where_they_may(tmp_path):
    """Inputs are exact: a row of theirs may be met with equality."""
    network = mlp((2, 3, 2), 4, neuron=LIF(decay=0.5, threshold=100.0)).eval()
    save(network, tmp_path / "network.safetensors")
    prover, x = Prover.of(network), torch.full((2,), 0.5)
    for prop, holds in ((inputs[0] - inputs[0] + inputs[1] <= 1.0, True), (inputs[1] < 1.0, False)):
        if holds:
            prover.prove(x, prop, LInf(0.5)).save(tmp_path / "a.proof")
            assert check(tmp_path / "a.proof", tmp_path / "network.safetensors").margin == 0.0
        else:
            with pytest.raises(Unproven):
                prover.prove(x, prop, LInf(0.5))


def test_a_leaf_names_one_of_its_rows(tmp_path):
    told = Told(tmp_path, (output[0] >= 5.0) | (output[0] <= 5.0))
    lines = told.lines
    place = lines.index("leaf 1")
    assert not told.refusal(lines)
    for other in ("leaf 0", "leaf", "leaf 2", "leaf 1 1", "leaf -1"):
        assert told.refusal([*lines[:place], other, *lines[place + 1 :]]), other
    assert told.refusal(["spikecert.proof/2", *lines[1:]])
    claim = json.loads(lines[1])
    del claim["property"]
    assert "lacks a part" in told.refusal(["spikecert.proof/2", json.dumps(claim), *lines[2:]])


@pytest.mark.parametrize("seed", range(60 if THOROUGH else 12))
def test_what_is_proven_of_random_networks_is_never_false(seed, tmp_path):
    generator = np.random.default_rng(seed)
    network, x, radius = tiny(generator)
    with torch.no_grad():
        own = network(x[None])[0]
    goal_of = drawn_property(generator, own, x.numel())
    save(network, tmp_path / "network.safetensors")
    try:
        Prover.of(network).prove(x, goal_of, LInf(radius), 5.0).save(tmp_path / "a.proof")
    except Unproven:
        return
    found = check(tmp_path / "a.proof", tmp_path / "network.safetensors")
    worst = worst_seen(network, x, goal_of, radius, 800)
    assert worst > 0 or (worst >= 0 and found.ties == "argmax")
    assert found.margin <= worst + 1e-9


def test_events_have_proofs_of_rows(tmp_path):
    torch.manual_seed(1)
    network = mlp((3, 5, 2), 4, neuron=LIF(decay=0.9), encoding="none").eval()
    x = (torch.rand(4, 3) < 0.4).float()
    save(network, tmp_path / "network.safetensors")
    Prover.of(network).prove(x, moves_at_most(2.0), SpikeFlip(1), 60.0).save(tmp_path / "a.proof")
    found = check(tmp_path / "a.proof", tmp_path / "network.safetensors")
    assert found.rules is not None
    assert found.prop is not None
    members = x.repeat(13, 1, 1)
    for place in range(12):
        members[place].view(-1)[place] = 1 - members[place].view(-1)[place]
    goal = property_goal(network, x[None], moves_at_most(2.0))
    with torch.no_grad():
        values = goal.values(network(members), torch.zeros(13, dtype=torch.long), members)
    assert float(values.min()) >= found.margin - 1e-9


def test_the_command_line_writes_and_compares_them(run, tmp_path):
    torch.manual_seed(0)
    model, folder = tmp_path / "network.safetensors", tmp_path / "proofs"
    save(mlp((64, 8, 10), num_steps=3, neuron=LIF(0.9)), model)
    asked = ("--data", "digits", "--samples", 3, "--epsilon", "1/255", "--verifier", "complete", "--timeout", 20)
    outcome = run("certify", model, *asked, "--property", "moves=.8", "--proof", folder)
    assert "there are 3 proofs of 3 verified samples" in outcome.err
    again = run("certify", model, *asked, "--property", "moves=.8", "--proof", folder)
    assert "there are 3 proofs of 3 verified samples" in again.err
    shown = run("check-proof", folder, "--model", model)
    assert shown.status == 0
    assert shown.out.count("-1.0*output[9] + 1.0*sample[9] + -0.8 <= 0") == 3
    told = json.loads(run("check-proof", folder, "--model", model, "--json").out)["proofs"][0]
    assert told["label"] is None
    assert len(told["property"]["property"]) == 20
    assert run("check-proof", folder, "--model", model, "--property", "moves=.8").status == 0
    other = run("check-proof", folder, "--model", model, "--property", "moves=.7")
    assert other.status == 1
    assert other.out.count("proves another property") == 3
    assert run("check-proof", folder, "--model", model, "--property", "robust").status == 1
    assert run("check-proof", folder, "--model", model, "--property", "moves=").status == 2
    path = next(iter(folder.iterdir()))
    text, tensors = read_tensors(path, ROWS_FORMAT)
    moved = json.loads(text)
    moved["own"][0] += 1e-3
    write_tensors(path, ROWS_FORMAT, json.dumps(moved), tensors)
    assert run("check-proof", path, "--model", model).status == 0
    forged = run("check-proof", path, "--model", model, "--property", "moves=.8")
    assert forged.status == 1
    assert "says that the sample's own outputs are" in forged.out


def test_a_range_of_outputs_is_proven_as_two_rows(tmp_path):
    torch.manual_seed(3)
    network, x = mlp((3, 8, 2), 4, neuron=LIF(decay=0.9)).eval(), torch.full((3,), 0.5)
    save(network, tmp_path / "network.safetensors")
    form = output[0] - output[1]
    found = output_range(network, x[None], LInf(0.1), form, tolerance=1e-3)[0]
    assert found.lower < found.upper
    prop = (form >= found.lower - 1e-3) & (form <= found.upper + 1e-3)
    Prover.of(network).prove(x, prop, LInf(0.1), 60.0).save(tmp_path / "a.proof")
    assert check(tmp_path / "a.proof", tmp_path / "network.safetensors").margin > 0
    with pytest.raises(Unproven):
        Prover.of(network).prove(x, form <= found.greatest - 1e-3, LInf(0.1), 20.0)
