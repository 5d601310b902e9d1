"""A stranger's model file: its description is checked, against its tensors, before anything is built."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikecert.models import RateDraws, SpikingNetwork, load, save
from spikecert.models.files.storage import FORMAT, write_tensors

HUGE = 3 * 10**7
LINEAR = {"type": "Linear", "in_features": 2, "out_features": 2, "bias": False}
CONV = {
    "type": "Conv2d",
    "in_channels": 2,
    "out_channels": 2,
    "kernel_size": [1, 1],
    "stride": [1, 1],
    "padding": [0, 0],
    "dilation": [1, 1],
    "groups": 1,
    "bias": False,
    "padding_mode": "zeros",
}
POOL = {
    "type": "AvgPool2d",
    "kernel_size": 2,
    "stride": 2,
    "padding": 0,
    "ceil_mode": False,
    "count_include_pad": True,
}
NORM = {"type": "BatchNorm1d", "num_features": 2, "eps": 1e-5, "momentum": 0.1, "affine": False}
FLATTEN = {"type": "Flatten", "start_dim": 1, "end_dim": -1}
LIF = {
    "type": "LIF",
    "decay": 0.9,
    "threshold": 1.0,
    "reset": "zero",
    "fires_at": ">=",
    "surrogate": {"name": "triangle", "width": 1.0},
}
DLIF = {**LIF, "type": "DLIF", "num_steps": 2}
WEIGHT = {"layers.0.weight": torch.ones(2, 2)}


def written(folder: Path, layers: Any, tensors: dict[str, Tensor] | None = None, **settings: Any) -> Path:
    """Write a file with a right hash."""
    content = {"num_steps": 2, "encoding": "direct", "readout": "mean", "layers": layers, **settings}
    path = folder / "network.safetensors"
    write_tensors(path, FORMAT, json.dumps(content), WEIGHT if tensors is None else tensors)
    return path


def nested(depth: int) -> dict[str, Any]:
    """Return sums within sums."""
    layer: dict[str, Any] = FLATTEN
    for _ in range(depth):
        layer = {"type": "Residual", "branch": [layer], "shortcut": []}
    return layer


LAYERS: dict[str, tuple[dict[str, Any], str]] = {
    "a device": ({**LINEAR, "device": "cpu"}, "layers.1.device: unknown key"),
    "a GPU": ({**LINEAR, "device": "cuda"}, "layers.1.device: unknown key"),
    "a dtype": ({**CONV, "dtype": "float64"}, "layers.1.dtype: unknown key"),
    "a field too few": ({"type": "Flatten", "start_dim": 1}, "layers.1.end_dim: missing"),
    "no type": ({"start_dim": 1}, "layers.1: unknown layer type None"),
    "a list as type": ({"type": [1]}, r"layers.1: unknown layer type \[1\]"),
    "a long type": ({"type": "x" * 10**5}, r"layers.1: unknown layer type 'x+\.\.\.x+'$"),
    "a sum with more": (
        {"type": "Residual", "branch": [], "shortcut": [], "x": 1},
        "unknown layer type 'Residual'",
    ),
    "a sum of text": (
        {"type": "Residual", "branch": "ab", "shortcut": []},
        "layers.1.branch: got 'ab', expected a",
    ),
    "size 0": ({**LINEAR, "in_features": 0}, "in_features: got 0, expected greater than or equal to 1"),
    "a size below 0": ({**LINEAR, "out_features": -2}, "out_features: got -2, expected greater than"),
    "a size as a truth value": (
        {**LINEAR, "in_features": True},
        "in_features: got True, expected a valid integer",
    ),
    "a size as a float": ({**LINEAR, "in_features": 2.0}, "in_features: got 2.0, expected a valid integer"),
    "a size as text": ({**LINEAR, "in_features": "2"}, "in_features: got '2', expected a valid integer"),
    "a truth value as a number": ({**LINEAR, "bias": 1}, "bias: got 1, expected a valid boolean"),
    "a size of many digits": ({**LINEAR, "in_features": 10**3000}, r"in_features: got 10+\.\.\.0+, expected less"),
    "another mode": ({**CONV, "padding_mode": "constant"}, "padding_mode: got 'constant', expected 'zeros'"),
    "no groups": ({**CONV, "groups": 0}, "groups: got 0, expected greater"),
    "groups that do not divide": ({**CONV, "groups": 3}, "groups: got 3, expected a divisor of both"),
    "a kernel of three axes": ({**CONV, "kernel_size": [1, 1, 1]}, "kernel_size: got .*expected"),
    "a padding below 0": ({**CONV, "padding": [0, -1]}, "padding"),
    "a wide padding": ({**CONV, "padding": [0, 10**9]}, "padding"),
    "a pool without size": ({**POOL, "kernel_size": 0}, "kernel_size"),
    "a pool of huge windows": ({**POOL, "kernel_size": [2, 10**12]}, "kernel_size"),
    "eps below 0": ({**NORM, "eps": -1e-5}, "eps"),
    "eps as a truth value": ({**NORM, "eps": True}, "eps"),
    "an axis far out": ({**FLATTEN, "start_dim": 10**20}, "start_dim"),
    "a decay above 1": ({**LIF, "decay": 1.5}, "decay: got 1.5, expected less than or equal to 1"),
    "another surrogate": ({**LIF, "surrogate": {"name": "x", "width": 1.0}}, "surrogate.name: got 'x', expected"),
    "a width of 0": ({**LIF, "surrogate": {"name": "triangle", "width": 0.0}}, "surrogate.width: got 0.0"),
    "a reset amount to no reset": ({**LIF, "reset_amount": 1.0}, "reset_amount: got one with reset 'zero'"),
    "an infinite threshold": ({**LIF, "threshold": float("inf")}, "got Infinity, expected finite numbers"),
    "no number": ({**LIF, "threshold": float("nan")}, "got NaN, expected finite numbers"),
    "many steps": ({**DLIF, "num_steps": 2**16 + 1}, "num_steps: got 65537, expected less than or equal to 65536"),
}


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS.keys())
def test_a_layer_that_is_described_otherwise_is_refused(tmp_path: Path, layer: tuple[dict[str, Any], str]) -> None:
    with pytest.raises(ValueError, match=layer[1]) as refused:
        load(written(tmp_path, [LINEAR, layer[0]]))
    assert len(str(refused.value)) < 600
    assert "\n" not in str(refused.value)


SETTINGS: dict[str, tuple[dict[str, Any], str]] = {
    "a key that is not known": ({"device": "cuda"}, "network.device: unknown key"),
    "no steps": ({"num_steps": 0}, "num_steps: got 0"),
    "too many steps": ({"num_steps": 2**16 + 1}, "num_steps: got 65537"),
    "steps as a float": ({"num_steps": 2.0}, "num_steps: got 2.0, expected a valid integer"),
    "a seed without draws": ({"seed": 1}, "seed: expected one, or draws, with encoding"),
    "draws without a seed": ({"encoding": "rate"}, "seed: expected one, or draws, with encoding"),
    "a seed beyond int64": ({"encoding": "rate", "seed": 2**63}, "seed: got 9223372036854775808"),
    "layers as an object": ({"layers": {}}, "layers: got {}, expected a valid tuple"),
    "deep sums": ({"layers": [nested(40)]}, "within each other, expected at most 64 deep"),
    "very deep sums": ({"layers": [nested(300)]}, "within each other, expected at most 64 deep"),
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
def test_a_network_that_is_described_otherwise_is_refused(
    tmp_path: Path, settings: tuple[dict[str, Any], str]
) -> None:
    with pytest.raises(ValueError, match=settings[1]):
        load(written(tmp_path, **{"layers": [LINEAR], **settings[0]}))


@pytest.mark.parametrize("layers", [[FLATTEN] * 10_000, [{"type": "Residual", "branch": [FLATTEN] * 9_999}]])
def test_very_many_layers_are_refused(tmp_path: Path, layers: list[Any]) -> None:
    with pytest.raises(ValueError, match="layers: got 10001, expected at most 10000"):
        load(written(tmp_path, [LINEAR, *layers]))


def test_many_draws_are_read(tmp_path: Path) -> None:
    """They stand in the description, which has no limit of its own."""
    draws = RateDraws(torch.rand(64, 2000, generator=torch.Generator().manual_seed(0)))
    network = SpikingNetwork(nn.Linear(2000, 2), num_steps=64, encoding="rate", draws=draws)
    save(network, tmp_path / "n")
    assert load(tmp_path / "n").draws == draws


def test_a_key_twice_is_refused(tmp_path: Path) -> None:
    text = json.dumps({"num_steps": 2, "encoding": "direct", "readout": "mean", "layers": [LINEAR]})
    write_tensors(tmp_path / "n", FORMAT, text[:-1] + ', "num_steps": 3}', WEIGHT)
    with pytest.raises(ValueError, match="names a key twice"):
        load(tmp_path / "n")


KINDS = {
    "float8": torch.ones(2, 2).to(torch.float8_e4m3fn),
    "another float8": torch.ones(2, 2).to(torch.float8_e5m2),
    "complex": torch.ones(2, 2, dtype=torch.complex64),
    "quantised": torch.ones(2, 2, dtype=torch.int8),
    "integers": torch.ones(2, 2, dtype=torch.int64),
    "truth values": torch.ones(2, 2, dtype=torch.bool),
}


@pytest.mark.parametrize("weight", KINDS.values(), ids=KINDS.keys())
def test_weights_that_no_network_runs_with_are_refused(tmp_path: Path, weight: Tensor) -> None:
    with pytest.raises(ValueError, match=f"weights: got {weight.dtype}, expected one of torch.bfloat16"):
        load(written(tmp_path, [LINEAR], {"layers.0.weight": weight}))


def test_so_are_weights_of_two_kinds_and_counters_of_another(tmp_path: Path) -> None:
    statistics = {f"layers.1.running_{name}": torch.ones(2) for name in ("mean", "var")}
    whole = {**WEIGHT, **statistics, "layers.1.num_batches_tracked": torch.tensor(0)}
    assert len(load(written(tmp_path, [LINEAR, NORM], whole)).layers) == 2
    for name, tensor in (("num_batches_tracked", torch.tensor(0.0)), ("running_var", torch.ones(2).double())):
        with pytest.raises(ValueError, match=r"weights: got (torch\.\w+, )*torch\.\w+, expected one of"):
            load(written(tmp_path, [LINEAR, NORM], {**whole, f"layers.1.{name}": tensor}))


@pytest.mark.parametrize(
    ("tensors", "told"),
    [
        ({}, "weights: 'layers.0.weight' is missing"),
        ({**WEIGHT, "layers.0.bias": torch.ones(2)}, "weights: 'layers.0.bias' belongs to no layer"),
        ({"layers.0.weight": torch.ones(4)}, r"layers.0.weight has shape \(4,\), expected \(2, 2\)"),
    ],
)
def test_other_tensors_than_the_layers_have_are_refused(
    tmp_path: Path, tensors: dict[str, Tensor], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        load(written(tmp_path, [LINEAR], tensors))


LARGE: dict[str, dict[str, Any]] = {
    "a device that escapes": {**LINEAR, "in_features": 31_000, "out_features": 31_000, "device": "cpu"},
    "a wide layer": {**LINEAR, "in_features": HUGE, "out_features": HUGE},
    "many channels": {"type": "Normalize", "channels": HUGE},
    "a large kernel": {**CONV, "kernel_size": [2**16, 2**16]},
    "many features": {**NORM, "num_features": HUGE},
    "a long input scale": {**DLIF, "num_steps": 2**16},
    "many learned decays": {"type": "Residual", "branch": [{**LIF, "type": "PLIF"}] * 4000, "shortcut": []},
    "many layers": {"type": "Residual", "branch": [FLATTEN] * 9_000, "shortcut": []},
}
CHILD = """
    import resource, sys
    from pathlib import Path
    from spikecert import load

    first, *others = sys.argv[1:]
    load(first)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + {most}, size + {most}))
    for path in others:
        try:
            load(path)
            print("loaded")
        except ValueError as error:
            print(str(error).partition("can build: ")[2])
"""
MOST_MEMORY = 96 * 2**20


def test_no_description_takes_memory_that_the_file_has_not(tmp_path: Path) -> None:
    (tmp_path / "good").mkdir()
    paths = [written(tmp_path / "good", [LINEAR])]
    for index, layer in enumerate(LARGE.values()):
        (tmp_path / str(index)).mkdir()
        paths.append(written(tmp_path / str(index), [LINEAR, layer]))
    script = textwrap.dedent(CHILD).format(most=MOST_MEMORY)
    command = [sys.executable, "-c", script, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    *refused, last = done.stdout.splitlines()
    assert len(refused) == len(LARGE) - 1
    assert all(line.startswith(("weights: 'layers.1.", "layers.1.device: unknown")) for line in refused), refused
    assert last == "loaded"
