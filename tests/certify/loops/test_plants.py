"""Images of boxes hold next states: of flows integrated anew, of linear plants in rationals; what is no plant."""

# pyright: reportArgumentType=false

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from spikecert.certify.loops import LinearPlant, Pendulum, PlantLoop, controller
from spikecert.certify.loops.plants import _moved
from support.examples import examples

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
