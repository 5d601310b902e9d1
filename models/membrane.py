"""The membrane recursion as one differentiable operation, written for speed.

One autograd node stands for all T steps: a graph of 6·T small operations costs more than their arithmetic. What
is left is the traffic of memory. So all work goes through blocks of the batch that stay in a core's cache, and
potentials are stored only if they are asked for: the backward pass recomputes them, block by block, from current
and spikes, which exist anyway. It is one reverse loop:

    q[t] = dL/dv[t] + h[t]·(dL/ds[t] − r[t]·λ·q[t+1]) + k[t]·λ·q[t+1],   h = surrogate slope at v − θ
    reset "zero": r = v, k = 1 − s     reset "subtract": r = d, k = 1     reset "none": r = 0, k = 1

Where a C compiler is there and asked for (`compiled.py`), the same recursion runs in one pass, bitwise alike.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .compiled import covers, kernel_for

if TYPE_CHECKING:
    from .dynamics import Dynamics

BLOCK = 1 << 16
"""The most neurons, over samples, in one block: a few float32 buffers of that size fit a core's cache."""

# glibc gives freed memory back to the system above a threshold that starts low, so that every step of training
# pays for fresh pages again (1,000 page faults, a tenth of the time). It raises the threshold for good when a
# larger block is freed: this one, which is never written to and so costs nothing.
torch.empty(31 << 20, dtype=torch.uint8)


class Membrane(torch.autograd.Function):
    """(current, input_scale, initial, dynamics, num_steps, keep, kernel) → potentials, spikes, final.

    Potentials are None unless `keep`. The initial residue is u[0], zero for None; the final one is u[T].
    """

    @staticmethod
    def forward(
        ctx: Any,
        current: Tensor,
        input_scale: Tensor | None,
        initial: Tensor | None,
        dynamics: "Dynamics",
        num_steps: int,
        keep: bool,
        kernel: str,
    ) -> tuple[Tensor | None, Tensor, Tensor]:
        """Run the recursion, and keep what the backward pass needs."""
        current = current.contiguous()
        initial = None if initial is None else initial.contiguous()
        shape = current.shape[1:]
        spikes = current.new_empty((num_steps, *shape))
        potentials = torch.empty_like(spikes) if keep else None
        final = current.new_empty(shape)
        compiled = kernel_for(kernel, current, input_scale)
        if compiled is None:
            run_eager(current, input_scale, initial, dynamics, potentials, spikes, final)
        else:
            compiled.forward(current, input_scale, initial, dynamics, potentials, spikes, final)
        ctx.save_for_backward(current, input_scale, initial, spikes)
        ctx.dynamics, ctx.compiled = dynamics, compiled if covers(dynamics) else None
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
        incoming = (grad_potentials, grad_spikes, grad_final)
        outgoing = (grad_current, grad_initial, grad_scale)
        if ctx.compiled is not None:
            ctx.compiled.backward(current, input_scale, initial, ctx.dynamics, len(spikes), incoming, outgoing)
        else:
            _backward_eager(current, input_scale, initial, ctx.dynamics, spikes, incoming, outgoing)
        return grad_current, grad_scale, grad_initial, None, None, None, None


def run_eager(
    current: Tensor,
    input_scale: Tensor | None,
    initial: Tensor | None,
    dynamics: "Dynamics",
    potentials: Tensor | None,
    spikes: Tensor,
    final: Tensor,
) -> None:
    """Fill `potentials`, `spikes` and `final` by torch's own operations, block by block."""
    for rows in _blocks(current):
        block = current[:, rows]
        target = current.new_empty(block[:1].shape) if potentials is None else potentials[:, rows]
        residue = final[rows]
        _begin(residue, None if initial is None else initial[rows])
        _fire(block, input_scale, dynamics, residue, target, spikes[:, rows])


def _begin(residue: Tensor, initial: Tensor | None) -> None:
    if initial is None:
        residue.zero_()
    else:
        residue.copy_(initial)


def _backward_eager(
    current: Tensor,
    input_scale: Tensor | None,
    initial: Tensor | None,
    dynamics: "Dynamics",
    spikes: Tensor,
    incoming: tuple[Tensor | None, ...],
    outgoing: tuple[Tensor, Tensor | None, Tensor | None],
) -> None:
    """Fill the outgoing gradients, block by block."""
    grad_current, grad_initial, grad_scale = outgoing
    grad_potentials, grad_spikes, grad_final = incoming
    for rows in _blocks(current):
        along = (current, spikes, grad_potentials, grad_spikes, grad_current)
        block = [None if signal is None else signal[:, rows] for signal in along]
        start, following = (None if signal is None else signal[rows] for signal in (initial, grad_final))
        following = torch.zeros_like(spikes[0, rows]) if following is None else following.clone()
        _backward_block(dynamics, input_scale, grad_scale, start, following, *block)  # type: ignore[arg-type]
        if grad_initial is not None:
            grad_initial[rows] = following


