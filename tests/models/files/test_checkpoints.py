"""Save and load every layer type; a changed, truncated or foreign file is one clear error."""

import copy
import json
import os
import pickle
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from spikecert import LInf, Tolerance, equivalent, quantize, verify
from spikecert.formats import PropertyCase, VnnlibProperty, verify_property
from spikecert.models import (
    DLIF,
    LIF,
    Arctan,
    Normalize,
    Residual,
    Sigmoid,
    SpikingNetwork,
    Triangle,
    load,
    mlp,
    network_hash,
    save,
)
from spikecert.models.files.description import build, describe
from spikecert.models.files.storage import FORMAT, described, write_tensors
from spikecert.models.merging import merged
from spikecert.runs.building import flattening, normalised
from support.neurons import Late


def every_layer_type() -> SpikingNetwork:
    return SpikingNetwork(
        Normalize((0.5, 0.25), (0.5, 1.0)),
        nn.Conv2d(2, 4, (3, 2), stride=(1, 2), padding=1, bias=False, padding_mode="circular"),
        nn.BatchNorm2d(4, eps=1e-3, momentum=0.3),
        DLIF(3, 0.5, 0.25, "subtract", ">", Arctan(0.5)),
        nn.AvgPool2d(2, padding=1, count_include_pad=False),
        Residual([nn.Conv2d(4, 4, 1, groups=2), LIF(0.8, 0.1)], [nn.BatchNorm2d(4, affine=False)]),
        Residual([LIF(surrogate=Sigmoid(0.5))]),
        LIF(0.9, 0.3, reset="subtract", reset_amount=0.35),
        nn.Flatten(),
        nn.LazyLinear(6, bias=False),
        nn.BatchNorm1d(6),
        LIF(0.9, 0.2, "zero", ">=", Triangle(0.3)),
        nn.Linear(6, 3),
        LIF(0.95, reset="none"),
        num_steps=3,
        readout="potential",
    )


@pytest.fixture
def network() -> SpikingNetwork:
    torch.manual_seed(0)
    built = every_layer_type()
    for _ in range(3):
        built(torch.rand(5, 2, 6, 6))
    return built.eval()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_loaded_network_is_the_saved_one(network: SpikingNetwork, tmp_path: Path, dtype: torch.dtype) -> None:
    network.to(dtype)
    digest = save(network, tmp_path / "deep" / "network.safetensors")
    loaded = load(tmp_path / "deep" / "network.safetensors")
    inputs = torch.rand(4, 2, 6, 6, dtype=dtype)
    assert torch.equal(loaded(inputs), network(inputs))
    assert describe(loaded) == describe(network)
    assert network_hash(loaded) == network_hash(network) == digest
    assert not loaded.training


def test_transposed_convolutions_in_groups_come_back(tmp_path: Path) -> None:
    torch.manual_seed(0)
    wider = nn.ConvTranspose2d(4, 6, (2, 3), stride=2, groups=2)
    layers = nn.Conv2d(1, 4, 3), LIF(0.5, 0.1), wider, LIF(0.5, 0.1), nn.Flatten(), nn.Linear(6 * 4 * 5, 2)
    network = SpikingNetwork(*layers, num_steps=2).eval()
    digest = save(network, tmp_path / "network.safetensors")
    loaded, inputs = load(tmp_path / "network.safetensors"), torch.rand(3, 1, 4, 4)
    assert network_hash(loaded) == digest
    assert loaded(inputs).equal(network(inputs))


def test_a_description_is_hashed_with_its_keys_in_order(network: SpikingNetwork) -> None:
    """Whatever order a version describes them in, the hash is the same."""
    text = described(network)
    assert text == json.dumps(json.loads(text), sort_keys=True)
    assert list(describe(network)) != sorted(describe(network))


def test_a_description_survives_json(network: SpikingNetwork) -> None:
    text = json.dumps(describe(network))
    assert json.dumps(describe(build(json.loads(text)))) == text


def test_the_hash_sees_weights_and_constants(network: SpikingNetwork) -> None:
    before = network_hash(network)
    next(network.parameters()).data[0] += 1e-3
    assert network_hash(network) != before
    assert network_hash(_with_decay(0.5)) != network_hash(_with_decay(0.6))


