"""StuckNeurons: bounds against every member, run by hand."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, product
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert import (
    LIF,
    LInf,
    Neuron,
    Residual,
    SpikingNetwork,
    StuckNeurons,
    Synapse,
    attack,
    circuit,
    mlp,
    verify,
)
from spikecert.certify.network_sets import stuck as stuck_neurons
from spikecert.certify.network_sets import stuck_bounds
from spikecert.certify.network_sets.base import Fault, stuck_member
from spikecert.certify.network_sets.deciding import BOUNDS
from spikecert.certify.replay import margins
from spikecert.models import Recurrent
from spikecert.models.circuit import UnknownNode
from spikecert.models.elements.layers import walk
from spikecert.testing import image_networks
from spikecert.testing.claims.near import inputs as inputs_of
from support.examples import examples

SEEDS = st.integers(0, 2**31)


def by_hand(network: SpikingNetwork, inputs: Tensor, faults: dict[tuple[int, int], float]) -> Tensor:
    """Return the logits of a dense network in which spikes are written over, layer by layer."""
    signal, layer = inputs.expand(network.num_steps, *inputs.shape), 0
    for module in network.layers:
        if not isinstance(module, LIF):
            signal = torch.stack([module(step) for step in signal])
            continue
        if module.reset == "none" and network.reads_potentials and module is network.layers[-1]:
            return module.run(signal, network.num_steps).potentials[-1]
        signal = module(signal, network.num_steps).clone()
        for (place, neuron), value in faults.items():
            if place == layer:
                signal[..., neuron] = value
        layer += 1
    return signal.mean(0)


def every_member(
    widths: list[int], count: int, layers: tuple[int, ...] | None
) -> Iterator[dict[tuple[int, int], float]]:
    places = [(l, n) for l, w in enumerate(widths) if layers is None or l in layers for n in range(w)]  # noqa: E741
    for size in range(count + 1):
        for chosen in combinations(places, size):
            for values in product((0.0, 1.0), repeat=size):
                yield dict(zip(chosen, values, strict=True))


def random_question(seed: int) -> tuple[SpikingNetwork, Tensor, StuckNeurons]:
    """Return a small network, on a grid or off, in which one neuron alone seldom decides."""
    torch.manual_seed(seed)
    r = torch.Generator().manual_seed(seed)
    pick = lambda *options: options[int(torch.randint(0, len(options), (), generator=r))]  # noqa: E731
    neuron = LIF(
        pick(0.0, 0.5, 0.9, 1.0), pick(0.5, 1.0), pick("zero", "zero", "subtract", "none"), pick(">=", ">")
    )
    widths = pick((4, 9, 2), (3, 6, 7, 2), (3, 4, 5, 3), (2, 12, 2))
    network = mlp(widths, num_steps=pick(1, 2, 4), neuron=neuron)
    with torch.no_grad():
        last = [parameter for name, parameter in network.named_parameters() if name.endswith("bias")][-1]
        last.add_(torch.tensor([1.0] + [0.0] * (widths[-1] - 1)) * pick(0.0, 0.5, 1.5, 4.0))
        if pick(True, False):
            for parameter in network.parameters():
                parameter.copy_((parameter * 8).round() / 8)
    inputs = torch.rand(6, widths[0], generator=r)
    inputs = (inputs * 4).round() / 4 if pick(True, False) else inputs
    layers = pick(None, None, (0,), (len(widths) - 3,))
    return network.eval(), inputs, StuckNeurons(pick(1, 1, 2), layers)


def least_margins(network: SpikingNetwork, inputs: Tensor, labels: Tensor, stuck: StuckNeurons) -> Tensor:
    """Return each sample's margin in each member, (members, batch)."""
    widths = [layer.out_features for layer in network.layers if isinstance(layer, nn.Linear)][:-1]
    with torch.no_grad():
        found = [
            margins(by_hand(network, inputs, faults), labels).double()
            for faults in every_member(widths, stuck.count, stuck.layers)
        ]
    return torch.stack(found)


