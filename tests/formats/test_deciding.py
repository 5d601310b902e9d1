"""Properties of real networks: what holds is proven, what is violated replays, and ties count.

The competition's three scripts, on a set made for the test, in the environment that the tests run in.
"""

import os
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from unittest.mock import patch

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from spikecert import save
from spikecert.certify import PixelBox, verify
from spikecert.certify.verifiers import Milp
from spikecert.formats import (
    Constraint,
    PropertyCase,
    PropertyVerdict,
    VnnlibProperty,
    competition_result,
    read_counterexample,
    read_vnnlib,
    robustness,
    verify_property,
    write_onnx,
    write_vnnlib,
)
from spikecert.formats.deciding import InputBox
from spikecert.models import LIF, SpikingNetwork, mlp
from spikecert.testing import Case, cases
from support.examples import examples

from .conftest import small


def fractions(values: Tensor) -> tuple[Fraction, ...]:
    return tuple(map(Fraction, values.flatten().tolist()))


Unsafe = tuple[tuple[Constraint, ...], ...]


def asking(network: SpikingNetwork, low: Tensor, high: Tensor, unsafe: Unsafe) -> VnnlibProperty:
    with torch.no_grad():
        classes = network(low[None]).shape[1]
    return VnnlibProperty(tuple(low.shape), (classes,), (PropertyCase(fractions(low), fractions(high), unsafe),))


def at_most(bound: float, **coefficients: float) -> Constraint:
    """Return Σ coefficient·Y_j ≤ bound, with outputs named Y0, Y1, …"""
    pairs = sorted((int(name[1:]), Fraction(factor)) for name, factor in coefficients.items())
    return Constraint(tuple(pairs), Fraction(bound))


def grid(low: Tensor, high: Tensor, count: int = 40) -> Tensor:
    share = torch.linspace(0, 1, count)
    points = torch.cartesian_prod(*(a + (b - a) * share for a, b in zip(low, high, strict=True)))
    return points.reshape(-1, len(low)).clamp(low, high)


def check(network: SpikingNetwork, prop: VnnlibProperty, found: PropertyVerdict, points: Tensor) -> None:
    """Hold a verdict against the outputs at points of the box."""
    with torch.no_grad():
        outputs = network(points)
    met = any(prop.violated(fractions(x), fractions(y)) for x, y in zip(points, outputs, strict=True))
    assert found.status != "holds" or not met
    if found.status == "violated":
        assert found.counterexample is not None
        assert found.outputs is not None
        with torch.no_grad():
            assert torch.equal(network(found.counterexample[None])[0], found.outputs)
        assert prop.violated(fractions(found.counterexample), fractions(found.outputs))


@pytest.mark.parametrize("verifier", ["auto", "trains", "milp"])
def test_robustness_agrees_with_verify(network: SpikingNetwork, verifier: str):
    inputs = torch.rand(12, 2, generator=torch.Generator().manual_seed(0)) * 0.8 + 0.1
    with torch.no_grad():
        labels = network(inputs).argmax(1)
    words = {"verified": "holds", "falsified": "violated", "unknown": "unknown"}
    radius = torch.tensor([0.0625, 0.03125])
    seen = set()
    for sample, label in zip(inputs, labels, strict=True):
        low, high = sample - radius, sample + radius
        found = verify_property(network, robustness(low, high, int(label), 3), verifier)
        middle = InputBox(fractions(low), fractions(high), (2,)).middle(torch.float32)
        (direct,) = verify(network, middle[None], label[None], PixelBox((high - low) / 2 + 1e-7), verifier)
        assert words[direct.status] in (found.status, "unknown") or found.status == "unknown"
        check(network, robustness(low, high, int(label), 3), found, grid(low, high))
        seen.add(found.status)
    assert {"holds", "violated"} <= seen or verifier == "trains"


