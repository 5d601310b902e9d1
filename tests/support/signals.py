"""What is known of a signal behind a single layer."""

from torch import nn

from spikecert.certify.bounds.signals.affine import affine_map
from spikecert.certify.bounds.signals.signals import AffineSignal, Signal
from spikecert.certify.rounding import Rounding
from spikecert.models.linear_maps import linear_map


def affine_signal(source: Signal, layer: nn.Module, rounding: Rounding) -> AffineSignal:
    """Return the signal behind an affine `layer`."""
    return AffineSignal(source, affine_map(linear_map(layer), rounding.bound), rounding)
