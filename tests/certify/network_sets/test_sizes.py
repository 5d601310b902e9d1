"""Radii of sets of networks, and who knows nothing of such sets."""

import pytest
import torch

import spikecert
from spikecert import (
    LIF,
    LInf,
    StuckNeurons,
    Tolerance,
    attack,
    bounds,
    certified_radius,
    mlp,
    output_range,
    verify,
)
from spikecert.certify.proofs.proving import Prover
from spikecert.certify.replay import margins

torch.manual_seed(0)
NETWORK = mlp((5, 8, 6, 3), num_steps=4, neuron=LIF(0.8, 0.5)).eval()
INPUTS = torch.rand(6, 5)
LABELS = NETWORK(INPUTS).argmax(1)


@pytest.mark.parametrize("family", [Tolerance(0.1), Tolerance(0.2, 0.1), Tolerance(threshold=0.5), Tolerance()])
def test_a_radius_is_proven_below_and_a_member_fails_above(family: Tolerance):
    radii = certified_radius(NETWORK, INPUTS, LABELS, family)
    assert any(radius.exact for radius in radii)
    assert all(radius.lower > 0 and radius.member is not None for radius in radii)
    for index, radius in enumerate(radii):
        one, label = INPUTS[index : index + 1], LABELS[index : index + 1]
        if radius.lower:
            (verdict,) = verify(NETWORK, one, label, family.sized(radius.lower), "trains")
            assert verdict.status == "verified"
            assert radius.verifier == "trains"
            (smaller,) = verify(NETWORK, one, label, family.sized(radius.lower / 3), "trains")
            assert smaller.status == "verified"
        if radius.member is not None:
            assert family.sized(radius.upper).contains(NETWORK, radius.member)
            assert bool(margins(radius.member(one), label) <= 0)


def test_a_radius_of_stuck_neurons_is_a_count():
    torch.manual_seed(2)
    shifted = mlp((5, 12, 2), num_steps=4, neuron=LIF(0.8, 0.5)).eval()
    with torch.no_grad():
        shifted.get_parameter("layers.2.bias").add_(torch.tensor([1.0, 0.0]))
    radii = certified_radius(shifted, INPUTS, shifted(INPUTS).argmax(1), StuckNeurons())
    assert any(radius.lower for radius in radii)
    for index, radius in enumerate(radii):
        for count, status in ((int(radius.lower), "verified"), (int(radius.upper), "falsified")):
            asked = shifted, INPUTS[index : index + 1], torch.tensor([0]), StuckNeurons(count)
            (verdict,) = verify(*asked, "enumeration")
            assert count > 4 or verdict.status == status


def test_a_sample_that_fails_as_it_is_has_no_radius():
    (radius,) = certified_radius(NETWORK, INPUTS[:1], (LABELS[:1] + 1) % 3, Tolerance(0.1))
    assert (radius.lower, radius.upper, radius.exact) == (0.0, 0.0, True)
    assert radius.member is not None


def test_sets_of_networks_are_nested_and_their_verdicts_too():
    for share in (0.001, 0.01, 0.1):
        known = [
            [v.margin or 0.0 for v in verify(NETWORK, INPUTS, LABELS, Tolerance(p, p / 2, p / 4), "trains")]
            for p in (share, 2 * share)
        ]
        assert all(one >= other for one, other in zip(*known, strict=True))
    alone = verify(NETWORK, INPUTS, LABELS, Tolerance(0.003), "trains")
    with_ball = verify(NETWORK, INPUTS, LABELS, Tolerance(0.003, around=LInf(0.002)), "trains")
    assert all((one.margin or 0) >= (other.margin or 0) for one, other in zip(alone, with_ball, strict=True))


@pytest.mark.parametrize("family", [Tolerance(0.01), StuckNeurons(1)])
@pytest.mark.parametrize(
    "ask",
    [
        lambda family: bounds(NETWORK, INPUTS, family),
        lambda family: output_range(NETWORK, INPUTS, family),
        lambda family: verify(NETWORK, INPUTS, spikecert.robust(0), family, engine="local"),
        lambda family: Prover.of(NETWORK).prove(INPUTS[0], 0, family),
        lambda family: verify(NETWORK, INPUTS, spikecert.robust(0), family),
        lambda family: attack(NETWORK, INPUTS, spikecert.robust(0), family),
        lambda family: certified_radius(NETWORK, INPUTS, spikecert.robust(0), family),
    ],
)
def test_whoever_knows_sets_of_inputs_alone_says_so_in_one_line(ask, family):
    with pytest.raises(
        (TypeError, ValueError), match=r"(perturbation|labels): got (Tolerance|StuckNeurons|Robust)"
    ) as error:
        ask(family)
    assert "\n" not in str(error.value)


def test_the_share_that_grows_leaves_the_others_as_they_are():
    family = Tolerance(0.1, threshold=0.02, grows="weights")
    assert family.sized(0.3) == Tolerance(0.3, threshold=0.02, grows="weights")
    assert Tolerance(0.1, threshold=0.02).sized(0.3).threshold == pytest.approx(0.06)
    assert (family.lead, family.reach(NETWORK, INPUTS)) == (0.1, 1.0)
    radii = certified_radius(NETWORK, INPUTS, LABELS, family, tolerance=0.01)
    for index, radius in enumerate(radii):
        one, label = INPUTS[index : index + 1], LABELS[index : index + 1]
        if radius.lower:
            (verdict,) = verify(NETWORK, one, label, family.sized(radius.lower), "trains")
            assert verdict.status == "verified"
        if radius.member is not None:
            assert family.sized(radius.upper).contains(NETWORK, radius.member)
    with pytest.raises(ValueError, match="grows: got 'biases', expected one of weights, threshold, decay"):
        Tolerance(0.1, grows="biases")
