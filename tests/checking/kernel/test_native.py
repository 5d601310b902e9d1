"""The native kernel, where `make native` built it, agrees with the one in Python; that there is none is told."""

import os
import re
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from spikecert import LIF, LInf, SpikingNetwork, VariedLIF, save
from spikecert.certify.proofs import Prover
from spikecert.checking import Refused, read_network
from spikecert.checking import short as native
from spikecert.checking.certificates import elaborate
from spikecert.checking.kernel import check_certificate
from support.examples import THOROUGH, by_night

from .conftest import made
from .natively import HERE, arrays, model, refusal, told

PLAIN = "box", "deep", "dense", "groups", "images", "residual", "spikes", "subtract"
OTHER = "dense-float64", "l2", "potential", "timed"


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
