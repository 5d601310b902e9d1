"""`spikecert loop`: what is proven of a plant in a file, as text, JSON and a page; plants that are none."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from spikecert import ClosedLoop, load, save
from spikecert.certify.loops import controller
from spikecert.runs.plants import load_plant
from support.hostile import HOSTILE, unsafe

K = [[-1.0, -1.75]]
PLANT = """
A = [[1.0, 0.125], [0.0, 1.0]]
B = [[0.0078125], ["1/8"]]
C = [[-1.0, -1.75]]
G = [[1.0]]
scale = 2.75
gain = 2.75
box = [1.0, 1.0]
"""


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("loop") / "controller.safetensors"
    save(controller(K), path)
    return path


@pytest.fixture
def plant(tmp_path: Path) -> Path:
    path = tmp_path / "plant.toml"
    path.write_text(PLANT, encoding="utf-8")
    return path


def test_it_says_what_the_library_proves(run, network, plant, tmp_path):
    done = run("loop", network, "--plant", plant, "--json", "--out", tmp_path / "out", "--runs", 40)
    assert done.status == 0
    told = json.loads(done.out)
    asked = load_plant(plant)
    found = ClosedLoop(load(network), **asked.loop).certificate(asked.box, asked.G)
    assert told["proved"]
    assert told["checked"]
    assert told["initial"] == list(found.initial)
    assert told["ultimate"] == list(found.ultimate)
    assert told["simulated"]["runs"] == 40
    assert all(np.array(told["simulated"]["greatest"]) <= 1.0)
    assert all(np.array(told["simulated"]["end"]) <= np.array(found.ultimate))
    assert json.loads((tmp_path / "out" / "loop.json").read_text(encoding="utf-8")) == told
    page = (tmp_path / "out" / "loop.html").read_text(encoding="utf-8")
    assert page.count('class="phase-run"') == 24
    assert [page.count(f'class="phase-{name}"') for name in ("box", "starts", "ends")] == [1, 1, 1]
    assert "stays in the box for ever" in page
    assert "<script" not in page


def test_disturbances_act_on_runs_and_a_state_alone_is_drawn_over_time(run, tmp_path):
    save(controller([[-1.0]]), tmp_path / "one.safetensors")
    text = "A = [[1.0]]\nB = [[0.5]]\nC = [[-1.0]]\nG = [[1.0]]\nbox = [1.0]\nnames = ['level']\ndisturbance = "
    ends = []
    for bound in (0, 0.03125):
        (tmp_path / "plant.toml").write_text(f"{text}{bound}", encoding="utf-8")
        asked = "loop", tmp_path / "one.safetensors", "--plant", tmp_path / "plant.toml", "--json"
        ends.append(json.loads(run(*asked, "--out", tmp_path / "out").out))
    calm, moved = ends
    assert calm["ultimate"][0] + 0.03125 <= moved["ultimate"][0]
    assert calm["simulated"]["end"][0] < moved["simulated"]["end"][0] <= moved["ultimate"][0]
    page = (tmp_path / "out" / "loop.html").read_text(encoding="utf-8")
    assert "Phase picture of step and level" in page


def test_noise_and_a_spread_of_the_plant_act_and_are_paid(run, network, plant, tmp_path):
    """What ends in a box does so under noise and other plants, in a greater one; simulated runs stay in it."""
    found = []
    for more in ("", "noise = 0.0078125", "spread = [[[0.0, 0.0], [0.0, 0.0078125]], [[0.0], [0.0078125]]]"):
        plant.write_text(f"{PLANT}{more}\n", encoding="utf-8")
        found.append(json.loads(run("loop", network, "--plant", plant, "--json", "--out", tmp_path / "out").out))
    calm, *others = found
    assert calm["proved"]
    for told in others:
        assert told["proved"]
        assert told["checked"]
        assert all(a < b for a, b in zip(calm["ultimate"], told["ultimate"], strict=True))
        assert told["simulated"]["greatest"] != calm["simulated"]["greatest"]
        assert all(a <= b for a, b in zip(told["simulated"]["greatest"], told["region"], strict=True))
    assert "of A [[0.0, 0.0], [0.0, 0.0078125]]" in (tmp_path / "out" / "loop.html").read_text(encoding="utf-8")


def test_no_proof_is_status_1_and_a_page(run, tmp_path, plant):
    save(controller(K, hidden=2), tmp_path / "coarse.safetensors")
    done = run("loop", tmp_path / "coarse.safetensors", "--plant", plant, "--out", tmp_path / "out")
    assert done.status == 1
    assert "Nothing is proven of this loop: errors of up to" in done.out
    page = (tmp_path / "out" / "loop.html").read_text(encoding="utf-8")
    assert "phase-starts" not in page.partition("</style>")[2]
    assert "Nothing is proven" in page


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("A = [[1.0, 0.125], [0.0, 1.0]]", "", "A: got none, expected"),
        ("A = [[1.0, 0.125]", "A = [[1.0]", "A: got rows of"),
        ("box = [1.0, 1.0]", "box = [1.0]", "box: got 1 numbers, expected 2"),
        ("box = [1.0, 1.0]", "box = [1.0, inf]", "box: got inf, expected a number above 0"),
        ("box = [1.0, 1.0]", "box = [1.0, 0.0]", "box: got 0.0, expected a number above 0"),
        ("box = [1.0, 1.0]", "", "box: got none, expected"),
        ("G = [[1.0]]", "G = [[1.0, 2.0]]", "G: got shape"),
        ("G = [[1.0]]", "G = [[-1.0]]", "G: got A .* of spectral radius"),
        ("B = [[0.0078125]", "B = [[true]", "B: got True, expected a number"),
        (
            "scale = 2.75",
            "scale = true",
            "plant.toml: scale: got True, expected a number above 0, or a list of them",
        ),
        ("gain = 2.75", "gain = ['x']", "plant.toml: gain: got 'x', expected a number"),
        (
            "gain = 2.75",
            "gain = 2.75\nnoise = [0.1, -1]",
            "plant.toml: noise: got -1, expected a number from 0 on",
        ),
        ("gain = 2.75", "gain = 2.75\nnames = ['a', 'a']", "names: got .'a', 'a'., expected each once"),
        ("C = [[-1.0, -1.75]]", "C = 'all'", "C: got 'all', expected a number"),
        ("G = [[1.0]]", "G = [[nan]]", "G: got nan, expected a number"),
        ("scale = 2.75", "scale = 0", "scale"),
        ("scale = 2.75", "scale = [1.0, 2.0]", "scale: got"),
        ("gain = 2.75", "gain = 2.75\ndt = 0", "dt: got 0, a continuous plant"),
        ("gain = 2.75", 'gain = 2.75\ntime = "continuous"', "time: got a continuous plant.*cont2discrete"),
        ("gain = 2.75", "gain = 2.75\ndisturbance = -1", "disturbance"),
        ("gain = 2.75", "gain = 2.75\nnames = ['a']", "names: got 1"),
        ("gain = 2.75", "gain = 2.75\nspeed = 1", "speed: got a key that is not known, expected schema, A"),
        ("gain = 2.75", "gain = ", "is no TOML file"),
        ("C = [[-1.0, -1.75]]", "", "network: |mat1|inputs"),
    ],
)
def test_what_is_no_plant_is_one_line(run, network, plant, old, new, told):
    assert old in PLANT
    plant.write_text(PLANT.replace(old, new), encoding="utf-8")
    done = run("loop", network, "--plant", plant)
    assert (done.status, done.err.count("\n"), done.out) == (2, 1, "")
    assert re.search(told, done.err), done.err


def test_hostile_names_of_states_are_shown_as_escapes(run, network, plant, tmp_path):
    names = json.dumps([HOSTILE, "<script>alert(1)</script>"])
    plant.write_text(f"{PLANT}names = {names}\n", encoding="utf-8")
    done = run("loop", network, "--plant", plant, "--out", tmp_path / "out", "--runs", 2, "--steps", 2)
    assert done.status == 0
    page = (tmp_path / "out" / "loop.html").read_text(encoding="utf-8")
    assert not unsafe(done.out + done.err + page, "\n\u00a0")
    assert "<script" not in page
