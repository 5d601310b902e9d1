"""What another package adds: the example of the documentation, used through every door; bad ones are refused."""

import json
import sys
import tomllib
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from spikecert import (
    attack,
    certified_radius,
    dataset,
    load_record,
    moves_at_most,
    output,
    output_range,
    quantize,
    verify,
)
from spikecert.asking import Threat
from spikecert.asking.threats import read_threat, write_threat
from spikecert.certify import LInf, SoundnessError
from spikecert.certify.perturbations.others import confirm_set
from spikecert.certify.problem import Problem
from spikecert.certify.questions.described import in_words, property_of
from spikecert.certify.verdicts import Unfinished, Verdict
from spikecert.certify.verifiers.plugged import _flips, confirm, planted, plugged_verifier
from spikecert.files.plugged import GROUPS, Plugged, is_plugged, plugged, reader_of
from spikecert.models import LIF, load
from spikecert.reports.pages.safety_case import safety_case
from spikecert.runs.building import neuron
from support.command_line import Outcome
from support.examples import by_night

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "plug_in"
Run = Callable[..., Outcome]


def installed(folder: Path, package: str, version: str, points: dict[str, dict[str, str]]) -> None:
    """Write what an installer writes of a package's entry points."""
    info = folder / f"{package}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    lines = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in names.items()) for group, names in points.items()]
    (info / "entry_points.txt").write_text("\n".join(lines))


@pytest.fixture(autouse=True)
def brightness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Install the example."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    site = tmp_path / "site"
    site.mkdir()
    installed(site, project["name"], project["version"], project["entry-points"])
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.syspath_prepend(str(EXAMPLE))
    for known in (plugged, plugged_verifier, confirm):
        known.cache_clear()
    yield import_module("brightness")
    sys.modules.pop("brightness", None)
    sys.modules.pop("bad", None)
    for known in (plugged, plugged_verifier, confirm):
        known.cache_clear()


@pytest.fixture
def digits(model: Path) -> tuple[Any, Tensor, Tensor]:
    network, inputs = load(model), dataset("digits").test.inputs[:12]
    return network, inputs, network(inputs).argmax(1)


def moves(sample: Tensor, most: float) -> Tensor:
    by = torch.linspace(-most, most, 401)[:, None]
    return (sample[None] + by).clamp(0, 1)


def asked(digits: tuple[Any, Tensor, Tensor], verifier: str) -> list[Any]:
    return verify(digits[0], digits[1], digits[2], LInf(0.01), verifier)


def test_it_has_all_that_can_be_added() -> None:
    points = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]["entry-points"]
    assert set(points) == {f"spikecert.{group}" for group in GROUPS}
    for group in ("sets", "verifiers", "attacks", "properties", "neurons", "chips"):
        (name,) = points[f"spikecert.{group}"]
        assert plugged(group, f"brightness:{name}").version == "0.3"
    assert reader_of(".weights") is not None
    assert reader_of(".nothing") is None


PIECES = "brightness:pieces"
VERIFIERS = ["auto", "interval", "trains", "linear", "complete", "enumeration", "gain", "lirpa", "milp", PIECES]
SAID = "a plug-in of the package brightness 0.3: what it says is that package's word"


@pytest.mark.parametrize("verifier", VERIFIERS)
@pytest.mark.parametrize("size", [0.1, *by_night(0.02, 0.3)])
def test_verdicts_about_its_set_are_true_of_each_move(brightness, digits, verifier: str, size: float) -> None:
    network, inputs, labels = digits
    found = verify(network, inputs, labels, brightness.Shifted(size), verifier, 3)
    for sample, label, verdict in zip(inputs, labels, found, strict=True):
        held = bool((network(moves(sample, size * (1 - 1e-5))).argmax(1) == label).all())
        assert held or verdict.status != "verified"
        if verdict.counterexample is not None:
            assert int(network(verdict.counterexample[None]).argmax()) != int(label)
    if verifier == PIECES:
        assert {verdict.verifier for verdict in found} <= {PIECES}
        proved = [verdict.reason for verdict in found if verdict.status == "verified"]
        assert all(SAID in one for one in proved)
        assert size > 0.1 or proved


