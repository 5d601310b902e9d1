"""The bound at a leaf: no run is below it, whatever the prices; errors add up along a network."""

import numpy as np
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn

from spikecert import DLIF, LIF, Residual, SpikingNetwork, save
from spikecert.checking import read_network
from spikecert.checking.bound import Question
from spikecert.checking.events.inputs import Inputs
from spikecert.checking.network.graph import Sum, Through
from spikecert.checking.numbers.exact import Dyadic
from spikecert.testing import Case, cases, image_networks, points, sequence_networks
from support.exact_numbers import values
from support.examples import examples
from support.readouts import READOUTS, has_a_form, read_out


def asked(network: SpikingNetwork, sample: torch.Tensor, radius: float, folder) -> Question:
    """Return the checker's question about one sample."""
    save(network, folder / "network.safetensors")
    steps = network.num_steps if network.timed else None
    inputs = Inputs.around(sample.numpy(), np.array([radius]), 0.0, 1.0, "linf", steps)
    return Question(read_network(folder / "network.safetensors"), inputs)


def check_prices(case: Case, folder, seed: int, size: float) -> None:
    """Compare the bound of two logits' difference at random prices with sampled runs."""
    question = asked(case.network, case.inputs[0], case.epsilon, folder)
    inputs = points(case, 30, torch.Generator().manual_seed(seed))[:, 0]
    with torch.no_grad():
        logits = case.network(inputs).double().numpy()
    generator = np.random.default_rng(seed)
    for _ in range(3):
        label, other = generator.permutation(question.classes)[:2].tolist()
        prices = [Dyadic.of(generator.normal(size=shape) * size) for shape in question.priced]
        bound = question.margin(label, other, question.first.everything, prices)
        assert bound is not None
        least = float((logits[:, label] - logits[:, other]).min())
        assert least >= float(bound.fraction() * question.graph.unit) - 1e-12 * float(abs(logits).max())


SIZES = st.sampled_from([0.0, 0.1, 1.0])
IMAGES = image_networks(side=4, most_channels=2, most_steps=3, pools=("average",))
SEQUENCES = sequence_networks(most_channels=2, most_steps=3, encodings=("direct",), pools=("average",))


@examples(60)
@given(cases(), st.sampled_from(READOUTS), st.integers(0, 2**31), SIZES)
def test_no_run_is_below_the_bound_at_any_prices(tmp_path_factory, case, readout, seed, size):
    network = read_out(case.network, readout)
    assume(has_a_form(network))
    case = Case(network, case.inputs, case.labels, case.epsilon)
    check_prices(case, tmp_path_factory.mktemp("bound"), seed, size)


@examples(30)
@given(IMAGES, st.sampled_from([0.0, 0.05]), st.integers(0, 2**31), SIZES)
def test_no_run_of_an_image_is_below_the_bound_at_any_prices(tmp_path_factory, network, epsilon, seed, size):
    assume(has_a_form(network))
    batch = torch.rand((1, 1, 4, 4), generator=torch.Generator().manual_seed(seed)).to(network.dtype)
    check_prices(Case(network, batch, torch.zeros(1), epsilon), tmp_path_factory.mktemp("bound"), seed, size)


@examples(30)
@given(SEQUENCES, st.sampled_from([0.0, 0.05]), st.integers(0, 2**31), SIZES)
def test_no_run_of_a_sequence_is_below_the_bound_at_any_prices(tmp_path_factory, network, epsilon, seed, size):
    assume(has_a_form(network))
    batch = torch.rand((1, 1, 8), generator=torch.Generator().manual_seed(seed)).to(network.dtype)
    check_prices(Case(network, batch, torch.zeros(1), epsilon), tmp_path_factory.mktemp("bound"), seed, size)


