"""LMI certificates: never below the true norm, near it, refused when corrupted, checked without cvxpy."""

import dataclasses
import json
import math
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import solve_discrete_lyapunov

from spikecert.analysis import check_file, load_certificates, neuron_gain, save_certificates
from spikecert.analysis.lmi import (
    BoundedRealCertificate,
    LinearSystem,
    NoFiniteGain,
    SolverError,
    adaptive,
    bounded_real,
    chain_gain,
    cuba,
    frequency_gain,
    lif,
    recurrent,
    surrogate_gain,
    time_varying,
)
from spikecert.analysis.lmi.certificates import Exact, as_rows, is_positive_definite
from support.examples import examples

SYSTEMS = {
    "lif-.5": (lif(0.5), 2.0),
    "lif-.99": (lif(0.99), 100.0),
    "lif-0": (lif(0.0), 1.0),
    "cuba": (cuba(0.9, 0.8), 50.0),
    "adaptive": (adaptive(0.9, 0.95, 0.05), None),
}


def dense_peak(system: LinearSystem) -> float:
    return max(frequency_gain(system, angle) for angle in np.linspace(0.0, math.pi, 20_001))


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("solver", ["riccati", "cvxpy"])
def test_neurons_are_certified_within_1e_6_and_never_below(name: str, solver: str) -> None:
    system, exact = SYSTEMS[name]
    found = bounded_real(system, solver)
    assert isinstance(found, BoundedRealCertificate)
    truth = dense_peak(system) if exact is None else exact
    assert truth * (1 - 1e-9) <= found.gain <= truth * (1 + 1e-6)
    if exact is not None:
        assert found.gain >= exact * (1 - 1e-13)  # λ itself is rounded to a float
    assert found.check()


@given(seed=st.integers(0, 10**6), size=st.integers(1, 6), inputs=st.integers(1, 3), radius=st.floats(0.05, 0.97))
@examples(100)
def test_no_input_exceeds_a_certificate(seed: int, size: int, inputs: int, radius: float) -> None:
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((size, size))
    a *= radius / max(np.abs(np.linalg.eigvals(a)))
    parts = (
        a,
        rng.standard_normal((size, inputs)),
        rng.standard_normal((2, size)),
        rng.standard_normal((2, inputs)),
    )
    system = LinearSystem(*(as_rows(part) for part in parts))
    found = bounded_real(system)
    assert found.check()
    assert dense_peak_of(system) <= found.gain <= dense_peak_of(system) * 1.01
    state, energy, supply = np.zeros(size), 0.0, 0.0
    for w in rng.standard_normal((60, inputs)):
        y, state = parts[2] @ state + parts[3] @ w, a @ state + parts[1] @ w
        energy, supply = energy + float(y @ y), supply + float(w @ w)
    assert energy <= found.gain**2 * supply * (1 + 1e-12)


def dense_peak_of(system: LinearSystem, points: int = 800) -> float:
    return max(frequency_gain(system, angle) for angle in np.linspace(0.0, math.pi, points))


def test_a_corrupted_certificate_is_refused() -> None:
    found = bounded_real(cuba(0.9, 0.8))
    assert isinstance(found, BoundedRealCertificate)
    assert not dataclasses.replace(found, gain=found.gain * (1 - 1e-6)).check()
    assert not dataclasses.replace(found, gain=math.nan).check()
    assert not dataclasses.replace(found, storage=tuple(tuple(-x for x in row) for row in found.storage)).check()
    assert not dataclasses.replace(found, storage=((1.0,),)).check()
    assert not dataclasses.replace(found, system=cuba(0.91, 0.8)).check()
    varying = time_varying(0.9, [1.0, -2.0, 0.5])
    assert not dataclasses.replace(varying, gain=varying.gain * 0.999).check()
    assert not dataclasses.replace(varying, storage=(0.0,) * 3).check()
    assert not dataclasses.replace(varying, storage=varying.storage[:2]).check()


@pytest.mark.slow
def test_64_recurrent_states_in_under_30_seconds() -> None:
    rng = np.random.default_rng(0)
    start = time.perf_counter()
    system = recurrent(0.5, 0.3 * rng.standard_normal((64, 64)) / 8)
    found = bounded_real(system)
    assert time.perf_counter() - start < 30
    assert isinstance(found, BoundedRealCertificate)
    assert found.check()
    assert found.gain <= dense_peak_of(system, 60) * (1 + 1e-2)


def test_an_unstable_recurrent_layer_has_no_finite_gain_and_a_witness() -> None:
    rng = np.random.default_rng(0)
    system = recurrent(0.9, 0.5 * rng.standard_normal((12, 12)) / math.sqrt(12))
    found = bounded_real(system)
    assert isinstance(found, NoFiniteGain)
    assert found.spectral_radius > 1
    assert found.gain == math.inf
    assert found.check()
    state, sizes = np.array(system.b) @ np.array(found.impulse), []
    for _ in range(300):
        sizes.append(np.linalg.norm(state))
        state = np.array(system.a) @ state
    assert sizes[-1] > sizes[0]
    stable = np.array(system.a) * 0.5 / found.spectral_radius
    lyapunov = solve_discrete_lyapunov(stable.T, np.eye(12))
    calm = LinearSystem(*(as_rows(m) for m in (stable, np.eye(12), stable, np.eye(12))))
    assert not dataclasses.replace(found, system=calm, storage=as_rows(lyapunov)).check()
    assert not dataclasses.replace(found, system=calm).check()


