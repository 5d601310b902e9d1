"""Tables and paths against other routes: rational enumeration, float32 runs, and linear programs."""

import itertools
import time
from dataclasses import replace
from fractions import Fraction
from math import ceil, floor

import numpy as np
import pytest
import torch
from hypothesis import assume, example, given
from hypothesis import strategies as st
from scipy.optimize import linprog

from spikecert import LIF
from spikecert.checking.network.neurons import Neuron
from spikecert.checking.numbers.arithmetic import ARITHMETIC
from spikecert.checking.numbers.exact import Dyadic
from spikecert.checking.trains.paths import Boxes, Reach, cheapest, segment
from spikecert.checking.trains.tables import train_table
from spikecert.testing import neurons
from support.oracles import exact_trains

SINGLE = ARITHMETIC[np.dtype("<f4")]


def as_read(neuron, steps: int) -> Neuron:
    """Return the checker's view of a neuron module."""
    scale = neuron.scale(steps)
    factors = [1.0] * steps if scale is None else scale.tolist()
    d = neuron.dynamics
    amount = d.threshold if d.reset_amount is None else d.reset_amount
    constants = Fraction(d.decay), Fraction(d.threshold), d.reset, Fraction(amount)
    return Neuron(*constants, tuple(map(Fraction, factors)))


def table_of(neuron, steps: int, *ends: tuple[float, float]):
    """Return the checker's table for neurons of which each has currents between two ends."""
    low, high = (Dyadic.of(side).column() for side in zip(*ends, strict=True))
    return train_table(as_read(neuron, steps), low, high, SINGLE)


@given(st.data(), st.integers(1, 6), st.floats(0.1, 8.0))
def test_a_table_holds_the_train_of_every_run_at_its_current(data, steps, reach):
    neuron = data.draw(neurons(steps))
    table = table_of(neuron, steps, (-reach, reach))
    low = [x.fraction() for x in map(table.low.__getitem__, range(len(table.trains)))]
    high = [x.fraction() for x in map(table.high.__getitem__, range(len(table.trains)))]
    ends = [float(end) for end in {*low, *high} if abs(end) <= reach]
    nearby = [np.nextafter(np.float32(end), np.float32(side)) for end in ends for side in (-9, 9)]
    drawn = np.random.default_rng(0).uniform(-reach, reach, 50)
    currents = [float(x) for x in np.array([*ends, *nearby, *drawn], dtype=np.float32) if abs(float(x)) <= reach]
    with torch.no_grad():
        run = neuron(torch.tensor(currents)[None], steps).T.int().tolist()
    trains = [tuple(map(int, train)) for train in table.trains]
    for current, train in zip(currents, run, strict=True):
        rows = [row for row, known in enumerate(trains) if known == tuple(train)]
        assert any(low[row] <= Fraction(current) <= high[row] for row in rows)


@given(st.data(), st.integers(1, 5), st.floats(0.1, 4.0))
def test_a_table_has_no_train_that_real_currents_lack_but_near_ties(data, steps, reach):
    neuron = data.draw(neurons(steps))
    scale = neuron.scale(steps)
    factors = [1.0] * steps if scale is None else scale.tolist()
    exact = exact_trains(neuron.dynamics, factors, -reach, reach)
    table = table_of(neuron, steps, (-reach, reach))
    wide = [
        tuple(map(int, train))
        for row, train in enumerate(table.trains)
        if (table.high[row] - table.low[row]).fraction() > Fraction(1, 100)
    ]
    silent_factor = any(factor == 0.0 for factor in factors)
    assume(not silent_factor)
    assert set(wide) <= exact


@given(st.data(), st.integers(1, 5), st.lists(st.floats(-3.0, 3.0), min_size=1, max_size=3))
def test_rows_that_no_neuron_meets_are_left_out_and_the_others_stay_as_they_are(data, steps, middles):
    neuron = data.draw(neurons(steps))
    ends = [(middle - 0.01, middle + 0.01) for middle in middles]
    reach = max(abs(end) for pair in ends for end in pair)
    whole, table = table_of(neuron, steps, (-reach, reach)), table_of(neuron, steps, *ends)
    met = [
        (low, high, tuple(train))
        for low, high, train in zip(whole.low.fractions(), whole.high.fractions(), whole.trains, strict=True)
        if any(low <= Fraction(end[1]) and Fraction(end[0]) <= high for end in ends)
    ]
    assert met == list(zip(table.low.fractions(), table.high.fractions(), map(tuple, table.trains), strict=True))


def test_a_soft_reset_over_many_steps_has_a_short_table_of_short_numbers():
    started = time.perf_counter()
    table = table_of(LIF(0.97, reset="subtract"), 64, (0.2, 0.201), (1.5, 1.501))
    assert time.perf_counter() - started < 2
    assert 2 < len(table.trains) < 100
    assert table.low.shift == 80


