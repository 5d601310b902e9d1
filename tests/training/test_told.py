"""Where the one-sided gradient of L_MS points, and the size of currents, against closed forms.

The picture of a run: well-formed, one point an epoch, inside its panels, whatever the numbers are.

docs/training.md: its code runs, what it claims holds, and its table knows every objective.

Where numbers first were not finite: a current, a potential, or nowhere.
"""

import ast
import math
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import spikecert
from spikecert.models import LIF, SpikingNetwork, mlp
from spikecert.training import MSMPPD, Dataset, EpochMetrics, TrainingRun, objectives
from spikecert.training.journal import BOTTOM, TOP, picture
from spikecert.training.objectives.plain_losses import alignment, rms_current
from spikecert.training.perturbations import Perturber
from spikecert.training.steps import origin
from support.examples import examples


@dataclass(frozen=True)
class Shrink(Perturber):
    """x̃ = factor·x."""

    factor: float

    def perturb(
        self, network: SpikingNetwork, inputs: Tensor, labels: Tensor, generator: torch.Generator | None
    ) -> Tensor:
        return self.factor * inputs


def network(batch_norm: bool = False) -> SpikingNetwork:
    torch.manual_seed(0)
    first: list[nn.Module] = [nn.Linear(3, 5, bias=False), *([nn.BatchNorm1d(5)] if batch_norm else [])]
    return SpikingNetwork(*first, LIF(0.9), nn.Linear(5, 2), num_steps=3).double()


@pytest.mark.parametrize(("factor", "expected"), [(0.5, -1.0), (1.5, 1.0)])
def test_one_layer_of_pixels_has_a_sign_in_closed_form(factor: float, expected: float) -> None:
    """d = (1 − f)·W·x: the true gradient is (1 − f)²·∇, what training follows is −f·(1 − f)·∇."""
    inputs = torch.rand(4, 3, dtype=torch.float64)
    found = alignment(network(), inputs, torch.zeros(4, dtype=torch.long), MSMPPD(perturbation=Shrink(factor)))
    assert found == pytest.approx(expected)


def test_without_a_perturbation_there_is_no_direction() -> None:
    inputs = torch.rand(4, 3, dtype=torch.float64)
    assert alignment(network(), inputs, torch.zeros(4, dtype=torch.long), MSMPPD(perturbation=Shrink(1.0))) is None


def test_the_network_stays_as_it_is() -> None:
    built = network(batch_norm=True).eval()
    before = {name: tensor.clone() for name, tensor in built.state_dict().items()}
    inputs = torch.rand(4, 3, dtype=torch.float64)
    alignment(built, inputs, torch.zeros(4, dtype=torch.long), MSMPPD(perturbation=Shrink(0.5)))
    assert not built.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in built.state_dict().items())
    assert all(parameter.grad is None for parameter in built.parameters())


def test_the_current_is_that_of_the_last_layer_that_fires() -> None:
    torch.manual_seed(0)
    layers = nn.Linear(3, 5), LIF(0.9), nn.Linear(5, 4), LIF(0.9), nn.Linear(4, 2), LIF(0.5, reset="none")
    built = SpikingNetwork(*layers, num_steps=3, readout="potential").double()
    inputs = torch.rand(4, 3, dtype=torch.float64)
    expected = built.trace(inputs).currents[1].detach().square().mean().sqrt()
    assert rms_current(built, inputs) == pytest.approx(float(expected))


SVG = "{http://www.w3.org/2000/svg}"
SHARES = st.floats(0, 1)


@st.composite
def histories(draw: st.DrawFn) -> list[EpochMetrics]:
    count = draw(st.integers(1, 6))
    terms = st.one_of(st.just({}), st.fixed_dictionaries({"epsilon": st.floats(0, 1)}))
    robust = st.one_of(st.none(), SHARES)
    losses = st.floats(-1e30, 1e30)
    return [
        EpochMetrics(k + 1, draw(losses), draw(terms), draw(SHARES), draw(robust), 0.1, 1.0) for k in range(count)
    ]


@examples(100)
@given(history=histories())
def test_each_epoch_has_its_points_inside(history: list[EpochMetrics]) -> None:
    drawn = ElementTree.fromstring(picture(history))
    heights = [float(dot.attrib["cy"]) for dot in drawn.iter(f"{SVG}circle")]
    assert all(TOP - 0.1 <= height <= BOTTOM + 0.1 for height in heights)
    robust = sum(metrics.robust_accuracy is not None for metrics in history)
    sizes = [metrics.terms["epsilon"] for metrics in history if "epsilon" in metrics.terms]
    assert len(heights) == 2 * len(history) + robust + (len(sizes) if any(sizes) else 0)


