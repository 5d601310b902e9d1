"""Tolerance: bounds hold for every member that is drawn, and what falsifies is a member that fails."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert import LIF, Residual, SpikingNetwork, Synapse, Tolerance, attack, circuit, mlp, verify
from spikecert.certify import L2, LInf, SpikeFlip
from spikecert.certify.network_sets.deciding import BOUNDS
from spikecert.certify.replay import margins
from spikecert.models import DLIF, Recurrent, RefractoryLIF, Share, VariedLIF
from spikecert.models.merging import merged
from spikecert.testing import image_networks, networks
from spikecert.testing.claims.near import inputs as inputs_of
from support.examples import examples
from support.network_members import drawn_member, each_by_itself, towards

SEEDS = st.integers(0, 2**31)
SHARES = st.sampled_from([0.0, 2.0**-30, 1e-3, 0.02, 0.1, 0.5, 0.9])


def held(network: SpikingNetwork, inputs: Tensor, tolerance: Tolerance, seed: int, members: int = 24) -> int:
    """Check that no member has a lesser margin than is proven; return how many samples have several margins."""
    nominal, generator = tolerance.nominal(network), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        labels = nominal(inputs).argmax(1)
    box = tolerance.enclosure(inputs)
    try:
        known = {
            name: tolerance.margins(circuit(nominal), box, labels, spikes).amin(1)
            for name, spikes in BOUNDS.items()
        }
    except OverflowError:
        return 0
    found = []
    for index in range(members):
        places = towards(nominal, inputs, labels, generator) if index % 3 == 0 else None
        member = drawn_member(tolerance, nominal, places, generator)
        assert tolerance.contains(network, member)
        points = inputs if tolerance.around is None else tolerance.around.sample(inputs, generator)
        dense = all(isinstance(layer, nn.Linear | LIF) for layer in nominal.layers)
        if index % 3 == 1 and dense and (tolerance.threshold or tolerance.decay):
            member = each_by_itself(nominal, tolerance, generator)
        with torch.no_grad():
            found.append(margins(member(points), labels).double())
    least = torch.stack(found).amin(0)
    for name, lower in known.items():
        assert bool((lower <= least).all()), (name, lower, least)
    assert bool((known["trains"] >= known["interval"] - 1e-9 * known["interval"].abs()).all())
    return int((torch.stack(found).amax(0) > least).sum())


def leaky(network: SpikingNetwork) -> bool:
    return all(type(layer) in (LIF, VariedLIF) for layer in network.neurons)


@examples(240)
@given(data=st.data(), weights=SHARES, threshold=SHARES, decay=SHARES, seed=SEEDS)
def test_no_member_of_a_dense_network_is_below_the_bound(
    data: st.DataObject, weights: float, threshold: float, decay: float, seed: int
):
    network = data.draw(networks(most_layers=2, most_width=6, most_steps=5))
    tolerance = Tolerance(weights, threshold * leaky(network), decay * leaky(network))
    if network.reads_potentials:
        tolerance = replace(tolerance, decay=0.0)
    held(network, data.draw(inputs_of(network)), tolerance, seed, 8)


@examples(100)
@given(data=st.data(), weights=SHARES, threshold=SHARES, seed=SEEDS, around=st.sampled_from([None, 0.02, 0.2]))
def test_no_member_of_a_network_of_images_is_below_the_bound(
    data: st.DataObject, weights: float, threshold: float, seed: int, around: float | None
):
    network = data.draw(image_networks())
    tolerance = Tolerance(weights, threshold * leaky(network), around=None if around is None else LInf(around))
    inputs = data.draw(inputs_of(network, batch=2, shape=(1, 6, 6)))
    if any(type(layer) is Share for layer in network.modules()):
        with pytest.raises(ValueError, match="with numbers of its own"):
            replace(tolerance, weights=0.1).nominal(network)
        tolerance = replace(tolerance, weights=0.0)
    held(network, inputs, tolerance, seed, 6)


def random_question(seed: int) -> tuple[SpikingNetwork, Tensor, Tolerance]:
    """Return a small network on a grid or off, whose currents often lie on thresholds, and a tolerance."""
    torch.manual_seed(seed)
    r = torch.Generator().manual_seed(seed)
    pick = lambda *options: options[int(torch.randint(0, len(options), (), generator=r))]  # noqa: E731
    reset, fires = pick("zero", "zero", "subtract", "none"), pick(">=", ">")
    neuron = LIF(pick(0.0, 0.5, 0.9, 1.0), pick(0.5, 1.0), reset, fires)
    widths = pick((4, 5, 3), (5, 4, 4, 3), (3, 6, 2))
    network = mlp(widths, num_steps=pick(1, 3, 5), neuron=neuron)
    if pick(True, False):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.copy_((parameter * 8).round() / 4)
    shares = [(0.01, 0, 0), (0.05, 0.02, 0), (0.1, 0.1, 0.1), (0.3, 0, 0.05), (0, 0.1, 0.02), (0.02, 0.0, 0.0)]
    chosen = pick(*shares)
    around = pick(None, None, LInf(0.01, -1.0, 1.0))
    signed = pick(True, False)
    inputs = torch.rand(8, widths[0], generator=r) * (2 if signed else 1) - (1 if signed else 0)
    inputs = (inputs * 4).round() / 4 if pick(True, False) else inputs
    return network.eval(), inputs, Tolerance(*chosen, around=around)


@pytest.mark.parametrize(
    "seed", [*range(12), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(12, 312))]
)
def test_what_is_verified_holds_and_what_is_falsified_is_a_member_that_fails(seed: int):
    network, inputs, tolerance = random_question(seed)
    held(network, inputs, tolerance, seed)
    nominal = tolerance.nominal(network)
    labels = nominal(inputs).argmax(1)
    for index, verdict in enumerate(verify(network, inputs, labels, tolerance)):
        if verdict.status == "falsified":
            assert verdict.member is not None
            assert verdict.counterexample is not None
            assert tolerance.contains(network, verdict.member)
            assert bool(margins(verdict.member(verdict.counterexample[None]), labels[index : index + 1]) <= 0)


@pytest.mark.slow
def test_the_questions_move_and_are_decided_both_ways():
    """A test that only asks what cannot fail would say nothing."""
    statuses, moving = [], 0
    for seed in range(24):
        network, inputs, tolerance = random_question(seed)
        moving += held(network, inputs, tolerance, seed, 12)
        statuses += [
            v.status for v in verify(network, inputs, tolerance.nominal(network)(inputs).argmax(1), tolerance)
        ]
    assert moving >= 60
    assert min(statuses.count("verified"), statuses.count("falsified")) >= 20


@pytest.mark.parametrize("seed", range(6))
def test_sets_that_a_ball_or_a_budget_cuts_are_held(seed: int):
    torch.manual_seed(seed)
    plain = mlp((12, 5, 3), num_steps=3, neuron=LIF(0.9, 0.5)).eval()
    timed = mlp((3, 5, 3), num_steps=4, neuron=LIF(0.9, 0.5), encoding="none").eval()
    held(plain, torch.rand(6, 12), Tolerance(0.2, around=L2(0.1)), seed)
    held(timed, torch.rand(6, 4, 3).round(), Tolerance(0.2, around=SpikeFlip(1)), seed)
    held(timed, torch.rand(6, 4, 3).round(), Tolerance(0.2, around=SpikeFlip(0)), seed)


@pytest.mark.parametrize("term", ["weights", "bias", "threshold", "decay", "margin"])
def test_a_term_left_out_is_noticed(term: str, monkeypatch: pytest.MonkeyPatch):
    """Each part of the bound is needed: without it some drawn member is below it."""
    from spikecert.certify.network_sets import tolerance, tolerant

    made = tolerant.Loose
    if term == "weights":
        monkeypatch.setattr(tolerant, "weighted", lambda layer: False)
    elif term == "bias":
        monkeypatch.setattr(tolerant, "_made", _without_bias(tolerant._made))
    elif term == "margin":
        monkeypatch.setattr(tolerance, "dense_margins", lambda c, known, y, like, share: _known(c, known, y, like))
    else:
        exact = {"threshold": 0.0} if term == "threshold" else {"decay": 0.0}
        monkeypatch.setattr(tolerant, "Loose", lambda *given: replace(made(*given), **exact))
    with pytest.raises(AssertionError):
        any(held(*random_question(seed), seed, 24) > 100 for seed in range(60))


def _without_bias(made):
    def changed(layer, change):
        found = made(layer, change)
        return replace(found, offset=layer.offset)

    return changed


def _known(made, known, labels, like):
    from spikecert.certify.bounds.propagation import known_margins

    return known_margins(made, known, labels, like)


def test_batch_norms_are_merged_first():
    torch.manual_seed(0)
    norm: Any = nn.BatchNorm2d(2)
    norm.running_mean.uniform_()
    norm.running_var.uniform_(0.5, 2)
    network = SpikingNetwork(
        *(nn.Conv2d(1, 2, 3, bias=False), norm, LIF(0.9), nn.Flatten(), nn.Linear(32, 6), nn.BatchNorm1d(6)),
        *(LIF(0.9), nn.Linear(6, 3)),
        num_steps=4,
    ).eval()
    inputs = torch.rand(4, 1, 6, 6)
    found = merged(network)
    assert [type(layer).__name__ for layer in found.layers] == [
        "Conv2d",
        "LIF",
        "Flatten",
        "Linear",
        "LIF",
        "Linear",
    ]
    assert torch.allclose(found(inputs), network(inputs), atol=1e-5)
    verdicts = verify(network, inputs, network(inputs).argmax(1), Tolerance(1e-4, 1e-4))
    assert {verdict.status for verdict in verdicts} <= {"verified", "unknown", "falsified"}
    transposed = SpikingNetwork(
        nn.ConvTranspose2d(2, 4, 3, groups=2),
        nn.BatchNorm2d(4),
        LIF(0.9),
        nn.Flatten(),
        nn.Linear(256, 2),
        num_steps=2,
    ).eval()
    dict(transposed.named_buffers())["layers.1.running_var"].uniform_(0.5, 2)
    exact, images = transposed.double(), torch.rand(2, 2, 6, 6).double()
    assert torch.allclose(merged(exact).layers[0](images), exact.layers[1](exact.layers[0](images)), atol=1e-12)


NETWORK = SpikingNetwork(nn.Linear(4, 5), LIF(0.9), nn.Linear(5, 3), num_steps=3).eval()
INPUTS, LABELS = torch.rand(2, 4), torch.tensor([0, 1])
WRONG: list[Any] = ["a", 0.1]
PARTS = nn.Linear(4, 5), nn.Linear(5, 3)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Tolerance(-0.1), r"weights: got -0.1, expected a finite number of at least 0"),
        (lambda: Tolerance(1.0), r"weights: got 1.0, expected a share in \[0, 1\)"),
        (lambda: Tolerance(threshold=math.nan), r"threshold: got nan, expected"),
        (lambda: Tolerance(decay=WRONG[0]), r"decay: got str, expected a number"),
        (lambda: Tolerance(0.1, around=WRONG[1]), r"around: got float, expected LInf"),
        (lambda: verify(NETWORK, INPUTS, LABELS, Tolerance(0.1), "milp"), r"verifier: got 'milp', expected"),
        (
            lambda: verify(NETWORK, INPUTS, LABELS, Tolerance(0.1), "enumeration"),
            r"verifier: got 'enumeration' for",
        ),
        (
            lambda: verify(NETWORK, INPUTS, LABELS, Tolerance(0.1, around=SpikeFlip(1))),
            r"inputs: got values|inputs:",
        ),
        (lambda: verify(NETWORK, INPUTS, torch.tensor([0, 7]), Tolerance(0.1)), r"labels: got values from 0 to 7"),
        (
            lambda: verify(
                SpikingNetwork(nn.BatchNorm1d(4), *PARTS, num_steps=2).eval(), INPUTS, LABELS, Tolerance(0.1)
            ),
            r"network: layers.0 is BatchNorm1d\(4\), with numbers of its own, expected a dense layer",
        ),
        (
            lambda: verify(SpikingNetwork(*PARTS, Share(), num_steps=2).eval(), INPUTS, LABELS, Tolerance(0.1)),
            r"network: layers.2 is .*, with numbers of its own",
        ),
        (
            lambda: verify(
                SpikingNetwork(PARTS[0], Recurrent(LIF(0.9), nn.Linear(5, 5)), PARTS[1], num_steps=2).eval(),
                *(INPUTS, LABELS, Tolerance(0.1)),
            ),
            r"network: layers.1 is a layer that hears itself, which Tolerance does not know",
        ),
        (
            lambda: verify(
                SpikingNetwork(PARTS[0], RefractoryLIF(0.9), PARTS[1], num_steps=2).eval(),
                *(INPUTS, LABELS, Tolerance(threshold=0.1)),
            ),
            r"network: layers.1 has rests, which Tolerance does not vary",
        ),
        (
            lambda: verify(
                SpikingNetwork(PARTS[0], Synapse(0.5), LIF(0.9), PARTS[1], num_steps=2).eval(),
                *(INPUTS, LABELS, Tolerance(decay=0.1)),
            ),
            r"decay: got 0.1 with a synapse \(layers.1\), expected 0",
        ),
    ],
)
def test_what_is_no_tolerance_is_refused_in_one_line(make, told: str):
    with pytest.raises((TypeError, ValueError), match=told) as error:
        make()
    assert "\n" not in str(error.value)


def test_an_attack_names_the_member_of_each_sample():
    torch.manual_seed(1)
    network = mlp((5, 8, 3), num_steps=4, neuron=LIF(0.9, 0.5))
    inputs = torch.rand(6, 5)
    labels = network(inputs).argmax(1)
    found = attack(network, inputs, labels, Tolerance(0.3))
    assert bool(found.success.any())
    for index, member in enumerate(found.networks):
        if bool(found.success[index]):
            assert member is not None
            assert Tolerance(0.3).contains(network, member)
            assert int(member(found.inputs[index : index + 1]).argmax()) != int(labels[index])


def test_layers_of_every_kind_are_answered():
    torch.manual_seed(0)
    neurons = {"dlif": DLIF(3), "varied": VariedLIF([0.5, 0.9, 1.0, 0.0]), "resting": RefractoryLIF(0.9)}
    for neuron in neurons.values():
        parts = nn.Linear(3, 4), neuron, Residual([nn.Linear(4, 4), LIF(0.9)]), Synapse(0.5), nn.Linear(4, 2)
        network = SpikingNetwork(*parts, num_steps=3).eval()
        inputs = torch.rand(3, 3)
        held(network, inputs, Tolerance(0.05), 0)
        held(network, inputs, Tolerance(0.05, around=LInf(0.05)), 0)
