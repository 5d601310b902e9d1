"""Radii and sets of samples asked about properties: against all flips of small recordings, and points of boxes."""

import random
import warnings
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikecert import LInf, certified_radius, certify_set, mlp, moves_at_most, robust, targeted, top_k, verify
from spikecert.certify.questions import Property, abstains, inputs, output, sample
from spikecert.certify.questions.described import build_property, describe_property
from support.examples import by_night, examples
from support.properties import grid_network, grid_set, holds_at, random_property

SEEDS = st.integers(0, 2**31)


def question(seed: int, events: bool):
    """Return a random network, a sample and a property, whose inputs are events or not."""
    draw = random.Random(seed)
    while True:
        network = grid_network(draw)
        x, threat = grid_set(network, draw)
        if isinstance(threat, LInf) != events and x.numel() <= 8:
            with torch.no_grad():
                own = network(x)[0]
            return network, x, own, random_property(own, x[0], draw), draw


@given(seed=SEEDS)
@examples(25)
def test_radii_of_flips_are_those_of_all_recordings(seed: int):
    network, x, own, prop, _ = question(seed, events=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (found,) = certified_radius(network, x, prop, "l0", "enumeration")
    size, least = x.numel(), None
    for count in range(size + 1):
        for places in combinations(range(size), count):
            other = x.clone()
            other.view(-1)[list(places)] = 1 - other.view(-1)[list(places)]
            with torch.no_grad():
                if not holds_at(prop, network(other)[0], own, other[0]):
                    least = count
        if least is not None:
            break
    if least is None:
        assert found.counterexample is None
        return
    assert found.lower < max(least, 1)
    assert found.upper >= least
    if found.exact:
        assert found.upper == least
    if found.counterexample is not None:
        with torch.no_grad():
            assert not holds_at(prop, network(found.counterexample[None])[0], own, found.counterexample)
        assert float((found.counterexample != x[0]).sum()) <= found.upper


@given(seed=SEEDS)
@examples(12)
def test_no_point_of_a_proven_box_breaks_the_property(seed: int):
    network, x, own, prop, draw = question(seed, events=False)
    (found,) = certified_radius(network, x, prop, "linf", draw.choice(("trains", "complete")), 0.05, timeout=10)
    if found.counterexample is not None:
        with torch.no_grad():
            assert not holds_at(prop, network(found.counterexample[None])[0], own, found.counterexample)
        assert float((found.counterexample - x[0]).abs().max()) <= found.upper
    if found.lower > 0:
        far = found.lower * (2 * torch.rand(200, *x.shape[1:]) - 1).sign()
        for point in (x + far).clamp(0, 1):
            near = x[0] + (point - x[0]).clamp(-found.lower * (1 - 1e-6), found.lower * (1 - 1e-6))
            with torch.no_grad():
                assert holds_at(prop, network(near[None])[0], own, near)


def test_what_fails_as_it_is_has_radius_0_and_what_never_fails_the_range():
    torch.manual_seed(0)
    network, x = mlp((3, 8, 2), 4).eval(), torch.rand(3, 3)
    for found in certified_radius(network, x, output[0] <= -100.0):
        assert (found.lower, found.upper, found.exact) == (0.0, 0.0, True)
    for found in certified_radius(network, x, abs(output[0]) <= 100.0):
        assert (found.lower, found.upper, found.counterexample) == (1.0, 1.0, None)
    with torch.no_grad():
        labels = network(x).argmax(1)
    asked = certified_radius(network, x, robust(), verifier="complete", tolerance=0.02)
    told = certified_radius(network, x, labels, verifier="complete", tolerance=0.02, ties="strict")
    assert [(one.lower, one.upper) for one in asked] == [(one.lower, one.upper) for one in told]


@dataclass(frozen=True)
class Mine(Property):
    def clauses(self, own):
        return moves_at_most(0.5).clauses(own)


PROPERTIES = (
    robust(),
    robust(1),
    targeted(0),
    top_k(1),
    top_k(1, 0),
    moves_at_most(0.1),
    moves_at_most(0.1, 1),
    abstains(0.25),
    (output[0] - 0.1 * inputs[2] <= sample[0] + 0.3) & ((output[1] > -2) | (output[0] < 3)),
)


@pytest.mark.parametrize("prop", PROPERTIES, ids=str)
def test_a_described_property_says_the_same(prop: Property):
    again = build_property(describe_property(prop))
    assert again.clauses((0.25, 0.5)) == prop.clauses((0.25, 0.5))
    assert type(again) is type(prop)


def test_a_set_is_decided_by_workers_as_by_verify_and_goes_on_from_its_folder(tmp_path: Path):
    torch.manual_seed(0)
    network, x, threat = mlp((3, 8, 2), 4).eval(), torch.rand(7, 3), LInf(0.2)
    prop = moves_at_most(0.15) & (output[0] - 0.1 * inputs[0] <= 5.0)
    wanted = verify(network, x, prop, threat, "complete")
    assert {verdict.status for verdict in wanted} == {"verified", "falsified"}
    for _ in range(2):  # decided, and read again
        found = certify_set(network, x, prop, threat, "complete", workers=2, batch=3, folder=tmp_path)
        assert [one.status for one in found] == [one.status for one in wanted]
        assert {one.ties for one in found} == {"argmax"}
    with pytest.raises(ValueError, match=r"^folder: "):
        certify_set(network, x, moves_at_most(0.16), threat, "complete", workers=1, batch=3, folder=tmp_path)
    same = certify_set(network, x, robust(), threat, "trains", workers=1)
    assert [one.status for one in same] == [one.status for one in verify(network, x, robust(), threat, "trains")]


def test_what_can_not_be_asked_is_refused():
    network, x = mlp((3, 8, 2), 4).eval(), torch.rand(2, 3)
    with pytest.raises(TypeError, match=r"^property: got Mine, expected one that other processes know"):
        certify_set(network, x, Mine(), LInf(0.1))
    for ask in (
        lambda **rest: certify_set(network, x, moves_at_most(0.1), LInf(0.1), **rest),
        lambda **rest: certified_radius(network, x, moves_at_most(0.1), **rest),
    ):
        with pytest.raises(ValueError, match=r"^verifier: got 'gain', expected one that takes properties"):
            ask(verifier="gain")
        with pytest.raises(ValueError, match=r"^ties: got 'strict' beside a property"):
            ask(ties="strict")
    with pytest.raises(ValueError, match=r"^property: got outputs\[5\]"):
        certified_radius(network, x, output[5] <= 1.0)


def test_a_property_of_another_kind_is_refused():
    with pytest.raises(ValueError, match="kind: got 'some', expected one of all, any"):
        build_property({"kind": "some", "parts": []})


@pytest.mark.parametrize("verifier", ["milp", *by_night("auto")])
def test_nothing_may_move_where_no_spike_can_change(verifier: str):
    """All spikes are decided: the program has no rows."""
    made = mlp((4, 5, 3), num_steps=2).eval()
    made.layers[0].weight.data.zero_()  # pyright: ignore
    inputs = torch.rand(2, 4)
    for delta, status in ((0.0, "unknown"), (0.01, "verified")):  # what does not move rounds
        found = verify(made, inputs, moves_at_most(delta), LInf(0.1), verifier)
        assert [one.status for one in found] == [status] * 2
