"""Noise, plants that are not known exactly, ellipsoids, boxes step by step: proofs hold in the worst runs."""

# pyright: reportArgumentType=false, reportGeneralTypeIssues=false

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikecert import ClosedLoop
from spikecert.analysis.loops import EllipsoidStability, PracticalStability
from spikecert.analysis.loops.ellipsoid import contracts, pushes, root_above, within
from spikecert.certify.loops import controller, integrator
from spikecert.certify.loops.uncertain import corners, off_by
from support.examples import THOROUGH, examples

A = ((1.0, 0.125), (0.0, 1.0))
B = ((0.0078125,), (0.125,))
K = ((-1.0, -1.75),)
UNIT = 2.75
BOX = (1.0, 1.0)
SPREAD = (((0.0, 0.004), (0.004, 0.002)), ((0.0005,), (0.005,)))
VERTICES = ((A, ((0.007,), (0.115,))), (((1.0, 0.13), (0.01, 1.0)), ((0.0085,), (0.135,))))
SEEDS = st.integers(0, 2**31)
STEPS = 30 if THOROUGH else 10
FAR, AWAY = (0.1, 20) if THOROUGH else (0.5, 6)


def loop(**changed: object) -> ClosedLoop:
    given = {"C": K, "scale": UNIT, "gain": UNIT} | changed
    return ClosedLoop(controller(K), A, B, **given)  # type: ignore[arg-type]


