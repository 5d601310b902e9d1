"""Proofs that release 0.1 wrote, kept with their networks, still check, and say what they said then.

A run of the tests says how many of the native kernel's were left out, whatever else was.
"""

import json
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import torch

from spikecert import load
from spikecert.checking import check
from support.native import HERE, say_left_out

FOLDER = Path(__file__).parent / "proofs-0.1"
SAID = json.loads((FOLDER / "expected.json").read_text())
LATER = Path(__file__).parent / "proofs-1.1"
"""Of properties, other readouts, neurons with more than a potential, whole numbers, and events that are split."""
TOLD = json.loads((LATER / "expected.json").read_text())


def test_each_kept_proof_has_its_network_and_what_it_said():
    assert len(SAID) == 12
    for suffix in (".proof", ".safetensors"):
        assert {path.stem for path in FOLDER.glob(f"*{suffix}")} == SAID.keys()


@pytest.mark.parametrize("name", SAID)
def test_a_kept_proof_still_checks(name):
    found, said = check(FOLDER / f"{name}.proof", FOLDER / f"{name}.safetensors"), SAID[name]
    assert found.label == said["label"]
    assert found.radius.ravel().tolist() == said["radius"]
    assert found.norm == said["norm"]
    assert found.leaves == said["leaves"]
    assert -1e-9 <= found.margin - said["margin"] < 1e-4  # since then less is paid for rounding
    assert found.note.startswith(f"{name}, seed ")


@pytest.mark.parametrize("name", SAID)
def test_a_kept_network_still_runs_as_its_proof_says(name):
    found = check(FOLDER / f"{name}.proof", FOLDER / f"{name}.safetensors")
    network = load(FOLDER / f"{name}.safetensors").eval()
    sample = torch.from_numpy(found.sample.copy())
    with torch.no_grad():
        logits = network(sample[None])[0].double()
    others = logits[torch.arange(len(logits)) != found.label]
    assert float(logits[found.label] - others.max()) >= found.margin


@pytest.mark.parametrize("name", TOLD)
def test_a_kept_proof_of_a_later_kind_still_checks(name):
    found, said = check(LATER / f"{name}.proof", LATER / f"{name}.safetensors"), TOLD[name]
    assert TOLD.keys() == {"rows", "first", "largest", "resting", "adapting", "whole", "events"}
    assert (found.label, found.ties, found.leaves) == (said["label"], said["ties"], said["leaves"])
    assert (None if found.prop is None else str(found.prop)) == said["property"]
    assert found.whole == (name == "whole")
    assert -1e-9 <= found.margin - said["margin"] < 1e-4
    assert found.note.startswith(f"{name}, seed ")
    network, sample = load(LATER / f"{name}.safetensors").eval(), torch.from_numpy(found.sample.copy())
    with torch.no_grad():
        logits = network(sample[None])[0].double()
    if found.prop is not None:
        assert logits.tolist() == pytest.approx(found.prop.own, abs=1e-6)
    else:
        others = logits[torch.arange(len(logits)) != found.label]
        assert float(logits[found.label] - others.max()) >= found.margin


@pytest.mark.parametrize("reasons", [[], ["no torch"], [HERE.kwargs["reason"]] * 3 + ["no torch"]])
def test_what_is_left_out_is_said(reasons):
    skipped = [SimpleNamespace(longrepr=("a file", 1, f"Skipped: {reason}")) for reason in reasons]
    reporter = Mock(stats={"skipped": skipped} if reasons else {})
    say_left_out(reporter)
    said = [call.args[0] for call in reporter.write_line.call_args_list]
    count = reasons.count(HERE.kwargs["reason"])
    assert [line.partition(" tests")[0] for line in said] == [f"LEFT OUT: {count}"] * bool(count)
    assert all("`make native` builds it" in line for line in said)
