"""Sixty wrong calls: one clear line each, that names what was typed, and status 2."""

from pathlib import Path

import numpy as np
import pytest

from spikecert import mlp
from spikecert.models import save
from spikecert.reports import Data, Plan, Threat, measure, record, render

N, R = "NETWORK", "RECORD"
CALLS = [
    (("certfy", N), "No such command 'certfy'. Did you mean 'certify'"),
    (("certify",), "Missing argument 'MODEL'"),
    (("certify", "nothing.safetensors"), "got nothing.safetensors"),
    (("certify", N, "--epsilon", "abc"), "epsilon: got 'abc', expected a number above 0, such as 8/255"),
    (("certify", N, "--epsilon", "-1"), "epsilon: got '-1', expected a number above 0"),
    (("certify", N, "--epsilon", "1/0"), "epsilon: got '1/0'"),
    (("certify", N, "--norm", "l7"), "norm: got 'l7', expected linf, l2"),
    (("certify", N, "--verifier", "magic"), "verifier: got 'magic', expected interval"),
    (("certify", N, "--attack", "magic"), "attack: got 'magic', expected fgsm"),
    (("certify", N, "--data", "nope"), "got 'nope', expected one of digits"),
    (("certify", N, "--data", "mnist"), "mnist needs the file train-images"),
    (("certify", N, "--data", "mine.npz"), "got mine.npz, no such file, expected an .npz archive"),
    (("certify", N, "--data", "mine.py"), "data: got mine.py, expected mine.py:function"),
    (("certify", N, "--data", "mine.py:f"), "got mine.py, no such file, expected a Python file"),
    (("certify", N, "--samples", "0"), "samples: got '0', expected a whole number from 1 on"),
    (("certify", N, "--samples", "99999"), "samples: got 99999, expected at most the split's 300"),
    (("certify", N, "--timeout", "-1"), "timeout: got '-1', expected a positive number of seconds"),
    (("certify", N, "--ties", "maybe"), "ties: got 'maybe', expected argmax or strict"),
    (("certify", N, "--device", "tpu"), "device: got 'tpu'"),
    (("certify", N, "--require-certified", "3"), "require-certified: got '3', expected a share from 0 to 1"),
    (("certify", N, "--engine", "magic"), "engine: got 'magic', expected local or ray"),
    (("certify", N, "--ray-address", "auto"), "ray-address: got 'auto' without --engine ray"),
    (("certify", N, "--radii", "--tolerance", "0"), "tolerance: got '0', expected a number above 0"),
    (("certify", N, "--seed", "-1"), "seed: got '-1', expected a whole number from 0 on"),
    (("attack", N, "--method", "magic"), "method: got 'magic', expected fgsm"),
    (("attack", N, "--bogus"), "No such option: --bogus"),
    (("gains",), "MODEL: got nothing, expected a network file"),
    (("gains", N, "--horizon", "x"), "horizon: got 'x', expected a number of steps or inf"),
    (("gains", N, "--input-norm", "l9"), "got 'l9', expected one of l1, l2, linf"),
    (("gains", N, "--method", "magic"), "method: got 'magic', expected one of closed_form"),
    (("radius", N, "--verifier", "magic", "--samples", "1"), "verifier: got 'magic'"),
    (("report",), "Missing argument"),
    (("report", "nothing.json"), "got nothing.json, no such file, expected a JSON file"),
    (("report", N), "is no JSON file"),
    (("report", R, "--out", "x.pdf"), "got 'x.pdf', expected a name that ends in .html"),
    (("report", R, "--summary", "--out", "x.tex"), "got 'x.tex', expected a name that ends in .html, .md"),
    (("report", R, "--open"), "open: got no page to show"),
    (("convert", "mine.py", "--out", "x.safetensors"), "got mine.py, expected mine.py:name"),
    (("convert", "nothing.nir", "--out", "x.safetensors"), "nothing.nir"),
    (("train", "--network", "magic", "--out", "x"), "got 'magic'"),
    (("train", "--objective", "magic", "--out", "x"), "objective: got 'magic'"),
    (("run", "nothing.toml"), "got nothing.toml, no such file, expected a TOML file or a record"),
    (("run", "magic"), "protocol: got 'magic', expected one of"),
    (("zoo", "magic"), "magic"),
    (("check-proof", "/nowhere"), "model: got none, expected a path"),
    (("vnnlib", N), "property: got none, expected one beside a network"),
]
FLAT, LOOPS, POTENTIAL, RARE, RAW, ONE = "FLAT", "LOOPS", "POTENTIAL", "RARE", "RAW", "ONE"
ROLES = [
    (("convert", FLAT, "--shape", "1,8,8", "--out", "x"), "it runs on (3, 64): give it x.flatten(1) (--flat)"),
    (("convert", LOOPS, "--shape", "64", "--num-steps", "3", "--out", "x"), "leave num_steps (--num-steps) out"),
    (("convert", POTENTIAL, "--shape", "64", "--out", "x"), "return its spikes, or the potential of a last"),
    (("convert", "code.py:pooled", "--shape", "1,8,8", "--out", "x"), "draws random numbers"),
    (("convert", "code.py:normed", "--shape", "64", "--out", "x"), "F.layer_norm: its statistics come from"),
    (("convert", FLAT, "--data", RAW, "--out", "x"), "say the range that they have (--range)"),
    (("convert", FLAT, "--shape", "64", "--data", "digits", "--out", "x"), "shape: got one besides --data"),
    (("convert", FLAT, "--out", "x"), "shape: got neither it nor --data"),
    (("convert", "nothing.py:f", "--out", "x"), "no such file, expected a Python file"),
    (("certify", N, "--data", RAW), "say the range that they have (--range)"),
    (("certify", N, "--data", RARE, "--range", "1,0"), "expected the least and the greatest value, as in 0,1"),
    (("certify", N, "--data", "IMAGES"), "expected (64,); put nn.Flatten() in front of the layers"),
    (("gains", N, "--data", "IMAGES"), "put nn.Flatten() in front of the layers (convert --flat does)"),
    (("certify", ONE), "ask about its value (--property, spikecert range)"),
    (("certify", N, "--verifer", "trains"), "No such option: --verifer (Possible options: "),
    (("explain", "nothing.json", "--sample", "1"), "got nothing.json, no such file"),
    (("loop", N, "--plant", "nothing.toml"), "got nothing.toml, no such file"),
]
CODE = """
import torch
from torch import nn
import torch.nn.functional as F
import snntorch

class Net(nn.Module):
    def __init__(self, before=lambda x: x, spikes=True):
        super().__init__()
        self.layer, self.lif, self.before, self.spikes = nn.Linear(64, 3), snntorch.Leaky(beta=.9), before, spikes

    def forward(self, x):
        v, out = self.lif.init_leaky(), []
        for _ in range(3):
            s, v = self.lif(self.layer(self.before(x)), v)
            out.append(s if self.spikes else v)
        return torch.stack(out)

def net(): return Net()
def potential(): return Net(spikes=False)
def normed(): return Net(lambda x: F.layer_norm(x, (64,)))
def pooled(): return Net(lambda x: F.fractional_max_pool2d(x, 2, output_size=4).repeat(1, 4, 1, 1).flatten(1))
"""


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """Return the places of code, archives, and a network of one output, in the current folder."""
    monkeypatch.chdir(tmp_path)
    Path("code.py").write_text(CODE)
    drawn = np.random.default_rng(0)
    rare = np.array([1] + [0, 2] * 30)
    np.savez("rare.npz", inputs=drawn.random((61, 64), dtype=np.float32), labels=rare)
    np.savez("raw.npz", inputs=50 * drawn.random((60, 64), dtype=np.float32), labels=np.arange(60) % 3)
    np.savez("images.npz", inputs=drawn.random((60, 1, 8, 8), dtype=np.float32), labels=np.arange(60) % 3)
    save(mlp((64, 3, 1)), Path("one.safetensors"))
    return {FLAT: "code.py:net", LOOPS: "code.py:net", POTENTIAL: "code.py:potential", RARE: "rare.npz",
            RAW: "raw.npz", "IMAGES": "images.npz", ONE: "one.safetensors"}  # fmt: skip


