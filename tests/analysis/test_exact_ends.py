"""Ends of norms against exact rational arithmetic, where a rounding that is left out shows."""

import math
import operator as operator_
from dataclasses import replace
from fractions import Fraction
from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from spikecert.analysis import layer_operators, operator_norm
from spikecert.analysis.arithmetic import (
    UNIT,
    Interval,
    accumulated,
    largest_eigenvalue_bound,
    smallest_eigenvalue_bound,
)
from spikecert.analysis.gains.gain_methods import lmi, lmi_certificate
from spikecert.analysis.gains.neuron_gains import neuron_gain
from spikecert.analysis.lmi.certificates import Exact
from spikecert.analysis.norms import operator_norms as held
from spikecert.analysis.norms.operator_norms import _block_gram_error, composed_norm, torus_bound
from spikecert.analysis.norms.sums import sums_of_operator
from spikecert.analysis.operators import LayerOperator
from spikecert.analysis.stability import Growth
from spikecert.models import LIF, Residual, SpikingNetwork
from spikecert.models.linear_maps import ConvolutionMap, linear_map
from support.examples import examples


def operator(*modules: nn.Module, shape: tuple[int, ...]) -> LayerOperator:
    return layer_operators(SpikingNetwork(*modules, LIF(), num_steps=2).double().eval(), shape)[0]


def in_double(layer: nn.Conv2d) -> ConvolutionMap:
    made = linear_map(layer).to(torch.float64)
    assert isinstance(made, ConvolutionMap)
    return made


def fractions(matrix: np.ndarray) -> list[list[Fraction]]:
    return [[abs(Fraction(float(x))) for x in row] for row in matrix]


def holds(interval: Interval, exact: Fraction | int, power: int = 1) -> bool:
    """Return whether the interval's ends to that power are around an exact number."""
    return Fraction(interval.lower) ** power <= exact <= Fraction(interval.upper) ** power


@given(rows=st.integers(1, 7), columns=st.integers(1, 7), seed=st.integers(0, 10**6))
@examples(60)
def test_sums_lie_between_the_ends_exactly(rows: int, columns: int, seed: int):
    """Over many numbers the computed sum is off by roundings, and the ends pay for each."""
    layer = nn.Linear(columns, rows).double()
    layer.weight.data = torch.from_numpy(np.random.default_rng(seed).standard_normal((rows, columns)))
    item, matrix = operator(layer, shape=(columns,)), fractions(layer.weight.detach().numpy())
    across = [list(column) for column in zip(*matrix, strict=True)]
    assert holds(operator_norm(item, "linf", "linf"), max(map(sum, matrix)))
    assert holds(operator_norm(item, "l1", "l1"), max(map(sum, across)))
    assert holds(operator_norm(item, "l1", "linf"), max(map(max, matrix)))
    assert holds(operator_norm(item, "l2", "linf"), max(sum(x * x for x in row) for row in matrix), 2)
    assert holds(operator_norm(item, "l1", "l2"), max(sum(x * x for x in column) for column in across), 2)


@given(sizes=st.tuples(*[st.integers(1, 5)] * 3), seed=st.integers(0, 10**6))
@examples(30)
def test_sums_of_absolute_matrices_are_upper_ends(sizes: tuple[int, int, int], seed: int):
    """Of two layers in a row the absolute operator is |W₂||W₁|: what bounds of rounding are relative to."""
    torch.manual_seed(seed)
    layers = nn.Linear(sizes[0], sizes[1]).double(), nn.Linear(sizes[1], sizes[2]).double()
    first, second = (fractions(layer.weight.detach().numpy()) for layer in layers)
    product = [[sum(map(operator_.mul, row, column)) for column in zip(*first, strict=True)] for row in second]
    found = sums_of_operator(operator(*layers, shape=(sizes[0],)), with_gram=False)
    assert max(map(sum, product)) <= Fraction(found.absolute_rows)
    assert max(map(sum, zip(*product, strict=True))) <= Fraction(found.absolute_columns)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
@pytest.mark.parametrize("stride", [1, 2])
def test_the_torus_counts_copies_at_the_border(mode: Literal["reflect", "replicate", "circular"], stride: int):
    """With weights of one sign a border that is copied adds to the norm, which zeros there would not."""
    layer = nn.Conv2d(1, 2, 3, stride, padding=2, padding_mode=mode, bias=False).double()
    layer.weight.data = torch.rand(2, 1, 3, 3, generator=torch.Generator().manual_seed(1)).double()
    with torch.no_grad():
        matrix = layer(torch.eye(16, dtype=torch.float64).view(16, 1, 4, 4)).flatten(1).T
    norm = float(torch.linalg.matrix_norm(matrix, 2))
    bare = nn.Conv2d(1, 2, 3, stride, padding=2, bias=False).double()
    bare.weight = layer.weight
    bounds = [torus_bound(in_double(made), (1, 4, 4)) for made in (layer, bare)]
    assert norm * (1 - 1e-12) <= bounds[0] < 4 * norm
    if stride == 1:
        assert bounds[1] < norm


