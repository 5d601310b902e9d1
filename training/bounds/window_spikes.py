"""Ends of windows of spikes, of a hard reset under currents that are known window by window (F5), with gradients.

A neuron's last spike was at a (0: none yet), and it was silent since: at step t its potential is the weighted sum
of the currents of the window (a, t], Σ λ^(t−k)·c[k], within [CL[a,t], CU[a,t]]. Where it was silent at i in
between, v[i] ≤ θ, the potential is at most λ^(t−i)·θ + CU[i,t], too. So

    high[a,t] = min(CU[a,t], min_{a<i<t} λ^(t−i)·θ + CU[i,t]),    low[a,t] = CL[a,t]

hold v[t]. An edge a → t is there iff high[a,t] fires, silence goes on iff low[a,t] does not, and each train of
spikes is a path over nodes a. The ends of Σ_t w[t]·s[t] are those over all paths: dynamic programming over its
window. `high` is not taken below `low`: so no path ends before T, and ends of windows are those of whole paths.

Backwards, a step's spike at the high end stands for the highest potential of all nodes that may be left, and at
the low end for the lowest one: each hands the surrogate's slope there to the window that it came from. Which spike
was the last one is taken as fixed. At radius 0 there is one path, and the gradient is the network's with resets
fixed.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ...kernels import CompiledMembrane
from ...models.dynamics import Dynamics
from ...models.running.compiled import layer_of
from .window_rows import WindowRows, first_of

Found = tuple[Tensor, Tensor, Tensor]
"""Ends of rows (2, R, ...); the potentials that spikes stand for (2, T, ...); and where their windows start."""


class WindowSpikes(torch.autograd.Function):
    """(windows' currents (2, T(T+1)/2, batch, ...), dynamics, rows, kernel) → ends of rows (2, R, batch, ...)."""

    @staticmethod
    def forward(
        ctx: Any, currents: Tensor, dynamics: Dynamics, rows: WindowRows, kernel: CompiledMembrane | None
    ) -> Tensor:
        """Follow the paths."""
        currents = currents.contiguous()
        found = (
            eager_windows(currents, dynamics, rows)
            if kernel is None
            else _compiled(currents, dynamics, rows, kernel)
        )
        ctx.save_for_backward(*found[1:])
        ctx.dynamics, ctx.rows = dynamics, rows
        return found[0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the gradient of the currents, through the surrogate."""
        potentials, starts = ctx.saved_tensors
        slope = ctx.dynamics.surrogate.derivative_(potentials - ctx.dynamics.threshold)
        onto = ctx.rows.spread(grad).mul_(slope)
        into = grad.new_zeros((2, ctx.rows.windows, *grad.shape[2:]))
        for step, (share, start) in enumerate(zip(onto.unbind(1), starts.unbind(1), strict=True), start=1):
            windows = into[:, first_of(step) : first_of(step + 1)]
            windows.scatter_(1, start[:, None].long(), share[:, None])
        return into, None, None, None


def eager_windows(currents: Tensor, dynamics: Dynamics, rows: WindowRows) -> Found:
    """Return what `WindowSpikes` finds, by torch's own operations."""
    shape = currents.shape[2:]
    alive = torch.zeros((rows.num_steps + 1, *shape), dtype=torch.bool, device=currents.device)
    alive[0] = True
    potentials = currents.new_empty((2, rows.num_steps, *shape))
    starts = torch.zeros(potentials.shape, dtype=torch.int16, device=currents.device)
    edges, silences = [], []
    for step in range(1, rows.num_steps + 1):
        low, window_high = currents[:, first_of(step) : first_of(step + 1)]
        high, origin = _cut(low, window_high, dynamics)
        least, first = _extreme(low.where(alive[:step], torch.inf), largest=False)
        most, second = _extreme(high.where(alive[:step], -torch.inf), largest=True)
        potentials[:, step - 1] = torch.stack((least, most))
        starts[:, step - 1] = torch.stack((first, origin.gather(0, second[None]).squeeze(0)))
        edges.append(alive[:step] & _fires(high, dynamics))
        alive[:step] &= ~_fires(low, dynamics)
        alive[step] = edges[-1].any(0)
        silences.append(alive[: step + 1].clone())
    ends = currents.new_empty((2, len(rows.weights), *shape))
    detours = [[_detours(mask, ends) for mask in masks] for masks in (edges, silences)]
    for row, (weights, span) in enumerate(zip(rows.weights.tolist(), rows.spans, strict=True)):
        for end, sign in enumerate((1.0, -1.0)):
            torch.mul(_shortest(weights, span, sign, *detours), sign, out=ends[end, row])
    return ends, potentials, starts


def _fires(potential: Tensor, dynamics: Dynamics) -> Tensor:
    return potential >= dynamics.threshold if dynamics.fires_at == ">=" else potential > dynamics.threshold


def _cut(low: Tensor, window_high: Tensor, dynamics: Dynamics) -> tuple[Tensor, Tensor]:
    """Return the high ends of the windows that end with a step, and which window each is of, (step, ...)."""
    steps = len(window_high)
    high, origin = window_high.clone(), torch.empty_like(window_high, dtype=torch.int16)
    origin[steps - 1] = steps - 1
    least, where = torch.full_like(high[0], torch.inf), torch.zeros_like(origin[0])
    for start in reversed(range(steps - 1)):
        silent = window_high[start + 1] + dynamics.threshold * dynamics.decay ** (steps - start - 1)
        where = torch.where(silent < least, start + 1, where)
        least = torch.minimum(silent, least)
        origin[start] = torch.where(least < high[start], where, start)
        high[start] = torch.minimum(high[start], least)
    return high.maximum(low), origin


def _extreme(potentials: Tensor, largest: bool) -> tuple[Tensor, Tensor]:
    """Return the least or the greatest over the first axis, and the first place of it."""
    best, place = potentials[0], torch.zeros_like(potentials[0], dtype=torch.long)
    for start, potential in enumerate(potentials[1:], start=1):
        better = potential > best if largest else potential < best
        best, place = torch.where(better, potential, best), torch.where(better, start, place)
    return best, place


def _detours(exists: Tensor, like: Tensor) -> Tensor:
    """Return 0 where a path goes on and ∞ where it does not."""
    return torch.zeros_like(like[0, 0]).expand(exists.shape).where(exists, torch.inf)


def _shortest(
    weights: list[float], span: tuple[int, int], sign: float, edges: list[Tensor], silences: list[Tensor]
) -> Tensor:
    """Return the least Σ sign·w[t]·s[t] of any path; weights are 0 outside the span (a, t]."""
    start, end = span
    lengths = edges[0].new_zeros((end + 1, *edges[0].shape[1:]))  # none leaves a node that was not silent so long
    for step in range(start + 1, end + 1):
        torch.add((lengths[:step] + edges[step - 1]).amin(0), sign * weights[step - 1], out=lengths[step])
    return (lengths + silences[end - 1]).amin(0)


def _compiled(currents: Tensor, dynamics: Dynamics, rows: WindowRows, kernel: CompiledMembrane) -> Found:
    potentials = currents.new_empty((2, rows.num_steps, *currents.shape[2:]))
    ends = currents.new_empty((2, len(rows.weights), *currents.shape[2:]))
    starts = torch.empty(potentials.shape, dtype=torch.int16)
    cuts = currents.new_tensor([dynamics.threshold * dynamics.decay**age for age in range(rows.num_steps + 1)])
    layer = layer_of(potentials[0], dynamics, rows.num_steps)
    kernel.window_ends(layer, (currents, cuts, rows.weights, torch.tensor(rows.spans)), (ends, potentials, starts))
    return ends, potentials, starts
