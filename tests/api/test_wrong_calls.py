"""Forty wrong calls: one clear line each, that names what was typed, and status 2."""

import pytest

from spikecert.reports import Data, Plan, Threat, measure, record, render

N, R = "NETWORK", "RECORD"
CALLS = [
    (("certfy", N), "No such command 'certfy'. Did you mean 'certify'"),
    (("certify",), "Missing argument 'MODEL'"),
    (("certify", "nothing.safetensors"), "got nothing.safetensors"),
    (("certify", R), "record.json is not a complete safetensors file"),
    (("certify", N, "--epsilon", "abc"), "epsilon: got 'abc', expected a number or a fraction such as 8/255"),
    (("certify", N, "--epsilon", "-1"), "epsilon: got -1, expected numbers above 0"),
    (("certify", N, "--epsilon", "1/0"), "epsilon: got '1/0'"),
    (("certify", N, "--norm", "l7"), "norm: got 'l7', expected one of linf, l2"),
    (("certify", N, "--verifier", "magic"), "verifier: got 'magic', expected one of interval"),
    (("certify", N, "--attack", "magic"), "attack: got 'magic', expected one of fgsm"),
    (("certify", N, "--data", "nope"), "got 'nope', expected one of digits"),
    (("certify", N, "--data", "mnist"), "mnist needs the file train-images"),
    (("certify", N, "--data", "mine.npz"), "got mine.npz, no such file, expected an .npz archive"),
    (("certify", N, "--data", "mine.py"), "data: got mine.py, expected mine.py:function"),
    (("certify", N, "--data", "mine.py:f"), "got mine.py, no such file, expected a Python file"),
    (("certify", N, "--samples", "0"), "'--samples'"),
    (("certify", N, "--samples", "99999"), "samples: got 99999, expected at most the split's 300"),
    (("certify", N, "--timeout", "-1"), "timeout: got -1"),
    (("certify", N, "--ties", "maybe"), "ties: got 'maybe', expected one of argmax, strict"),
    (("certify", N, "--device", "tpu"), "device: got 'tpu'"),
    (("certify", N, "--require-certified", "3"), "require-certified: got '3', expected a share from 0 to 1"),
    (("certify", N, "--engine", "magic"), "engine: got 'magic', expected one of local, ray"),
    (("certify", N, "--ray-address", "auto"), "ray-address: got 'auto' without --engine ray"),
    (("certify", N, "--radii", "--tolerance", "0"), "tolerance: got 0"),
    (("certify", N, "--seed", "-1"), "'--seed'"),
    (("attack", N, "--method", "magic"), "method: got 'magic', expected one of fgsm"),
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
    (("compare", R), "Missing argument 'AFTER'"),
    (("convert", "mine.py", "--out", "x.safetensors"), "got mine.py, expected mine.py:name"),
    (("convert", "nothing.nir", "--out", "x.safetensors"), "nothing.nir"),
    (("train", "--network", "magic", "--out", "x"), "got 'magic'"),
    (("train", "--objective", "magic", "--out", "x"), "objective: got 'magic'"),
    (("run", "nothing.toml"), "got nothing.toml, no such file, expected a TOML file or a record"),
    (("reproduce", "magic"), "protocol: got 'magic', expected one of"),
    (("zoo", "magic"), "magic"),
    (("check-proof", "/nowhere"), "Missing option '--model'"),
    (("vnnlib", N), "Missing argument 'PROPERTY'"),
]


@pytest.fixture(scope="module")
def recorded(model, tmp_path_factory):
    """Return the file of a record on two samples."""
    from spikecert import dataset, load

    test = dataset("digits").test
    plan = Plan(Threat(norm="linf", lower=0, upper=1, epsilons=(0.01,)), (), ("interval",))
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


def test_there_are_forty():
    assert len({call for call, _ in CALLS}) >= 40