def test_pieces_prove_what_one_box_does_not(brightness, digits) -> None:
    network, inputs, labels = digits
    alone, pieces = (
        sum(one.status == "verified" for one in verify(network, inputs, labels, brightness.Shifted(0.1), verifier))
        for verifier in ("trains", "brightness:pieces")
    )
    assert pieces >= alone


def test_every_verb_takes_them(brightness, digits) -> None:
    network, inputs, labels = digits
    found = attack(network, inputs, labels, brightness.Shifted(0.5), "brightness:ends")
    drawn = attack(network, inputs, labels, brightness.Shifted(0.5), "ensemble")
    for one in (found, drawn):
        assert bool(brightness.Shifted(0.5).contains(one.inputs, inputs).all())
        assert bool((network(one.inputs[one.success]).argmax(1) != labels[one.success]).all())
    assert bool(drawn.success.any())
    radii = certified_radius(network, inputs[:2], labels[:2], brightness.Shifts(), "brightness:pieces", 0.05)
    assert all(radius.lower <= radius.upper for radius in radii)
    assert output_range(network, inputs[:1], brightness.Shifted(0.05), output[0], timeout=2)
    chip = quantize(network, "brightness:small", bits=6)
    assert verify(chip, (inputs[:1] * 255).round().to(chip.dtype), labels[:1], LInf(1.0), "trains")


def test_a_neuron_trains_and_its_file_needs_no_plug_in(run: Run, brightness, tmp_path: Path) -> None:
    asked = "train", "--network", "mlp:8", "--epochs", "1", "--num-steps", "3", "--objective", "cross-entropy"
    done = run(*asked, "--neuron", "brightness:adapting", "--threshold", "0.5", "--out", tmp_path)
    assert done.status == 0, done.err
    network = load(tmp_path / "network.safetensors")
    (layer,) = [one for one in network.layers if isinstance(one, LIF)]
    assert type(layer).__module__.startswith("spikecert.")
    assert (layer.dynamics.threshold, layer.adaptation) == (0.5, 0.25)
    inputs = dataset("digits").test.inputs[:4]
    statuses = {one.status for one in verify(network, inputs, network(inputs).argmax(1), LInf(1e-4))}
    assert "verified" in statuses


@pytest.mark.parametrize(
    ("makes", "told"),
    [
        (lambda **_: 3, "network: got a layer of type int (brightness:adapting), expected one of"),
        (
            lambda **_: Mine(),
            "network: got a layer of type Mine (brightness:adapting) that runs",
        ),
    ],
    ids=["a number", "a class with a forward of its own"],
)
def test_a_neuron_that_is_none_is_refused_in_one_line(run: Run, brightness, tmp_path, monkeypatch, makes, told):
    monkeypatch.setattr(brightness, "adapting", makes)
    asked = "train", "--network", "mlp:8", "--epochs", "1", "--neuron", "brightness:adapting", "--out", tmp_path
    done = run(*asked)
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert told in done.err


class Mine(LIF):
    """A neuron whose run nobody knows."""

    def forward(self, *currents: Any, **how: Any) -> Any:
        """Return half of what it gets."""
        return currents[0] / 2


