"""Measuring part by part: the same findings however often it is interrupted, and an honest rest."""

import pytest
import torch

from spikecert import certified_radius, mlp
from spikecert.certify.engines import Repeated
from spikecert.models import LIF
from spikecert.reports import Plan, RadiusPlan, Threat, measure
from spikecert.reports.making import parts

THREAT = Threat.of("linf", (0.02, 0.3))
PLAN = Plan(THREAT, ("pgd",), ("trains",), radii=RadiusPlan("trains", 1 / 64, samples=6))


@pytest.fixture(scope="module")
def samples():
    torch.manual_seed(0)
    network = mlp((6, 12, 3), num_steps=4, neuron=LIF(0.9)).eval()
    inputs = torch.rand(10, 6)
    labels = network(inputs).argmax(1)
    labels[0] = (labels[0] + 1) % 3
    return network, inputs, labels


def measured(samples, plan=PLAN, **options):
    network, inputs, labels = samples
    return parts.measure_in_parts("net", network, inputs, labels, plan, **options)


def store(samples, folder, plan=PLAN):
    network, inputs, labels = samples
    return parts.PartStore.of(folder, "measured", network, inputs, labels, plan)


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(parts, "DECIDED", 4)


def test_a_set_that_fits_one_part_is_measured_as_by_measure(samples):
    network, inputs, labels = samples
    apart, whole = measured(samples), measure("net", network, inputs, labels, PLAN)
    keep = {"seconds"}
    for here, there in zip(apart.rows, whole.rows, strict=True):
        assert {k: v.status for k, v in here.verdicts.items()} == {k: v.status for k, v in there.verdicts.items()}
        assert here.attacks == there.attacks
    assert apart.radii == whole.radii
    assert apart.counterexamples == whole.counterexamples
    assert apart.model_dump(exclude={"rows", *keep}) == whole.model_dump(exclude={"rows", *keep})


def test_parts_make_a_valid_whole(samples, small):
    found = measured(samples)
    assert [row.index for row in found.rows] == [*range(10), *range(10)]
    assert [row.label for row in found.rows][:10] == samples[2].tolist()
    assert found.radii is not None
    assert [item.index for item in found.radii.samples] == list(range(6))
    for case in found.counterexamples:
        assert torch.equal(torch.tensor(case.clean), samples[1][case.index])


def test_radii_are_those_of_the_library(samples):
    network, inputs, labels = samples
    table = parts.radii_in_parts(network, inputs, labels, PLAN).table
    found = certified_radius(network, inputs[:6], labels[:6], "linf", "trains", 1 / 64)
    assert [(item.lower, item.upper) for item in table.samples] == [(item.lower, item.upper) for item in found]


class Stop:
    """Raises KeyboardInterrupt on the n-th call of a function."""

    def __init__(self, function, call):
        self.function, self.left = function, call

    def __call__(self, *arguments, **options):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        return self.function(*arguments, **options)


def test_an_interrupted_run_goes_on_and_finds_the_same(samples, small, monkeypatch, tmp_path):
    whole = measured(samples)
    monkeypatch.setattr(parts, "measure", Stop(measure, 3))
    with pytest.raises(parts.Interrupted) as caught:
        measured(samples, PLAN, store=store(samples, tmp_path / "parts"))
    assert caught.value.samples == 8
    finished = caught.value.finished
    assert finished is not None
    assert {row.index for row in finished.rows} == set(range(8))
    assert len(list(tmp_path.glob("parts/*/part-*.json"))) == 2

    again = Stop(measure, 99)
    monkeypatch.setattr(parts, "measure", again)
    found = measured(samples, PLAN, store=store(samples, tmp_path / "parts"))
    assert again.left == 98  # only the part that was not finished
    assert [row.attacks for row in found.rows] == [row.attacks for row in whole.rows]
    assert found.radii == whole.radii
    assert found.counterexamples == whole.counterexamples
    assert len(list(tmp_path.glob("parts/*/part-*.json"))) == 3  # until the whole is written elsewhere
    store(samples, tmp_path / "parts").clear()
    assert not (tmp_path / "parts").exists()


