"""Networks by name: `mlp` and architecture strings such as "mlp:64-64" and "vgg11".

How the weights of a convolutional network start.
"""

import copy
import itertools
import math
import re
import reprlib
from collections.abc import Callable, Sequence
from fractions import Fraction

import torch
from torch import nn

from ..constants import at_least, wholes
from ..elements.encoder import Encoder
from ..elements.neurons import LIF
from ..elements.recurrent import Recurrent
from ..networks import SpikingNetwork
from .images import strided, vgg5, vgg11, wrn16_4


def mlp(
    sizes: Sequence[int], num_steps: int = 8, neuron: LIF | None = None, encoding: str = "direct"
) -> SpikingNetwork:
    """Return a dense network sizes[0]-…-sizes[-1] with a neuron after each hidden layer, readout "mean".

    Args:
        sizes: the widths, inputs first, classes last; at least two.
        num_steps: T.
        neuron: a template, copied for each hidden layer; default `LIF()`.
        encoding: "direct", "none" or "rate".

    >>> [type(layer).__name__ for layer in mlp((64, 32, 10)).layers]
    ['Linear', 'LIF', 'Linear']
    """
    sizes = wholes("sizes", sizes)
    if len(sizes) < 2 or any(size < 1 for size in sizes):
        raise ValueError(f"sizes: got {sizes}, expected at least two positive widths")
    template = neuron if neuron is not None else LIF()
    modules: list[nn.Module] = []
    for width_in, width_out in itertools.pairwise(sizes[:-1]):
        modules += [nn.Linear(width_in, width_out), copy.deepcopy(template)]
    modules.append(nn.Linear(sizes[-2], sizes[-1]))
    return SpikingNetwork(*modules, num_steps=num_steps, encoding=encoding)


def _mlp_from_string(
    detail: str, input_shape: Sequence[int], classes: int, num_steps: int, neuron: LIF | None
) -> SpikingNetwork:
    widths = _widths("mlp", detail)
    network = mlp((math.prod(input_shape), *widths, classes), num_steps, neuron)
    return network if len(input_shape) == 1 else SpikingNetwork(nn.Flatten(), *network.layers, num_steps=num_steps)


def _recurrent_from_string(
    detail: str, input_shape: Sequence[int], classes: int, num_steps: int, neuron: LIF | None
) -> SpikingNetwork:
    """Return a dense network whose hidden layers hear themselves, at first by half of a layer's usual weights."""
    sizes = math.prod(input_shape), *_widths("recurrent", detail), classes
    modules: list[nn.Module] = [nn.Flatten()] * (len(input_shape) > 1)
    for layer in mlp(sizes, num_steps, neuron).layers:
        if isinstance(layer, LIF):
            width = modules[-1].out_features
            feedback = nn.Linear(width, width, bias=False)  # pyright: ignore[reportArgumentType]
            with torch.no_grad():
                feedback.weight.mul_(0.5)
            layer = Recurrent(layer, feedback)
        modules.append(layer)
    return SpikingNetwork(*modules, num_steps=num_steps)


def _widths(name: str, detail: str) -> tuple[int, ...]:
    parts = detail.split("-") if detail else []
    if not all(re.fullmatch(r"[0-9]{1,9}", part) for part in parts):
        told = f'"{name}:{detail[:40]}"'
        raise ValueError(f'architecture: got {told}, expected widths joined by -, as in "{name}:64-64"')
    return tuple(map(int, parts))


def _strided_from_string(
    detail: str, input_shape: Sequence[int], classes: int, num_steps: int, neuron: LIF | None
) -> SpikingNetwork:
    return strided(input_shape, classes, num_steps, neuron, _widths("strided", detail))


def _convolutional(build: Callable[..., SpikingNetwork]) -> Callable[..., SpikingNetwork]:
    """Return the maker for strings whose detail is a factor of the widths, such as "vgg11:1/8"."""

    def from_string(
        detail: str,
        input_shape: Sequence[int],
        classes: int,
        num_steps: int,
        neuron: LIF | None,
        **settings: bool | str,
    ) -> SpikingNetwork:
        """Build the network with widths times the factor that `detail` names."""
        return build(input_shape, classes, num_steps, neuron, _factor(detail), **settings)

    return from_string