@examples(60)
@given(
    seed=st.integers(0, 1000),
    bound=st.sampled_from([-0.5, 0.0, 0.1, 1.0]),
    factors=st.tuples(*[st.sampled_from([-1.0, 0.1, 0.5, 2.0])] * 3),
    joint=st.booleans(),
)
def test_linear_constraints_agree_with_points(seed: int, bound: float, factors: tuple[float, ...], joint: bool):
    network = small()
    low = torch.rand(2, generator=torch.Generator().manual_seed(seed)) * 0.9
    high = low + 0.05
    one = at_most(bound, Y0=factors[0], Y1=factors[1])
    other = at_most(-bound, Y1=factors[1], Y2=factors[2])
    prop = asking(network, low, high, ((one, other),) if joint else ((one,), (other,)))
    found = verify_property(network, prop, "trains")
    check(network, prop, found, grid(low, high, 15))


def test_conjunctions_are_decided_together(network: SpikingNetwork):
    """Neither constraint of the pair fails on the whole box alone, and yet they never meet."""
    low, high = torch.zeros(2), torch.ones(2)
    points = grid(low, high)
    with torch.no_grad():
        outputs = network(points)
    middle = float((outputs[:, 0].min() + outputs[:, 0].max()) / 2)
    apart = (at_most(middle - 0.05, Y0=1.0), at_most(-middle - 0.05, Y0=-1.0))
    prop = asking(network, low, high, (apart,))
    assert all(any(constraint.holds(fractions(y)) for y in outputs) for constraint in apart)
    assert verify_property(network, prop, "milp").status == "holds"


def test_a_tie_is_a_violation_unless_strict():
    network = mlp((1, 1, 2), 2, LIF())
    last = network.layers[-1]
    assert isinstance(last, torch.nn.Linear)
    last.weight.data.zero_()
    last.bias.data = torch.tensor([0.5, 0.5])
    low, high = torch.zeros(1), torch.ones(1)
    tie = Constraint(((0, Fraction(1)), (1, Fraction(-1))), Fraction(0))
    strict = Constraint(tie.coefficients, tie.bound, strict=True)
    assert verify_property(network, asking(network, low, high, ((tie,),))).status == "violated"
    assert verify_property(network, asking(network, low, high, ((strict,),))).status == "holds"  # halves are exact
    last.bias.data = torch.tensor([0.1, 0.1])
    assert verify_property(network, asking(network, low, high, ((strict,),))).status == "unknown"


def test_coefficients_that_float32_does_not_hold_are_never_lowered():
    """Y_0 = 0.3 in float32 lies above 3/10, so 'Y_0 ≤ 3/10' is unsafe nowhere, though rounding makes it a tie."""
    network = mlp((1, 1, 1), 2, LIF())
    last = network.layers[-1]
    assert isinstance(last, torch.nn.Linear)
    last.weight.data.zero_()
    last.bias.data = torch.tensor([0.3])
    low, high = torch.zeros(1), torch.ones(1)
    above = asking(network, low, high, ((Constraint(((0, Fraction(1)),), Fraction(3, 10)),),))
    assert verify_property(network, above).status == "unknown"
    third = asking(network, low, high, ((Constraint(((0, Fraction(1, 3)),), Fraction(1, 11)),),))
    assert verify_property(network, third).status == "holds"
    tenth = asking(network, low, high, ((Constraint(((0, Fraction(1, 3)),), Fraction(1, 9)),),))
    assert verify_property(network, tenth).status == "violated"


@examples(40)
@given(case=cases(most_layers=2, most_width=4, most_steps=3))
def test_any_network_and_encoding(case: Case):
    sample, label = case.inputs[0], int(case.labels[0])
    low, high = (sample - case.epsilon).clamp(0, 1), (sample + case.epsilon).clamp(0, 1)
    with torch.no_grad():
        classes = case.network(sample[None]).shape[1]
    prop = robustness(low, high, label, classes)
    found = verify_property(case.network, prop, "trains")
    points = torch.stack([sample, low, high])
    check(case.network, prop, found, points)


def test_several_cases_are_all_decided(network: SpikingNetwork):
    safe = asking(network, torch.zeros(2), torch.ones(2) * 0.1, ((at_most(-1e3, Y0=1.0),),))
    unsafe = asking(network, torch.zeros(2), torch.ones(2) * 0.1, ((at_most(1e3, Y0=1.0),),))
    both = VnnlibProperty(safe.input_shape, safe.output_shape, safe.cases + unsafe.cases)
    assert verify_property(network, safe).status == "holds"
    assert verify_property(network, both).status == "violated"
    assert verify_property(network, VnnlibProperty((2,), (3,), ())).status == "holds"


