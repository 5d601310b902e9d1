"""Controllers in closed loop: proofs hold in simulated runs and fall with their error gain; what is no loop."""

# pyright: reportArgumentType=false, reportIndexIssue=false

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from spikecert import LIF, ClosedLoop, SpikingNetwork, mlp
from spikecert.analysis.loops import PracticalStability
from spikecert.certify.loops import controller
from spikecert.certify.loops.grid import influencing

A = ((1.0, 0.125), (0.0, 1.0))
B = ((0.0078125,), (0.125,))
K = ((-1.0, -1.75),)
UNIT = 2.75
BOX = (1.0, 1.0)


def loop(**changed: object) -> ClosedLoop:
    """Return a double integrator under that controller."""
    given = {"C": K, "scale": UNIT, "gain": UNIT} | changed
    return ClosedLoop(controller(K), A, B, **given)  # type: ignore[arg-type]


def test_runs_stay_and_end_where_it_is_proven():
    made = loop()
    found = made.certificate(BOX, [[1.0]], tolerance=1e-3)
    assert isinstance(found, PracticalStability)
    assert found.proved
    assert found.check()
    assert all(value >= 0.4 for value in found.initial)
    assert all(value <= 0.2 for value in found.ultimate)
    assert UNIT / 32 <= found.error[0] <= UNIT / 32 + 1.1e-3 * UNIT
    draw = np.random.default_rng(0)
    starts = draw.uniform(-1, 1, (1000, 2))
    starts[:500] = np.sign(starts[:500])
    runs = made.run(starts * np.array(found.initial), 300)
    assert (np.abs(runs) <= np.array(found.rounds[0].box)).all()
    assert (np.abs(runs[-50:]) <= np.array(found.ultimate) * (1 + 1e-9)).all()


def test_the_error_gain_is_attained_and_holds():
    made = loop()
    gain = made.error(BOX, [[1.0]], tolerance=1e-3)
    assert gain.closed
    assert gain.attained[0] <= gain.error[0] <= gain.attained[0] + 2e-3 * UNIT
    states = np.random.default_rng(1).uniform(-1, 1, (4000, 2))
    error = np.abs(made.control(states) - states @ np.array(K).T)
    assert error.max() <= gain.error[0]


def test_a_disturbance_is_paid():
    calm, moved = loop().certificate(BOX, [[1.0]]), loop(disturbance=0.005).certificate(BOX, [[1.0]])
    assert moved.proved
    assert all(a > b for a, b in zip(moved.ultimate, calm.ultimate, strict=True))
    made, draw = loop(disturbance=0.005), np.random.default_rng(0)
    starts = np.sign(draw.uniform(-1, 1, (200, 2))) * np.array(moved.initial)
    runs = made.run(starts, 200, np.sign(draw.uniform(-1, 1, (200, 1, 2))) * 0.005)
    assert (np.abs(runs) <= np.array(BOX)).all()
    assert not loop(disturbance=0.5).certificate(BOX, [[1.0]]).proved


def test_a_certificate_that_says_more_does_not_check():
    found = loop().certificate(BOX, [[1.0]])
    assert isinstance(found, PracticalStability)
    first = found.rounds[0]
    for wrong in (
        replace(found, share=min(1.0, found.share * 1.01)),
        replace(found, share=0.0),
        replace(found, rounds=(replace(first, limit=tuple(0.99 * s for s in first.limit)),)),
        replace(found, rounds=(replace(first, error=(first.error[0] * 1.1,)),)),
        replace(found, rounds=(first, replace(first, box=first.limit))),
        replace(found, disturbance=(0.1, 0.1)),
        replace(found, disturbance=(-0.1, 0.0)),
        replace(found, share=float("nan")),
        replace(found, rounds=(replace(first, error=(float("nan"),)),)),
        replace(found, rounds=(replace(first, limit=first.limit[:1]),)),
        replace(found, A=A[:1]),
        replace(found, rounds=()),
    ):
        assert isinstance(wrong, PracticalStability)
        assert not wrong.check()


def test_boxes_that_shrink_to_nothing_check():
    quiet = SpikingNetwork(nn.Linear(1, 2), LIF(0.5), nn.Linear(2, 1), num_steps=2).eval()
    for weights in quiet.parameters():
        weights.data.zero_()
    found = ClosedLoop(quiet, [[0.25]], [[0.0]]).certificate([1.0], [[0.0]])
    assert found.proved
    assert found.check()


