"""`spikecert explain`: what bounds leave open holds every run; the record's own network and samples alone."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from torch import nn

from spikecert import LIF, LInf, Recurrent, Residual, SpikingNetwork, dataset, load, mlp, save, verify
from spikecert.certify.bounds.trains.trains import step_spikes
from spikecert.certify.explaining import explain, openness
from spikecert.certify.problem import scale
from spikecert.reports.pages import explained_page as words


@pytest.fixture
def report(run, model, tmp_path):
    """Return the folder of a report on four digits."""
    asked = ("certify", model, "--samples", 4, "--epsilon", "0.02,0.3", "--verifier", "trains", "--no-gains")
    run(*asked, "--out", tmp_path / "run")
    shutil.copy(model, tmp_path)
    return tmp_path / "run"


def test_it_says_what_the_verifiers_say(run, model, report):
    asked = ("explain", report / "record.json", "--sample", 1, "--timeout", 3, "--runs", 20)
    done = run(*asked, "--epsilon", "0.3", "--out", report, "--json")
    assert done.status == 0
    told = json.loads(done.out)
    network, data = load(model), dataset("digits").test
    x, y = data.inputs[1:2], data.labels[1:2]
    by_name = {rung["verifier"]: rung for rung in told["rungs"]}
    for name in ("interval", "trains", "linear"):
        found = verify(network, x, y, LInf(0.3), name)[0]
        assert (by_name[name]["status"], by_name[name]["margin"]) == (found.status, found.margin)
    assert [size for size, _ in told["sizes"]] == pytest.approx([0.075, 0.15, 0.225, 0.3])
    assert told["sizes"][-1][1] == by_name["trains"]["margin"]
    assert told["seen"] <= told["lead"]
    assert json.loads((report / "explained.json").read_text(encoding="utf-8")) == told
    page = (report / "explained.html").read_text(encoding="utf-8")
    assert "ε = 0.3." in page
    assert all(layer["name"] in page for layer in told["layers"])
    assert "of digits" in run(*asked).out


@pytest.mark.parametrize("spread", [0.0, 0.01, 0.1, 1.0])
@pytest.mark.parametrize("kind", ["plain", "subtract", "loop", "residual", "potential", "T = 1"])
def test_no_run_leaves_what_is_open(kind, spread):
    torch.manual_seed(0)
    network = {
        "plain": lambda: mlp((6, 8, 5, 3), 4),
        "subtract": lambda: mlp((6, 8, 5, 3), 4, neuron=LIF(decay=0.5, reset="subtract")),
        "loop": lambda: SpikingNetwork(
            nn.Linear(6, 5), Recurrent(LIF(), nn.Linear(5, 5)), nn.Linear(5, 3), num_steps=4
        ),
        "residual": lambda: SpikingNetwork(
            nn.Linear(6, 5), LIF(), Residual([nn.Linear(5, 5), LIF()]), nn.Linear(5, 3), num_steps=4
        ),
        "potential": lambda: SpikingNetwork(
            nn.Linear(6, 5), LIF(), nn.Linear(5, 3), LIF(reset="none"), num_steps=4, readout="potential"
        ),
        "T = 1": lambda: mlp((6, 8, 3), 1),
    }[kind]().eval()
    x, threat = torch.rand(1, 6), LInf(spread)
    runs = threat.sample(x.expand(64, 6), torch.Generator().manual_seed(1))
    found = openness(network, x, threat, torch.cat([x, runs]), step_spikes)
    assert len(found) == len(network.neurons) - (kind == "potential")
    for layer in found:
        assert all(0 <= seen <= open_ <= 1 for open_, seen in zip(layer.open, layer.changed, strict=True))
        if spread == 0.0:
            assert set(layer.changed) == {0.0}
    if spread == 1.0:
        assert found[0].mean_open > 0


def test_sentences_fit_what_was_found():
    torch.manual_seed(0)
    network, x = mlp((6, 12, 8, 3), 4), torch.rand(6)
    label = int(network(x[None]).argmax(1))
    sets = scale("linf", 0.0, 1.0)
    sure = explain(network, x, label, sets, 1e-4, timeout=2.0, runs=8)
    assert (sure.status, words.advice(sure)) == (
        "verified",
        ['"interval" is the cheapest verifier here that proves it.'],
    )
    wrong = explain(network, x, (label + 1) % 3, sets, 0.1, timeout=2.0, runs=8)
    assert wrong.status == "falsified"
    assert wrong.lead <= 0
    assert "No verifier can prove it" in words.advice(wrong)[0]
    rungs = tuple(replace(rung, status="unknown", margin=-1.0) for rung in sure.rungs)
    assert "more time of this order" in words.advice(replace(sure, rungs=rungs))[0]
    better = (*rungs[:-1], replace(rungs[-1], margin=-0.1))
    assert "more time may do" in words.advice(replace(sure, rungs=better))[0]


def test_events_have_whole_sizes():
    torch.manual_seed(0)
    network = SpikingNetwork(nn.Linear(6, 5), LIF(), nn.Linear(5, 2), num_steps=4, encoding="none")
    x = (torch.rand(4, 6) < 0.4).float()
    label = int(network(x[None]).argmax(1))
    found = explain(network, x, label, scale("l0", 0.0, 1.0), 2.0, timeout=2.0, runs=8)
    assert [size for size, _ in found.sizes] == [1.0, 2.0]
    assert {rung.verifier: rung.status for rung in found.rungs}["linear"] in ("refused", "verified", "unknown")


def test_what_is_not_of_the_record_is_refused(run, model, report, tmp_path):
    other, record = tmp_path / "other.safetensors", report / "record.json"
    torch.manual_seed(9)
    save(mlp((64, 8, 10), 4), other)
    content = json.loads(record.read_text(encoding="utf-8"))
    code = tmp_path / "code.json"
    code.write_text(json.dumps({**content, "data": {**content["data"], "name": "mine.py:f"}}), encoding="utf-8")
    nameless = tmp_path / "nameless.json"
    nameless.write_text(json.dumps({**content, "command": "spikecert certify mine.py:f"}), encoding="utf-8")
    gone = tmp_path / "gone.json"
    gone.write_text(json.dumps({**content, "command": "spikecert certify gone.safetensors"}), encoding="utf-8")
    hashed = tmp_path / "hashed.json"
    hashed.write_text(json.dumps({**content, "data": {**content["data"], "sha256": "0" * 64}}), encoding="utf-8")
    for path, options, told in (
        (record, ("--model", other), "model: got a network of hash"),
        (record, ("--epsilon", "0.1"), "epsilon: got '0.1', expected one of the record's: 0.02, 0.3"),
        (record, ("--epsilon", "nan"), "epsilon: got 'nan'"),
        (record, ("--sample", 4), "sample: got 4, expected at most 3"),
        (code, (), "data: got none beside a record of 'mine.py:f'"),
        (gone, (), "model: got 'gone.safetensors' in the record's command, which is not here"),
        (nameless, (), "model: got none, and the record's command names none"),
        (hashed, (), "data: got other samples than the record's"),
        (model, (), "record: "),
    ):
        done = run("explain", path, "--sample", 1, *options)
        assert (done.status, done.err.count("\n")) == (2, 1), done.err
        assert told in done.err


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"sample": torch.full((6,), torch.nan)}, "inputs"),
        ({"label": 3}, "labels"),
        ({"epsilon": -0.1}, "epsilon"),
        ({"timeout": 0.0}, "timeout"),
        ({"runs": 0}, "runs"),
        ({"sample": torch.full((6,), 2.0)}, "inputs"),
    ],
)
def test_what_is_no_question_is_refused(changed, told):
    asked = {"sample": torch.rand(6), "label": 0, "epsilon": 0.1, "timeout": 0.1, "runs": 8} | changed
    network, sets = mlp((6, 5, 3), 2), scale("linf", 0.0, 1.0)
    with pytest.raises(ValueError, match=f"^{told}: "):
        explain(network, asked.pop("sample"), asked.pop("label"), sets, asked.pop("epsilon"), **asked)
