"""The native kernel, where `make native` built it, agrees with the one in Python; that there is none is told."""

import hashlib
import json
import os
import re
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from spikecert import LIF, LInf, SpikingNetwork, VariedLIF, save
from spikecert.certify.certificates import elaborate
from spikecert.certify.proofs import Prover
from spikecert.checking import Refused, read_network
from spikecert.checking.kernel import check_certificate, native
from support.examples import THOROUGH, by_night

from .conftest import FOLDER, made

PLAIN = "box", "deep", "dense", "spikes", "subtract"
OTHER = "dense-float64", "groups", "images", "l2", "potential", "residual", "timed"


def is_built() -> bool:
    try:
        native.find_native()
    except Refused:
        return False
    return True


HERE = pytest.mark.skipif(not is_built(), reason="no native kernel here: `make native` builds it from the proofs")


def refusal(model: Path, lines) -> str:
    """Return why the native kernel refuses, nothing where it accepts."""
    try:
        native.check_native(model, lines, seconds=60)
    except Refused as error:
        told = str(error)
        assert told.isprintable()
        assert not re.search("ended without an answer|fails the kernel", told)
        return told
    return ""


def model(name: str) -> Path:
    return FOLDER / f"{name}.safetensors"


def told(lines, **changed) -> list[str]:
    """Return lines whose claim says something else."""
    return [lines[0], json.dumps(json.loads(lines[1]) | changed), *lines[2:]]


def arrays(lines, **changed) -> list[str]:
    """Return lines whose claim has other arrays."""
    return told(lines, arrays=json.loads(lines[1])["arrays"] | changed)


def in_python(name: str, lines) -> str:
    return made(name).refusal(lines)


# ---- where there is none, or another program --------------------------------------------------------------------
def script(folder: Path, body: str) -> Path:
    path = folder / "kernel"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def test_a_missing_kernel_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(native, "BUILT", tmp_path / "none")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("SPIKECERT_KERNEL", raising=False)
    with pytest.raises(
        Refused, match="found no spikecert-kernel on the PATH: build the native kernel by `make native`"
    ):
        native.find_native()
    monkeypatch.setenv("SPIKECERT_KERNEL", str(tmp_path / "absent"))
    with pytest.raises(Refused, match=r"SPIKECERT_KERNEL: .*absent is no program"):
        native.check_native(model("dense"), made("dense").lines)


def test_the_kernel_is_the_named_one_then_that_of_the_path_then_the_built_one(monkeypatch, tmp_path):
    named, path, built = (tmp_path / part for part in ("named", "path", "built"))
    for folder in (named, path, built):
        folder.mkdir()
        (folder / native.NAME).write_text("")
        (folder / native.NAME).chmod(0o755)
    monkeypatch.setattr(native, "BUILT", built / native.NAME)
    monkeypatch.setenv("PATH", str(path))
    monkeypatch.setenv("SPIKECERT_KERNEL", str(named / native.NAME))
    assert native.find_native().parent == named
    monkeypatch.delenv("SPIKECERT_KERNEL")
    assert native.find_native().parent == path
    monkeypatch.setenv("PATH", "")
    assert native.find_native().parent == built


@pytest.mark.skipif(os.name != "posix", reason="the stand-ins are scripts of a shell")
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("cat > /dev/null; echo accepted all", ""),
        ("exit 0", "ended without an answer: status 0"),
        ("cat > /dev/null; echo accepted all; exit 1", "ended without an answer: status 1"),
        ("cat > /dev/null; echo accepted all; echo accepted more", "ended without an answer"),
        ("echo refused: for a reason; exit 1", "^for a reason$"),
        ("kill -SEGV $$", "ended without an answer: status -11"),
        ("exec sleep 60", "ended without an answer: status -9"),
    ],
)
def test_only_one_line_that_accepts_is_an_answer(monkeypatch, tmp_path, body, expected):
    monkeypatch.setenv("SPIKECERT_KERNEL", str(script(tmp_path, body)))
    lines = [*made("dense").lines, *(["x" * 1000] * 1000)]
    if not expected:
        assert native.check_native(model("dense"), lines) == "all"
        return
    with pytest.raises(Refused, match=expected):
        native.check_native(model("dense"), lines, seconds=0.3)


# ---- what is accepted -------------------------------------------------------------------------------------------
@HERE
@pytest.mark.parametrize("name", PLAIN)
def test_plain_proofs_are_accepted_and_state_what_the_kernel_in_python_says(name):
    kept = made(name)
    found = check_certificate(iter(kept.lines), kept.network)
    said = native.check_native(model(name), kept.lines)
    assert said.startswith(f"class {found.label} within ")
    assert said.endswith(f" of sample {found.point}, ties {found.ties}, network {found.network}")


