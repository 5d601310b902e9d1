"""Conversion by readers of libraries, neuron by neuron, which must give what the tracer gives, or refuse."""

from oracles.libraries.converting import Conversion, converted
from oracles.libraries.observing.observing import Source
from oracles.libraries.readers.plain_torch import detect
from torch import Tensor, nn


def convert(module: nn.Module, sample: Tensor, num_steps: int | None, encoding: str) -> Conversion:
    """Return the network of a module as its library's reader has it."""
    return converted(Source.of(detect(module), module, encoding, num_steps), sample, None, 0, None)
