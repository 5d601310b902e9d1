"""The exact encoding: against oracles, against the standard one, on time, and never on a solver's word alone.

Trees of linear programs: what they prove holds whatever multipliers a solver proposes.
"""

import itertools
import os
import signal
import threading
import time
from fractions import Fraction
from pathlib import Path
from runpy import run_path

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.optimize import linprog
from torch import Tensor, nn

from spikecert.certify import L2, LInf, SpikeFlip, Verdict, verify
from spikecert.certify.milp import encoding, search
from spikecert.certify.milp import solver as solver
from spikecert.certify.milp.encoding import TIGHT, Layers, encode
from spikecert.certify.milp.program import Closing, Expressions, Model, Program
from spikecert.certify.milp.solver import Minimum, ProgramTree, Watch, WeakDual, minimise
from spikecert.certify.replay import margins
from spikecert.certify.verifiers import INTERVAL, Milp
from spikecert.models import DLIF, LIF, Residual, SpikingNetwork, mlp
from spikecert.models.circuit import circuit
from spikecert.testing import Case, cases, points
from support.examples import examples
from support.milp import reaches
from support.oracles import line_margin

BIG_M = run_path(str(Path(__file__).parents[3] / "benchmarks" / "big_m.py"))["BIG_M"]
"""The verifier "milp" with the standard encoding, which it is measured against."""
EXAMPLES = settings(max_examples=40, deadline=None)
TINY = cases(most_layers=3, most_width=3, most_steps=3)


def agrees(verdict: Verdict, exact: float) -> None:
    """Check a verdict against the exact margin; near 0 nothing is decided."""
    if verdict.margin is not None:
        assert verdict.margin <= exact + 1e-9
    if exact > 1e-3:
        assert verdict.status == "verified"
    if exact < -1e-3:
        assert verdict.status == "falsified"


@EXAMPLES
@given(case=cases(features=1, most_layers=3, most_width=3, most_steps=3, dtypes=(torch.float64,)))
def test_decides_a_line_as_its_cells_do(case: Case):
    case.network.encoding = "direct"
    inputs = case.inputs.reshape(len(case.inputs), -1)[:1, :1]
    with torch.no_grad():
        labels = case.network(inputs).argmax(1)
    ends = LInf(case.epsilon).enclosure(inputs)
    exact = line_margin(case.network, float(ends.lower), float(ends.upper), int(labels))
    (found,) = verify(case.network, inputs, labels, LInf(case.epsilon), "milp")
    if found.margin is not None:
        assert found.margin <= exact + 1e-9
    if found.status == "verified":
        assert exact > 0


@pytest.mark.parametrize("layers", [TIGHT, BIG_M.layers], ids=["tight", "big-M"])
@EXAMPLES
@given(case=TINY, seed=st.integers(0, 2**31))
def test_every_run_is_a_point_of_the_closed_program(layers: Layers, case: Case, seed: int):
    """With its input fixed to an allowed one, the closed program is feasible and reaches the run's logits."""
    candidates = points(case, 3, torch.Generator().manual_seed(seed))[:, :1]
    closed = encode(circuit(case.network), LInf(case.epsilon).enclosure(case.inputs[:1]), Closing(True), layers)
    for candidate in candidates:
        with torch.no_grad():
            logits = case.network(candidate)[0].double().numpy()
        assert reaches(closed, candidate, logits)


@EXAMPLES
@given(case=TINY)
def test_the_standard_encoding_agrees(case: Case):
    asked = case.network, case.inputs, case.labels, LInf(case.epsilon)
    one, other = verify(*asked, "milp"), verify(*asked, BIG_M)
    for left, right in zip(one, other, strict=True):
        assert {left.status, right.status} != {"verified", "falsified"}


@EXAMPLES
@given(case=TINY, seed=st.integers(0, 2**31))
def test_what_is_verified_holds_at_sampled_points_and_what_is_falsified_replays(case: Case, seed: int):
    threat = LInf(case.epsilon)
    candidates = points(case, 24, torch.Generator().manual_seed(seed))
    for index, found in enumerate(verify(case.network, case.inputs, case.labels, threat, Milp())):
        label = case.labels[index : index + 1]
        with torch.no_grad():
            if found.status == "verified":
                assert found.margin is not None
                runs = case.network(candidates[:, index]).double()
                assert float(margins(runs, label.expand(len(runs))).min()) >= found.margin
            elif found.counterexample is not None:
                assert float(margins(case.network(found.counterexample[None]), label)) <= 0


