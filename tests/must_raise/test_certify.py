"""Bad arguments of verify and bounds: one error each, which names the argument."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikecert.certify import L2, LInf, answering, certified_radius, verify
from spikecert.certify.verification import bounds
from spikecert.models import LIF, SpikingNetwork, mlp

X, Y = torch.full((2, 4), 0.5), torch.tensor([0, 1])


def network(poison: float | None = None) -> SpikingNetwork:
    net = mlp((4, 3, 2), num_steps=2)
    if poison is not None:
        next(net.parameters()).data[0, 0] = poison
    return net


class Late(LIF):
    """Another neuron."""

    def forward(self, current: Tensor, num_steps: int) -> Tensor:
        return super().forward(current, num_steps).roll(1, 0)


class Other(SpikingNetwork):
    """Another run."""

    def forward(self, inputs: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return 1 - super().forward(inputs, generator)


def doubled(module: torch.nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    return 2 * output


def hooked() -> SpikingNetwork:
    net = network()
    net.layers[0].register_forward_hook(doubled)
    return net


def replaced() -> SpikingNetwork:
    net = network()
    net.layers[1].forward = lambda current, num_steps: current  # type: ignore[method-assign]
    return net


BAD: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "epsilon below 0": (lambda: LInf(-0.1), ValueError, "epsilon: got -0.1"),
    "epsilon beyond float64": (lambda: LInf(10**400), ValueError, "epsilon: got an integer beyond float64"),
    "range beyond float64": (lambda: L2(1.0, -(10**400)), ValueError, "lower: got an integer beyond float64"),
    "epsilon NaN": (lambda: L2(float("nan")), ValueError, "epsilon: got nan"),
    "lower above upper": (lambda: LInf(0.1, 1.0, 0.0), ValueError, "lower, upper"),
    "a neuron of another type": (
        lambda: verify(mlp((4, 3, 2), 2, Late()), X, Y, LInf(0.1)),
        TypeError,
        "network: got a layer of type Late",
    ),
    "another run": (
        lambda: verify(Other(nn.Linear(4, 2), num_steps=2), X, Y, LInf(0.1)),
        TypeError,
        "network: got Other",
    ),
    "a hook": (lambda: verify(hooked(), X, Y, LInf(0.1)), ValueError, "network: layers.0 has a hook"),
    "another forward": (lambda: bounds(replaced(), X, LInf(0.1)), ValueError, "network: layers.1 has a hook"),
    "wrong features": (lambda: verify(network(), torch.zeros(2, 5), Y, LInf(0.1)), ValueError, "got features"),
    "wrong dtype": (lambda: verify(network(), X.double(), Y, LInf(0.1)), TypeError, "inputs: got torch.float64"),
    "no tensor": (lambda: verify(network(), [[0.5] * 4], Y, LInf(0.1)), TypeError, "inputs: got list"),  # pyright: ignore[reportArgumentType]
    "empty batch": (lambda: verify(network(), X[:0], Y[:0], LInf(0.1)), ValueError, "inputs: got shape"),
    "NaN input": (lambda: verify(network(), X * torch.nan, Y, LInf(0.1)), ValueError, "inputs: got NaN"),
    "inf input": (lambda: verify(network(), X * torch.inf, Y, LInf(0.1)), ValueError, "inputs: got NaN or inf"),
    "outside the range": (lambda: verify(network(), X + 1, Y, LInf(0.1)), ValueError, "got values from 1.5"),
    "NaN weight": (lambda: verify(network(torch.nan), X, Y, LInf(0.1)), ValueError, "network: layers.0.weight"),
    "inf weight": (lambda: verify(network(torch.inf), X, Y, LInf(0.1)), ValueError, "network: layers.0.weight"),
    "label too large": (lambda: verify(network(), X, Y + 1, LInf(0.1)), ValueError, "got values from 1 to 2"),
    "label negative": (lambda: verify(network(), X, Y - 1, LInf(0.1)), ValueError, "got values from -1"),
    "float labels": (lambda: verify(network(), X, Y.float(), LInf(0.1)), TypeError, "labels: got torch.float32"),
    "labels too few": (lambda: verify(network(), X, Y[:1], LInf(0.1)), ValueError, "labels: got shape"),
    "unknown verifier": (lambda: verify(network(), X, Y, LInf(0.1), "magic"), ValueError, "verifier: got 'magic'"),
    "no perturbation": (lambda: verify(network(), X, Y, 0.1), TypeError, "perturbation: got float"),  # pyright: ignore[reportArgumentType]
    "timeout of text": (lambda: verify(network(), X, Y, LInf(0.1), timeout="1"), TypeError, "timeout: got str"),  # pyright: ignore[reportArgumentType]
    "timeout without end": (
        lambda: verify(network(), X, Y, LInf(0.1), timeout=float("inf")),
        ValueError,
        "timeout: got inf",
    ),
    "timeout of 0": (lambda: verify(network(), X, Y, LInf(0.1), timeout=0), ValueError, "timeout: got 0"),
    "radius in another norm": (lambda: certified_radius(network(), X, Y, "l1"), ValueError, "norm: got 'l1'"),
    "radius, no verifier": (lambda: certified_radius(network(), X, Y, verifier="x"), ValueError, "verifier: got"),
    "tolerance of 0": (lambda: certified_radius(network(), X, Y, tolerance=0), ValueError, "tolerance: got 0"),
    "tolerance too small": (
        lambda: certified_radius(network(), X, Y, tolerance=1e-12),
        ValueError,
        "tolerance: got 1e-12, expected at least",
    ),
    "tolerance no number": (
        lambda: certified_radius(network(), X, Y, tolerance="1"),  # pyright: ignore[reportArgumentType]
        TypeError,
        "tolerance: got str",
    ),
    "radius without time": (lambda: certified_radius(network(), X, Y, timeout=-1), ValueError, "timeout: got -1"),
    "radius in half a line": (
        lambda: certified_radius(network(), X, Y, upper=float("inf")),
        ValueError,
        "lower, upper: got 0.0, inf",
    ),
    "bounds by auto": (lambda: bounds(network(), X, LInf(0.1), "auto"), ValueError, "verifier: got 'auto'"),
    "bounds of NaN": (lambda: bounds(network(torch.nan), X, LInf(0.1)), ValueError, "network: layers.0.weight"),
}


@pytest.fixture
def coarse() -> Iterator[None]:
    """Let float32 products have fewer bits for a while."""
    torch.set_float32_matmul_precision("medium")
    yield
    torch.set_float32_matmul_precision("highest")


@pytest.mark.usefixtures("coarse")
def test_products_of_fewer_bits_are_refused():
    with pytest.raises(ValueError, match="arithmetic: got matmul precision 'medium'"):
        verify(network(), X, Y, LInf(0.1))


@pytest.mark.parametrize(
    "backend",
    [torch.backends.mkldnn.conv, torch.backends.mkldnn.matmul, torch.backends.mkldnn],  # pyright: ignore
)
def test_products_of_fewer_bits_by_one_backend_are_refused(backend: Any):
    backend.fp32_precision = "bf16"
    try:
        with pytest.raises(ValueError, match=r"arithmetic: got torch\.backends\..*fp32_precision 'bf16'"):
            verify(network(), X, Y, LInf(0.1))
    finally:
        backend.fp32_precision = "none"


class Odd(Tensor):
    """A tensor that might compute in its own way."""


ODD: dict[str, Callable[[], object]] = {
    "inputs": lambda: verify(network(), X.as_subclass(Odd), Y, LInf(0.1)),
    "labels": lambda: verify(network(), X, Y.as_subclass(Odd), LInf(0.1)),
    "inputs of bounds": lambda: bounds(network(), X.as_subclass(Odd), LInf(0.1)),
    "inputs of radii": lambda: certified_radius(network(), X.as_subclass(Odd), Y),
    "inputs of a set": lambda: verify(network(), X.as_subclass(Odd), Y, LInf(0.1), engine="local"),
}


@pytest.mark.parametrize("name", ODD)
def test_tensors_of_other_classes_are_refused(name: str):
    with pytest.raises(TypeError, match=f"{name.split()[0]}: got Odd, expected a torch.Tensor itself"):
        ODD[name]()


def test_what_is_changed_while_a_call_runs_is_refused(monkeypatch: pytest.MonkeyPatch):
    def told(*figures: object) -> None:
        """Replace a function, as anybody's code may that a call hands the thread to."""
        monkeypatch.setattr(torch.nn.functional, "linear", lambda x, weight, bias=None: x @ -weight.T)

    monkeypatch.setattr(answering, "CHUNK", 1)
    with pytest.raises(TypeError, match="linear was replaced"):
        verify(network(), X, Y, LInf(0.1), progress=told)


def test_autocast_is_refused():
    with torch.autocast("cpu"), pytest.raises(ValueError, match="arithmetic: got autocast"):
        bounds(network(), X, LInf(0.1))


def test_half_precision_is_refused():
    with pytest.raises(ValueError, match=r"network: got torch.bfloat16"):
        verify(network().bfloat16(), X.bfloat16(), Y, LInf(0.1))


@pytest.mark.parametrize("name", BAD)
def test_must_raise(name: str):
    call, error, message = BAD[name]
    with pytest.raises(error, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
