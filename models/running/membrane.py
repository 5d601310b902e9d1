"""The membrane recursion as one differentiable operation, written for speed.

One autograd node stands for all T steps: a graph of 6·T small operations costs more than their arithmetic. What
is left is the traffic of memory. So all work goes through blocks of the batch that stay in a core's cache, and
potentials are stored only if they are asked for: the backward pass recomputes them, block by block, from current
and spikes, which exist anyway. It is one reverse loop:

    q[t] = dL/dv[t] + h[t]·(dL/ds[t] − r[t]·λ·q[t+1]) + k[t]·λ·q[t+1],   h = surrogate slope at v − θ
    reset "zero": r = v, k = 1 − s     reset "subtract": r = d, k = 1     reset "none": r = 0, k = 1

Both passes are in `eager.py`, which runs on other devices, in other types and for surrogates of one's own. On the
CPU a kernel (below) runs the same recursion in one pass, bitwise alike.

The compiled membrane recursion (`kernels/sources/membrane.c`) on the CPU, bitwise that of `eager.py`.

Whether λ·u + I is one rounding or two depends on what torch finds in the processor, so there are both variants.
The one counts whose potentials and spikes came out bitwise as those of `run_eager` on a probe with all resets and
with ties: which network runs does not depend on the kernel.
"""

import itertools
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ...kernels.building import VARIANTS, NotBuilt
from ...kernels.loading import REALS, RESETS, load
from ...kernels.spikes import ARCTAN, FIRES, TRIANGLE, CompiledMembrane, MembraneLayer, membrane_layer
from ..dynamics import FIRES_AT, Arctan, Dynamics, Surrogate, Triangle
from .eager import backward_eager, run_eager

SLOPES: dict[type[Surrogate], int] = {Triangle: TRIANGLE, Arctan: ARCTAN}


def kernel_for(current: Tensor, input_scale: Tensor | None = None) -> CompiledMembrane | None:
    """Return the compiled kernel if it is for tensors like these: plain ones on the CPU.

    Raises:
        NotBuilt: where it is, but there is none.
    """
    if type(current) is not Tensor or current.device.type != "cpu" or current.dtype not in REALS:
        return None
    if input_scale is not None and (input_scale.dtype != current.dtype or not input_scale.is_contiguous()):
        return None
    return library(current.dtype) if current.numel() else None


def covers(dynamics: Dynamics) -> bool:
    """Return whether the compiled backward pass knows the surrogate."""
    return type(dynamics.surrogate) in SLOPES


def library(dtype: torch.dtype) -> CompiledMembrane:
    """Return the loaded kernel for `dtype`."""
    return _library(dtype, variant(dtype))


@lru_cache
def _library(dtype: torch.dtype, rounds: str) -> CompiledMembrane:
    return load("membrane", dtype, CompiledMembrane, rounds)


@lru_cache
def variant(dtype: torch.dtype) -> str:
    """Return the variant of kernels that round as torch does here: that which agrees on the probe.

    Raises:
        NotBuilt: where none does, or there is none.
    """
    for name in VARIANTS["membrane"]:
        if _agrees(_library(dtype, name), dtype):
            return name
    mode = torch.backends.cpu.get_cpu_capability()
    cure = "unset ATEN_CPU_CAPABILITY, or take a torch of this processor"
    raise NotBuilt(
        f"kernels: membrane rounds otherwise than torch does in its mode {mode}, expected the same: {cure}"
    )


def layer_of(current: Tensor, dynamics: Dynamics, steps: int) -> MembraneLayer:
    """Return the constants of a layer whose current is (T or 1, batch, ...), as the kernel reads them."""
    surrogate = dynamics.surrogate
    constants = (dynamics.decay, dynamics.threshold, dynamics.drop, surrogate.width)
    kinds = (RESETS[dynamics.reset], FIRES[dynamics.fires_at], SLOPES.get(type(surrogate), 0))
    return membrane_layer(current, constants, kinds, steps)


def _agrees(built: CompiledMembrane, dtype: torch.dtype) -> bool:
    """Return whether potentials, spikes and residues come out bitwise as without the kernel."""
    steps, generator = 6, torch.Generator().manual_seed(0)
    current = torch.randn(steps, 1, 1003, generator=generator, dtype=torch.float64) * 2.0
    current[:, :, ::5] = (current[:, :, ::5] * 8.0).round() / 16.0  # sums of these lie on thresholds
    current, scale = current.to(dtype), torch.rand(steps, generator=generator).to(dtype) + 0.5
    for reset, fires_at, decay, a in itertools.product(RESETS, FIRES_AT, (0.5, 0.99, 1.0), (None, scale)):
        dynamics = Dynamics(decay, 0.75, reset, fires_at)
        expected, found = ([torch.empty_like(each) for each in (current, current, current[0])] for _ in range(2))
        run_eager(current, a, None, dynamics, *expected)
        built.forward(layer_of(current, dynamics, steps), current, a, None, *found)
        if not all(torch.equal(*pair) for pair in zip(expected, found, strict=True)):
            return False
    return True


# glibc gives freed memory back to the system above a threshold that starts low, so that every step of training
# pays for fresh pages again (1,000 page faults, a tenth of the time). It raises the threshold for good when a
# larger block is freed: this one, which is never written to and so costs nothing.
torch.empty(31 << 20, dtype=torch.uint8)


