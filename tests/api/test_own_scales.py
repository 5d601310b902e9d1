"""Networks for normalised inputs, and data in other ranges: ε is in the unit of the data."""

import json

import numpy as np
import pytest
import torch

from spikecert import dataset, load, load_record, verify
from spikecert.certify import LInf
from spikecert.models import LIF, SpikingNetwork, mlp, save
from spikecert.runs.building import normalised


@pytest.fixture
def mine(tmp_path):
    """Return the file of a network on two features, and of data that it gets right, in [−1, 1], by name."""
    torch.manual_seed(0)
    network = mlp((2, 6, 2), num_steps=4, neuron=LIF(0.9, 0.4)).eval()
    inputs = 2 * torch.rand(60, 2) - 1
    labels = network(inputs).argmax(1)
    save(network, tmp_path / "mine.safetensors")
    np.savez(tmp_path / "mine.npz", inputs=inputs, labels=labels, names=np.array(["low", "high"]))
    return tmp_path


def test_a_range_bounds_the_perturbations(run, mine):
    told = ("--data", mine / "mine.npz", "--range=-1,1", "--epsilon", "1/50", "--verifier", "trains", "--no-gains")
    assert run("certify", mine / "mine.safetensors", *told, "--out", mine / "out").status in (0, 1)
    found = load_record(mine / "out" / "record.json")
    assert (found.threat.lower, found.threat.upper, found.threat.short(0.02)) == (-1.0, 1.0, "1/50")
    assert found.data.names == ("low", "high")
    assert "--range=-1,1" in found.command
    test = dataset(str(mine / "mine.npz"), limits=(-1, 1)).test
    verdicts = verify(load(mine / "mine.safetensors"), test.inputs, test.labels, LInf(0.02, -1, 1), "trains")
    assert [row.verdicts["trains"].status for row in found.models[0].rows] == [item.status for item in verdicts]
    radii = ("radius", mine / "mine.safetensors", "--data", mine / "mine.npz", "--range=-1,1", "--samples", 2)
    assert run(*radii, "--verifier", "trains", "--out", mine / "radii").status == 0
    content = json.loads((mine / "radii" / "radii.json").read_text())
    assert content["threat"]["range"] == [-1, 1]
    attach = ("report", mine / "out" / "record.json", "--radii", mine / "radii" / "radii.json")
    assert run(*attach).status == 0
    (mine / "radii" / "radii.json").write_text(json.dumps(content | {"threat": {"norm": "linf"}}))
    assert "radii: got radii of sets that differ from the record's in their range" in run(*attach).err


@pytest.mark.parametrize("shape", [(4,), (2, 3, 3)])
def test_a_normalisation_becomes_the_first_layer(shape):
    torch.manual_seed(0)
    flat = torch.nn.Flatten()
    size = int(np.prod(shape))
    network = SpikingNetwork(flat, torch.nn.Linear(size, 3), LIF(), torch.nn.Linear(3, 2), num_steps=3).eval()
    inputs = torch.rand(5, *shape)
    mean, std = ((0.5, 0.25), (0.5, 2.0)) if len(shape) == 3 else ((0.5,), (0.25,))
    found = normalised(network, shape, mean, std)
    wide = [torch.tensor(values).view(-1, *[1] * (len(shape) - 1)) for values in (mean, std)]
    assert torch.equal(found(inputs), network((inputs - wide[0]) / wide[1]))
    with pytest.raises(ValueError, match=r"^std: got 3 numbers, expected 1 or one for each of"):
        normalised(network, shape, mean, (1.0, 2.0, 3.0))
    rate = SpikingNetwork(
        flat, torch.nn.Linear(size, 3), LIF(), torch.nn.Linear(3, 2), num_steps=3, encoding="rate"
    )
    with pytest.raises(ValueError, match=r"^mean: got it for a rate-coded network"):
        normalised(rate, shape, mean, std)


