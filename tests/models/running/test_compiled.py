"""The compiled kernel: bitwise the spikes and potentials of torch's operations, by the variant that rounds so."""

import copy
import pickle
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert.kernels.building import NotBuilt
from spikecert.kernels.loading import load
from spikecert.kernels.spikes import CompiledMembrane
from spikecert.models import DLIF, LIF, Arctan, Dynamics, Sigmoid, SpikingNetwork, Triangle, mlp
from spikecert.models.dynamics import FIRES_AT, RESETS
from spikecert.models.running import membrane as compiled
from spikecert.models.running.membrane import count_spikes, kernel_for, layer_of, resume, simulate
from spikecert.training import dataset, fit
from support.eager import KERNELS, by
from support.examples import examples

SURROGATES = (Triangle(1.3), Arctan(0.7), Sigmoid())
TOLERANCE = {torch.float32: 2e-4, torch.float64: 1e-10}


@st.composite
def problems(draw: st.DrawFn) -> tuple[Tensor, Tensor | None, Tensor | None, Dynamics, int]:
    """Currents of any shape, many of them such that potentials meet the threshold exactly."""
    steps, width = draw(st.integers(1, 7)), draw(st.sampled_from((1, 3, 31, 1024, 2085)))
    dtype = draw(st.sampled_from((torch.float32, torch.float64)))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    current = normal(draw(st.sampled_from((1, steps))), 2, width)
    if draw(st.booleans()):
        current = (current * 8).round() / 8
    scale = normal(steps).to(dtype) if draw(st.booleans()) else None
    residue = normal(2, width).to(dtype) if draw(st.booleans()) else None
    reset = draw(st.sampled_from(RESETS))
    dynamics = Dynamics(
        draw(st.sampled_from((0.0, 0.5, 0.9, 0.99, 1.0))),
        draw(st.sampled_from((0.25, 1.0, 0.7))),
        reset,
        draw(st.sampled_from(FIRES_AT)),
        draw(st.sampled_from(SURROGATES)),
        0.4 if reset == "subtract" and draw(st.booleans()) else None,
    )
    return current.to(dtype), scale, residue, dynamics, steps


def outcome(problem: tuple[Tensor, Tensor | None, Tensor | None, Dynamics, int]) -> list[Tensor]:
    """Return spikes, final residue, potentials, and the gradients of all that has one."""
    current, scale, residue, dynamics, steps = problem
    given_ = [None if x is None else x.clone().requires_grad_() for x in (current, scale, residue)]
    spikes, final = resume(given_[0], given_[1], given_[2], dynamics, steps)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(1)
    weights = [torch.randn(x.shape, generator=generator, dtype=x.dtype) for x in (spikes, final)]
    total = (spikes * weights[0]).sum() + (final * weights[1]).sum() + spikes.mean(0).square().sum()
    leaves = [x for x in given_ if x is not None]
    gradients = torch.autograd.grad(total, leaves)
    potentials, again = simulate(given_[0], given_[1], dynamics, steps)  # type: ignore[arg-type]
    if residue is None:
        assert torch.equal(again, spikes)
        counts = count_spikes(given_[0], given_[1], dynamics, steps)  # type: ignore[arg-type]
        assert torch.equal(counts, spikes.sum(0, keepdim=True))
        each, all_at_once = (
            torch.autograd.grad((x * weights[0][:1]).sum(), leaves, retain_graph=True) for x in (again, counts)
        )
        for expected, found in zip(each, all_at_once, strict=True):
            torch.testing.assert_close(found, expected, rtol=0, atol=0)
    return [spikes.detach(), final.detach(), potentials.detach(), *gradients]


@examples(60)
@given(problems())
def test_spikes_and_potentials_are_bitwise_those_of_torch(
    problem: tuple[Tensor, Tensor | None, Tensor | None, Dynamics, int],
) -> None:
    torch.set_num_threads(2)  # the kernel's work in two parts
    compiled_ones = outcome(problem)
    with by("eager"):
        eager = outcome(problem)
    for expected, found in zip(eager[:3], compiled_ones[:3], strict=True):
        assert torch.equal(expected, found)
    near = TOLERANCE[problem[0].dtype]
    for expected, found in zip(eager[3:], compiled_ones[3:], strict=True):
        torch.testing.assert_close(found, expected, rtol=near, atol=near * (1 + float(expected.abs().max())))


