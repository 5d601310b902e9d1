"""Questions about networks that carry their source's arithmetic: what holds for the inputs that are asked."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from torch import Tensor

from ..models.networks import SpikingNetwork
from ..models.source import OWN, SourceArithmetic, SourceBox, weights_of
from .perturbations import Perturbation
from .verdicts import Verdict


def allowance_of(network: SpikingNetwork) -> SourceBox:
    """Return what a network's source may stray by, for the largest inputs that it is known for."""
    return OWN if network.source is None else network.source.boxes[-1]


def beyond(verdict: Verdict, least: float, leads: bool = True) -> Verdict:
    """Return as unknown what leads by no more than the source's last operations may take back, or is no lead."""
    margin = -math.inf if verdict.margin is None or not leads else verdict.margin
    if verdict.status != "verified" or least == 0.0 or margin > least:
        return verdict
    why = f"the margin's lower bound {margin:.3g} is within the source's rounding, {least:.3g}"
    return replace(verdict, status="unknown", reason=why)


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
