"""The commands `gains` and `theorems`: tables, JSON, checked files, one line for bad input."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from spikecert.analysis import gain, system
from spikecert.analysis.gains.gain_plots import gain_figures
from spikecert.analysis.state_space import frequencies
from spikecert.cli import main
from spikecert.models import DLIF, LIF, SpikingNetwork, mlp, save


@pytest.fixture
def model(tmp_path: Path) -> str:
    torch.manual_seed(0)
    path = tmp_path / "network.safetensors"
    save(mlp((64, 16, 10), neuron=DLIF(8)), path)
    return str(path)


def test_gains_prints_a_table(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gains", model, "--samples", "20"]) == 0
    output = capsys.readouterr().out
    assert "layers.1" in output
    assert "5.2636" in output
    assert "only while its spike trains do not change" in output
    assert "Measured on 20 samples" in output
    assert "not the spiking network" in output


def test_gains_json_is_checked_again(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gains", model, "--method", "lmi", "--json", "--samples", "5"]) == 0
    text = capsys.readouterr().out
    content = json.loads(text)
    assert content["simplified"] is True
    assert len(content["stability"]["pattern_radius"]["linf"]) == 5
    path = tmp_path / "gains.json"
    path.write_text(text, encoding="utf-8")
    assert main(["gains", "--check", str(path)]) == 0
    assert "proven" in capsys.readouterr().out
    assert main(["gains", model, "--check", str(path)]) == 0
    assert "the network is the file's" in capsys.readouterr().out
    content["certificates"][0]["gain"] *= 0.5
    path.write_text(json.dumps(content), encoding="utf-8")
    assert main(["gains", "--check", str(path)]) == 1
    assert "REFUSED" in capsys.readouterr().out


def test_the_surrogate_network_s_lmi_is_printed_only_on_demand(
    model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["gains", model, "--samples", "3"]) == 0
    assert "one LMI" not in capsys.readouterr().out
    assert main(["gains", model, "--samples", "3", "--surrogate"]) == 0
    assert "one LMI, checked" in capsys.readouterr().out
    assert main(["gains", model, "--samples", "3", "--surrogate", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["stability"]
    assert 0 < found["surrogate_network_lmi"] <= found["surrogate_network_product"] * 1.000001


def test_infinite_gains_are_json_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "undamped.safetensors"
    save(mlp((4, 3, 2), neuron=LIF(1.0)), path)
    assert main(["gains", str(path), "--horizon", "inf", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["layers"][0]["gain"] == "inf"


def test_theorems_lists_and_shows(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gains", "--theorem", "all"]) == 0
    assert "quoted-l2-gain" in capsys.readouterr().out
    assert main(["gains", "--theorem", "quoted-l2-gain", "--json"]) == 0
    (content,) = json.loads(capsys.readouterr().out)
    assert content["counterexample"]["ratio"] == "101/48"
    assert main(["gains", "--theorem", "loss-link", "--latex"]) == 0
    assert r"\begin{theorem}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["gains"], "MODEL"),
        (["gains", "nowhere"], "path"),
        (["gains", "--check", "nowhere"], "path"),
        (["gains", "MODEL", "--horizon", "soon"], "horizon"),
        (["gains", "MODEL", "--method", "guess"], "method"),
        (["gains", "MODEL", "--surrogate"], "samples"),
        (["gains", "MODEL", "--input-shape", "a"], "input-shape"),
        (["gains", "--theorem", "banach"], "name"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    arguments: list[str], name: str, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([model if word == "MODEL" else word for word in arguments]) == 2
    message = capsys.readouterr().err.strip()
    assert f"{name}: got" in message
    assert "\n" not in message


def test_gains_draws_figures_and_takes_the_shape_of_the_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, folder = str(tmp_path / "images.safetensors"), tmp_path / "plots"
    convolution, dense = nn.Conv2d(1, 2, 3, padding=1), nn.Linear(2 * 8 * 8, 10)
    save(SpikingNetwork(nn.Unflatten(1, (1, 8, 8)), convolution, LIF(), nn.Flatten(), dense, num_steps=4), path)
    assert main(["gains", path, "--data", "digits", "--plot", str(folder)]) == 0
    assert capsys.readouterr().err == "".join(
        f"wrote {folder}/{name}.svg\n" for name in ("bode", "horizon", "decay")
    )
    first = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert all(content.startswith(b"<?xml") and b"layers.2" in content for content in first.values())
    assert main(["gains", path, "--data", "digits", "--plot", str(folder)]) == 0
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == first


@pytest.mark.parametrize("scaled", [False, True])
def test_figures_of_gains_show_the_report_s_numbers(scaled: bool) -> None:
    torch.manual_seed(0)
    network = mlp((4, 3, 2), num_steps=6, neuron=DLIF(6) if scaled else LIF(0.8))
    report = gain(network)
    drawn = gain_figures(report, 6)
    steps, gains = map(np.asarray, drawn["horizon"].axes[0].lines[0].get_data())
    assert steps.max() == (6 if scaled else 64)
    assert gains[steps == 6] == pytest.approx(report.layers[0].gain, rel=1e-12)
    sweep, mark = (np.asarray(line.get_ydata()) for line in drawn["decay"].axes[0].lines)
    assert mark == pytest.approx(report.layers[0].gain, rel=1e-12)
    assert (np.diff(sweep) >= 0).all()
    above, below = drawn["bode"].axes
    legend = above.get_legend()
    assert legend is not None
    assert ("at all steps" in legend.get_texts()[0].get_text()) == scaled
    assert len(below.lines) == (0 if scaled else 1)
    if not scaled:
        omega, degrees = map(np.asarray, below.lines[0].get_data())
        assert degrees == pytest.approx(np.degrees(np.angle(1 / (1 - 0.8 * np.exp(-1j * omega)))), abs=1e-9)
        omega, decibels = drawn["bode"].axes[0].lines[0].get_data()
        exact = 20 * np.log10(frequencies(system(network), np.asarray(omega)[::40]))
        assert np.asarray(decibels)[::40] == pytest.approx(exact, abs=1e-3)