def plants(seed: int, spread: object = None, vertices: object = ()) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return another plant for each step: corners of the spread, mixtures and vertices themselves."""
    draw, found = np.random.default_rng(seed), []
    for _ in range(97):
        share = draw.dirichlet([0.3] * len(vertices)) if vertices else None
        mixed = [np.asarray(A), np.asarray(B)]
        if share is not None:
            mixed = [sum(s * np.asarray(pair[k]) for s, pair in zip(share, vertices, strict=True)) for k in (0, 1)]
        if spread is not None:
            mixed = [
                one + np.asarray(far) * draw.choice([-1, 1], one.shape)
                for one, far in zip(mixed, spread, strict=True)
            ]
        found.append(tuple(mixed))
    return found


def attacked(made: ClosedLoop, starts: np.ndarray, steps: int = 200) -> np.ndarray:
    """Return runs under noise and disturbance at their bounds and plants that change."""
    draw = np.random.default_rng(7)
    noise, moved = (
        draw.choice([-1.0, 1.0], (steps, len(starts), 2)) * np.asarray(bound)
        for bound in (made.noise, made.disturbance)
    )
    return made.run(starts, steps, moved, noise, plants(3, made.spread, made.vertices))


CASES = [
    {},
    {"noise": (0.01, 0.02)},
    {"noise": 0.01, "disturbance": (0.0, 0.002)},
    {"spread": SPREAD},
    {"vertices": VERTICES},
    {"spread": SPREAD, "vertices": VERTICES, "noise": 0.005},
]


@pytest.mark.parametrize("changed", CASES)
def test_runs_at_the_bounds_stay_and_end_where_it_is_proven(changed):
    made = loop(**changed)
    found = made.certificate(BOX, [[1.0]])
    assert isinstance(found, PracticalStability)
    assert found.proved
    assert found.check()
    starts = np.random.default_rng(0).uniform(-1, 1, (500, 2))
    starts[:300] = np.sign(starts[:300])
    runs = attacked(made, starts * np.array(found.initial))
    assert (np.abs(runs) <= np.array(found.region)).all()
    assert (np.abs(runs[-40:]) <= np.array(found.ultimate) * (1 + 1e-9)).all()


@pytest.mark.parametrize("changed", CASES)
def test_ellipsoids_hold_runs_from_their_edge(changed):
    made = loop(**changed)
    found = made.ellipsoid(BOX, [[1.0]])
    assert found.proved, found.why
    assert found.check()
    runs = attacked(made, found.starts(np.random.default_rng(0).normal(size=(500, 2))))
    P = np.asarray(found.rounds[0].P)
    assert (np.einsum("tbi,ij,tbj->tb", runs, P, runs) <= found.level**2).all()
    assert (np.abs(runs) <= np.array(found.region)).all()
    assert (np.abs(runs[-40:]) <= np.array(found.ultimate) * (1 + 1e-9)).all()


def test_what_is_not_known_costs():
    calm = loop().certificate(BOX, [[1.0]])
    for changed in CASES[1 :: 1 if THOROUGH else 3]:
        found = loop(**changed).certificate(BOX, [[1.0]])
        assert all(a > b for a, b in zip(found.ultimate, calm.ultimate, strict=True))
        assert all(a < b for a, b in zip(found.initial, calm.initial, strict=True))
    assert not loop(noise=0.5).certificate(BOX, [[1.0]]).proved
    assert not loop(spread=(((0.5, 0.0), (0.0, 0.5)), B)).certificate(BOX, [[1.0]]).proved
    far = loop(vertices=((A, ((-0.0078125,), (-0.125,))),)).ellipsoid(BOX, [[1.0]])
    assert not far.proved
    assert "spectral radius" in far.why


def test_an_ellipsoid_that_says_more_does_not_check():
    found = loop(vertices=VERTICES).ellipsoid(BOX, [[1.0]])
    first = found.rounds[0]
    worse = tuple((*row[:1], row[1] * 3) for row in first.P)
    tight = found.rounds[-1]
    for wrong in (
        replace(found, rounds=()),
        replace(found, vertices=()),
        replace(found, vertices=(*found.vertices, (A, ((0.0,), (0.0,))))),
        replace(found, disturbance=(0.1, 0.1)),
        replace(found, disturbance=(-0.1, 0.0)),
        replace(found, disturbance=(0.0,)),
        replace(found, rounds=(replace(first, level=first.level * 1.01),)),
        replace(found, rounds=(replace(first, level=float("nan")),)),
        replace(found, rounds=(replace(first, level=0.0),)),
        replace(found, rounds=(replace(first, rate=first.rate * 0.99),)),
        replace(found, rounds=(replace(first, rate=1.0),)),
        replace(found, rounds=(replace(first, push=first.push * 0.999),)),
        replace(found, rounds=(replace(first, error=(first.error[0] * 1.01,)),)),
        replace(found, rounds=(replace(first, error=(float("nan"),)),)),
        replace(found, rounds=(replace(first, P=worse),)),
        replace(found, rounds=(replace(first, P=((1.0, 0.0), (0.0, -1.0))),)),
        replace(found, rounds=(replace(first, box=(0.5, 1.0)),)),
        replace(found, rounds=(*found.rounds[:-1], replace(tight, limit=tuple(0.999 * x for x in tight.limit)))),
        replace(found, rounds=(first, replace(first, box=first.limit))),
        replace(found, rounds=(replace(first, limit=first.limit[:1]),)),
    ):
        assert isinstance(wrong, EllipsoidStability)
        assert not wrong.check()
    assert not EllipsoidStability((), (), (), "").proved


@given(seed=SEEDS)
@examples(40)
def test_norms_say_what_points_show(seed: int):
    """Edges of ellipsoids, all signs of errors, against what the exact checks say of them."""
    draw = np.random.default_rng(seed)
    n, m = int(draw.integers(1, 4)), int(draw.integers(1, 4))
    root = draw.normal(size=(n, n)) + np.eye(n)
    P = root.T @ root * draw.choice([1e-6, 1.0, 1e6])
    P = (P + P.T) / 2
    rows = tuple(map(tuple, P.tolist()))
    box = np.abs(draw.normal(size=n)) + 0.1
    level = float(draw.uniform(0.05, 2.0) * (box / np.sqrt(np.diag(np.linalg.inv(P)))).min())
    reach = level * np.sqrt(np.diag(np.linalg.inv(P)))
    if not np.allclose(reach, box, rtol=1e-6).__bool__():
        assert within(rows, level, tuple(box)) == bool((reach < box).all())
    M, gain = draw.normal(size=(n, n)) * 0.5, np.zeros((m, n))
    B_ = draw.normal(size=(n, m))
    true = np.linalg.norm(np.linalg.cholesky(P).T @ M @ np.linalg.inv(np.linalg.cholesky(P).T), 2)
    plant = ((tuple(map(tuple, M.tolist())), tuple(map(tuple, B_.tolist()))),)
    for share, holds in ((1.0 + 1e-6, true * (1 + 1e-6) < 1), (1.0 - 1e-6, False)):
        if abs(true - 1) > 1e-5:
            assert contracts(plant, tuple(map(tuple, gain.tolist())), rows, true * share) == holds
    error, far = np.abs(draw.normal(size=m)), np.abs(draw.normal(size=n)) * draw.choice([0.0, 1.0])
    found = float(pushes(plant, rows, tuple(error), tuple(far)))
    signs = np.stack(np.meshgrid(*[[-1.0, 1.0]] * m)).reshape(m, -1).T
    pushed = (signs * error) @ B_.T
    greatest = np.sqrt(np.einsum("bi,ij,bj->b", pushed, P, pushed)).max() + (far * np.sqrt(np.diag(P))).sum()
    assert greatest <= found * (1 + 1e-12)
    assert found <= greatest * (1 + 1e-9)


@pytest.mark.parametrize("value", [0, Fraction(1, 3), 2, 10**40, Fraction(1, 10**60)])
def test_a_root_is_from_above(value):
    found = root_above(Fraction(value))
    assert Fraction(value) <= found**2 <= Fraction(value) * (1 + Fraction(1, 2**60)) + Fraction(1, 2**150)


def test_boxes_hold_each_step_of_a_loop_stable_or_not():
    for changed, start in (({}, 0.3), ({"noise": 0.01, "spread": SPREAD, "disturbance": 0.001}, 0.2)):
        made = loop(**changed)
        found = made.reach((start, start), STEPS, [[1.0]])
        draw = np.random.default_rng(1)
        runs = attacked(made, np.sign(draw.uniform(-1, 1, (300, 2))) * start, STEPS)
        assert len(found) == STEPS + 1
        assert (np.abs(runs) <= np.array(found)[:, None]).all()
    away = ClosedLoop(controller(((1.0, 1.0),)), A, B, C=((1.0, 1.0),), scale=UNIT, gain=UNIT)
    found = np.array(away.reach((FAR, FAR), AWAY, [[1.0]]))
    runs = away.run(np.sign(np.random.default_rng(2).uniform(-1, 1, (300, 2))) * FAR, AWAY)
    assert (np.abs(runs) <= found[:, None]).all()
    assert found[-1].max() > 1.0


def test_noise_and_spread_are_in_tubes_and_cells():
    made = loop(noise=0.01, spread=SPREAD, disturbance=0.001)
    found, safe = made.tube([0.2, 0.0], [0.3, 0.1], 12, [0.01, 0.01]), made.grid(BOX, 60, levels=2)
    draw = np.random.default_rng(1)
    starts = (np.array([0.2, 0.0]) + 0.1 * draw.choice([0.0, 0.5, 1.0], (400, 2))).clip(max=[0.3, 0.1])
    runs = attacked(made, starts, 12)
    assert (runs >= found.lower[:, None]).all()
    assert (runs <= found.upper[:, None]).all()
    inside = draw.uniform(-1, 1, (2000, 2))
    inside = inside[safe.holds(inside)]
    assert len(inside)
    assert all(safe.holds(states).all() for states in attacked(made, inside, 60))


def test_corners_and_distances_are_those_of_all_plants():
    pairs = corners((A, B), SPREAD, VERTICES)
    assert len(pairs) == 3 * 2**5
    one, other = off_by((A, B), SPREAD, VERTICES)
    for P, Q in pairs:
        assert (np.abs(np.asarray(P) - np.asarray(A)) <= np.asarray(one) + 1e-15).all()
        assert (np.abs(np.asarray(Q) - np.asarray(B)) <= np.asarray(other) + 1e-15).all()
    assert off_by((A, B), None, ()) is None
    assert corners((A, B), None, ()) == ((A, B),)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: loop(noise=-1.0), "noise: got -1.0"),
        (lambda: loop(noise=float("nan")), "noise: got"),
        (lambda: loop(spread=3.0), "spread: got float"),
        (lambda: loop(spread=(A, A)), "spread of B: got shape"),
        (lambda: loop(spread=(((-1.0, 0.0), (0.0, 0.0)), B)), "spread: got a number below 0"),
        (lambda: loop(vertices=3), "vertices: got int"),
        (lambda: loop(vertices=((A,),)), "vertices: got tuple"),
        (lambda: loop(vertices=((A, A),)), r"vertices\[0\] B: got shape"),
        (lambda: loop(vertices=((((float("inf"), 0.0), (0.0, 0.0)), B),)), r"vertices\[0\] A: got inf"),
        (lambda: loop().ellipsoid((1.0, float("inf"))), "box: got inf"),
        (lambda: loop(spread=(A, B), vertices=VERTICES * 40).ellipsoid(BOX), "spread: got 5 entries"),
        (lambda: loop().reach((0.1, 0.1), 1000), "steps: got 1000"),
        (lambda: loop().reach((0.1,), 3), "box: got"),
        (lambda: _kept(noise=0.1), 'noise, spread, vertices: got one with membranes "kept"'),
        (lambda: _kept().ellipsoid(BOX), 'membranes: got "kept"'),
        (lambda: _kept().tube([0.0, 0.0], [1.0, 1.0], 3, [0.1, 0.1]), 'membranes: got "kept"'),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(make, told):
    with pytest.raises((TypeError, ValueError), match=f"^{told}") as error:
        make()
    assert "\n" not in str(error.value)


def _kept(**changed: object) -> ClosedLoop:
    given = {"C": K, "scale": UNIT, "gain": UNIT, "membranes": "kept"} | changed
    return ClosedLoop(integrator(1), A, B, **given)  # type: ignore[arg-type]
