"""What a tie between logits is, and what integer counts add to a bound.

Verdicts, attacks and radii compare, though they hold tensors.
"""

import itertools
import math
from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from torch import Tensor

from spikecert import (
    LIF,
    LInf,
    SpikeFlip,
    SpikingNetwork,
    attack,
    certified_radius,
    certify_set,
    mlp,
    reconcile,
    verify,
)
from spikecert.certify import AttackResult, Radius, Verdict
from spikecert.certify.problem import Problem
from spikecert.certify.replay import fails, margins, replays
from spikecert.certify.ties import TIES, Goal, settled_ties
from spikecert.certify.verifiers import VERIFIERS, Milp
from spikecert.models.circuit import circuit
from support.fleets import Here
from support.ties import tied_network


def every(values: tuple[float, ...], classes: int) -> Tensor:
    """Return all logits of so many classes over some values."""
    return torch.tensor(list(itertools.product(values, repeat=classes)))


def test_argmax_is_the_lowest_index_of_torch_and_strict_is_every_tie() -> None:
    logits = every((0.0, 0.25, 0.5), 4)
    for label in range(4):
        labels = torch.full((len(logits),), label)
        assert fails(logits, labels, "argmax").equal(logits.argmax(1) != label)
        alone = logits.clone()
        alone[:, label] = -math.inf
        assert fails(logits, labels, "strict").equal(logits[:, label] <= alone.amax(1))


def test_a_wide_argmax_is_the_lowest_index_too() -> None:
    logits = torch.randint(0, 3, (50, 1000), generator=torch.Generator().manual_seed(0)).float()
    labels = logits.argmax(1)
    assert not bool(fails(logits, labels, "argmax").any())
    assert bool(fails(logits, (labels + 1) % 1000, "argmax").all())


@pytest.mark.parametrize("ties", TIES)
def test_a_margin_that_is_not_a_number_says_nothing(ties: str) -> None:
    logits = torch.tensor([[math.inf, math.inf], [math.nan, 0.0], [-math.inf, -math.inf]])
    assert not bool(fails(logits, torch.tensor([0, 0, 0]), ties).any())
    assert not bool(fails(logits, torch.tensor([1, 1, 1]), ties).any())


def goal(ties: str, steps: int, dtype: torch.dtype) -> Goal:
    torch.manual_seed(0)
    return Goal.of(circuit(SpikingNetwork(torch.nn.Linear(1, 2), LIF(), num_steps=steps).to(dtype)), ties)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("by_product", [False, True])
