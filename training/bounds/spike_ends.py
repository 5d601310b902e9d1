"""Ends of potentials and spikes of a layer, step by step: by compiled kernels on the CPU, else by torch's
operations.

`ends.c` and `coupled.c` do the same as `membrane_ends`, forwards and backwards.

Ends of the first layer's currents when a budget of events changes, which training can differentiate.

At each step let x̃ lie in the box [low, high] and differ from the events x by at most k, Σ_i |x̃_i − x_i| ≤ k:
flips of k entries do, and moves of k events do, each of which changes one step's entries by 1 at most. Entry i may
rise by up_i = high_i − x_i and fall by down_i = x_i − low_i. So W·x̃ rises by at most

    max Σ_i |W_i|·u_i,  0 ≤ u_i ≤ room_i,  Σ_i u_i ≤ k,   room_i = up_i where W_i > 0, down_i where W_i < 0,

and falls by the same with up and down exchanged. The maximum takes entries in the order of |W_i|, each as far as
its room and what is left of k go:

    u_i = min(room_i, max(0, k − Σ_{j before i} room_j)).

Proof: from any other u within the limits, take from a later entry, give to an earlier one that has room left: no
sum falls. What cannot be changed so any more is the u above. ∎ The maximum is concave in k, and linear between
whole numbers where rooms are whole, so that k may grow steadily in training. At a whole k it is the sum of the k
greatest changes, as in `certify/bounds/events/flips.py`. The gradient is that of Σ |W_i|·u_i, u fixed.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ...certify.bounds.intervals import after_reset
from ...certify.bounds.signals.affine import behind, fold
from ...certify.bounds.signals.membrane import scaled_spread
from ...certify.bounds.signals.windows import Box, Spread
from ...kernels import CompiledMembrane
from ...kernels.spikes import MembraneLayer
from ...models.dynamics import Dynamics
from ...models.elements.neurons import LIF
from ...models.elements.varied import Fires
from ...models.linear_maps import ConvolutionMap, DenseMap, LinearMap
from ...models.linear_maps.convolution import windows
from ...models.running.membrane import covers, kernel_for, layer_of


def spike_ends(
    neuron: LIF, currents: Box, num_steps: int, coupled: bool = False, filtered: Box | None = None
) -> Box:
    """Return the spikes that must be and those that may be, (T, batch, ...).

    Args:
        neuron: of the layer.
        currents: their ends, (T, batch, ...), or (1, batch, ...) if they are constant.
        num_steps: T.
        coupled: whether each end pays for the other's spikes, too: of neurons that subtract, without a scale.
        filtered: of coupled ends, what comes in over time, (T, batch, ...), where more is known than the steps.
    """
    ends, scale = torch.stack((currents.lower, currents.upper)), neuron.scale(num_steps)
    kernel = kernel_for(ends, scale)
    if kernel is None or filtered is not None or not covers(neuron.dynamics):
        _, (must, may) = _membrane(currents, neuron, num_steps, coupled, filtered)
    else:
        layer = layer_of(ends[0], neuron.dynamics, num_steps)
        must, may = _Compiled.apply(ends, scale, layer, kernel, coupled)  # type: ignore[misc]
    return Box(must, may)


def potential_ends(neuron: LIF, currents: Box, num_steps: int) -> Box:
    """Return the ends of potentials before the reset, (T, batch, ...)."""
    (low, high), _ = _membrane(currents, neuron, num_steps, False)
    return Box(low, high)


def fire(potential: Tensor, dynamics: Dynamics) -> Tensor:
    """Return 1 where a potential fires and 0 elsewhere, with the surrogate for its derivative."""
    return Fires.apply(potential, potential.new_tensor(dynamics.threshold), dynamics)  # type: ignore[return-value]


def valued(x: Tensor, value: Tensor) -> Tensor:
    """Return a value with the gradient of x."""
    return value + (x - x.detach())


def _membrane(
    currents: Box, neuron: LIF, num_steps: int, coupled: bool, filtered: Box | None = None
) -> tuple[Tensor, Tensor]:
    """Return the ends of potentials and of spikes, each (2, T, batch, ...), for those of currents."""
    dynamics, scale = neuron.dynamics, neuron.scale(num_steps)
    if scale is not None:
        currents = scaled_spread(currents.spread, scale).box
    drives = torch.stack((currents.lower, currents.upper))
    entering = drives if filtered is None else torch.stack((filtered.lower, filtered.upper))
    own = left = torch.zeros_like(drives[:, 0])
    potentials, spikes, limits = [], [], (dynamics.threshold, dynamics.threshold)
    shape = (2, num_steps, *drives.shape[2:])
    for drive, enters in zip(drives.expand(shape).unbind(1), entering.expand(shape).unbind(1), strict=True):
        potential = torch.add(drive, left, alpha=dynamics.decay)
        if coupled:
            own = torch.add(enters, own, alpha=dynamics.decay)
            potential = torch.stack((potential[0].maximum(own[0]), potential[1].minimum(own[1])))
        spike = fire(potential, dynamics)
        own = torch.sub(own, spike.flip(0), alpha=dynamics.drop) if coupled else own
        left = after_reset(potential, spike, dynamics.reset, limits, dynamics.drop)
        potentials.append(potential)
        spikes.append(spike)
    return torch.stack(potentials, 1), torch.stack(spikes, 1)


class _Compiled(torch.autograd.Function):
    """(currents (2, T or 1, batch, ...), input_scale, layer, kernel, coupled) → spikes (2, T, batch, ...)."""

    @staticmethod
    def forward(
        ctx: Any,
        currents: Tensor,
        scale: Tensor | None,
        layer: MembraneLayer,
        kernel: CompiledMembrane,
        coupled: bool,
    ) -> Tensor:
        """Run the recursion on both ends."""
        spikes = currents.new_empty((2, layer.steps, *currents.shape[2:]))
        if coupled:
            kernel.coupled_forward(layer, currents, spikes)
        else:
            kernel.ends_forward(layer, currents, scale, spikes)
        ctx.save_for_backward(currents, scale)
        ctx.layer, ctx.kernel, ctx.coupled = layer, kernel, coupled
        return spikes

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the gradients of currents and input scale, through the surrogate."""
        currents, scale = ctx.saved_tensors
        grad, found = grad.contiguous(), torch.empty_like(currents)
        grad_scale = None if scale is None else torch.zeros_like(scale)
        if ctx.coupled:
            ctx.kernel.coupled_backward(ctx.layer, currents, grad, found)
        else:
            ctx.kernel.ends_backward(ctx.layer, currents, scale, grad, (found, grad_scale))
        return found, grad_scale, None, None, None


