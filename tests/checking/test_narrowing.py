"""Narrowed currents at a leaf: no run of the leaf is lost, whatever the multipliers, and good ones help."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn

from spikecert import LIF, SpikingNetwork, save
from spikecert.checking import Refused, read_network
from spikecert.checking.bound import Question
from spikecert.checking.events.inputs import Inputs
from spikecert.checking.short import Narrowing, read_narrowings
from spikecert.checking.numbers.exact import Dyadic
from spikecert.checking.trains.constant import Constant
from spikecert.testing import cases, points
from support.exact_numbers import values
from support.examples import examples
from support.readouts import has_a_form


def asked(network: SpikingNetwork, sample: torch.Tensor, radius: float, folder, norm: str = "linf") -> Question:
    """Return the checker's question about one sample."""
    save(network, folder / "network.safetensors")
    inputs = Inputs.around(sample.numpy(), np.array([radius]), 0.0, 1.0, norm)
    return Question(read_network(folder / "network.safetensors"), inputs)


def drawn(generator: np.random.Generator, size: int, scale: float) -> Narrowing:
    """Return random multipliers."""
    neurons = generator.permutation(size)[: generator.integers(0, size + 1)]
    slabs = generator.permutation(size)[: generator.integers(1, size + 1)]
    multipliers = generator.normal(size=(2 * len(neurons) + 1, len(slabs))) * scale
    return Narrowing(neurons, slabs, multipliers)


@examples(60)
@given(cases(encodings=("direct",)), st.integers(0, 2**31), st.sampled_from([0.0, 0.1, 1.0, 1e3]))
def test_no_run_of_a_leaf_is_lost_whatever_the_multipliers(tmp_path_factory, case, seed, scale):
    assume(has_a_form(case.network))
    question = asked(case.network, case.inputs[0], case.epsilon, tmp_path_factory.mktemp("leaf"))
    first, generator = question.first, np.random.default_rng(seed)
    assert isinstance(first, Constant)
    inputs = points(case, 40, torch.Generator().manual_seed(seed))[:, 0]
    with torch.no_grad():
        trace = case.network.trace(inputs)
    spikes, currents = trace.spikes[0].flatten(2).numpy(), trace.currents[0][0].flatten(1).double().numpy()
    decided = generator.random(spikes.shape[2]) < 0.5
    rows = (first.table.trains.astype(int).T[:, None] == spikes[:, 0][..., None]).all(0)
    allowed = first.reachable & (rows | ~decided[:, None])
    held = ((spikes == spikes[:, :1]) | ~decided).all((0, 2))
    place = question.graph.nodes[question.graph.spiking[0]].source  # pyright: ignore[reportAttributeAccessIssue]
    for _ in range(3):
        narrowing = drawn(generator, len(allowed), scale)
        found = narrowing.narrowed(first, allowed, question.inputs, question.maps[place])
        assert found is not None, "the sample itself is a run of the leaf"
        low, high = values(found[0].low), values(found[0].high)
        for run in np.flatnonzero(held):
            inside = found[1] & (low <= currents[run][:, None]) & (currents[run][:, None] <= high)
            own = (first.table.trains.astype(int).T[:, None] == spikes[:, run][..., None]).all(0)
            assert (inside & own).any(1).all()
        label, other = generator.permutation(question.classes)[:2].tolist()
        prices = [Dyadic.of(generator.normal(size=shape) * 0.1) for shape in question.priced]
        bound = question.margin(label, other, allowed, prices, narrowing)
        assert bound is not None
        margins = (trace.logits[:, label] - trace.logits[:, other]).double().numpy()[held]
        size = float(trace.logits.abs().max())
        assert margins.min() >= float(bound.fraction() * question.graph.unit) - 1e-12 * size


def twins(weight: float) -> SpikingNetwork:
    """Return two neurons of one step whose currents are 4x − 1 and weight·(4x − 1)."""
    layer = nn.Linear(1, 2)
    layer.load_state_dict({"weight": torch.tensor([[4.0], [4.0 * weight]]), "bias": torch.tensor([-1.0, -weight])})
    return SpikingNetwork(layer, LIF(decay=0.5, threshold=1.0), nn.Linear(2, 2), num_steps=1).eval()


