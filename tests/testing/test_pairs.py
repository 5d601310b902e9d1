"""Near pairs are near and differ; networks are active; failures print code that repeats them."""

from typing import Any

import pytest
import torch
from hypothesis import find, given, settings
from hypothesis import strategies as st

from spikecert import LIF, LInf, mlp
from spikecert.certify import LogitBounds, PixelBox
from spikecert.certify.perturbations import SpikeFlip, SpikeShift
from spikecert.certify.verifiers import MarginVerifier
from spikecert.testing import (
    NearPair,
    Refuted,
    activated,
    active_networks,
    as_code,
    check_gain_bound,
    check_sound,
    counterexample,
    image_networks,
    networks,
    pairs,
    residual_networks,
    sequence_networks,
)
from spikecert.testing.claims.near import NORMS
from support.examples import examples

EVENTS = networks(encodings=("none",), most_steps=5).filter(lambda network: network.num_steps > 1)


class Shy(MarginVerifier):
    """Bounds all logits by themselves: right at no radius but 0."""

    name = "shy"

    def logits(self, network, inputs, perturbation) -> LogitBounds:
        found = network(inputs).double()
        return LogitBounds(found + 1, found - 1)

    def margins(self, network, inputs, labels, perturbation, expired=lambda: False) -> torch.Tensor:
        return torch.full((len(labels),), -torch.inf, dtype=torch.float64)


ORDER = {"l1": 1.0, "l2": 2.0}


@examples(200)
@given(st.sampled_from(NORMS), st.data())
def test_pairs_are_near_and_never_the_same(norm: str, data: st.DataObject) -> None:
    pair = data.draw(pairs(norms=(norm,)))
    moved = (pair.perturbed.double() - pair.clean.double()).flatten(1)
    assert bool((moved != 0).any(1).all())
    assert 0 <= float(pair.perturbed.min()) <= float(pair.perturbed.max()) <= 1
    if pair.perturbation is not None:
        assert bool(pair.perturbation.contains(pair.perturbed, pair.clean).all())
    elif norm == "l0":
        assert int((moved != 0).sum(1).max()) <= 3
    else:
        assert float(moved.norm(ORDER[norm], dim=1).max()) <= 0.2500001


@examples(60)
@given(st.sampled_from(["l0", "shift"]), st.data())
def test_events_are_near_and_never_the_same(norm: str, data: st.DataObject) -> None:
    pair = data.draw(pairs(networks=EVENTS, norms=(norm,), events=True))
    assert bool((pair.clean != pair.perturbed).flatten(1).any(1).all())
    assert isinstance(pair.perturbation, SpikeFlip if norm == "l0" else SpikeShift)
    assert bool(pair.perturbation.contains(pair.perturbed, pair.clean).all())


@examples(40)
@given(pairs(ordered=True, nonnegative=True))
def test_ordered_pairs_of_nonnegative_networks(pair: NearPair) -> None:
    assert bool((pair.clean <= pair.perturbed).all())
    assert bool((pair.clean < pair.perturbed).flatten(1).any(1).all())
    assert all(bool((w >= 0).all()) for name, w in pair.network.named_parameters() if name.endswith("weight"))


@examples(40)
@given(pairs(), active_networks())
def test_layers_are_neither_silent_nor_always_on(pair: NearPair, network: Any) -> None:
    with torch.no_grad():
        rates = [float(train.mean()) for train in pair.network.trace(pair.clean).spikes]
    assert all(0 < rate < 1 for rate in rates)
    assert not network.training


def test_one_input_twice_is_asked_for() -> None:
    pair = find(pairs(identical=True), lambda pair: True, settings=settings(max_examples=5))
    assert torch.equal(pair.clean[0], pair.perturbed[0])
    assert not torch.equal(pair.clean[1:], pair.perturbed[1:])


def test_what_cannot_fire_is_not_made_to() -> None:
    silent = mlp((2, 3, 2), neuron=LIF(threshold=1e9))
    assert activated(silent, torch.rand(4, 2)) is None


@pytest.mark.parametrize(("wrong", "message"), [
    ({"norms": ("l3",)}, r"^norms: got 'l3'"),
    ({"events": True, "norms": ("l0",)}, r'^events: got True, expected it with a network of encoding "none"'),
    ({"norms": ("shift",)}, r'^norms: got "shift", expected it with events'),
])  # fmt: skip
def test_pairs_that_cannot_be_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find(pairs(mlp((2, 3, 2)), **wrong), lambda pair: True)


@examples(30)
@given(st.data())
def test_code_makes_the_same_network(data: st.DataObject) -> None:
    kinds = [networks(), residual_networks(), image_networks(), sequence_networks()]
    network = data.draw(st.sampled_from(kinds).flatmap(lambda kind: kind))
    again: dict[str, Any] = {}
    exec(as_code(network=network), again)
    state = again["network"].state_dict()
    assert all(torch.equal(tensor, state[key]) for key, tensor in network.state_dict().items())
    assert str(network) == str(again["network"])


def test_code_keeps_sets_and_infinities() -> None:
    box, again = PixelBox(torch.tensor([0.1, 0.7])), {}
    exec(as_code(box=box, ends=torch.tensor([float("inf"), 0.1]), flips=SpikeFlip(2)), again)
    assert torch.equal(again["box"].radius, box.radius)
    assert torch.equal(again["ends"], torch.tensor([float("inf"), 0.1]))
    assert again["flips"] == SpikeFlip(2)


def test_a_failure_prints_the_call_that_repeats_it() -> None:
    torch.manual_seed(0)
    network = mlp((3, 4, 2), num_steps=3, neuron=LIF(0.5)).eval()
    clean = torch.rand(2, 3)
    with pytest.raises(Refuted) as caught:
        check_gain_bound(network, clean, clean + 0.1, [1e-3])
    assert caught.value.code in caught.value.__notes__
    assert caught.value.code is not None
    with pytest.raises(Refuted, match=r"more than gain 0\.001"):
        exec(caught.value.code, {})


def test_what_is_large_or_a_user_s_own_is_said_in_a_comment() -> None:
    torch.manual_seed(0)
    network = mlp((6, 8, 3), num_steps=5, neuron=LIF(0.9, 0.3)).eval()
    with pytest.raises(Refuted) as caught:
        check_sound(network, torch.rand(4, 6), LInf(0.0), Shy())
    assert caught.value.code is not None
    assert "# verifier = <" in caught.value.code
    large = mlp((90, 90, 2)).eval()
    with pytest.raises(Refuted) as caught:
        check_gain_bound(large, torch.rand(1, 90), torch.rand(1, 90), [1e-9])
    assert caught.value.code == (
        "# check_gain_bound: the network and the inputs are too large to print; the witness has the input"
    )


def test_counterexamples_are_small() -> None:
    """Spikes that change need one sample, one input and one neuron to change."""
    found = counterexample(
        lambda pair: all(
            torch.equal(a, b)
            for a, b in zip(
                *(pair.network.trace(batch).spikes for batch in (pair.clean, pair.perturbed)), strict=True
            )
        )
    )
    assert found is not None
    assert found.clean.shape[0] == 1
    assert [layer.out_features for layer in found.network.layers[:-1] if hasattr(layer, "out_features")] == [1]
    assert "network = build({" in repr(found)


@settings(max_examples=5)
@given(pairs(shape=(1, 6, 6), networks=image_networks(pools=("average",))))
def test_images_have_pairs(pair: NearPair) -> None:
    assert pair.clean.shape == (4, 1, 6, 6)
