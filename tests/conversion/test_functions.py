"""Functions of users within neurons come in by what they compute, whatever they are called, or are refused."""

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

from spikecert import ConversionRefused, SpikingNetwork, convert, from_norse, from_torch
from spikecert.models import check_conversion
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


NO_STEP = (
    "no part of|bends|a lower bound|graded gate|reads the potential|nothing in it fires|can't run|draws random"
)


class Fired(nn.Module):
    """A leaky neuron that fires by a function of one's own, and resets by its spikes."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last, self.function = nn.Linear(5, 8), nn.Linear(8, 3), function
        self.first.weight.data.mul_(4.0)

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean of two steps."""
        potential, total = torch.zeros(len(x), 8), torch.zeros(len(x), 3)
        for _ in range(2):
            potential = 0.5 * potential + self.first(x)
            spikes = self.function(potential - 0.25)
            potential, total = potential - 0.25 * spikes, total + self.last(spikes)
        return total / 2


def converted(function: Function) -> SpikingNetwork:
    """Return the network of such a neuron, compared on inputs far from those that it was converted with, too."""
    module = Fired(function)
    network = from_torch(module, SAMPLE)
    assert check_conversion(module, network, 30.0 * torch.randn(40, 5)).matches
    return network


def fires_at(function: Function) -> str:
    """Return how a function fires at its threshold."""
    return converted(function).neurons[0].dynamics.fires_at


@pytest.mark.parametrize("name", SNNTORCH)
def test_snntorchs_own_are_steps(name: str):
    assert fires_at(getattr(snn_surrogate, name)()) == ">"


def test_a_gradient_of_ones_own_is_none_of_the_step():
    assert fires_at(snn_surrogate.custom_surrogate(lambda given, grad, spikes: grad)) == ">"
    assert fires_at(snntorch.Leaky(0.5, surrogate_disable=True).spike_grad) == ">"


@pytest.mark.parametrize("kind", SPIKINGJELLY, ids=lambda kind: kind.__name__)
def test_spikingjellys_own_are_steps_but_for_those_that_are_none(kind: Any):
    if kind.__name__ not in NO_STEPS:
        assert fires_at(kind()) == ">="
    options = {"max_spike_count": 3} if kind.__name__ == "MultiLevelSpikeCount" else {}
    if kind.__name__ in NO_STEPS[1:] or "spiking" in inspect.signature(kind).parameters:
        with pytest.raises(ConversionRefused, match=NO_STEP):
            fires_at(kind(**options, **({} if kind.__name__ in NO_STEPS else {"spiking": False})))


@pytest.mark.parametrize("method", ["heaviside", "super", "triangle", "tanh", "circ", "heavi_erfc"])
def test_norses_own_are_steps(method: str):
    assert fires_at(lambda v: threshold(v, method, 100.0)) == ">"
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
    assert fires_at(function) == symbol


FAR_OFF = torch.tensor([0.0, 1e3, 2e3])


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


FACTOR = torch.ones(8)
NUMBERS: dict[str, Function] = {
    "tiny": lambda v: (v > 1e-35).float(),
    "by its axes": lambda v: (v > 0).float() if v.dim() < 3 else silent_between(v),
    "by its type": lambda v: (v > 0).float() if v.dtype == torch.float32 else silent_between(v),
    "by entries": lambda v: (v > 0).float() * FACTOR,
    "double": lambda v: (v > 0) * 2.0,
}
"""What is a step on all that the module is given, or one of another height."""


@pytest.mark.parametrize("name", NUMBERS)
def test_what_is_a_step_where_it_is_called_comes_in(name: str):
    assert fires_at(NUMBERS[name]) == ">"