def leaf(question: Question, spikes: list[int]) -> np.ndarray:
    """Return the rows of neurons that fire, 1, or are silent, 0."""
    first = question.first
    assert isinstance(first, Constant)
    return first.reachable & (first.table.trains.astype(int)[:, 0] == np.array(spikes)[:, None])


def test_good_multipliers_narrow_and_empty(tmp_path):
    question = asked(twins(0.75), torch.tensor([0.5]), 0.5, tmp_path)
    first, place = question.first, question.graph.nodes[question.graph.spiking[0]].source  # pyright: ignore
    assert isinstance(first, Constant)
    allowed = leaf(question, [1, 1]) | (first.reachable & np.array([[False], [True]]))
    least = Narrowing(np.array([1]), np.array([0]), np.array([[0.75], [0.0], [0.0]]))
    found = least.narrowed(first, allowed, question.inputs, question.maps[place])
    assert found is not None
    low = values(found[0].low)[1][found[1][1]].min()
    assert 0.7499 < low <= 0.75, "4x − 1 ≥ 1 leaves .75·(4x − 1) ≥ .75"
    silent = leaf(question, [0, 1])  # 4x − 1 ≤ 1 and .75·(4x − 1) ≥ 1 exclude each other
    nothing = Narrowing(np.array([], dtype=int), np.array([0, 1]), np.array([[-0.75, 1.0]]))
    assert nothing.narrowed(first, silent, question.inputs, question.maps[place]) is None
    assert nothing.narrowed(first, leaf(question, [1, 1]), question.inputs, question.maps[place]) is not None


REFUSED = {
    "too few multipliers": (np.array([1]), np.array([0]), np.zeros((2, 1)), "sizes that do not fit"),
    "a neuron too many": (np.array([2]), np.array([0]), np.zeros((3, 1)), "none of 2"),
    "a neuron before the first": (np.array([-1]), np.array([0]), np.zeros((3, 1)), "none of 2"),
    "a slab too many": (np.array([1]), np.array([2]), np.zeros((3, 1)), "none of 2"),
    "half a neuron": (np.array([0.5]), np.array([0]), np.zeros((3, 1)), "none of 2"),
    "NaN": (np.array([1]), np.array([0]), np.full((3, 1), np.nan), "got NaN or inf"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_multipliers_that_do_not_fit_are_refused(name, tmp_path):
    *parts, message = REFUSED[name]
    question = asked(twins(0.75), torch.tensor([0.5]), 0.5, tmp_path)
    with pytest.raises(Refused, match=message):
        question.leaf(question.first.everything, Narrowing(*parts))


def test_flat_multipliers_are_read_leaf_by_leaf():
    tensors = {
        "3.narrow.sizes": np.array([[1, 2], [0, 0], [0, 1]]),
        "3.narrow.neurons": np.array([4]),
        "3.narrow.slabs": np.array([5, 6, 7]),
        "3.narrow.multipliers": np.arange(7.0),
    }
    one, none, two = read_narrowings(tensors, 3, 3)
    assert one is not None
    assert two is not None
    assert none is None
    assert one.neurons.tolist() == [4]
    assert one.slabs.tolist() == [5, 6]
    assert one.multipliers.tolist() == [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]
    assert two.slabs.tolist() == [7]
    assert two.multipliers.tolist() == [[6.0]]
    assert read_narrowings(tensors, 2, 3) == [None, None, None]
    for name in tensors:
        with pytest.raises(Refused, match="sizes that do not fit"):
            read_narrowings(tensors | {name: tensors[name][:-1]}, 3, 3)
    with pytest.raises(Refused, match="sizes that do not fit"):
        read_narrowings(tensors | {"3.narrow.sizes": np.array([[1, 2], [0, 0], [-1, 1]])}, 3, 3)