def _factor(detail: str) -> float:
    above, slash, below = (detail or "1").partition("/")
    try:
        return float(above) / float(below if slash else 1)
    except (ValueError, ZeroDivisionError):
        expected = 'a factor of the widths, as in "vgg11:1/8"'
        raise ValueError(f"architecture: got the detail {reprlib.repr(detail)}, expected {expected}") from None


ARCHITECTURES: dict[str, Callable[..., SpikingNetwork]] = {
    "mlp": _mlp_from_string,
    "recurrent": _recurrent_from_string,
    "strided": _strided_from_string,
    "vgg5": _convolutional(vgg5),
    "vgg11": _convolutional(vgg11),
    "wrn16_4": _convolutional(wrn16_4),
}
SETTINGS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("vgg5", "vgg11"), ("convolution_bias", "initialization")),
    "wrn16_4": ("residual", "initialization"),
}
"""What may be chosen for an architecture besides its size."""


def architecture(
    text: str,
    input_shape: Sequence[int],
    classes: int,
    num_steps: int = 8,
    neuron: LIF | None = None,
    **settings: bool | str,
) -> SpikingNetwork:
    """Return the network that an architecture string names, for one input shape and number of classes.

    Args:
        text: "mlp:64-64" is a dense network with two hidden layers of 64, "recurrent:64-64" one whose hidden
            layers hear themselves; "strided:16-32-128" two convolutions and a dense layer (`strided`); "vgg5",
            "vgg11" and "wrn16_4" are the paper's, and "vgg11:1/8" is VGG11 with an eighth of its widths;
            "encoder:.25,.5+mlp:64" has an `Encoder` of these thresholds in front of it.
        input_shape: of one sample, without batch and time.
        classes: the number of logits.
        num_steps: T.
        neuron: a template for the spiking layers; default `LIF()`.
        settings: of the architecture's own function, such as `initialization="paper"`.

    Raises:
        TypeError, ValueError: for a setting that the architecture does not have, a name that is not known, or
            sizes that are no positive integers.
    """
    if type(text) is str and text.startswith(ENCODED):
        return _encoded(text, input_shape, classes, num_steps, neuron, settings)
    name, _, detail = text.partition(":") if type(text) is str else ("", "", "")
    if name not in ARCHITECTURES:
        raise ValueError(f"architecture: got {text!r}, expected one of {', '.join(ARCHITECTURES)}")
    shape, count = wholes("input_shape", input_shape), at_least(1)("classes", classes)
    for setting in settings:
        known = SETTINGS.get(name, ())
        if setting not in known:
            raise ValueError(f"{setting}: {name} has no such setting, but {', '.join(known) or 'none'}")
    return ARCHITECTURES[name](detail, shape, count, num_steps, neuron, **settings)


ENCODED = "encoder:"
"""How an architecture with an encoder in front begins."""


def _encoded(
    text: str,
    input_shape: Sequence[int],
    classes: int,
    num_steps: int,
    neuron: LIF | None,
    settings: dict[str, bool | str],
) -> SpikingNetwork:
    front, plus, rest = text.removeprefix(ENCODED).partition("+")
    try:
        thresholds = [float(Fraction(each.strip())) for each in front.split(",")]
    except (ValueError, ZeroDivisionError):
        thresholds = []
    if not plus or not thresholds or rest.startswith(ENCODED):
        raise ValueError(f"architecture: got {text!r}, expected one such as encoder:.25,.5+mlp:64")
    encoder = Encoder(thresholds, input_shape)
    behind = architecture(rest, encoder.shape, classes, num_steps, neuron, **settings)
    return SpikingNetwork(encoder, *behind.layers, num_steps=num_steps, readout=behind.readout)
