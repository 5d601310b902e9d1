"""Sets of inputs: linear functions over them, exactly or from below, and the currents of balls."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikecert import L2, mlp, save
from spikecert.checking import Refused, read_network
from spikecert.checking.events.inputs import Inputs
from spikecert.checking.kernel.contexts import Context
from spikecert.checking.kernel.network import KernelNodes
from spikecert.checking.kernel.numbers import ONE
from spikecert.checking.numbers.exact import Dyadic
from spikecert.checking.numbers.sparse import Matrix
from support.exact_numbers import exact, made, values


def drawn(seed: int, size: int, radius: float, norm: str) -> tuple[Inputs, np.ndarray, np.random.Generator]:
    """Return a set around a sample, some of it at the ends of the range."""
    generator = np.random.default_rng(seed)
    sample = generator.uniform(-0.5, 1.5, size).clip(0.0, 1.0)
    return Inputs.around(sample, np.array([radius]), 0.0, 1.0, norm), sample, generator


def least_over_both(costs: np.ndarray, low: np.ndarray, high: np.ndarray, radius: float) -> float:
    """Return the least costs·y over |y|₂ ≤ radius, low ≤ y ≤ high, by its optimality condition."""
    scales = np.geomspace(1e-9, 1e9, 20001)
    steps = (-costs / scales[:, None]).clip(low, high)
    inside = (steps**2).sum(1) <= radius**2
    return float((steps[inside] @ costs).min(initial=0.0))


@given(st.integers(0, 2**31), st.integers(1, 12), st.sampled_from([0.0, 0.01, 0.3, 1.0, 5.0]))
def test_the_least_over_a_ball_and_a_range_is_sound_and_close(seed, size, radius):
    inputs, sample, generator = drawn(seed, size, radius, "l2")
    costs = generator.normal(size=size) * 10.0 ** generator.integers(-3, 4, size)
    found = float(inputs.least(Dyadic.of(costs).column()).fraction())
    expected = costs @ sample + least_over_both(costs, -sample, 1.0 - sample, radius)
    scale = np.abs(costs).sum()
    assert found <= expected + 1e-12 * scale
    assert found >= expected - 5e-3 * abs(expected - costs @ sample) - 1e-9 * scale


@given(st.integers(0, 2**31), st.integers(1, 12), st.sampled_from([0.01, 0.3, 1.0]))
def test_no_input_of_a_set_costs_less(seed, size, radius):
    generator = torch.Generator().manual_seed(seed)
    for norm in ("l2", "linf"):
        inputs, sample, numbers = drawn(seed, size, radius, norm)
        costs = numbers.normal(size=size)
        least = inputs.least(Dyadic.of(costs).column()).fraction()
        points = torch.from_numpy(sample).expand(40, size)
        for x in exact(L2(radius).sample(points.contiguous(), generator)):
            assert (exact(torch.from_numpy(costs)) * x).sum() >= least


def test_a_zero_cost_and_a_large_one_are_exact_enough():
    inputs = Inputs.around(np.array([0.5, 0.5]), np.array([0.25]), 0.0, 1.0, "l2")
    for costs in ([0.0, 0.0], [0.0, 1.0], [1e30, 0.0], [1e-30, 0.0]):
        found = float(inputs.least(Dyadic.of(costs).column()).fraction())
        assert found == pytest.approx(sum(costs) * 0.25, rel=1e-12, abs=1e-20)


@given(st.integers(0, 2**31), st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))
def test_products_and_lengths_of_sparse_matrices(seed, rows, inner, columns):
    generator = np.random.default_rng(seed)
    one = np.round(generator.normal(size=(rows, inner)) * 4) * generator.integers(0, 2, (rows, inner)) / 4
    two = np.round(generator.normal(size=(inner, columns)) * 4) / 4
    found = Matrix.dense(Dyadic.of(one)).after(Matrix.dense(Dyadic.of(two)))
    full = values(found @ Dyadic.of(np.eye(columns)))
    assert np.all(full.astype(float) == one @ two)
    assert np.allclose(values(found.lengths)[:, 0].astype(float), np.linalg.norm(one @ two, axis=1))


def test_the_currents_of_a_ball_lie_in_its_boxes(tmp_path):
    torch.manual_seed(0)
    network = mlp((6, 5, 3), num_steps=2).eval()
    save(network, tmp_path / "network.safetensors")
    sample, known = torch.rand(6), read_network(tmp_path / "network.safetensors")
    ball, box = (
        KernelNodes.over(known, Inputs.around(sample.numpy(), np.array([0.2]), 0.0, 1.0, norm))
        for norm in ("l2", "linf")
    )
    (low, high), (wide_low, wide_high) = (
        np.array([[Fraction(end, ONE) for end in own] for own in Context(nodes, 2).nodes_currents(2)]).T[..., None]
        for nodes in (ball, box)
    )
    assert np.all(high - low < wide_high - wide_low)
    points = L2(0.2).sample(sample.expand(200, 6).contiguous(), torch.Generator().manual_seed(0))
    currents = made(ball.graph.nodes[1], exact(points).T)
    assert np.all((low <= currents) & (currents <= high))
    ends = L2(0.2).project(sample + network.state_dict()["layers.0.weight"] * 10, sample.expand(5, 6).contiguous())
    reached = made(ball.graph.nodes[1], exact(ends).T).diagonal()
    assert np.all((reached <= high[:, 0]) & (high[:, 0] - reached < 0.2 * (high - low)[:, 0]))


def test_an_unknown_norm_is_refused():
    with pytest.raises(Refused, match="no proof form for norm 'l1'"):
        Inputs.around(np.zeros(2), np.ones(1), 0.0, 1.0, "l1")