def _with_decay(decay: float) -> SpikingNetwork:
    torch.manual_seed(0)
    return mlp((3, 4, 2), 3, LIF(decay))


def test_a_layer_used_twice_is_saved(tmp_path: Path) -> None:
    shared = nn.Linear(4, 4)
    network = SpikingNetwork(shared, LIF(0.9, 0.2), shared, LIF(0.9, 0.2), nn.Linear(4, 2), num_steps=3)
    save(network, tmp_path / "n")
    inputs = torch.rand(3, 4)
    assert torch.equal(load(tmp_path / "n")(inputs), network.eval()(inputs))


def test_saving_again_replaces_and_leaves_no_other_file(tmp_path: Path) -> None:
    save(_with_decay(0.5), tmp_path / "n")
    save(_with_decay(0.6), tmp_path / "n")
    assert load(tmp_path / "n").neurons[0].dynamics.decay == 0.6
    assert [file.name for file in tmp_path.iterdir()] == ["n"]


@pytest.mark.parametrize("position", [0.0, 0.3, 0.6, 0.999])
def test_a_changed_byte_is_an_error(tmp_path: Path, position: float) -> None:
    save(_with_decay(0.5), tmp_path / "n")
    content = bytearray((tmp_path / "n").read_bytes())
    content[int(position * len(content))] ^= 1
    (tmp_path / "n").write_bytes(content)
    with pytest.raises(ValueError, match="path: "):
        load(tmp_path / "n")


@pytest.mark.parametrize("length", [0, 4, 100, -1])
def test_a_truncated_file_is_an_error(tmp_path: Path, length: int) -> None:
    save(_with_decay(0.5), tmp_path / "n")
    (tmp_path / "n").write_bytes((tmp_path / "n").read_bytes()[:length])
    with pytest.raises(ValueError, match="is not a complete safetensors file"):
        load(tmp_path / "n")


def test_a_pickle_is_not_executed(tmp_path: Path) -> None:
    (tmp_path / "n").write_bytes(pickle.dumps(_Bomb(str(tmp_path / "boom"))))
    with pytest.raises(ValueError, match="is not a complete safetensors file"):
        load(tmp_path / "n")
    assert not (tmp_path / "boom").exists()


class _Bomb:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (open, (self.path, "w"))


def test_a_foreign_safetensors_file_is_an_error(tmp_path: Path) -> None:
    save_file({"weight": torch.ones(2)}, tmp_path / "n")
    with pytest.raises(ValueError, match="was not written by spikecert"):
        load(tmp_path / "n")


GOOD = {"num_steps": 2, "encoding": "direct", "readout": "mean"}
LINEAR = {"type": "Linear", "in_features": 2, "out_features": 2, "bias": False}
BAD = {
    "no JSON": "{",
    "a list": "[]",
    "no layers": json.dumps(GOOD),
    "layers of text": json.dumps({**GOOD, "layers": ["Linear"]}),
    "unknown layer": json.dumps({**GOOD, "layers": [{"type": "Exec"}]}),
    "unknown argument": json.dumps({**GOOD, "layers": [{**LINEAR, "code": "1"}]}),
    "unknown surrogate": json.dumps(
        {**GOOD, "layers": [LINEAR, {"type": "LIF", "surrogate": {"name": "x", "width": 1}}]}
    ),
    "other weights": json.dumps({**GOOD, "layers": [{**LINEAR, "in_features": 3}]}),
    "steps of text": json.dumps({**GOOD, "num_steps": "2", "layers": [LINEAR]}),
    "unknown readout": json.dumps({**GOOD, "readout": "x", "layers": [LINEAR]}),
    "confirmed by text": json.dumps({**GOOD, "unconfirmed": "no", "layers": [LINEAR]}),
    "confirmed by a number": json.dumps({**GOOD, "unconfirmed": 0, "layers": [LINEAR]}),
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD.keys())
def test_a_consistent_file_of_nonsense_is_an_error(tmp_path: Path, text: str) -> None:
    write_tensors(tmp_path / "n", FORMAT, text, {"layers.0.weight": torch.ones(2, 2)})
    with pytest.raises(ValueError, match="describes no network that this version can build"):
        load(tmp_path / "n")


