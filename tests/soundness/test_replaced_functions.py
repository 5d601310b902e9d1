"""Functions of torch that were replaced, or that a mode stands in front of, are refused: all that a run calls."""

import functools
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._device import DeviceContext
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from spikecert import (
    DLIF,
    LIF,
    LInf,
    RefractoryLIF,
    Residual,
    SpikingNetwork,
    Synapse,
    VariedLIF,
    circuit,
    mlp,
    verify,
)
from spikecert.models.circuit import shipped
from spikecert.models.linear_maps.averaging import Share
from support.examples import by_night
from support.readers import check_one_line
from support.refractory import INPUTS, THREAT, labels_of, network

MESSAGE = "was replaced, expected what torch ships"


def images() -> SpikingNetwork:
    """Return a network with most kinds of layers of images."""
    torch.manual_seed(0)
    layers = (
        nn.Conv2d(1, 2, 3, padding=1, padding_mode="circular"),
        nn.BatchNorm2d(2),
        VariedLIF(torch.tensor([[[0.5]], [[0.9]]]), reset="subtract"),
        nn.MaxPool2d(2),
        nn.ZeroPad2d(1),
        Residual([nn.Conv2d(2, 2, 3, padding=1), RefractoryLIF(0.9, 0.3, 1), Share(0.5)]),
        nn.AvgPool2d(2),
        nn.Upsample(scale_factor=2),
        nn.ConvTranspose2d(2, 4, 2),
        nn.PixelShuffle(2),
        nn.Flatten(),
    )
    return SpikingNetwork(*layers, Synapse(0.5, 1), nn.LazyLinear(3), DLIF(4), num_steps=4, encoding="rate")


def rows() -> SpikingNetwork:
    """Return a network of sequences."""
    torch.manual_seed(0)
    layers = (
        nn.Conv1d(1, 2, 3),
        LIF(reset="subtract"),
        nn.MaxPool1d(2),
        nn.ConvTranspose1d(2, 2, 3),
        nn.AvgPool1d(2),
    )
    return SpikingNetwork(
        *layers, nn.BatchNorm1d(2), LIF(), nn.Flatten(), nn.LazyLinear(3), num_steps=4, encoding="latency"
    )


class Recording(TorchFunctionMode):
    """Notes the functions that are called."""

    def __init__(self) -> None:
        super().__init__()
        self.called: set[Any] = set()

    def __torch_function__(self, function: Any, types: Any, arguments: Any = (), settings: Any = None) -> Any:
        self.called.add(function)
        return function(*arguments, **(settings or {}))


UNNAMED = {"__get__", "__set__", "le", "lt"}
"""What no name leads to: attributes, and operators that torch tells by another name."""


def called() -> list[tuple[Any, str]]:
    """Return where each function stands that runs call: in torch, in torch.nn.functional, or as a method."""
    with Recording() as recording, torch.no_grad():
        for net, inputs in (
            (network(), INPUTS),
            (images(), torch.rand(2, 1, 4, 4)),
            (rows(), torch.rand(2, 1, 8)),
        ):
            net.eval()(inputs)
    names = {function.__name__ for function in recording.called} - UNNAMED
    return [
        (owner, name)
        for name in sorted(names)
        for owner in (torch, F, Tensor)
        if callable(getattr(owner, name, None)) and (owner is Tensor or "__" not in name)
    ]


CALLED = called()
OPERATORS = (
    *("add", "radd", "iadd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv", "neg", "pow", "matmul", "and"),
    *("ge", "gt", "lt", "le", "eq", "ne", "getitem", "setitem", "bool", "float", "len", "iter", "getattr"),
)
METHODS = [(Tensor, f"__{name}__") for name in OPERATORS] + [(Tensor, "shape"), (Tensor, "dtype")]
"""What expressions call."""


def wrong(*arguments: Any, **settings: Any) -> Any:
    """Stand for anything."""
    raise AssertionError("a function that was replaced was called")


def test_runs_call_many_functions() -> None:
    assert len(CALLED) > 50
    assert {(F, "linear"), (F, "max_pool2d"), (torch, "add"), (Tensor, "mul"), (Tensor, "unflatten")} <= set(
        CALLED
    )


HERE = [place for place in CALLED + METHODS if place != (Tensor, "__getitem__")]
"""What can be put back. Python keeps a tensor's `__getitem__` as that of a sequence, once it was replaced."""


