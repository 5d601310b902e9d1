"""Proofs of the elements of networks that people train: true of all runs, and refused where they were changed."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from spikecert import L2, LIF, LInf, Residual, SpikingNetwork, load, save, verify
from spikecert.certify.proofs import Prover, Unproven
from spikecert.checking import Refused, check, read_network
from spikecert.checking.kernel.contexts import Window
from spikecert.checking.kernel.network import Greatest
from spikecert.checking.kernel.numbers import ONE
from spikecert.checking.maps.affine import Filter, LeakySynapse
from spikecert.checking.maps.pooling import Maxima, MaxPool
from spikecert.checking.network.graph import Spikes
from spikecert.checking.network.model import FORMAT as NETWORK
from spikecert.checking.network.model import driven
from spikecert.checking.numbers.exact import ARITHMETIC, Dyadic
from spikecert.checking.short import FORMAT as PROOF
from spikecert.models import Recurrent, Synapse, VariedLIF
from spikecert.models.elements.layers import MaxWindows
from spikecert.models.files.storage import read_tensors, write_tensors
from spikecert.testing import Case, points
from support.checked_runs import asked, check_run, traced
from support.checked_samples import check_samples
from support.element_networks import ELEMENTS, element_cases
from support.exact_numbers import exact, values
from support.examples import examples
from support.mutations import mutate
from support.oracles import least_margin

SEEDS = st.integers(0, 2**31)


@examples(60)
@given(element_cases(), st.sampled_from([0, 0, 4]), SEEDS)
def test_runs_stay_within_the_allowances(tmp_path_factory, case, cells, seed):
    kernel = asked(case, tmp_path_factory.mktemp("elements"), cells)
    inputs = points(case, 8, torch.Generator().manual_seed(seed))[:, 0]
    trace = traced(case.network, inputs)
    for index, x in enumerate(inputs):
        check_run(kernel, x, trace, index)


@pytest.mark.parametrize("element", ELEMENTS)
@examples(6)
@given(data=st.data(), seed=SEEDS, round_ball=st.booleans())
def test_no_input_contradicts_a_proof(tmp_path_factory, element, data, seed, round_ball):
    case, generator = data.draw(element_cases(elements=(element,))), torch.Generator().manual_seed(seed)
    ball, sampled = LInf(case.epsilon), points(case, 60, generator)
    if round_ball:
        ball = L2(case.epsilon)
        sampled = torch.stack([ball.sample(case.inputs, generator) for _ in range(30)])
    check_samples(case, ball, tmp_path_factory.mktemp("elements"), sampled, timeout=2.0)


@examples(60)
@given(
    element_cases(features=1, dtypes=(torch.float64,), encodings=("direct",), samples=1),
    st.sampled_from([1e-4, 1e-2]),
    SEEDS,
)
def test_no_mutation_proves_what_an_input_falsifies(tmp_path_factory, case, small, seed):
    """A proof of a small ball is changed, at random, into one of a ball that holds a counterexample."""
    folder, generator = tmp_path_factory.mktemp("mutants"), np.random.default_rng(seed)
    line = torch.linspace(0, 1, 401, dtype=torch.float64)[:, None]
    label = int(case.labels)
    if least_margin(case.network, line, label) > 0:
        return
    save(case.network, folder / "network.safetensors")
    try:
        proof = Prover.of(case.network).prove(case.inputs[0], label, LInf(small), 2.0, ties="strict")
    except Unproven:
        return
    proof.save(folder / "sample.proof")
    for _ in range(8):
        text, tensors = read_tensors(folder / "sample.proof", PROOF)
        tensors["radius"] = torch.tensor([1.0], dtype=torch.float64)
        for _ in range(int(generator.integers(0, 4))):
            mutate(tensors, generator)
        write_tensors(folder / "mutant.proof", PROOF, text, tensors)
        with pytest.raises(Refused):
            check(folder / "mutant.proof", folder / "network.safetensors")


def network_of(element: str) -> SpikingNetwork:
    """Return a network with an element that has a proof with splits, or with prices, at a radius of .05."""
    torch.manual_seed(3)
    later: dict[str, list[nn.Module]] = {
        "gate": [Residual([nn.Linear(8, 8), LIF(0.9)]), LIF(0.0, 1.5, "none"), nn.Linear(8, 3)],
        "kinds": [nn.Linear(8, 6), VariedLIF([0.5, 0.9] * 3, [1.0, 0.75, 1.0] * 2), nn.Linear(6, 3)],
        "synapse": [Synapse(0.5, 1), nn.Linear(8, 6), LIF(0.9), nn.Linear(6, 3)],
        "pool": [nn.Linear(8, 8), nn.MaxPool1d(2), LIF(0.9), nn.MaxPool1d(2), nn.Linear(2, 3)],
        "loop": [nn.Linear(8, 6), Recurrent(LIF(0.9), nn.Linear(6, 6)), nn.Linear(6, 3)],
    }
    network = SpikingNetwork(nn.Linear(4, 8), LIF(0.9), *later[element], num_steps=4).eval()
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            layer.weight.data *= 3.0
    return network


@pytest.fixture(scope="module", params=["gate", "kinds", "synapse", "pool", "loop"])
def proven(request, tmp_path_factory):
    """Return a network's file, a proof of it, and the names that the file's description may not lose."""
    folder, network = tmp_path_factory.mktemp(request.param), network_of(request.param)
    save(network, folder / "network.safetensors")
    for sample in torch.rand(40, 4, generator=torch.Generator().manual_seed(0)):
        try:
            proof = Prover.of(network).prove(sample, int(network(sample[None]).argmax()), LInf(0.05), 2.0)
        except Unproven:
            continue
        proof.save(folder / "sample.proof")
        return folder / "network.safetensors", folder / "sample.proof"
    raise AssertionError("no sample has a proof")


def _wider(text, tensors):
    tensors["radius"] = torch.tensor([0.9], dtype=torch.float64)


def _other_label(text, tensors):
    text["label"] = (text["label"] + 1) % 3


def test_a_loop_that_boxes_leave_open_has_proofs():
    """By prices on its currents, and by splits of the layer before."""
    network, inputs = network_of("loop"), torch.rand(40, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        labels = network(inputs).argmax(1)
    bounded, decided = (verify(network, inputs, labels, LInf(0.05), name) for name in ("trains", "complete"))
    left = [b.status == "unknown" and d.status == "verified" for b, d in zip(bounded, decided, strict=True)]
    proofs = [Prover.of(network).prove(inputs[i], int(labels[i]), LInf(0.05)) for i in range(40) if left[i]]
    assert len(proofs) >= 3
    assert max(proof.leaves for proof in proofs) > 2


@pytest.mark.parametrize("change", [_wider, _other_label])
def test_a_tampered_proof_is_refused(proven, sealed, change):
    model, proof = proven
    assert check(proof, model).leaves
    with pytest.raises(Refused):
        check(sealed(proof, PROOF, change), model)


def test_a_proof_of_a_sample_of_another_class_is_refused(proven, sealed):
    model, proof = proven
    network, label, others = load(model), check(proof, model).label, 0
    for sample in torch.rand(40, 4, generator=torch.Generator().manual_seed(1)):
        if int(network(sample[None]).argmax()) != label:
            others += 1
            with pytest.raises(Refused):
                check(sealed(proof, PROOF, lambda text, tensors, x=sample: tensors.update(sample=x)), model)
    assert others


REFUSED = {
    "a kind that is described otherwise": ("kinds", {"more": 1}, "neurons that differ and are described"),
    "kinds of another shape": ("kinds", {"shape": [2, 3]}, "constants of another shape"),
    "amounts that are no truth": ("kinds", {"amounts": 0}, "neurons that differ and are described"),
    "a synapse of a growing current": ("synapse", {"decay": 1.5}, "constants outside their range"),
    "a synapse of a subnormal decay": ("synapse", {"decay": 1e-40}, "expected 0 or a modulus from"),
    "a delay that is a truth": ("synapse", {"delay": True}, "constants outside their range"),
    "a delay into the past": ("synapse", {"delay": -1}, "constants outside their range"),
    "a synapse that is described otherwise": ("synapse", {"reset": "zero"}, "a Synapse that is described"),
    "a pool of indices": ("pool", {"return_indices": True}, "a max pool that is described otherwise"),
    "a pool without steps": ("pool", {"stride": 0}, "expected at least 1"),
    "a pool of padding": ("pool", {"padding": 2}, "is a pool that is not known"),
    "a pool of two axes": ("pool", {"kernel_size": [2, 2]}, "expected one integer"),
    "a loop of loops": ("loop", {"neuron": {"type": "Recurrent"}}, "a Recurrent of such parts"),
    "a loop through a batch norm": ("loop", {"feedback": {"type": "BatchNorm1d"}}, "a Recurrent of such parts"),
    "a loop with more": ("loop", {"more": 1}, "a Recurrent of such parts"),
}
TYPES = {"kinds": "VariedLIF", "synapse": "Synapse", "pool": "MaxPool1d", "loop": "Recurrent"}


@pytest.mark.parametrize("name", REFUSED)
def test_an_element_that_is_described_otherwise_is_refused(tmp_path, sealed, name):
    element, change, message = REFUSED[name]
    save(network_of(element), tmp_path / "whole.safetensors")

    def described(text, tensors):
        next(layer for layer in text["layers"] if layer["type"] == TYPES[element]).update(change)

    with pytest.raises(Refused, match=message) as error:
        read_network(sealed(tmp_path / "whole.safetensors", NETWORK, described))
    assert "\n" not in str(error.value)


SETTINGS = [(2, 1, 0, 1), (3, 2, 1, 1), (3, 3, 1, 2), (2, 3, 1, 1), (1, 1, 0, 1), (4, 2, 2, 1)]
"""Size, stride, padding and dilation."""


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("shape", [(2, 7, 5), (1, 6, 6), (5, 7), (3, 9), (8,)])
def test_windows_are_those_of_torch(setting, up, shape):
    size, stride, padding, gap = setting
    layer = {"type": "MaxPool2d" if shape[-2:] == (7, 5) or shape == (1, 6, 6) else "MaxPool1d", "ceil_mode": up}
    layer |= {"kernel_size": size, "stride": stride, "padding": padding, "dilation": gap}
    axes = 2 if layer["type"] == "MaxPool2d" else 1
    signal = torch.randn(shape, generator=torch.Generator().manual_seed(0)) - 1.0
    windows = MaxWindows((size,) * axes, (stride,) * axes, (padding,) * axes, (gap,) * axes, up)
    try:
        wanted = windows.largest(signal[None])[0]
    except ValueError:
        with pytest.raises(Refused):
            MaxPool.read("a pool", layer).over(shape)
        return
    found, made = MaxPool.read("a pool", layer).over(shape)
    assert made == tuple(wanted.shape)
    greatest = found.largest(Dyadic.of(signal.flatten()[:, None].numpy()))
    assert values(greatest).ravel().tolist() == exact(wanted.flatten()).tolist()
    assert found.count == wanted.numel()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kappa", [0.0, 2.0**-20, 0.1, 0.9, 1 - 2.0**-12, 1.0])
@pytest.mark.parametrize("size", [1e-36, 1.0, 1e30])
def test_the_allowance_covers_a_synapse_and_is_not_idle(dtype, kappa, size):
    steps, delay = 16, 1
    generator = torch.Generator().manual_seed(0)
    x = (torch.rand(steps, 1, 64, generator=generator).to(dtype) - 0.3) * size
    run = exact(Synapse(kappa, delay)(x, steps)[:, 0]).T
    node = Filter(0, LeakySynapse(Fraction(kappa), delay), steps)
    sizes = Dyadic.of(x.abs().amax((0, 1)).double().numpy()[:, None])
    arithmetic = ARITHMETIC[np.dtype("<f4" if dtype == torch.float32 else "<f8")]
    most, error = node.measured(sizes, sizes * 0, arithmetic)
    off = abs(run - exact(x[:, 0]).T @ values(node.over_time))
    assert np.all(off <= values(error))
    assert np.all(abs(run) <= values(most))
    assert bool((values(error) == 0).all()) == (kappa == 0)
    if kappa in (0.1, 0.9) and size == 1.0:
        assert float((off / values(error)).max()) > 0.01


def test_the_error_before_a_synapse_adds_up():
    node, one = Filter(0, LeakySynapse(Fraction(1), 0), 8), Dyadic.of([[1.0]])
    error = node.measured(one, one, ARITHMETIC[np.dtype("<f8")])[1]
    assert 8 <= float(values(error)[0, 0]) < 8.001


def test_a_synaptic_current_that_may_overflow_is_refused():
    node, large = Filter(0, LeakySynapse(Fraction(1), 0), 8), Dyadic.of([[2.0**118]])
    with pytest.raises(Refused, match="may overflow"):
        node.measured(large, large * 0, ARITHMETIC[np.dtype("<f4")])


def _loop(tmp_path, weights, bias):
    """Return the checker's feedback of a layer with these weights and biases."""
    feedback = nn.Linear(len(bias), len(bias))
    feedback.weight.data, feedback.bias.data = torch.tensor(weights), torch.tensor(bias)
    layers = nn.Linear(1, len(bias)), Recurrent(LIF(0.9), feedback), nn.Linear(len(bias), 2)
    network = SpikingNetwork(*layers, num_steps=3).eval()
    kernel = asked(Case(network, torch.zeros(1, 1), torch.zeros(1), 0.5), tmp_path)
    (node,) = (node for node in kernel.nodes.graph.nodes if isinstance(node, Spikes))
    assert node.feedback is not None
    return node.feedback