@pytest.mark.parametrize(("arguments", "told"), ROLES, ids=[" ".join(call) for call, _ in ROLES])
def test_what_people_do_wrong_ends_in_its_cure(run, model, kept, arguments, told):
    outcome = run(*({N: str(model), **kept}.get(item, item) for item in arguments))
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith("spikecert: ")
    assert outcome.err.count("\n") == 1
    assert told in outcome.err


def test_the_cures_cure(run, model, kept):
    """Data of a rare class, in another range, and images for a network of rows: each runs."""
    fits = ("--verifier", "interval", "--no-gains", "--samples", "2")
    assert run("certify", model, "--data", "rare.npz", *fits).status in (0, 1)
    assert run("certify", model, "--data", "raw.npz", "--range", "0,50", *fits).status in (0, 1)
    made = run("convert", "code.py:net", "--data", "images.npz", "--flat", "--out", "flat.safetensors")
    assert made.status == 0, made.err
    assert run("certify", "flat.safetensors", "--data", "images.npz", *fits).status in (0, 1)
    assert (
        run("convert", "code.py:net", "--data", "raw.npz", "--range", "0,50", "--out", "b.safetensors").status == 0
    )


@pytest.fixture(scope="module")
def recorded(model, tmp_path_factory):
    """Return the file of a record on two samples."""
    from spikecert import dataset, load

    test = dataset("digits").test
    plan = Plan(Threat.of("linf", 0.01), (), ("interval",))
    found = measure("one", load(model), test.inputs[:2], test.labels[:2], plan)
    about = Data(name="digits", split="test", samples=2, classes=10, shape=(64,))
    return render(record([found], about, plan.threat), tmp_path_factory.mktemp("record") / "record.json")


@pytest.mark.parametrize(("arguments", "told"), CALLS, ids=[" ".join(call) for call, _ in CALLS])
def test_a_wrong_call_is_one_clear_line(run, model, recorded, tmp_path, monkeypatch, arguments, told):
    monkeypatch.chdir(tmp_path)
    places = {N: str(model), R: str(recorded)}
    outcome = run(*(places.get(item, item) for item in arguments))
    assert outcome.status == 2
    assert outcome.out == ""
    assert outcome.err.startswith("spikecert: ")
    assert outcome.err.count("\n") == 1
    assert len(outcome.err) < 1000
    assert told in outcome.err


def test_there_are_sixty():
    assert len({call for call, _ in (*CALLS, *ROLES)}) >= 60
