"""Looking through neurons that subtract: what their filtered trains add up to, for any weights and any inputs."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from spikecert import DLIF, LIF, SpikingNetwork, save
from spikecert.checking import read_network
from spikecert.checking.bound import Question
from spikecert.checking.events.inputs import Inputs
from spikecert.checking.leaf import Leaf
from spikecert.checking.network.neurons import Neuron
from spikecert.checking.numbers.arithmetic import ARITHMETIC
from spikecert.checking.numbers.exact import Dyadic, whole
from spikecert.checking.numbers.sparse import Matrix
from spikecert.checking.trains.constant import Constant
from spikecert.checking.trains.through import ExactBalance
from support.exact_numbers import values
from support.examples import examples
from support.subtracting import subtracting_neurons


def looked_at(network: SpikingNetwork, radius: float, folder) -> tuple[Question, Leaf]:
    """Return a question about inputs around 1/2, and its root."""
    save(network, folder / "network.safetensors")
    first = network.layers[0]
    assert isinstance(first, nn.Linear)
    sample = np.full(first.in_features, 0.5, dtype=np.float32)
    inputs = Inputs.around(sample, np.array([radius]), 0.0, 1.0)
    question = Question(read_network(folder / "network.safetensors"), inputs, 8)
    leaf = question.leaf(question.first.everything)
    assert leaf is not None
    return question, leaf


def filtered(network: SpikingNetwork, radius: float, seed: int) -> np.ndarray:
    """Return the first layer's filtered trains for three inputs near 1/2, (runs, n, T)."""
    drawn = torch.rand((40, 3), generator=torch.Generator().manual_seed(seed)) * 2 - 1
    drawn[:8] = drawn[:8].sign()
    with torch.no_grad():
        spikes = network.trace(0.5 + radius * drawn).spikes[0].double().numpy()
    decay, steps = network.neurons[0].dynamics.decay, [spikes[0]]
    for spike in spikes[1:]:
        steps.append(spike + decay * steps[-1])
    return np.stack(steps).transpose(1, 2, 0)


@examples(25)
@given(
    st.data(),
    st.integers(1, 7),
    st.sampled_from([0.0, 0.5, 0.95, 1.0]),
    st.sampled_from([0.01, 0.1, 0.5]),
    st.sampled_from([1e-9, 1.0, 1e7]),
    st.integers(0, 2**31),
)
def test_filtered_trains_add_up_to_what_is_said(tmp_path_factory, data, steps, decay, radius, size, seed):
    torch.manual_seed(seed)
    first, last = (data.draw(subtracting_neurons(steps, decay)) for _ in range(2))
    layers = nn.Linear(3, 5), first, nn.Linear(5, 2), last
    network = SpikingNetwork(*layers, num_steps=steps, readout="spikes").eval()
    with torch.no_grad():
        layers[0].weight *= 4 * size if size < 1 else 4
    question, leaf = looked_at(network, radius, tmp_path_factory.mktemp("through"))
    reader = question.graph.spiking[1]
    balance = leaf.balance(reader)
    if balance is None:  # the reader has an input scale
        assert isinstance(last, DLIF)
        return
    generator = np.random.default_rng(seed)
    weights = generator.normal(size=(4, 5)) * size
    weights[0] = 0.0
    found = balance.sums(Dyadic.of(weights))
    assert found is not None
    low, high = (values(end).astype(float) for end in found)
    made = weights @ filtered(network, radius, seed)  # (runs, 4, T)
    loose = 1e-7 * size
    assert np.all(low - made.min(0) <= loose)
    assert np.all(made.max(0) - high <= loose)


@given(st.integers(0, 2**31), st.booleans(), st.sampled_from([1e-6, 1.0, 1e5]), st.sampled_from([0.5, 1 / 0.95]))
def test_what_is_cut_off_is_paid_to_the_last_bit(seed, chosen, size, drop):
    """One input, trains of one size: the sum lies where it is said to, in rational numbers."""
    generator = np.random.default_rng(seed)
    weights, matrix, bias, inputs, trains = (
        generator.normal(size=shape) * scale
        for shape, scale in (((2, 5), size), ((5, 3), 1.0), ((5, 1), 1.0), ((3, 1), size), ((5, 2), 4.0))
    )
    trains, gains = abs(trains), generator.uniform(-2, 2, 2)
    currents = exact(matrix) @ exact(inputs) + exact(bias)
    left = currents * exact(gains) - Fraction(drop) * exact(trains)
    low = [Dyadic.outward(list(row), up=False) for row in left]
    high = [Dyadic.outward(list(row), up=True) for row in left]
    train, point = Dyadic.of(trains), Dyadic.of(inputs)
    wider = train + Dyadic.of(np.full(trains.shape, 2.0**-60 if chosen else 0.0))
    balance = ExactBalance(
        Dyadic.of(drop),
        (train, wider),
        (rows(low), rows(high)),
        Dyadic.of(gains),
        Matrix.dense(Dyadic.of(matrix)),
        Dyadic.of(bias),
        (point, point),
    )
    found, made = balance.sums(Dyadic.of(weights)), exact(weights) @ exact(trains)
    assert found is not None
    low, high = (values(end) for end in found)
    assert np.all(low <= made)
    assert np.all(made <= high)
    assert float((high - low).max()) < 1e-3 * size * max(1.0, size)


