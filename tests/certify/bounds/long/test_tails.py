"""All windows of one end in one walk back: what asking for each of them by itself gives."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikecert.certify.bounds.signals.derived import FilteredSignal
from spikecert.certify.bounds.signals.signals import InputSignal, Signal, SumSignal
from spikecert.certify.bounds.signals.windows import Box, Spans
from spikecert.certify.bounds.trains import train_graph
from spikecert.certify.bounds.trains.recurrent import DelayedSpikes
from spikecert.certify.bounds.trains.train_graph import GraphTrains, graph_trains
from spikecert.certify.rounding import Rounding
from spikecert.models.elements.synapses import TemporalFilter
from spikecert.models.rules import Leaky
from support.examples import examples

EXACT = Rounding(torch.float64)
STEPS = st.sampled_from([1, 2, 3, 6, 9])
RULES = st.sampled_from([Leaky(0.8), Leaky(0.0), Leaky(1.0), Leaky(0.9, reset="subtract")])


@pytest.fixture(autouse=True)
def always_walked(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(train_graph, "WALKED", 0)


def trains(seed: int, steps: int, rule: Leaky) -> GraphTrains:
    generator = torch.Generator().manual_seed(seed)
    middle, radius = torch.randn(2, steps, 2, 7, generator=generator, dtype=torch.float64)
    if seed % 2:
        middle = (middle * 4).round() / 4
    radius = radius.abs() * 0.3 * (seed % 3)
    return graph_trains(InputSignal(Box(middle - radius, middle + radius), steps), rule, EXACT)


def asked(decay: float, steps: int, longest: int, seed: int) -> Spans:
    """Return windows whose steps count differently where the seed is odd."""
    generator = torch.Generator().manual_seed(seed)
    scale = tuple(torch.randn(steps, generator=generator).tolist()) if seed % 2 else None
    return Spans.of(Leaky(decay, scale=scale), steps, longest)


def blocks(windows: Spans) -> list[range]:
    return [range(1, windows.num_steps + 1), *windows.blocks(2 * windows.longest)]


@examples(60)
@given(st.integers(0, 2**31), STEPS, RULES, st.sampled_from([0.0, 0.7, 1.0]), st.integers(1, 9))
def test_walks_are_exact(seed: int, steps: int, rule: Leaky, decay: float, longest: int):
    found, windows = trains(seed, steps, rule), asked(decay, steps, longest, seed // 2)
    for signal in (found, DelayedSpikes(found, found.box)):
        for ends in blocks(windows):
            one, other = signal.windowed(windows, ends), Signal.windowed(signal, windows, ends)
            torch.testing.assert_close(one.lower, other.lower, rtol=0, atol=1e-13)
            torch.testing.assert_close(one.upper, other.upper, rtol=0, atol=1e-13)


@examples(60)
@given(
    st.integers(0, 2**31),
    STEPS,
    st.sampled_from([0.0, 0.5, 0.9, 1.0]),
    st.sampled_from([0, 1, 3, 20]),
    st.integers(1, 9),
)
def test_windows_behind_a_synapse_hold_those_of_each_row(
    seed: int, steps: int, synapse: float, delay: int, longest: int
):
    """What is left of i[a] and the window behind it are taken as independent: never narrower than both at once."""
    found = trains(seed, steps, Leaky(0.9))
    filtered = FilteredSignal(found, TemporalFilter(synapse, delay), EXACT)
    windows = asked(0.8, steps, longest, seed // 2)
    for ends in blocks(windows):
        one, other = filtered.windowed(windows, ends), Signal.windowed(filtered, windows, ends)
        assert bool((one.lower <= other.lower + 1e-12).all())
        assert bool((one.upper >= other.upper - 1e-12).all())
        if synapse == 0.0 or windows.longest == steps:
            torch.testing.assert_close(one.lower, other.lower, rtol=0, atol=1e-12)
            torch.testing.assert_close(one.upper, other.upper, rtol=0, atol=1e-12)


@examples(30)
@given(st.integers(0, 2**31), STEPS, st.integers(1, 9))
def test_windows_of_a_synapse_hold_every_train(seed: int, steps: int, longest: int):
    """Trains of the corners and of what lies between, filtered step by step, windows summed by hand."""
    generator = torch.Generator().manual_seed(seed)
    middle, radius = torch.randn(2, steps, 1, 7, generator=generator, dtype=torch.float64)
    radius = radius.abs() * 0.4
    rule, synapse = Leaky(0.9), TemporalFilter(0.7, seed % 3)
    found = graph_trains(InputSignal(Box(middle - radius, middle + radius), steps), rule, EXACT)
    windows = Spans.of(Leaky(0.8), steps, longest)
    box = FilteredSignal(found, synapse, EXACT).windowed(windows, range(1, steps + 1))
    share = 2 * torch.rand(steps, 300, 7, generator=generator, dtype=torch.float64) - 1
    currents, potential, spikes = middle + radius * share, 0.0, []
    for current in currents:
        potential = 0.9 * potential + current
        spikes.append((potential >= 1.0).double())
        potential = potential * (1 - spikes[-1])
    heard = torch.einsum("ts,sbn->tbn", synapse.rows(steps), torch.stack(spikes))
    sums = torch.einsum("wt,tbn->wbn", windows.rows(range(1, steps + 1)), heard)
    assert bool((box.lower <= sums.amin(1, keepdim=True) + 1e-12).all())
    assert bool((box.upper >= sums.amax(1, keepdim=True) - 1e-12).all())


def test_sums_of_windows_are_those_of_parts():
    first, second = trains(2, 6, Leaky(0.9)), trains(5, 6, Leaky(0.5))
    both, windows = SumSignal(first, second, EXACT), Spans.of(Leaky(0.8), 6, 4)
    for ends in blocks(windows):
        one, other = both.windowed(windows, ends), Signal.windowed(both, windows, ends)
        torch.testing.assert_close(one.lower, other.lower, rtol=0, atol=1e-13)
        torch.testing.assert_close(one.upper, other.upper, rtol=0, atol=1e-13)


@pytest.mark.parametrize("longest", [1, 3, 5, 9])
@pytest.mark.parametrize("scaled", [False, True])
def test_rows_and_sums_of_windows(longest: int, scaled: bool):
    rule = Leaky(0.8, scale=(1.0, -2.0, 0.5, 0.0, 3.0) if scaled else None)
    windows = Spans.of(rule, 5, longest)
    factors = rule.factors(5)
    for ends in blocks(windows):
        expected = [
            [0.8 ** (t - k) * factors[k - 1] if a < k <= t else 0.0 for k in range(1, 6)]
            for t in ends
            for a in range(t - 1, max(0, t - longest) - 1, -1)
        ]
        rows = torch.tensor(expected, dtype=torch.float64)
        torch.testing.assert_close(windows.rows(ends), rows, rtol=1e-14, atol=0)
        total, moduli = windows.sums(ends)
        torch.testing.assert_close(total, rows.sum(1), rtol=1e-13, atol=1e-15)
        torch.testing.assert_close(moduli, rows.abs().sum(1), rtol=1e-13, atol=0)
