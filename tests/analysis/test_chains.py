"""The surrogate network by one LMI over T steps, and witnesses on the unit circle: refuted by none."""

import dataclasses
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from spikecert.analysis import gain, stability
from spikecert.analysis.lmi import (
    NoFiniteGain,
    SolverError,
    UndampedMode,
    bounded_real,
    chain_gain,
    chain_rows,
    recurrent,
    surrogate_gain,
)
from spikecert.analysis.stability import surrogate_chain
from spikecert.models import DLIF, LIF, SpikingNetwork, mlp


def gaussian(sizes: tuple[int, ...], seed: int = 1) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((m, n)) / math.sqrt(n) for n, m in pairwise(sizes)]


@pytest.mark.parametrize("sizes", [(4, 6, 6, 3), (5, 5, 5, 5, 2)])
def test_without_storages_the_lmi_says_the_same_over_an_infinite_horizon(sizes: tuple[int, ...]) -> None:
    weights = gaussian(sizes)
    decays, slopes = [0.5, 0.9, 0.2][: len(sizes) - 2], [1.0] * (len(sizes) - 2)
    found, stored = chain_gain(decays, weights, slopes), surrogate_gain(decays, weights, slopes)
    assert found.gain == pytest.approx(stored.gain, rel=1e-2)
    assert found.product == pytest.approx(stored.product, rel=1e-9)


@pytest.mark.parametrize("sizes", [(3, 4, 2), (9, 4, 5, 3), (2, 5, 5, 5, 2)])
@pytest.mark.parametrize("scale", [None, (1.0, -2.0, 0.5, 0.0, 1.5)])
def test_no_pair_of_inputs_exceeds_it_and_it_is_below_the_product(
    sizes: tuple[int, ...], scale: tuple[float, ...] | None
) -> None:
    weights, steps = gaussian(sizes), 5
    decays = [1.0, 0.7, 0.9][: len(weights) - 1]
    found = chain_gain(decays, weights, [2.0] * len(decays), steps, [scale] * len(decays))
    assert found.check()
    assert found.gain <= found.product * (1 + 1e-6)
    assert attained(decays, weights, scale or (1.0,) * steps) <= found.gain
    assert not dataclasses.replace(found, gain=found.gain * 0.99).check()
    assert not dataclasses.replace(found, horizon=steps + 40.0, scales=((),) * len(decays)).check()
    assert not dataclasses.replace(found, gain=math.nan).check()


def attained(decays: list[float], weights: list[np.ndarray], scale: tuple[float, ...]) -> float:
    """Return the gain at which every φ has slope 2, or a random slope in [0, 2] for each neuron and step."""
    rng, best = np.random.default_rng(0), 0.0
    for trial in range(30):
        total = np.eye(len(scale) * weights[0].shape[1])
        for decay, weight in zip(decays, weights[:-1], strict=True):
            lag = np.subtract.outer(np.arange(len(scale)), np.arange(len(scale)))
            response = np.where(lag >= 0, decay ** np.maximum(lag, 0), 0.0) * np.array(scale)
            slopes = (
                np.full(len(scale) * len(weight), 2.0)
                if trial == 0
                else 2 * rng.integers(0, 2, len(scale) * len(weight))
            )
            total = slopes[:, None] * (np.kron(response, weight) @ total)
        best = max(best, float(np.linalg.norm(np.kron(np.eye(len(scale)), weights[-1]) @ total, 2)))
    return best


def test_a_single_layer_is_attained() -> None:
    weights = [np.array([[3.0]]), np.array([[2.0]])]
    found = chain_gain([0.5], weights, [1.0], 8)
    assert attained([0.5], weights, (1.0,) * 8) / 2 <= found.gain
    assert found.gain == pytest.approx(6 * 1.82628, rel=1e-5)


def test_stability_carries_it_only_where_asked_and_possible() -> None:
    torch.manual_seed(0)
    inputs = torch.rand(2, 8)
    net = mlp((8, 12, 10, 3), 4, DLIF(4, 0.9))
    assert stability(net, inputs).surrogate is None
    found = stability(net, inputs, surrogate=True)
    assert found.surrogate is not None
    assert found.surrogate_note == ""
    assert found.surrogate.check()
    assert found.surrogate.product == pytest.approx(found.surrogate_product)
    assert found.surrogate.gain < 0.9 * found.surrogate.product
    large = stability(mlp((8, 400, 3), 4), inputs, surrogate=True)
    assert "408 rows" in large.surrogate_note
    image = SpikingNetwork(nn.Conv2d(1, 2, 3), LIF(), nn.Flatten(), nn.Linear(8, 2), num_steps=4)
    assert "dense" in stability(image, torch.rand(1, 1, 4, 4), surrogate=True).surrogate_note
    headless = SpikingNetwork(nn.Linear(8, 3), LIF(), num_steps=4)
    assert "affine readout" in stability(headless, inputs, surrogate=True).surrogate_note


