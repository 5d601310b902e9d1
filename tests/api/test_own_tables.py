"""From a table in units to an answer: drafted, trained, certified, trained further; misfits are one line."""

import json
import shlex
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from spikecert import DLIF, LIF, SpikingNetwork, dataset, fit, load, load_record, load_zoo, mlp, save
from spikecert.asking.run_files import TrainStep
from spikecert.asking.values import read
from spikecert.certify.bounds.propagation import margin_bounds
from spikecert.certify.bounds.signals.windows import Box
from spikecert.certify.bounds.trains.trains import window_spikes
from spikecert.models import Normalize
from spikecert.models.chips import quantize, whole_inputs
from spikecert.models.circuit import circuit
from spikecert.runs.building import FeatureScale, kept_network, objective
from spikecert.training import MSMPPD, SIBP, CertifiedLoss, GaussianNoise, SingleStep

NETWORK = "network.safetensors"
LABEL = ("--label", "weather")
PLAIN = ("--objective", "cross-entropy", "--neuron", "lif", "--epochs", 25, "--learning-rate", 0.02)
QUICK = ("--network", "mlp:16", "--num-steps", 4, *PLAIN)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    draw = np.random.default_rng(0)
    heat, pressure = draw.uniform(-10, 40, 300).round(2), draw.uniform(90, 110, 300).round(2)
    lines = [f"{a},{b},{'storm' if a > 15 else 'fair'}" for a, b in zip(heat, pressure, strict=True)]
    path = tmp_path / "mine.csv"
    path.write_text("\n".join(["heat [degC],pressure [kPa],weather", *lines]), encoding="utf-8")
    return path


@pytest.fixture
def features(run, table: Path, tmp_path: Path) -> Path:
    path = tmp_path / "features.toml"
    done = run("data", "draft", table, *LABEL, "--out", path)
    assert done.status == 0, done.err
    assert f"spikecert train --data {table} --features {path} --label weather" in done.err
    return path


def test_a_draft_says_names_units_and_ranges_and_overwrites_nothing(
    run, table: Path, features: Path, tmp_path
) -> None:
    told = tomllib.loads(features.read_text(encoding="utf-8"))
    assert told["heat"] == {"unit": "degC", "range": [-10.0, 40.0], "epsilon": 1.0}
    assert told["pressure"] == {"unit": "kPa", "range": [90.0, 110.0], "epsilon": 0.4}
    again = run("data", "draft", table, *LABEL, "--out", features)
    assert (again.status, again.err.count("\n")) == (2, 1)
    assert "already exists and was not overwritten" in again.err
    rows = json.loads(run("data", "draft", table, *LABEL, "--out", tmp_path / "x.toml", "--json").out)["features"]
    assert [row["name"] for row in rows] == ["heat", "pressure"]


def test_a_table_is_trained_certified_and_trained_further_in_its_units(run, table, features, tmp_path) -> None:
    data = ("--data", table, *LABEL, "--features", features)
    done = run("train", *QUICK, *data, "--out", tmp_path / "one")
    assert done.status == 0, done.err
    network = load(tmp_path / "one" / "network.safetensors")
    found = dataset(str(table), label=("weather",), limits=(-10, 110))
    right = (network(found.test.inputs).argmax(1) == found.test.labels).float().mean()
    assert right > 0.8, "it takes the data in their units"

    asked = ("--epsilon", "0.25degC:heat", "--samples", 20, "--verifier", "trains", "--no-gains")
    done = run("certify", tmp_path / "one" / "network.safetensors", *data, *asked, "--out", tmp_path / "out")
    assert done.status in (0, 1), done.err
    record = load_record(tmp_path / "out" / "record.json")
    assert record.models[0].points[0].certified_by_any > 10
    assert "--label weather" in record.command
    model = tmp_path / "one" / "network.safetensors"
    asked = ("--sample", 0, *data[:4], "--timeout", 1, "--model", model)
    explained = run("explain", tmp_path / "out" / "record.json", *asked)
    assert explained.status == 0, explained.err

    further = (
        "--network",
        tmp_path / "one" / "network.safetensors",
        "--objective",
        "cross-entropy",
        "--epochs",
        2,
    )
    assert run("train", *further, *data, "--out", tmp_path / "two").status == 0
    first, second = ([*load(tmp_path / name / "network.safetensors").layers] for name in ("one", "two"))
    assert [type(layer) for layer in second[:3]] == [nn.Unflatten, Normalize, nn.Flatten]
    assert torch.equal(first[1].get_buffer("running_mean"), second[1].get_buffer("running_mean"))
    assert not torch.equal(first[3].get_parameter("weight"), second[3].get_parameter("weight"))
    refused = run("train", *further[:2], "--objective", "certified", *data, "--out", tmp_path / "three")
    assert "objective: got certified for features of several units and a network of a file" in refused.err


