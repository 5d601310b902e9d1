"""Questions about networks that carry their source's arithmetic: what holds for the inputs that are asked."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from ..models.conversion.checking import are_alike
from ..models.deadline import TimeIsUp
from ..models.networks import SpikingNetwork
from ..models.source import OWN, SourceArithmetic, SourceBox, weights_of
from ..models.validation import one_line
from .perturbations import Perturbation
from .replay import Runs
from .verdicts import Verdict


def allowance_of(network: SpikingNetwork) -> SourceBox:
    """Return what a network's source may stray by, for the largest inputs that it is known for."""
    return OWN if network.source is None else network.source.boxes[-1]


@torch.no_grad()
def source_keeps(
    network: SpikingNetwork, candidate: Tensor, fails: Callable[[Runs], bool], rows: bool
) -> str | None:
    """Return why the source's own run of a network's counterexample is none; nothing where it is one, too.

    Args:
        network: as it was converted.
        candidate: the counterexample.
        fails: whether it is one of what runs.
        rows: whether that is about numbers, which must then be in the network's units.

    Returns:
        None where nothing is known: no source is at hand, or it gives other numbers.
    """
    if network.at_hand is None or not network.at_hand.holds(network):
        return None
    run = partial(network.at_hand.run, network)
    try:
        if rows and not are_alike(run(candidate[None]), network(candidate[None])):
            return None
        if fails(run):
            return ""
    except TimeIsUp:
        raise
    except Exception as error:  # whatever a stranger's module raises
        return f"its source could not be run on a counterexample: {type(error).__name__}: {one_line(error)}"
    return f"the source keeps {'the property' if rows else 'its class'}, run on a counterexample of the network"


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
