"""Checks of arguments: each failure is one line that names the argument, what came and what was expected."""

import math
from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from .linear_maps import affine_types, linear_map


class Simulated(Protocol):
    """What the checks ask a network."""

    layers: nn.ModuleList
    num_steps: int
    encoding: str
    training: bool

    @property
    def dtype(self) -> torch.dtype:
        """Return the floating-point type that the network computes in."""
        ...

    @property
    def timed(self) -> bool:
        """Return whether inputs have an axis of time."""
        ...


def one_line(error: object, most: int = 300) -> str:
    """Return what an error says in one line of at most `most` characters: it may quote what a stranger wrote.

    >>> one_line(ValueError("two\\nlines"))
    'two lines'
    """
    text = " ".join(str(error).split())
    return text if len(text) <= most else f"{text[: most - 1]}…"


def check_choice(name: str, value: object, choices: Iterable[str]) -> None:
    """Raise ValueError unless `value` is one of `choices`, and a plain string: a subclass may change its mind."""
    choices = tuple(choices)
    if type(value) is not str or value not in choices:
        raise ValueError(f"{name}: got {value!r}, expected one of {', '.join(choices)}")


def check_finite(name: str, tensor: Tensor) -> None:
    """Raise ValueError if `tensor` holds NaN or inf.

    Neither can vanish in a sum, so a finite sum settles it in one pass; one that overflows needs the second look.
    """
    if not math.isfinite(tensor.sum().item()) and not bool(torch.isfinite(tensor).all()):
        raise ValueError(f"{name}: got NaN or inf, expected finite numbers")


def plain(**given: Any) -> list[Any]:
    """Return what was given, NumPy arrays of numbers as tensors.

    Raises:
        TypeError: for a tensor of another class than torch's, which may compute in its own way.
    """
    for name, tensor in given.items():
        if isinstance(tensor, Tensor) and type(tensor) not in (Tensor, nn.Parameter):
            raise TypeError(f"{name}: got {type(tensor).__name__}, expected a torch.Tensor itself")
    arrays = {name: type(x) is np.ndarray and x.dtype.kind in "fiu" for name, x in given.items()}
    return [torch.tensor(x) if arrays[name] else x for name, x in given.items()]


def check_inputs(network: Simulated, inputs: Tensor) -> None:
    """Raise TypeError or ValueError unless `inputs` is a finite, non-empty batch that fits `network`."""
    if not isinstance(inputs, Tensor):
        raise TypeError(f"inputs: got {type(inputs).__name__}, expected a torch.Tensor")
    if inputs.dtype != network.dtype:
        raise TypeError(f"inputs: got {inputs.dtype}, expected the network's {network.dtype}")
    if inputs.dim() < 2 or len(inputs) == 0:
        raise ValueError(f"inputs: got shape {tuple(inputs.shape)}, expected (batch, ...) with a batch above 0")
    if network.timed and inputs.shape[1] != network.num_steps:
        got = tuple(inputs.shape)
        raise ValueError(
            f'inputs: got shape {got}, expected (batch, {network.num_steps}, ...) with encoding "none"'
        )
    _check_features(network, inputs)
    check_finite("inputs", inputs)


def _check_features(network: Simulated, inputs: Tensor) -> None:
    """Compare the feature shape with the first layer, which would accept some wrong shapes silently."""
    first = network.layers[0]
    if type(first) in affine_types():
        linear_map(first).takes(tuple(inputs.shape[2 if network.timed else 1 :]))


def check_repeatable(network: Simulated) -> None:
    """Raise ValueError if two passes of `network` would draw different spikes."""
    if network.encoding == "rate" and network.training:
        expected = "evaluation mode, where all inputs meet the same draws"
        raise ValueError(f'network: got training mode with encoding "rate", expected {expected}')


def check_weights(network: nn.Module) -> None:
    """Raise ValueError if a parameter or buffer of `network` holds NaN or inf."""
    for name, tensor in [*network.named_parameters(), *network.named_buffers()]:
        if tensor.is_floating_point():
            check_finite(f"network: {name}", tensor)


def check_logits(logits: Tensor, batch: int) -> None:
    """Raise ValueError unless `logits` are (batch, classes): a network may lack a Flatten."""
    if logits.dim() != 2 or len(logits) != batch:
        raise ValueError(f"network: got outputs of shape {tuple(logits.shape)}, expected ({batch}, classes)")


def check_rivals(classes: int) -> None:
    """Raise ValueError unless a network has two outputs: with one no other class can win, and nothing is asked."""
    if classes < 2:
        cure = "; ask about its value (--property, spikecert range)"
        raise ValueError(
            f"network: got {classes} output, expected two or more for a question about the class{cure}"
        )


def check_labels(labels: Tensor, batch: int, classes: int) -> None:
    """Raise TypeError or ValueError unless `labels` is (batch,) of integers in [0, classes)."""
    if not isinstance(labels, Tensor) or labels.is_floating_point() or labels.dtype == torch.bool:
        raise TypeError(
            f"labels: got {getattr(labels, 'dtype', type(labels).__name__)}, expected an integer tensor"
        )
    if labels.dtype not in (torch.int32, torch.int64):
        raise TypeError(f"labels: got {labels.dtype}, expected torch.int64 or torch.int32")
    if tuple(labels.shape) != (batch,):
        raise ValueError(f"labels: got shape {tuple(labels.shape)}, expected ({batch},)")
    if int(labels.min()) < 0 or int(labels.max()) >= classes:
        low, high = int(labels.min()), int(labels.max())
        raise ValueError(f"labels: got values from {low} to {high}, expected 0 to {classes - 1}")
