"""Model files that are damaged, hostile, or of other networks: the native kernel refuses them in a line."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from spikecert.checking import read_network
from support.examples import THOROUGH

from .conftest import made
from .natively import HERE, model, refusal, told


def written(path: Path, change, body=lambda raw: raw, hashed: bool = True) -> Path:
    """Write the kept network anew, its description changed; the hash fits unless told otherwise."""
    raw = model("dense").read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header, data = json.loads(raw[8 : 8 + length]), body(raw[8 + length :])
    metadata = header["__metadata__"]
    found = change(metadata["text"], header)
    metadata["text"] = metadata["text"] if found is None else found
    if hashed:
        told = hashlib.sha256(metadata["text"].encode())
        for name in sorted(header.keys() - {"__metadata__"}):
            first, behind = header[name]["data_offsets"]
            told.update(f"{name}torch.float32{tuple(header[name]['shape'])}".encode() + data[first:behind])
        metadata["sha256"] = told.hexdigest()
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


@HERE
def test_a_hash_of_texts_of_all_lengths_is_that_of_python(tmp_path):
    """The text is padded, over all ways in which it may fill SHA-256's blocks of 64 bytes."""
    for blanks in range(0, 66, 1 if THOROUGH else 3):
        path = written(tmp_path / "padded.safetensors", lambda text, _, n=blanks: text + " " * n)
        lines = told(made("dense").lines, network=read_network(path).digest)
        assert not refusal(path, lines), blanks
        assert blanks == 0 or "another network" in refusal(path, made("dense").lines)


@HERE
@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('"direct"', '"rate"', "no rule for encoding rate"),
        ('"mean"', '"potential"', "no rule for readout potential"),
        ('"mean"', '"spikes"', "no rule for readout spikes"),
        ('"LIF"', '"DLIF"', "no rule for a DLIF layer"),
        ('"Linear"', '"Conv1d"', "no rule for a Conv1d layer"),
        ('"decay": 0.9', '"leak": 0.9', "no rule for a LIF with leak"),
        ('"decay": 0.9', '"decay": 1.5', "out of range"),
        ('"decay": 0.9', '"decay": 1e999', "expected a finite number"),
        ('"decay": 0.9', '"decay": NaN', "is no JSON"),
        ('"threshold": 1.0', '"threshold": 0.0', "out of range"),
        ('"reset": "zero"', '"reset": "half"', "no rule for a reset half"),
        ('"fires_at": ">="', '"fires_at": "<"', "fires_at"),
        ('"reset": "zero"', '"reset_amount": 0.5, "reset": "zero"', "reset_amount"),
        ('"num_steps": 4', '"num_steps": 0', "num_steps"),
        ('"num_steps": 4', '"num_steps": 1000000', "num_steps"),
        ('"num_steps": 4', '"num_steps": 4, "num_steps": 4', "twice"),
        ('"num_steps": 4', '"num_steps": 4, "extra": 4', "no rule for a network with extra"),
        ('"in_features": 6', '"in_features": 5', "does not fit"),
        ('"out_features": 8', '"out_features": 4294967296', "another shape"),
        ('"out_features": 8', '"out_features": 1e1', "whole number"),
    ],
    ids=lambda part: part[:20],
)
def test_networks_that_the_theorem_is_not_about_are_refused(tmp_path, old, new, why):
    path = written(tmp_path / "other.safetensors", lambda text, _: text.replace(old, new))
    assert header(path)["text"] != header(model("dense"))["text"]
    assert why in refusal(path, told(made("dense").lines, network=header(path)["sha256"]))


def header(path: Path) -> dict[str, str]:
    """Return a file's metadata."""
    raw = path.read_bytes()
    return json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])["__metadata__"]


def _moved(text, header, name="layers.0.weight", **changed) -> None:
    header[name] |= changed


@HERE
def test_damaged_and_hostile_model_files_are_refused(tmp_path):
    raw, path, lines = model("dense").read_bytes(), tmp_path / "model.safetensors", made("dense").lines
    damaged = [raw[:length] for length in (0, 7, 8, 100, len(raw) - 1)] + [
        raw + b"0",
        b"\xff" * 8 + raw[8:],
        raw[:-1] + b"\0",
    ]
    nested = b'{"__metadata__":' + b"[" * 10**6
    damaged += [
        len(text).to_bytes(8, "little") + text
        for text in (b"[]", b"{}", nested, b'{"__metadata__": {}}', b"\xff\xfe", b'"')
    ]
    for content in damaged:
        path.write_bytes(content)
        assert refusal(path, lines)
    assert refusal(tmp_path, lines)
    assert refusal(tmp_path / "none", lines)
    for changed in (
        {"dtype": "F64"}, {"dtype": "F16"}, {"shape": [6, 8]}, {"shape": [-6, -8]}, {"shape": [2**62, 8]},
        {"shape": 3}, {"data_offsets": [-4, 188]}, {"data_offsets": [0]},
        {"data_offsets": [0, 2**60]}, {"extra": 1},
    ):  # fmt: skip
        assert refusal(written(path, lambda *parts, c=changed: _moved(*parts, **c), hashed=False), lines), changed
    for value in (np.nan, np.inf, 3e38):
        written(path, lambda *_: None, lambda body, v=value: np.float32(v).tobytes() + body[4:])
        told_why = refusal(path, told(lines, network=header(path)["sha256"]))
        assert "NaN or inf" in told_why or "out of range" in told_why