def test_one_range_for_all_trains_in_its_unit_and_goes_on(run, table, tmp_path) -> None:
    data = ("--data", table, *LABEL, "--range=-20,120")
    assert run("train", *QUICK, *data, "--seeds", "0,1", "--workers", 2, "--out", tmp_path / "one").status == 0
    one = tmp_path / "one" / "seed-0"
    assert (one / "scaled" / "checkpoint.safetensors").is_file()
    assert load(one / "network.safetensors").layers[1].get_buffer("running_mean").tolist() == [-20.0, -20.0]
    further = (
        "--network",
        one / "network.safetensors",
        "--objective",
        "certified",
        "--size",
        0.001,
        "--epochs",
        1,
    )
    done = run("train", *further, *data, "--out", tmp_path / "two")
    assert done.status == 0, done.err
    step = read(TrainStep, {"objective": "certified", "size": 0.01})
    made: Any = objective(step, (-20.0, 120.0))
    assert (made.epsilon, made.lower, made.upper) == (pytest.approx(1.4), -20.0, 120.0)


def test_a_network_of_the_zoo_goes_on_with_its_own_neurons(run, tmp_path) -> None:
    asked = ("train", "--network", "zoo:order-shift-1", "--data", "order", "--objective", "cross-entropy")
    assert run(*asked, "--epochs", 1, "--out", tmp_path / "out").status == 0
    made, kept = load(tmp_path / "out" / "network.safetensors"), load_zoo("order-shift-1")
    assert (made.num_steps, made.encoding) == (kept.num_steps, kept.encoding)
    assert [type(layer) for layer in made.layers] == [type(layer) for layer in kept.layers]
    told = run(*asked, "--decay", 0.5, "--out", tmp_path / "two").err
    assert "decay: got 0.5, expected none: zoo:order-shift-1 has its own" in told
    assert kept_network(TrainStep()) is None
    (tmp_path / "run.toml").write_text(
        'data = {name = "order", samples = 2}\ngains = false\ncertify.verifiers = ["trains"]\n'
        '[train]\nnetwork = "zoo:order-shift-1"\nobjective = "cross-entropy"\nepochs = 1\n'
        '[threat]\nnorm = "shift"\nepsilon = [1]\n'
    )
    done = run("run", tmp_path / "run.toml", "--out", tmp_path / "run")
    assert done.status in (0, 1), done.err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[heat]\nunit="degF"\nrange=[-10,40]\nepsilon=1\n[pressure]\nunit="kPa"\nrange=[90,110]',
         "features: got heat [degF], expected heat [degC], as the table has"),
        ('[pressure]\nunit="kPa"\nrange=[90,110]\nepsilon=1\n[heat]\nunit="degC"\nrange=[-10,40]',
         "features: got pressure [kPa], expected heat [degC]"),
        ('[heat]\nunit="degC"\nrange=[-10,40]\nepsilon=1', "got 1 of them, expected 2|expected [-10, 40]"),
        ('[heat]\nunit="degC"\nrange=[-10,30]\nepsilon=1\n[pressure]\nunit="kPa"\nrange=[90,110]',
         "outside of the range of heat, expected all within|got inputs from"),
    ],
)  # fmt: skip
def test_features_that_are_not_the_tables_are_refused(run, table, tmp_path, text: str, told: str) -> None:
    path = tmp_path / "f.toml"
    path.write_text(text, encoding="utf-8")
    done = run("train", *QUICK, "--data", table, *LABEL, "--features", path, "--out", tmp_path / "out")
    assert done.status == 2
    assert any(part in done.err.splitlines()[-1] for part in told.split("|"))