def test_an_unconfirmed_network_stays_one_in_files_copies_and_builds(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = mlp((3, 4, 2), num_steps=3).eval()
    assert "unconfirmed" not in describe(network)
    before, network.unconfirmed = network_hash(network), True
    assert network_hash(network) != before
    save(network, tmp_path / "n")
    again = load(tmp_path / "n")
    made = (again, copy.deepcopy(again), flattening(again), normalised(again, (3,), (0.5,), (0.5,)), merged(again))
    for each in (*made, quantize(again)):
        assert each.unconfirmed
        assert each.called("n") == each.called(each.called("n")) == "n (not confirmed by its source)"
    inputs, point = torch.rand(1, 3), LInf(0.0)
    for sets in (point, Tolerance(weights=0.0)):
        (verdict,) = verify(again, inputs, again(inputs).argmax(1), sets)
        assert verdict.reason.endswith(" (not confirmed by its source)")
    (same,) = equivalent(again, copy.deepcopy(again), inputs)
    ends = VnnlibProperty((3,), (2,), (PropertyCase((Fraction(0),) * 3, (Fraction(0),) * 3, ()),))
    for told in (same.reason, verify_property(again, ends).reason):
        assert told.endswith(" (not confirmed by its source)")
    again.unconfirmed = False
    assert "confirmed" not in verify(again, inputs, again(inputs).argmax(1), point)[0].reason
    assert again.called("n") == "n"


def test_a_reset_amount_is_saved_and_counts_in_the_hash(tmp_path: Path) -> None:
    torch.manual_seed(0)
    plain, other = (mlp((3, 4, 2), neuron=LIF(reset="subtract", reset_amount=amount)) for amount in (None, 1.25))
    other.load_state_dict(plain.state_dict())
    assert network_hash(plain) != network_hash(other)
    save(other, tmp_path / "network.safetensors")
    assert load(tmp_path / "network.safetensors").neurons[0].dynamics == other.neurons[0].dynamics


def test_a_neuron_with_another_recursion_is_not_saved_as_a_lif(tmp_path: Path) -> None:
    """A worker of `verify` would decide the file's network, and that is not the one asked about."""
    network = SpikingNetwork(nn.Linear(2, 3), Late(0.9), nn.Linear(3, 2), num_steps=3)
    with pytest.raises(TypeError, match=r"^network: got a layer of type Late, expected one of .*, LIF, Linear,"):
        save(network, tmp_path / "network")
    with pytest.raises(TypeError, match="type Late"):
        network_hash(network)
    assert not list(tmp_path.iterdir())


class Constants(Late):
    """Another recursion with other constants."""

    def __init__(self) -> None:
        super().__init__(0.5)


def test_nor_are_its_subclasses() -> None:
    with pytest.raises(TypeError, match="type Constants"):
        describe(SpikingNetwork(nn.Linear(2, 3), Constants(), nn.Linear(3, 2), num_steps=3))


SAVING = """
import sys, torch
from spikecert import LIF, VariedLIF, mlp, save
torch.manual_seed(0)
network = mlp((4, 3, 2), 3, LIF(decay=0.5))
network.layers[1] = VariedLIF([0.5, 0.9, 1.0], [1.0, 2.0, 0.5], "subtract", reset_amount=[1.0, 1.0, 0.5])
for path in sys.argv[1:]:
    save(network, path)
"""


def test_equal_networks_are_equal_files(tmp_path: Path) -> None:
    """Neither chance nor the order of a set decides how a file's header is laid out."""
    paths = [tmp_path / f"{seed}-{index}" for seed in range(2) for index in range(4)]
    for seed in range(2):
        environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
        command = [sys.executable, "-c", SAVING, *paths[4 * seed : 4 * seed + 4]]
        subprocess.run(command, check=True, env=environment)
    save(load(paths[0]), tmp_path / "again")
    assert len({path.read_bytes() for path in (*paths, tmp_path / "again")}) == 1


def test_a_header_is_in_order_and_aligned(tmp_path: Path) -> None:
    save(mlp((4, 3, 2), 3), tmp_path / "n")
    content = (tmp_path / "n").read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    assert length % 8 == 0
    assert list(header) == sorted(header)
    assert list(header["__metadata__"]) == ["format", "sha256", "text"]
    with safe_open(tmp_path / "n", "pt") as file:  # the library that others read it with
        assert set(file.keys()) == header.keys() - {"__metadata__"}
