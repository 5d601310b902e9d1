"""Cells hold every run; bounds by cells and by pairs are below every run's margin, and below exact programs."""

import itertools
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from torch import nn

from spikecert import DLIF, LIF, SpikingNetwork, save
from spikecert.checking import read_network
from spikecert.checking.bound import Question
from spikecert.checking.events.inputs import Inputs
from spikecert.checking.network.neurons import Neuron
from spikecert.checking.numbers.arithmetic import ARITHMETIC
from spikecert.checking.numbers.exact import Dyadic, whole
from spikecert.checking.numbers.fixed import BITS, Decay, fixed, fixed_number, shift_for, unfixed
from spikecert.checking.trains.cells import ExactDrive, paths
from spikecert.checking.trains.pairs import fewest_ahead
from spikecert.checking.trains.subtracting import Subtracting
from spikecert.testing import Case, inputs, points
from support.exact_numbers import values
from support.examples import examples
from support.subtracting import subtracting_networks

COUNTS = st.sampled_from([2, 3, 16])
RADII = st.sampled_from([0.0, 0.01, 0.1, 0.4])


def asked(case: Case, folder, cells: int, side: int) -> Question:
    """Return the checker's question about a case's one sample."""
    save(case.network, folder / "network.safetensors")
    steps = case.network.num_steps if case.network.timed else None
    ball = Inputs.around(case.inputs[0].numpy(), np.array([case.epsilon]), 0.0, 1.0, "linf", steps)
    return Question(read_network(folder / "network.safetensors"), ball, cells, side)


@st.composite
def questions(draw: st.DrawFn, most_steps: int = 7) -> Case:
    """Return a network that subtracts, one sample, and a radius."""
    network = draw(subtracting_networks(most_steps))
    return Case(network, draw(inputs(network, batch=1)), torch.zeros(1), draw(RADII))


SIZES = st.sampled_from([0.0, 0.3, 3.0])


def check_margins(case: Case, folder, cells: int, side: int, seed: int, size: float) -> None:
    """Compare bounds of all margins at random prices with sampled runs."""
    question = asked(case, folder, cells, side)
    sampled = points(case, 40, torch.Generator().manual_seed(seed))[:, 0]
    with torch.no_grad():
        logits = case.network(sampled).double().numpy()
    generator = np.random.default_rng(seed)
    for label, other in itertools.permutations(range(question.classes), 2):
        prices = [Dyadic.of(generator.normal(size=shape) * size) for shape in question.priced]
        bound = question.margin(label, other, question.first.everything, prices)
        assert bound is not None
        least = float((logits[:, label] - logits[:, other]).min())
        assert least >= float(bound.fraction() * question.graph.unit) - 1e-12 * float(abs(logits).max())


@examples(25)
@given(questions(), COUNTS, COUNTS, st.integers(0, 2**31), SIZES)
def test_no_run_is_below_the_bound_of_cells(tmp_path_factory, case, cells, side, seed, size):
    check_margins(case, tmp_path_factory.mktemp("cells"), cells, side, seed, size)


@pytest.mark.slow
@settings(max_examples=300)
@given(questions(most_steps=12), COUNTS, COUNTS, st.integers(0, 2**31), SIZES)
def test_no_run_of_up_to_12_steps_is_below_the_bound(tmp_path_factory, case, cells, side, seed, size):
    check_margins(case, tmp_path_factory.mktemp("cells"), cells, side, seed, size)


def check_runs(case: Case, folder, cells: int, seed: int) -> None:
    """Hold spikes, potentials and filtered signals of sampled runs against what cells say of them."""
    question = asked(case, folder, cells, 0)
    leaf = question.leaf(question.first.everything)
    assert leaf is not None
    with torch.no_grad():
        trace = case.network.trace(points(case, 20, torch.Generator().manual_seed(seed))[:, 0])
    layers = list(question.layers.items())
    for (place, layer), spikes, potentials in zip(layers, trace.spikes, trace.potentials, strict=False):
        trains = spikes.double().numpy()  # (T, runs, n)
        within(trains, leaf.steps(place))
        if isinstance(layer, Subtracting):
            drop, found = float(layer.neuron.drop), leaf.paths(place)
            taken = drop * filtered(trains, float(layer.neuron.decay))
            left = potentials.double().numpy() - drop * trains
            lower, upper = found.drive.lower, found.drive.upper
            within(taken, found.taken())
            within(left, found.left())
            within(left + taken, (unfixed(lower, found.shift), unfixed(upper, found.shift)))
        later = [other for other, node in layers if other > place and isinstance(node, Subtracting)]
        for other in later[:1]:
            reader = layers_of(question, other)
            factors = np.array([float(x) for x in reader.neuron.scale])[:, None, None]
            sums = leaf.sums(place, reader.weights, other)
            within(filtered(factors * trains, float(reader.neuron.decay)), sums)