def test_sizes_and_factors_of_features_do_not_mix(run, table, features, tmp_path) -> None:
    save(mlp((2, 4, 2)), tmp_path / "net.safetensors")
    asked = ("certify", tmp_path / "net.safetensors", "--data", table, *LABEL, "--features", features)
    assert "epsilon: got '0.1', expected a size and its feature" in run(*asked, "--epsilon", "0.1,1degC:heat").err
    assert (
        "range: got it beside features"
        in run("train", "--data", table, "--features", features, "--range", "0,2", "--out", tmp_path / "out").err
    )


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("chip.nir", "a NIR graph, expected the file that `spikecert convert chip.nir --out chip.safetensors`"),
        ("chip.net", 'spikecert.save(from_lava("chip.net"), "chip.safetensors")'),
        ("weights.pt", "a pickle, which runs code when it is opened"),
    ],
)
def test_files_of_others_are_told_how_they_come_in(run, tmp_path: Path, name: str, told: str) -> None:
    (tmp_path / name).write_bytes(b"")
    for command in ("radius", "range"):
        done = run(command, tmp_path / name)
        assert (done.status, done.err.count("\n")) == (2, 1)
        assert told in done.err


def test_a_layer_that_never_fires_is_told(run, tmp_path: Path) -> None:
    layers = nn.Linear(64, 8), LIF(0.5), nn.Linear(8, 8), LIF(0.5, threshold=1e6), nn.Linear(8, 10)
    save(SpikingNetwork(*layers, num_steps=3), tmp_path / "net.safetensors")
    done = run("certify", tmp_path / "net.safetensors", "--samples", 3, "--verifier", "trains", "--no-gains")
    assert "layers.3 fires at no step of the first 3 samples" in done.err


def test_an_objective_with_other_ends_than_the_data_is_refused() -> None:
    data = FeatureScale((0.0,), (2.0,)).of_data(dataset("digits"))
    wide = dataset("digits")
    wide = type(wide)(**{**vars(wide), "limits": (-1.0, 2.0)})
    fresh = mlp((64, 8, 10), 3, DLIF(3))
    for aim in (CertifiedLoss(0.1), SIBP(0.1), MSMPPD(two_sided=True, perturbation=SingleStep(0.1)),
                MSMPPD(two_sided=True, perturbation=GaussianNoise(0.1, clamp=True))):  # fmt: skip
        with pytest.raises(ValueError, match=r"objective: got \w+ with lower 0 and upper 1, expected -1 and 2"):
            fit(fresh, wide, aim, epochs=1)
        fit(fresh, data, aim, epochs=1)
    fit(fresh, wide, MSMPPD(two_sided=True, perturbation=GaussianNoise(0.1)), epochs=1)
    fit(fresh, wide, CertifiedLoss(0.1, lower=-1, upper=3), epochs=1)


def test_a_box_without_inputs_is_refused_before_compiled_code_sees_it() -> None:
    torch.manual_seed(0)
    network, inputs = mlp((3, 32, 32, 3), 8, LIF(0.9, threshold=0.3)).eval(), 9 * torch.rand(16, 3)
    box = Box((inputs - 0.1).clamp_min(0).double(), (inputs + 0.1).clamp_max(1).double())
    with pytest.raises(ValueError, match="inputs: got ends of which the lower is above the upper"):
        margin_bounds(circuit(network), box, torch.arange(16) % 3, window_spikes)


@pytest.mark.parametrize("word", ["quantize", "convert"])
def test_a_build_for_a_chip_is_a_file_that_takes_the_data(run, model: Path, tmp_path: Path, word: str) -> None:
    done = run(word, model, "--target", "loihi", "--bits", 6, "--out", tmp_path / "chip.safetensors")
    assert done.status == 0, done.err
    assert done.out.startswith("loihi: an input of 1 is 255 units\nlayers.0: 1 is ")
    built = load(tmp_path / "chip.safetensors")
    digits = dataset("digits").test.inputs[:9]
    assert torch.equal(
        built(whole_inputs(built, digits)), quantize(load(model), "loihi", 6)(whole_inputs(built, digits))
    )
    asked = ("--samples", 4, "--epsilon", 1, "--verifier", "trains", "--no-gains", "--json")
    of_file, of_target = (
        [{**row, "verdicts": row["verdicts"]["trains"]["status"]} for row in found["models"][0]["rows"]]
        for how in ((tmp_path / "chip.safetensors",), (model, "--target", "loihi", "--bits", 6))
        for found in [json.loads(run("certify", *how, *asked).out)]
    )
    assert of_file == of_target
    told = json.loads(run(word, model, "--target", "spinnaker", "--json").out)
    assert (told["target"], told["sha256"], len(told["layers"])) == ("spinnaker", None, 2)
    assert "target: got none, expected a chip" in run(word, model).err
    assert "network: got one of whole numbers" in run(word, tmp_path / "chip.safetensors", "--target", "loihi").err