def test_a_coarse_controller_proves_nothing():
    made = ClosedLoop(controller(K, 2), A, B, C=K, scale=UNIT, gain=UNIT)
    found = made.certificate(BOX, [[1.0]])
    assert not found.proved
    assert not found.check()
    assert "of the box" in found.why


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: loop(time="continuous"), "time: got a continuous plant"),
        (lambda: loop(membranes="kept"), 'network: got another one with membranes "kept"'),
        (lambda: ClosedLoop(controller(K), A, B), "network|inputs|mat1"),
        (lambda: ClosedLoop(controller(K), ((1.0, 0.0),), B), "A: got shape"),
        (lambda: ClosedLoop(controller(K), A, ((1.0,),)), "B: got shape"),
        (lambda: loop(C=((1.0,),)), "C: got shape"),
        (lambda: loop(scale=0.0), "scale: got 0.0"),
        (lambda: loop(gain=(1.0, 2.0)), "gain: got"),
        (lambda: loop(disturbance=-1.0), "disturbance: got"),
        (lambda: ClosedLoop(controller(K), ((float("nan"), 0.0), (0.0, 1.0)), B, C=K), "A: got nan"),
        (lambda: loop().certificate((1.0, float("inf"))), "box: got inf"),
        (lambda: loop().certificate((1.0,)), "box: got"),
        (lambda: loop().certificate((1.0, 0.0)), "box: got"),
        (lambda: loop().certificate(BOX, [[1.0, 2.0]]), "G: got shape"),
        (lambda: loop().certificate(BOX, [[1.0]], tolerance=-1.0), "tolerance: got -1.0"),
        (lambda: loop().error(BOX, [[1.0]], tolerance=0.0), "tolerance: got 0.0"),
        (lambda: loop().certificate(BOX, [[-1.0]]), "G: got A \\+ B·G·C of spectral radius"),
        (lambda: loop().certificate(BOX, [[float("nan")]]), "G: got nan"),
    ],
)
def test_what_is_no_loop_is_refused(make, told):
    with pytest.raises((TypeError, ValueError), match=f"^({told})") as error:
        make()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("hidden", [1, 3, 32])
def test_a_controller_is_linear_up_to_a_stair_for_each_input(hidden: int):
    network = controller([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]], hidden)
    z = torch.cat([torch.linspace(-1, 1, 97)[:, None].expand(-1, 3), 2 * torch.rand(500, 3) - 1])
    with torch.no_grad():
        y = network(z)
    assert float((y - z).abs().max()) <= 1 / hidden + 1e-6
    assert y.shape == z.shape
    assert len(set(y[:, 1].tolist())) == hidden + 1


def test_more_stairs_leave_a_smaller_error_and_a_matrix_is_needed():
    errors = [ClosedLoop(controller(K, h), A, B, C=K, scale=UNIT, gain=UNIT).error(BOX, [[1.0]]) for h in (8, 32)]
    assert errors[1].error[0] < 0.3 * errors[0].error[0]
    with pytest.raises(ValueError, match="hidden: got 0"):
        controller(K, 0)
    with pytest.raises(TypeError, match="K: "):
        controller(3.0)


def test_an_output_depends_on_inputs_that_weights_lead_to():
    found = influencing(controller([[1.0], [2.0], [3.0]], 4), 3)
    assert found.tolist() == torch.eye(3, dtype=torch.bool).tolist()
    network = mlp((3, 4, 2), 2)
    network.layers[0].weight.data[:, 1] = 0.0
    network.layers[-1].weight.data[1] = 0.0
    assert influencing(network, 3).tolist() == [[True, False, True], [False] * 3]
    z = torch.rand(200, 3)
    other = z.clone()
    other[:, 1] = torch.rand(200)
    with torch.no_grad():
        assert bool((network(z)[:, 0] == network(other)[:, 0]).all())
        assert len(set(network(z)[:, 1].tolist())) == 1


def test_many_inputs_that_go_their_own_ways_are_one_question_each():
    """Four double integrators with an input each: each error gain is one dimension, however many states."""
    A4, B4, C4 = (np.kron(np.eye(4), np.asarray(rows)) for rows in (A, B, K))
    made = ClosedLoop(controller(C4), A4, B4, C=C4, scale=UNIT, gain=UNIT)
    found = made.certificate((1.0,) * 8, np.eye(4))
    alone = loop().certificate(BOX, [[1.0]])
    assert found.proved
    assert np.allclose(found.ultimate, alone.ultimate * 4, rtol=1e-3)