def test_radii_that_are_cut_short_leave_the_verdicts(samples, monkeypatch):
    def stopped(label: str, done: int, total: int) -> None:
        if label.startswith("radius"):
            raise KeyboardInterrupt

    whole = measured(samples)
    with pytest.raises(parts.Interrupted) as caught:
        measured(samples, progress=stopped)
    finished = caught.value.finished
    assert finished is not None
    assert finished.radii is None
    assert [row.attacks for row in finished.rows] == [row.attacks for row in whole.rows]
    assert caught.value.samples == 10


def test_figures_of_radii_are_told_under_the_name_of_the_network(samples):
    told = []
    measured(samples, figures=lambda *what: told.append(what))
    assert any(label == "radius net" and values["epsilon"] > 0 for label, values in told)
    told.clear()
    network, inputs, labels = samples
    parts.radii_in_parts(network, inputs, labels, PLAN, figures=lambda *what: told.append(what))
    assert any(label == "radius (trains)" for label, _ in told)


def test_parts_of_another_problem_are_not_taken(samples, small, monkeypatch, tmp_path):
    monkeypatch.setattr(parts, "measure", Stop(measure, 3))
    with pytest.raises(KeyboardInterrupt):
        measured(samples, PLAN, store=store(samples, tmp_path))
    counting = Stop(measure, 99)
    monkeypatch.setattr(parts, "measure", counting)
    other = Plan(THREAT, ("pgd",), ("trains",), seed=1)
    measured(samples, other, store=store(samples, tmp_path, other))
    assert counting.left == 96  # all three parts
    store(samples, tmp_path, other).clear()
    assert len(list(tmp_path.glob("*/part-*.json"))) == 2  # the other problem's are still there


def test_nothing_finished_is_said(samples, small, monkeypatch):
    monkeypatch.setattr(parts, "measure", Stop(measure, 1))
    with pytest.raises(parts.Interrupted) as caught:
        measured(samples)
    assert caught.value.finished is None


def test_a_part_that_was_changed_is_measured_again_and_named(samples, small, monkeypatch, tmp_path):
    monkeypatch.setattr(parts, "measure", Stop(measure, 3))
    with pytest.raises(KeyboardInterrupt):
        measured(samples, PLAN, store=store(samples, tmp_path))
    path = next(tmp_path.glob("*/part-000000.json"))
    path.write_text(path.read_text().replace('"verified"', '"falsified"', 1))
    counting = Stop(measure, 99)
    monkeypatch.setattr(parts, "measure", counting)
    with pytest.warns(
        Repeated, match=r"folder: .*part-000000\.json is measured again: it holds no part"
    ) as caught:
        measured(samples, PLAN, store=store(samples, tmp_path))
    assert len(caught) == 1
    assert counting.left == 97  # the damaged part, and the one that was not finished


def test_a_part_of_other_samples_is_measured_again_and_named(samples, small, monkeypatch, tmp_path):
    monkeypatch.setattr(parts, "measure", Stop(measure, 3))
    with pytest.raises(KeyboardInterrupt):
        measured(samples, PLAN, store=store(samples, tmp_path))
    path = next(tmp_path.glob("*/part-000000.json"))
    path.write_bytes(path.with_name("part-000004.json").read_bytes())
    monkeypatch.setattr(parts, "measure", Stop(measure, 99))
    with pytest.warns(Repeated, match=r"part-000000\.json is measured again: it is about other samples"):
        found = measured(samples, PLAN, store=store(samples, tmp_path))
    assert [row.index for row in found.rows] == [*range(10), *range(10)]


def test_progress_of_parts_rises_to_the_whole(samples, small):
    told = []
    plan = Plan(THREAT, ("pgd",), ("trains",))
    measured(samples, plan, progress=lambda *step: told.append(step))
    done = [step[1] for step in told]
    assert done == sorted(done)
    assert told[-1][1] == told[-1][2]
