"""Images of boxes hold next states: of flows integrated anew, of linear plants in rationals; what is no plant.

Membranes that are kept: runs stay and end where it is proven, sums against powers, what is refused.
"""

import math
import sys
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from spikecert import ClosedLoop, mlp
from spikecert.analysis.loops import KeptStability
from spikecert.analysis.loops.kept import kept_bounds
from spikecert.analysis.loops.series import float_above
from spikecert.certify.loops import LinearPlant, Pendulum, PlantLoop, controller, integrator
from spikecert.certify.loops.closed_loop import kept_outputs
from spikecert.certify.loops.plants import _moved
from support.examples import examples

# pyright: reportArgumentType=false


SEEDS = st.integers(0, 2**31)


@given(seed=SEEDS)
@examples(60)
def test_sine_and_cosine_hold_points_of_their_intervals(seed: int):
    draw = np.random.default_rng(seed)
    middle = draw.uniform(-6, 6, 50) * draw.choice([0.0, 1e-9, 0.5, 1.0])
    half = draw.uniform(0, 2, 50) * draw.choice([0.0, 1e-12, 1e-3, 1.0])
    for ends, known in ((_moved(middle, half, 1), np.sin), (_moved(middle, half, 0), np.cos)):
        for share in (-1.0, -0.5, 0.0, 0.3, 1.0):
            value = known(middle + share * half)
            assert (ends[0] <= value).all()
            assert (value <= ends[1]).all()
        assert (ends[1] - ends[0] <= 2 * half + 1e-11)[np.abs(middle) + half <= 4].all()


@given(seed=SEEDS)
@examples(25)
def test_a_flow_stays_in_its_image(seed: int):
    """From corners and points of random boxes, integrated to 1e-12 by another method."""
    draw = np.random.default_rng(seed)
    plant = Pendulum(
        draw.choice([0.5, 1.0]),
        draw.choice([0.5, 2.0]),
        draw.choice([0.0, 0.1]),
        draw.choice([1.0, 9.81]),
        draw.choice([0.01, 0.05, 0.1]),
    )
    a, d, b = plant._constants
    width = draw.choice([0.0, 1e-6, 1e-2, 0.3])
    low = draw.uniform(-3, 3, (1, 2))
    high = low + width * draw.uniform(0, 1, (1, 2))
    torque = draw.uniform(-3, 3, (1, 1))
    u = torque, torque + draw.choice([0.0, 0.2])
    first, last = plant.image((low, high), u)
    for _ in range(12):
        share = draw.choice([0.0, 0.5, 1.0], 3)
        start = low[0] + share[:2] * (high - low)[0]
        given_torque = float(u[0][0, 0] + share[2] * (u[1] - u[0])[0, 0])

        def slope(_: float, x: np.ndarray, torque: float = given_torque) -> list[float]:
            return [x[1], a * np.sin(x[0]) - d * x[1] + b * torque]

        end = solve_ivp(slope, (0, plant.dt), start, rtol=1e-12, atol=1e-13).y[:, -1]
        assert (first[0] - 1e-11 <= end).all()
        assert (end <= last[0] + 1e-11).all()
        assert np.abs(plant.step(start[None], np.array([[given_torque]]))[0] - end).max() < 1e-9


@given(seed=SEEDS)
@examples(40)
def test_an_euler_step_of_a_point_is_in_its_image(seed: int):
    draw = np.random.default_rng(seed)
    plant = Pendulum(damping=0.05, method="euler")
    x, u = draw.uniform(-3, 3, (20, 2)), draw.uniform(-2, 2, (20, 1))
    first, last = plant.image((x, x), (u, u))
    after = plant.step(x, u)
    assert (first <= after).all()
    assert (after <= last).all()
    assert (last - first).max() < 1e-10


@given(seed=SEEDS)
@examples(40)
def test_next_states_of_uncertain_plants_are_in_their_image(seed: int):
    """Corners of everything, in rationals: cells, inputs, matrices."""
    draw = np.random.default_rng(seed)
    n, m = int(draw.integers(1, 4)), int(draw.integers(1, 3))
    scale = draw.choice([1.0, 1e-8, 1e6])
    A, B = draw.normal(size=(n, n)) * scale, draw.normal(size=(n, m))
    spread = np.abs(draw.normal(size=(n, n))) * draw.choice([0.0, 0.1]), np.abs(draw.normal(size=(n, m))) * 0.1
    low, torque = draw.normal(size=(1, n)), draw.normal(size=(1, m))
    high, more = low + draw.choice([0.0, 0.5]), torque + draw.choice([0.0, 0.5])
    first, last = LinearPlant(A, B, spread).image((low, high), (torque, more))
    for _ in range(10):
        x = np.where(draw.random(n) < 0.5, low[0], high[0])
        u = np.where(draw.random(m) < 0.5, torque[0], more[0])
        one = [
            [Fraction(v) + s * Fraction(w) for v, w, s in zip(*rows, strict=True)]
            for rows in _signed(A, spread[0], draw)
        ]
        two = [
            [Fraction(v) + s * Fraction(w) for v, w, s in zip(*rows, strict=True)]
            for rows in _signed(B, spread[1], draw)
        ]
        for i in range(n):
            value = sum((p * Fraction(q) for p, q in zip(one[i], x, strict=True)), Fraction(0))
            value += sum((p * Fraction(q) for p, q in zip(two[i], u, strict=True)), Fraction(0))
            assert Fraction(first[0, i]) <= value <= Fraction(last[0, i])


