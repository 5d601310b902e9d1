"""Refuse to certify where the run's arithmetic is not what the error analysis assumes."""

import torch
from torch import nn

from ..models.layers import walk
from ..models.networks import SpikingNetwork

DTYPES = (torch.float32, torch.float64)


def check_arithmetic(network: SpikingNetwork) -> None:
    """Raise ValueError unless `network` would run in plain IEEE arithmetic of its own dtype.

    The bounds cover any order of summation, but not products of fewer bits (TF32, bfloat16, autocast) nor
    convolutions by transforms (Winograd, FFT), which cuDNN chooses by itself.
    """
    if network.dtype not in DTYPES:
        raise ValueError(f"network: got {network.dtype}, expected torch.float32 or torch.float64 to certify")
    precision = torch.get_float32_matmul_precision()
    if precision != "highest":
        raise ValueError(f'arithmetic: got matmul precision {precision!r}, expected "highest" to certify')
    device = network.device.type
    if torch.is_autocast_enabled(device):
        raise ValueError("arithmetic: got autocast, expected none to certify")
    convolves = any(isinstance(layer, nn.Conv2d) for layer in walk(network.layers))
    if device == "cuda" and convolves and torch.backends.cudnn.enabled:
        expected = "torch.backends.cudnn.enabled = False, since cuDNN may use TF32 or Winograd"
        raise ValueError(f"arithmetic: got a convolution by cuDNN, expected {expected}")