def test_weights_that_cancel_but_for_their_last_bit_are_paid_for():
    """Currents are 2^−30 and 0, read with weights 1 and −1: all that the sum is lies in a bit that is cut off."""
    tiny = 2.0**-30
    trains, none = Dyadic.of([[tiny], [0.0]]), Dyadic.of([[0.0], [0.0]])
    train = trains, trains + Dyadic.of([[2.0**-60], [2.0**-60]])
    matrix, inputs = Matrix.dense(Dyadic.of([[1 + tiny, -1.0], [1.0, -1.0]])), Dyadic.of([[1.0], [1.0]])
    balance = ExactBalance(Dyadic.of(1.0), train, (none, none), Dyadic.of([1.0]), matrix, none, (inputs, inputs))
    found = balance.sums(Dyadic.of([[1.0, -1.0]]))
    assert found is not None
    low, high = (values(end).item() for end in found)
    assert low <= Fraction(tiny) <= high <= Fraction(1, 2**24)


@pytest.mark.parametrize("gain", [1.0, -0.5])
def test_what_is_left_pays_for_the_current_of_the_run(gain):
    """A row holds currents of the run; the exact ones, which are filtered here, are within the slack of these."""
    neuron = Neuron(Fraction(1), Fraction(9), "subtract", Fraction(9), (Fraction(1),))
    low, high, slack = Dyadic.of([[0.5]]), Dyadic.of([[1.0]]), Dyadic.of([[0.125]])
    layer = Constant.of(low, high, slack, neuron, ARITHMETIC[np.dtype("<f4")])
    left = layer.left(layer.everything, Dyadic.of([gain]), whole([[1]]), 0)
    ends = sorted(gain * end for end in (0.25, 1.25))
    assert [values(end).item() for end in left] == ends


def exact(numbers: np.ndarray) -> np.ndarray:
    """Return floats as fractions."""
    return np.array([Fraction(x) for x in numbers.ravel().tolist()], dtype=object).reshape(numbers.shape)


def rows(lists: list[Dyadic]) -> Dyadic:
    """Return lists of numbers as the rows of one array."""
    return Dyadic(np.stack([row.ints for row in lists]), lists[0].shift)


def twins(count: int, num_steps: int, *neurons: LIF) -> SpikingNetwork:
    """Return a network whose first neurons all have the same current, and are read with alternating signs."""
    first, second = nn.Linear(1, count), nn.Linear(count, 2)
    for parameter, value in ((first.weight, 2.0), (first.bias, 0.0), (second.bias, 0.0)):
        nn.init.constant_(parameter, value)
    second.weight.data = torch.tensor([[1.0, -1.0] * (count // 2)]).repeat(2, 1)
    layers = first, neurons[0], second, neurons[1]
    return SpikingNetwork(*layers, num_steps=num_steps, readout="spikes").eval()


def width(question: Question, leaf: Leaf) -> float:
    """Return how wide the last filtered current of the last layer is."""
    found = leaf.paths(question.graph.spiking[1])
    return float(found.drive.upper[0, -1] - found.drive.lower[0, -1]) / 2.0**found.shift


SOFT = LIF(0.9, reset="subtract")


def test_neurons_that_share_their_inputs_are_not_taken_as_independent(tmp_path, monkeypatch):
    network = twins(4, 12, SOFT, LIF(0.9, reset="subtract"))
    through = width(*looked_at(network, 0.25, tmp_path))
    monkeypatch.setattr("spikecert.checking.trains.through.MOST_WORK", 2 * 4 * 1 * 12 - 1)
    plain = width(*looked_at(network, 0.25, tmp_path))
    assert through < 0.85 * plain
    monkeypatch.setattr("spikecert.checking.trains.through.MOST_WORK", 2 * 4 * 1 * 12)
    assert width(*looked_at(network, 0.25, tmp_path)) == through
    monkeypatch.setattr("spikecert.checking.leaf.MOST_ROWS", 12)
    assert width(*looked_at(network, 0.25, tmp_path)) == plain


OTHERS = {
    "another decay": (SOFT, LIF(0.5, reset="subtract")),
    "an input scale": (SOFT, DLIF(4, 0.9, reset="subtract")),
    "a hard reset before": (LIF(0.9), SOFT),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_a_reader_filters_otherwise_is_not_looked_through(tmp_path, name):
    first, last = OTHERS[name]
    if isinstance(last, DLIF):
        last.input_scale.data = torch.tensor([1.0, 0.5, 1.0, 1.0])
    question, leaf = looked_at(twins(2, 4, first, last), 0.25, tmp_path)
    assert leaf.balance(question.graph.spiking[1]) is None
    assert width(question, leaf) > 0
