"""A spiking encoder in front of a network: each entry fires at every step where it reaches a threshold.

    s_k[t] = 1[x + (1 − θ_k) ≥ 1],    t = 1 … T,

one neuron for each threshold θ_k of an entry x. A change of x that crosses no threshold changes no spike, so what
stands behind it sees nothing of an ε below |x − θ_k|. It is an affine map of weights 1 and biases 1 − θ_k, and
neurons without memory, λ = 0 and θ = 1: every reader knows it exactly, the rounding of x + (1 − θ_k) included.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..constants import real, wholes
from ..dynamics import Surrogate, Triangle
from .layers import Composite
from .neurons import LIF


class Encoder(Composite):
    """Spikes that say which thresholds each entry of a sample reaches, the same ones at all steps.

    Of samples (n,) it makes (K·n,), of (channels, ...) with one or two further axes (K·channels, ...). Training
    keeps its weights, and its thresholds unless they are learned. A network holds what it is made of, and files
    name these.

    Args:
        thresholds: θ, one or several numbers for all entries, or an array (channels, K) of them.
        shape: of a sample, without batch and time.
        learned: whether training moves the thresholds.
        surrogate: the gradient of its spikes.

    Raises:
        TypeError, ValueError: for thresholds that are no finite numbers, and shapes that do not fit.

    >>> encoder, x = Encoder((0.25, 0.75), shape=(3,)), torch.tensor([[0.0, 0.5, 1.0]])
    >>> (encoder[1](encoder[0](x)) >= 1).flatten().int().tolist()
    [0, 1, 1, 0, 0, 1]
    >>> encoder.shape
    (6,)
    """

    def __init__(
        self,
        thresholds: float | Sequence[float] | Tensor,
        shape: Sequence[int],
        learned: bool = False,
        surrogate: Surrogate = Triangle(1.0),  # noqa: B008 (frozen)
    ) -> None:
        sizes = wholes("shape", shape)
        if not 1 <= len(sizes) <= 3 or min(sizes) < 1:
            raise ValueError(f"shape: got {sizes}, expected 1 to 3 sizes above 0")
        channels = 1 if len(sizes) == 1 else sizes[0]
        levels = _levels(thresholds, channels)
        count = levels.shape[1]
        make = nn.Conv1d if len(sizes) == 2 else nn.Conv2d  # (n,) is an image of one column, which chips know
        spread = make(channels, channels * count, 1, groups=channels)
        with torch.no_grad():
            spread.weight.fill_(1.0)
            assert spread.bias is not None
            spread.bias.copy_(1.0 - levels.flatten())
        spread.weight.requires_grad_(False)
        spread.bias.requires_grad_(learned)
        made = [spread, LIF(0.0, 1.0, surrogate=surrogate)]
        if len(sizes) == 1:
            made = [nn.Unflatten(1, (1, sizes[0], 1)), *made, nn.Flatten()]
        super().__init__(*made)
        self.shape: tuple[int, ...] = (count * sizes[0], *sizes[1:])
        """Of what it makes of a sample."""


def _levels(thresholds: float | Sequence[float] | Tensor, channels: int) -> Tensor:
    """Return thresholds, (channels, K), float64."""
    given: Any = thresholds.tolist() if isinstance(thresholds, Tensor) else thresholds
    rows: Any = given if isinstance(given, list | tuple) else (given,)
    if not rows or not all(isinstance(row, list | tuple) for row in rows):
        rows = (rows,) * channels
    found = [[real("thresholds", one) for one in row] for row in rows]
    if len(found) != channels or len({len(row) for row in found}) != 1 or not found[0]:
        sizes = [len(row) for row in found]
        raise ValueError(f"thresholds: got {sizes} numbers, expected as many for each of {channels} channels")
    return torch.tensor(found, dtype=torch.float64)
