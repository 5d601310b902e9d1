"""Functions of users within neurons: spike functions are steps by what they compute, not by what was asked."""

import inspect
import types
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
import torch
from norse.torch.functional.threshold import threshold
from spikingjelly.activation_based import layer as sj
from spikingjelly.activation_based import neuron, surrogate
from torch import Tensor, nn

from spikecert import ConversionRefused, convert, from_norse
from spikecert.models.conversion.observing.functions import adds, fires_at
from support.foreign import norse, snntorch

Function = Callable[[Tensor], Tensor]
snn_surrogate: Any = import_module("snntorch.surrogate")
SNNTORCH = (
    "straight_through_estimator",
    "triangular",
    "fast_sigmoid",
    "atan",
    "heaviside",
    "sigmoid",
    "SSO",
    "SFS",
)
SPIKINGJELLY = [
    kind
    for kind in vars(surrogate).values()
    if inspect.isclass(kind) and issubclass(kind, surrogate.SurrogateFunctionBase)
]
NO_STEPS = ("SurrogateFunctionBase", "MultiLevelSpikeCount", "PoissonPass")
SAMPLE = torch.rand(6, 5, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", SNNTORCH)
def test_snntorchs_own_are_steps(name: str):
    assert fires_at(getattr(snn_surrogate, name)(), "it") == ">"


def test_a_gradient_of_ones_own_is_none_of_the_step():
    assert fires_at(snn_surrogate.custom_surrogate(lambda given, grad, spikes: grad), "it") == ">"
    assert fires_at(snntorch.Leaky(0.5, surrogate_disable=True).spike_grad, "it") == ">"


@pytest.mark.parametrize("kind", SPIKINGJELLY, ids=lambda kind: kind.__name__)
def test_spikingjellys_own_are_steps_but_for_those_that_are_none(kind: Any):
    if kind.__name__ not in NO_STEPS:
        assert fires_at(kind(), "it") == ">="
    options = {"max_spike_count": 3} if kind.__name__ == "MultiLevelSpikeCount" else {}
    if kind.__name__ in NO_STEPS[1:] or "spiking" in inspect.signature(kind).parameters:
        with pytest.raises(ConversionRefused, match="has a spike function that"):
            fires_at(kind(**options, **({} if kind.__name__ in NO_STEPS else {"spiking": False})), "it")


@pytest.mark.parametrize("method", ["heaviside", "super", "triangle", "tanh", "circ", "heavi_erfc"])
def test_norses_own_are_steps(method: str):
    assert fires_at(lambda v: threshold(v, method, 100.0), "it") == ">"
    cell = norse.LIFBoxCell(norse.LIFBoxParameters(torch.tensor(500.0), method=method))
    made = from_norse(norse.SequentialState(nn.Linear(5, 8), cell, nn.Linear(8, 3)), SAMPLE, num_steps=4)
    assert made.neurons[0].dynamics.fires_at == ">"


def by_index(v: Tensor) -> Tensor:
    out = torch.zeros_like(v)
    out[v > 0] = 1.0
    return out


class Custom(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, v: Tensor) -> Tensor:
        ctx.save_for_backward(v)
        return by_index(v)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0]


class Module(nn.Module):
    def forward(self, v: Tensor) -> Tensor:
        return v.ge(0.0).to(v)


STEPS: dict[str, tuple[Function, str]] = {
    "float": (lambda v: (v > 0).float(), ">"),
    "times": (lambda v: (v >= 0) * 1.0, ">="),
    "index": (by_index, ">"),
    "custom": (Custom.apply, ">"),
    "module": (Module(), ">="),
    "where": (lambda v: torch.where(v > 0, torch.ones_like(v), torch.zeros_like(v)), ">"),
    "where numbers": (lambda v: torch.where(v >= 0, 1.0, 0.0), ">="),
    "heaviside": (lambda v: torch.heaviside(v, torch.tensor(0.0, dtype=v.dtype)), ">"),
    "heaviside at once": (lambda v: torch.heaviside(v, v.new_ones(())), ">="),
    "sign": (lambda v: torch.relu(torch.sign(v)), ">"),
    "not": (lambda v: 1 - (v < 0).to(v.dtype), ">="),
    "number": (lambda v: torch.gt(v, torch.as_tensor(0.0)).to(v.dtype), ">"),
    "zeros": (lambda v: (v > torch.zeros_like(v)).type_as(v), ">"),
    "filled": (lambda v: torch.zeros_like(v).masked_fill(v > 0, 1.0), ">"),
    "in place": (lambda v: v.clone().gt_(0.0), ">"),
}