def test_records_pages_and_run_files_say_whose_word_it_is(run: Run, model: Path, tmp_path: Path) -> None:
    asked = ("--norm", "brightness:shift", "--set", "darker=no", "--epsilon", "0.05", "--samples", "6")
    done = run("certify", model, *asked, "--verifier", "trains,brightness:pieces", "--attack", "brightness:ends",
               "--out", tmp_path / "out")  # fmt: skip
    assert done.status in (0, 1), done.err
    assert "no gains" not in done.err
    record = load_record(tmp_path / "out" / "record.json")
    assert record.threat == Threat.of("brightness:shift", 0.05, darker="no")
    explained = run(
        "explain", tmp_path / "out" / "record.json", "--sample", "0", "--model", model, "--timeout", "2"
    )
    assert explained.status == 0, explained.err
    assert read_threat(json.loads(json.dumps(write_threat(record.threat)))) == record.threat
    assert "--norm brightness:shift" in record.command
    assert "--set darker=no" in record.command
    assert list(record.models[0].rows[0].verdicts) == ["trains", "brightness:pieces"]
    for page in ("report.html", "report.md"):
        text = (tmp_path / "out" / page).read_text(encoding="utf-8")
        assert "brightness:pieces" in text
        assert "a plug-in of the package brightness: what it says is that package" in text
        assert "all pixels may become brighter by one number" in text
        assert "the plug-ins brightness:pieces, brightness:shift, which nobody here checked" in text
        assert "Set brightness:shift" in text
    case = safety_case(record)
    assert "What these say is right: the plug-ins brightness:pieces, brightness:shift" in " ".join(
        case.assumptions
    )
    (tmp_path / "run.toml").write_text(
        f'data.samples = 6\nmodel.path = "{model}"\ngains = false\n[certify]\nverifiers = ["trains"]\n'
        '[threat]\nnorm = "brightness:shift"\ndarker = "no"\nepsilon = [0.05]\nproperty = "brightness:gap=3"\n'
    )
    assert run("run", tmp_path / "run.toml", "--out", tmp_path / "again").status in (0, 1)
    told = load_record(tmp_path / "again" / "record.json").threat
    assert (told.norm, told.asked) == ("brightness:shift", "brightness:gap=3")
    assert "a property of the package brightness" in (tmp_path / "again" / "report.md").read_text(encoding="utf-8")


def test_its_files_are_read_and_nothing_of_them_is_confirmed(run: Run, tmp_path: Path) -> None:
    weights = [torch.randn(8, 64).tolist(), torch.randn(10, 8).tolist()]
    (tmp_path / "mine.weights").write_text(json.dumps({"weights": weights, "decay": 0.5, "steps": 3}))
    done = run("certify", tmp_path / "mine.weights", "--samples", "2", "--verifier", "trains", "--json")
    assert "not confirmed by its source" in json.loads(done.out)["models"][0]["name"]
    assert "read by a plug-in of the package brightness 0.3" in done.err
    (tmp_path / "run.toml").write_text(
        'data.samples = 2\nmodel.path = "mine.weights"\ngains = false\ncertify.verifiers = ["trains"]\n'
        "[threat]\nepsilon = [0.01]\n"
    )
    assert run("run", tmp_path / "run.toml", "--out", tmp_path / "out").status in (0, 1)
    again = run("run", tmp_path / "out" / "record.json", "--out", tmp_path / "again")
    assert "the same results as before" in again.err
    assert "not confirmed by its source" in load_record(tmp_path / "again" / "record.json").models[0].name


def test_a_property_of_theirs_is_one() -> None:
    assert repr(property_of("brightness:gap=1/4")) == repr(property_of("abs(Y0 - Y1) <= 0.25"))
    assert in_words("brightness:gap=2").endswith("a property of the package brightness")