@examples(40)
@given(st.sampled_from([0.0, 0.05]), st.integers(0, 2**31), SIZES)
def test_no_run_of_a_residual_sum_is_below_the_bound_at_any_prices(tmp_path_factory, epsilon, seed, size):
    """Paths of one layer and of several, around neurons whose currents are constant, and around others."""
    torch.manual_seed(seed)
    first = Residual([nn.Linear(4, 4), LIF(0.9, threshold=0.3)], [nn.Linear(4, 4), nn.Linear(4, 4)])
    second = Residual([nn.Linear(4, 4), LIF(0.8, threshold=0.5, reset="subtract"), nn.Linear(4, 4)])
    scaled = DLIF(3, 0.5, threshold=0.2)
    scaled.input_scale.data = torch.tensor([-1.0, 1.5, -0.5])
    third = Residual([nn.Linear(4, 4)], [scaled, nn.Linear(4, 4)])
    network = SpikingNetwork(first, second, third, nn.Linear(4, 3), num_steps=3).eval()
    for parameter in network.parameters():
        parameter.data *= 2.0
    case = Case(network, torch.rand(1, 4), torch.zeros(1), epsilon)
    check_prices(case, tmp_path_factory.mktemp("bound"), seed, size)


def test_errors_add_up_along_a_network(tmp_path):
    torch.manual_seed(0)
    sums = Residual([nn.Linear(3, 3), nn.Linear(3, 3)], [nn.Linear(3, 3)])
    network = SpikingNetwork(nn.Linear(3, 3), sums, LIF(), nn.Linear(3, 2), num_steps=2).eval()
    question = asked(network, torch.rand(3), 0.1, tmp_path)
    errors, seen = [values(error)[:, 0] for error in question.measured[1]], set()
    for place, node in enumerate(question.graph.nodes):
        if isinstance(node, Through):
            moduli = values(node.affine.sizes @ question.measured[1][node.source])[:, 0]
            _, own = node.affine.measured(question.measured[0][node.source], question.arithmetic)
            assert np.all(errors[place] == moduli + values(own)[:, 0])
            seen.add("affine" if np.any(moduli > 0) else "first")
        if isinstance(node, Sum):
            own, unit = errors[place] - errors[node.first] - errors[node.second], question.arithmetic.unit
            size = sum(values(question.measured[0][part])[:, 0] for part in (node.first, node.second))
            assert np.all(own >= unit * size)
            seen.add("sum")
    assert seen == {"first", "affine", "sum"}


def test_both_sides_of_a_split_hold_all_that_their_node_held(tmp_path):
    torch.manual_seed(0)
    for encoding, shape in (("direct", (3,)), ("none", (3, 3))):
        layers = nn.Linear(3, 4, bias=False), LIF(0.9, threshold=0.3), nn.Linear(4, 2)
        layers[0].load_state_dict({"weight": torch.ones(4, 3)})  # so that each spike is open
        network = SpikingNetwork(*layers, num_steps=3, encoding=encoding)
        question = asked(network, torch.full(shape, 0.5), 0.5, tmp_path)
        allowed = question.first.everything
        left, right = question.first.sides(allowed, 1, Dyadic.of(1.0))
        assert np.array_equal(left | right, allowed)
        assert np.array_equal(left[[0, 2, 3]], allowed[[0, 2, 3]])
        assert np.array_equal(right[[0, 2, 3]], allowed[[0, 2, 3]])
        if encoding == "none":
            assert left[1].tolist() == [[True, True], [True, False], [True, True]]
            assert right[1].tolist() == [[True, True], [False, True], [True, True]]
            leaves = [leaf for leaf in map(question.leaf, (left, right)) if leaf is not None]
            silent, fires = (leaf.steps(question.graph.spiking[0]) for leaf in leaves)
            assert values(silent[1])[1].tolist() == [1, 0, 1]  # a spike is possible
            assert values(fires[0])[1].tolist() == [0, 1, 0]  # a spike is certain
        else:
            assert not (left[1] & right[1]).any()
