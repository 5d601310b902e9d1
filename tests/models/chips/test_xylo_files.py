"""Configurations of Xylo come in as what the simulator runs, or are refused in one line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spikecert import IntegerLIF, from_xylo
from support.xylo_files import configuration, small
from support.xylo_traces import STEPS, TRACES, drawn, spikes


def written(content: Any, folder: Path) -> Path:
    path = folder / "xylo.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.mark.parametrize("seed", range(3))
def test_a_configuration_runs_as_the_simulator(seed: int, tmp_path: Path):
    made = from_xylo(written(configuration(drawn(seed)), tmp_path), STEPS)
    with np.load(TRACES) as file:
        inputs, theirs = file[f"{seed}.inputs"], (file[f"{seed}.hidden"], file[f"{seed}.outputs"])
    with torch.no_grad():
        run = made.trace(torch.from_numpy(inputs.astype(np.float64))[None])
    for ours, recorded in zip(run.spikes, theirs, strict=True):
        known = ~ours[:, 0].isnan().numpy()
        assert known.mean() > 0.9
        assert np.array_equal(ours[:, 0].numpy()[known], recorded[known])
    assert torch.equal(run.spikes[0][:, 0].nan_to_num(), spikes(drawn(seed))[0].nan_to_num())


def test_layers_within_a_reservoir_are_taken_apart(tmp_path: Path):
    content = json.loads(small())
    neuron = content["reservoir"]["neurons"][0]
    content["reservoir"] |= {
        "weights": [[0, 0, 3, 0], [0, 0, 0, 4], [0, 0, 0, 0], [0, 0, 0, 0]],
        "weight_bit_shift": 1,
        "neurons": [neuron, neuron, neuron | {"threshold": 7}, neuron | {"threshold": 7}],
    }
    content["readout"]["weights"] = [[0, 0, 0], [0, 0, 0], [5, 6, 7], [1, 2, 3]]
    made = from_xylo(written({"value0": content}, tmp_path), 7)
    dense = [layer.weight.tolist() for layer in made.layers if isinstance(layer, torch.nn.Linear)]
    assert dense == [[[30, 10], [-20, 40]], [[6, 0], [0, 8]], [[5, 1], [6, 2], [7, 3]]]
    assert [layer.stepped.threshold for layer in made.layers if isinstance(layer, IntegerLIF)] == [40, 7, 9]
    assert made.num_steps == 7


def changed(place: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        *path, last = place.split(".")
        for key in path:
            content = content[int(key) if key.isdigit() else key]  # type: ignore[index]
        content[int(last) if last.isdigit() else last] = value  # type: ignore[index]

    return change


def with_second_synapse(content: dict[str, Any]) -> None:
    content["synapse2_enable"] = True
    content["input"]["syn2_weights"] = [[1, 0], [0, 0]]


def with_biases(content: dict[str, Any]) -> None:
    content["bias_enable"] = True
    content["readout"]["neurons"][0]["v_mem_bias"] = 3


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (changed("input.weights", [[300, 0], [0, 0]]), "input.weights.0.0: got 300"),
        (changed("input.weights", [[1.5, 0], [0, 0]]), "input.weights.0.0: got 1.5"),
        (changed("input.weights", [[1], [1, 2]]), "input has 2 rows of 1/2 weights"),
        (changed("input.weights", []), "has no inputs"),
        (changed("input.weight_bit_shift", 40), "weight_bit_shift: got 40"),
        (changed("reservoir.weights", [[0]]), "reservoir has 1 rows"),
        (changed("reservoir.weights", [[0, 1], [1, 0]]), "hidden neuron 0 is in a loop"),
        (changed("reservoir.weights", [[0, 1], [0, 0]]), "hidden neuron 1 hears several layers"),
        (changed("reservoir.neurons", "none"), "reservoir.neurons: got 'none'"),
        (changed("reservoir.neurons.0", {"i_syn_decay": 1, "v_mem_decay": 1}), "threshold: missing"),
        (changed("readout.neurons.0", {"i_syn_decay": 1, "v_mem_decay": 1, "threshold": 3}), "2 kinds of neurons"),
        (changed("reservoir.aliasing", True), "has aliases"),
        (changed("readout.weights", [[1, 2, 3]]), "readout has 1 rows"),
        (changed("input.weights", [[]] * 1025), "got 1025 inputs or neurons"),
        (with_second_synapse, "has a second synapse"),
        (with_biases, "has biases"),
    ],
)
def test_what_is_not_known_is_refused_in_one_line(change: Callable, told: str, tmp_path: Path):
    content = json.loads(small())
    change(content)
    with pytest.raises(ValueError, match="path") as raised:
        from_xylo(written(content, tmp_path))
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", "null", '{"input": 3}', "{}", small().decode()[:200], "[" * 10_000]
)
def test_what_is_no_configuration_is_refused_in_one_line(text: str, tmp_path: Path):
    with pytest.raises(ValueError, match="path") as raised:
        from_xylo(written(text, tmp_path))
    assert "\n" not in str(raised.value)


def test_a_file_that_is_too_large_is_refused(tmp_path: Path):
    path = tmp_path / "xylo.json"
    with path.open("wb") as file:
        file.truncate(2**24 + 1)
    with pytest.raises(ValueError, match="path"):
        from_xylo(path)
    with pytest.raises(FileNotFoundError, match="a configuration of Xylo"):
        from_xylo(tmp_path / "nothing.json")
