"""`spikecert vnnlib instances.csv`: many instances, as each alone, resumed, beside each other, wrong ones told."""

import csv
import itertools
import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from spikecert.formats import read_counterexample, read_vnnlib, robustness, verify_property, write_vnnlib
from spikecert.models import load, save
from spikecert.runs import instances
from support.command_line import Outcome

from .conftest import small

Run = Callable[..., Outcome]
SIZES = (0.0, 0.02, 0.1, 0.4)


@pytest.fixture
def batch(tmp_path: Path) -> Path:
    """Write a network, properties that hold and that are violated, and the file that names them."""
    (tmp_path / "nets").mkdir()
    save(small(), tmp_path / "nets" / "a.safetensors")
    network, lines = load(tmp_path / "nets" / "a.safetensors"), list[str]()
    generator = torch.Generator().manual_seed(0)
    for place, sample in enumerate(torch.rand(3, 2, generator=generator)):
        label = int(network(sample[None]).argmax())
        for size in SIZES:
            low, high = (sample - size).clamp(0, 1), (sample + size).clamp(0, 1)
            name = f"{place}-{size}.vnnlib"
            (tmp_path / name).write_text(write_vnnlib(robustness(low, high, label, 3)))
            lines.append(f"nets/a.safetensors,{name},20")
    path = tmp_path / "instances.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def told(outcome: Outcome) -> list[tuple[str, str]]:
    return [(row["property"], row["result"]) for row in json.loads(outcome.out)["instances"]]


def test_each_is_answered_as_alone(run: Run, batch: Path) -> None:
    done = run("vnnlib", batch, "--out", batch.parent / "out", "--json")
    found, network = told(done), load(batch.parent / "nets" / "a.safetensors")
    alone = [(name, verify_property(network, read_vnnlib(batch.parent / name)).status) for name, _ in found]
    assert found == alone
    assert {"holds", "violated"} <= {result for _, result in found}
    assert done.status == 1
    assert json.loads(done.out)["counts"]["holds"] == [result for _, result in found].count("holds")
    with (batch.parent / "out" / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["property"], row["result"]) for row in rows] == found
    for place, (name, result) in enumerate(found):
        if result == "violated":  # as it is written
            written = read_counterexample((batch.parent / "out" / f"{place:05d}.txt").read_text())
            assert written is not None
            outputs = network(torch.tensor([written[0]]))[0].tolist()
            exact = [tuple(map(Fraction, values)) for values in (written[0], outputs)]
            assert read_vnnlib(batch.parent / name).violated(*exact)
    first = [(batch.parent / "out" / f"{place:05d}.txt").read_text().split()[0] for place in range(len(found))]
    assert first == [result for _, result in found]


def test_what_is_kept_is_not_asked_again(run: Run, batch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a killed run what it decided is there; another network, property, time or seed is another question."""
    asked, real = list[object](), verify_property

    def counted(*given: object, **rest: object) -> object:
        if len(asked) == 5:
            raise KeyboardInterrupt
        asked.append(given)
        return real(*given, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(instances, "verify_property", counted)
    out = batch.parent / "out"
    assert run("vnnlib", batch, "--out", out).status == 130
    assert len(list((out / "kept").glob("*.json"))) == 5
    asked.clear()
    monkeypatch.setattr(instances, "verify_property", lambda *a, **r: asked.append(a) or real(*a, **r))
    first = run("vnnlib", batch, "--out", out, "--json")
    assert len(asked) == 3 * len(SIZES) - 5
    again = run("vnnlib", batch, "--out", out, "--json")
    assert len(asked) == 3 * len(SIZES) - 5
    assert told(again) == told(first)
    one = next((out / "kept").glob("*.json"))
    one.write_text('{"result": "proven"}')
    assert told(run("vnnlib", batch, "--out", out, "--json")) == told(first)
    assert len(asked) == 3 * len(SIZES) - 4
    run("vnnlib", batch, "--out", out, "--seed", "1")
    assert len(asked) == 6 * len(SIZES) - 4


@pytest.mark.slow
def test_processes_and_parts_answer_alike(run: Run, batch: Path) -> None:
    alone = told(run("vnnlib", batch, "--json"))
    assert told(run("vnnlib", batch, "--out", batch.parent / "both", "--workers", "2", "--json")) == alone
    assert len(list((batch.parent / "both" / "kept").glob("*.json"))) == len(alone)
    parts = [told(run("vnnlib", batch, "--part", f"{k}/5", "--json")) for k in range(1, 6)]
    assert sorted(itertools.chain(*parts)) == sorted(alone)


def test_what_can_not_be_read_is_an_answer(run: Run, batch: Path) -> None:
    lines = batch.read_text().splitlines()[:1]
    (batch.parent / "odd.vnnlib").write_text("(assert")
    lines += ["nets/a.safetensors,odd.vnnlib,5", "nets/none.safetensors,0-0.0.vnnlib,5", "", lines[0]]
    batch.write_text("\n".join(lines))
    done = run("vnnlib", batch, "--json")
    assert [result for _, result in told(done)] == ["holds", "error", "error", "holds"]
    assert done.status == 2
    assert "none.safetensors" in json.loads(done.out)["instances"][2]["reason"]


@pytest.mark.parametrize(("text", "more", "message"), [
    ("", (), "instances: got no line in instances.csv, expected network,property,seconds"),
    ("a,b\n", (), "line 1 of instances.csv: got 'a,b', expected network,property,seconds"),
    ("\na,,3\n", (), "line 2 of instances.csv: got 'a,,3'"),
    ("a,b,c,4\n", (), "expected network,property,seconds"),
    *((f"a,b,{text}\n", (), "expected a positive number of sec") for text in ("0", "-1", "nan", "inf", "x", "")),
    ("a,b,1\n" * 100_001, (), "got more than 100000 lines"),
    ('"' + "a" * 10**6, (), "instances.csv is no table with commas: field larger than"),
    ("a,b,1\n", ("p.vnnlib",), "property: got p.vnnlib beside"),
    ("a,b,1\n", ("--workers", "2"), "workers: got 2, expected --out FOLDER"),
    ("a,b,1\n", ("--part", "3/2"), "part: got '3/2', expected a part such as 2/8"),
    ("a,b,1\n", ("--verifier", "magic"), "verifier: got 'magic'"),
])  # fmt: skip
def test_wrong_files_are_one_line(
    run: Run, tmp_path: Path, text: str, more: tuple[str, ...], message: str
) -> None:
    (tmp_path / "instances.csv").write_text(text)
    done = run("vnnlib", tmp_path / "instances.csv", *more)
    assert (done.status, done.out, done.err.count("\n")) == (2, "", 1)
    assert message in done.err


def test_a_network_needs_its_property_and_has_no_parts(run: Run, batch: Path) -> None:
    model = batch.parent / "nets" / "a.safetensors"
    assert "property: got none, expected one beside a network" in run("vnnlib", model).err
    assert "part: got (1, 2), expected none" in run("vnnlib", model, "0-0.0.vnnlib", "--part", "1/2").err