def _signed(rows: np.ndarray, spread: np.ndarray, draw: np.random.Generator):
    return zip(rows, spread, draw.choice([-1, 1], rows.shape).tolist(), strict=True)


def test_a_pendulum_stays_in_the_tube_and_in_safe_cells():
    """The single pendulum of ARCH-COMP: θ is in [0, 1] at each sampling instant from 0.5 to 1 s."""
    K = ((-1.4375, -0.8125),)
    made = PlantLoop(controller(K, 24), Pendulum(), C=K, scale=3.0, gain=3.0, noise=1e-3, disturbance=1e-4)
    found = made.tube([1.0, 0.0], [1.2, 0.2], 20, [0.01, 0.02])
    assert found.holds(0, 0.0, 1.0, 10, 20)
    assert not found.holds(0, 0.0, 1.0, 0, 20)
    safe = made.grid([1.0, 2.0], 80, levels=3)
    assert safe.proved
    draw = np.random.default_rng(0)
    starts = (np.array([1.0, 0.0]) + 0.2 * draw.choice([0.0, 0.5, 1.0], (600, 2))).clip(max=[1.2, 0.2])
    noise, disturbance = draw.choice([-1e-3, 1e-3], (20, 600, 2)), draw.choice([-1e-4, 1e-4], (20, 600, 2))
    runs = made.run(starts, 20, disturbance, noise)
    assert (runs >= found.lower[:, None]).all()
    assert (runs <= found.upper[:, None]).all()
    inside = draw.uniform(-1, 1, (3000, 2)) * np.array([1.0, 2.0])
    inside = inside[safe.holds(inside)]
    noise, disturbance = draw.choice([-1e-3, 1e-3], (60, 1, 2)), draw.choice([-1e-4, 1e-4], (60, 1, 2))
    runs = made.run(inside, 60, disturbance, noise)
    assert all(safe.holds(states).all() for states in runs)
    assert (np.abs(runs[-1]) <= np.array(safe.ultimate) * 1.5).all()


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Pendulum(mass=0), "mass: got 0"),
        (lambda: Pendulum(dt=float("nan")), "dt: got nan"),
        (lambda: Pendulum(damping=-1.0), "damping: got -1.0"),
        (lambda: Pendulum(damping=9.0), "damping: got 9.0"),
        (lambda: Pendulum(method="exact"), "method: got 'exact'"),
        (lambda: PlantLoop(controller([[1.0, 0.0]]), 3, C=[[1.0, 0.0]]), "plant: got int"),
        (lambda: PlantLoop(controller([[1.0, 0.0]]), Pendulum(), C=[[1.0]]), "C: got shape"),
        (
            lambda: PlantLoop(controller([[1.0], [1.0]]), Pendulum(), C=[[1.0, 0.0], [0.0, 1.0]]),
            "network: got out",
        ),
        (
            lambda: PlantLoop(controller([[1.0]]), LinearPlant(np.eye(4), np.ones((4, 1))), C=[[1.0] * 4]),
            "cells: got 4",
        ),
        (lambda: _loop().tube([0.0], [1.0], 3, [0.1, 0.1]), "lower, upper: got"),
        (lambda: _loop().tube([1.0, 0.0], [0.0, 1.0], 3, [0.1, 0.1]), "lower, upper: got"),
        (lambda: _loop().tube([0.0, float("inf")], [0.0, 1.0], 3, [0.1, 0.1]), "lower: got inf"),
        (lambda: _loop().tube([0.0, 0.0], [1.0, 1.0], 3, [0.1, 0.0]), "size: got"),
        (lambda: _loop().tube([0.0, 0.0], [1.0, 1.0], 3, [1e-9, 1e-9]), "size: got cells"),
        (lambda: _loop().tube([0.0, 0.0], [1.0, 1.0], 3, [1e-4, 1e-4]), "size: got cells"),
        (lambda: _loop().grid([1.0, 1.0], 2000), "cells: got 2000"),
        (lambda: _loop().grid([1.0, float("nan")]), "box: got nan"),
    ],
)
def test_what_is_no_plant_is_refused_in_one_line(make, told):
    with pytest.raises((TypeError, ValueError), match=f"^{told}") as error:
        make()
    assert "\n" not in str(error.value)