@HERE
@pytest.mark.parametrize("name", OTHER)
def test_what_the_theorem_is_not_about_is_refused_by_name(name):
    assert refusal(model(name), made(name).lines).startswith(("no rule for", f"{name}.safetensors: no rule for"))


@cache
def proven(kind: str, folder: Path) -> tuple[Path, tuple[str, ...]]:
    """Return a network that is not among the kept ones, and a certificate."""
    torch.manual_seed(3)
    varied = VariedLIF([0.5, 0.9, 0.5, 0.9, 0.9], [1.0, 1.0, 0.75, 1.0, 1.0], reset="subtract")
    neurons = {
        "varied": [LIF(decay=0.8), torch.nn.Linear(5, 5), varied, torch.nn.Linear(5, 3)],
        "ties": [LIF(decay=0.8, reset="none"), torch.nn.Linear(5, 3), LIF(decay=0.9, threshold=0.5)],
    }[kind]
    readout = "spikes" if kind == "ties" else "mean"
    layers = [torch.nn.Flatten(), torch.nn.Linear(6, 5), *neurons]
    network = SpikingNetwork(*layers, num_steps=4, readout=readout)
    path = folder / f"{kind}.safetensors"
    save(network, path)
    sample = torch.rand(2, 3)
    label = int(network(sample[None]).argmax())
    ties = "argmax" if kind == "ties" else None
    proof = Prover.of(network).prove(sample, label, LInf(0.02), 20.0, ties=ties)
    proof.save(path.with_suffix(".proof"))
    return path, tuple(elaborate(path.with_suffix(".proof"), read_network(path)))


@HERE
@pytest.mark.parametrize("kind", ["varied", "ties"])
def test_neurons_that_differ_and_ties_are_accepted(kind, tmp_path):
    path, lines = proven(kind, tmp_path)
    check_certificate(iter(lines), read_network(path))
    assert f"ties {'argmax' if kind == 'ties' else 'strict'}" in native.check_native(path, lines)


# ---- what is refused: claims ------------------------------------------------------------------------------------
def number(value) -> dict[str, object]:
    return {"type": "float64", "shape": [1], "values": [value]}


@HERE
@pytest.mark.parametrize(
    "changed",
    [
        {"network": "0" * 64},
        {"label": 0},
        {"label": -1},
        {"label": 10**9},
        {"label": True},
        {"label": 1.0},
        {"norm": "l2"},
        {"norm": 3},
        {"ties": "any"},
        {"lower": -3.0},
        {"upper": 10**400},
        {"upper": "1"},
        {"lower": 2.0},
        {"events": {}},
        {"arrays": {}},
        {"arrays": []},
    ],
    ids=str,
)
def test_another_claim_is_refused(changed):
    lines = told(made("dense").lines, **changed)
    assert refusal(model("dense"), lines)


@HERE
@pytest.mark.parametrize(
    "radius",
    [
        *(
            number(value)
            for value in ("0x1.0000000000000p+0", "-0x1.0p-4", "inf", "nan", "0x1.8", "0.1", 0.1, "0x1.0p+9999")
        ),
        number("0x1.99999999999990p-4"),
        {"type": "float32", "shape": [1], "values": ["0x1.999999999999ap-4"]},
        {"type": "int32", "shape": [1], "values": [1]},
        {"type": "float64", "shape": [2], "values": ["0x1.999999999999ap-4"]},
        {"type": "float64", "shape": [-1], "values": ["0x1.999999999999ap-4"]},
        {"type": "float64", "shape": [2**40, 2**40], "values": []},
        {"type": "float64", "shape": [], "values": ["0x1.999999999999ap-4"]},
        {"type": "float64", "shape": [1]},
    ],
    ids=str,
)
def test_a_radius_that_is_larger_or_none_is_refused(radius):
    assert refusal(model("dense"), arrays(made("dense").lines, radius=radius))


@HERE
@pytest.mark.parametrize(
    "line",
    [
        *(
            "",
            "{",
            "[]",
            "null",
            "1e999",
            "NaN",
            "{}x",
            '{"a": 1, "a": 1}',
            '{"a": "\\ud800"}',
            '{"a": "\\u12',
            '"\x01"',
        ),
        *("[" * 10**6, '{"a":' * 10**5, "[" * 65 + "]" * 65, "9" * 10**5, '"' + "a" * 10**6, "-", "01", "[1,]"),
    ],
    ids=lambda line: line[:12],
)
def test_a_claim_that_is_no_json_is_refused(line):
    lines = made("dense").lines
    assert refusal(model("dense"), [lines[0], line, *lines[2:]])


