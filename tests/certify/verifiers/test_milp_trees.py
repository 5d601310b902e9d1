"""Trees of linear programs: what they prove holds whatever multipliers a solver proposes."""

import itertools
import time
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import sparse
from scipy.optimize import linprog
from torch import Tensor, nn

from spikecert.certify import LInf, verify
from spikecert.certify.milp import search
from spikecert.certify.milp.program import Expressions, Model
from spikecert.certify.milp.solving.solver import Minimum, WeakDual
from spikecert.certify.milp.solving.tree import ProgramTree
from spikecert.models import DLIF, LIF, SpikingNetwork
from support.examples import examples

SEEDS = st.integers(0, 2**31)


def program(seed: int, integers: int = 3, rows: int = 4) -> tuple[Model, Expressions]:
    """Return a small program with `integers` of six variables in {−1, …, 2}, and costs."""
    generator = np.random.default_rng(seed)
    integer = np.arange(6) < integers
    lower, upper = np.where(integer, -1.0, -1.5), np.where(integer, 2.0, 1.25)
    matrix = generator.integers(-4, 5, (rows, 6)) / 2.0
    ends = np.sort(generator.integers(-6, 7, (2, rows)) / 2.0, axis=0)
    ends[0, 0], ends[1, -1] = -np.inf, np.inf
    costs = Expressions(sparse.csr_array(generator.integers(-4, 5, (1, 6)) / 4.0), np.array([0.5]))
    return Model(lower, upper, integer, sparse.csr_array(matrix), *ends), costs


def minimum(model: Model, costs: Expressions) -> float:
    """Return the least cost, by a linear program for each choice of the integers; inf where there is no point."""
    (chosen,) = model.integer.nonzero()
    matrix, cost = model.rows.toarray(), costs.matrix.toarray()[0]
    rows, ends = np.concatenate([matrix, -matrix]), np.concatenate([model.row_upper, -model.row_lower])
    finite, least = np.isfinite(ends), np.inf
    for values in itertools.product(*(range(int(model.lower[k]), int(model.upper[k]) + 1) for k in chosen)):
        box = np.stack([model.lower, model.upper], 1)
        box[chosen] = np.array(values)[:, None]
        found = linprog(cost, rows[finite], ends[finite], bounds=box)
        least = min(least, found.fun + costs.constant[0]) if found.success else least
    return least


@examples(80)
@given(SEEDS, st.sampled_from([1e-3, 1.0, 1e6, np.inf]))
def test_any_multipliers_bound_a_program(seed: int, size: float):
    model, costs = program(seed, integers=0)
    exact = minimum(model, costs)
    assume(np.isfinite(exact))
    dual, generator = WeakDual.of(model), np.random.default_rng(seed)
    for multipliers in np.nan_to_num(generator.normal(size=(20, 4)) * size, nan=0.0):
        bound = dual.bound(costs.matrix.toarray()[0], multipliers, model.lower, model.upper)
        assert not bound + costs.constant[0] > exact + 1e-9


@examples(80)
@given(SEEDS)
def test_a_bound_pays_for_float64(seed: int):
    """A program of one point: what is bounded is a sum, known exactly, that multipliers of any size cancel in."""
    generator = np.random.default_rng(seed)
    point, multipliers = generator.normal(size=40), generator.normal(size=8) * 10.0 ** generator.integers(0, 12)
    matrix, cost = generator.normal(size=(8, 40)), generator.normal(size=40)
    middle = np.array([float(product(row, point)) for row in matrix])
    ends = np.nextafter(middle, -np.inf), np.nextafter(middle, np.inf)
    model = Model(point, point, np.zeros(40, bool), sparse.csr_array(matrix), *ends)
    assert Fraction(WeakDual.of(model).bound(cost, multipliers, point, point)) <= product(cost, point)


def product(one: np.ndarray, other: np.ndarray) -> Fraction:
    """Return the exact sum of products."""
    return sum((Fraction(a) * Fraction(b) for a, b in zip(one, other, strict=True)), Fraction(0))


@examples(60)
@given(SEEDS, st.integers(0, 3))
def test_a_tree_proves_what_is_true_and_no_more(seed: int, integers: int):
    model, costs = program(seed, integers)
    exact = minimum(model, costs)
    below = exact - 1e-4 if np.isfinite(exact) else 1e3
    found = ProgramTree(model, costs, below, None).proven()
    assert below < found <= exact + 1e-9
    if np.isfinite(exact):
        assert ProgramTree(model, costs, exact + 1e-4, None).proven() == -np.inf