@pytest.mark.parametrize(
    "seed", [*range(20), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(20, 420))]
)
def test_no_member_is_below_the_bound_and_lists_decide(seed: int):
    network, inputs, stuck = random_question(seed)
    labels = network(inputs).argmax(1)
    found = least_margins(network, inputs, labels, stuck)
    box = stuck.enclosure(inputs)
    for name, spikes in BOUNDS.items():
        lower = stuck.margins(circuit(network), box, labels, spikes).amin(1)
        assert bool((lower <= found.amin(0) + 1e-6).all()), (name, lower, found.amin(0))
    truth = found.amin(0)
    for index, verdict in enumerate(verify(network, inputs, labels, stuck, "enumeration")):
        assert verdict.margin is None or verdict.margin <= float(truth[index]) + 1e-6
        if abs(float(truth[index])) > 1e-4:
            assert verdict.status == ("verified" if truth[index] > 0 else "falsified")
    for index, verdict in enumerate(verify(network, inputs, labels, stuck)):
        if abs(float(truth[index])) > 1e-4:
            assert verdict.status == ("verified" if truth[index] > 0 else "falsified")
        if verdict.status == "falsified":
            assert verdict.member is not None
            assert bool(margins(verdict.member(inputs[index : index + 1]), labels[index : index + 1]) <= 0)


def test_the_questions_move_and_bounds_prove_some_of_them():
    moving, proved, robust, exact = 0, 0, 0, 0
    for seed in range(60):
        network, inputs, stuck = random_question(seed)
        labels = network(inputs).argmax(1)
        found = least_margins(network, inputs, labels, stuck)
        verdicts = verify(network, inputs, labels, stuck, "trains")
        moves = found.amax(0) > found.amin(0) + 1e-6
        moving += int(moves.sum())
        robust += int((moves & (found.amin(0) > 1e-6)).sum())
        for index, verdict in enumerate(verdicts):
            proved += verdict.status == "verified" and bool(moves[index])
            if verdict.margin is not None and verdict.status == "verified":
                exact += abs(verdict.margin - float(found.amin(0)[index])) < 1e-4
    assert moving >= 200
    assert robust >= proved >= 60
    assert exact >= 30


@pytest.mark.parametrize("term", ["falls", "rises", "layers", "fewer"])
def test_a_term_left_out_is_noticed(term: str, monkeypatch: pytest.MonkeyPatch):
    """Each part of the bound is needed."""
    if term in ("falls", "rises"):
        monkeypatch.setattr(stuck_bounds.Terms, term, lambda self, count: torch.zeros_like(self.lower[..., 0]))
    elif term == "layers":
        monkeypatch.setattr(
            stuck_bounds.StuckPropagation, "fired", _never_stuck(stuck_bounds.StuckPropagation.fired)
        )
    else:
        monkeypatch.setattr(stuck_bounds, "_greatest", lambda changes, count: changes.mean(-1))
    wrong = 0
    for seed in range(40):
        network, inputs, stuck = random_question(seed)
        labels = network(inputs).argmax(1)
        lower = stuck.margins(circuit(network), stuck.enclosure(inputs), labels, BOUNDS["trains"]).amin(1)
        wrong += int((lower > least_margins(network, inputs, labels, stuck).amin(0) + 1e-6).sum())
    assert wrong


def _never_stuck(fired):
    return lambda self, node, x: replace(fired(self, node, x), fresh=False)


