"""Questions about networks that carry their source's arithmetic: what holds for the inputs that are asked."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

from ..models.networks import SpikingNetwork
from ..models.source import OWN, SourceArithmetic, SourceBox, weights_of
from .perturbations import Perturbation


def allowance_of(network: SpikingNetwork) -> SourceBox:
    """Return what a network's source may stray by, for the largest inputs that it is known for."""
    return OWN if network.source is None else network.source.boxes[-1]


@contextmanager
def asked_within(network: SpikingNetwork, inputs: Tensor, perturbation: Perturbation) -> Iterator[None]:
    """Let a network carry for a while what its source strays by on the inputs that are asked about.

    One whose weights are others by now is no longer that of its source, and carries nothing.

    Raises:
        ValueError: for inputs beyond those that the source is known for.
    """
    source = network.source
    try:
        if source is not None and source.weights == weights_of(network):
            box = perturbation.enclosure(inputs)
            reach = max(float(box.upper.max()), -float(box.lower.min()))
            network.source = SourceArithmetic((source.within(reach),), source.weights)
        else:
            network.source = None
        yield
    finally:
        network.source = source
