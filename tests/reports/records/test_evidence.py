"""Counterexamples in a record: they replay, and their activity is what the network does.

Signs that an attack says little, in a record, its parts, its pages and the command line.
"""

import pytest
import torch
from torch import nn

from spikecert import mlp
from spikecert.certify.attacks import PGD, Ensemble, Square
from spikecert.certify.attacks.base import Signs
from spikecert.commands.attack import summary
from spikecert.models import LIF, Neuron, SpikingNetwork
from spikecert.reports import Data, Plan, RadiusPlan, Record, Threat, measure, record, render
from spikecert.reports.figures import scene
from spikecert.reports.making.parts import merged
from spikecert.reports.pages.html_page import to_html
from spikecert.reports.pages.markdown import to_markdown
from spikecert.reports.records.evidence import HARDEST, RASTER, TRACED
from spikecert.reports.records.rows import merged_signs, sign_row

THREAT = Threat.of("linf", (0.1, 0.3))


@pytest.fixture(scope="module")
def measured():
    torch.manual_seed(0)
    network = mlp((6, 60, 12, 3), num_steps=5, neuron=LIF(0.9, threshold=0.2)).eval()
    inputs = torch.rand(10, 6)
    labels = network(inputs).argmax(1)
    radii = RadiusPlan("trains", 1 / 32)
    return network, measure("net", network, inputs, labels, Plan(THREAT, ("pgd",), (), radii=radii))


def spikes(network, values):
    trace = network.trace(torch.tensor(values)[None])
    return [layer.flatten(1) for layer in trace.spikes], [layer.flatten(1) for layer in trace.potentials]


def test_activity_is_that_of_the_network(measured):
    network, found = measured
    assert 0 < len(found.counterexamples) <= HARDEST
    for case in found.counterexamples:
        clean, before = spikes(network, case.clean)
        perturbed, after = spikes(network, case.perturbed)
        assert [layer.name for layer in case.activity] == ["layers.1", "layers.3"]
        for k, layer in enumerate(case.activity):
            differing = (clean[k] != perturbed[k]).any(0)
            assert layer.changed == int(differing.sum())
            assert layer.neurons == len(differing)
            assert len(layer.shown) == min(layer.neurons, RASTER)
            traced = [neuron for neuron in layer.shown if neuron.clean_potentials]
            assert len(traced) == min(TRACED, layer.changed)
            for neuron in layer.shown:
                assert [int(digit) for digit in neuron.clean] == clean[k][:, neuron.index].int().tolist()
                assert [int(digit) for digit in neuron.perturbed] == perturbed[k][:, neuron.index].int().tolist()
            for neuron in traced:
                assert neuron.clean != neuron.perturbed
                assert list(neuron.clean_potentials) == pytest.approx(before[k][:, neuron.index].tolist())
                assert list(neuron.perturbed_potentials) == pytest.approx(after[k][:, neuron.index].tolist())


def test_several_spikes_and_thresholds_a_step_are_told():
    torch.manual_seed(0)
    neuron = Neuron(0.9, torch.rand(5, 12) * 0.3 + 0.1, reset="subtract", steps=5, most=3)
    network = SpikingNetwork(nn.Linear(6, 12), neuron, nn.Linear(12, 3), num_steps=5).eval()
    inputs, more = torch.rand(10, 6), 0
    found = measure("net", network, inputs, network(inputs).argmax(1), Plan(THREAT, ("pgd",), ()))
    for case in found.counterexamples:
        ((clean,), (before,)), ((perturbed,), _) = spikes(network, case.clean), spikes(network, case.perturbed)
        (layer,) = case.activity
        assert layer.changed == int((clean != perturbed).any(0).sum())
        more += int((((clean > 0) == (perturbed > 0)).all(0) & (clean != perturbed).any(0)).sum())
        for shown in (each for each in layer.shown if each.clean_potentials):
            told = before[:, shown.index] / neuron.threshold[:, shown.index]
            assert list(shown.clean_potentials) == pytest.approx(told.tolist())
    assert more > 0


def test_the_nearest_known_counterexample_is_kept(measured):
    _, found = measured
    for case in found.counterexamples:
        distance = max(abs(a - b) for a, b in zip(case.clean, case.perturbed, strict=True))
        assert distance <= case.epsilon * (1 + 1e-6)
        assert case.epsilon <= found.radii.samples[case.index].upper
    assert "radius search" in {case.found_by for case in found.counterexamples}


def test_a_plan_has_the_tolerance_of_its_radii():
    assert Plan(THREAT, (), (), radii=RadiusPlan("trains", 1 / 32)).tolerance == 1 / 32
    assert Plan(THREAT, (), ()).tolerance == RadiusPlan().tolerance


