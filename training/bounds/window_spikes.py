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

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor

from ...certify.bounds.signals.box import Box
from ...certify.bounds.signals.membrane import window_rows
from ...certify.bounds.trains.train_graph import path_sums
from ...kernels import CompiledMembrane
from ...models.dynamics import Dynamics
from ...models.elements.neurons import LIF
from ...models.rules import Leaky
from ...models.running.compiled import kernel_for, layer_of
from .spike_ends import fire, valued

Found = tuple[Tensor, Tensor, Tensor]
"""Ends of rows (2, R, ...); the potentials that spikes stand for (2, T, ...); and where their windows start."""


def first_of(step: int) -> int:
    """Return where the windows that end with `step`, from 1, begin in a packed array: those from 0 on."""
    return step * (step - 1) // 2


@dataclass(frozen=True)
class WindowRows:
    """R rows of weights over T steps, all at least 0.

    For each decay λ the T(T + 1)/2 windows (a, t], 0 ≤ a < t ≤ T, packed by their ends and then by their starts,
    with the weights λ^(t−k) of their steps k; and last the mean, 1/T at each step.

    >>> WindowRows.of({0.5}, 2).weights
    tensor([[1.0000, 0.0000],
            [0.5000, 1.0000],
            [0.0000, 1.0000],
            [0.5000, 0.5000]])
    """

    decays: tuple[float, ...]
    num_steps: int
    spans: tuple[tuple[int, int], ...]
    weights: Tensor

    @staticmethod
    def of(decays: Iterable[float], num_steps: int, like: Tensor | None = None) -> "WindowRows":
        """Return the rows for neurons of these decays, of the type and on the device of `like`."""
        known, like = tuple(sorted(decays)), torch.zeros(()) if like is None else like
        starts, ends = torch.ones(num_steps, num_steps).triu().nonzero(as_tuple=True)
        packed = ends.argsort(stable=True)
        spans = list(zip(starts[packed].tolist(), (ends[packed] + 1).tolist(), strict=True))
        rows = [window_rows(num_steps, Leaky(decay))[0][packed] for decay in known]
        mean = torch.full((1, num_steps), 1.0 / num_steps, dtype=torch.float64)
        told = (*(spans * len(known)), (0, num_steps))
        return WindowRows(known, num_steps, told, torch.cat((*rows, mean)).to(like))

    def of_decay(self, decay: float) -> slice:
        """Return which rows are the windows of λ."""
        count = first_of(self.num_steps + 1)
        start = self.decays.index(decay) * count
        return slice(start, start + count)

    @cached_property
    def single(self) -> list[int]:
        """Return the rows of the steps t = 1..T alone, in order."""
        return [first_of(step) + step - 1 for step in range(1, self.num_steps + 1)]

    @cached_property
    def totals(self) -> Tensor:
        """Return the sum of each row's weights, (R,)."""
        return self.weights.sum(1)

    def sums(self, steps: Tensor) -> Tensor:
        """Return Σ_t w[r, t]·x[t], (R, ...), for steps (T, ...)."""
        return torch.einsum("rt,t...->r...", self.weights, steps)


def window_spikes(currents: Tensor, neuron: LIF, rows: WindowRows) -> Box:
    """Return the ends of the spikes' rows, (R, batch, ...), for windows' currents, (2, T(T+1)/2, batch, ...)."""
    kernel, dynamics = kernel_for(currents), neuron.dynamics
    with torch.no_grad():
        follow = eager_windows if kernel is None else partial(_compiled, kernel)
        ends, potentials, starts = follow(currents.contiguous(), dynamics, rows)
        packed = torch.tensor([first_of(step) for step in range(1, rows.num_steps + 1)], device=currents.device)
        places = starts + packed.reshape(-1, *([1] * (currents.dim() - 2)))
    spikes = fire(valued(currents.gather(1, places), potentials), dynamics)
    return Box(valued(rows.sums(spikes[0]), ends[0]), valued(rows.sums(spikes[1]), ends[1]))


def eager_windows(currents: Tensor, dynamics: Dynamics, rows: WindowRows) -> Found:
    """Follow the paths, by torch's own operations."""
    shape = currents.shape[2:]
    alive = torch.zeros((rows.num_steps + 1, *shape), dtype=torch.bool, device=currents.device)
    alive[0] = True
    potentials = currents.new_empty((2, rows.num_steps, *shape))
    starts = torch.zeros(potentials.shape, dtype=torch.int16, device=currents.device)
    edges = []
    for step in range(1, rows.num_steps + 1):
        low, window_high = currents[:, first_of(step) : first_of(step + 1)]
        high, origin = _cut(low, window_high, dynamics)
        least, first = low.where(alive[:step], torch.inf).min(0)
        most, second = high.where(alive[:step], -torch.inf).max(0)
        potentials[:, step - 1] = torch.stack((least, most))
        starts[:, step - 1] = torch.stack((first, origin.gather(0, second[None]).squeeze(0)))
        edges.append(alive[:step] & _fires(high, dynamics))
        alive[:step] &= ~_fires(low, dynamics)
        alive[step] = edges[-1].any(0)
    found = path_sums(edges, alive, rows.weights)
    return torch.stack((found.lower, found.upper)), potentials, starts


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


def _compiled(kernel: CompiledMembrane, currents: Tensor, dynamics: Dynamics, rows: WindowRows) -> Found:
    potentials = currents.new_empty((2, rows.num_steps, *currents.shape[2:]))
    ends = currents.new_empty((2, len(rows.weights), *currents.shape[2:]))
    starts = torch.empty(potentials.shape, dtype=torch.int16)
    cuts = currents.new_tensor([dynamics.threshold * dynamics.decay**age for age in range(rows.num_steps + 1)])
    layer = layer_of(potentials[0], dynamics, rows.num_steps)
    kernel.window_ends(layer, (currents, cuts, rows.weights, torch.tensor(rows.spans)), (ends, potentials, starts))
    return ends, potentials, starts