def test_an_lmi_of_as_many_rows_as_the_solver_may_have_is_solved() -> None:
    torch.manual_seed(0)
    network = mlp((3, 5, 4, 2), 3, LIF(0.8))
    gains = gain(network)
    rows = chain_rows(3, [5, 4])
    found, note = surrogate_chain(network, gains, rows)
    assert note == ""
    assert found is not None
    assert found.check()
    refused, why = surrogate_chain(network, gains, rows - 1)
    assert refused is None
    assert why.endswith(f": it would have {rows} rows, and the solver is given at most {rows - 1}.")


BORDER = {
    "rational": (np.array([[0.5]]), 1),
    "minus one": (np.diag([-1.5, 0.0]), 1),
    "rotation": (np.array([[-0.5, -1.0], [1.0, -0.5]]), 2),
    "jordan": (np.array([[0.5, 1.0], [0.0, 0.5]]), 1),
}


@pytest.mark.parametrize("name", BORDER)
def test_an_eigenvalue_on_the_unit_circle_has_a_witness(name: str) -> None:
    weights, period = BORDER[name]
    found = bounded_real(recurrent(0.5, weights))
    assert isinstance(found, UndampedMode)
    assert (found.period, found.gain, found.check()) == (period, math.inf, True)
    assert not dataclasses.replace(found, sign=-found.sign).check()
    assert not dataclasses.replace(found, mode=(0,) * len(found.mode)).check()
    assert not dataclasses.replace(found, system=recurrent(0.5, 0.99 * weights)).check()
    size = len(weights)
    assert not dataclasses.replace(found, system=recurrent(0.5, weights, np.zeros((size, 1)))).check()


def test_energies_grow_without_bound_at_the_border() -> None:
    a, ratios = np.array([[0.0, -1.0], [1.0, 0.0]]), []
    for steps in (10, 100, 1000):
        state, energy, supply = np.zeros(2), 0.0, 0.0
        for t in range(steps):
            w = np.linalg.matrix_power(a, t % 4) @ np.array([1.0, 0.0])
            state = a @ state + w
            energy, supply = energy + float(state @ state), supply + float(w @ w)
        ratios.append(energy / supply)
    assert ratios[2] > 50 * ratios[1] > 50 * 50 * ratios[0]


def test_a_large_witness_needs_integers_longer_than_floats(tmp_path) -> None:  # type: ignore[no-untyped-def]
    from spikecert.analysis import check_file, load_certificates, save_certificates

    rng = np.random.default_rng(0)
    weights = rng.integers(-4, 5, (32, 32)) / 64.0
    weights[:, -1] = 0.5 - weights[:, :-1].sum(1)
    found = bounded_real(recurrent(0.5, weights))
    assert isinstance(found, UndampedMode)
    assert max(map(abs, found.mode)) > 2**53
    save_certificates([found], tmp_path / "c.json")
    assert load_certificates(tmp_path / "c.json") == (found,)
    assert [item.verdict for item in check_file(tmp_path / "c.json")] == ["proven"]


def test_one_layer_and_a_readout_are_a_chain_and_a_readout_alone_is_none() -> None:
    weights = gaussian((3, 2, 2))
    found = surrogate_gain([0.5], weights, [1.0])
    assert found.check()
    assert found.gain <= found.product * (1 + 1e-6)
    with pytest.raises(ValueError, match=r"^weights: got 1, expected one more than decays = 0"):
        surrogate_gain([], weights[:1], [])


def test_a_layer_without_weights_has_no_lmi() -> None:
    network = mlp((3, 5, 4, 2), 3, LIF(0.8))
    torch.nn.init.zeros_(network.layers[2].weight)  # type: ignore[arg-type]
    found, why = surrogate_chain(network, gain(network), 400)
    assert found is None
    assert "a layer's gain is 0 or infinite" in why


@pytest.mark.parametrize("layer", [0, 1])
def test_a_chain_with_a_layer_of_zeros_has_no_multipliers(layer: int) -> None:
    weights = gaussian((3, 2, 2))
    weights[layer] = 0.0 * weights[layer]
    with pytest.raises(SolverError, match=r"^weights: got a layer of gain 0"):
        chain_gain([0.5], weights, [1.0], 4)


def test_a_witness_that_fails_its_check_is_not_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    system = recurrent(0.5, 2.0 * np.eye(2))
    assert isinstance(bounded_real(system), NoFiniteGain)
    monkeypatch.setattr(NoFiniteGain, "check", lambda self: False)
    with pytest.raises(SolverError, match="no input was found"):
        bounded_real(system)