PATIENCE = 8
"""So many entries are taken between two looks at whether the budget is spent."""


@dataclass(frozen=True)
class EventBall:
    """Inputs that differ from `events`, (time, batch, ...), by at most `most` in all at each step.

    Attributes:
        events: x.
        most: k, or inf.
        ends: of each entry, shaped like `events`, with the whole budget that steps share; None where that is not
            known.
        share: which part of that budget counts.
    """

    events: Tensor
    most: float
    ends: Box | None = None
    share: float = 1.0

    def moved(self, change: Callable[[Tensor], Tensor]) -> "EventBall":
        """Return the ball of what `change` makes of all that is shaped like the events: other axes, or names."""
        ends = self.ends
        if ends is not None:
            budget = None if ends.budget is None else ends.budget.moved(change)
            ends = Box(change(ends.lower), change(ends.upper), budget=budget)
        return replace(self, events=change(self.events), ends=ends)


def events_behind(layer: LinearMap, box: Box, ball: EventBall) -> tuple[Box, EventBall | None]:
    """Return the ends of W·x̃ + b, (time, batch, ...), and the ball where the layer only renames entries.

    Args:
        layer: dense, or a convolution that pads with zeros and has one group; of others only the box is known.
        box: ends of each entry, (time, batch, ...).
        ball: of changes.
    """
    if layer.reshapes:
        return Box(fold(layer.apply, box.lower), fold(layer.apply, box.upper)), ball.moved(
            partial(fold, layer.apply)
        )
    found = entries_met(layer)
    if found is None or math.isinf(ball.most):
        return through(layer, box), None
    weight, entries = found
    up, down = (part.flatten(0, 1) for part in (box.upper - ball.events, ball.events - box.lower))
    middle = fold(layer.apply, ball.events).to(ball.events.dtype)
    changes = greatest_changes(weight, entries(up), entries(down), ball.most)
    rise, fall = changes.reshape(2, *middle.shape)
    return Box(middle - fall, middle + rise), None


