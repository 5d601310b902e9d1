"""Whatever texts a file or an argument holds, the command line answers with lines that a terminal just prints."""

import json
from typing import Any

import h5py
import nir
import pytest
import torch

from spikecert import mlp, to_nir
from spikecert.checking.network.model import FORMAT
from spikecert.models.files.storage import read_tensors, save, write_tensors
from spikecert.telling import say, show, show_json, table
from support.hostile import HOSTILE, changes, unsafe


def fine(outcome) -> bool:
    """Return whether an outcome is a refusal in one line, safe to show."""
    return outcome.status == 2 and outcome.err.count("\n") == 1 and not unsafe(outcome.out + outcome.err, "\n")


@pytest.fixture(scope="module")
def described(tmp_path_factory):
    """Return the description and the tensors of a small network's file."""
    path = tmp_path_factory.mktemp("described") / "network.safetensors"
    save(mlp((64, 4, 10), num_steps=2), path)
    text, tensors = read_tensors(path, FORMAT)
    return json.loads(text), tensors


def test_a_model_of_hostile_texts_is_refused_in_one_line(run, described, tmp_path):
    description, tensors = described
    path, seen = tmp_path / "hostile.safetensors", 0
    for changed in changes(description):
        write_tensors(path, FORMAT, json.dumps(changed), tensors)
        assert fine(run("gains", path)), changed
        checked = run("check-proof", path, "--model", path)  # it may refuse the proof alone, with status 1
        assert not unsafe(checked.out + checked.err, "\n"), changed
        seen += 1
    assert seen > 20


def test_a_model_of_hostile_tensor_names_is_refused_in_one_line(run, described, tmp_path):
    description, tensors = described
    path = tmp_path / "hostile.safetensors"
    for name in tensors:
        renamed = {HOSTILE if key == name else key: tensor for key, tensor in tensors.items()}
        write_tensors(path, FORMAT, json.dumps(description), renamed)
        assert fine(run("gains", path))


@pytest.mark.parametrize(
    "command", [("report",), ("report", "--against"), ("gains", "--check"), ("run",), ("vnnlib",)]
)
def test_a_file_of_a_hostile_name_and_content_is_refused_in_one_line(run, command, tmp_path):
    path = tmp_path / f"{HOSTILE.replace('/', '')}.json"
    path.write_text(json.dumps({"schema": HOSTILE, HOSTILE: 1}), encoding="utf-8")
    assert fine(run(*command, *[path] * (2 if command[-1] in ("--against", "vnnlib") else 1)))


@pytest.mark.parametrize("command", ["gains", "certify", "attack", "radius"])
def test_a_missing_file_of_a_hostile_name_is_refused_in_one_line(run, command, tmp_path):
    assert fine(run(command, tmp_path / HOSTILE.replace("/", "")))


def test_a_configuration_of_hostile_texts_is_refused_in_one_line(run, tmp_path):
    path = tmp_path / "hostile.toml"
    parts = {HOSTILE: HOSTILE}, {"objective": HOSTILE}
    for content in ({HOSTILE: 1}, {"data": HOSTILE}, *({"train": part} for part in parts)):
        lines = [f"{json.dumps(key)} = {inline(value)}" for key, value in content.items()]
        path.write_text("\n".join(lines), encoding="utf-8")
        assert fine(run("run", path)), content


def inline(value) -> str:
    """Return a value as TOML writes it within a line; its strings are those of JSON but for DEL."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {inline(item)}" for key, item in value.items()) + "}"
    return json.dumps(value)


def test_a_graph_of_hostile_node_names_is_refused_in_one_line(run, tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "graph.nir"
    nir.write(path, to_nir(mlp((6, 8, 3), num_steps=5), torch.rand(4, 6)))
    with h5py.File(path, "r+") as file:
        nodes: Any = file["node/nodes"]
        first = next(name for name in nodes if name not in ("input", "output"))
        nodes.move(first, HOSTILE.replace("\x00", "").replace("/", ""))
    assert fine(run("convert", path, "--out", tmp_path / "out.safetensors"))


def test_hostile_options_are_refused_in_one_line(run, described, tmp_path):
    path = tmp_path / "network.safetensors"
    description, tensors = described
    write_tensors(path, FORMAT, json.dumps(description), tensors)
    for option in ("--data", "--epsilon", "--verifier", "--norm", "--device", "--engine", f"--{HOSTILE}"):
        assert fine(run("certify", path, option, HOSTILE)), option
    assert fine(run(HOSTILE))


def test_what_commands_write_is_safe_to_show(capsys):
    say(f"{HOSTILE}\nnext")
    show(f"{HOSTILE}\nnext")
    show(table((HOSTILE, "b"), [("a", HOSTILE)]))
    show_json({HOSTILE: HOSTILE})
    written = capsys.readouterr()
    assert not unsafe(written.out + written.err, "\n")
    assert json.loads(written.out[written.out.index("{\n") :]) == {HOSTILE: HOSTILE}
    assert written.err.endswith("\nnext\n")
