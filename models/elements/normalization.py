"""Normalisation of images as the first layer of a network, so that perturbations and attacks act on pixels."""

import math
from collections.abc import Sequence
from typing import Self

import torch
from torch import nn

from ..constants import check_normal, reals

CIFAR10 = ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))
"""Mean and standard deviation of the training images of CIFAR-10, per channel."""
CIFAR100 = ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761))
"""The same of CIFAR-100."""


class Normalize(nn.BatchNorm2d):
    """A fixed affine map of each channel: y = (x − mean)/std, the same in training and in evaluation.

    It is a batch norm that never learns: its statistics are buffers, so that bounds, gains, checkpoints and other
    programs treat it as they treat a batch norm in evaluation mode.

    Args:
        mean: of each channel.
        std: of each channel, above 0.

    Raises:
        TypeError, ValueError: for lists of unequal length, or numbers that are not finite or not above 0.

    >>> Normalize((0.5,), (0.25,))(torch.full((1, 1, 1, 1), 0.75)).item()
    1.0
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        mean, std = _checked(mean, std)
        super().__init__(len(mean), eps=0.0, affine=False)
        assert self.running_mean is not None
        assert self.running_var is not None
        self.running_mean.copy_(torch.tensor(mean))
        self.running_var.copy_(torch.tensor(std).square())
        self.eval()

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode, whatever the network's mode is."""
        return super().train(False)


def standard(channels: int) -> Normalize:
    """Return CIFAR-10's normalisation for three channels, and (x − ½)/½ for any other number."""
    mean, std = CIFAR10 if channels == 3 else ((0.5,) * channels, (0.5,) * channels)
    return Normalize(mean, std)


def _checked(mean: Sequence[float], std: Sequence[float]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return both as floats; the squares of `std` are what the layer keeps."""
    mean, std = reals("mean", mean), reals("std", std)
    if not 0 < len(mean) == len(std):
        raise ValueError(f"std: got {len(std)} values, expected one for each of mean's {len(mean)}")
    if not all(value > 0 for value in std):
        raise ValueError(f"std: got {std}, expected finite numbers above 0")
    for value in std:
        check_normal("std squared", value * value or math.ulp(0.0), torch.get_default_dtype())
    return mean, std