@examples(100)
@given(data=st.data(), count=st.integers(1, 2), seed=SEEDS, around=st.sampled_from([None, LInf(0.05)]))
def test_no_member_of_a_network_of_images_is_below_the_bound(
    data: st.DataObject, count: int, seed: int, around: LInf | None
):
    network = data.draw(image_networks())
    inputs = data.draw(inputs_of(network, batch=2, shape=(1, 6, 6)))
    labels = network(inputs).argmax(1)
    stuck, r = StuckNeurons(count, around=around), torch.Generator().manual_seed(seed)
    try:
        lower = stuck.margins(circuit(network), stuck.enclosure(inputs), labels, BOUNDS["trains"]).amin(1)
    except OverflowError:
        return
    found = attack(network, inputs, labels, StuckNeurons(1), seed=seed)
    assert bool((lower <= margins(found.logits, labels).double() + 1e-9).all())
    layers = sum(isinstance(layer, LIF) for layer in walk(network.layers))
    shapes = [run.shape[2:] for run in network.trace(inputs).spikes]
    for _ in range(20):
        places = [int(torch.randint(0, layers, (), generator=r)) for _ in range(count)]
        faults = [
            Fault(place, int(torch.randint(0, shapes[place].numel(), (), generator=r)), bool(seed % 2))
            for place in places
        ]
        points = inputs if around is None else around.project(around.sample(inputs, r), inputs)
        logits = stuck_member(network, faults, shapes)(points)
        assert bool((lower <= margins(logits, labels).double() + 1e-9).all())


def test_a_member_runs_stuck_in_its_trace_too():
    network = mlp((3, 4, 2), num_steps=3, neuron=LIF(0.9, 0.5))
    inputs = torch.rand(2, 3)
    member = stuck_member(network, [Fault(0, 1, True), Fault(0, 2, False)], [torch.Size([4])])
    spikes = member.trace(inputs).spikes[0]
    assert bool((spikes[..., 1] == 1).all() and (spikes[..., 2] == 0).all())
    assert torch.equal(member.trace(inputs).logits, member(inputs))
    assert torch.allclose(member(inputs), by_hand(network, inputs, {(0, 1): 1.0, (0, 2): 0.0}), atol=1e-6)
    assert not torch.equal(network.trace(inputs).spikes[0], spikes)


NETWORK = SpikingNetwork(nn.Linear(4, 5), LIF(0.9), nn.Linear(5, 3), num_steps=3).eval()
INPUTS, LABELS = torch.rand(2, 4), torch.tensor([0, 1])
WRONG: list[Any] = [1.5, "a"]


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: StuckNeurons(-1), r"count: got -1, expected at least 0"),
        (lambda: StuckNeurons(WRONG[0]), r"count: got float, expected an integer"),
        (lambda: StuckNeurons(1, layers=()), r"layers: got \(\), expected different numbers"),
        (lambda: StuckNeurons(1, layers=(0, 0)), r"layers: got \(0, 0\), expected different numbers"),
        (lambda: StuckNeurons(1, layers=WRONG[1]), r"layers: got str, expected integers"),
        (lambda: verify(NETWORK, INPUTS, LABELS, StuckNeurons(1, (1,))), r"layers: got 1, expected at most 0"),
        (
            lambda: verify(NETWORK, INPUTS, LABELS, StuckNeurons(6)),
            r"count: got 6, expected at most the 5 neurons",
        ),
        (lambda: verify(NETWORK, INPUTS, LABELS, StuckNeurons(1), "linear"), r"verifier: got 'linear', expected"),
        (
            lambda: verify(
                SpikingNetwork(
                    nn.Linear(4, 5), Recurrent(LIF(0.9), nn.Linear(5, 5)), nn.Linear(5, 3), num_steps=2
                ).eval(),
                *(INPUTS, LABELS, StuckNeurons(1)),
            ),
            r"network: got a layer that hears itself, which StuckNeurons does not know",
        ),
    ],
)
def test_what_is_no_set_is_refused_in_one_line(make, told: str):
    with pytest.raises((TypeError, ValueError), match=told) as error:
        make()
    assert "\n" not in str(error.value)


