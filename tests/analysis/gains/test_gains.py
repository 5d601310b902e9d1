"""`gain`: every method, the gains' meaning, their check, what must raise."""

import dataclasses
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from spikecert.analysis import Interval, gain, neuron_gain
from spikecert.analysis.gains.gain_methods import response_matrix
from spikecert.analysis.gains.gains import input_scale_of
from spikecert.analysis.gains.neuron_gains import NORMS
from spikecert.models import DLIF, LIF, SpikingNetwork, mlp
from spikecert.models.rules import Leaky
from support.examples import examples

ORDER = {"l1": 1, "l2": 2, "linf": math.inf}


def network(steps: int = 8) -> SpikingNetwork:
    torch.manual_seed(0)
    net = mlp((6, 9, 8, 3), steps, DLIF(steps, decay=0.9))
    for neuron in net.neurons:
        neuron.input_scale.data = torch.randn(steps)  # type: ignore[union-attr]
    return net


@pytest.mark.parametrize("method", ["closed_form", "svd", "lmi"])
def test_methods_agree_and_check(method: str) -> None:
    report, reference = gain(network(), method=method), gain(network())
    for layer, other in zip(report.layers, reference.layers, strict=True):
        assert layer.neuron_gain == pytest.approx(other.neuron_gain, rel=1e-9)
        assert layer.gain >= layer.neuron_gain * layer.operator_norm.lower
        assert layer.bias == 0.0
    assert report.check()
    assert report.simplified
    assert [layer.name for layer in report.layers] == ["layers.1", "layers.3"]
    assert len(report.certificates) == (2 + len(report.operators) if method == "lmi" else 0)


@pytest.mark.parametrize("method", ["closed_form", "lmi"])
def test_infinite_horizon(method: str) -> None:
    report = gain(mlp((5, 4, 2), neuron=LIF(0.99)), horizon=math.inf, method=method)
    assert report.layers[0].neuron_gain == pytest.approx(100.0, rel=1e-6)
    assert report.layers[0].neuron_gain >= neuron_gain(0.99, math.inf)
    assert report.check()
    assert gain(mlp((5, 4, 2), neuron=LIF(1.0)), horizon=math.inf, method=method).layers[0].gain == math.inf


def test_a_changed_report_is_refused() -> None:
    report = gain(network())
    layer = report.layers[0]
    for change in (
        {"gain": layer.gain * (1 - 1e-12)},
        {"neuron_gain": layer.neuron_gain * (1 - 1e-12)},
        {"operator_norm": Interval(0.0, layer.operator_norm.upper * 0.999)},
        {"bias": -1.0},
    ):
        changed = (dataclasses.replace(layer, **change), *report.layers[1:])
        assert not dataclasses.replace(report, layers=changed).check()


@given(seed=st.integers(0, 10**6), first=st.sampled_from(NORMS), second=st.sampled_from(NORMS))
@examples(60)
def test_no_spike_difference_exceeds_a_layer_gain(seed: int, first: str, second: str) -> None:
    torch.manual_seed(seed)
    decay, steps = float(torch.rand(())), 5
    net = SpikingNetwork(nn.Linear(4, 3), DLIF(steps, decay=decay), nn.Linear(3, 2), num_steps=steps).double()
    net.neurons[0].input_scale.data = torch.randn(steps).double()  # type: ignore[union-attr]
    bound = gain(net, first, second).layers[0].gain
    difference = torch.randn(50, steps, 4).double() * torch.randint(0, 2, (50, steps, 1))
    drive = difference @ net.layers[0].weight.detach().T * net.neurons[0].input_scale.detach()[:, None]  # type: ignore[union-attr, operator, index]
    state, states = torch.zeros(50, 3).double(), []
    for t in range(steps):
        state = decay * state + drive[:, t]
        states.append(state)
    sizes = torch.stack(states, 1).flatten(1).norm(ORDER[second], dim=1)
    assert bool((sizes <= bound * difference.flatten(1).norm(ORDER[first], dim=1) * (1 + 1e-12)).all())


class Doubled(LIF):
    """A neuron that runs otherwise than its rule says."""

    def scale(self, num_steps: int) -> torch.Tensor:
        return torch.full((num_steps,), 2.0)


def test_the_scale_of_a_rule_counts_and_another_scale_is_refused() -> None:
    assert input_scale_of(Leaky(0.5, scale=(2.0, 2.0, 2.0)), 3) == (2.0, 2.0, 2.0)
    assert input_scale_of(Leaky(0.5), math.inf) is None
    with pytest.raises(ValueError, match=r"^horizon: got inf, expected 3, for which"):
        input_scale_of(Leaky(0.5, scale=(2.0, 2.0, 2.0)), math.inf)
    with pytest.raises(TypeError, match="Doubled"):
        gain(mlp((3, 4, 2), neuron=Doubled()))


def test_extreme_weights() -> None:
    net = mlp((3, 4, 2))
    net.layers[0].weight.data.zero_()  # type: ignore[union-attr, operator]
    assert gain(net).layers[0].gain == 0.0
    for size in (1e-30, 1e30):
        net.layers[0].weight.data.fill_(size)  # type: ignore[union-attr, operator]
        assert gain(net).layers[0].operator_norm.upper == pytest.approx(size * math.sqrt(12), rel=1e-6)
    net.layers[0].weight.data[0, 0] = math.nan  # type: ignore[union-attr, operator]
    with pytest.raises(ValueError, match=r"^network: layers\.0\.weight: got NaN"):
        gain(net)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_norm": "l3"}, "input_norm"),
        ({"output_norm": ""}, "output_norm"),
        ({"method": "guess"}, "method"),
        ({"horizon": 0}, "horizon"),
        ({"horizon": 4}, "horizon"),
        ({"horizon": math.inf}, "horizon"),
    ],
)
def test_must_raise(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}: got"):
        gain(network(), **arguments)


def test_a_response_that_forgets_at_once_is_the_identity() -> None:
    assert response_matrix(0.0, 4).equal(torch.eye(4, dtype=torch.float64))
    assert response_matrix(1.0, 4).equal(torch.ones(4, 4, dtype=torch.float64).tril())
