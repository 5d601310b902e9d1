"""Whole networks against the plain one; forward against trace; readouts, encodings and layer types."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert.models import DLIF, LIF, PLIF, Arctan, Recurrent, Residual, SpikingNetwork, architecture, mlp
from support.examples import examples

STEPS = 4


def scaled(values: tuple[float, ...] = (1.3, -0.7, 0.4, 2.0), decay: float = 0.9) -> DLIF:
    neuron = DLIF(STEPS, decay=decay, threshold=0.3)
    neuron.input_scale.data = torch.tensor(values)
    return neuron


def conv_layers() -> list[nn.Module]:
    return [
        nn.Conv2d(2, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        LIF(0.8, threshold=0.4),
        Residual([nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), LIF(threshold=0.3)]),
        Residual(
            [nn.Conv2d(4, 6, 3, stride=2, padding=1), scaled(), nn.Conv2d(6, 6, 1)],
            [nn.AvgPool2d(2), nn.Conv2d(4, 6, 1)],
        ),
        LIF(reset="subtract", threshold=0.5),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(6, 3),
    ]


def recurrent_readout() -> list[nn.Module]:
    return [nn.Linear(5, 7), LIF(0.9, 0.3), nn.Linear(7, 3), LIF(0.7, reset="none")]


BUILD: dict[str, Callable[[], SpikingNetwork]] = {
    "mlp": lambda: mlp((5, 7, 6, 3), STEPS, LIF(0.9, threshold=0.3)),
    "negative input scales": lambda: mlp((5, 7, 6, 3), STEPS, scaled()),
    "subtract": lambda: mlp((5, 7, 3), STEPS, LIF(0.9, 0.2, "subtract", ">", Arctan(2.0))),
    "no decay": lambda: mlp((5, 7, 3), STEPS, LIF(1.0, threshold=0.6)),
    "no memory": lambda: mlp((5, 7, 3), STEPS, LIF(0.0, threshold=0.2)),
    "one step": lambda: mlp((5, 7, 3), 1, LIF(0.9, threshold=0.2)),
    "no neuron": lambda: mlp((5, 3), STEPS),
    "events": lambda: mlp((5, 7, 6, 3), STEPS, scaled(), encoding="none"),
    "two affine layers last": lambda: SpikingNetwork(
        nn.Linear(5, 7), LIF(0.9, 0.3), nn.Linear(7, 6), nn.Linear(6, 3), num_steps=STEPS
    ),
    "batch norm last": lambda: SpikingNetwork(
        nn.Linear(5, 7), nn.BatchNorm1d(7), LIF(0.9, 0.3), nn.Linear(7, 3), nn.BatchNorm1d(3), num_steps=STEPS
    ),
    "spikes": lambda: SpikingNetwork(
        nn.Linear(5, 7), LIF(0.9, 0.2), nn.Linear(7, 3), LIF(0.9, 0.1), num_steps=STEPS
    ),
    "potential": lambda: SpikingNetwork(*recurrent_readout(), num_steps=STEPS, readout="potential"),
    "neuron first": lambda: SpikingNetwork(LIF(0.9, 0.5), nn.Linear(5, 3), num_steps=STEPS),
    "conv": lambda: SpikingNetwork(*conv_layers(), num_steps=STEPS),
    "conv events": lambda: SpikingNetwork(*conv_layers(), num_steps=STEPS, encoding="none"),
}


def make(name: str, dtype: torch.dtype = torch.float64, train: bool = False) -> tuple[SpikingNetwork, Tensor]:
    torch.manual_seed(4)
    network = BUILD[name]().to(dtype).train(train)
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            shape = (module.num_features,)
            module.running_mean, module.running_var = (
                torch.randn(shape).to(dtype),
                torch.rand(shape).to(dtype) + 0.5,
            )
    features = (2, 4, 4) if "conv" in name else (5,)
    time = (network.num_steps,) if network.encoding == "none" else ()
    return network, torch.rand(6, *time, *features, dtype=dtype)


@pytest.mark.parametrize("train", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("name", BUILD)
def test_logits_and_gradients_equal_the_plain_network(reference_logits: Any, name: str, train: bool) -> None:
    network, inputs = make(name, train=train)
    twin = copy.deepcopy(network)
    results = []
    for run, net in ((network, network), (lambda x: reference_logits(twin, x), twin)):
        x = inputs.clone().requires_grad_()
        logits = run(x)
        weights = torch.linspace(-1, 2, logits.numel(), dtype=logits.dtype).view_as(logits)
        (weights * logits).sum().backward()
        results.append([logits, x.grad, *(p.grad for p in net.parameters())])
    for ours, plain in zip(*results, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-9, atol=1e-10)
    for ours, plain in zip(network.buffers(), twin.buffers(), strict=True):
        torch.testing.assert_close(ours, plain, rtol=0.1, atol=0.1)  # unbiased over T·B or over B samples


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", BUILD)
def test_trace_agrees_with_forward(name: str, dtype: torch.dtype) -> None:
    network, inputs = make(name, dtype)
    trace = network.trace(inputs)
    with torch.no_grad():
        assert torch.equal(trace.logits, network(inputs))
    assert trace.logits.dtype == dtype
    neurons = network.neurons
    assert len(trace.currents) == len(trace.potentials) == len(trace.spikes) == len(neurons)
    for neuron, current, potential, spike in zip(
        neurons, trace.currents, trace.potentials, trace.spikes, strict=True
    ):
        assert current.shape == potential.shape == spike.shape
        assert spike.shape[:2] == (network.num_steps, 6)
        silent = network.readout == "potential" and neuron is neurons[-1]
        fired = potential >= neuron.dynamics.threshold
        if neuron.dynamics.fires_at == ">":
            fired = potential > neuron.dynamics.threshold
        assert torch.equal(spike, torch.zeros_like(spike) if silent else fired.to(dtype))


@pytest.mark.parametrize("name", ["mlp", "negative input scales", "spikes", "conv", "events"])
def test_the_cases_spike_in_some_places_and_not_in_others(name: str) -> None:
    network, inputs = make(name)
    for spikes in network.trace(inputs).spikes:
        assert 0.02 < float(spikes.detach().mean()) < 0.98


def test_readout_mean_is_the_mean_over_time_of_the_last_layer() -> None:
    network, inputs = make("mlp")
    last = network.layers[-1]
    assert isinstance(last, nn.Linear)
    expected = torch.stack([last(step) for step in network.trace(inputs).spikes[-1]]).mean(0)
    torch.testing.assert_close(network(inputs), expected)


def test_readout_spikes_is_the_rate_of_the_last_neuron() -> None:
    network, inputs = make("spikes")
    assert network.readout == "spikes"
    assert torch.equal(network(inputs), network.trace(inputs).spikes[-1].mean(0))


def test_readout_potential_is_linear_in_the_last_current() -> None:
    network, inputs = make("potential")
    trace = network.trace(inputs)
    weights = 0.7 ** torch.arange(STEPS - 1, -1, -1, dtype=torch.float64)
    torch.testing.assert_close(network(inputs), torch.einsum("t,tbk->bk", weights, trace.currents[-1]))


def test_direct_coding_repeats_the_input() -> None:
    direct, inputs = make("mlp")
    events = SpikingNetwork(*direct.layers, num_steps=STEPS, encoding="none")
    repeated = inputs.unsqueeze(1).expand(-1, STEPS, -1)
    torch.testing.assert_close(direct(inputs), events(repeated))


def test_samples_do_not_see_each_other_in_evaluation_mode() -> None:
    network, inputs = make("conv")
    whole = network(inputs)
    torch.testing.assert_close(whole, torch.cat([network(one[None]) for one in inputs]))


def test_trace_is_differentiable_in_everything() -> None:
    network, inputs = make("conv", train=True)
    trace = network.trace(inputs)
    total = sum(t.square().sum() for part in (trace.currents, trace.potentials, trace.spikes) for t in part)
    (total + trace.logits.sum()).backward()  # type: ignore[union-attr]
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in network.parameters())


def test_inputs_get_gradients_that_gradcheck_confirms_where_the_network_is_smooth() -> None:
    network = SpikingNetwork(nn.Linear(3, 2), LIF(0.8, reset="none"), num_steps=3, readout="potential").double()
    inputs = torch.rand(2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(network, (inputs,))


@examples(60)
@given(
    widths=st.lists(st.integers(1, 8), min_size=2, max_size=5),
    steps=st.integers(1, 6),
    decay=st.sampled_from([0.0, 0.3, 0.9, 0.99, 1.0]),
    reset=st.sampled_from(["zero", "subtract"]),
    fires_at=st.sampled_from([">=", ">"]),
    scales=st.lists(st.floats(-2, 2), min_size=6, max_size=6),
    seed=st.integers(0, 10_000),
)
def test_random_networks_agree_with_the_plain_one(
    widths: list[int], steps: int, decay: float, reset: str, fires_at: str, scales: list[float], seed: int
) -> None:
    torch.manual_seed(seed)
    neuron = DLIF(steps, decay, 0.37, reset, fires_at)
    neuron.input_scale.data = torch.tensor(scales[:steps])
    network = mlp(widths, steps, neuron).double()
    inputs = torch.rand(3, widths[0], dtype=torch.float64)
    logits = inputs
    currents = [inputs] * steps
    for layer in network.layers:
        if isinstance(layer, LIF):
            currents = _plain_neuron(layer, currents)
        else:
            currents = [layer(current) for current in currents]
        logits = torch.stack(currents).mean(0)
    torch.testing.assert_close(network(inputs), logits)


def _plain_neuron(neuron: LIF, currents: list[Tensor]) -> list[Tensor]:
    d, scale = neuron.dynamics, neuron.scale(len(currents))
    assert scale is not None
    residue, spikes = torch.zeros_like(currents[0]), []
    for t, current in enumerate(currents):
        potential = d.decay * residue + scale[t] * current
        fired = potential >= d.threshold if d.fires_at == ">=" else potential > d.threshold
        residue = torch.where(fired, 0.0 if d.reset == "zero" else potential - d.threshold, potential)
        spikes.append(fired.double())
    return spikes


def test_mlp_and_architecture_strings() -> None:
    names = [type(layer).__name__ for layer in mlp((4, 3, 2, 5), 6, DLIF(6)).layers]
    assert names == ["Linear", "DLIF", "Linear", "DLIF", "Linear"]
    flat = architecture("mlp:8-6", (64,), 10, 5)
    image = architecture("mlp:8-6", (1, 8, 8), 10, 5, LIF(0.5))
    assert flat(torch.rand(2, 64)).shape == image(torch.rand(2, 1, 8, 8)).shape == (2, 10)
    assert [n.dynamics.decay for n in image.neurons] == [0.5, 0.5]
    assert architecture("mlp", (4,), 3)(torch.rand(1, 4)).shape == (1, 3)


def test_recurrent_strings_give_each_hidden_layer_a_feedback_of_its_own() -> None:
    looped = architecture("recurrent:8-6", (1, 4, 4), 3, 5, LIF(1.0, reset="subtract"))
    assert looped(torch.rand(2, 1, 4, 4)).shape == (2, 3)
    first, second = looped.neurons
    assert isinstance(first, Recurrent)
    assert isinstance(second, Recurrent)
    assert first.feedback.weight.shape == (8, 8)
    assert second.feedback.weight.shape == (6, 6)
    assert float(torch.cat([one.detach().abs() for one in first.feedback.parameters()]).max()) <= 0.5 / 8**0.5
    assert {neuron.dynamics.decay for neuron in looped.neurons} == {1.0}
    with pytest.raises(TypeError, match="PLIF"):
        architecture("recurrent:8", (4,), 3, 5, PLIF())


def test_template_neurons_are_copied() -> None:
    template = DLIF(8)
    first, second = mlp((4, 3, 3, 2), 8, template).neurons
    assert isinstance(first, DLIF)
    assert isinstance(second, DLIF)
    assert len({id(template.input_scale), id(first.input_scale), id(second.input_scale)}) == 3


@pytest.mark.parametrize(
    ("layers", "shape", "told"),
    [
        ([Residual([nn.Linear(4, 1)])], (4,), r"\(1,\) and \(4,\)"),
        ([Residual([nn.Conv2d(1, 2, 2)], [nn.Conv2d(1, 2, 1)])], (1, 2, 2), r"\(2, 1, 1\) and \(2, 2, 2\)"),
    ],
    ids=["vectors", "images"],
)
def test_a_sum_of_unequal_shapes_is_refused(layers: list[nn.Module], shape: tuple[int, ...], told: str) -> None:
    net = SpikingNetwork(*layers, LIF(), nn.Flatten(), num_steps=STEPS)
    with pytest.raises(ValueError, match=rf"^inputs: a Residual was to add {told}, expected equal shapes$"):
        net(torch.rand(4, *shape))
