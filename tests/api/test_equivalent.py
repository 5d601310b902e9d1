"""`spikecert equivalent`: what the library says of two builds as text and JSON, and what is no question."""

import copy
import json
from pathlib import Path

import jsonschema
import pytest
import torch
from torch import nn

from spikecert import LIF, LInf, SpikingNetwork, dataset, equivalent, load, save

SCHEMA = Path(__file__).parents[2] / "docs" / "schemas" / "equivalence-2.json"


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a network and one with weights of three bits, as files."""
    folder = tmp_path_factory.mktemp("builds")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = nn.Linear(64, 16), LIF(0.75), nn.Linear(16, 10)
    with torch.no_grad():
        layers[0].weight.mul_(3)
    a = SpikingNetwork(*layers, num_steps=4)
    b = copy.deepcopy(a)
    with torch.no_grad():
        for name, parameter in b.named_parameters():
            if name.endswith("weight"):
                step = parameter.abs().max() / 3
                parameter.copy_((parameter / step).round() * step)
    paths = folder / "a.safetensors", folder / "b.safetensors"
    save(a, paths[0])
    save(b, paths[1])
    return paths


def test_it_says_what_the_library_finds(run, builds, tmp_path):
    a, b = builds
    done = run("equivalent", a, b, "--samples", "20", "--epsilon", ".2/255,1/255", "--json", "--out", tmp_path)
    told = json.loads(done.out)
    jsonschema.validate(told, json.loads(SCHEMA.read_text(encoding="utf-8")))
    assert json.loads((tmp_path / "equivalence.json").read_text(encoding="utf-8")) == told
    inputs, seen = dataset("digits").test.inputs[:20], set()
    for point in told["points"]:
        found = equivalent(load(a), load(b), inputs, LInf(point["epsilon"]))
        assert [row["status"] for row in point["rows"]] == [one.status for one in found]
        assert [row["gap"] for row in point["rows"]] == [one.gap for one in found]
        seen |= {one.status for one in found}
        for row in point["rows"]:
            if row["counterexample"] is not None:
                value = torch.tensor(row["counterexample"])[None]
                assert int(load(a)(value).argmax()) != int(load(b)(value).argmax())
    assert {"equivalent", "different"} <= seen
    assert done.status == 1
    assert "--norm linf --seed 0 --epsilon .2/255,1/255" in told["command"]


def test_without_an_epsilon_it_is_about_the_samples(run, builds):
    a, b = builds
    done = run("equivalent", a, b, "--samples", "20", "--json")
    (point,) = json.loads(done.out)["points"]
    assert point["epsilon"] is None
    assert done.status == int(point["different"] > 0)
    share = point["equivalent"] / 20
    for bar, status in ((share, 0), (min(1.0, share + 0.05), int(share < 1))):
        done = run("equivalent", a, b, "--samples", "20", "--require-equivalent", f"{bar}")
        assert done.status == status
        assert "d (median)" in done.out
    same = run("equivalent", a, a, "--samples", "5")
    assert same.status == 0
    assert "--epsilon" not in json.loads(run("equivalent", a, a, "--samples", "2", "--json").out)["command"]


@pytest.mark.parametrize("target", ["loihi", "q8.8"])
def test_a_network_and_its_own_build_for_a_chip(run, builds, target):
    done = run("equivalent", builds[0], "--target", target, "--bits", "4", "--samples", "12", "--json")
    told = json.loads(done.out)
    assert told["upper"] >= 255
    assert told["b"]["name"].endswith(f"on {target}, 4 bits")
    assert told["points"][0]["equivalent"] > 0
    ball = run("equivalent", builds[0], "--target", target, "--samples", "4", "--epsilon", "1", "--json")
    statuses = {row["status"] for row in json.loads(ball.out)["points"][0]["rows"]}
    assert statuses <= {"equivalent", "different", "unknown"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "b: got none, expected another build, or --target"),
        (("B", "--target", "loihi"), "target: got 'loihi' beside B, expected one of them"),
        (
            ("B", "--norm", "tolerance", "--epsilon", "5%"),
            "norm: got tolerance, a set of networks, expected a set",
        ),
        (("B", "--ties", "strict"), "No such option: --ties"),
        (("B", "--epsilon", "-1"), "epsilon: got '-1', expected a number above 0"),
        (("B", "--require-equivalent", "2"), "require-equivalent: got '2', expected a share from 0 to 1"),
        (("B", "--verifier", "magic"), "verifier: got 'magic', expected interval"),
        (("OTHER",), "b: got num_steps 3, expected a's 4"),
        (("NOWHERE",), "nowhere.safetensors"),
        (("--target", "abacus"), "target: got 'abacus'"),
    ],
)
def test_each_mistake_is_one_line(run, builds, tmp_path, options, message):
    other = tmp_path / "other.safetensors"
    save(SpikingNetwork(nn.Linear(64, 4), LIF(0.5), nn.Linear(4, 10), num_steps=3), other)
    places = {"B": builds[1], "OTHER": other, "NOWHERE": tmp_path / "nowhere.safetensors"}
    done = run("equivalent", builds[0], *(places.get(one, one) for one in options), "--samples", "2")
    assert (done.status, done.out, done.err.count("\n")) == (2, "", 1)
    assert message in done.err
