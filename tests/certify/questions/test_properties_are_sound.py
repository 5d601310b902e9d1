"""Verdicts about properties against exact arithmetic over runs: lists of whole sets, and grids of boxes."""

import random
import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikecert import verify
from support.examples import examples
from support.properties import grid_network, grid_set, holds_at, members, random_property

SEEDS = st.integers(0, 2**31)
QUICK = ("interval", "trains", "linear", "complete", "enumeration")
ALL = (*QUICK, "milp", "auto")


def check(seed: int, verifiers: tuple[str, ...], moving: bool = False) -> tuple[int, list[str]]:
    """Hold verdicts of one random question against all runs that are known; return how many runs differ, and them.

    With `moving` nothing is asked where all outputs are one.
    """
    draw = random.Random(seed)
    network = grid_network(draw)
    x, threat = grid_set(network, draw)
    with torch.no_grad():
        own = network(x)[0]
        prop = random_property(own, x[0], draw)
        points, whole = members(threat, x, draw)
        if moving and len(network(points).unique(dim=0)) == 1:
            return 1, []
        runs = torch.cat([network(point[None]) for point in points])
    truth = [holds_at(prop, y, own, point) for y, point in zip(runs, points, strict=True)]
    given = list[str]()
    for name in verifiers:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            (found,) = verify(network, x, prop, threat, name, timeout=20)
        given.append(found.status)
        assert found.status != "verified" or all(truth), (seed, name)
        if found.status == "falsified":
            point = found.counterexample
            assert point is not None
            with torch.no_grad():
                assert not holds_at(prop, network(point[None])[0], own, point), (seed, name)
            assert bool(threat.contains(point[None], x))
            assert not (whole and all(truth)), (seed, name)
    return len({tuple(y.tolist()) for y in runs}), given


@given(seed=SEEDS)
@examples(40)
def test_no_verdict_is_false(seed: int):
    check(seed, QUICK)


@pytest.mark.parametrize("seed", [20021, 20071, 20077, 20295])
def test_seeds_that_have_found_a_wrong_bound(seed: int):
    """Each of them says so where a row's ends, or its offset in a program, are wrong."""
    check(seed, (*QUICK, "milp"))


@given(seed=SEEDS)
@examples(6)
def test_programs_and_attacks_agree(seed: int):
    check(seed, ("milp", "auto"))


@pytest.mark.slow
def test_no_verdict_is_false_at_length():
    """Many questions whose outputs move, to each verifier, the ladder of all of them now and then."""
    asked = ((seed, ALL if seed % 8 == 0 else (*QUICK, "milp")) for seed in range(100_000, 124_000))
    found = [check(seed, verifiers, moving=True) for seed, verifiers in asked]
    assert sum(runs > 1 for runs, _ in found) > 5000