def _loop() -> PlantLoop:
    return PlantLoop(controller([[-1.0, -1.0]]), Pendulum(), C=[[-1.0, -1.0]])


A = ((1.0, 0.125), (0.0, 1.0))
B = ((0.0078125,), (0.125,))
K = ((-1.0, -1.75),)
UNIT = 2.75


def loop(steps: int = 16, **changed: object) -> ClosedLoop:
    given = {"C": K, "scale": UNIT, "gain": UNIT, "membranes": "kept"} | changed
    return ClosedLoop(integrator(1, steps), A, B, **given)  # type: ignore[arg-type]


def certified(made: ClosedLoop, box: tuple[float, ...]) -> KeptStability:
    found = made.certificate(box)
    assert isinstance(found, KeptStability)
    return found


@pytest.mark.parametrize("steps", [1, 4, 16])
def test_runs_stay_and_end_where_it_is_proven(steps: int):
    made = loop(steps)
    found = certified(made, (1.0, 1.0))
    assert found.proved
    assert found.check()
    starts = np.random.default_rng(0).uniform(-1, 1, (600, 2))
    starts[:300] = np.sign(starts[:300])
    runs = made.run(starts * np.array(found.initial), 600)
    assert (np.abs(runs) <= np.array(found.region)).all()
    assert (np.abs(runs[-200:]) <= np.array(found.ultimate) * (1 + 1e-9)).all()


def test_keeping_pays_against_membranes_that_start_anew():
    again = ClosedLoop(controller(K, 16), A, B, C=K, scale=UNIT, gain=UNIT).certificate((1.0, 1.0), [[1.0]])
    assert all(
        kept < 0.7 * reset
        for kept, reset in zip(certified(loop(), (1.0, 1.0)).ultimate, again.ultimate, strict=True)
    )


def test_a_disturbance_is_paid():
    calm, made = certified(loop(), (0.5, 0.5)), loop(disturbance=(0.0, 0.005))
    moved = certified(made, (0.5, 0.5))
    assert all(a > b for a, b in zip(moved.ultimate, calm.ultimate, strict=True))
    draw = np.random.default_rng(0)
    starts = np.sign(draw.uniform(-1, 1, (200, 2))) * np.array(moved.initial)
    runs = made.run(starts, 400, np.sign(draw.uniform(-1, 1, (400, 1, 2))) * np.array([0.0, 0.005]))
    assert (np.abs(runs) <= np.array(moved.region)).all()
    assert (np.abs(runs[-100:]) <= np.array(moved.ultimate)).all()
    assert not certified(loop(disturbance=1.0), (0.5, 0.5)).proved


def test_membranes_conserve_what_flows_in():
    """v⁺ = v + T·I − N up to a rounding a step, and v stays in [0, 1], at the ends of the range as well."""
    for steps in (1, 3, 16):
        z = np.concatenate([np.linspace(-1, 1, 501), [0.0, 1e-40, 1 - 2**-24, -1 + 2**-24]])[:, None]
        v = torch.rand(len(z), 1, generator=torch.Generator().manual_seed(steps))
        v[:3] = torch.tensor([[0.0], [1.0], [1 - 2**-24]])
        for _ in range(5):
            y, after = kept_outputs(z, v, steps)
            assert bool(((after >= 0) & (after <= 1)).all())
            spikes = (torch.from_numpy(y) + 1) * steps / 2
            flowed = v.double() + steps * (torch.from_numpy(z) + 1) / 2 - spikes
            assert float((flowed - after.double()).abs().max()) <= steps * 2.0**-22
            v = after


def test_outputs_are_those_of_the_network_from_empty_membranes():
    network, z = integrator(2, 8), torch.rand(50, 2) * 2 - 1
    with torch.no_grad():
        y, _ = kept_outputs(z.numpy(), torch.zeros(50, 2), 8)
        assert float((network(z) - torch.from_numpy(y)).abs().max()) <= 1e-6