def test_the_time_is_kept():
    torch.manual_seed(0)
    network = mlp((64, 48, 48, 10), 8, LIF(decay=0.9))
    prop = robustness(torch.full((64,), 0.1), torch.full((64,), 0.9), 0, 10)
    with torch.no_grad():
        label = int(network(torch.full((1, 64), 0.5)).argmax())
    prop = robustness(torch.full((64,), 0.4), torch.full((64,), 0.6), label, 10)
    found = verify_property(network, prop, Milp(), timeout=0.5)
    assert found.status in ("timeout", "violated")
    assert found.seconds < 10


def test_a_final_potential_is_asked_anything_by_verifiers_of_properties():
    torch.manual_seed(0)
    final = LIF(decay=0.9, reset="none")
    network = SpikingNetwork(
        torch.nn.Linear(2, 5), LIF(threshold=0.2), torch.nn.Linear(5, 3), final, num_steps=3, readout="potential"
    )
    low, high = torch.full((2,), 0.5), torch.full((2,), 0.5)
    with torch.no_grad():
        label = int(network(low[None]).argmax())
    assert verify_property(network, robustness(low, high, label, 3)).status == "holds"
    prop = asking(network, low, high, ((at_most(-99.0, Y0=1.0),),))
    assert verify_property(network, prop).status == "holds"
    found = verify_property(network, prop, "gain")
    assert found.status == "unknown"
    assert "potential" in found.reason


@examples(60)
@given(
    seed=st.integers(0, 1000),
    bound=st.sampled_from([-0.5, 0.0, 0.1, 0.5]),
    factors=st.tuples(*[st.sampled_from([-1.0, 0.1, 0.5, 2.0])] * 2),
)
def test_constraints_of_inputs_and_outputs_agree_with_points(seed: int, bound: float, factors: tuple[float, ...]):
    """X_1 and Y_0 in one row: read, written, read again, and held against points."""
    network = small()
    low = torch.rand(2, generator=torch.Generator().manual_seed(seed)) * 0.9
    high = low + 0.05
    row = Constraint(((0, Fraction(factors[0])),), Fraction(bound), False, ((1, Fraction(factors[1])),))
    prop = asking(network, low, high, ((row,),))
    again = read_vnnlib(write_vnnlib(prop))
    assert again.cases == prop.cases
    for verifier in ("trains", "complete"):
        check(network, prop, verify_property(network, again, verifier), grid(low, high, 15))
    with pytest.raises(ValueError, match="cases: got an input beyond"):
        asking(network, low, high, ((replace(row, inputs=((7, Fraction(1)),)),),))


@pytest.mark.parametrize("legacy", [False, True])
def test_results_replay(network: SpikingNetwork, legacy: bool):
    prop = asking(network, torch.zeros(2), torch.ones(2), ((at_most(1e3, Y0=1.0),),))
    text = competition_result(verify_property(network, prop), legacy)
    assert text.splitlines()[0] == ("sat" if legacy else "violated")
    found = read_counterexample(text)
    assert found is not None
    with torch.no_grad():
        outputs = network(torch.tensor([found[0]]))
    assert outputs[0].tolist() == found[1]
    assert read_vnnlib(write_vnnlib(prop)).violated(tuple(map(Fraction, found[0])), tuple(map(Fraction, found[1])))


def test_results_without_a_counterexample():
    verdict = PropertyVerdict("holds", None, None, "trains", 0.0, "")
    assert competition_result(verdict) == "holds\n"
    assert competition_result(verdict, legacy=True) == "unsat\n"
    assert read_counterexample("unsat\n") is None


def test_half_a_counterexample_is_none():
    """Of what is only unknown a point may be at hand, without what the network says of it."""
    verdict = PropertyVerdict("unknown", torch.zeros(2), None, "trains", 0.0, "")
    assert competition_result(verdict) == "unknown\n"


@pytest.mark.parametrize(
    "text",
    [
        "maybe\n",
        "sat\n((X_0 1)",
        "sat\n((X_0 a))",
        "sat\n((X_1 1))",
        "sat\nX_0",
        "sat\n((X_0 1 2))",
        "sat\nX real [1]\n1",
        "sat\nX real [2]\n1\nY real [1]\n1",
        "sat\nX real [1]\nnan\nY real [1]\n1",
    ],
)
def test_malformed_results_are_refused(text: str):
    with pytest.raises(ValueError, match=r"^(result|text)"):
        read_counterexample(text)


