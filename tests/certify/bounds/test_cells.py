"""F9: no run of a layer that subtracts leaves its cells, they are never wider than what they replace, and the
compiled kernel computes them bitwise as torch does."""

import itertools
from dataclasses import fields, replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from spikecert.certify.bounds.cells.automaton import (
    CellRanges,
    CellTrains,
    Pairs,
    cell_ranges,
    cell_trains,
    least_differences,
)
from spikecert.certify.bounds.cells.looking_through import Inflow
from spikecert.certify.bounds.prices.priced_layer import PricedCells, charged, collected
from spikecert.certify.bounds.signals.signals import InputSignal
from spikecert.certify.bounds.signals.windows import Box
from spikecert.certify.bounds.trains.train_graph import graph_trains
from spikecert.certify.rounding import Rounding
from spikecert.models.rules import Leaky
from spikecert.models.running.membrane import simulate
from support import eager_cells

STEPS, BOXES, RUNS = 7, 150, 40
SINGLE = Rounding(torch.float32)
CASES = [
    (decay, drop, ">=" if index % 2 else ">")
    for index, (decay, drop) in enumerate(itertools.product([0.0, 0.5, 0.9, 1.0], [0.6, 1.0, 1.4]))
]


def drawn(steps: int = STEPS) -> tuple[InputSignal, Tensor]:
    """Return boxes of currents (steps, boxes, 1), some of width 0 or on a threshold, and runs in them."""
    generator = torch.Generator().manual_seed(0)
    low = torch.rand(steps, BOXES, 1, generator=generator) * 2.5 - 0.5
    low[:, ::4] = (low[:, ::4] * 4).round() / 4
    high = low + torch.rand(steps, BOXES, 1, generator=generator) ** 3 * (torch.arange(BOXES) % 7 > 0)[:, None]
    share = torch.rand(steps, BOXES, RUNS, generator=generator)
    share[:, :, : RUNS // 2] = share[:, :, : RUNS // 2].round()
    currents = (low + share * (high - low)).minimum(high).maximum(low)
    return InputSignal(Box(low.double(), high.double()), steps), currents


def rule_of(decay: float, drop: float, fires_at: str, scale: tuple[float, ...] | None = None) -> Leaky:
    return Leaky(decay, 1.0, "subtract", fires_at, drop, scale)


def run(currents: Tensor, rule: Leaky) -> tuple[Tensor, Tensor]:
    """Return spikes and the potentials that they leave, in the run's own float32."""
    scale = None if rule.scale is None else torch.tensor(rule.scale)
    potentials, spikes = simulate(currents, scale, rule.dynamics, len(currents))
    return spikes.double(), potentials.double() - rule.drop * spikes.double()


def assert_alike(one: CellRanges, other: CellRanges):
    for field in fields(CellRanges):
        a, b = getattr(one, field.name), getattr(other, field.name)
        assert torch.equal(a.lower, b.lower), field.name
        assert torch.equal(a.upper, b.upper), field.name


def holds(box: Box, runs: Tensor) -> None:
    """Check (T, boxes, 1) against (T, boxes, runs)."""
    assert bool((runs >= box.lower).all())
    assert bool((runs <= box.upper).all())


@pytest.mark.parametrize(("decay", "drop", "fires_at"), CASES)
@pytest.mark.parametrize("cells", [3, 16])
def test_no_run_leaves_its_cells(decay: float, drop: float, fires_at: str, cells: int):
    signal, currents = drawn()
    scale = (1.0, -0.5, 2.0, 1.0, 0.0, 0.25, 1.0) if cells == 3 else None
    rule = rule_of(decay, drop, fires_at, scale)
    found = cell_trains(signal, rule, SINGLE, cells)
    spikes, left = run(currents, rule)
    holds(found.steps(), spikes)
    balance = found.balance(replace(rule, scale=None))
    assert balance is not None
    holds(balance.train, collected(spikes, decay) + 0.0)
    slack = 1e-5  # `left` is the run's own, rounded
    holds(Box(balance.potential.lower - slack, balance.potential.upper + slack), left)
    rows = torch.stack((torch.ones(STEPS), torch.linspace(-1, 2, STEPS))).double()
    slack = 1e-12  # of the sum that is computed here
    combined, sums = found.combine(rows), torch.tensordot(rows, spikes, 1)
    holds(Box(combined.lower - slack, combined.upper + slack), sums)
    shares = torch.linspace(-1.0, 0.5, STEPS).double()
    filtered = found.filtered(Leaky(0.7, scale=tuple(shares.tolist())))
    holds(Box(filtered.lower - slack, filtered.upper + slack), collected(shares.view(-1, 1, 1) * spikes, 0.7))


@pytest.mark.parametrize(("decay", "drop", "fires_at"), CASES)
def test_filtered_currents_pay_for_what_a_run_rounds(decay: float, drop: float, fires_at: str):
    signal, currents = drawn()
    rule = rule_of(decay, drop, fires_at)
    inflow = cell_trains(signal, rule, SINGLE).inflow
    spikes, left = run(currents, rule)
    came_in = left + drop * collected(spikes, decay)  # L = u + d·S, of the potentials as they were rounded
    holds(Box(inflow.lower - 1e-12, inflow.upper + 1e-12), came_in)
    exact = collected(currents.double(), decay)
    assert bool((came_in > exact + 1e-9).any()) == bool((came_in < exact - 1e-9).any()) == (decay > 0)


@pytest.mark.parametrize(("decay", "drop", "fires_at"), CASES)
def test_cells_are_never_wider_than_the_graph(decay: float, drop: float, fires_at: str):
    signal, _ = drawn()
    rule = rule_of(decay, drop, fires_at)
    cells, graph = cell_trains(signal, rule, SINGLE), graph_trains(signal, rule, SINGLE, windows=True)
    ones = torch.ones(1, STEPS, dtype=torch.float64)
    for one, other in ((cells.steps(), graph.steps()), (cells.combine(ones), graph.combine(ones))):
        assert bool((one.lower >= other.lower).all())
        assert bool((one.upper <= other.upper).all())
    narrower = cells.combine(ones), graph.combine(ones)
    if decay > 0:
        widths = [float((box.upper - box.lower).sum()) for box in narrower]
        assert widths[0] < widths[1]


def test_counts_of_integrate_and_fire_are_two_runs():
    # F10: with λ = 1 and d = θ the counts are monotone in the summed current
    signal, _ = drawn()
    rule = rule_of(1.0, 1.0, ">")
    count = cell_trains(signal, rule, Rounding(torch.float64)).combine(torch.ones(1, STEPS).double())
    ends = [run(end, rule)[0].sum(0)[None] for end in (signal.box.lower, signal.box.upper)]
    exact = (signal.box.lower * 4).frac().abs().amax(0) > 0.01  # boxes that no tie touches
    assert torch.equal(count.lower[0][exact], ends[0][0][exact])
    assert torch.equal(count.upper[0][exact], ends[1][0][exact])
    assert float(exact.double().mean()) > 0.5


@given(
    ends=st.lists(st.tuples(st.floats(-1, 3), st.floats(0, 1)), min_size=1, max_size=6),
    decay=st.sampled_from([0.0, 0.5, 0.95, 1.0]),
    drop=st.sampled_from([0.7, 1.0, 1.3]),
)
def test_every_grid_run_has_a_path(ends: list[tuple[float, float]], decay: float, drop: float):
    low, high = [a for a, _ in ends], [a + b for a, b in ends]
    rule = rule_of(decay, drop, ">=")
    lower, upper = torch.tensor([low, high], dtype=torch.float64)[..., None, None]
    box = Box(lower, upper)
    found = cell_trains(InputSignal(box, len(ends)), rule, Rounding(torch.float64), 5)
    grid = torch.tensor(list(itertools.product(*zip(low, high, strict=True))), dtype=torch.float64)
    spikes, _ = run(grid.T[:, None].contiguous(), rule)
    holds(found.steps(), spikes)
    holds(found.filtered(Leaky(1.0)), collected(spikes, 1.0))
    train = found.filtered(Leaky(decay))
    holds(Box(train.lower - 1e-12, train.upper + 1e-12), collected(spikes, decay))


@pytest.mark.parametrize(("decay", "drop", "fires_at"), CASES)
@pytest.mark.parametrize("cells", [2, 5, 24])
def test_the_kernel_is_bitwise_torch(decay: float, drop: float, fires_at: str, cells: int):
    signal, _ = drawn()
    rule = rule_of(decay, drop, fires_at)
    inflow = cell_trains(signal, rule, SINGLE).inflow
    row = torch.linspace(-1, 1, STEPS).double()
    one, other = (find(inflow, rule, cells, row, 0.9) for find in (cell_ranges, eager_cells.cell_ranges))
    assert_alike(one, other)


@pytest.mark.parametrize("drop", [1.0, 0.3, 1.25])
@pytest.mark.parametrize("steps", [1, 2, 9, 17, 33])
def test_counts_are_bitwise_those_of_torch(steps: int, drop: float):
    """λ = 1: one cell a count says what all cells that lead there say, and where u lies apart all are kept."""
    generator = torch.Generator().manual_seed(steps)
    middle, radius = torch.randn(2, steps, 96, generator=generator).double()
    radius = radius.abs() * 0.3 * (torch.arange(96) % 4)
    middle[:, 48:] += 0.8  # counts beyond a block
    for ends in (middle, radius):
        ends[:, ::3] = (ends[:, ::3] * 8).round() / 8
        ends[:, ::5] = ends[:1, ::5]
    low, high = middle - radius, middle + radius
    lower, upper = low.cumsum(0), high.cumsum(0)
    cut = 0.48 * (upper - lower) * torch.rand(steps, 96, generator=generator).round() * (torch.arange(96) % 2)
    rule, ones = rule_of(1.0, drop, ">="), torch.ones(steps).double()
    for surely, perhaps in ((1.0, 1.0), (1.0 + 1e-9, 1.0 - 1e-9), (0.4, 1.6)):  # at last u lies apart
        inflow = Inflow(lower + cut, upper - cut, low, high, torch.zeros(96).double(), surely, perhaps)
        for row in (ones, 2 * ones):
            one, other = (
                find(inflow, rule, steps + 1, row, 1.0) for find in (cell_ranges, eager_cells.cell_ranges)
            )
            assert_alike(one, other)


def test_counts_that_were_cut_do_not_come_back():
    """Each step may fire, and one says that few spikes were: what was beyond them is gone, whatever the buffer."""
    steps, lanes = 40, torch.arange(16)
    low, high = torch.zeros(steps, 16).double(), torch.full((steps, 16), 1.5).double()
    low[22:] = high[22:] = 1.25  # all fire, and what is left of them grows
    lower, upper = torch.zeros(steps, 16).double(), torch.full((steps, 16), 1e3).double()
    upper[20 + lanes % 2, lanes] = (3 + lanes // 2).double()  # a buffer each
    inflow = Inflow(lower, upper, low, high, torch.zeros(16).double(), 1.0, 1.0)
    rule, ones = rule_of(1.0, 1.0, ">="), torch.ones(steps).double()
    one, other = (find(inflow, rule, steps + 1, ones, 1.0) for find in (cell_ranges, eager_cells.cell_ranges))
    assert_alike(one, other)
    assert float(one.train.upper[22].max()) < 14


def test_whole_counts_lose_nothing():
    """What λ = 1 leaves of a count is never wider than fewer cells, and S and the count are the same."""
    signal, currents = drawn()
    rule = rule_of(1.0, 1.0, ">=")
    inflow, ones = cell_trains(signal, rule, SINGLE).inflow, torch.ones(STEPS).double()
    found, merged = (cell_ranges(inflow, rule, count, ones, 1.0) for count in (STEPS + 1, 3))
    assert torch.equal(found.train.lower, found.sums.lower)
    assert torch.equal(found.train.upper, found.sums.upper)
    assert torch.equal(found.train.lower, found.train.lower.round())
    assert bool((merged.potential.lower <= found.potential.lower).all())
    assert bool((merged.potential.upper >= found.potential.upper).all())
    holds(found.train, collected(run(currents, rule)[0], 1.0))


def pairs_of(found: CellTrains) -> Pairs:
    """Return each box with the next one, known to differ by no more than half of what the boxes say."""
    first = torch.arange(BOXES)
    samples, neurons = torch.stack((first, first.roll(1))), torch.zeros(2, BOXES, dtype=torch.long)
    inflow = found.inflow.at(samples, neurons)
    low, high = inflow.lower[:, 0] - inflow.upper[:, 1], inflow.upper[:, 0] - inflow.lower[:, 1]
    return Pairs(inflow, Box(0.75 * low + 0.25 * high, 0.25 * low + 0.75 * high))


@pytest.mark.parametrize(("decay", "drop", "fires_at"), CASES)
def test_no_pair_of_runs_passes_its_difference(decay: float, drop: float, fires_at: str):
    signal, currents = drawn()
    rule = rule_of(decay, drop, fires_at)
    pairs = pairs_of(cell_trains(signal, rule, SINGLE))
    least = least_differences(pairs, rule, 4)
    spikes, _ = run(currents, rule)
    filtered = collected(currents.double(), decay)
    apart = filtered - filtered.roll(1, 1)
    strip = pairs.strip.lower.unsqueeze(2), pairs.strip.upper.unsqueeze(2)
    inside = ((apart >= strip[0]) & (apart <= strip[1])).all(0)
    differences = spikes.sum(0) - spikes.sum(0).roll(1, 0)
    assert int(inside.sum()) > 40
    assert bool((differences >= least[:, None])[inside].all())
    alone = cell_trains(signal, rule, SINGLE).combine(torch.ones(1, STEPS).double())
    separate = (alone.lower[0] - alone.upper[0].roll(1, 0)).flatten()
    assert bool((least >= separate).all())
    assert float((least - separate).sum()) > 0


@pytest.mark.parametrize(("decay", "drop", "fires_at"), CASES)
def test_the_kernel_finds_the_differences_bitwise(decay: float, drop: float, fires_at: str):
    rule = rule_of(decay, drop, fires_at)
    pairs = pairs_of(cell_trains(drawn()[0], rule, SINGLE))
    assert torch.equal(least_differences(pairs, rule, 4), eager_cells.least_differences(pairs, rule, 4))


@pytest.mark.parametrize(("decay", "drop", "fires_at"), CASES)
def test_a_priced_path_is_below_every_run(decay: float, drop: float, fires_at: str):
    signal, currents = drawn()
    rule = rule_of(decay, drop, fires_at)
    found = cell_trains(signal, rule, SINGLE)
    where = torch.arange(BOXES), torch.zeros(BOXES, dtype=torch.long)
    priced = PricedCells.of(found, where)
    generator = torch.Generator().manual_seed(1)
    costs, prices = torch.randn(2, STEPS, BOXES, generator=generator, dtype=torch.float64)
    value, spikes, reached = priced.least(costs, prices * 0.3)
    assert torch.allclose((costs * spikes - 0.3 * prices * reached).sum(0), value)
    ran, _ = run(currents, rule)
    filtered = collected(currents.double(), decay)
    of_runs = (costs[..., None] * ran - 0.3 * prices[..., None] * filtered).sum(0)
    slack = 0.3 * (prices.abs() * collected(found.inflow.slack[:, 0].expand(STEPS, -1), decay)).sum(0)
    assert bool((of_runs >= (value - slack)[:, None]).all())
    unpriced = priced.least(costs, torch.zeros_like(prices))[0]
    best = (costs[..., None] * ran).sum(0).amin(1)
    assert bool((best >= unpriced - 1e-9).all())
    assert float((best - unpriced < 1e-9).double().mean()) > 0.3


def test_prices_on_filtered_currents_are_prices_on_currents():
    generator = torch.Generator().manual_seed(0)
    prices, currents = torch.randn(2, 9, 4, generator=generator, dtype=torch.float64)
    for decay in (0.0, 0.8, 1.0):
        one, other = (prices * collected(currents, decay)).sum(), (charged(prices, decay) * currents).sum()
        assert torch.allclose(one, other)