@given(st.integers(0, 2**31))
@examples(20)
def test_sums_hold_those_of_many_powers(seed: int):
    draw = np.random.default_rng(seed)
    n, m = int(draw.integers(1, 4)), int(draw.integers(1, 3))
    M = draw.integers(-8, 9, (n, n)) / 8.0
    M *= draw.choice((0.5, 0.9, 0.97)) / max(np.abs(np.linalg.eigvals(M)).max(), 0.1)
    start, gains = draw.integers(-8, 9, (n, m)) / 8.0, draw.integers(-8, 9, (m, n)) / 8.0
    plant = M - start @ gains
    rows = [tuple(tuple(map(float, row)) for row in matrix) for matrix in (plant, start, gains)]
    unit, steps, radii = [2.0] * m, 4, [1.0] * n
    found = kept_bounds(*rows, unit, steps, [0.0] * n, radii)  # type: ignore[arg-type]
    scaled = start * np.array(unit) * 2 / steps
    real, power, total = plant + start @ gains, np.eye(n), np.zeros(n)
    greatest, ever, of_inputs = np.zeros(n), np.zeros(n), np.zeros(m)
    for _ in range(4000):
        total += 0.5 * np.abs(power @ (np.eye(n) - real) @ scaled).sum(1)
        greatest = np.maximum(greatest, 0.5 * np.abs(power @ scaled).sum(1))
        ever = np.maximum(ever, np.abs(power).sum(1))
        of_inputs = np.maximum(of_inputs, np.abs(gains @ power).sum(1))
        power = real @ power
    ends = total + 0.5 * np.abs(scaled).sum(1)
    below, above = 1 - 1e-6, 1.5  # rounding of floats; slow loops are bounded by geometric series
    for real_sums, told in ((ends, found.ultimate), (ever, found.start[0]), (of_inputs, found.start[1])):
        assert all(e * below <= float(t) <= e * above + 1e-3 for e, t in zip(real_sums, told, strict=True))
    assert all(float(t) >= (e + g) * below for e, g, t in zip(ends, greatest, found.rest[0], strict=True))


def test_a_certificate_that_says_more_does_not_check():
    found = certified(loop(), (1.0, 1.0))
    for wrong in (
        replace(found, share=min(1.0, found.share * 1.01)),
        replace(found, share=0.0),
        replace(found, ultimate=tuple(0.999 * s for s in found.ultimate)),
        replace(found, region=tuple(0.999 * s for s in found.region)),
        replace(found, num_steps=8),
        replace(found, disturbance=(0.0, 0.01)),
    ):
        assert not wrong.check()
    assert kept_bounds(A, B, K, (UNIT,), 16, (0.0, 0.0), (1.0, 1.0)).share > Fraction(1, 2)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (
            lambda: ClosedLoop(controller(K), A, B, C=K, scale=UNIT, gain=UNIT, membranes="kept"),
            "network: got another",
        ),
        (lambda: ClosedLoop(mlp((1, 1, 1), 4), A, B, C=K, membranes="kept"), "network: got another"),
        (lambda: ClosedLoop(integrator(1).double(), A, B, C=K, membranes="kept"), "network: got another"),
        (lambda: ClosedLoop(integrator(2), A, B, membranes="kept"), "C: got 2 rows"),
        (lambda: loop(C=((1.0, 1.75),)).certificate((1.0, 1.0)), "C: got A \\+ B·K of spectral radius"),
        (lambda: loop().certificate((1.0, 1.0), [[1.0]]), "G: got .* expected None"),
        (lambda: loop().error((1.0, 1.0)), 'membranes: got "kept"'),
        (lambda: loop().certificate((1.0, float("inf"))), "box: got inf"),
        (lambda: loop(membranes="lost"), "membranes: got 'lost'"),
        (lambda: integrator(0), "inputs: got 0"),
        (lambda: integrator(1, 0), "num_steps: got 0"),
        (lambda: integrator(1, 2**17), "num_steps: got 131072"),
    ],
)
def test_what_can_not_be_kept_is_refused(make, told):
    with pytest.raises(ValueError, match=f"^{told}") as error:
        make()
    assert "\n" not in str(error.value)


def test_a_claim_that_is_none_does_not_check():
    found = certified(loop(), (1.0, 1.0))
    assert found.check()
    for wrong in (
        {"share": found.share * 1.001},
        {"share": float("nan")},
        {"gain": (-UNIT,)},
        {"disturbance": (-1.0, 0.0)},
        {"disturbance": (float("nan"), 0.0)},
        {"num_steps": 0},
        {"num_steps": 2**16 + 1},
        {"box": (1.0, 0.0)},
        {"region": found.region[:1]},
        {"ultimate": tuple(0.99 * end for end in found.ultimate)},
        {"A": ((1.0, 0.125),)},
    ):
        assert not replace(found, **wrong).check(), wrong


def test_a_controller_that_hears_nothing_is_no_loop_but_a_plant():
    found = certified(ClosedLoop(integrator(1), ((0.5,),), ((1.0,),), C=((0.0,),), membranes="kept"), (1.0,))
    assert found.proved
    assert found.check()
    assert found.share == 1.0


def test_numbers_beyond_floats_end_as_such():
    tiny = ClosedLoop(integrator(1), ((0.5,),), ((2.0**-20,),), C=((-(2.0**-600),),), membranes="kept")
    assert certified(tiny, (2.0**-600,)).check()
    assert float_above(Fraction(10) ** 400) == math.inf
    assert float_above(-(Fraction(10) ** 400)) == -sys.float_info.max
