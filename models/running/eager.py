"""The membrane recursion and its gradients by torch's own operations, block by block of the batch.

The blocks stay in a core's cache. This is what defines potentials and spikes: a compiled kernel (`membrane.py`)
counts only where it agrees with it bitwise.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from ..dynamics import Dynamics

BLOCK = 1 << 16
"""The most neurons, over samples, in one block: a few float32 buffers of that size fit a core's cache."""


def run_eager(
    current: Tensor,
    input_scale: Tensor | None,
    initial: Tensor | None,
    dynamics: Dynamics,
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


def backward_eager(
    current: Tensor,
    input_scale: Tensor | None,
    initial: Tensor | None,
    dynamics: Dynamics,
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
    dynamics: Dynamics,
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
    current: Tensor, input_scale: Tensor | None, dynamics: Dynamics, initial: Tensor | None, spikes: Tensor
) -> Tensor:
    """Return the potentials of spikes that are known already, by the same operations as in `_fire`."""
    potentials, residue = torch.empty_like(spikes), torch.empty_like(spikes[0])
    _begin(residue, initial)
    for t, spike in enumerate(spikes):
        _integrate(current, input_scale, dynamics, t, residue, potentials[t])
        _reset(dynamics, potentials[t], spike, residue)
    return potentials


def _integrate(
    current: Tensor, input_scale: Tensor | None, dynamics: Dynamics, t: int, residue: Tensor, potential: Tensor
) -> None:
    """Write a[t]·I[t] + λ·u[t−1] into `potential`."""
    drive = current[t % len(current)]
    if input_scale is None:
        torch.add(drive, residue, alpha=dynamics.decay, out=potential)
    else:
        scaled = torch.mul(drive, input_scale[t])
        torch.add(scaled, residue, alpha=dynamics.decay, out=potential)


def _reset(dynamics: Dynamics, potential: Tensor, spike: Tensor, out: Tensor) -> None:
    if dynamics.reset == "zero":  # v − v·s is exactly v or exactly 0
        torch.addcmul(potential, potential, spike, value=-1.0, out=out)
    elif dynamics.reset == "subtract":
        torch.add(potential, spike, alpha=-dynamics.drop, out=out)
    else:
        out.copy_(potential)


def _backward_block(
    dynamics: Dynamics,
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
    dynamics: Dynamics,
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
