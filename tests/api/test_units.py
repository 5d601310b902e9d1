"""Features with units and ranges of their own, on the command line and in run files."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikecert import LIF, SpikingNetwork, dataset, load_record
from spikecert.asking import Threat
from spikecert.certify import PixelBox, verify
from spikecert.certify.problem import BoxScale
from spikecert.models import save
from spikecert.testing import check_sound, networks
from support.examples import THOROUGH, examples

FILE = """
[temperature]
unit = "degC"
range = [-10, 40]
epsilon = 2
[pressure]
unit = "kPa"
range = [90, 110]
epsilon = 0.5
[humidity]
"""
LOWER, UPPER = torch.tensor([-10.0, 90.0, 0.0]), torch.tensor([40.0, 110.0, 1.0])
BRACKETED = 6 if THOROUGH else 2
"""Samples whose radii are sought."""
FAST = ("--verifier", "trains", "--no-gains", "--samples", "6")


@pytest.fixture
def plant(tmp_path, monkeypatch):
    """Make a network of three measured numbers, data that it gets right, and a file that tells what they are."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    scaling = torch.nn.BatchNorm1d(3, eps=0.0, affine=False)
    scaling.running_mean, scaling.running_var = (LOWER + UPPER) / 2, ((UPPER - LOWER) / 3) ** 2
    layers = scaling, torch.nn.Linear(3, 8), LIF(0.9), torch.nn.Linear(8, 2)
    network = SpikingNetwork(*layers, num_steps=4).eval()
    inputs = LOWER + (UPPER - LOWER) * torch.rand(60, 3)
    save(network, tmp_path / "net.safetensors")
    np.savez("mine.npz", inputs=inputs, labels=network(inputs).argmax(1))
    (tmp_path / "features.toml").write_text(FILE)
    return network


def test_epsilon_has_units(run, plant):
    size = "2degC:temperature,1/2 kPa:pressure"
    told = (
        "--data",
        "mine.npz",
        "--features",
        "features.toml",
        "--epsilon",
        size,
        *FAST,
        "--samples",
        str(BRACKETED),
        "--radii",
        "--out",
        "out",
    )
    outcome = run("certify", "net.safetensors", *told)
    assert outcome.status in (0, 1), outcome.err
    found = load_record("out/record.json")
    assert found.threat.norm == "box"
    assert [feature.epsilon for feature in vars(found.threat)["features"]] == [2.0, 0.5, 0.0]
    assert "--features features.toml" in found.command
    page = Path("out/report.md").read_text(encoding="utf-8")
    assert "temperature by 2 degC, pressure by 0.5 kPa, 1 not at all" in page
    assert "pressure in \\[90, 110\\] kPa" in page
    test = dataset("mine.npz", limits=(-10, 110)).test
    box = PixelBox(torch.tensor([2.0, 0.5, 0.0]), LOWER, UPPER)
    verdicts = verify(plant, test.inputs[:BRACKETED], test.labels[:BRACKETED], box, "trains")
    assert [row.verdicts["trains"].status for row in found.models[0].rows] == [item.status for item in verdicts]
    assert found.models[0].radii is not None
    for radius, verdict in zip(found.models[0].radii.samples, verdicts, strict=True):
        assert radius.lower >= 1 - 1e-3 or verdict.status != "verified"


def test_a_file_s_sizes_are_scaled(run, plant, tmp_path):
    told = ("--data", "mine.npz", "--features", "features.toml", *FAST, "--epsilon", ".5,1")
    assert run("certify", "net.safetensors", *told, "--out", "out").status in (0, 1)
    text = 'data = {name = "mine.npz", samples = 6}\nmodel = {path = "net.safetensors"}\ngains = false\n'
    text += '[certify]\nverifiers = ["trains"]\n[threat]\nepsilon = [".5", 1]\n'
    (tmp_path / "run.toml").write_text(text + FILE.replace("[t", "[threat.features.t").replace(
        "[p", "[threat.features.p").replace("[h", "[threat.features.h"))  # fmt: skip
    assert run("run", "run.toml", "--out", "again").status in (0, 1)
    one, two = load_record("out/record.json"), load_record("again/record.json")
    assert one.threat == two.threat
    assert one.models[0].points == two.models[0].points


@pytest.mark.parametrize(("told", "cure"), [
    (("--epsilon", "2K:temperature"), "epsilon: got '2K:temperature', expected degC, the unit of temperature"),
    (("--epsilon", "2:wind"), "expected one of the features temperature, pressure, humidity"),
    (("--epsilon", "2:temperature,3:temperature"), "epsilon: got temperature twice"),
    (("--epsilon", "two:temperature"), "expected a size and its feature, as in 2degC:temperature"),
    (("--epsilon", "0:temperature"), "features: got 0 as the size of each, expected one that moves"),
    (("--epsilon", "1", "--norm", "l2"), "features: got one with --norm l2, expected --norm box"),
    (("--epsilon", "1", "--range", "0,2"), "range: got 0,2 beside features, expected none"),
    (("--epsilon", "1", "--proof", "proofs"), "proof: got a folder beside --features"),
])  # fmt: skip
def test_wrong_units_are_refused(run, plant, told, cure):
    outcome = run("certify", "net.safetensors", "--data", "mine.npz", "--features", "features.toml", *told)
    assert (outcome.status, outcome.err.count("\n")) == (2, 1)
    assert cure in outcome.err