def test_epsilon_stays_in_the_unit_of_the_data(run, model, tmp_path):
    options = (
        "--samples",
        3,
        "--epsilon",
        "1/255",
        "--verifier",
        "interval",
        "--no-gains",
        "--mean",
        ".5",
        "--std",
        ".25",
    )
    assert run("certify", model, *options, "--out", tmp_path).status in (0, 1)
    found = load_record(tmp_path / "record.json")
    assert found.threat.epsilons == (1 / 255,)
    assert found.models[0].architecture.description["layers"][1]["type"] == "Normalize"
    assert "--mean .5 --std .25" in found.command


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--range", "0"), "range: got ['0'], expected the least and the greatest value, as in 0,1"),
        (("--range", "1,0"), "range: got 1,0"),
        (("--range", "0,x"), "range: got 'x', expected a number"),
        (("--range", "-1,1"), "limits: got (-1.0, 1.0), expected (0, 1) for digits"),
        (("--mean", ".5"), "std: got none, expected mean and std, or neither"),
        (("--std", ".5"), "mean: got none, expected mean and std, or neither"),
        (("--mean", ".5", "--std", "0"), "std"),
        (
            ("--mean", ".5,.5", "--std", "1"),
            "mean: got 2 numbers, expected 1 or one for each of 64 channels or features",
        ),
        (("--data", "mine.py"), "data: got mine.py, expected mine.py:function, which returns a data set"),
    ],
)
def test_wrong_scales_are_one_line_and_status_2(run, model, options, told):
    outcome = run("certify", model, *options)
    assert (outcome.status, outcome.err.count("\n")) == (2, 1)
    assert outcome.err.startswith(f"spikecert: {told}")


RUN = """
[model]
path = "mine.safetensors"
[data]
name = "DATA"
samples = 12
[threat]
range = [-1, "1/1"]
epsilon = ["1/50", 0.01]
[certify]
verifiers = ["trains"]
"""


def test_a_run_file_knows_ranges_and_epsilons_as_typed(run, mine):
    """The same as by options, and the same again from the record."""
    (mine / "run.toml").write_text(RUN.replace("DATA", str(mine / "mine.npz")))
    assert run("run", mine / "run.toml", "--out", mine / "run").status in (0, 1)
    found = load_record(mine / "run" / "record.json")
    assert (found.threat.lower, found.threat.upper) == (-1.0, 1.0)
    assert (found.threat.epsilons, [size.text for size in found.threat.epsilons]) == (
        (0.01, 0.02),
        ["0.01", "1/50"],
    )
    assert run("run", mine / "run" / "record.json", "--out", mine / "again").status == 0
    assert load_record(mine / "again" / "record.json").threat == found.threat


def test_a_run_file_of_normalised_inputs_is_of_the_network_behind_them(run, mine):
    more = 'samples = 12\nmean = [0.25]\nstd = ["1/2"]'
    text = RUN.replace("DATA", str(mine / "mine.npz")).replace("samples = 12", more)
    (mine / "run.toml").write_text(text)
    assert run("run", mine / "run.toml", "--out", mine / "run").status in (0, 1)
    options = ("--data", mine / "mine.npz", "--range=-1,1", "--mean=0.25", "--std=0.5", "--samples", 12)
    threat = ("--epsilon", "1/50,0.01", "--verifier", "trains")
    run("certify", mine / "mine.safetensors", *options, *threat, "--out", mine / "out")
    one, other = (load_record(mine / name / "record.json").models[0] for name in ("run", "out"))
    assert one.architecture.sha256 == other.architecture.sha256
    assert [row.verdicts["trains"].status for row in one.rows] == [
        row.verdicts["trains"].status for row in other.rows
    ]
    (mine / "run.toml").write_text(text.replace('path = "mine.safetensors"', "").replace("[model]", "[train]"))
    told = run("run", mine / "run.toml", "--out", mine / "trained").err
    assert "data.mean: got it with a table [train], expected it with [model]" in told


def test_gains_of_a_network_behind_a_normalisation(run, mine):
    """Dividing by 1/2 doubles the first layer's gain, and what is measured lies in the range."""
    plain, doubled = (
        json.loads(run("gains", mine / "mine.safetensors", "--data", mine / "mine.npz", *more, "--json").out)
        for more in (("--range=-1,1",), ("--range=-1,1", "--mean=0.25", "--std=0.5", "--samples", 3))
    )
    first = [report["layers"][0]["gain"] for report in (plain, doubled)]
    assert first[1] == pytest.approx(2 * first[0], rel=1e-4)
    assert doubled["stability"]["growth"]
    assert (
        "data: got none, expected --data beside"
        in run("gains", mine / "mine.safetensors", "--mean=1", "--std=1").err
    )
