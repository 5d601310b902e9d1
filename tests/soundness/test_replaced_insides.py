"""What is inside functions that run a network may not be replaced either: code, defaults, closures."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spikecert import LIF, LInf, mlp, verify
from spikecert.kernels import spikes as membrane
from spikecert.models.circuit.bodies import Bodies

MESSAGE = "was replaced inside, expected its code, defaults and closure as imported"


@contextmanager
def assigned(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Set an attribute for a while."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def forward(self: nn.Module, x: Tensor) -> Tensor:
    """Be another one."""
    return -x


def other_code(function: Callable[..., Any]) -> Any:
    """Return code that a function without a closure may have."""
    return forward.__code__.replace(co_name=function.__name__)


CHANGES: dict[str, tuple[Any, str, Any]] = {
    "a neuron's code": (LIF.forward, "__code__", other_code(LIF.forward)),
    "a layer's code": (nn.Linear.forward, "__code__", other_code(nn.Linear.forward)),
    "a call's defaults": (nn.Module.train, "__defaults__", (False,)),
    "torch's code": (F.relu, "__code__", other_code(F.relu)),
    "torch's defaults": (F.pad, "__defaults__", ("reflect", None)),
}


def ask() -> str:
    torch.manual_seed(0)
    inputs = torch.rand(1, 4)
    network = mlp((4, 3, 2), num_steps=2).eval()
    return verify(network, inputs, torch.tensor([0]), LInf(0.01), "interval")[0].status


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_inside_a_function_is_looked_at_in_each_call(name: str):
    known = ask()
    with assigned(*CHANGES[name]), pytest.raises(TypeError, match=MESSAGE):
        ask()
    assert ask() == known


def test_each_function_of_the_kernels_is_looked_at():
    functions = [
        value for value in vars(membrane).values() if getattr(value, "__module__", "") == membrane.__name__
    ]
    functions = [value for value in functions if hasattr(value, "__code__") and not value.__closure__]
    assert functions
    for function in functions:
        with assigned(function, "__code__", other_code(function)), pytest.raises(TypeError, match=MESSAGE):
            ask()


def counted(step: int, *, most: int = 3) -> Callable[[], int]:
    """Return a function with a closure."""

    def next_one() -> int:
        return min(step + 1, most)

    return next_one


def test_what_a_closure_holds_is_looked_at():
    function = counted(1)
    bodies = Bodies([function])
    bodies.check()
    cell = list(function.__closure__ or ())[-1]
    cell.cell_contents, before = 5, cell.cell_contents
    with pytest.raises(TypeError, match="next_one was replaced inside"):
        bodies.check()
    cell.cell_contents = before
    bodies.check()


def test_what_named_defaults_hold_is_looked_at():
    bodies, named = Bodies([counted]), counted.__kwdefaults__
    assert named is not None
    named["most"] = 4
    with pytest.raises(TypeError, match=MESSAGE):
        bodies.check()
    named["most"] = 3
    with assigned(counted, "__kwdefaults__", {"most": 3}), pytest.raises(TypeError, match="counted was replaced"):
        bodies.check()
    bodies.check()


class Held:
    """Holds functions as classes do."""

    @property
    def size(self) -> int:
        """Return a number."""
        return 1

    @classmethod
    def made(cls) -> int:
        """Return another one."""
        return 2


@pytest.mark.parametrize("held", ["size", "made"])
def test_what_properties_and_methods_run_is_looked_at(held: str):
    value = vars(Held)[held]
    bodies, function = Bodies([value]), getattr(value, "fget", None) or value.__func__
    with assigned(function, "__code__", other_code(function)), pytest.raises(TypeError, match=MESSAGE):
        bodies.check()
    bodies.check()