@pytest.mark.parametrize("place", HERE, ids=lambda place: f"{place[0].__name__}.{place[1]}")
def test_whatever_a_run_calls_is_refused_once_it_is_replaced(
    place: tuple[Any, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    net = network()
    circuit(net)
    with monkeypatch.context() as patch:
        patch.setattr(*place, property(wrong) if place[1] in ("shape", "dtype") else wrong, raising=False)
        with pytest.raises(TypeError, match=rf"{place[1]} {MESSAGE}") as caught:
            circuit(net)
    check_one_line(caught)
    circuit(net)


OTHERS: dict[str, Callable[..., Any]] = {
    "function": lambda x, weight, bias=None: -torch.matmul(x, weight.T) + (0 if bias is None else bias),
    "partial": functools.partial(F.bilinear),
    "class": type("linear", (), {}),
    "builtin": torch.dot,
    "torch's": F.batch_norm,
    "module's": nn.Linear.forward,
}


@pytest.mark.parametrize("other", OTHERS)
def test_linear_must_be_the_builtin(other: str, monkeypatch: pytest.MonkeyPatch) -> None:
    net, labels = network(), labels_of(network())
    monkeypatch.setattr(F, "linear", OTHERS[other])
    with pytest.raises(TypeError, match=rf"torch\.nn\.functional\.linear {MESSAGE}"):
        verify(net, INPUTS, labels, THREAT)


def batch_norm(x: Tensor, *arguments: Any, **settings: Any) -> Tensor:
    """Have the name of torch's."""
    return -x


PLACES: list[tuple[Any, str, Any]] = [
    (F, "batch_norm", batch_norm),
    (F, "pad", F.interpolate),
    (F, "max_pool2d", F.adaptive_max_pool2d),
    (torch, "max_pool2d", torch.max_pool3d),
    (shipped.BUILTINS._nn, "upsample_nearest2d", shipped.BUILTINS._nn.upsample_bilinear2d),
    (torch, "ge", torch.gt),
    (nn.modules.linear, "F", nn.modules.conv),
    (nn.modules.conv, "torch", F),
    (nn.Parameter, "__mul__", Tensor.__add__),
    (Tensor, "__neg__", Tensor.__abs__),
    (Tensor, "__rsub__", Tensor.__rtruediv__),
    (nn.Parameter, "__torch_function__", classmethod(wrong)),
    (DeviceContext, "__torch_function__", wrong),
    (torch.Tensor, "__getattribute__", wrong),
]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: f"{place[0].__name__}.{place[1]}")
def test_a_function_of_torch_in_the_place_of_another_is_refused(
    place: tuple[Any, str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    net = network()
    owner, name, value = place
    monkeypatch.setattr(owner, name, value, raising=False)
    with pytest.raises(TypeError, match=f"{name} {MESSAGE}"):
        circuit(net)


def test_what_no_network_runs_may_be_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    for owner, name in (
        (torch, "load"),
        (F, "scaled_dot_product_attention"),
        (Tensor, "__repr__"),
        (Tensor, "that_nobody_calls"),
    ):
        monkeypatch.setattr(owner, name, wrong, raising=False)
    assert verify(network(), INPUTS, labels_of(network()), LInf(0.0))[0].status == "verified"


BEFORE = """
import torch, torch.nn.functional as F
{0}
import spikecert
try:
    spikecert.circuit(spikecert.mlp((4, 3, 2)))
except TypeError as error:
    print(error)
"""
PATCHES = {
    "torch.nn.functional.linear": "old = F.linear; F.linear = lambda *given: -old(*given)",
    "torch.nn.functional.batch_norm": "F.batch_norm = F.layer_norm",
    "torch.nn.functional.max_pool2d": "F.max_pool2d = lambda x, *others: x",
    "torch.add": "torch.add = torch.sub",
    "torch._C._nn.upsample_nearest2d": "torch._C._nn.upsample_nearest2d = None.__class__.__repr__",
    "Tensor.__mul__": "torch.Tensor.__mul__ = torch.Tensor.__add__",
    "Tensor.unflatten": "torch.Tensor.unflatten = lambda self, *sizes: self",
}


@pytest.mark.parametrize("name", [*list(PATCHES)[:3], *by_night(*list(PATCHES)[3:])])
def test_what_was_replaced_before_the_import_is_refused(name: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", BEFORE.format(PATCHES[name])], capture_output=True, text=True, check=True
    )
    assert ran.stdout == f"network: {name} {MESSAGE}\n"


AFTER = """
import torch, spikecert
network = spikecert.mlp((4, 3, 2))
spikecert.circuit(network)
torch.Tensor.__getitem__ = lambda *_: None
try:
    spikecert.circuit(network)
except TypeError as error:
    print(error)
"""


def test_an_index_that_was_replaced_is_refused() -> None:
    ran = subprocess.run([sys.executable, "-c", AFTER], capture_output=True, text=True, check=True)
    assert ran.stdout == f"network: Tensor.__getitem__ {MESSAGE}\n"


class Silent(TorchFunctionMode):
    """Changes nothing, which nobody knows."""

    def __torch_function__(self, function: Any, types: Any, arguments: Any = (), settings: Any = None) -> Any:
        return function(*arguments, **(settings or {}))


class Dispatched(TorchDispatchMode):
    """Stands behind all functions."""

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), settings: Any = None) -> Any:
        return function(*arguments, **(settings or {}))


@pytest.mark.parametrize("mode", [Silent, Dispatched, lambda: FlopCounterMode(display=False)])
def test_a_mode_around_the_call_is_refused(mode: Callable[[], AbstractContextManager[Any]]) -> None:
    net, labels = network(), labels_of(network())
    with (
        mode(),
        pytest.raises(ValueError, match=r"got \w.* around the call, expected no mode to certify") as caught,
    ):
        verify(net, INPUTS, labels, THREAT)
    check_one_line(caught)


@pytest.fixture
def on_cpu() -> Iterator[None]:
    """Name the default device for one test."""
    torch.set_default_device("cpu")
    yield
    torch.set_default_device(None)


@pytest.mark.usefixtures("on_cpu")
def test_a_default_device_is_no_mode_that_changes_numbers() -> None:
    net = mlp((4, 6, 3), num_steps=4)
    with torch.device("cpu"):
        found = verify(net, INPUTS, labels_of(net), LInf(0.0))
    assert [verdict.status for verdict in found] == ["verified"] * 3


@pytest.mark.filterwarnings("ignore:Warning only once for all operators")
def test_a_kernel_of_anothers_is_refused() -> None:
    net = network()
    with torch.library._scoped_library("aten", "IMPL") as library:
        library.impl("addmm", lambda bias, x, weight, **_: bias - x @ weight, "CPU")
        with pytest.raises(TypeError, match="another kernel for aten/addmm/CPU"):
            circuit(net)
    circuit(net)


def test_kernels_that_torch_loads_for_vmap_change_no_network() -> None:
    net = network()
    torch.vmap(torch.neg)(torch.ones(2, 2))
    assert any(kernel.endswith("/FuncTorchBatched") for kernel in torch.library._impls)
    circuit(net)