def test_a_tree_ends_on_time_and_with_its_patience():
    model, costs = program(3)
    below = minimum(model, costs) - 1e-4
    assert ProgramTree(model, costs, below, None).proven() > below
    assert ProgramTree(model, costs, below, time.perf_counter() - 1.0).proven() == -np.inf
    assert ProgramTree(model, costs, below, None, most=0).proven() == -np.inf


def test_a_solver_that_lies_proves_nothing_false(monkeypatch: pytest.MonkeyPatch):
    """Multipliers, points and rays of any kind: bounds stay below the minimum."""
    generator = np.random.default_rng(0)
    for seed in range(20):
        model, costs = program(seed)
        exact = minimum(model, costs)
        with monkeypatch.context() as patched:
            lie = lambda *_: (generator.normal(size=6), generator.normal(size=4), generator.normal(size=4))  # noqa: E731
            patched.setattr(ProgramTree, "_solve", lie)
            assert ProgramTree(model, costs, -100.0, None, most=400).proven() <= exact + 1e-9


class Told:
    """A solver whose bound is always better than what a run has shown."""

    def __call__(self, *_: object, **__: object) -> Minimum:
        return Minimum(0.2, True, False)


def behind_a_presolve_that_errs() -> tuple[SpikingNetwork, Tensor]:
    """Return a network and a sample of label 0 that HiGHS 1.16 with presolve calls .25 from the boundary."""
    network = SpikingNetwork(
        nn.Conv1d(1, 2, 3, stride=2, padding=2, dilation=2, padding_mode="circular"),
        nn.BatchNorm1d(2),
        LIF(0.0, 3.0),
        nn.Conv1d(2, 2, 3, padding=1, groups=2),
        DLIF(2, 0.9),
        nn.Flatten(),
        nn.Linear(8, 3),
        num_steps=2,
        encoding="direct",
    )
    network = network.double().eval()
    written = {
        "layers.0.weight": [[[0.5, -0.5, -1.25]], [[-2.5, -1.25, -1.75]]],
        "layers.0.bias": [1.5, 1.75],
        "layers.1.weight": [1.75, -2.25],
        "layers.1.bias": [1.75, -0.5],
        "layers.1.running_mean": [0.0, 0.0],
        "layers.1.running_var": [0.5927722454071045, 0.3160255551338196],
        "layers.3.weight": [[[-0.25, -0.25, 2.0]], [[0.75, 0.5, -1.0]]],
        "layers.3.bias": [-2.5, 0.0],
        "layers.4.input_scale": [1.0, -1.5],
        "layers.6.weight": [
            [0.25, 1.25, 3.0, -1.0, 1.75, 1.0, 1.0, -0.5],
            [3.0, 1.25, 0.75, 0.0, -0.75, -2.0, 0.0, 0.0],
            [1.0, -0.25, 2.25, 0.75, -0.75, -1.75, 0.25, 1.0],
        ],
        "layers.6.bias": [1.75, 1.0, -1.25],
    }
    numbers = {name: torch.tensor(values, dtype=torch.float64) for name, values in written.items()}
    network.load_state_dict(network.state_dict() | numbers)
    sample = [0.528194010257721, 0.4564570188522339, 0.5984076261520386, 0.25893694162368774]
    sample += [0.6317169070243835, 0.3315574526786804, 0.10584741830825806, 0.07867878675460815]
    return network, torch.tensor([[sample]], dtype=torch.float64)


@pytest.mark.parametrize("told", [None, Told()])
def test_a_network_whose_minimum_presolve_misses_is_not_verified(told, monkeypatch: pytest.MonkeyPatch):
    network, sample = behind_a_presolve_that_errs()
    if told is not None:
        monkeypatch.setattr(search, "minimise", told)
    tie = [0.5116066276212098, 0.4919979534185107, 0.6253955626768166, 0.24403732373695847]
    tie += [0.6685225852312073, 0.35008211044036586, 0.154891348596177, 0.052185330110717805]
    with torch.no_grad():
        logits = network(torch.tensor([[tie]], dtype=torch.float64))[0]
    assert logits[0] == logits[1]
    (found,) = verify(network, sample, torch.tensor([0]), LInf(0.05), "milp", timeout=20.0)
    assert found.status != "verified"
