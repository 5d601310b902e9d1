"""How a signal goes through layers: affine ones take all steps at once, those with a state follow a rule.

A pass in parts of a few steps, so that the backward pass needs the memory of one part and not of all T steps.

Between two parts only the residues of layers with a state are kept; the backward pass runs each part again, the
last one first. So the memory of activations goes from T steps to `steps_at_once`, for one more forward pass.

Dense layers whose signal is mostly 0, as spikes are: the gradient of their weights costs what is not 0.

With G = dL/dy, (rows, outputs), and a signal X, (rows, inputs), the gradient is dL/dW = Gᵀ·X. Where at most
`SHARE` of X is other than 0, `kernels/sources/sparse.c` adds up those rows of G alone. What a network
computes does not depend on it: the forward pass is torch's own, and gradients are the same but for the order of
their sums.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear
from torch.utils.checkpoint import checkpoint

from ...kernels.loading import REALS
from ...kernels.spikes import sparse_kernel
from ..constants import at_least
from ..elements.layers import BATCH_NORMS, Layers, PerStep, Residual, plain, run_affine, walk
from ..elements.neurons import LIF, Run, in_full
from ..elements.recurrent import Recurrent
from ..elements.synapses import Synapse
from .membrane import count_spikes

SHARE = 0.25
"""Up to this share of numbers other than 0 the sparse product is surely the faster one."""
WORTH = 1 << 22
"""The least rows·inputs·outputs of a product that is worth to ask."""


class SparseLinear(torch.autograd.Function):
    """(signal, weight, bias) → linear(signal, weight, bias), with the gradient of weights as above.

    A signal's last axis is its inputs; those before it are rows.
    """

    @staticmethod
    def forward(ctx: Any, signal: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return what torch's layer returns."""
        rows = signal.flatten(0, -2)  # as `apply_affine` does it, which decides how sums are rounded
        ctx.save_for_backward(rows, weight)
        ctx.shape, ctx.biased = signal.shape, bias is not None
        return linear(rows, weight, bias).unflatten(0, signal.shape[:-1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the gradients of signal, weights and bias."""
        signal, weight = ctx.saved_tensors
        grad = grad.flatten(0, -2).contiguous()
        total = grad.sum(0)
        to_signal = (grad @ weight).view(ctx.shape) if ctx.needs_input_grad[0] else None
        return to_signal, _of_weights(grad, signal, total), total if ctx.biased else None


def run_sparsely(layer: nn.Module, signal: Tensor) -> Tensor:
    """Run a layer without a state on a signal, (time, batch, ...), as `run_affine` does.

    The gradients of a dense layer in training are found as above. A layer with a hook, or that autocast runs in
    another type, is run as it is.
    """
    if not _fits(layer, signal):
        return run_affine(layer, signal)
    return SparseLinear.apply(signal, layer.weight, layer.bias)  # type: ignore[return-value]


def _fits(layer: nn.Module, signal: Tensor) -> bool:
    """Return whether a layer is a dense one in training, of a signal and weights that the kernel takes."""
    if type(layer) is not nn.Linear or not (layer.training and torch.is_grad_enabled() and plain(layer)):
        return False
    weight = layer.weight
    fits = signal.dim() == 3 and signal.dtype == weight.dtype and signal.shape[2] == weight.shape[1]
    worth = weight.requires_grad and signal.shape[:2].numel() * weight.numel() >= WORTH
    here = signal.device.type == weight.device.type == "cpu" and not torch.is_autocast_enabled("cpu")
    return fits and worth and here and signal.dtype in REALS


def _of_weights(grad: Tensor, signal: Tensor, total: Tensor) -> Tensor:
    """Return Gᵀ·X; by torch where much of X is not 0, or some of G is not finite, which the kernel may not see."""
    finite = bool(torch.isfinite(total.sum()))
    found = sparse_kernel(signal.dtype).transposed_product(grad, signal.contiguous(), SHARE) if finite else None
    return grad.T @ signal if found is None else found


Timed = LIF | Synapse | PerStep
Fire = Callable[[Timed, Tensor], Tensor]
"""From a layer that goes by the step, and its current (time, batch, ...), to its spikes or what it filters."""
STATEFUL = (LIF, Synapse, PerStep)
"""Layers whose steps are not alike: they are told T, and where a part begins."""
SILENT = (Synapse, PerStep)
"""Those of them that do not fire."""


def run_through(layers: Layers, signal: Tensor, fire: Fire) -> Tensor:
    """Run `layers` on a signal (time, batch, ...), where time is 1 for a constant signal.

    Args:
        layers: of a network.
        signal: what enters them.
        fire: what layers with a state do.
    """
    for layer in layers:
        if isinstance(layer, Residual):
            paths = (layer.branch, layer.shortcut)
            signal = _sum(*(run_through(path, signal, fire) for path in paths))
        elif isinstance(layer, STATEFUL):
            signal = fire(layer, signal)
        else:
            signal = run_sparsely(layer, signal)
    return signal


def _sum(branch: Tensor, shortcut: Tensor) -> Tensor:
    """Return the sum of both, which may differ in time alone: torch would repeat other axes to make them fit."""
    if branch.shape[1:] != shortcut.shape[1:]:
        shapes = f"{tuple(branch.shape[2:])} and {tuple(shortcut.shape[2:])}"
        raise ValueError(f"inputs: a Residual was to add {shapes}, expected equal shapes")
    return branch + shortcut


def run_layers(
    layers: Layers, signal: Tensor, num_steps: int, record: Callable[[Run], None] | None = None
) -> Tensor:
    """Run `layers` for `num_steps` steps, and hand each spiking layer's run to `record`."""
    return run_through(layers, signal, _firing(num_steps, record))


def _firing(num_steps: int, record: Callable[[Run], None] | None) -> Fire:
    def fire(neuron: Timed, current: Tensor) -> Tensor:
        """Return a layer's spikes, and record its run if that is asked for."""
        if record is None or isinstance(neuron, SILENT):
            return neuron(current, num_steps)
        run = neuron.run(current, num_steps)
        record(run)
        return run.spikes

    return fire


def run_to_mean(
    layers: Layers, signal: Tensor, num_steps: int, record: Callable[[Run], None] | None = None
) -> Tensor:
    """Return the mean over time, (1, batch, ...), of what `run_layers` returns: spikes are counted, not kept."""
    last = layers[-1] if record is None and len(layers) else None
    if isinstance(last, LIF) and type(last).forward is LIF.forward and plain(last):
        current = in_full(run_through(layers[:-1], signal, _firing(num_steps, None)))
        return count_spikes(current, last.scale(num_steps), last.dynamics, num_steps) / num_steps
    return mean_over_time(run_layers(layers, signal, num_steps, record))


def mean_over_time(signal: Tensor) -> Tensor:
    """Return the mean of a signal, (1, batch, ...): its gradient stays an expanded view, which mean() writes."""
    return signal.sum(0, keepdim=True) / len(signal)


def listen_to(currents: list[Tensor], num_steps: int) -> Fire:
    """Return a rule that fires and keeps the currents alone, which is faster than whole runs."""

    def fire(neuron: Timed, current: Tensor) -> Tensor:
        """Return a layer's spikes and keep its current."""
        if isinstance(neuron, Recurrent):
            run = neuron.run(current, num_steps)
            currents.append(run.current)
            return run.spikes
        spikes = neuron(current, num_steps)
        if isinstance(neuron, SILENT):
            return spikes
        currents.append(in_full(current).expand_as(spikes))
        return spikes

    return fire


def check_parts(layers: Layers, steps_at_once: int, training: bool = False) -> None:
    """Raise ValueError where a pass in parts is not the whole pass: now or, with `training`, in that mode."""
    at_least(1)("steps_at_once", steps_at_once)
    parts = (part for layer in walk(layers) for part in layer.modules())
    if any(isinstance(part, BATCH_NORMS) and (training or part.training) for part in parts):
        expected = "a network without batch norm, whose statistics are over all steps"
        raise ValueError(f"steps_at_once: got {steps_at_once} in training, expected {expected}")


def run_in_parts(
    layers: list[nn.Module], signal: Tensor, num_steps: int, steps_at_once: int
) -> tuple[Tensor, list[Tensor]]:
    """Return the sum over time of what `layers` make of a signal, (1, batch, ...), and the final residues.

    Args:
        layers: as of a network.
        signal: (num_steps, batch, ...), or (1, batch, ...) where it is constant.
        num_steps: T.
        steps_at_once: the most steps of a part.

    Raises:
        ValueError: for less than one step, or for batch norm in training mode.
    """
    check_parts(layers, steps_at_once)
    constant = len(signal) == 1
    keeps = [any(isinstance(part, STATEFUL) for part in layer.modules()) for layer in layers]
    first = [*keeps, True].index(True) if constant else 0
    signal = run_through(layers[:first], signal, _never)  # of a constant signal, once for all parts
    residues: list[Tensor | None] = [None] * sum(isinstance(layer, STATEFUL) for layer in walk(layers))
    total: Tensor | None = None
    for start in range(0, num_steps, steps_at_once):
        steps = min(steps_at_once, num_steps - start)
        part = signal if constant else signal[start : start + steps]
        span = (start, steps, num_steps)
        summed, *residues = checkpoint(
            _part, layers[first:], part, span, *residues, use_reentrant=False, preserve_rng_state=False
        )  # type: ignore[misc]
        total = summed if total is None else total + summed
    assert total is not None
    return total, residues  # type: ignore[return-value]


def _part(
    layers: list[nn.Module], signal: Tensor, span: tuple[int, int, int], *residues: Tensor | None
) -> tuple[Tensor, ...]:
    """Return the sum over the part's steps, and the residues behind them."""
    start, steps, num_steps = span
    before, after = iter(residues), []

    def fire(neuron: Timed, current: Tensor) -> Tensor:
        """Go on from the residue before the part, and keep the one behind it."""
        spikes, residue = neuron.resume(current, next(before), start, steps, num_steps)
        after.append(residue)
        return spikes

    behind = run_through(layers, signal, fire)
    whole = behind.sum(0, keepdim=True) if len(behind) > 1 else behind * steps
    return whole, *after


def _never(neuron: Timed, current: Tensor) -> Tensor:
    raise AssertionError("a prefix without a state had one")