def boxes_of(low, high, decay, threshold) -> tuple[Boxes, float]:
    """Return boxes over a common power of two, and the size of one unit of w."""
    steps, scale = len(low), 1 << 200
    powers = [Fraction(decay) ** (steps - 1 - t) for t in range(steps)]

    def units(values):
        return [int(Fraction(value) * power * scale) for value, power in zip(values, powers, strict=True)]

    marks = units([threshold] * steps)
    return Boxes(units(low), units(high), marks, marks), float(scale)


def least_by_programs(low, high, decay, threshold, costs, prices) -> tuple[float, set]:
    """Return the least cost over all 2^T trains, one linear program each, and the trains that are possible."""
    steps, best, possible = len(low), np.inf, set()
    powers = [decay ** (steps - 1 - t) for t in range(steps)]
    for train in itertools.product((0, 1), repeat=steps):
        rows, limits, last = [], [], 0
        for t, spike in enumerate(train):
            row = np.zeros(steps)
            row[last : t + 1] = [decay ** (t - k) for k in range(last, t + 1)]
            rows.append(-row if spike else row)
            limits.append(-threshold if spike else threshold)
            last = t + 1 if spike else last
        objective = [-price * power for price, power in zip(prices, powers, strict=True)]
        bounds = list(zip(low, high, strict=True))
        program = linprog(objective, A_ub=rows, b_ub=limits, bounds=bounds, method="highs")
        if program.status == 0:
            possible.add(train)
            best = min(best, program.fun + sum(cost for cost, spike in zip(costs, train, strict=True) if spike))
    return best, possible


QUARTERS = st.integers(-6, 10).map(lambda n: n / 4 + 1 / 64)  # off the threshold, where solvers have a say


@given(st.data(), st.integers(1, 5), st.sampled_from([0.25, 0.5, 0.9, 1.0]))
def test_the_cheapest_path_is_the_least_of_all_programs(data, steps, decay):
    def numbers(kind):
        return data.draw(st.lists(kind, min_size=steps, max_size=steps))

    low, width = numbers(QUARTERS), numbers(st.sampled_from([0.0, 0.25, 1.0, 2.5]))
    high = [a + b for a, b in zip(low, width, strict=True)]
    costs, prices = numbers(st.integers(-4, 4)), numbers(st.integers(-4, 4))
    boxes, scale = boxes_of(low, high, decay, 1.0)
    expected, possible = least_by_programs(low, high, decay, 1.0, costs, prices)
    found = cheapest(Reach.of(boxes), [cost << 200 for cost in costs], prices)
    assert found is not None
    assert found / scale == pytest.approx(expected, abs=1e-6)
    certain, open_ones = Reach.of(boxes).spikes
    trains = np.array(sorted(possible))
    assert np.all(np.array(certain) <= trains.min(0))
    assert np.all(np.array(open_ones) >= trains.max(0))


def left_over(boxes, decay, amount) -> Boxes:
    """Return the boxes of a neuron whose spikes take `amount`."""
    steps, scale = len(boxes.low), 1 << 200
    taken = [int(Fraction(amount) * Fraction(decay) ** (steps - 1 - t) * scale) for t in range(steps)]
    return replace(boxes, taken=[(part, part) for part in taken])


def least_after_subtracting(low, high, decay, amount, costs, prices) -> float:
    """Return the least cost over all 2^T trains of a neuron that loses `amount` at a spike, threshold 1."""
    steps, best = len(low), np.inf
    for train in itertools.product((0, 1), repeat=steps):
        rows, limits, carried = [], [], 0.0
        for t, spike in enumerate(train):
            sign, carried = (-1 if spike else 1), decay * carried
            rows.append([sign * decay ** (t - k) if k <= t else 0.0 for k in range(steps)])
            limits.append(sign * (1.0 + carried))
            carried += amount * spike
        objective = [-price * decay ** (steps - 1 - t) for t, price in enumerate(prices)]
        bounds = list(zip(low, high, strict=True))
        program = linprog(objective, A_ub=rows, b_ub=limits, bounds=bounds, method="highs")
        if program.status == 0:
            best = min(best, program.fun + sum(cost for cost, spike in zip(costs, train, strict=True) if spike))
    return best


@given(st.data(), st.integers(1, 4), st.sampled_from([0.25, 0.5, 0.9, 1.0]), st.sampled_from([0.0, 0.5, 1.0, 1.5]))
def test_no_train_of_a_subtracting_neuron_costs_less(data, steps, decay, amount):
    def numbers(kind):
        return data.draw(st.lists(kind, min_size=steps, max_size=steps))

    low, width = numbers(QUARTERS), numbers(st.sampled_from([0.0, 0.0, 0.25, 1.0, 2.5]))
    high = [a + b for a, b in zip(low, width, strict=True)]
    costs, prices = numbers(st.integers(-4, 4)), numbers(st.integers(-4, 4))
    boxes, scale = boxes_of(low, high, decay, 1.0)
    found = cheapest(Reach.of(left_over(boxes, decay, amount)), [cost << 200 for cost in costs], prices)
    expected = least_after_subtracting(low, high, decay, amount, costs, prices)
    assert found is not None
    assert found / scale <= expected + 1e-6
    if not any(width[:-1]):  # one run up to the last step: nothing is relaxed
        assert found / scale == pytest.approx(expected, abs=1e-6)


