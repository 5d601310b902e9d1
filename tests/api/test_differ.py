"""`spikecert differ`: what the library says of two builds as text, JSON and a page; what is no question."""

import copy
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from torch import nn

from spikecert import LIF, SpikingNetwork, dataset, differ, load, save
from spikecert.models.differing.dialects import DIALECTS
from spikecert.reports.comparing.difference_record import DifferenceRecord
from support.browser import DESKTOP, PHONE, Browser, browser_path
from support.hostile import HOSTILE, unsafe

DEVICE = """
import torch
from torch import nn

from spikecert import load

network = load({path!r})


class Neurons(nn.Module):
    def forward(self, x, v):
        v = (0.9 * v + x).clamp(max=1.5)
        s = (v >= 1.0).to(v)
        return s, v - s


class Device(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(64, 16), nn.Linear(16, 10)
        self.one.load_state_dict(network.layers[0].state_dict())
        self.two.load_state_dict(network.layers[2].state_dict())
        self.neurons = Neurons()

    def forward(self, x):
        v, total = torch.zeros(len(x), 16), torch.zeros(len(x), 10)
        for _ in range(6):
            s, v = self.neurons(self.one(x), v)
            total = total + self.two(s)
        return total / 6
"""


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Return a network, one with another reset, and a module that saturates, as files."""
    folder = tmp_path_factory.mktemp("builds")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = nn.Linear(64, 16), LIF(0.9, reset="subtract"), nn.Linear(16, 10)
    with torch.no_grad():
        layers[0].weight.mul_(4)
    a = SpikingNetwork(*layers, num_steps=6)
    b = copy.deepcopy(a)
    b.layers[1] = LIF(0.9, reset="subtract", reset_amount=0.7)
    paths = folder / "a.safetensors", folder / "b.safetensors", folder / "device.py"
    save(a, paths[0])
    save(b, paths[1])
    paths[2].write_text(DEVICE.format(path=str(paths[0])), encoding="utf-8")
    return paths


def test_it_says_what_the_library_finds(run, builds, tmp_path):
    a, b, _ = builds
    mended = tmp_path / "mended.safetensors"
    done = run("differ", a, b, "--samples", 50, "--json", "--out", tmp_path / "out", "--repaired", mended)
    assert done.status == 1
    found = differ(load(a), load(b), dataset("digits").test.inputs[:50])
    told = json.loads(done.out)
    assert told["schema"] == "spikecert.difference/1"
    assert told["cause"] == found.cause == "reset: layers.1: d = 1 against 0.7"
    assert (told["mended"], told["changed"], told["same"]) == (True, "b", False)
    assert found.first is not None
    assert told["first"] == found.first._asdict()
    assert (told["parted"], told["answers"], told["samples"]) == (found.parted, found.answers, 50)
    assert told["steps"] == list(found.steps)
    assert json.loads((tmp_path / "out" / "difference.json").read_text(encoding="utf-8")) == told
    assert DifferenceRecord.model_validate(told).to_json() == json.dumps(told, indent=1, ensure_ascii=False)
    assert run("differ", a, mended).status == 0


def test_builds_that_are_the_same_end_with_0(run, builds, tmp_path):
    a, *_ = builds
    done = run("differ", a, a, "--samples", 10, "--out", tmp_path)
    assert done.status == 0
    assert done.out.startswith("same: all trains and outputs on 10 inputs")
    page = (tmp_path / "difference.html").read_text(encoding="utf-8")
    assert "Same: all trains and outputs on 10 inputs." in page
    assert "<svg" not in page


def test_a_module_of_a_file_is_run(run, builds, tmp_path):
    a, _, device = builds
    mended = tmp_path / "mended.safetensors"
    done = run("differ", a, f"{device}:Device", "--samples", 50, "--out", tmp_path / "out")
    assert done.status == 1
    assert "cause: saturation: layers.1: B holds v at 1.5·θ or below" in done.out
    assert "its potentials are not shown" in done.out
    assert json.loads((tmp_path / "out" / "difference.json").read_text())["moment"]["potentials"][1] is None
    refused = run("differ", a, f"{device}:Device", "--samples", 50, "--repaired", mended)
    assert refused.status == 2
    assert "no element runs as the build does" in refused.err
    assert not mended.exists()


def test_a_page_shows_both_rasters(run, builds, tmp_path):
    a, b, _ = builds
    run("differ", a, b, "--samples", 50, "--out", tmp_path)
    text = (tmp_path / "difference.html").read_text(encoding="utf-8")
    record = json.loads((tmp_path / "difference.json").read_text(encoding="utf-8"))
    drawn = {name: len(re.findall(f'class="{name}"', text)) for name in ("cell-both", "cell-new", "cell-gone")}
    assert drawn["cell-both"] == 2
    assert 1 <= drawn["cell-new"] <= 2
    marks = {name: "".join(re.findall(f'class="{name}" d="([^"]*)"', text)).count("M") for name in drawn}
    assert marks["cell-new"] == marks["cell-gone"]  # what one has alone the other lacks
    assert f"neuron {record['first']['neuron']}, step {record['first']['step']}" in text
    assert "spikecert differ" in text
    assert "<script" not in text
    HTMLParser().feed(text)


@pytest.mark.skipif(browser_path() is None, reason="no Chromium here")
def test_a_browser_shows_the_page(run, builds, tmp_path):
    a, b, _ = builds
    run("differ", a, b, "--samples", 50, "--out", tmp_path)
    with Browser() as browser:
        for size in (DESKTOP, PHONE):
            for dark in (False, True):
                visit = browser.visit(tmp_path / "difference.html", size, dark)
                assert visit.complaints == []
                assert [url for url in visit.requests if not url.startswith("data:")] == [
                    (tmp_path / "difference.html").as_uri()
                ]
                assert browser.evaluate("document.documentElement.scrollWidth") <= size[0]
                assert browser.evaluate("document.querySelector('svg').getBoundingClientRect().height") > 150


REFUSED = {
    "no file": (("none.safetensors", "A"), "path: got none.safetensors"),
    "the same": (
        ("A", "A", "--repaired", "x.safetensors"),
        "repaired: got x.safetensors, and the builds are the same",
    ),
    "samples": (("A", "B", "--samples", "1000"), "samples: got 1000"),
    "data": (("A", "B", "--data", "nothing"), "nothing"),
    "no module": (("A", "none.py:Network"), "source: got none.py"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_question_is_refused_in_one_line(run, builds, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    arguments, words = REFUSED[name]
    names = {"A": builds[0], "B": builds[1]}
    done = run("differ", *(names.get(each, each) for each in arguments))
    assert done.status == 2
    assert words in done.err
    assert done.err.count("\n") == 1


def test_names_of_strangers_are_shown_and_nothing_else(run, builds, tmp_path):
    """The page and the text hold the names of files."""
    a, b, _ = builds
    hostile = tmp_path / f"{HOSTILE.replace('/', '_')[:60]}.safetensors"
    hostile.write_bytes(b.read_bytes())
    done = run("differ", a, hostile, "--samples", 20, "--out", tmp_path / "out")
    assert done.status == 1
    page = (tmp_path / "out" / "difference.html").read_text(encoding="utf-8")
    assert not unsafe(done.out, "\n")
    assert "<img" not in page
    assert "<script" not in page


def test_the_documents_name_each_dialect_by_its_kind():
    page = (Path(__file__).parents[2] / "docs" / "deployment.md").read_text(encoding="utf-8")
    kinds = re.findall(r"^\| `(\w+)`", page, re.MULTILINE)
    assert {dialect.kind for dialect in DIALECTS} <= set(kinds)