@examples(25)
@given(questions(), COUNTS, st.integers(0, 2**31))
def test_cells_hold_every_run(tmp_path_factory, case, cells, seed):
    check_runs(case, tmp_path_factory.mktemp("cells"), cells, seed)


@pytest.mark.slow
@settings(max_examples=300)
@given(questions(most_steps=12), COUNTS, st.integers(0, 2**31))
def test_cells_hold_every_run_of_up_to_12_steps(tmp_path_factory, case, cells, seed):
    check_runs(case, tmp_path_factory.mktemp("cells"), cells, seed)


@pytest.mark.parametrize("encoding", ["direct", "none"])
def test_a_reader_whose_input_is_scaled_sums_spikes_up_by_its_scales(encoding, tmp_path):
    """It forgets as the layer before does, so that only the scales set both sums apart."""
    torch.manual_seed(0)
    scaled = DLIF(4, 0.5, reset="subtract")
    scaled.input_scale.data = torch.tensor([3.0, -1.0, 0.5, 2.0])
    layers = nn.Linear(2, 6), LIF(0.5, reset="subtract"), nn.Linear(6, 4), scaled, nn.Linear(4, 2)
    network = SpikingNetwork(*layers, num_steps=4, encoding=encoding).eval()
    for parameter in network.parameters():
        parameter.data *= 1.0 if parameter is scaled.input_scale else 4.0
    sample = torch.rand(1, *([4] * network.timed), 2)
    assert network.trace(sample).spikes[0].mean() > 0.2
    check_runs(Case(network, sample, torch.zeros(1), 0.3), tmp_path, 8, 0)


def layers_of(question: Question, place: int) -> Subtracting:
    """Return a layer that subtracts."""
    layer = question.layers[place]
    assert isinstance(layer, Subtracting)
    return layer


def filtered(signal: np.ndarray, decay: float) -> np.ndarray:
    """Return Σ_{k≤t} decay^(t−k)·signal[k] for each t, (T, ...)."""
    found = [signal[0]]
    for value in signal[1:]:
        found.append(value + decay * found[-1])
    return np.stack(found)


def within(made: np.ndarray, ends: tuple[Dyadic, Dyadic]) -> None:
    """Hold numbers of runs, (T, runs, n), against ends, (n, T) each."""
    low, high = (values(end).astype(float) for end in ends)
    assert np.all(low - made.min(1).T <= 1e-9 * (1 + abs(low)))
    assert np.all(made.max(1).T - high <= 1e-9 * (1 + abs(high)))


def drive_of(low: np.ndarray, high: np.ndarray, decay: float, drop: float) -> ExactDrive:
    """Return what drives neurons of threshold 1 with currents in boxes, (n, T) each, and nothing joint."""
    ages = np.subtract.outer(range(low.shape[1]), range(low.shape[1]))
    gains = np.where(ages >= 0, decay ** np.maximum(ages, 0), 0.0).T
    shift = shift_for(Fraction(256))
    lower, upper, low, high = (
        fixed(Dyadic.of(end), shift, up)
        for end, up in ((low @ gains, False), (high @ gains, True), (low, False), (high, True))
    )
    perhaps, surely = fixed_number(Fraction(1), shift)
    amount = fixed_number(Fraction(drop), shift)
    return ExactDrive(lower, upper, low, high, surely, perhaps, amount, Decay.of(Fraction(decay)), shift)


