"""Plants of python-control and SciPy: taken as they are, continuous ones refused with the line that helps."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.signal import StateSpace

from spikecert import ClosedLoop
from spikecert.certify.loops import controller

A, B = ((1.0, 0.125), (0.0, 1.0)), ((0.0078125,), (0.125,))
K, D = ((-1.0, -1.75),), ((0.0,),)


def foreign(dt: object, **changed: object) -> SimpleNamespace:
    """Return what python-control's StateSpace holds."""
    given = {"A": np.array(A), "B": np.array(B), "C": np.array(K), "D": np.array(D), "dt": dt}
    return SimpleNamespace(**(given | changed), sample=None)


@pytest.mark.parametrize("system", [StateSpace(A, B, K, D, dt=0.125), foreign(0.125), foreign(True)])
def test_a_discrete_state_space_is_the_loop_of_its_matrices(system):
    made = ClosedLoop.of_system(controller(K), system, scale=2.75, gain=2.75)
    assert np.array_equal(made.A, A)
    assert np.array_equal(made.B, B)
    assert np.array_equal(np.asarray(made.C), K)
    same = ClosedLoop(controller(K), A, B, C=K, scale=2.75, gain=2.75)
    starts = np.array([[0.5, -0.25], [-0.125, 0.5]])
    assert np.array_equal(made.run(starts, 20), same.run(starts, 20))


@pytest.mark.parametrize(
    ("system", "error", "told"),
    [
        (StateSpace(A, B, K, D), ValueError, r"continuous one \(dt = None\).*system.to_discrete\(0.1\)"),
        (foreign(0), ValueError, r"continuous one \(dt = 0\).*system.sample\(0.1\)"),
        (foreign(0.0), ValueError, r"continuous one \(dt = 0.0\)"),
        (foreign(None), ValueError, r"continuous one \(dt = None\)"),
        (foreign(-0.1), ValueError, "dt: got -0.1"),
        (foreign(float("nan")), ValueError, "dt: got nan"),
        (foreign(0.1, D=np.array([[1e-9]])), ValueError, "D other than 0"),
        (foreign(0.1, A=np.array([[np.nan, 0], [0, 1]])), ValueError, "A: got nan"),
        (foreign(0.1, C=np.eye(3)), ValueError, "C: got shape"),
        (SimpleNamespace(A=A, B=B), TypeError, "SimpleNamespace without C, D, dt"),
        (None, TypeError, "NoneType without A, B, C, D, dt"),
    ],
)
def test_what_is_no_discrete_plant_is_refused(system, error, told):
    with pytest.raises(error, match=told) as caught:
        ClosedLoop.of_system(controller(K), system, scale=2.75, gain=2.75)
    assert "\n" not in str(caught.value)


def test_the_plant_is_given_to_python_control(monkeypatch):
    made = ClosedLoop(controller(K), A, B, C=K, scale=2.75, gain=2.75)
    names = ("A", "B", "C", "D", "dt")
    monkeypatch.setitem(
        sys.modules, "control", SimpleNamespace(ss=lambda *parts: dict(zip(names, parts, strict=True)))
    )
    found = made.system(0.125)
    assert all(np.array_equal(found[name], value) for name, value in (("A", A), ("B", B), ("C", K), ("D", D)))
    assert found["dt"] == 0.125
    assert made.system()["dt"] is True
    for wrong in (0.0, -1.0, float("inf")):
        with pytest.raises(ValueError, match="dt: got"):
            made.system(wrong)
    monkeypatch.setitem(sys.modules, "control", None)
    with pytest.raises(ImportError, match="pip install control"):
        made.system()