def test_arguments_that_do_not_fit_are_refused(network: SpikingNetwork):
    prop = robustness(torch.zeros(2), torch.ones(2), 0, 3)
    with pytest.raises(ValueError, match=r"timeout: got -1"):
        verify_property(network, prop, timeout=-1)
    with pytest.raises(ValueError, match=r"verifier: got 'magic'"):
        verify_property(network, prop, "magic")
    with pytest.raises(ValueError, match=r"prop: got 3 inputs, expected the network's 2"):
        verify_property(network, robustness(torch.zeros(3), torch.ones(3), 0, 3))
    with pytest.raises(ValueError, match=r"prop: got 4 outputs, expected the network's 3"):
        verify_property(network, robustness(torch.zeros(2), torch.ones(2), 0, 4))
    with pytest.raises(ValueError, match="status"):
        PropertyVerdict("proved", None, None, "", 0.0, "")
    with pytest.raises(ValueError, match="counterexample"):
        PropertyVerdict("violated", None, None, "", 0.0, "")


class TestInputBox:
    ends = st.fractions(-10, 10, max_denominator=10**9)

    @examples(800)
    @given(one=ends, other=ends, dtype=st.sampled_from([torch.float32, torch.float64]))
    def test_rounds_inward_for_candidates_and_outward_for_proofs(self, one, other, dtype):
        low, high = min(one, other), max(one, other)
        box = InputBox((low,), (high,), (1,))
        sample = box.middle(dtype)[None]
        inner, outer = box.limits(sample), box.enclosure(sample)
        assert bool(box.contains(sample, sample).all())
        assert Fraction(float(outer.lower)) <= low
        assert high <= Fraction(float(outer.upper))
        assert float(outer.lower) <= float(inner[0])
        assert float(inner[1]) <= float(outer.upper)
        if high - low > Fraction(1, 10**5):
            assert low <= Fraction(float(inner[0])) <= Fraction(float(inner[1])) <= high

    def test_a_box_without_floats_stands_for_the_nearest(self):
        box = InputBox((Fraction(1, 3),), (Fraction(1, 3),), (1,))
        middle = box.middle(torch.float32)
        assert float(middle) == float(torch.tensor(1 / 3))
        assert float(box.enclosure(middle[None]).upper) >= 1 / 3

    def test_ends_that_do_not_fit_are_refused(self):
        with pytest.raises(ValueError, match="shape"):
            InputBox((Fraction(0),), (Fraction(1),), (2,))
        with pytest.raises(ValueError, match="beyond float64"):
            InputBox((Fraction(0),), (Fraction(10) ** 400,), (1,))


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_images_take_the_convolutions_shape(version: str):
    torch.manual_seed(0)
    layers = (torch.nn.Conv2d(1, 2, 3), LIF(decay=0.9, threshold=0.2), torch.nn.Flatten(), torch.nn.Linear(8, 2))
    network = SpikingNetwork(*layers, num_steps=3)
    image = torch.rand(1, 4, 4)
    with torch.no_grad():
        label = int(network(image[None]).argmax())
    prop = read_vnnlib(write_vnnlib(robustness(image, image, 1 - label, 2), version))
    found = verify_property(network, prop)
    assert found.counterexample is not None
    assert torch.equal(found.counterexample, image)


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("channels", [1, 2])
def test_sequences_take_the_convolutions_shape(version: str, channels: int):
    torch.manual_seed(0)
    layers = (torch.nn.Conv1d(channels, 2, 3), LIF(0.9, 0.2), torch.nn.Flatten(), torch.nn.Linear(8, 2))
    network = SpikingNetwork(*layers, num_steps=3)
    sequence = torch.rand(channels, 6)
    with torch.no_grad():
        label = int(network(sequence[None]).argmax())
    prop = read_vnnlib(write_vnnlib(robustness(sequence, sequence, 1 - label, 2), version))
    found = verify_property(network, prop)
    assert found.counterexample is not None
    assert torch.equal(found.counterexample, sequence)