BAD = '''
import torch
from dataclasses import replace
from spikecert.asking import Threat
from spikecert.certify import Attack, LInf, Verdict
from spikecert.certify.verifiers import TRAINS, Verifier

class Believer(Verifier):
    name = "believer"
    def decide(self, problem):
        return [Verdict("verified", 1.0, None, self.name, 0.0, "surely")] * len(problem.labels)

class Strict(Verifier):
    """Sound, but for ties, which it takes as strict have it."""
    name = "rare"
    def decide(self, problem):
        wide = replace(problem, perturbation=problem.perturbation)
        found = TRAINS.decide(wide)
        return [replace(one, status="verified", margin=1.0) if (one.margin or 0) > -0.5 else one for one in found]

class Failing(Verifier):
    name = "failing"
    def decide(self, problem):
        raise RuntimeError("no\\nidea")

class Leaving(Verifier):
    name = "leaving"
    def decide(self, problem):
        raise SystemExit

class Wide(Verifier):
    name, asks_rows = "wide", True
    def decide(self, problem):
        said = "verified" if problem.inputs[0].numel() > 32 else "unknown"
        return [Verdict(said, 1.0 if said == "verified" else None, None, self.name, 0.0, "")] * len(problem.labels)

class Together(Verifier):
    name = "together"
    def decide(self, problem):
        said = "verified" if len(problem.labels) > 1 else "unknown"
        return [Verdict(said, 1.0 if said == "verified" else None, None, self.name, 0.0, "")] * len(problem.labels)

class OfRows(Verifier):
    name, asks_rows = "ofrows", True
    def decide(self, problem):
        said = "unknown" if problem.rows is None else "verified"
        return [Verdict(said, 1.0 if said == "verified" else None, None, self.name, 0.0, "")] * len(problem.labels)

class Ending(Attack):
    name = "ending"
    def propose(self, target, generator):
        raise SystemExit
        yield

class Short(Verifier):
    name = "short"
    def decide(self, problem):
        return []

class Worded(Verifier):
    name = "worded"
    def decide(self, problem):
        return ["verified"] * len(problem.labels)

class Single(Verifier):
    name = "single"
    def decide(self, problem):
        return tuple(TRAINS.decide(problem))

class Liar(Verifier):
    name = "liar"
    def decide(self, problem):
        x = problem.inputs
        return [Verdict("falsified", None, x[k] + 1, self.name, 0.0, "see") for k in range(len(x))]

class Trusting(Attack):
    name = "trusting"
    def __call__(self, *given, **rest):
        return None
    def propose(self, target, generator):
        yield target.inputs

class Training(Attack):
    name = "training"
    by_gradient = False
    def propose(self, target, generator):
        with torch.no_grad():
            MOVED[0][0] += 1
        yield target.inputs

class Tuning(Verifier):
    name = "tuning"
    def decide(self, problem):
        if len(problem.labels) > 1:
            problem.network.layers[0].weight.data.zero_()
        return [Verdict("unknown", None, None, self.name, 0.0, "")] * len(problem.labels)

MOVED = []

class Misnamed(Threat):
    norm = "linf"

class Leaking(LInf):
    def sample(self, inputs, generator):
        return inputs + 2 * self.epsilon

def broken():
    raise KeyError("x")
'''
POINTS = {
    "spikecert.verifiers": {
        name.lower(): f"bad:{name}"
        for name in (
            "Believer",
            "Strict",
            "Failing",
            "Short",
            "Worded",
            "Single",
            "Liar",
            "Tuning",
            "Leaving",
            "Wide",
            "Together",
            "OfRows",
        )
    }
    | {"gone": "nowhere:x", "number": "bad:LInf"},
    "spikecert.attacks": {
        "trusting": "bad:Trusting",
        "training": "bad:Training",
        "broken": "bad:broken",
        "ending": "bad:Ending",
    },
    "spikecert.sets": {"misnamed": "bad:Misnamed"},
    "spikecert.properties": {"broken": "bad:torch.tensor", "failing": "bad:broken"},
    "spikecert.neurons": {"failing": "bad:broken"},
    "spikecert.readers": {"weights": "bad:broken", "odd": "bad:broken"},
    "spikecert.chips": {"none": "bad:broken"},
}


@pytest.fixture
def bad(tmp_path: Path) -> Any:
    site = tmp_path / "site"
    (site / "bad.py").write_text(BAD)
    installed(site, "Bad.Package", "1.0", POINTS)
    return import_module("bad")