def programs(low: np.ndarray, high: np.ndarray, decay: float, drop: float, strip=None):
    """Yield each choice of trains, (n, T), that currents in boxes have: one linear program each."""
    count, steps = low.shape
    gains = np.array([[decay ** (t - k) if k <= t else 0.0 for k in range(steps)] for t in range(steps)])
    whole_gains = np.kron(np.eye(count), gains)
    for bits in itertools.product((0, 1), repeat=count * steps):
        trains = np.array(bits).reshape(count, steps)
        before = np.hstack([np.zeros((count, 1)), drop * decay * (trains @ gains.T)[:, :-1]]).ravel()
        sign = 1.0 - 2.0 * trains.ravel()
        rows, limits = sign[:, None] * whole_gains, sign * (1.0 + before)
        if strip is not None:
            ahead = whole_gains[:steps] - whole_gains[steps:]
            rows, limits = np.vstack([rows, ahead, -ahead]), np.concatenate([limits, strip[1], -strip[0]])
        box = list(zip(low.ravel(), high.ravel(), strict=True))
        if linprog(np.zeros(low.size), A_ub=rows, b_ub=limits, bounds=box, method="highs").status == 0:
            yield trains


def runs_of(currents: np.ndarray, decay: float, drop: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return spikes, what is left and filtered currents of neurons of threshold 1, (T, runs, n) each."""
    left, spikes = [np.zeros_like(currents[0])], []
    for current in currents:
        potential = decay * left[-1] + current
        spikes.append((potential > 1.0).astype(float))
        left.append(potential - drop * spikes[-1])
    return np.stack(spikes), np.stack(left[1:]), filtered(currents, decay)


def range_of(signal: np.ndarray) -> tuple[Dyadic, Dyadic]:
    """Return the range over all runs, (n, T) each, and a little more."""
    return Dyadic.of(signal.min(1).T - 1e-9), Dyadic.of(signal.max(1).T + 1e-9)


def tight_drive(seed: int, decay: float, drop: float) -> tuple[ExactDrive, np.ndarray, np.ndarray, np.ndarray]:
    """Return ranges that 60 runs of 12 neurons and steps span, and these runs: spikes, what is left, inflow."""
    generator, size = np.random.default_rng(seed), (12, 60, 12)
    middle = generator.uniform(-0.5, 1.0, (12, 1, 12)) + generator.normal(size=12) * 0.3
    shared = generator.normal(size=(12, 60, 1)) * generator.choice([0.0, 0.3])
    currents = middle + shared + generator.normal(size=size) * generator.uniform(0, 0.4, 12)
    spikes, left, inflow = runs_of(currents, decay, drop)
    shift = shift_for(Fraction(256))
    ranges = [(end, up) for part in (inflow, currents) for up, end in enumerate(range_of(part))]
    perhaps, surely = fixed_number(Fraction(1), shift)
    amount = fixed_number(Fraction(drop), shift)
    ends = (fixed(end, shift, bool(up)) for end, up in ranges)
    drive = ExactDrive(*ends, surely, perhaps, amount, Decay.of(Fraction(decay)), shift)  # pyright: ignore
    return drive, spikes, left, inflow


GRAINS = st.sampled_from([0.0, 0.5, 0.95, 1.0])
AMOUNTS = st.sampled_from([0.5, 1.0, 1.5])
FEW = st.sampled_from([2, 3, 5])


@examples(40)
@given(st.integers(0, 2**31), GRAINS, AMOUNTS, FEW)
def test_few_cells_hold_all_that_span_their_drive(seed, decay, drop, count):
    drive, spikes, left, _ = tight_drive(seed, decay, drop)
    found, generator = paths(drive, count), np.random.default_rng(seed)
    assert not found.empty
    within(left, found.left())
    within(drop * filtered(spikes, decay), found.taken())
    certain, possible = found.spikes()
    assert np.all(certain <= spikes.min(1).T)
    assert np.all(possible >= spikes.max(1).T)
    factors, own = generator.normal(size=12), float(generator.choice([0.25, decay, 1.0]))
    room = shift_for(Fraction(64))
    numbers = [fixed_number(Fraction(factor), room) for factor in factors]
    low, high = (unfixed(end, room) for end in found.filtered(Decay.of(Fraction(own)), numbers))
    within(filtered(factors[:, None, None] * spikes, own), (low, high))
    costs, prices = generator.normal(size=(2, 12, 12)) * generator.choice([0.0, 1.0], (2, 1, 1))
    least = float(found.least(Dyadic.of(costs), Dyadic.of(prices)).fraction())
    made = np.einsum("nt,trn->rn", costs, spikes) - np.einsum("nt,trn->rn", prices, left)
    assert least <= made.min(0).sum() + 1e-6


@examples(40)
@given(st.integers(0, 2**31), GRAINS, AMOUNTS, FEW)
def test_few_cells_of_a_pair_hold_all_that_span_its_strip(seed, decay, drop, side):
    drive, spikes, _, inflow = tight_drive(seed, decay, drop)
    counts = spikes.sum(0)
    for first, second in ((0, 1), (5, 2), (3, 9)):
        strip = range_of((inflow[..., first] - inflow[..., second])[..., None])
        ends = fixed(strip[0], drive.shift, False)[0], fixed(strip[1], drive.shift, True)[0]
        ahead = fewest_ahead(drive, (first, second), ends, side)
        assert ahead is not None
        assert ahead <= (counts[:, first] - counts[:, second]).min()


QUARTERS = st.integers(-4, 9).map(lambda n: n / 4 + 1 / 64)  # off the threshold, where solvers have a say


def boxes(data, count: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw boxes of currents, (count, steps) each."""
    size = count * steps
    low = data.draw(st.lists(QUARTERS, min_size=size, max_size=size))
    width = data.draw(st.lists(st.sampled_from([0.0, 0.25, 1.0]), min_size=size, max_size=size))
    low, width = (np.array(numbers).reshape(count, steps) for numbers in (low, width))
    return low, low + width


@examples(30)
@given(st.data(), st.integers(1, 4), GRAINS, st.sampled_from([0.5, 1.0, 1.5]))
def test_without_merging_the_trains_are_those_of_all_programs(data, steps, decay, drop):
    low, high = boxes(data, 1, steps)
    costs = data.draw(st.lists(st.integers(-4, 4), min_size=steps, max_size=steps))
    trains = [train[0] for train in programs(low, high, decay, drop)]
    found = paths(drive_of(low, high, decay, drop), 64)
    assert not found.empty
    least = found.least(whole([costs]), whole([[0] * steps])).fraction()
    assert least == min(int(train @ costs) for train in trains)
    certain, possible = found.spikes()
    assert np.array_equal(certain[0], np.min(trains, 0))
    assert np.array_equal(possible[0], np.max(trains, 0))
    merged = paths(drive_of(low, high, decay, drop), 2)
    assert merged.least(whole([costs]), whole([[0] * steps])).fraction() <= least


@settings(max_examples=15)
@given(st.data(), st.integers(1, 2), GRAINS, st.sampled_from([0.5, 1.0, 1.5]), st.booleans())
def test_a_pair_is_never_further_ahead_than_the_programs_say(data, steps, decay, drop, narrow):
    low, high = boxes(data, 2, steps)
    drive = drive_of(low, high, decay, drop)
    width = 0.125 if narrow else 9.0
    middle = (drive.lower[0] + drive.upper[0] - drive.lower[1] - drive.upper[1]) / 2.0 ** (drive.shift + 1)
    strip = middle - width, middle + width
    ends = fixed(Dyadic.of(strip[0]), drive.shift, False), fixed(Dyadic.of(strip[1]), drive.shift, True)
    differences = [int(train[0].sum() - train[1].sum()) for train in programs(low, high, decay, drop, strip)]
    for side in (2, 8):
        found = fewest_ahead(drive, (0, 1), ends, side)
        assert not differences or (found is not None and found <= min(differences))
    if not narrow and differences:
        assert found == min(differences)


def test_a_pair_moves_together_within_its_strip():
    low, high = np.zeros((2, 3)), np.full((2, 3), 2.5)
    drive = drive_of(low, high, 1.0, 1.0)
    zero = np.zeros(3, dtype=np.int64)
    assert fewest_ahead(drive, (0, 1), (zero, zero), 8) == -1  # at the threshold one may fire alone
    assert fewest_ahead(drive, (0, 1), (zero + 10, zero + 10), 8) == 0
    apart = zero + (1 << BITS)
    assert fewest_ahead(drive, (0, 1), (-apart, apart), 8) == -3


def test_decided_spikes_leave_no_other_path():
    low, high = np.zeros((1, 3)), np.full((1, 3), 2.5)
    allowed = np.ones((1, 3, 2), dtype=bool)
    allowed[0, 1, 0] = False
    found = paths(replace(drive_of(low, high, 0.5, 1.0), allowed=allowed), 8)
    assert found.spikes()[0].tolist() == [[0, 1, 0]]
    allowed[0, 1, 1] = False
    assert paths(replace(drive_of(low, high, 0.5, 1.0), allowed=allowed), 8).empty


def test_decided_spikes_of_a_pair_leave_no_other_path():
    drive, far = drive_of(np.zeros((2, 3)), np.full((2, 3), 2.5), 0.5, 1.0), np.full(3, 1 << BITS)
    for spike, ahead in ((0, -2), (1, -3)):  # y fires at the second step, or does not; k may do anything
        allowed = np.ones((2, 3, 2), dtype=bool)
        allowed[0, 1, spike] = False
        assert fewest_ahead(replace(drive, allowed=allowed), (0, 1), (-far, far), 16) == ahead


@pytest.mark.parametrize("value", [Fraction(0), Fraction(1, 3), Fraction(0.95), Fraction(1)])
def test_a_decay_rounds_outward_and_never_overflows(value):
    decay, largest = Decay.of(value), 1 << BITS
    ends = np.array([-largest, -7, -1, 0, 1, 7, largest])
    low, high = decay.times(ends, ends)
    for end, below, above in zip(ends.tolist(), low.tolist(), high.tolist(), strict=True):
        assert below <= value * end <= above
        assert above - below <= 2 + abs(end) / largest
    with pytest.raises(ValueError, match="of such sizes"):
        decay.times(ends, ends + 1)


SINGLE = ARITHMETIC[np.dtype("<f4")]


@given(
    st.sampled_from([0.0, 0.5, 0.95, 1.0]),
    st.sampled_from([0.5, 1 / 0.95]),
    st.lists(st.sampled_from([-1.0, 0.0, 0.3, 1.25]), min_size=1, max_size=5),
    st.floats(0.1, 50.0),
)
@example(0.95, 0.5, [0.0, 0.0, 0.0], 1.0)
def test_slack_is_paid_for_each_rounding(decay, drop, factors, reach):
    """Of a current, of a step, and of what the spike before took; and prices pay for the slack."""
    scale, steps = tuple(map(Fraction, factors)), len(factors)
    neuron = Neuron(Fraction(decay), Fraction(1), "subtract", Fraction(drop), scale)
    size, error = Dyadic.of([[reach], [reach / 2]]), Dyadic.of([[1e-3], [2e-3]])
    layer = Subtracting.of(size, error, neuron, 4, SINGLE)
    own = neuron.slip(Fraction(reach), SINGLE) + neuron.decay * neuron.lost(Fraction(reach), SINGLE)
    assert np.all(values(layer.slack) >= values(error) * np.array([abs(factor) for factor in scale]) + own)
    ages = np.array([[neuron.decay ** max(0, t - k) * (k <= t) for t in range(steps)] for k in range(steps)])
    cut = abs(values(layer.weights) - ages * np.array(scale)[:, None]).sum(0) * Fraction(reach)
    assert np.all(values(layer.filtered_slack) >= values(layer.slack) @ ages + cut)


@given(st.floats(-5.0, 5.0), st.sampled_from([0.5, 1 / 0.95]))
def test_prices_pay_for_the_slack(price, drop):
    neuron = Neuron(Fraction(0.95), Fraction(1), "subtract", Fraction(drop), (Fraction(1),))
    layer = Subtracting.of(Dyadic.of([[2.0]]), Dyadic.of([[0.5]]), neuron, 4, SINGLE)
    ends = Dyadic.of([[0.0]]), Dyadic.of([[2.0]])
    found, prices = layer.found(ends, ends, None), Dyadic.of([[price]])
    least = layer.least(found, whole([[0]]), prices)
    assert least is not None
    paid = abs(Fraction(price)) * values(layer.slack)[0, 0]
    assert least.fraction() == found.least(-prices * Dyadic.of(drop), prices).fraction() - paid


@given(st.lists(st.floats(-1e6, 1e6), min_size=1), st.integers(-20, 10))
def test_numbers_round_outward(numbers, shift):
    exact, unit = Dyadic.of(numbers), Fraction(2) ** -shift
    low, high = fixed(exact, shift, False), fixed(exact, shift, True)
    for number, below, above in zip(numbers, low.tolist(), high.tolist(), strict=True):
        if abs(number) <= unit * (1 << BITS):
            assert below * unit <= Fraction(number) <= above * unit
            assert above - below <= 1


@given(st.fractions(Fraction(1, 10**40), 10**40))
def test_a_shift_leaves_room_for_two_more_bits(size):
    found = size * Fraction(2) ** shift_for(size)
    assert 1 << BITS - 5 < found < 1 << BITS - 2
