"""Latency codes: one event an input, the brighter the earlier."""

import torch
from torch import Tensor

from ..constants import at_least


def latency_code(inputs: Tensor, num_steps: int) -> Tensor:
    """Return events with one for each input, at step ⌊(1 − x)·(T − 1) + ½⌋, (batch, T, ...).

    They are inputs of networks with encoding "none". `SpikeShift` moves them in time: with `total=δ` it asks
    whether a class holds for all shifts whose sum is at most δ. No two events of one feature can meet.

    Args:
        inputs: x in [0, 1], (batch, ...).
        num_steps: T ≥ 1.

    Raises:
        TypeError: for inputs that are no floating-point tensor.
        ValueError: for inputs outside [0, 1] or NaN, or T < 1.

    >>> latency_code(torch.tensor([[1.0, 0.4, 0.0]]), 3).tolist()
    [[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]]
    """
    steps = at_least(1)("num_steps", num_steps)
    if not isinstance(inputs, Tensor) or not inputs.is_floating_point():
        got = getattr(inputs, "dtype", type(inputs).__name__)
        raise TypeError(f"inputs: got {got}, expected a floating-point tensor")
    if not bool(((inputs >= 0) & (inputs <= 1)).all()):
        raise ValueError("inputs: got values outside [0, 1] or NaN, expected a share of full brightness")
    times = ((1.0 - inputs.double()) * (steps - 1) + 0.5).floor().long()
    places = torch.arange(steps, device=inputs.device).view(1, -1, *([1] * (inputs.dim() - 1)))
    return (times.unsqueeze(1) == places).to(inputs.dtype)