def through(layer: LinearMap, ends: Box) -> Box:
    """Return the ends behind an affine layer."""
    found = behind(layer.apply, layer.absolute().linear, ends.spread)
    wide = ends.lower.dtype  # again, under mixed precision
    return Spread(found.middle.to(wide), found.radius.to(wide)).box


def entries_met(layer: LinearMap) -> tuple[Tensor, Callable[[Tensor], Tensor]] | None:
    """Return the weights of each output, or channel, (outputs, n), and what gives the entries that they meet.

    The latter are (batch, n, places). None where there is more to the weights.
    """
    if isinstance(layer, DenseMap):
        return layer.weight, lambda room: room.unsqueeze(2)
    if isinstance(layer, ConvolutionMap) and layer.groups == 1 and layer.padding_mode == "zeros":
        sizes = layer.weight.shape[2:], layer.dilation, layer.stride
        return layer.weight.flatten(1), lambda room: windows(layer.pad(room), *sizes).flatten(2)
    return None


def greatest_changes(weight: Tensor, up: Tensor, down: Tensor, most: float | Tensor) -> Tensor:
    """Return how far W·x may rise and fall, (2, batch, outputs, places).

    Args:
        weight: W, (outputs, n).
        up, down: how far each entry may rise and fall, (batch, n, places).
        most: k, or one for each of the batch.
    """
    count, batch = weight.shape[1], len(up)
    order = weight.detach().abs().argsort(1, descending=True)
    ahead = order + count * (weight.detach().gather(1, order) > 0)
    up, down = (room.transpose(0, 1).flatten(1) for room in (up, down))
    rooms = torch.cat((torch.cat((down, up)), torch.cat((up, down))), 1)
    if isinstance(most, Tensor):
        most = most.repeat_interleave(up.shape[1] // batch).repeat(2)
    found = _Spending.apply(weight.abs().gather(1, order), rooms, ahead, most)
    return found.unflatten(1, (2, batch, -1)).movedim(0, 2)  # type: ignore[union-attr]


class _Spending(torch.autograd.Function):
    """(sizes (outputs, n), greatest first, rooms (entries, columns), which (outputs, n), k) → Σ sizes·u."""

    @staticmethod
    def forward(ctx: Any, sizes: Tensor, rooms: Tensor, which: Tensor, most: float | Tensor) -> Tensor:
        """Return (outputs, columns)."""
        found = sizes.new_zeros(len(sizes), rooms.shape[1])
        steps = 0
        for steps, spent in enumerate(_spent(rooms, which, most), 1):
            found.addcmul_(spent, sizes[:, steps - 1, None])
        ctx.save_for_backward(rooms, which[:, :steps])
        ctx.most, ctx.shape = most, sizes.shape
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the gradient of the sizes, u fixed."""
        found = grad.new_zeros(ctx.shape)
        rooms, which = ctx.saved_tensors
        for step, spent in enumerate(_spent(rooms, which, ctx.most)):
            found[:, step] = (spent * grad).sum(1)
        return found, None, None, None


def _spent(rooms: Tensor, which: Tensor, most: float | Tensor) -> Iterator[Tensor]:
    """Yield how far the entries which[:, 0], which[:, 1], … go, (outputs, columns), until all k are spent."""
    left = rooms.new_zeros(len(which), rooms.shape[1]) + most
    for step, entries in enumerate(which.T):
        spent = rooms[entries].minimum(left)
        left -= spent
        yield spent
        if step % PATIENCE == 0 and not bool(left.any()):
            return