def test_a_run_in_parts_is_the_whole_run() -> None:
    torch.manual_seed(0)
    current = torch.randn(7, 3, 50, dtype=torch.float64, requires_grad=True)
    dynamics = Dynamics(0.9, 0.8, "subtract")
    whole = simulate(current, None, dynamics, 7)[1]
    residue, parts = None, []
    for part in current.split((2, 4, 1)):
        spikes, residue = resume(part, None, residue, dynamics, len(part))
        parts.append(spikes)
    together = torch.cat(parts)
    assert torch.equal(together, whole)
    weights = torch.randn_like(whole)
    gradients = [
        torch.autograd.grad((x * weights).sum(), current, retain_graph=True)[0] for x in (whole, together)
    ]
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-12, atol=1e-12)


def test_nan_and_inf_go_through_as_in_torch() -> None:
    current = torch.tensor([torch.nan, torch.inf, -torch.inf, 3e38, 0.5]).repeat(4, 1, 9)
    for reset in RESETS:
        found = []
        for kernel in KERNELS:
            with by(kernel):
                found.append(simulate(current, None, Dynamics(1.0, 1.0, reset), 4))
        for expected, other in zip(*found, strict=True):
            torch.testing.assert_close(other, expected, rtol=0, atol=0, equal_nan=True)


def test_gradients_of_any_layout_are_understood() -> None:
    torch.manual_seed(0)
    current = torch.randn(4, 3, 40, dtype=torch.float64)
    for layout in (lambda g: g.transpose(1, 2).contiguous().transpose(1, 2), lambda g: g[:1].expand(4, 3, 40)):
        gradient = layout(torch.randn(4, 3, 40, dtype=torch.float64))
        found = []
        for kernel in KERNELS:
            with by(kernel):
                leaf = current.clone().requires_grad_()
                potentials, spikes = simulate(leaf, None, Dynamics(0.9), 4)
                found.append(torch.autograd.grad((potentials, spikes), leaf, (gradient, 2.0 * gradient))[0])
        torch.testing.assert_close(found[1], found[0], rtol=1e-12, atol=1e-12)


def convolutional() -> SpikingNetwork:
    torch.manual_seed(0)
    layers = (nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), LIF(0.9), nn.Flatten(), nn.Linear(144, 16))
    return SpikingNetwork(*layers, DLIF(5, 0.9, reset="subtract"), nn.Linear(16, 3), num_steps=5)


def test_a_network_is_the_same_by_either_kernel_and_can_be_copied_and_pickled() -> None:
    network, inputs = convolutional().eval(), torch.rand(6, 1, 8, 8)
    with by("eager"):
        expected = network.trace(inputs)
    for same in (network, copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        found = same.trace(inputs)
        for mine, theirs in zip(found.potentials, expected.potentials, strict=True):
            assert torch.equal(mine, theirs)
        assert torch.equal(found.logits, expected.logits)


def test_training_by_the_compiled_kernel_learns_alike() -> None:
    torch.manual_seed(0)
    network, runs = mlp((64, 32, 10), 4, DLIF(4, decay=0.9)).double(), []
    for kernel in KERNELS:
        with by(kernel):
            runs.append(fit(network, dataset("digits"), epochs=2))
    assert [m.loss for m in runs[1].history] == pytest.approx([m.loss for m in runs[0].history], rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_variant_is_that_which_rounds_as_torch_does(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Torch that adds λ·u and I in two roundings has the other variant; one that does neither is refused."""
    a, b = (torch.randn(4096, dtype=dtype, generator=torch.Generator().manual_seed(k)) for k in range(2))
    fuses = not torch.equal(torch.add(a, b, alpha=0.9), a + torch.mul(b, 0.9))
    find = compiled.variant.__wrapped__
    assert find(dtype) == ("fused" if fuses else "apart")
    monkeypatch.setattr(compiled, "run_eager", partial(other_rounding, fuses))
    assert find(dtype) == ("apart" if fuses else "fused")
    monkeypatch.setattr(compiled, "run_eager", lambda current, *others: others[-1].fill_(0.1))
    with pytest.raises(NotBuilt, match="membrane rounds otherwise than torch does in its mode"):
        find(dtype)


def other_rounding(fuses: bool, current, scale, initial, dynamics, potentials, spikes, final) -> None:
    """Fill what the probe asks for as torch would that rounds λ·u + I the other way."""
    kernel = load("membrane", current.dtype, CompiledMembrane, "apart" if fuses else "fused")
    kernel.forward(layer_of(current, dynamics, len(spikes)), current, scale, initial, potentials, spikes, final)


def test_other_tensors_are_left_to_torch() -> None:
    whole = torch.rand(2, 3, 4)
    assert kernel_for(whole) is not None
    assert kernel_for(whole, torch.ones(2)) is not None
    for current, scale in (
        (whole.half(), None),
        (whole.to("meta"), None),
        (whole[:, :0], None),
        (whole, torch.ones(2).double()),
        (whole, torch.ones(4)[::2]),
        (nn.Parameter(whole), None),
    ):
        assert kernel_for(current, scale) is None