def wide_question() -> tuple[SpikingNetwork, Tensor, Tensor, StuckNeurons]:
    """Return a question of 2,275,521 members that bounds of the whole set leave open."""
    torch.manual_seed(10)
    network = mlp((8, 60, 60, 3), num_steps=4, neuron=LIF(0.9)).eval()
    with torch.no_grad():
        [own for name, own in network.named_parameters() if name.endswith("bias")][-1][0] += 0.6
    inputs = torch.rand(2, 8)
    return network, inputs, network(inputs).argmax(1), StuckNeurons(3)


def test_millions_of_members_are_proven_in_parts():
    """No drawn member, and none that a search proposes, is below what the parts of the set prove."""
    network, inputs, labels, stuck = wide_question()
    assert {verdict.status for verdict in verify(network, inputs, labels, stuck, "trains")} == {"unknown"}
    verdicts = verify(network, inputs, labels, stuck, "enumeration")
    assert {verdict.status for verdict in verdicts} == {"verified"}
    least = margins(attack(network, inputs, labels, stuck).logits, labels)
    draw = torch.Generator().manual_seed(0)
    for _ in range(300):
        chosen, values = (
            torch.randperm(120, generator=draw)[:3].tolist(),
            torch.randint(0, 2, (3,), generator=draw),
        )
        faults = {divmod(place, 60): float(value) for place, value in zip(chosen, values, strict=True)}
        with torch.no_grad():
            least = least.minimum(margins(by_hand(network, inputs, faults), labels))
    for verdict, found in zip(verdicts, least.tolist(), strict=True):
        assert verdict.margin is not None
        assert 0 < verdict.margin <= found + 1e-6


@pytest.mark.parametrize("seed", range(30))
def test_three_stuck_neurons_are_decided_as_by_every_member(seed: int):
    network, inputs, stuck = random_question(seed)
    stuck = replace(stuck, count=3)
    labels = network(inputs).argmax(1)
    truth = least_margins(network, inputs, labels, stuck).amin(0)
    for least, verdict in zip(truth.tolist(), verify(network, inputs, labels, stuck, "enumeration"), strict=True):
        assert verdict.margin is None or verdict.margin <= least + 1e-6
        assert verdict.status in (
            ("verified", "falsified") if abs(least) <= 1e-4 else ("verified" if least > 0 else "falsified",)
        )


def test_a_search_of_members_that_may_ask_few_is_left_open(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stuck_neurons, "MOST_PARTS", 100)
    for verdict in verify(*wide_question(), "enumeration"):
        assert (verdict.status, verdict.margin) == ("unknown", None)
        assert "as many members as it may were asked" in verdict.reason


def test_neurons_of_several_spikes_are_refused_before_any_member_is_run():
    network = SpikingNetwork(
        nn.Linear(3, 4), Neuron(reset="subtract", most=2), nn.Linear(4, 2), num_steps=3
    ).eval()
    inputs = torch.rand(1, 3)
    for ask in (verify, attack):
        for how in ("enumeration", "auto") if ask is verify else ("pgd",):
            with pytest.raises(UnknownNode, match="of several spikes a step, which StuckNeurons does not know"):
                ask(network, inputs, network(inputs).argmax(1), StuckNeurons(1), how)


def test_layers_of_every_kind_are_answered():
    torch.manual_seed(0)
    parts = nn.Linear(3, 4), LIF(0.9), Residual([nn.Linear(4, 4), LIF(0.9)]), Synapse(0.5), nn.Linear(4, 2)
    readouts = (SpikingNetwork(*parts, num_steps=3), SpikingNetwork(*parts, LIF(0.9), num_steps=3))
    for network in (*readouts, SpikingNetwork(*parts, LIF(0.9, reset="none"), num_steps=3, readout="potential")):
        inputs = torch.rand(3, 3)
        labels = network.eval()(inputs).argmax(1)
        bound = [verdict.margin for verdict in verify(network, inputs, labels, StuckNeurons(1), "trains")]
        worst = margins(attack(network, inputs, labels, StuckNeurons(1)).logits, labels)
        assert all(
            margin is None or margin <= float(other) + 1e-6 for margin, other in zip(bound, worst, strict=True)
        )
