"""The membrane recursion as one differentiable operation, written for speed.

One autograd node stands for all T steps: a graph of 6·T small operations costs more than their arithmetic. What
is left is the traffic of memory. So all work goes through blocks of the batch that stay in a core's cache, and
potentials are stored only if they are asked for: the backward pass recomputes them, block by block, from current
and spikes, which exist anyway. It is one reverse loop:

    q[t] = dL/dv[t] + h[t]·(dL/ds[t] − r[t]·λ·q[t+1]) + k[t]·λ·q[t+1],   h = surrogate slope at v − θ
    reset "zero": r = v, k = 1 − s     reset "subtract": r = d, k = 1     reset "none": r = 0, k = 1

Both passes are in `eager.py`, which runs on other devices, in other types and for surrogates of one's own. On the
CPU a kernel (`compiled.py`) runs the same recursion in one pass, bitwise alike.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..dynamics import Dynamics
from .compiled import covers, kernel_for, layer_of
from .eager import backward_eager, run_eager

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