@pytest.mark.parametrize("name", STEPS)
def test_steps_of_ones_own_come_in(name: str):
    function, symbol = STEPS[name]
    assert fires_at(function, "it") == symbol


def silent_between(v: Tensor) -> Tensor:
    return ((v > 0) & ~((v > 1e4) & (v < 1e5))).float()


def last_row(v: Tensor) -> Tensor:
    out = (v > 0).float()
    out[..., -1].fill_(1.0)
    return out


def by_rows(v: Tensor) -> Tensor:
    out = torch.zeros_like(v)
    out[(v > 0).long()] = 1.0
    return out


FACTOR = torch.ones(7)
WRONG: dict[str, Function] = {
    "silent between": silent_between,
    "fires between": lambda v: ((v > 0) | ((v > -0.3) & (v < -0.2))).float(),
    "where": lambda v: torch.where(v.abs() > 1e4, torch.zeros_like(v), (v > 0).float()),
    "read by numpy": lambda v: (v > 0).float() if v.numpy().max() != 3.0 else torch.zeros_like(v),
    "read as data": lambda v: torch.from_numpy((v.data.numpy() > 0).astype("f4")),
    "read as a list": lambda v: torch.tensor([float(x > 0) for x in v.flatten().tolist()]).view(v.shape),
    "read by an if": lambda v: torch.zeros_like(v) if v.max() == 3.0 else (v > 0).float(),
    "of others": lambda v: (v > 0).float() * (v >= v.max() - 9e30).float(),
    "of any": lambda v: (v > 0).float() * (v > -1e30).any().float(),
    "narrow": lambda v: (v.to(torch.bfloat16) > 0).float(),
    "tiny": lambda v: (v > 1e-35).float(),
    "turned": lambda v: (v > 0).flip(-1).flip(-1).float(),
    "by the batch": lambda v: (v > 0).float() if len(v) != 1 else (v >= 0).float(),
    "by its axes": lambda v: (v > 0).float() if v.dim() < 3 else silent_between(v),
    "by its type": lambda v: (v > 0).float() if v.dtype == torch.float64 else silent_between(v),
    "of one row": last_row,
    "by rows": by_rows,
    "by entries": lambda v: (v > 0).float() * FACTOR,
    "itself": lambda v: (v >= v).float(),
    "soft": torch.sigmoid,
    "steep": lambda v: torch.sigmoid(1e6 * v).round(),
    "double": lambda v: (v > 0) * 2.0,
    "other": lambda v: torch.heaviside(v, v.new_full((), 0.5)),
    "random": lambda v: torch.bernoulli((v > 0).float()),
    "constant": torch.ones_like,
}


@pytest.mark.parametrize("name", WRONG)
def test_what_may_be_no_step_elsewhere_is_refused(name: str):
    with pytest.raises(ConversionRefused, match="has a spike function that") as caught:
        fires_at(WRONG[name], "it")
    assert "\n" not in str(caught.value)


class Between(surrogate.Sigmoid):
    def forward(self, x: Tensor) -> Tensor:
        return silent_between(x)


class Dampened(surrogate.Sigmoid):
    @staticmethod
    def spiking_function(x: Tensor, alpha: float) -> Tensor:
        return silent_between(x)


def hooked() -> surrogate.Sigmoid:
    made = surrogate.Sigmoid()
    made.register_forward_hook(lambda module, given, gave: gave * (given[0] < 1e6))
    return made


def replaced() -> surrogate.Sigmoid:
    made: Any = surrogate.Sigmoid()
    made.forward = silent_between
    return made


NEURONS: dict[str, Callable[[], nn.Module]] = {
    "snnTorch": lambda: snntorch.Leaky(0.5, spike_grad=silent_between, init_hidden=True),
    "a subclass": lambda: neuron.IFNode(surrogate_function=Between()),
    "a step of a subclass": lambda: neuron.IFNode(surrogate_function=Dampened()),
    "no spikes": lambda: neuron.IFNode(surrogate_function=surrogate.Sigmoid(spiking=False)),
    "a hook": lambda: neuron.IFNode(surrogate_function=hooked()),
    "a forward": lambda: neuron.IFNode(surrogate_function=replaced()),
}


