"""Reading certificates: files of any size take little memory, and no more work than their bytes allow.

Model files that are damaged, hostile, or of other networks: the native kernel refuses them in a line.
"""

import hashlib
import json
import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from spikecert.checking import Refused, read_network
from spikecert.checking.kernel import check_certificate, check_file
from spikecert.checking.kernel.checking import MOST_OPEN
from support.examples import THOROUGH

from .conftest import FOLDER, made
from .natively import HERE, model, refusal, told


def test_a_file_is_read_as_its_lines_are(tmp_path):
    kept, path = made("deep"), tmp_path / "deep.certificate"
    path.write_text("\n".join(kept.lines))
    assert check_file(path, kept.network).claim == check_certificate(iter(kept.lines), kept.network).claim
    path.write_text("\r\n".join([*kept.lines, "", ""]))
    assert check_file(path, kept.network).leaves == 6


def test_a_file_that_is_none_is_refused(tmp_path):
    kept, path = made("deep"), tmp_path / "deep.certificate"
    with pytest.raises(Refused, match=r"^deep\.certificate: can't be read: No such file"):
        check_file(path, kept.network)
    for content in (b"", b"\xff\xfe", b"\n\n", (FOLDER / "deep.proof").read_bytes()):
        path.write_bytes(content)
        with pytest.raises(Refused, match=r"^deep\.certificate: (is no certificate|lacks a part)") as error:
            check_file(path, kept.network)
        assert str(error.value).isprintable()


def test_a_line_without_end_is_refused_before_it_is_held(tmp_path):
    kept, path = made("deep"), tmp_path / "deep.certificate"
    path.write_bytes(b"")
    os.truncate(path, 2**31)
    tracemalloc.start()
    with pytest.raises(Refused, match="has a line of more than 16777216 bytes"):
        check_file(path, kept.network)
    assert tracemalloc.get_traced_memory()[1] < 2**26
    tracemalloc.stop()


def _longer(leaves: int) -> Iterator[str]:
    """Yield a certificate of "dense" with more leaves: each side that is split off holds no run."""
    kept = made("dense")
    start = kept.lines.index("class 0")
    yield from kept.lines[: start + 1]
    for _ in range(leaves):
        yield "rows 2 0 0"
        yield "empty"
    yield from kept.lines[start + 1 :]


def _peak(leaves: int) -> int:
    tracemalloc.start()
    assert check_certificate(_longer(leaves), made("dense").network).leaves == 5 + leaves
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found


def test_memory_does_not_grow_with_the_number_of_leaves():
    assert _peak(4000) < 250_000


def _said_again(count: int) -> Iterator[str]:
    kept = made("deep")
    for line in kept.lines:
        yield from [line] * (count if line.startswith("graph") else 1)


def test_a_fact_that_is_stated_again_takes_no_memory():
    tracemalloc.start()
    check_certificate(_said_again(10), made("deep").network)
    assert tracemalloc.get_traced_memory()[1] < 400_000
    tracemalloc.stop()


def test_splits_within_each_other_are_bounded():
    kept = made("dense")
    deep = [*kept.lines[:4], *["rows 2 0 99"] * (MOST_OPEN + 1)]
    assert kept.lines[3] == "class 0"
    assert f"record {MOST_OPEN + 3} (rows 2 0): more than {MOST_OPEN} splits" in kept.refusal(deep)


def test_work_is_bounded_by_the_bytes():
    kept = made("deep")
    check_certificate(iter(kept.lines), kept.network, work=0.2)
    with pytest.raises(Refused, match="work: takes at least"):
        check_certificate(iter(kept.lines), kept.network, work=1e-6)


def test_a_class_of_which_no_run_is_left_is_no_proof():
    """Where all is said to be empty, nothing is bounded: only a set without inputs, or an error, could be so."""
    kept = made("dense")
    classes = [line for line in kept.lines if line.startswith("class")]
    lines = [*kept.lines[:3], *(part for line in classes for part in (line, "empty"))]
    assert "some run may be left here" in kept.refusal(lines)


def test_no_potential_may_overflow(tmp_path):
    """A current of 1e10 and a scale of 1e30 are infinite in the run: it fires once and is NaN ever after."""
    import torch
    from torch import nn

    from spikecert import DLIF, SpikingNetwork
    from support.certificates import Asked

    for encoding, shape in (("direct", (1,)), ("none", (4, 1))):
        first = DLIF(4, 0.5)
        first.input_scale.data = torch.full((4,), 1e30)
        network = SpikingNetwork(nn.Linear(1, 1), first, nn.Linear(1, 2), num_steps=4, encoding=encoding).eval()
        network.layers[0].weight.data.fill_(1e10)  # pyright: ignore[reportCallIssue, reportAttributeAccessIssue]
        with pytest.raises(Refused, match="a membrane potential may overflow"):
            Asked.of(network, tmp_path, torch.full(shape, 0.5), 0.1, 0)


def test_the_certificate_of_the_page_is_one(tmp_path):
    """The whole example of docs/proofs.md is what `elaborate` writes of the network that the page describes."""
    import torch
    from torch import nn

    from spikecert import LIF, LInf, SpikingNetwork, save
    from spikecert.certify.proofs import Prover
    from spikecert.checking import read_network
    from spikecert.checking.certificates import elaborate

    weights = (1.0, 0.25), (1.5, 0.0), ((1.0, 0.0), (0.0, 0.25))
    affine = nn.Linear(1, 1), nn.Linear(1, 1), nn.Linear(1, 2)
    for layer, (weight, bias) in zip(affine, weights, strict=True):
        layer.weight.data = torch.tensor(weight).view(-1, 1)
        layer.bias.data = torch.tensor(bias).view(-1)
    network = SpikingNetwork(affine[0], LIF(0.5), affine[1], LIF(0.5), affine[2], num_steps=2).eval()
    save(network, tmp_path / "network.safetensors")
    Prover.of(network).prove(torch.tensor([0.75]), 0, LInf(0.125)).save(tmp_path / "a.proof")
    read = read_network(tmp_path / "network.safetensors")
    page = (FOLDER.parents[2] / "docs" / "proofs.md").read_text(encoding="utf-8")
    told = page.partition("```text\nspikecert.proof/2\n")[2].partition("```")[0].splitlines()[1:]
    made_now = list(elaborate(tmp_path / "a.proof", read))[2:]
    assert [line.split() for line in told] == [line.split() for line in made_now]


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