def test_a_verifier_that_falsifies_gives_its_counterexample():
    torch.manual_seed(0)
    network = mlp((4, 5, 3), num_steps=3, neuron=LIF(0.9)).eval()
    inputs = torch.rand(12, 4)
    found = measure("net", network, inputs, network(inputs).argmax(1), Plan(THREAT, (), ("auto",)))
    broken = {row.index for row in found.rows if row.falsified}
    assert broken
    assert len(found.counterexamples) == min(len(broken), HARDEST)
    assert {case.index for case in found.counterexamples} <= broken


def test_the_scene_draws_what_changed(handmade):
    (case,) = handmade().models[0].counterexamples
    picture = scene(case)
    assert picture is not None
    (membrane,) = picture.membranes
    assert [spike.style for spike in membrane.spikes] == ["gone", "new"]
    assert membrane.spikes[0].x < membrane.spikes[1].x  # the spike moved from step 1 to step 2
    assert all(spike.y <= membrane.threshold_y for spike in membrane.spikes)  # at or above the threshold
    (raster,) = picture.rasters
    assert [cell.style for cell in raster.cells] == ["gone", "new", "both", "both"]
    assert len(raster.changed) == 1
    assert raster.text == "layer 0: 1 of 4 neurons changed their train (spikes of 2 neurons are shown)"
    assert scene(case.model_copy(update={"activity": ()})) is None


def silent_record(methods: tuple[PGD | Ensemble, ...], samples: int = 4) -> Record:
    """Return a record about a network that fires nowhere, and whose gradient is 0 everywhere."""
    first, last = nn.Linear(6, 5), nn.Linear(5, 3)
    network = SpikingNetwork(first, LIF(), last, num_steps=4).eval()
    for parameter in network.parameters():
        parameter.data = torch.zeros_like(parameter)
    first.bias.data -= 5.0
    last.bias.data = torch.tensor([1.0, 0.0, -1.0])
    threat = Threat.of("linf", (0.1, 0.2))
    labels = torch.zeros(samples, dtype=torch.long)
    model = measure("mine", network, torch.full((samples, 6), 0.5), labels, Plan(threat, methods, ()))
    data = Data(name="mine", split="test", samples=samples, classes=3, shape=(6,))
    return record([model], data, threat, title="mine", command="", seeds={"seed": 0})


def test_signs_stand_where_an_attack_s_figures_stand(tmp_path) -> None:
    found = silent_record((PGD(steps=2), Ensemble((Square(2),), name="blind")))
    told = [(row.attack, row.epsilon, row.signs) for row in found.models[0].signs]
    assert told == [
        ("pgd", 0.1, Signs(samples=4, vanished=4, alike=24)),
        ("blind", 0.1, Signs(samples=4, vanished=4, alike=24)),
        ("pgd", 0.2, Signs(samples=4, vanished=4, alike=24)),
        ("blind", 0.2, Signs(samples=4, vanished=4, alike=24)),
    ]
    line = "Attack pgd, ε = 0.1: the gradient is exactly 0 at 4 of 4 samples"
    for text in (to_html(found).replace("\u00a0", " "), to_markdown(found), summary(found)):
        assert line in text
        assert text.count("which has wider surrogates") == 4
    path = render(found, tmp_path / "record.json")
    assert '"vanished": 4' in path.read_text()


def test_parts_say_together_what_the_whole_says() -> None:
    parts = [silent_record((PGD(steps=2),), samples).models[0] for samples in (3, 4)]
    shifted = parts[1].model_copy(
        update={"rows": tuple(row.model_copy(update={"index": row.index + 3}) for row in parts[1].rows)}
    )
    signs = merged([parts[0], shifted]).signs
    assert [(row.epsilon, row.samples, row.vanished, row.alike) for row in signs] == [
        (0.1, 7, 7, 23 + 24),
        (0.2, 7, 7, 23 + 24),
    ]


def test_an_attack_that_looked_in_one_part_only_counts_what_it_looked_at() -> None:
    parts = Signs(samples=3, blind=1), Signs(samples=2, vanished=2)
    (row,) = merged_signs(sign_row("square", 0.1, part) for part in parts)
    assert (row.samples, row.vanished, row.blind) == (5, 2, 1)
    assert merged_signs([]) == ()


def test_a_record_without_signs_is_as_before() -> None:
    """The fingerprint of a record that says nothing new is that of records before there were signs."""
    found = silent_record((PGD(steps=2),))
    plain = found.model_copy(update={"models": (found.models[0].model_copy(update={"signs": ()}),)})
    without = plain.model_dump(mode="json", by_alias=True)
    without["models"][0].pop("signs")
    assert Record.model_validate(without).fingerprint == plain.fingerprint != found.fingerprint
