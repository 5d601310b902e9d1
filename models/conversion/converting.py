"""What a conversion is, and the inputs that it is compared on."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..constants import whole
from ..networks import SpikingNetwork
from .checking import ConversionCheck
from .sources import Source

RANDOM = 32
"""Random inputs that a conversion is compared on, besides the sample."""
BEYOND = 21
"""More of them, outside of the sample's range, in a batch of their own, behind one alone."""


@dataclass(frozen=True)
class Conversion:
    """A network and how it was made.

    Attributes:
        network: in evaluation mode.
        check: the comparison with the source, on the sample and on random inputs.
        notes: what was folded where, a line each.
    """

    network: SpikingNetwork
    check: ConversionCheck
    notes: tuple[str, ...]


def check_sample(source: Source, sample: Tensor) -> None:
    """Raise TypeError or ValueError unless `sample` is a batch of floats, with time second where it has time."""
    if not isinstance(sample, Tensor) or not sample.is_floating_point():
        got = getattr(sample, "dtype", type(sample).__name__)
        raise TypeError(f"sample: got {got}, expected a batch of inputs, a tensor of floats")
    if sample.dim() < (3 if source.timed else 2) or len(sample) == 0:
        expected = "(batch, T, ...)" if source.timed else "(batch, ...)"
        raise ValueError(f"sample: got shape {tuple(sample.shape)}, expected {expected}")
    if source.timed and source.num_steps is not None and sample.shape[1] != source.num_steps:
        raise ValueError(f"sample: got {sample.shape[1]} steps, expected num_steps = {source.num_steps}")


def random_like(sample: Tensor, count: int, seed: int, events: bool = False) -> Tensor:
    """Return random inputs of the sample's shape.

    The first half is uniform between its least and greatest value, the second half holds only those two, where
    potentials go farthest; with `events`, where the sample is all 0 and 1, all are fair coins.
    """
    draws = _draws(sample, count, seed)
    if events and _is_binary(sample):
        return (draws < 0.5).to(sample)
    draws[count // 2 :] = draws[count // 2 :].round()
    return _within(sample, draws)


def beyond(sample: Tensor, count: int, seed: int, events: bool = False) -> Tensor:
    """Return random inputs as far outside of the sample's range, on either side, as that is wide.

    With `events`, where the sample is all 0 and 1, the first half are counts from 0 to 3, which a merge of events
    gives, and the second half numbers from −1 to 2.
    """
    draws = 3.0 * _draws(sample, count, seed) - 1.0
    if events and _is_binary(sample):
        draws[: count // 2] = ((draws[: count // 2] + 1.0) * 4.0 / 3.0).floor()
        return draws.to(sample)
    return _within(sample, draws)


def _draws(sample: Tensor, count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(whole("seed", seed))
    return torch.rand((count, *sample.shape[1:]), generator=generator, dtype=torch.float64)


def _is_binary(sample: Tensor) -> bool:
    return bool(((sample == 0) | (sample == 1)).all())


def _within(sample: Tensor, shares: Tensor) -> Tensor:
    """Return numbers at shares of the way from the sample's least value, 0, to its greatest, 1."""
    low, high = float(sample.min()), float(sample.max())
    if low == high:
        low, high = min(low, 0.0), max(high, 1.0)
    return (low + (high - low) * shares).to(sample)