@given(st.integers(0, 2**31), st.sampled_from([0.3, 0.9, 1.0]), st.sampled_from([0.0, 0.6, 1.0]))
def test_no_run_of_a_subtracting_neuron_within_the_windows_costs_less(seed, decay, amount):
    generator, scale = np.random.default_rng(seed), 1 << 200
    low = generator.uniform(-0.5, 1.0, 6)
    high = low + generator.uniform(0.0, 1.0, 6)
    runs = low + generator.random((3, 6)) * (high - low)
    costs, prices = generator.integers(-5, 6, 6).tolist(), generator.integers(-5, 6, 6).tolist()
    plain, _ = boxes_of(low, high, decay, 1.0)
    boxes = replace(left_over(plain, decay, amount), windows=windows_of(runs, decay, scale))
    least = cheapest(Reach.of(boxes), [cost << 200 for cost in costs], prices)
    assert least is not None
    for run in runs:
        potential, paid = 0.0, 0.0
        for t, current in enumerate(run):
            potential = decay * potential + current
            paid += costs[t] * (potential >= 1.0) - prices[t] * decay ** (5 - t) * current
            potential -= amount * (potential >= 1.0)
        assert paid >= least / scale - 1e-9


def windows_of(runs, decay, scale) -> list[list[tuple[int, int]]]:
    """Return the ends of each window's sum of Λ·c over a few runs."""
    powers = [Fraction(decay) ** (5 - t) for t in range(6)]
    sums = [[Fraction(c) * power * scale for c, power in zip(run, powers, strict=True)] for run in runs.tolist()]
    return [
        [
            (floor(min(sum(x[a : t + 1]) for x in sums)), ceil(max(sum(x[a : t + 1]) for x in sums)))
            for a in range(t)
        ]
        for t in range(6)
    ]


@given(st.integers(0, 2**31), st.sampled_from([0.3, 0.9]))
@example(seed=0, decay=0.9)
def test_no_run_costs_less_than_the_cheapest_path(seed, decay):
    generator = np.random.default_rng(seed)
    low = generator.uniform(-0.5, 1.0, 6)
    high = low + generator.uniform(0.0, 1.0, 6)
    costs, prices = generator.integers(-5, 6, 6).tolist(), generator.integers(-5, 6, 6).tolist()
    boxes, scale = boxes_of(low, high, decay, 1.0)
    found = cheapest(Reach.of(boxes), [cost << 200 for cost in costs], prices)
    assert found is not None
    for share in generator.random((200, 6)):
        currents, potential, paid = low + share * (high - low), 0.0, 0.0
        for t, current in enumerate(currents):
            potential = decay * potential + current
            spike = potential >= 1.0
            paid += costs[t] * spike - prices[t] * decay ** (5 - t) * current
            potential = 0.0 if spike else potential
        assert paid >= found / scale - 1e-9


@given(st.integers(0, 2**31), st.sampled_from([0.5, 0.9]))
def test_no_run_within_the_windows_costs_less(seed, decay):
    """The windows are as tight as a few runs allow, so whatever is cut off wrongly shows."""
    generator, scale = np.random.default_rng(seed), 1 << 200
    low = generator.uniform(-0.5, 0.5, 6)
    high = low + generator.uniform(0.0, 1.0, 6)
    runs = low + generator.random((3, 6)) * (high - low)
    costs, prices = generator.integers(-5, 6, 6).tolist(), generator.integers(-5, 6, 6).tolist()
    plain, _ = boxes_of(low, high, decay, 1.0)
    windows = windows_of(runs, decay, scale)
    least = cheapest(Reach.of(replace(plain, windows=windows)), [cost << 200 for cost in costs], prices)
    assert least is not None
    for run in runs:
        potential, paid = 0.0, 0.0
        for t, current in enumerate(run):
            potential = decay * potential + current
            paid += costs[t] * (potential >= 1.0) - prices[t] * decay ** (5 - t) * current
            potential = 0.0 if potential >= 1.0 else potential
        assert paid >= least / scale - 1e-9


def test_a_segment_ends_where_silence_does():
    boxes, _ = boxes_of([0.25, 2.0, 0.0], [0.5, 3.0, 0.0], 0.5, 1.0)
    found = list(segment(0, Reach.of(boxes), [0, 0, 0]))
    assert [step.fires is None for step in found] == [True, False]
    assert [step.silent is None for step in found] == [False, True]


def test_near_the_threshold_both_a_spike_and_silence_go_on():
    found = Reach.of(Boxes(low=[5, 1], high=[5, 2], surely=[6, 100], perhaps=[4, 100]))
    assert found.spans == [[(5, 5), (6, 7)], [(1, 2)], []]
    assert found.spikes == ([0, 0], [1, 0])
    assert [step.silent for step in segment(0, found, [0, 0])] == [0, 0]