@pytest.mark.parametrize("seconds", [0.2, 0.53, 0.81])
def test_ctrl_c_ends_the_solver_and_is_raised(seconds: float):
    """A knapsack that takes HiGHS minutes: within its callbacks Ctrl-C was taken for an error of its own."""
    generator, program = np.random.default_rng(0), Program()
    items = program.binaries(120)
    weights, worth = (generator.integers(1, 1000, (rows, 120)).astype(float) for rows in (60, 1))
    program.constrain(items.image(sparse.csr_array(weights), 0.0), upper=weights.sum(1) / 3)
    objective = items.image(sparse.csr_array(-worth), 0.0)
    listening = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job may ignore it
    before = set(threading.enumerate())
    timer = threading.Timer(seconds, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    start = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        minimise(program.model(), objective, Watch(np.inf, lambda _: False), start + 60)
    timer.join()
    signal.signal(signal.SIGINT, listening)
    assert time.perf_counter() - start < 20
    assert set(threading.enumerate()) <= before


def lively(reset: str = "zero") -> SpikingNetwork:
    torch.manual_seed(3)
    network = mlp((6, 12, 10, 3), 4, LIF(decay=0.9, threshold=0.3, reset=reset))
    for layer in network.layers:
        if isinstance(layer, nn.Linear):
            layer.weight.data *= 3.0
    return network


def samples(network: SpikingNetwork, count: int) -> tuple[Tensor, Tensor]:
    inputs = torch.rand(count, 6, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return inputs, network(inputs).argmax(1)


@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
def test_decides_what_bounds_leave_open(reset: str):
    network = lively(reset)
    inputs, labels = samples(network, 8)
    open_ones = [v.status == "unknown" for v in verify(network, inputs, labels, LInf(0.05), "trains")]
    found = verify(network, inputs, labels, LInf(0.05), "milp")
    assert sum(open_ones) >= 3
    assert {verdict.status for verdict in found} == {"verified", "falsified"}
    assert any("linear programs" in verdict.reason for verdict in found)


def test_a_residual_network_is_encoded():
    torch.manual_seed(2)
    block = Residual([nn.Linear(6, 6), LIF(decay=0.9, threshold=0.3), nn.Linear(6, 6)])
    network = SpikingNetwork(block, LIF(decay=0.9, threshold=0.3), nn.Linear(6, 3), num_steps=3)
    inputs, labels = samples(network, 6)
    statuses = [v.status for v in verify(network, inputs, labels, LInf(0.03), "milp")]
    assert "unknown" not in statuses
    assert "verified" in statuses


def test_a_ball_is_verified_within_its_box():
    network = lively()
    inputs, labels = samples(network, 6)
    found = verify(network, inputs, labels, L2(0.03), "milp")
    assert any(verdict.status == "verified" for verdict in found)
    assert all(
        bool(L2(0.03).contains(v.counterexample[None], inputs[i][None]))
        for i, v in enumerate(found)
        if v.counterexample is not None
    )


def test_flips_are_exact():
    torch.manual_seed(5)
    network = mlp((3, 5, 2), 3, LIF(decay=0.9, threshold=0.3), encoding="none")
    inputs = (torch.rand(6, 3, 3, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    with torch.no_grad():
        labels = network(inputs).argmax(1)
    for sample, label, found in zip(
        inputs, labels, verify(network, inputs, labels, SpikeFlip(2), "milp"), strict=True
    ):
        agrees(found, every_two_flips(network, sample, label))


def every_two_flips(network: SpikingNetwork, sample: Tensor, label: Tensor) -> float:
    flips = torch.eye(sample.numel())
    pairs = ((flips[:, None] + flips[None]) % 2).flatten(0, 1)
    every = torch.cat([torch.zeros(1, sample.numel()), flips, pairs]).reshape(-1, *sample.shape)
    with torch.no_grad():
        logits = network((sample - every).abs()).double()
    return float(margins(logits, label.expand(len(logits))).min())


def test_a_timeout_is_kept_and_leaves_unknown():
    torch.manual_seed(0)
    network = mlp((64, 48, 48, 10), 8, LIF(decay=0.9))
    inputs = torch.rand(3, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        labels = network(inputs).argmax(1)
    started = time.perf_counter()
    found = verify(network, inputs, labels, LInf(0.2), "milp", timeout=1.0)
    assert time.perf_counter() - started < 20
    assert any(verdict.status == "unknown" and "time was up" in verdict.reason for verdict in found)


def test_a_layer_too_large_is_a_reason(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("spikecert.certify.milp.encoding.MOST_ENTRIES", 10)
    network = lively()
    inputs, labels = samples(network, 4)
    unknown = [v for v in verify(network, inputs, labels, LInf(0.3), "milp") if v.status == "unknown"]
    assert unknown
    assert all("too many to write as a program" in verdict.reason for verdict in unknown)


def test_expressions_that_would_take_too_much_are_refused_before_they_are_made(monkeypatch: pytest.MonkeyPatch):
    network = lively()
    inputs, labels = samples(network, 4)
    monkeypatch.setattr(encoding, "MOST_TERMS", 10)
    unknown = [v for v in verify(network, inputs, labels, LInf(0.3), "milp") if v.status == "unknown"]
    assert unknown
    assert all("terms over all steps" in verdict.reason and "\n" not in verdict.reason for verdict in unknown)


@pytest.mark.parametrize("at_once", [1, 7, 2**22])
def test_the_matrix_of_a_layer_does_not_depend_on_how_it_is_made(monkeypatch: pytest.MonkeyPatch, at_once: int):
    layer = torch.nn.Conv2d(2, 3, 3, stride=2, padding=1, bias=False).double()
    monkeypatch.setattr(encoding, "AT_ONCE", at_once)
    found = encoding._matrix(layer, torch.Size((2, 5, 4)), torch.zeros(1, 2, 5, 4, dtype=torch.float64))
    values = torch.rand(2, 5, 4, dtype=torch.float64)
    with torch.no_grad():
        expected = layer(values[None]).flatten().numpy()
    assert found.shape == (3 * 3 * 2, 40)
    np.testing.assert_allclose(found @ values.flatten().numpy(), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("said", [Minimum(np.inf, True, True), Minimum(1e3, True, False)])
def test_a_solver_that_a_run_contradicts_is_not_believed(monkeypatch: pytest.MonkeyPatch, said: Minimum):
    """An infeasible program, or a bound above the sample's own margin, can only be the solver's mistake."""
    monkeypatch.setattr(search, "minimise", lambda *_, **__: said)
    network = lively()
    inputs, labels = samples(network, 4)
    loose = Milp(bounds=INTERVAL)
    open_ones = [v.status == "unknown" for v in verify(network, inputs, labels, LInf(0.05), "interval")]
    found = verify(network, inputs, labels, LInf(0.05), loose)
    assert any(open_ones)
    assert all(v.status != "verified" for v, is_open in zip(found, open_ones, strict=True) if is_open)


def test_a_margin_within_the_tolerance_is_not_verified():
    network = lively()
    inputs, labels = samples(network, 8)
    assert all(
        verdict.status != "verified" or "HiGHS" not in verdict.reason
        for verdict in verify(network, inputs, labels, LInf(0.05), Milp(tolerance=1e3))
    )


def test_highs_writes_nothing(capfd: pytest.CaptureFixture[str]):
    network = lively()
    inputs, labels = samples(network, 4)
    verify(network, inputs, labels, LInf(0.05), "milp")
    assert capfd.readouterr().out == ""


def test_an_error_in_a_callback_comes_out():
    program = Program()
    binaries = program.binaries(30)
    weights = np.random.default_rng(0).integers(50, 99, (1, 30)).astype(float)
    total = binaries.image(sparse.csr_array(weights), 0.0)
    program.constrain(total, lower=701.5)

    def broken(_: np.ndarray) -> bool:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        solver.minimise(program.model(), total, Watch(np.inf, broken), None)


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match="tolerance"):
        Milp(tolerance=0.0)


@pytest.mark.parametrize("summed", [False, True])
def test_the_slack_of_logits_holds_what_the_run_loses(summed: bool):
    """Three spikes make 1 + 2⁻²⁵ − 1, which float32 takes for 0; a layer or a residual sum adds them."""
    lost = 2.0**-25
    rows = torch.tensor([[1.0, lost, -1.0]] + [[0.0] * 3] * 2)
    first, branch, shortcut = nn.Linear(1, 3), nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
    first.weight.data.zero_()
    first.bias.data.fill_(2.0)
    branch.weight.data, shortcut.weight.data = (
        rows * torch.tensor([1.0, 0.0, 0.0]),
        rows * torch.tensor([0, 1.0, 0]),
    )
    last = Residual([branch], [shortcut]) if summed else branch
    if not summed:
        branch.weight.data = rows
    network = SpikingNetwork(first, LIF(0.0), last, num_steps=1).eval()
    inputs = torch.zeros(1, 1)
    written = encode(circuit(network), LInf(0.0).enclosure(inputs), Closing(True))
    exact = 1.0 + lost if summed else lost
    with torch.no_grad():
        assert abs(float(network(inputs)[0, 0]) - exact) >= lost / 2
    assert written.slack[0] >= lost


def test_every_run_of_a_residual_sum_is_a_point():
    """The shortcut takes back what the branch gives."""
    torch.manual_seed(0)
    branch, shortcut = nn.Linear(3, 2), nn.Linear(3, 2)
    shortcut.weight.data = 0.1 - branch.weight.data
    network = SpikingNetwork(nn.Linear(2, 3), LIF(0.9, 0.2), Residual([branch], [shortcut]), num_steps=3).eval()
    for sample in torch.rand(6, 1, 2):
        closed = encode(circuit(network), LInf(0.05).enclosure(sample), Closing(True))
        with torch.no_grad():
            assert reaches(closed, sample, network(sample)[0].double().numpy())


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