def test_what_stays_open_is_said() -> None:
    with pytest.raises(SolverError, match="output is not its state"):
        bounded_real(cuba(1.0, 0.5))
    unreached = recurrent(0.5, np.diag([0.5, 0.0]), np.array([[0.0], [1.0]]))
    with pytest.raises(SolverError, match="border"):
        bounded_real(unreached)
    with pytest.raises(ValueError, match=r"^solver: got 'magic'"):
        bounded_real(lif(0.5), "magic")
    with pytest.raises(ValueError, match=r"^system: got NaN"):
        LinearSystem(*[((math.nan,),)] * 4)
    with pytest.raises(ValueError, match=r"^decay: got nan"):
        lif(math.nan)


@given(
    decay=st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0.0, 1.0)),
    scale=st.lists(st.floats(-3, 3), min_size=1, max_size=10),
)
@examples(320)
def test_time_varying_certificates_meet_the_closed_form(decay: float, scale: list[float]) -> None:
    found = time_varying(decay, scale)
    assert found.check()
    exact = neuron_gain(decay, len(scale), input_scale=scale)
    assert exact * (1 - 1e-12) <= found.gain <= exact * (1 + 1e-9)


@given(seed=st.integers(0, 10**6), size=st.integers(1, 30))
@examples(240)
def test_definiteness_is_decided_as_eigenvalues_do(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((size, size))
    matrix = matrix + matrix.T
    lowest = np.linalg.eigvalsh(matrix)[0]
    identity = np.eye(size)
    assert is_positive_definite(Exact.of(matrix + (1e-6 - lowest) * identity))
    assert not is_positive_definite(Exact.of(matrix - (1e-6 + lowest) * identity))


@pytest.mark.parametrize(("sizes", "least"), [((4, 6, 6, 3), 1.5), ((6, 8, 8, 4), 1.5), ((5, 5, 5, 5, 2), 1.5)])
def test_one_lmi_is_tighter_than_the_product_on_the_surrogate_network(
    sizes: tuple[int, ...], least: float
) -> None:
    rng = np.random.default_rng(1)
    weights = [rng.standard_normal((m, n)) / math.sqrt(n) for n, m in pairwise(sizes)]
    found = surrogate_gain([0.5] * (len(weights) - 1), weights, [1.0] * (len(weights) - 1))
    assert found.check()
    assert found.gain < found.product / least
    assert reached(found.decays, weights, rng) <= found.gain
    assert not dataclasses.replace(found, gain=found.gain * 0.9).check()
    assert not dataclasses.replace(found, multipliers=tuple(-x for x in found.multipliers)).check()


def reached(decays: tuple[float, ...], weights: list[np.ndarray], rng: np.random.Generator) -> float:
    """Return the greatest ratio that sampled pairs of inputs reach (surrogate φ: clip to [0, 1])."""
    best = 0.0
    for _ in range(200):
        first = rng.standard_normal((12, weights[0].shape[1]))
        second = first + rng.choice([0.1, 1.0]) * rng.standard_normal((1, first.shape[1]))
        out = run(decays, weights, first) - run(decays, weights, second)
        best = max(best, float(np.linalg.norm(out) / np.linalg.norm(first - second)))
    return best


def run(decays: tuple[float, ...], weights: list[np.ndarray], inputs: np.ndarray) -> np.ndarray:
    states = [np.zeros(len(w)) for w in weights[:-1]]
    outputs = []
    for signal in inputs:
        for k, decay in enumerate(decays):
            states[k] = decay * states[k] + weights[k] @ signal
            signal = np.clip(states[k], 0.0, 1.0)
        outputs.append(weights[-1] @ signal)
    return np.array(outputs)


WITHOUT_SOLVER = """
import sys
sys.modules["cvxpy"] = None
import spikecert.analysis, json
print(json.dumps([item.verdict for item in spikecert.analysis.check_file(sys.argv[1])]))
"""


def test_every_certificate_passes_where_cvxpy_cannot_be_imported(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal((4, 4)) / 2 for _ in range(3)]
    certificates = [
        *(bounded_real(system, "cvxpy") for system, _ in SYSTEMS.values()),
        bounded_real(recurrent(0.9, rng.standard_normal((6, 6)))),
        bounded_real(recurrent(0.5, 0.04 * rng.standard_normal((30, 30)))),
        time_varying(0.99, [1.0, -0.5, 0.0, 2.0]),
        surrogate_gain([0.5, 0.5], weights, [1.0, 1.0]),
        chain_gain([1.0, 0.5], weights, [1.0, 2.0], 3, [None, (1.0, -2.0, 0.5)]),
        chain_gain([0.5, 0.5], weights, [1.0, 1.0]),
        bounded_real(recurrent(0.5, np.array([[0.5]]))),
    ]
    path = tmp_path / "certificates.json"
    save_certificates(certificates, path)
    assert load_certificates(path) == tuple(certificates)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_SOLVER, str(path)], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    results = json.loads(done.stdout)
    assert len(results) == len(certificates)
    assert set(results) == {"proven"}


def test_a_tampered_or_foreign_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    save_certificates([time_varying(0.9, [1.0, 2.0])], path)
    content = json.loads(path.read_text())
    content["certificates"][0]["gain"] *= 0.99
    path.write_text(json.dumps(content))
    assert [item.holds for item in check_file(path)] == [False]
    with pytest.raises(FileNotFoundError, match="path: got"):
        check_file(tmp_path / "none.json")
    for text in ("{", "[]", '{"format": "spikecert.certificates/1"}', '{"format": "spikecert.certificates/1", '
                 '"certificates": [{"kind": "x"}]}', '{"format": "spikecert.certificates/1", "certificates": []}',
                 path.read_text().replace("[", "[NaN, ", 1)):  # fmt: skip
        path.write_text(text)
        with pytest.raises(ValueError, match=r"^path: "):
            check_file(path)