@pytest.mark.parametrize(("text", "told"), [
    ("[a]\nrange = [2, 1]\n", "features: a.range: got [2.0, 1.0] of a, expected lower < upper"),
    ("[a]\ncolour = 1\n", "features: a.colour: got a key that is not known"), ("x =", "is no TOML file"),
    ("[a]\n", "expected [0, 1]"), ("", "expected a table for each feature"),
])  # fmt: skip
def test_a_wrong_file_is_refused(run, plant, tmp_path, text, told):
    (tmp_path / "features.toml").write_text(text)
    size = "2:a" if text.startswith("[a]\n") and "range" not in text and "colour" not in text else "2:temperature"
    outcome = run(
        "certify", "net.safetensors", "--data", "mine.npz", "--features", "features.toml", "--epsilon", size
    )
    assert (outcome.status, outcome.err.count("\n")) == (2, 1)
    assert told in outcome.err


def test_units_need_a_file(run, plant):
    outcome = run("certify", "net.safetensors", "--data", "mine.npz", "--epsilon", "2degC:temperature")
    assert "epsilon: got '2degC:temperature', expected a number above 0" in outcome.err


@examples(60)
@given(st.data())
def test_verdicts_within_ends_of_each_feature_are_sound(data):
    network = data.draw(networks(features=3, encodings=("direct",)))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 99)))
    lower, upper = -torch.rand(3, generator=generator), 1 + torch.rand(3, generator=generator)
    inputs = torch.rand(4, 3, generator=generator).to(network.dtype)
    box = PixelBox(torch.rand(3, generator=generator).round(decimals=1), lower, upper)
    box.check(inputs)
    drawn = box.sample(inputs, generator)
    assert bool(box.contains(drawn, inputs).all())
    assert bool(((drawn.double() >= lower) & (drawn.double() <= upper)).all())
    check_sound(network, inputs, box, "trains", count=6)


@examples(60)
@given(st.integers(0, 2**16), st.sampled_from([torch.float32, torch.float64]))
def test_the_distance_of_a_box_is_one_that_holds(seed, dtype):
    generator = torch.Generator().manual_seed(seed)
    sets = BoxScale(torch.tensor([2.0, 0.1, 0.0]).double(), LOWER.double(), UPPER.double())
    inputs = (LOWER + (UPPER - LOWER) * torch.rand(3, 3, generator=generator)).to(dtype)
    moved = sets.around(0.3).sample(inputs, generator)
    for sample, candidate, distance in zip(inputs, moved, sets.distance(moved, inputs).tolist(), strict=True):
        assert bool(sets.around(distance).contains(candidate[None], sample[None]))
        assert distance <= 0.3 * (1 + 1e-6)


@pytest.mark.parametrize("ends", [
    (torch.tensor([0.0, 2.0]), torch.tensor([1.0, 1.0])),
    (torch.tensor([0.0, float("nan")]), 1.0),
    (torch.zeros(3), torch.ones(2)),
])  # fmt: skip
def test_wrong_ends_are_refused(ends):
    with pytest.raises(ValueError, match=r"^(lower|upper|lower, upper): got"):
        PixelBox(torch.ones(2), *ends)
    whole = PixelBox(torch.ones(2), torch.zeros(2), torch.ones(2))
    assert whole == PixelBox(torch.ones(2), torch.zeros(2), torch.ones(2))
    assert hash(whole) == hash(PixelBox(torch.ones(2), torch.zeros(2), torch.ones(2)))
    with pytest.raises(
        ValueError, match=r"inputs: got 1.5 at feature \(1,\) of sample 0, expected within \[0, 1\]"
    ):
        whole.check(torch.tensor([[0.5, 1.5]]))


def box_of(features: dict[str, dict[str, object]]) -> PixelBox:
    box = Threat.of("box", 1, features=features).around(1.0)
    assert isinstance(box, PixelBox)
    return box


def ends_of(box: PixelBox) -> tuple[torch.Tensor, torch.Tensor]:
    assert isinstance(box.lower, torch.Tensor)
    assert isinstance(box.upper, torch.Tensor)
    return box.lower, box.upper


@given(st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3)), min_size=1, max_size=6))
@examples(100)
def test_ends_hold_the_samples_that_are_written_like_them(pairs) -> None:
    """A float32 sample of an end is in the set, and the set is no smaller than the one that was written."""
    ranges = [[low, low + span] for low, span in pairs]
    box = box_of({f"f{k}": {"range": both, "epsilon": both[1] - both[0]} for k, both in enumerate(ranges)})
    for end in (0, 1):
        sample = torch.tensor([[both[end] for both in ranges]])
        box.check(sample)
        assert bool(box.contains(sample, sample).all())
    lower, upper = ends_of(box)
    written = torch.tensor(ranges, dtype=torch.float64)
    assert bool((lower <= written[:, 0]).all())
    assert bool((upper >= written[:, 1]).all())


def test_ends_beyond_float32_stay_as_they_are() -> None:
    lower, upper = ends_of(box_of({"a": {"range": [-1e300, 1e300], "epsilon": 1}}))
    assert (lower.item(), upper.item()) == (-1e300, 1e300)