class Membrane(torch.autograd.Function):
    """(current, input_scale, initial, dynamics, num_steps, kept) → potentials, spikes, final.

    What is `kept` is "potentials", None elsewhere, and the final residue, u[T]; "final", that alone; or "spikes",
    where the compiled kernel saves the work of the residue. Where it is "counts", by that kernel alone, spikes are
    their sum over time. The initial residue is u[0], zero for None.
    """

    @staticmethod
    def forward(
        ctx: Any,
        current: Tensor,
        input_scale: Tensor | None,
        initial: Tensor | None,
        dynamics: Dynamics,
        num_steps: int,
        kept: str,
    ) -> tuple[Tensor | None, Tensor, Tensor | None]:
        """Run the recursion, and keep what the backward pass needs."""
        current = current.contiguous()
        initial = None if initial is None else initial.contiguous()
        shape = current.shape[1:]
        spikes = current.new_empty((1 if kept == "counts" else num_steps, *shape))
        potentials = torch.empty_like(spikes) if kept == "potentials" else None
        compiled = kernel_for(current, input_scale)
        final = current.new_empty(shape) if compiled is None or kept in ("potentials", "final") else None
        if compiled is None:
            assert final is not None
            run_eager(current, input_scale, initial, dynamics, potentials, spikes, final)
        else:
            layer = layer_of(current, dynamics, num_steps)
            steps, counts = (None, spikes) if kept == "counts" else (spikes, None)
            compiled.forward(layer, current, input_scale, initial, potentials, steps, final, counts)
        ctx.save_for_backward(current, input_scale, initial, spikes)
        ctx.num_steps, ctx.dynamics, ctx.compiled = num_steps, dynamics, compiled if covers(dynamics) else None
        ctx.set_materialize_grads(False)
        return potentials, spikes, final

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, grad_potentials: Tensor | None, grad_spikes: Tensor | None, grad_final: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        """Return the gradients of current, input scale and initial residue."""
        current, input_scale, initial, spikes = ctx.saved_tensors
        grad_current = torch.empty_like(current)
        grad_initial = None if initial is None else torch.empty_like(initial)
        grad_scale = None if input_scale is None else torch.zeros_like(input_scale)
        if grad_spikes is not None:  # a count's is that of each of its steps
            grad_spikes = grad_spikes.expand(ctx.num_steps, *grad_spikes.shape[1:])
        incoming = (grad_potentials, grad_spikes, grad_final)
        outgoing = (grad_current, grad_initial, grad_scale)
        if ctx.compiled is not None:
            layer = layer_of(current, ctx.dynamics, ctx.num_steps)
            ctx.compiled.backward(layer, current, input_scale, initial, incoming, outgoing)
        else:
            backward_eager(current, input_scale, initial, ctx.dynamics, spikes, incoming, outgoing)
        return grad_current, grad_scale, grad_initial, None, None, None


def simulate(
    current: Tensor, input_scale: Tensor | None, dynamics: Dynamics, num_steps: int
) -> tuple[Tensor, Tensor]:
    """Run the membrane recursion over T = num_steps steps, differentiably.

    Args:
        current: I, (T, batch, ...) or (1, batch, ...) for a current that is constant over time.
        input_scale: a, (T,), or None for a = 1.
        dynamics: the layer's constants; the backward pass uses its surrogate for ds/dv.
        num_steps: T.

    Returns:
        Potentials v before reset and spikes s, each (T, batch, ...).
    """
    return Membrane.apply(current, input_scale, None, dynamics, num_steps, "potentials")[:2]  # type: ignore[index]


def simulate_spikes(current: Tensor, input_scale: Tensor | None, dynamics: Dynamics, num_steps: int) -> Tensor:
    """Return the spikes of `simulate` alone, which is faster: the potentials are never stored.

    Args:
        current, input_scale, dynamics, num_steps: as in `simulate`.
    """
    return Membrane.apply(current, input_scale, None, dynamics, num_steps, "spikes")[1]  # type: ignore[index]


def count_spikes(current: Tensor, input_scale: Tensor | None, dynamics: Dynamics, num_steps: int) -> Tensor:
    """Return Σ_t s[t], (1, batch, ...), exactly: by the compiled kernel without storing s.

    Args:
        current, input_scale, dynamics, num_steps: as in `simulate`.
    """
    if kernel_for(current, input_scale) is None or not covers(dynamics):
        return simulate_spikes(current, input_scale, dynamics, num_steps).sum(0, keepdim=True)
    return Membrane.apply(current, input_scale, None, dynamics, num_steps, "counts")[1]  # type: ignore[index]


def resume(
    current: Tensor,
    input_scale: Tensor | None,
    residue: Tensor | None,
    dynamics: Dynamics,
    num_steps: int,
) -> tuple[Tensor, Tensor]:
    """Go on for num_steps steps from the residue u that earlier steps left; None stands for 0.

    Returns:
        Spikes (num_steps, batch, ...) and the residue (batch, ...) for the next steps; both differentiable.
    """
    return Membrane.apply(current, input_scale, residue, dynamics, num_steps, "final")[1:]  # type: ignore[index]
