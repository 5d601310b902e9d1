"""Runs are recorded whole: whatever way a current is bounded far off, no network without the bound comes in."""

import inspect
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import unset_fake_temporarily
from torch.fx import traceback as fx_traceback
from torch.nn.utils import parametrizations
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import (
    TorchDispatchMode,
    _disable_current_modes,
    _get_current_dispatch_mode_stack,
)
from torch.utils.checkpoint import checkpoint
from torch.utils.dlpack import from_dlpack, to_dlpack  # pyright: ignore[reportPrivateImportUsage]

from spikecert import ConversionRefused, convert
from support.traced_modules import Net, leaky

STEPS, FAR = 4, 99.0
aten = torch.ops.aten


def bound(x: Tensor) -> Tensor:
    return x.clamp(max=FAR)


class Dispatched(Tensor):
    """A tensor around another one that bounds what is added, below torch's functions."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> Any:
        made = Tensor._make_wrapper_subclass(cls, held.shape, dtype=held.dtype)  # pyright: ignore
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*[each.held if isinstance(each, Dispatched) else each for each in args], **(kwargs or {}))
        return bound(found) if func is aten.add.Tensor else found


class Below(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        return aten.clamp.default(found, None, FAR) if func is aten.add.Tensor else found


class Above(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        return torch.clamp(found, max=FAR) if func in (torch.add, Tensor.add, Tensor.__add__) else found


class Bounded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, given: Tensor) -> Tensor:
        return bound(given)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0]


def under(mode: Any) -> Callable[[Tensor], Tensor]:
    def changed(x: Tensor) -> Tensor:
        with mode:
            return x + 0.25

    return changed


def out_of_sight(guard: Callable[[], Any]) -> Callable[[Tensor], Tensor]:
    def changed(x: Tensor) -> Tensor:
        with guard():
            return bound(x)

    return changed


def while_it_is_none(told: Callable[[], Any]) -> Callable[[Tensor], Tensor]:
    return lambda x: x if told() else bound(x)


def into_list(x: Tensor) -> Tensor:
    found = [x * 1.0]
    aten._foreach_clamp_max_.Scalar(found, FAR)
    return found[0]


def into_memory(x: Tensor) -> Tensor:
    return torch.clamp(x, max=FAR, out=torch.empty_like(x))


def by_data(x: Tensor) -> Tensor:
    x = x * 1.0
    x.data.clamp_(max=FAR)
    return x


def by_view(x: Tensor) -> Tensor:
    x = x * 1.0
    x[:, :3].clamp_(max=FAR)
    return x


def by_a_number(x: Tensor) -> Tensor:
    held = torch.tensor(0.0)
    alias = held.view(1)
    held.add_(x.max().detach())
    return x if alias.item() < FAR else bound(x)


def by_stack(_: None = None) -> bool:
    frame: Any = sys._getframe()
    while frame is not None:
        if frame.f_code.co_name == "graph_of":
            return True
        frame = frame.f_back
    return False


FALSE: dict[str, Callable[[Tensor], Tensor]] = {
    "a tensor below torch": lambda x: Dispatched(x) + 0.25,
    "a mode below torch": under(Below()),
    "a mode above torch": under(Above()),
    "a function of its own gradient": lambda x: Bounded.apply(x),  # pyright: ignore[reportReturnType]
    "a compiled rule": lambda x: torch.nn.functional.hardtanh(x, -1e6, FAR),
    "torch's own operator": lambda x: aten.clamp.default(x, None, FAR),
    "a list in place": into_list,
    "given memory": into_memory,
    "its data": by_data,
    "a view": by_view,
    "a minimum": lambda x: torch.minimum(x, torch.tensor(FAR)),
    "a choice": lambda x: torch.where(x > FAR, FAR, x),
    "a checkpoint": lambda x: checkpoint(bound, x, use_reentrant=False),  # pyright: ignore[reportReturnType]
    "no modes": out_of_sight(_disable_current_modes),
    "no fake tensors": out_of_sight(unset_fake_temporarily),
    "inference": out_of_sight(torch.inference_mode),
    "a number of an alias": by_a_number,
    "memory that is handed on": lambda x: bound(from_dlpack(to_dlpack(x.detach()))),
    "the functions that run": while_it_is_none(by_stack),
    "the functions that run, by Python": while_it_is_none(
        lambda: any(each.function == "graph_of" for each in inspect.stack(0))
    ),
    "the modes that run": while_it_is_none(_get_current_dispatch_mode_stack),
}
RIGHT: dict[str, Callable[[Tensor], Tensor]] = {
    "a checkpoint": lambda x: checkpoint(torch.mul, x, 0.5, use_reentrant=False),  # pyright: ignore
    "inference": lambda x: torch.inference_mode()(torch.mul)(x, 0.5),
    "torch's own operator": lambda x: aten.mul.Tensor(x, 0.5),
}


def net(change: Callable[[Tensor], Tensor]) -> Net:
    def run(net: Net, x: Tensor) -> Tensor:
        v, total = torch.zeros(len(x), 6), torch.zeros(len(x), 3)
        for _ in range(STEPS):
            spike, v = leaky(v, change(net.fc1(x)))
            total = total + net.fc2(spike)
        return total / STEPS

    return Net(run)


@pytest.mark.parametrize("name", FALSE)
def test_no_bound_is_overlooked(name: str):
    with pytest.raises(ConversionRefused) as caught:
        convert(net(FALSE[name]), torch.rand(6, 5))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", RIGHT)
def test_what_changes_nothing_comes_in(name: str):
    module, inputs = net(RIGHT[name]), torch.rand(300, 5) * 3.0
    network = convert(module, torch.rand(6, 5)).network
    assert torch.allclose(network(inputs), module(inputs), atol=1e-5)


def test_torch_is_not_told_of_a_trace():
    seen: set[bool] = set()

    def told(x: Tensor) -> Tensor:
        seen.add(fx_traceback.has_preserved_node_meta())
        return x

    convert(net(told), torch.rand(6, 5))
    assert seen == {False}


def test_weights_that_are_computed_come_in():
    module = net(lambda x: x)
    parametrizations.weight_norm(module.fc1)
    inputs = torch.rand(300, 5)
    assert torch.allclose(convert(module, torch.rand(6, 5)).network(inputs), module(inputs), atol=1e-5)
