"""Refuse to certify where the run's arithmetic is not what the error analysis assumes."""

import os

import torch

from ..kernels.loading import flushes
from ..models.circuit import Circuit, circuit
from ..models.networks import SpikingNetwork

BACKENDS = ("mkldnn", "mkldnn.matmul", "mkldnn.conv", "cuda.matmul")
"""Parts of torch.backends whose `fp32_precision` decides how float32 is multiplied, in newer torch."""
SUMS = {
    *("Slow2d", "SlowDilated2d", "SlowTranspose2d", "CudaDepthwise2d"),
    *("Mkldnn", "MkldnnTranspose"),  # oneDNN's direct algorithms, which torch asks for by name
}
"""The algorithms of torch's convolutions that sum products, by torch's names."""
STRICT_BY = {
    "ONEDNN_DEFAULT_FPMATH_MODE": "STRICT",
    "DNNL_DEFAULT_FPMATH_MODE": "STRICT",
    "NVIDIA_TF32_OVERRIDE": "0",
}
"""Variables by which libraries are told to multiply with fewer bits, and their value that forbids it."""
DTYPES = (torch.float32, torch.float64)


def check_arithmetic(network: SpikingNetwork) -> Circuit:
    """Return the circuit of `network`; raise TypeError or ValueError unless that says what would run.

    It would if the run is plain IEEE arithmetic of the network's own dtype. The bounds cover any order of
    summation, but not products of fewer bits (TF32, bfloat16, autocast) nor convolutions by transforms (Winograd,
    FFT), which cuDNN and NNPACK choose by themselves.
    """
    made = circuit(network)
    if network.dtype not in DTYPES:
        raise ValueError(f"network: got {network.dtype}, expected torch.float32 or torch.float64 to certify")
    if flushes(network.dtype):
        raise ValueError("arithmetic: got subnormals flushed to zero (torch.set_flush_denormal), expected IEEE")
    reduced = reduced_precision()
    if reduced:
        raise ValueError(f'arithmetic: got {reduced}, expected "highest" or "ieee" to certify')
    device = network.device.type
    if torch.is_autocast_enabled(device):
        raise ValueError("arithmetic: got autocast, expected none to certify")
    if device == "cuda" and any(layer.convolves for layer in made.maps) and torch.backends.cudnn.enabled:
        expected = "torch.backends.cudnn.enabled = False, since cuDNN may use TF32 or Winograd"
        raise ValueError(f"arithmetic: got a convolution by cuDNN, expected {expected}")
    others = {name for layer in made.maps for name in layer.algorithms} - SUMS
    if others:
        expected = "plain sums in batches of any size: torch.backends.mkldnn on, or torch.backends.nnpack off"
        raise ValueError(f"arithmetic: got a convolution by {min(others)}, expected {expected}")
    return made


def reduced_precision() -> str:
    """Return in words what lets torch multiply float32 with fewer bits, or nothing."""
    try:
        precision = torch.get_float32_matmul_precision()
    except RuntimeError:
        precision = "set for one backend alone"
    mixed = precision not in ("highest", "high", "medium")
    if precision != "highest" and not mixed:
        return f"matmul precision {precision!r}"
    for name in BACKENDS:
        backend: object = torch.backends
        for part in name.split("."):
            backend = getattr(backend, part, None)
        found = getattr(backend, "fp32_precision", "none")
        if found not in ("none", "ieee"):
            return f"torch.backends.{name}.fp32_precision {found!r}"
    for name, strict in STRICT_BY.items():
        if os.environ.get(name, strict).upper() != strict:
            return f"{name}={os.environ[name]}"
    return f"matmul precision {precision}" if mixed else ""