def test_bounds_of_counts_round_up_and_never_past_the_run(dtype: torch.dtype, by_product: bool) -> None:
    """All pairs of counts; the bound is the run's own margin, one number below it, and nearly a step below it."""
    for steps in (*range(1, 30), 97, 255, 1000):
        counts = torch.arange(steps + 1, dtype=dtype)[:: max(1, steps // 40)]
        means = counts * torch.tensor(1 / steps, dtype=dtype) if by_product else counts / steps
        exact = means.double()[:, None] - means.double()  # the difference of two floats of [0, 1], for float32
        found = goal("argmax", steps, dtype)
        for below in (exact, exact.nextafter(torch.tensor(-math.inf).double()), exact - 0.9 / steps):
            raised = found.tightened(below)
            errors = [
                Fraction(raised[i, k].item()) - (Fraction(means[i].item()) - Fraction(means[k].item()))
                for i, k in itertools.product(range(len(counts)), repeat=2)
            ]
            assert max(errors) <= (0 if dtype == torch.float32 else Fraction(1, 2**50))
            assert bool((raised >= exact - 20 * torch.finfo(dtype).eps).all())
            same = torch.eye(len(counts), dtype=torch.bool)
            assert bool((raised[same] == 0).all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_exceeds_the_floor_is_enough_and_no_lesser_count_does(dtype: torch.dtype) -> None:
    labels = torch.tensor([1])
    for steps in (1, 2, 3, 7, 25, 255):
        means = torch.arange(steps + 1, dtype=dtype) / steps
        exact = (means.double()[:, None] - means.double()).flatten()
        for ties, place in itertools.product(TIES, (0, 2)):
            found = goal(ties, steps, dtype)
            floor = found.floor(labels, 3)[0, place]
            least = 0 if ties == "argmax" and place == 2 else 1
            counts = torch.arange(steps + 1)
            wanted = (counts[:, None] - counts >= least).flatten()
            assert (exact > floor).equal(wanted)
            bounds = torch.zeros(len(exact), 3, dtype=torch.float64)
            bounds[:, place] = exact
            bounds[:, 2 - place] = 1.0
            bounds[:, 1] = math.inf
            proven = found.proven(found.tightened(bounds), labels.expand(len(exact))).all(1)
            assert proven.equal(wanted)


def test_margins_of_other_readouts_stay_as_they_are() -> None:
    found = Goal.of(circuit(mlp((3, 4, 2), num_steps=4)), "argmax")
    bounds = torch.tensor([[math.inf, -0.1], [-0.0, math.inf], [math.inf, 0.0]], dtype=torch.float64)
    assert found.tightened(bounds) is bounds
    assert found.proven(bounds, torch.tensor([0, 1, 0])).all(1).tolist() == [False, False, True]
    assert (bounds > found.floor(torch.tensor([0, 1, 0]), 2)).all(1).tolist() == [False, False, True]


def test_the_default_goes_by_the_readout() -> None:
    counting = SpikingNetwork(torch.nn.Linear(2, 2), LIF(), num_steps=3)
    assert settled_ties(counting, None) == "argmax"
    assert settled_ties(mlp((2, 3, 2), num_steps=3), None) == "strict"
    assert settled_ties(counting, "strict") == "strict"
    with pytest.raises(ValueError, match=r"^ties: got 'lowest', expected one of argmax, strict$"):
        verify(counting, torch.rand(1, 2), torch.tensor([0]), LInf(0.1), ties="lowest")


INPUTS = torch.full((2, 2), 0.5)


@pytest.mark.parametrize("verifier", sorted(set(VERIFIERS) - {"enumeration", "lirpa"}))
def test_a_tie_falls_to_the_lower_index(verifier: str) -> None:
    net, labels = tied_network(), torch.tensor([0, 1])
    argmax = verify(net, INPUTS, labels, LInf(0.05), verifier)
    assert [(found.status, found.margin, found.ties) for found in argmax] == [
        ("verified", 0.0, "argmax"),
        ("falsified", None, "argmax"),
    ]
    assert argmax[1].reason == "tied with another class unperturbed"
    strict = verify(net, INPUTS, labels, LInf(0.05), verifier, ties="strict")
    assert [(found.status, found.ties) for found in strict] == [("falsified", "strict")] * 2


def test_members_that_tie_are_proven_where_the_tie_falls_to_the_label() -> None:
    asked = tied_network(), torch.ones(2, 2), torch.tensor([0, 1]), SpikeFlip(1), "enumeration"
    assert [(found.status, found.margin) for found in verify(*asked)] == [("verified", 0.0), ("falsified", None)]
    assert [found.status for found in verify(*asked, ties="strict")] == ["falsified"] * 2


def test_attacks_radii_and_sets_take_ties_alike() -> None:
    net, labels = tied_network(), torch.tensor([0, 1])
    for ties, broken in (("argmax", [False, True]), ("strict", [True, True])):
        result = attack(net, INPUTS, labels, LInf(0.05), "ensemble-fast", ties=ties)
        assert (result.success.tolist(), result.ties) == (broken, ties)
        radii = certified_radius(net, INPUTS, labels, verifier="trains", ties=ties, tolerance=0.1, timeout=2.0)
        assert [(radius.lower > 0, radius.ties) for radius in radii] == [(not fails, ties) for fails in broken]
        found = certify_set(net, INPUTS, labels, LInf(0.05), "trains", ties=ties, engine=Here())
        assert [(one.status == "falsified", one.ties) for one in found] == [(fails, ties) for fails in broken]
        reconcile(found, result)


def test_a_proof_and_an_attack_with_other_ties_are_not_compared() -> None:
    net, labels = tied_network(), torch.tensor([0, 1])
    verdicts = verify(net, INPUTS, labels, LInf(0.05), "trains")
    result = attack(net, INPUTS, labels, LInf(0.05), "fgsm", ties="strict")
    with pytest.raises(ValueError, match=r"^verdicts: got ties 'argmax', expected the attack's 'strict'$"):
        reconcile(verdicts, result)


def test_a_verified_margin_of_0_needs_ties_that_fall_to_the_label() -> None:
    found = Verdict("verified", 0.0, None, "mine", 0.0, "", "argmax")
    with pytest.raises(ValueError, match=r"^margin: got 0\.0, expected a positive number for 'verified'$"):
        replace(found, ties="strict")
    with pytest.raises(ValueError, match=r"^margin: got -0\.1, expected a number of at least 0 for 'verified'$"):
        replace(found, margin=-0.1)
    with pytest.raises(ValueError, match=r"^ties: got 'none'"):
        replace(found, ties="none")


def test_replays_go_by_the_ties() -> None:
    net = tied_network()
    assert margins(net(INPUTS), torch.tensor([0, 1])).tolist() == [0.0, 0.0]
    assert not replays(net, INPUTS[0], 0, "argmax")
    assert replays(net, INPUTS[0], 0, "strict")
    assert replays(net, INPUTS[1], 1, "argmax")


def test_a_bound_of_0_suffices_a_program_above_the_label_only() -> None:
    margins = torch.tensor([[math.inf, -1e-5, 0.5], [-1e-5, math.inf, 0.5]], dtype=torch.float64)
    statuses = []
    for label in (0, 1):
        problem = Problem(tied_network(), INPUTS[:1], torch.tensor([label]), LInf(0.0), ties="argmax")
        statuses.append(Milp()._unfalsified(problem, margins[label, None], 0.0).status)
    assert statuses == ["verified", "unknown"]


FOUND = torch.tensor([[0.25, 0.5]])
VERDICT = Verdict("falsified", -0.5, FOUND, "pgd", 0.1, "broken")
RESULT = AttackResult(FOUND, torch.tensor([True]), torch.tensor([[1.0, 2.0]]), "pgd")
RADIUS = Radius(0.0, 0.5, False, FOUND, None)


@pytest.mark.parametrize("result", [VERDICT, RESULT, RADIUS], ids=["verdict", "attack", "radius"])
def test_results_are_equal_where_their_fields_are(result: object) -> None:
    name = "inputs" if isinstance(result, AttackResult) else "counterexample"
    assert result == replace(result, **{name: FOUND.clone()})  # type: ignore[type-var]
    assert hash(result) == hash(replace(result, **{name: FOUND.clone()}))  # type: ignore[type-var]
    for other in (FOUND + 1, FOUND.double(), FOUND[:, :1], torch.full_like(FOUND, torch.nan)):
        assert result != replace(result, **{name: other})  # type: ignore[type-var]
    assert result != "falsified"
    assert len({result, replace(result)}) == 1  # type: ignore[type-var]


def test_time_is_no_part_of_a_verdict_and_the_rest_is() -> None:
    assert replace(VERDICT, seconds=9.0) == VERDICT
    assert replace(VERDICT, status="unknown", counterexample=None) != VERDICT
    for changed in ({"margin": None}, {"verifier": "trains"}, {"reason": ""}, {"ties": "argmax"}):
        assert replace(VERDICT, **changed) != VERDICT
    assert [VERDICT, VERDICT].index(replace(VERDICT)) == 0