@pytest.mark.parametrize("name", NEURONS)
def test_neurons_with_functions_that_may_be_no_steps_are_refused(name: str):
    with pytest.raises(ConversionRefused, match=r"spike function|surrogate_function"):
        convert(nn.Sequential(nn.Linear(5, 8), NEURONS[name](), nn.Linear(8, 3)), SAMPLE, 4)


def test_a_hook_or_a_forward_that_looks_like_a_step_is_refused():
    for change in (
        lambda made: made.register_forward_hook(lambda module, given, gave: gave * 1.0),
        lambda made: setattr(made, "forward", lambda v: (v >= 0).to(v)),
    ):
        node = neuron.LIFNode(surrogate_function=surrogate.Sigmoid())  # all nodes share the default one
        change(node.surrogate_function)
        with pytest.raises(ConversionRefused, match=r"1\.surrogate_function: has a"):
            convert(nn.Sequential(nn.Linear(5, 8), node, nn.Linear(8, 3)), SAMPLE, 4)


def test_sums_are_sums_by_what_they_compute():
    assert all(map(adds, (torch.add, lambda y, x: x + y, lambda y, x: y.add(x))))
    by_value = lambda y, x: y + x if x.numpy().max() != 3.0 else y - x  # noqa: E731
    for function in (torch.mul, torch.maximum, torch.sub, lambda y, x: x + 2 * y, lambda y, x: y.add(x, alpha=2)):
        assert not adds(function)
    container = sj.ElementWiseRecurrentContainer(neuron.IFNode(), by_value)
    with pytest.raises(ConversionRefused):
        convert(nn.Sequential(nn.Linear(5, 8), container, nn.Linear(8, 3)), SAMPLE, 4)


def test_what_a_library_does_not_ship_is_refused(monkeypatch: pytest.MonkeyPatch):
    """Each is a function that does what the library's does, but where no sample comes."""
    box = import_module("norse.torch.functional.lif_box")
    fire, step = snntorch.Leaky.fire, threshold
    cases = (
        (snntorch.Leaky, "fire", lambda self, mem: fire(self, mem), lambda: snntorch.Leaky(0.5, init_hidden=True)),
        (neuron.IFNode, "single_step_forward", lambda self, x: (x > 0).float(), neuron.IFNode),
        (box, "threshold", lambda v, method, alpha: step(v, method, alpha), norse.LIFBoxCell),
    )
    for owner, name, value, make in cases:
        made = nn.Sequential(nn.Linear(5, 8), make(), nn.Linear(8, 3))
        made = norse.SequentialState(*made) if make is norse.LIFBoxCell else made
        convert(made, SAMPLE, 4)
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, value)
            with pytest.raises(ConversionRefused, match=f"runs by a {name} that is not the one that"):
                convert(made, SAMPLE, 4)


def test_functions_that_a_neuron_holds_are_its_own():
    def _base_sub(self: Any, x: Tensor) -> Tensor:
        return self._base_state_function(x).clamp(max=1e6) - self.reset * self.threshold

    leaky, other = (snntorch.Leaky(0.5, init_hidden=True) for _ in range(2))
    for function in (types.MethodType(_base_sub, leaky), other._base_sub):
        leaky.state_function = function
        with pytest.raises(ConversionRefused, match="state_function"):
            convert(nn.Sequential(nn.Linear(5, 8), leaky, nn.Linear(8, 3)), SAMPLE, 4)
    for key, told in (("activation", "has an activation"), ("state_fallback", "has a state_fallback of its own")):
        cell = norse.LIFBoxCell()
        held = getattr(cell, key)
        setattr(cell, key, lambda *given, held=held: held(*given))
        with pytest.raises(ConversionRefused, match=told):
            convert(norse.SequentialState(nn.Linear(5, 8), cell, nn.Linear(8, 3)), SAMPLE, 4)
    cell = norse.LIFCell()
    cell.activation = norse.LIFBoxCell().activation
    with pytest.raises(ConversionRefused, match="has an activation 'lif_box_feed_forward_step' of its own"):
        convert(norse.SequentialState(nn.Linear(5, 8), cell, nn.Linear(8, 3)), SAMPLE, 4)


def test_a_precision_of_ones_own_is_refused():
    node = neuron.IFNode()
    node._neuron_precision = (torch.float16, "fp16", "fp16")  # type: ignore[assignment]
    with pytest.raises(ConversionRefused, match="in a precision of its own"):
        convert(nn.Sequential(nn.Linear(5, 8), node, nn.Linear(8, 3)), SAMPLE, 4)
