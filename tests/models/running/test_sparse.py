"""Gradients of weights that are summed over spikes alone, and spikes that are counted: the same as torch's own."""

import copy
import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import linear

from spikecert.kernels.spikes import CompiledSparse, sparse_kernel
from spikecert.models import DLIF, LIF, SpikingNetwork
from spikecert.models.running import running as sparse
from spikecert.models.running.running import SparseLinear
from support.eager import KERNELS, by
from support.examples import examples

NEAR = {torch.float32: 1e-4, torch.float64: 1e-12}


@pytest.fixture(autouse=True)
def all_products_are_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take small products, too, in two threads."""
    monkeypatch.setattr(sparse, "WORTH", 0)
    torch.set_num_threads(2)


def drawn(rows: int, inputs: int, outputs: int, share: float, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return gradients and a signal of which a share is not 0."""
    generator = torch.Generator().manual_seed(rows * inputs + outputs)
    signal = torch.randn(rows, inputs, generator=generator) * (
        torch.rand(rows, inputs, generator=generator) < share
    )
    return torch.randn(rows, outputs, generator=generator).to(dtype), signal.to(dtype)


@examples(60)
@given(
    st.sampled_from((1, 5, 127, 128, 300)),
    st.sampled_from((1, 7, 255, 256, 257, 600)),
    st.sampled_from((1, 31, 64, 130)),
    st.sampled_from((0.0, 0.1, 0.6, 1.0)),
    st.sampled_from((torch.float32, torch.float64)),
)
def test_the_product_is_torchs(rows: int, inputs: int, outputs: int, share: float, dtype: torch.dtype) -> None:
    grad, signal = drawn(rows, inputs, outputs, share, dtype)
    found, expected = sparse_kernel(dtype).transposed_product(grad, signal, 1.0), grad.T @ signal
    torch.testing.assert_close(found, expected, rtol=NEAR[dtype], atol=NEAR[dtype] * rows**0.5)
    whole = (grad * 8).round(), (signal * 8).round()  # no order rounds their sums
    exact = sparse_kernel(dtype).transposed_product(*whole, 1.0)
    assert exact is not None
    assert torch.equal(exact, whole[0].T @ whole[1])


def test_a_signal_that_is_too_full_anywhere_is_left_to_torch() -> None:
    grad, signal = drawn(300, 600, 64, 0.1, torch.float32)
    assert sparse_kernel(torch.float32).transposed_product(grad, signal, 0.25) is not None
    signal[:, 599] = 1.0
    assert sparse_kernel(torch.float32).transposed_product(grad, signal, 0.09) is None
    signal[:, :256] = torch.nan
    assert sparse_kernel(torch.float32).transposed_product(grad, signal, 0.25) is None


@pytest.mark.parametrize("bias", [True, False])
def test_gradients_pass_gradcheck(bias: bool) -> None:
    grad, signal = drawn(6, 9, 4, 0.2, torch.float64)
    weight = grad.T @ signal + 1.0
    leaves = [signal, weight, *([weight[:, 0].clone()] if bias else [])]
    leaves = [leaf.requires_grad_() for leaf in leaves]
    assert torch.autograd.gradcheck(lambda *given: SparseLinear.apply(*given, *([] if bias else [None])), leaves)


@pytest.mark.parametrize("broken", [torch.nan, torch.inf, -torch.inf, 3e38])
def test_a_gradient_that_is_not_finite_breaks_what_it_breaks_without_the_kernel(broken: float) -> None:
    grad, signal = drawn(40, 30, 20, 0.1, torch.float32)
    signal[3] = 0.0  # so that the kernel would not look at this row
    grad[3, :2] = broken
    weight = torch.zeros(20, 30, requires_grad=True)
    found, expected = (
        torch.autograd.grad(run(signal, weight, None), weight, grad)[0] for run in (SparseLinear.apply, linear)
    )
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4, equal_nan=True)


def events(last: Callable[[], nn.Module]) -> SpikingNetwork:
    """Return a network of events whose layers are dense."""
    torch.manual_seed(0)
    network = SpikingNetwork(
        *(nn.Linear(60, 40), LIF(0.9), nn.Linear(40, 30), last(), nn.Linear(30, 3)),
        num_steps=5,
        encoding="none",
    )
    with torch.no_grad():
        for parameter in network.parameters():
            parameter *= 4.0
    return network


def told(network: SpikingNetwork, name: str, inputs: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Return the logits and the gradients of all parameters by a kernel."""
    network = copy.deepcopy(network)
    with by(name):
        logits = network(inputs)
        logits.square().sum().backward()
        assert torch.equal(network.trace(inputs).logits, logits)
    return logits.detach(), [parameter.grad for parameter in network.parameters()]  # type: ignore[misc]


@pytest.mark.parametrize("last", [lambda: LIF(0.8), lambda: DLIF(5, 0.8, reset="subtract")], ids=["LIF", "DLIF"])
def test_a_network_in_training_has_the_same_logits_and_gradients(
    last: Callable[[], nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = (torch.rand(8, 5, 60, generator=torch.Generator().manual_seed(1)) < 0.1).float()
    asked, product = [], CompiledSparse.transposed_product
    monkeypatch.setattr(
        CompiledSparse, "transposed_product", lambda *given: asked.append(given[2].shape) or product(*given)
    )
    eager, compiled = (told(events(last), name, inputs) for name in KERNELS)
    assert torch.equal(eager[0], compiled[0])
    assert bool(eager[0].abs().max() > 0)
    assert asked[-2:] == [(40, 40), (40, 60)]
    for expected, found in zip(eager[1], compiled[1], strict=True):
        torch.testing.assert_close(found, expected, rtol=2e-4, atol=2e-4)


def test_what_is_not_plain_training_runs_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    network, inputs, heard = events(LIF), torch.ones(2, 5, 60), []
    monkeypatch.setattr(SparseLinear, "apply", lambda *given: heard.append("kernel") or linear(*given))
    network(inputs)
    assert heard == ["kernel"] * 3
    with torch.no_grad():
        network(inputs)
    with torch.autocast("cpu", torch.bfloat16):
        network(inputs)
    network.eval()(inputs)
    assert len(heard) == 3
    network.train().layers[0].weight.requires_grad_(False)
    network.layers[2].register_forward_hook(lambda module, given, found: heard.append("hook"))
    network(inputs)
    assert heard[3:] == ["hook", "kernel"]


def test_a_hook_on_the_last_neuron_hears_its_spikes() -> None:
    network, heard = events(LIF), []
    network.layers[3].register_forward_hook(lambda module, given, found: heard.append(found.shape))
    network(torch.ones(2, 5, 60))
    assert heard == [(5, 2, 30)]


FAULTS = """
import resource
import torch
from spikecert.kernels.loading import kept_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(1 << 24)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

with kept_memory():
    told = [faults() for _ in range(4)]
print(told[-1], faults(), (64 << 20) // resource.getpagesize())
"""
"""How many pages are new in the last of four blocks of 64 MiB, and in one behind them; how many a block has."""


@pytest.mark.skipif(sys.platform != "linux", reason="freed memory is kept by glibc alone")
def test_freed_memory_is_kept_within_the_block_and_given_back_behind_it() -> None:
    """The second block may still be new: what was asked for behind the first one keeps that from growing."""
    told = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True).stdout
    within, behind, pages = map(int, told.split())
    assert within < pages / 8
    assert behind > pages / 2