def test_a_table_is_trained_and_certified_by_its_file_alone(run, tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    heat = draw.uniform(-10, 1680, 200).round(2)
    kinds = zip(heat, "ab" * 100, strict=True)
    lines = [f"{value},{kind},{'hot' if value > 700 else 'cold'}" for value, kind in kinds]
    lines[3] = ",a,cold"
    table = tmp_path / "own.csv"
    table.write_text("\n".join(["heat [degC],kind,fault", *lines]), encoding="utf-8")
    out = tmp_path / "net"
    done = run("train", *QUICK, "--data", table, "--out", out)
    assert done.status == 0, done.err
    assert "199 rows, 3 features (heat, kind=a, kind=b), 2 classes (cold, hot)." in done.err
    assert "1 of 200 rows have an empty cell and were left out." in done.err
    asked = ("--samples", 8, "--verifier", "trains", "--no-gains")
    done = run("certify", out / "network.safetensors", *asked, "--out", tmp_path / "out")
    assert done.status in (0, 1), done.err
    record = load_record(tmp_path / "out" / "record.json")
    assert record.threat.norm == "box"
    assert record.data.names == ("cold", "hot")
    assert "--label fault" in record.command
    assert [feature.epsilon > 0 for feature in vars(record.threat)["features"]] == [True, False, False]
    done = run(
        "explain", tmp_path / "out" / "record.json", "--sample", 0, "--timeout", 1, "--model", out / NETWORK
    )
    assert done.status == 0, done.err
    done = run("radius", out / "network.safetensors", "--samples", 1, "--verifier", "trains")
    assert done.status == 0, done.err


def test_what_is_described_stays_where_training_is_refused_or_repeated(run, table: Path, tmp_path: Path) -> None:
    out, quick = (
        tmp_path / "net",
        ("--network", "mlp:4", "--num-steps", 2, "--epochs", 1, "--objective", "cross-entropy"),
    )
    assert run("train", *quick, "--data", table, "--out", out).status == 0
    before = (out / "data.toml").read_bytes()
    edited = (out / "features.toml").read_text(encoding="utf-8").replace("epsilon = 1.0", "epsilon = 0.25")
    assert "0.25" in edited
    (out / "features.toml").write_text(edited, encoding="utf-8")
    other = tmp_path / "other.csv"
    other.write_text("a,label\n" + "".join(f"{k},{k % 2}\n" for k in range(40)), encoding="utf-8")
    refused = run("train", *quick, "--data", other, "--out", out)
    assert refused.status == 2, refused.err
    assert (out / "data.toml").read_bytes() == before
    assert run("train", *quick, "--data", table, "--out", out).status == 0
    assert (out / "data.toml").read_bytes() == before
    assert (out / "features.toml").read_text(encoding="utf-8") == edited


@pytest.mark.parametrize("kind", ["digits", "order", "digit-values", "features", "range"])
def test_what_training_says_is_next_runs(run, table: Path, features: Path, tmp_path: Path, kind: str) -> None:
    asked: dict[str, tuple[Any, ...]] = {
        "features": ("--data", table, *LABEL, "--features", features),
        "range": ("--data", table, *LABEL, "--range=-20,120"),
        "digit-values": ("--data", "digit-values", "--objective", "mse"),
    }
    how = asked.get(kind, ("--data", kind, "--objective", "cross-entropy"))
    done = run("train", "--network", "mlp:4", "--num-steps", 7, "--epochs", 1, *how, "--out", tmp_path / "net")
    assert done.status == 0, done.err
    told = done.err.strip().splitlines()[-1]
    assert told.startswith(f"next: spikecert {'range' if kind == 'digit-values' else 'certify'} ")
    quick = ("--samples", 2) if kind == "digit-values" else ("--verifier", "interval")
    found = run(*shlex.split(told)[2:], *quick)
    assert found.status in (0, 1), found.err
