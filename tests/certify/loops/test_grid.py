"""Cells that no run leaves: against dense samples of each cell, simulated runs, and what has no grid."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikecert import LIF, ClosedLoop, mlp
from spikecert.certify.loops import controller, integrator
from spikecert.certify.loops.grid import _CellGrid, _within
from support.examples import examples

A = ((1.0, 0.125), (0.0, 1.0))
B = ((0.0078125,), (0.125,))
K = ((-1.0, -1.75),)


def loop(**changed: object) -> ClosedLoop:
    given = {"C": K, "scale": 2.75, "gain": 2.75} | changed
    return ClosedLoop(controller(K, 16), A, B, **given)  # type: ignore[arg-type]


def random_loop(seed: int) -> ClosedLoop:
    """Return a loop of one or two states under a network that nobody trained, on a dyadic grid."""
    draw = np.random.default_rng(seed)
    torch.manual_seed(seed)
    n = int(draw.integers(1, 3))
    network = mlp((n, 6, 1), int(draw.integers(1, 5)), LIF(float(draw.choice((0.0, 0.5, 1.0)))))
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_((weight * 16).round() / 4)
    plant = tuple(tuple(map(float, row)) for row in draw.integers(-6, 7, (n, n)) / 8)
    inputs = tuple(tuple(map(float, row)) for row in draw.integers(-4, 5, (n, 1)) / 4)
    return ClosedLoop(network, plant, inputs, gain=0.5, disturbance=float(draw.choice((0.0, 0.0625))))


@given(st.integers(0, 2**31))
@examples(15)
def test_images_hold_the_next_states_and_safe_cells_their_runs(seed: int):
    made, cells = random_loop(seed), 8
    draw = np.random.default_rng(seed)
    found = made.grid([1.0] * made.states, cells, levels=4)
    one = _CellGrid.of(made.sampled().arrays, np.ones(made.states), cells)
    starts = draw.integers(-16, 17, (1500, made.states)) / 16  # borders, corners and middles of cells
    bound = np.asarray(made.disturbance)
    noise = draw.choice((-1.0, 0.0, 1.0), (1, *starts.shape)) * bound
    after = made.run(starts, 1, noise)[-1]
    places = ((starts + 1) / 2 * cells).astype(int).clip(0, cells - 1)
    for place, state in zip(places, after, strict=True):
        index = tuple(place)
        where = np.floor((state + 1) / 2 * cells)
        if not one.leaves[index]:
            edge = (state + 1) / 2 * cells == where
            assert (where - edge <= one.last[(slice(None), *index)]).all()
            assert (where >= one.first[(slice(None), *index)]).all()
    inside = starts[found.holds(starts)]
    if len(inside):
        runs = made.run(inside, 60, draw.choice((-1.0, 1.0), (60, *inside.shape)) * bound)
        assert (np.abs(runs) <= 1.0).all()
        late = made.run(inside, 400, draw.choice((-1.0, 1.0), (400, *inside.shape)) * bound)
        assert (np.abs(late[-1]) <= np.array(found.ultimate)).all()


def test_a_grid_proves_more_than_one_number():
    made = loop()
    found, other = made.grid([1.0, 1.0], 80), made.certificate([1.0, 1.0], [[1.0]])
    assert found.proved
    assert found.share > 0.85 > other.share**2
    starts = np.random.default_rng(0).uniform(-1, 1, (4000, 2))
    held = found.holds(starts)
    assert abs(held.mean() - found.share) < 0.05
    runs = made.run(starts[held], 300)
    assert all(found.holds(states).all() for states in runs[::10])
    assert (np.abs(runs[-50:]) <= np.array(found.ultimate)).all()


def test_a_plant_that_nothing_holds_has_no_safe_cell():
    made = ClosedLoop(controller([[-1.0]], 4), [[3.0]], [[0.25]], C=[[-1.0]])  # type: ignore[arg-type]
    found = made.grid([1.0], 64)
    assert not found.proved
    assert found.ultimate == ()
    assert not found.holds(np.array([[0.0], [0.5]])).any()


def test_boxes_of_cells_are_counted():
    marked = np.random.default_rng(0).random((5, 6)) < 0.4
    for _ in range(50):
        a, b = np.sort(np.random.randint(0, 5, 2)), np.sort(np.random.randint(0, 6, 2))
        first, last = np.array([[a[0]], [b[0]]]), np.array([[a[1]], [b[1]]])
        assert _within(marked, first, last)[0] == marked[a[0] : a[1] + 1, b[0] : b[1] + 1].sum()


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: loop().grid([1.0]), "box: got"),
        (lambda: loop().grid([1.0, float("nan")]), "box: got nan"),
        (lambda: loop().grid([1.0, 1.0], 1), "cells: got 1"),
        (lambda: loop().grid([1.0, 1.0], 2000), "cells: got 2000 cells along each of 2 states"),
        (lambda: loop().grid([1.0, 1.0], levels=0), "levels: got 0"),
        (
            lambda: ClosedLoop(integrator(1), A, B, C=K, scale=2.75, gain=2.75, membranes="kept").grid([1.0, 1.0]),
            'membranes: got "kept"',
        ),
        (
            lambda: ClosedLoop(
                mlp((4, 2, 1), 2), tuple(tuple(0.5 * (i == k) for k in range(4)) for i in range(4)), ((1.0,),) * 4
            ).grid([1.0] * 4, 4),
            "cells: got 4 states",
        ),
    ],
)
def test_what_has_no_grid_is_refused(make, told):
    with pytest.raises(ValueError, match=f"^{told}") as error:
        make()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("plant", "box"),
    [
        (((1e308, -1e308), (0.0, 0.5)), (1e10, 1e10)),  # of which next states are inf − inf
        (((0.5, 0.0), (0.0, 0.5)), (1e-320, 1e-320)),  # subnormal: float64 loses whole cells
    ],
)
def test_nothing_is_safe_where_floats_end(plant: tuple[tuple[float, ...], ...], box: tuple[float, ...]):
    found = ClosedLoop(controller(K, 4), plant, B, C=K).grid(box, 8)
    assert not found.safe.any()
    assert found.ultimate == ()


def test_a_network_that_sees_inf_is_told():
    with pytest.raises(ValueError, match="box: got states of which the network sees inf"):
        ClosedLoop(controller(K, 4), A, B, C=((-1e308, 0.0),)).grid((1e10, 1.0), 8)