def _blocks(current: Tensor) -> Iterator[slice]:
    """Yield slices of the batch, each of at most `BLOCK` neurons (one slice on an accelerator)."""
    batch = current.shape[1]
    rows = batch
    if current.device.type == "cpu":
        rows = max(1, BLOCK * batch // max(1, current[0].numel()))
    for start in range(0, batch, rows):
        yield slice(start, start + rows)


def _fire(
    current: Tensor,
    input_scale: Tensor | None,
    dynamics: "Dynamics",
    residue: Tensor,
    potentials: Tensor,
    spikes: Tensor,
) -> None:
    """Fill `potentials` (or, of length 1, use it as scratch) and `spikes`; `residue` goes from u[0] to u[T]."""
    compare = torch.ge if dynamics.fires_at == ">=" else torch.gt
    for t, spike in enumerate(spikes):
        potential = potentials[t % len(potentials)]
        _integrate(current, input_scale, dynamics, t, residue, potential)
        compare(potential, dynamics.threshold, out=spike)
        _reset(dynamics, potential, spike, residue)


def _recall(
    current: Tensor, input_scale: Tensor | None, dynamics: "Dynamics", initial: Tensor | None, spikes: Tensor
) -> Tensor:
    """Return the potentials of spikes that are known already, by the same operations as in `_fire`."""
    potentials, residue = torch.empty_like(spikes), torch.empty_like(spikes[0])
    _begin(residue, initial)
    for t, spike in enumerate(spikes):
        _integrate(current, input_scale, dynamics, t, residue, potentials[t])
        _reset(dynamics, potentials[t], spike, residue)
    return potentials


def _integrate(
    current: Tensor,
    input_scale: Tensor | None,
    dynamics: "Dynamics",
    t: int,
    residue: Tensor,
    potential: Tensor,
) -> None:
    """Write a[t]·I[t] + λ·u[t−1] into `potential`."""
    drive = current[t % len(current)]
    if input_scale is None:
        torch.add(drive, residue, alpha=dynamics.decay, out=potential)
    else:
        scaled = torch.mul(drive, input_scale[t])
        torch.add(scaled, residue, alpha=dynamics.decay, out=potential)


def _reset(dynamics: "Dynamics", potential: Tensor, spike: Tensor, out: Tensor) -> None:
    if dynamics.reset == "zero":  # v − v·s is exactly v or exactly 0
        torch.addcmul(potential, potential, spike, value=-1.0, out=out)
    elif dynamics.reset == "subtract":
        torch.add(potential, spike, alpha=-dynamics.drop, out=out)
    else:
        out.copy_(potential)


def _backward_block(
    dynamics: "Dynamics",
    input_scale: Tensor | None,
    grad_scale: Tensor | None,
    initial: Tensor | None,
    following: Tensor,
    current: Tensor,
    spikes: Tensor,
    grad_potentials: Tensor | None,
    grad_spikes: Tensor | None,
    grad_current: Tensor,
) -> None:
    """Fill `grad_current`, and add to `grad_scale`; `following` goes from dL/du[T] to dL/du[0]."""
    constant = len(current) == 1
    if constant:
        grad_current.zero_()
    potentials = _recall(current, input_scale, dynamics, initial, spikes)
    scratch, adjoint = (torch.zeros_like(spikes[0]) for _ in range(2))
    for t in range(len(spikes) - 1, -1, -1):
        if not constant and input_scale is None:
            adjoint = grad_current[t]
        direct = None if grad_spikes is None else grad_spikes[t]
        _adjoint_step(dynamics, potentials[t], spikes[t], direct, following, adjoint, scratch)
        if grad_potentials is not None:
            adjoint.add_(grad_potentials[t])
        if grad_scale is not None:
            grad_scale[t] += torch.dot(adjoint.view(-1), current[t % len(current)].reshape(-1))
        if input_scale is not None:
            _scale_into(grad_current[0 if constant else t], adjoint, input_scale[t], constant)
        elif constant:
            grad_current[0].add_(adjoint)
        torch.mul(adjoint, dynamics.decay, out=following)


def _adjoint_step(
    dynamics: "Dynamics",
    potential: Tensor,
    spike: Tensor,
    direct: Tensor | None,
    following: Tensor,
    adjoint: Tensor,
    scratch: Tensor,
) -> None:
    """Write h·(direct − r·following) + k·following into `adjoint`; `following`, λ·q[t+1], is overwritten."""
    slope = dynamics.surrogate.derivative_(torch.sub(potential, dynamics.threshold, out=scratch))
    if direct is None:
        direct = torch.zeros_like(potential)
    if dynamics.reset == "zero":
        torch.addcmul(direct, potential, following, value=-1.0, out=adjoint)
        following.lerp_(following.new_zeros(()), spike)  # following·(1 − s), exactly
    elif dynamics.reset == "subtract":
        torch.add(direct, following, alpha=-dynamics.drop, out=adjoint)
    else:
        adjoint.copy_(direct)
    torch.addcmul(following, slope, adjoint, out=adjoint)


def _scale_into(target: Tensor, adjoint: Tensor, scale: Tensor, accumulate: bool) -> None:
    """Write a·q, or add it to what is there."""
    if accumulate:
        target.addcmul_(adjoint, scale)
    else:
        torch.mul(adjoint, scale, out=target)