def test_limits_are_made_once_and_nobody_changes_them():
    """Attacks ask for them at every step."""
    box = InputBox((Fraction(1, 3), Fraction(0)), (Fraction(2, 3), Fraction(1, 10**30)), (2,))
    first = [end.clone() for end in box.limits(torch.zeros(1, 2))]
    for end in box.limits(torch.zeros(1, 2)):
        end.zero_()
    again = box.limits(torch.zeros(3, 2))
    assert all(torch.equal(one.expand(3, 2), two) for one, two in zip(first, again, strict=True))
    assert all(end.dtype == torch.float64 for end in box.limits(torch.zeros(1, 2, dtype=torch.float64)))
    with patch.object(InputBox, "_rounded_inward", side_effect=AssertionError):
        box.limits(torch.zeros(1, 2))


ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "benchmarks" / "vnncomp" / "tool"


def script(name: str, *arguments: object) -> int:
    """Return the status of one of the scripts."""
    environment = {**os.environ, "SPIKECERT_ENV": str(Path(sys.executable).parents[1])}
    command = [str(SCRIPTS / name), *map(str, arguments)]
    return subprocess.run(command, env=environment, check=False, capture_output=True).returncode


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a network, and properties that hold and that are violated."""
    path = tmp_path_factory.mktemp("set")
    network = small()
    save(network, path / "net.safetensors")
    (path / "net.onnx").write_bytes(write_onnx(network, (2,)))
    sample = torch.tensor([[0.5, 0.5]])
    with torch.no_grad():
        label = int(network(sample).argmax())
    for name, asked in (("safe", label), ("unsafe", (label + 1) % 3)):
        text = write_vnnlib(robustness(sample, sample + 2**-9, asked, 3), "2.0")
        (path / f"{name}.vnnlib").write_text(text, encoding="utf-8")
    return path


def decided(folder: Path, network: object, name: str, seconds: float = 60) -> str:
    """Return the result file's text."""
    results = folder / "results.txt"
    results.write_text("unsat\n", encoding="utf-8")  # of the instance before
    place = folder / f"{name}.vnnlib"
    assert script("run_instance.sh", "v1", "spiking", network, place, results, seconds) == 0
    return results.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_scripts_decide_instances(folder: Path) -> None:
    network = folder / "net.onnx"
    assert script("install_tool.sh", "v1") == 0
    assert script("prepare_instance.sh", "v1", "spiking", network, folder / "safe.vnnlib") == 0
    assert decided(folder, network, "safe") == "unsat\n"
    text = decided(folder, f"[('network', '{network}')]", "unsafe")
    assert text.startswith("sat\nX float32 [1,2]\n")
    found = read_counterexample(text)
    assert found is not None
    session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
    (outputs,) = np.asarray(session.run(["Y"], {"X": torch.tensor([found[0]]).numpy()})[0])
    prop = read_vnnlib(folder / "unsafe.vnnlib")
    assert prop.violated([*map(Fraction, found[0])], [*map(Fraction, outputs.tolist())])


@pytest.mark.slow
def test_what_is_not_known_is_never_unsat(folder: Path, tmp_path: Path) -> None:
    foreign, broken = tmp_path / "net.onnx", folder / "broken.vnnlib"
    foreign.write_bytes((folder / "net.onnx").read_bytes())  # the same, but its network does not lie beside it
    broken.write_text("(assert", encoding="utf-8")
    for network, name in ((foreign, "safe"), (folder / "net.onnx", "broken")):
        assert script("prepare_instance.sh", "v1", "spiking", network, folder / f"{name}.vnnlib") != 0
        assert decided(folder, network, name) == "unknown\n"
    several = f"[('f', '{folder / 'net.onnx'}'), ('g', '{folder / 'net.onnx'}')]"
    assert decided(folder, several, "safe") == "unknown\n"
    assert decided(folder, folder / "net.onnx", "safe", 0.2) == "timeout\n"


@pytest.mark.parametrize("name", ["install_tool.sh", "prepare_instance.sh", "run_instance.sh"])
def test_another_version_of_the_rules_is_refused(name: str, tmp_path: Path) -> None:
    assert script(name, "v2", "spiking", "net.onnx", "p.vnnlib", tmp_path / "results.txt", "10") == 1
    assert not (tmp_path / "results.txt").exists()
