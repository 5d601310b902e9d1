"""Files of certificates: norms proven from their own matrices, layers from the network, changes refused."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from spikecert.analysis import check_file, gain, layer_operators, save_certificates
from spikecert.analysis.certificates.checking import FORMAT, load_certificates
from spikecert.analysis.gains.gain_plots import frequency_response, layer_figure
from spikecert.analysis.norms import operator_norm
from spikecert.models import DLIF, LIF, SpikingNetwork, mlp


def network(seed: int = 0) -> SpikingNetwork:
    torch.manual_seed(seed)
    return mlp((6, 5, 4, 3), 4, LIF(0.9))


def verdicts(path: Path, net: SpikingNetwork | None = None) -> list[str]:
    return [item.verdict for item in check_file(path, net)]


def test_norms_are_proven_from_the_file_and_layers_from_the_network(tmp_path: Path) -> None:
    net, path = network(), tmp_path / "c.json"
    save_certificates([], path, gain(net, method="lmi"))
    assert verdicts(path) == ["proven"] * 5 + ["not checked"] * 3
    assert verdicts(path, net) == ["proven"] * 9
    assert verdicts(path, network(1)) == ["proven"] * 5 + ["refused"] * 4
    assert verdicts(path, mlp((6, 5, 3), 4))[5:] == ["refused"] * 4


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        (lambda c: c["layers"][0]["operator_norm"].update(upper=c["layers"][0]["operator_norm"]["lower"]), 1),
        (lambda c: c["layers"][1].update(gain=c["layers"][1]["gain"] * 0.99), 1),
        (lambda c: c["layers"][1].update(decay=0.1, neuron_gain=1.2, gain=9.0), 1),
        (lambda c: c["readout"].update(upper=c["readout"]["lower"] * 0.99, lower=0.0), 1),
        (lambda c: c["certificates"][2].update(gain=c["certificates"][2]["gain"] * 0.99), 1),
        (lambda c: c["certificates"][2]["weights"][0].__setitem__(0, 9.0), 1),
        (lambda c: c.update(network="0" * 64), 4),
    ],
)
def test_a_changed_number_is_refused(tmp_path: Path, change: Any, refused: int) -> None:
    net, path = network(), tmp_path / "c.json"
    save_certificates([], path, gain(net, method="lmi"))
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    assert verdicts(path, net).count("refused") == refused


def test_a_network_needs_layers_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    save_certificates(gain(network(), method="lmi").certificates, path)
    with pytest.raises(ValueError, match=r"^network: got one"):
        check_file(path, network())


def test_a_report_of_other_neurons_does_not_check() -> None:
    report = gain(network())
    assert report.check()
    easier = dataclasses.replace(report.layers[0], decay=0.1, neuron_gain=1.2, gain=100.0)
    assert not dataclasses.replace(report, layers=(easier, report.layers[1])).check()
    assert not dataclasses.replace(report, layers=report.layers[:1]).check()


def test_convolutions_are_checked_from_the_network_alone_and_drawn(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = SpikingNetwork(nn.Conv2d(1, 2, 3, padding=1), LIF(0.5), nn.Flatten(), nn.Linear(32, 2), num_steps=4)
    path = tmp_path / "c.json"
    save_certificates([], path, gain(net, method="lmi", input_shape=(1, 4, 4)))
    assert verdicts(path) == ["proven"] * 2 + ["not checked"] * 2
    assert verdicts(path, net) == ["proven"] * 5
    operator = layer_operators(net, (1, 4, 4))[0]
    line = layer_figure(operator, points=7).axes[0].lines[0]
    omega = torch.tensor(line.get_xdata(), dtype=torch.float64).numpy()
    drawn = 10 ** (torch.tensor(line.get_ydata(), dtype=torch.float64) / 20)
    expected = operator_norm(operator).upper * frequency_response(0.5, omega)
    torch.testing.assert_close(drawn, torch.from_numpy(expected))
    eye = torch.eye(16).double().reshape(16, 1, 4, 4)
    matrix = nn.functional.conv2d(eye, net.layers[0].weight.detach().double(), padding=1).flatten(1)  # type: ignore[union-attr, operator]
    assert drawn[0].item() == pytest.approx(2 * torch.linalg.matrix_norm(matrix, 2).item(), rel=1e-4)
    scaled = DLIF(4)
    scaled.input_scale.data[0] = 2.0
    varying = SpikingNetwork(nn.Linear(2, 2), scaled, nn.Linear(2, 2), num_steps=4)
    with pytest.raises(ValueError, match=r"^operator: got layers\.1 with an input scale"):
        layer_figure(layer_operators(varying)[0])


def test_the_shape_of_the_inputs_comes_from_the_file(tmp_path: Path) -> None:
    """Images of 4 and of 5 pixels a side fit the layers, and have operators of their own."""
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 2, 3), LIF(0.5), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(2, 2)
    net = SpikingNetwork(*layers, num_steps=2)
    for size in (4, 5):
        save_certificates([], tmp_path / f"{size}.json", gain(net, method="lmi", input_shape=(1, size, size)))
        assert verdicts(tmp_path / f"{size}.json", net) == ["proven"] * 4


def test_a_file_nested_too_deeply_is_refused(tmp_path: Path):
    path = tmp_path / "deep.json"
    deep = "[" * 600 + "1.0" + "]" * 600
    path.write_text(f'{{"format": "{FORMAT}", "certificates": [{{"kind": "x", "value": {deep}}}]}}')
    with pytest.raises(ValueError, match="within each other, expected at most 64 deep"):
        load_certificates(path)
