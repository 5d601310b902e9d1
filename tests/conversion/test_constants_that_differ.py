"""Layers of other libraries whose neurons differ come in, spike for spike, and say what no layer can hold."""

import warnings

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from spikecert import ConversionRefused, convert
from spikecert.models import LIF, VariedLIF

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import nir
    import norse.torch as norse
    import snntorch

STEPS = 6


def looping(*modules: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(*modules)


def strong(layer: nn.Module, factor: float = 3.0) -> nn.Module:
    layer.weight.data *= factor  # type: ignore[operator]
    return layer


def random(*shape: int, low: float = 0.3, high: float = 1.0) -> Tensor:
    return low + (high - low) * torch.rand(*shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize("reset", ["subtract", "zero", "none"])
def test_snntorch_betas_and_thresholds(reset: str):
    for shape in ((7,), (1, 7)):
        leaky = snntorch.Leaky(random(*shape), random(*shape), init_hidden=True, reset_mechanism=reset)  # type: ignore[arg-type]
        last = snntorch.Leaky(random(3), init_hidden=True, learn_beta=True, learn_threshold=True)
        module = looping(strong(nn.Linear(5, 7)), leaky, strong(nn.Linear(7, 3)), last)
        found = convert(module, torch.rand(16, 5), num_steps=STEPS)
        layer = found.network.layers[1]
        assert isinstance(layer, VariedLIF)
        assert found.check.matches
        assert found.check.rates[0] > 0.05
        torch.testing.assert_close(layer.decay, leaky.beta.flatten())
        assert any("its constants differ within the layer" in note for note in found.notes)


def test_snntorch_channels():
    leaky = snntorch.Leaky(random(4, 1, 1), random(4, 1, 1), init_hidden=True)  # type: ignore[arg-type]
    module = looping(strong(nn.Conv2d(1, 4, 3)), leaky, nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 3))
    module.append(snntorch.Leaky(0.9, init_hidden=True))
    found = convert(module, torch.rand(8, 1, 6, 6), num_steps=STEPS)
    layer = found.network.layers[1]
    assert isinstance(layer, VariedLIF)
    assert tuple(layer.decay.shape) == (4, 1, 1)


def test_equal_entries_are_a_plain_layer():
    module = looping(nn.Linear(5, 7), snntorch.Leaky(torch.full((7,), 0.5), torch.ones(7), init_hidden=True))  # type: ignore[arg-type]
    assert type(convert(module, torch.rand(8, 5), num_steps=3).network.layers[1]) is LIF


@pytest.mark.parametrize("reset", ["subtract", "none"])
@pytest.mark.parametrize("constants", [{"beta": 0.6}, {"R": 2.0, "C": 1.5}, {"beta": 0.6, "R": 2.0}])
def test_lapicque(constants: dict, reset: str):
    neuron = snntorch.Lapicque(**constants, time_step=0.7, reset_mechanism=reset, init_hidden=True, threshold=0.3)  # type: ignore[arg-type]
    module = looping(strong(nn.Linear(5, 7)), neuron)
    found = convert(module.double(), torch.rand(16, 5, dtype=torch.float64), num_steps=STEPS)
    layer = found.network.layers[1]
    assert isinstance(layer, LIF)
    assert layer.dynamics.decay == pytest.approx(float(1 - neuron.time_step / (neuron.R * neuron.C)))  # type: ignore
    assert 0.05 < found.check.rates[0] < 0.95


@pytest.mark.parametrize("soft", [False, True])
def test_norse_parameters(soft: bool):
    method = {"reset_method": norse.reset_subtract} if soft else {}
    constants = torch.arange(1.0, 8.0) * 100, torch.zeros(7), random(7), torch.zeros(7)
    cell = norse.LIFBoxCell(norse.LIFBoxParameters(*constants, **method))
    torch.manual_seed(0)
    module = norse.SequentialState(strong(nn.Linear(5, 7), 9.0), cell)
    found = convert(module, torch.rand(16, 5), num_steps=STEPS)
    assert isinstance(found.network.layers[1], VariedLIF)
    assert found.check.rates[0] > 0.02


def graph(kind: str, **changed: np.ndarray):
    generator = np.random.default_rng(0)
    constants = {name: generator.uniform(0.5, 1.5, 7).astype(np.float32) for name in ("r", "v_threshold")}
    constants["v_reset"] = np.zeros(7, np.float32)
    if kind == "LIF":
        constants["tau"] = (1e-4 / generator.uniform(0.2, 0.9, 7)).astype(np.float32)
        constants["v_leak"] = np.zeros(7, np.float32)
    else:
        constants["r"] = constants["r"] * np.float32(1e4)
    weight = generator.normal(size=(7, 5), scale=3.0).astype(np.float32)
    node = getattr(nir, kind)(**{**constants, **changed}, metadata={"reset": "zero"})
    nodes = nir.Affine(weight, np.zeros(7, np.float32)), node
    return nir.NIRGraph.from_list(*nodes, type_check=False)


@pytest.mark.parametrize("kind", ["LIF", "IF"])
def test_nir_arrays(kind: str):
    found = convert(graph(kind), torch.rand(16, 5), num_steps=STEPS)
    assert isinstance(found.network.layers[1], VariedLIF)
    assert found.check.rates[0] > 0.05


def test_potentials_are_counted_from_each_neurons_rest():
    leak = np.linspace(-0.2, 0.3, 7).astype(np.float32)
    changed = {"v_leak": leak, "v_reset": leak, "v_threshold": leak + np.float32(1)}
    assert convert(graph("LIF", **changed), torch.rand(16, 5), num_steps=STEPS).check.matches


REFUSED = {
    "beta 0 of one neuron": (
        looping(nn.Linear(5, 2), snntorch.Leaky(torch.tensor([0.0, 0.5]), init_hidden=True)),
        "decay 0, threshold 1, reset 'subtract', adaptive: step 1 takes in another current than step 3",
    ),
    "a threshold below 0": (
        looping(nn.Linear(5, 2), snntorch.Leaky(0.5, torch.tensor([-1.0, 0.5]), init_hidden=True)),  # type: ignore[arg-type]
        r"has a threshold of -\d…0\.5, expected one above what a reset leaves",
    ),
    "a reset elsewhere": (
        graph("LIF", v_reset=np.linspace(0, 0.1, 7).astype(np.float32)),
        r"not the one of decay 0\.\d+…0\.\d+, .*, reset 'zero': step 3 reads its potential of step 2 besides",
    ),
    "a decay above 1": (
        graph("LIF", tau=np.array([1e-4] * 6 + [1e-5], np.float32)),
        r"not the one of decay 0, .*, reset 'none': step 3 reads its potential of step 2 besides",
    ),
    "LeakyParallel": (
        looping(snntorch.LeakyParallel(5, 2, beta=0.5)),
        r"leakyparallel\.py:\d+: unbind: parts the batch axis; expected steps of time",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_says_why_in_one_line(name: str):
    source, reason = REFUSED[name]
    with pytest.raises(ConversionRefused, match=reason) as caught:
        convert(source, torch.rand(8, 5), num_steps=3)
    assert "\n" not in str(caught.value)