# ---- what is refused: records -----------------------------------------------------------------------------------
def mutants(lines):
    """Yield certificates that differ in one record: one is missing, cut short, longer, or has another word."""
    generator = np.random.default_rng(0)
    for index in range(2, len(lines)):
        words = lines[index].split()
        place = int(generator.integers(len(words)))
        others = [
            "0",
            "1",
            "-1",
            "7",
            "ffffp3",
            "-ffffp3",
            "x",
            "0p161",
            "1p",
            "p3",
            "1" * 5000,
            "99999999999999999999",
        ]
        other = others[int(generator.integers(len(others)))]
        for record in (
            [],
            [" ".join(words[:place])],
            [lines[index] + " 0"],
            [" ".join([*words[:place], other, *words[place + 1 :]])],
        ):
            yield [*lines[:index], *record, *lines[index + 1 :]]


@HERE
@pytest.mark.parametrize("name", ["deep", *by_night("box", "dense", "spikes", "subtract")])
def test_both_kernels_agree_on_mutants(name):
    """The native one accepts what the other does, and rarely more: prices or cuts that have no effect."""
    chosen = list(mutants(made(name).lines))[:: 1 if THOROUGH else 3]
    found = Counter((bool(refusal(model(name), lines)), bool(in_python(name, lines))) for lines in chosen)
    assert found[True, True] > 0.7 * len(chosen)
    assert found[False, False] > 0
    assert not found[True, False]
    assert found[False, True] <= 2


@HERE
@pytest.mark.parametrize("name", ["deep", "spikes"])
def test_forged_certificates_are_refused_at_their_record(name):
    lines = made(name).lines
    of = {line.split()[0]: index for index, line in enumerate(lines)}
    forged = {
        "cut short": lines[:-1],
        "a part of a tree, or a class, is missing": lines[
            : next(i for i, line in enumerate(lines) if line.startswith("class"))
        ],
        "is no class whose tree may begin here": [
            *lines,
            next(line for line in lines if line.startswith("class")),
        ],
        "bound does not suffice": [line for line in lines if not line.startswith("potential")],
        "no record that is known": [*lines, "claim 3"],
        "goes on behind its end": [*lines[: of["close"]], "close 3"],
        "some run may be left": [*lines[: of["leaf"]], "empty"],
        "layer 99: has no neurons": [*lines[:3], "graph 99 0"],
        "is about a neuron that has a table": [*lines[:3], "graph 2 0"],
        "there is no such neuron": [*lines[:3], "graph 4 999"],
        "only the first layer": [*lines[:3], "rows 4 0 1"],
        "expected a whole number": [*lines[:3], "rows 2 0 1.5"],
        "a record is cut short": [*lines[:3], "graph 4 0 65536 65536"],
        "may not stand here": [*lines[:2], lines[2], lines[2]],
        "a train of 0 and 1": [*lines[:2], "table 2 012 0 0"],
    }
    for why, changed in forged.items():
        assert why in refusal(model(name), changed), why
    assert re.match(
        r"record 9+ |record \d+ \(claim 3\): ", refusal(model(name), forged["no record that is known"])
    )


@HERE
def test_hostile_records_are_refused_in_one_line():
    """Long lines, long lists and long numbers neither end the kernel nor take long."""
    lines, long = made("deep").lines, 10**6 if THOROUGH else 10**5
    hostile = [
        "table 2" + " 0" * long,
        "table 2" + " 0000 0 0" * (long // 10),
        "table 2 " + "0" * long + " 0 0",
        "narrow 2 0 1 " + str(long) + " 0 1" * long,
        "graph 4 0" + " 1" * long,
        "0" * (2**24 + 2),
        "\0\xff\n" * 100,
        "leaf " * long,
    ]
    for line in hostile:
        assert refusal(model("deep"), [*lines[:3], line])
        assert refusal(model("deep"), [*lines[:2], line])


# ---- what is refused: model files -------------------------------------------------------------------------------
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
        {"shape": 3}, {"data_offsets": [-4, 188]}, {"data_offsets": [0]}, {"data_offsets": [0, 2**60]}, {"extra": 1},
    ):  # fmt: skip
        assert refusal(written(path, lambda *parts, c=changed: _moved(*parts, **c), hashed=False), lines), changed
    for value in (np.nan, np.inf, 3e38):
        written(path, lambda *_: None, lambda body, v=value: np.float32(v).tobytes() + body[4:])
        told_why = refusal(path, told(lines, network=header(path)["sha256"]))
        assert "NaN or inf" in told_why or "out of range" in told_why