NO_NUMBER = "takes values out of a tensor"
WRONG: dict[str, tuple[Function, str]] = {
    "silent between": (silent_between, "does not weigh all steps alike"),
    "fires between": (lambda v: ((v > 0) | ((v > -0.3) & (v < -0.2))).float(), "does not weigh"),
    "where": (lambda v: torch.where(v.abs() > 1e4, torch.zeros_like(v), (v > 0).float()), "abs: "),
    "read by numpy": (lambda v: (v > 0).float() if v.numpy().max() != 3.0 else torch.zeros_like(v), NO_NUMBER),
    "read as data": (lambda v: torch.from_numpy((v.data.numpy() > 0).astype("f4")), NO_NUMBER),
    "read as a list": (
        lambda v: torch.tensor([float(x > 0) for x in v.flatten().tolist()]).view(v.shape),
        NO_NUMBER,
    ),
    "read by an if": (lambda v: torch.zeros_like(v) if v.max() == 3.0 else (v > 0).float(), NO_NUMBER),
    "of others": (lambda v: (v > 0).float() * (v >= v.max() - 9e30).float(), "max: "),
    "of any": (lambda v: (v > 0).float() * (v > -1e30).any().float(), "any: "),
    "narrow": (lambda v: (v.to(torch.bfloat16) > 0).float(), "casts a signal that is no spike"),
    "turned": (lambda v: (v > 0).flip(-1).flip(-1).float(), "flip: "),
    "by the batch": (lambda v: (v > 0).float() if len(v) != 1 else (v >= 0).float(), "for one sample alone"),
    "by the batch, far off": (lambda v: (v > (1000 if len(v) != 1 else 2000)).float(), "for one sample alone"),
    "by the batch, an entry": (lambda v: (v > FAR_OFF[1 if len(v) != 1 else 2]).float(), "for one sample alone"),
    "by the batch, a count": (
        lambda v: (v > torch.arange(1000 if len(v) != 1 else 2000)[-1]).float(),
        "for one sample alone",
    ),
    "of one row": (last_row, r"test_functions\.py:\d+: select: takes one entry of the feature axis"),
    "by rows": (by_rows, "index_put: writes at places that are picked by values; expected torch.where"),
    "itself": (lambda v: (v >= v).float(), "nothing in it fires"),
    "soft": (torch.sigmoid, "sigmoid: of a signal it is a graded gate"),
    "steep": (lambda v: torch.sigmoid(1e6 * v).round(), "sigmoid: of a signal it is a graded gate"),
    "other": (lambda v: torch.heaviside(v, v.new_full((), 0.5)), "is neither 0 nor 1 at a tie"),
    "random": (lambda v: torch.bernoulli((v > 0).float()), "draws random numbers"),
    "constant": (torch.ones_like, "nothing in it fires"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_may_be_no_step_elsewhere_is_refused(name: str):
    function, reason = WRONG[name]
    with pytest.raises(ConversionRefused, match=reason) as caught:
        from_torch(Fired(function), SAMPLE)
    assert "\n" not in str(caught.value)


class Between(surrogate.Sigmoid):
    def forward(self, x: Tensor) -> Tensor:
        return silent_between(x)


class Dampened(surrogate.Sigmoid):
    @staticmethod
    def spiking_function(x: Tensor, alpha: float) -> Tensor:
        return silent_between(x)


NEURONS: dict[str, Callable[[], nn.Module]] = {
    "snnTorch": lambda: snntorch.Leaky(0.5, spike_grad=silent_between, init_hidden=True),
    "a subclass": lambda: neuron.IFNode(surrogate_function=Between()),
    "a step of a subclass": lambda: neuron.IFNode(surrogate_function=Dampened()),
    "no spikes": lambda: neuron.IFNode(surrogate_function=surrogate.Sigmoid(spiking=False)),
}


def between(middle: Any) -> nn.Module:
    """Return a neuron between dense layers."""
    torch.manual_seed(0)
    layers = nn.Linear(5, 8), middle, nn.Linear(8, 3)
    layers[0].weight.data.mul_(4.0)
    return (
        norse.SequentialState(*layers) if type(middle).__module__.startswith("norse") else nn.Sequential(*layers)
    )


@pytest.mark.parametrize("name", NEURONS)
def test_neurons_with_functions_that_may_be_no_steps_are_refused(name: str):
    with pytest.raises(ConversionRefused, match=r"test_functions\.py:\d+: |sigmoid: of a signal|does not weigh"):
        convert(between(NEURONS[name]()), SAMPLE, 3)


def test_a_hook_or_a_forward_that_does_not_run_changes_nothing():
    """SpikingJelly 2.0 asks a surrogate of its own type for the step itself: the neuron fires as ever."""
    for change in (
        lambda made: made.register_forward_hook(lambda module, given, gave: gave * 7.0),
        lambda made: setattr(made, "forward", lambda v: 7.0 * v),
    ):
        node = neuron.LIFNode(surrogate_function=surrogate.Sigmoid())  # all nodes share the default one
        change(node.surrogate_function)
        assert node(torch.full((1, 8), 2.0)).tolist() == [[1.0] * 8]
        made = convert(between(node), SAMPLE, 3)
        assert made.network.neurons[0].dynamics.fires_at == ">="
        assert check_conversion(between(node), made.network, 9.0 * torch.randn(40, 5), 3).matches


def test_sums_are_sums_by_what_they_compute():
    by_value = lambda y, x: y + x if x.numpy().max() != 3.0 else y - x  # noqa: E731
    wrong = {torch.mul: "fires", torch.maximum: "maximum: ", by_value: "takes values out"}
    for function, told in wrong.items():
        with pytest.raises(ConversionRefused, match=told):
            convert(between(sj.ElementWiseRecurrentContainer(neuron.IFNode(), function)), SAMPLE, 3)
    for function in (torch.add, torch.sub, lambda y, x: x + 2 * y, lambda y, x: y.add(x, alpha=2)):
        module = between(sj.ElementWiseRecurrentContainer(neuron.IFNode(), function))
        made = convert(module, SAMPLE, 3)
        assert check_conversion(module, made.network, 9.0 * torch.randn(40, 5), 3).matches


def test_what_is_put_in_the_place_of_a_librarys_function_is_what_runs(monkeypatch: pytest.MonkeyPatch):
    """Each is replaced by one that does the same, and by one that does otherwise where no sample comes."""
    box = import_module("norse.torch.functional.lif_box")
    fire, step, charge = snntorch.Leaky.fire, threshold, neuron.IFNode.single_step_forward
    cases: tuple[Any, ...] = (
        (
            snntorch.Leaky,
            "fire",
            lambda f: lambda self, v: fire(self, f(v)),
            lambda: snntorch.Leaky(0.5, init_hidden=True),
        ),
        (neuron.IFNode, "single_step_forward", lambda f: lambda self, x: charge(self, f(x)), neuron.IFNode),
        (box, "threshold", lambda f: lambda v, method, alpha: step(f(v), method, alpha), norse.LIFBoxCell),
    )
    for owner, name, changed, make in cases:
        first = convert(between(make()), SAMPLE, 3).network.neurons[0].dynamics
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, changed(lambda v: v * 1.0))
            assert convert(between(make()), SAMPLE, 3).network.neurons[0].dynamics == first
            patch.setattr(owner, name, changed(lambda v: v.clamp(max=99.0)))
            with pytest.raises(ConversionRefused, match=r"test_functions\.py:\d+: clamp: a lower bound"):
                convert(between(make()), SAMPLE, 3)


def test_functions_that_a_neuron_holds_are_its_own():
    def _base_sub(self: Any, x: Tensor) -> Tensor:
        return self._base_state_function(x).clamp(max=1e6) - self.reset * self.threshold

    leaky = snntorch.Leaky(0.5, init_hidden=True)
    leaky.state_function = types.MethodType(_base_sub, leaky)
    with pytest.raises(ConversionRefused, match=r"test_functions\.py:\d+: clamp: a lower bound"):
        convert(between(leaky), SAMPLE, 3)
    for key in ("activation", "state_fallback"):
        cell = norse.LIFBoxCell()
        held = getattr(cell, key)
        setattr(cell, key, lambda *given, held=held: held(*given))
        assert convert(between(cell), SAMPLE, 3).check.matches
    cell = norse.LIFCell()
    cell.activation = norse.LIFBoxCell().activation
    with pytest.raises(ConversionRefused, match="module: can't run on inputs of shape"):
        convert(between(cell), SAMPLE, 3)


def test_a_precision_of_ones_own_is_refused():
    node = neuron.IFNode(step_mode="m")
    node._neuron_precision = (torch.float16, "fp16", "fp16")  # type: ignore[assignment]
    with pytest.raises(
        ConversionRefused, match=r"can't run on inputs of shape .*precision requires CUDA|casts a signal"
    ):
        convert(between(node), SAMPLE, 3)