@pytest.mark.usefixtures("bad")
@pytest.mark.parametrize("name", ["believer", "strict", "together", "ofrows"])
def test_a_false_verified_is_found_before_it_counts(digits, name: str) -> None:
    with pytest.raises(
        ValueError, match=f"got 'verified' by bad-package:{name} of .*, which holds a counterexample"
    ):
        asked(digits, f"bad-package:{name}")


@pytest.mark.usefixtures("bad")
def test_what_fails_or_lies_proves_and_breaks_nothing(digits) -> None:
    failed = asked(digits, "bad-package:failing")
    assert {(one.status, one.reason) for one in failed} == {("unknown", "it failed: RuntimeError: no idea")}
    assert {one.status for one in asked(digits, "bad-package:liar")} == {"unknown"}
    assert {one.reason for one in asked(digits, "bad-package:leaving")} == {"it failed: SystemExit:"}
    for name in ("short", "worded", "single"):
        with pytest.raises(TypeError, match=f"bad-package:{name} gave no list of"):
            asked(digits, f"bad-package:{name}")


@pytest.mark.usefixtures("bad")
@pytest.mark.parametrize(("call", "message"), [
    (lambda d: asked(d, "mine:pieces"), "verifiers: got 'mine:pieces', expected .*brightness:pieces"),
    (lambda d: asked(d, "bad-package:gone"), "bad-package:gone can't be imported: Module"),
    (lambda d: asked(d, "bad-package:number"), "LInf|epsilon|missing"),
    (lambda d: attack(d[0], d[1], d[2], LInf(0.1), "bad-package:trusting"), "bad-package:trusting is Trusting"),
    (lambda d: Threat.of("bad-package:misnamed", 1), "norm: got 'bad-package:misnamed', expected a dataclass of"),
    (lambda d: Threat.of("bad-package:none", 1), "norm: got 'bad-package:none', expected what an installed"),
    (lambda d: property_of("bad-package:broken=3"), "is Tensor, expected what makes a spikecert Property"),
    (lambda d: quantize(d[0], "bad-package:none"), "bad-package:none: its code failed: KeyError: 'x'"),
    (lambda d: property_of("bad-package:failing"), "bad-package:failing: its code failed: KeyError: 'x'"),
    (lambda d: attack(d[0], d[1], d[2], LInf(0.1), "bad-package:broken"), "broken: its code failed: KeyError"),
    (lambda d: attack(d[0], d[1], d[2], LInf(0.1), "bad-package:ending"), "ending: its code failed: SystemExit"),
    (lambda d: neuron("bad-package:failing", 3, 0.9, 1.0, "zero"), "failing: its code failed: TypeError: broken"),
    (lambda d: reader_of(".weights"), "readers: got .weights, which the packages"),
])  # fmt: skip
def test_what_is_none_is_one_line(digits, call: Callable[[Any], object], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message) as refused:
        call(digits)
    assert "\n" not in str(refused.value)


@pytest.mark.usefixtures("bad")
@pytest.mark.parametrize("labelled", [True, False])
def test_a_false_verified_that_planted_flips_do_not_find_is_refuted_by_runs(digits, labelled: bool) -> None:
    network, inputs, labels = digits
    prop = labels if labelled else moves_at_most(0.001)
    with pytest.raises(SoundnessError, match="bad-package:wide says 'verified' of a set in which"):
        verify(network, inputs, prop, LInf(0.3), "bad-package:wide")


@pytest.mark.parametrize("what", ["the network", "the samples", "by a verifier"])
def test_what_changes_the_network_or_the_samples_counts_for_nothing(bad, digits, what: str) -> None:
    network, inputs, labels = digits
    bad.MOVED[:] = [network.layers[0].weight if what == "the network" else inputs]
    by_attack = partial(attack, network, inputs, labels, LInf(0.1), "bad-package:training")
    ask = partial(asked, digits, "bad-package:tuning") if what == "by a verifier" else by_attack
    with pytest.raises(ValueError, match=r"bad-package:\w+ changed the network or the samples"):
        ask()
    _flips.cache_clear()  # whose network it changed