@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_a_block_pays_for_each_rotation_twice(kernel: int):
    """Its Gram matrix has two factors, each off by 100 roundings of a rotation and 8 for each product and sum."""
    convolution = in_double(nn.Conv2d(1, 1, kernel))
    weight = torch.ones(1, 1, kernel, kernel, dtype=torch.float64)
    terms = kernel * kernel
    assert _block_gram_error(convolution, weight) >= 2 * (100 + 8 * terms) * UNIT * terms**2


def test_an_error_of_the_matrix_is_paid_once():
    gram = torch.diag(torch.tensor([1.0, 2.0], dtype=torch.float64))
    apart = largest_eigenvalue_bound(gram, 0.5) - largest_eigenvalue_bound(gram, 0.0)
    assert 0.5 <= apart * (1 + 1e-9) <= 0.5 * (1 + 1e-6)


@pytest.mark.parametrize("size", [1, 8])
def test_a_proof_by_cholesky_costs_so_many_roundings_of_the_trace(size: int):
    eye = torch.eye(size, dtype=torch.float64)
    cost = accumulated(size + 2) * size
    for matrix, share in ((eye, 1), (eye.to(torch.complex128), 10)):
        found = smallest_eigenvalue_bound(matrix)
        assert found is not None
        assert 0.99 * share * cost <= -found <= 1.01 * accumulated(share * (size + 2)) * size


@pytest.mark.parametrize("norm", ["l1", "l2", "linf"])
def test_a_layer_that_reads_the_input_beside_its_maxima_grows_by_both(norm: str):
    """The greatest of 4 pixels and their mean: an event at the greatest moves the sum by 1 + 1/4 of itself."""
    layers = Residual([nn.MaxPool2d(2)], [nn.AvgPool2d(2)]), LIF(), nn.Flatten(), nn.Linear(4, 2)
    item = layer_operators(SpikingNetwork(*layers, num_steps=2).double().eval(), (1, 4, 4))[0]
    found, generator = operator_norm(item, norm, norm), torch.Generator().manual_seed(0)
    assert found.lower == 0.0  # of maxima nothing is known to grow
    bound = found.upper
    x = torch.rand(300, 1, 4, 4, generator=generator, dtype=torch.float64)
    moves = torch.eye(16, dtype=torch.float64).view(16, 1, 4, 4).repeat(19, 1, 1, 1)[:300]
    moves = torch.cat([1e-3 * moves, 1e-3 * torch.ones_like(moves)])
    start = torch.cat([x, x])
    pooled = [F.max_pool2d(s, 2) + F.avg_pool2d(s, 2) for s in (start, start + moves)]
    order = {"l1": 1, "l2": 2, "linf": math.inf}[norm]
    ratios = (pooled[1] - pooled[0]).flatten(1).norm(order, 1) / moves.flatten(1).norm(order, 1)
    exact = {"l1": 1.25, "l2": math.hypot(1.25, *[0.25] * 3), "linf": 2.0}[norm]
    assert float(ratios.max()) <= bound * (1 + 1e-9)
    assert exact <= bound * (1 + 1e-12)


def test_nothing_is_tight_where_the_bound_is_zero():
    growth = Growth("noise", "layers.1", torch.zeros(2), torch.zeros(2), torch.ones(2).bool(), 0.0)
    assert growth.tightness == 0.0
    assert replace(growth, simplified=torch.tensor([1.0, 3.0]), gain=4.0).tightness == 0.75


def test_the_largest_entry_of_one_map_is_known_where_it_is_not_held():
    item = operator(nn.Conv2d(2, 3, 3, padding=1), nn.Flatten(), shape=(2, 4, 4))
    (layer,) = [linear for linear in item.chain or () if isinstance(linear, ConvolutionMap)]
    largest = float(layer.weight.abs().max())
    assert largest <= composed_norm(item, "l1", "linf").upper <= largest * (1 + 1e-12)


def test_an_operator_is_held_up_to_a_side(monkeypatch: pytest.MonkeyPatch):
    item = operator(nn.Conv2d(1, 2, 2), shape=(1, 3, 3))
    assert min(item.rows, item.columns) == 8
    for side, held_here in ((8, True), (7, False)):
        monkeypatch.setattr(held, "EXPLICIT_SIDE", side)
        assert (held.held_norm(item, "l2", "l2") is not None) == held_here


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=6))
@examples(60)
def test_exact_numbers_go_there_and_back(values: list[float]):
    made = Exact.of([[x, x / 3] for x in values])
    assert made.to_float().tolist() == [[x, x / 3] for x in values]


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9])
def test_the_gain_of_an_lmi_is_that_of_its_certificate(decay: float):
    """Not the closed form, which is below it by what the certificate leaves to be checked."""
    certificate = lmi_certificate(decay, math.inf, None)
    assert certificate.check()
    found = lmi(decay, math.inf, "l2", "l2", None)
    assert found == certificate.gain
    assert neuron_gain(decay, math.inf) <= found <= 1.000001 * neuron_gain(decay, math.inf)