def test_a_loop_pays_for_the_sum_that_it_hears(tmp_path):
    """Where float32 adds up one product after the other, it strays by more than the one sum with x behind it."""
    weights = np.random.default_rng(0).uniform(0.5, 1.0, (600, 600)).astype(np.float32)
    feedback = _loop(tmp_path, weights, np.zeros(600, dtype=np.float32))
    run = np.cumsum(weights, axis=1)[:, -1].astype(float)
    strayed = abs(run - weights.astype(float).sum(1))
    nothing, arithmetic = Dyadic.of(np.zeros((600, 1))), ARITHMETIC[np.dtype("<f4")]
    error = values(driven(feedback, nothing, nothing, arithmetic)[1])[:, 0].astype(float)
    assert np.all(strayed <= error)
    assert np.any(strayed > values(arithmetic.rounded(feedback.moduli @ Dyadic.of(np.ones((600, 1)))))[:, 0])


def test_sums_over_time_of_a_pool_count_all_of_its_entries(tmp_path):
    """Of neurons that fire at steps 2, 4, 6 and at 3, 6 the greatest is 1 at four steps, two of them early."""
    network = SpikingNetwork(nn.Linear(1, 2), LIF(1.0), nn.MaxPool1d(2), nn.Linear(1, 2), num_steps=6).eval()
    nn.init.zeros_(network.layers[0].weight)  # pyright: ignore[reportArgumentType, reportAttributeAccessIssue]
    network.layers[0].bias.data = torch.tensor([0.625, 0.375])  # type: ignore[union-attr]
    context = asked(Case(network, torch.zeros(1, 1), torch.zeros(1), 0.5), tmp_path).context
    (place,) = (index for index, node in enumerate(context.nodes.nodes) if isinstance(node, Greatest))
    for factors, total in (([1] * 6, 4), ([-1] * 6, -4), ([1] * 3 + [0] * 3, 2)):
        window = Window(0, tuple((factor * ONE, factor * ONE) for factor in factors))
        assert context.span(place, 0, window) == (total * ONE, total * ONE)


def test_a_pool_of_currents_is_as_far_off_as_its_farthest_entry(tmp_path):
    """A current of weights from .5 to 1 rounds, one of weight 0 does not: their maximum may be either."""
    network = SpikingNetwork(nn.Linear(9, 4), nn.MaxPool1d(2), LIF(0.9), nn.Linear(2, 2), num_steps=3).eval()
    weights = torch.rand(4, 9, generator=torch.Generator().manual_seed(0)) / 2 + 0.5
    weights[[0, 3]] = 0
    network.layers[0].weight.data = weights  # pyright: ignore[reportArgumentType, reportAttributeAccessIssue]
    sizes = asked(Case(network, torch.ones(1, 9), torch.zeros(1), 0.25), tmp_path).context.sizes
    (pool,) = (place for place, node in enumerate(sizes.nodes.graph.nodes) if isinstance(node, Maxima))
    entries = values(sizes.of(pool - 1)[1]).reshape(2, 2)
    assert np.all(entries.max(1) > entries.min(1))
    assert np.all(values(sizes.of(pool)[1]).ravel() >= entries.max(1))