def test_a_set_that_breaks_its_promise_is_refused(bad, digits) -> None:
    with pytest.raises(ValueError, match="got Leaking, whose `contains` leaves an input that it gives"):
        verify(digits[0], digits[1], digits[2], bad.Leaking(0.01), "trains")
    confirm_set(LInf(0.1), digits[1])


@pytest.mark.parametrize("fails", ["RuntimeError", "KeyError", "AssertionError"])
def test_a_set_whose_code_fails_is_one_line(run: Run, brightness, model: Path, fails: str) -> None:
    exec(f"def check(self, inputs): raise {fails}('no\\nidea')", vars(brightness))
    brightness.Shifted.check = brightness.check
    done = run("certify", model, "--norm", "brightness:shift", "--epsilon", "0.05", "--samples", "2")
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert done.err.startswith(f"spikecert: the plug-in of the package brightness failed: {fails}: ")


def test_what_is_installed_is_listed_and_not_imported(run: Run) -> None:
    sys.modules.pop("brightness")
    done = run("doctor", "--json")
    told = {row["name"]: row["told"] for row in json.loads(done.out) if row["topic"] == "plug-ins"}
    assert told["brightness:shift"] == "0.3, of sets; not looked into until it is used"
    assert len(told) == len(GROUPS)
    assert "brightness" not in sys.modules


@pytest.mark.usefixtures("bad")
def test_what_ctrl_c_leaves_unattacked_is_not_verified(digits, monkeypatch) -> None:
    confirm("brightness:pieces")
    verifier = plugged_verifier("brightness:pieces")
    known = (
        Verdict("verified", 1.0, None, "pieces", 0.0, ""),
        Verdict("unknown", None, None, "pieces", 0.0, "open"),
    )

    def stopped(_: object) -> None:
        raise Unfinished(known)

    monkeypatch.setattr(verifier.inner, "decide", stopped)
    problem = Problem(digits[0], digits[1][:2], digits[2][:2], LInf(0.01))
    with pytest.raises(Unfinished) as left:
        verifier.decide(problem)
    assert [one.status for one in left.value.verdicts] == ["unknown", "unknown"]
    assert {one.verifier for one in left.value.verdicts} == {"brightness:pieces"}


@pytest.mark.usefixtures("bad")
def test_a_reader_that_fails_is_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "x.odd").write_text("")
    done = run("certify", tmp_path / "x.odd")
    assert (done.status, done.err.count("\n")) == (2, 1)


def test_planted_flips_are_flips() -> None:
    found = list(planted())
    assert len(found) >= 40
    assert {flip.network.dtype for flip in found} == {torch.float32, torch.float64}
    assert {flip.network.readout for flip in found} == {"mean", "largest"}
    assert {len(flip.network.layers) for flip in found} == {3, 5}
    assert {type(flip.perturbation).__name__ for flip in found} == {"LInf", "L2", "SpikeFlip"}
    for flip in found:
        inside = flip.perturbation.contains(flip.counterexample[None], flip.sample[None])
        outputs = flip.network(flip.counterexample[None])[0]
        assert bool(inside)
        assert int(outputs.argmax()) != int(flip.label) or flip.ties == "strict"
    for verifier in ("trains", "linear", "complete"):
        for flip in found[::3]:
            assert verify(flip.network, flip.sample[None], flip.label[None], flip.perturbation, verifier, 2,
                          ties=flip.ties)[0].status != "verified"  # fmt: skip


def test_names_of_others_have_a_colon() -> None:
    assert is_plugged("a:b")
    assert not is_plugged("trains")
    assert Plugged(None, "a:b", "a", "1").does.startswith("a plug-in of the package a 1")