def test_better_is_higher_and_lines_have_names() -> None:
    first = EpochMetrics(1, 2.0, {"epsilon": 0.05}, 0.5, 0.25, 0.1, 1.0)
    text = picture([first, replace(first, epoch=2, loss=1.0, clean_accuracy=1.0)])
    heights = [float(dot.attrib["cy"]) for dot in ElementTree.fromstring(text).iter(f"{SVG}circle")]
    middle = (TOP + BOTTOM) / 2
    assert heights[:4] == [TOP, middle, middle, TOP]
    assert ">clean<" in text
    assert ">ε up to 0.05<" in text
    assert 'aria-label="loss 1, clean 100.0 % after 2 epochs"' in text


PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def few(name: str) -> Dataset:
    """Return some samples of a data set."""
    data, some = spikecert.training.dataset(name), torch.arange(96)
    parts = {part: getattr(data, part).take(some) for part in ("train", "validation", "test")}
    return replace(data, **parts)


def briefly(*args: Any, **settings: Any) -> TrainingRun:
    """Train for one epoch, whatever is asked."""
    return spikecert.training.fit(*args, **{**settings, "epochs": 1})


def equality(line: ast.Assert) -> bool:
    """Return whether a line asserts that two things are the same, which holds however long training takes."""
    return isinstance(line.test, ast.Compare) and isinstance(line.test.ops[0], ast.Eq)


def test_the_code_on_the_page_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """One epoch of few samples each; what the page claims of longer trainings is left out."""
    assert len(BLOCKS) == 11
    monkeypatch.setattr(spikecert, "dataset", few, raising=False)
    monkeypatch.setattr(spikecert, "fit", briefly, raising=False)
    code = ast.parse("\n".join(BLOCKS))
    claims = [line for line in code.body if isinstance(line, ast.Assert) and not equality(line)]
    assert len(claims) == 6
    code.body = [line for line in code.body if line not in claims]
    torch.manual_seed(0)
    exec(compile(code, "docs/training.md", "exec"), {})


@pytest.mark.slow
def test_what_the_page_claims_holds() -> None:
    torch.manual_seed(0)  # the page's networks are drawn
    exec(compile("\n".join(BLOCKS), "docs/training.md", "exec"), {})


def test_every_objective_is_on_the_page() -> None:
    kinds = {
        name
        for name in objectives.__all__
        if isinstance(kind := getattr(objectives, name), type) and issubclass(kind, objectives.Objective)
    }
    described = kinds - {"Objective", "Sum", "Scaled"}
    assert len(described) >= 6
    assert all(name in PAGE for name in described)


def broken(layer: int) -> SpikingNetwork:
    """Return a network in which the potentials of one spiking layer fall below all numbers of float32."""
    network = mlp((3, 4, 4, 2), num_steps=3, neuron=LIF(1.0))
    linear = network.layers[2 * layer]
    assert isinstance(linear, nn.Linear)
    linear.weight.data.zero_()
    linear.bias.data.fill_(-3e38)
    return network


@pytest.mark.parametrize(("layer", "name"), [(0, "layers.1"), (1, "layers.3")])
def test_potentials_that_are_infinite_behind_finite_currents_are_named(layer: int, name: str):
    inputs = torch.rand(5, 3)
    told = origin(broken(layer), inputs, lambda: None)
    assert told == f"the potentials of {name} (LIF) are the first that hold NaN or inf"


def test_the_first_current_comes_before_all_potentials():
    network = broken(0)
    first = network.layers[0]
    assert isinstance(first, nn.Linear)
    first.weight.data[0, 0] = math.inf
    inputs = torch.rand(5, 3) + 0.1
    told = origin(network, inputs, lambda: network(inputs))
    assert told == "the current out of layers.0 (Linear) is the first that holds NaN or inf"


def test_finite_layers_are_not_blamed():
    network, inputs = mlp((3, 4, 2), num_steps=2), torch.rand(2, 3)
    told = origin(network, inputs, lambda: network(inputs))
    assert told == "the currents and potentials of all layers are finite"
