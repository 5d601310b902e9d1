"""A property of some samples of one network: what its rows are, and what it may not be about."""

import torch
from torch import Tensor

from ...models.networks import SpikingNetwork
from ..replay import evaluating
from .forms import Property
from .properties import Robust
from .rows import RowGoal


@torch.no_grad()
def own_outputs(network: SpikingNetwork, inputs: Tensor) -> Tensor:
    """Return the outputs of each sample, unperturbed and run alone, (batch, classes).

    Raises:
        ValueError: for outputs that are no finite numbers.
    """
    with evaluating(network):
        found = torch.stack([network(sample[None])[0] for sample in inputs])
    if not bool(found.isfinite().all()):
        raise ValueError("network: gave inf or NaN at a sample, expected finite outputs for a property")
    return found


def property_goal(network: SpikingNetwork, inputs: Tensor, prop: Property) -> RowGoal:
    """Return the rows of a property for some samples, question k for sample k.

    Raises:
        ValueError: for an output or an input that is not there, and for inputs that enter by draws.
    """
    goal = RowGoal.of(prop, own_outputs(network, inputs), tuple(inputs.shape[1:]), inputs.device)
    if goal.inputs is not None and network.encoding == "rate":
        raise ValueError('property: got inputs, expected outputs alone for encoding "rate"')
    return goal


def as_labels(network: SpikingNetwork, inputs: Tensor, prop: Property) -> Tensor | None:
    """Return the labels that `robust` asks about, (batch,), as a question about the class; None for others."""
    if not isinstance(prop, Robust):
        return None
    if prop.label is None:
        return own_outputs(network, inputs).argmax(1)
    return torch.full((len(inputs),), prop.label, device=inputs.device)


def labels_at(labels: Tensor | Property, place: slice) -> Tensor | Property:
    """Return some samples' labels; a property is that of all."""
    return labels if isinstance(labels, Property) else labels[place]


def check_property_ties(ties: str | None) -> None:
    """Raise ValueError where ties are asked for beside a property."""
    if ties is not None:
        raise ValueError(f"ties: got {ties!r} beside a property, which says itself what a tie is: expected None")


def check_coded(network: SpikingNetwork, events: Tensor, prop: object) -> None:
    """Raise ValueError for a property of latency-coded images that holds inputs: it asks about `events`."""
    if not isinstance(prop, Property) or isinstance(prop, Robust):
        return
    if property_goal(network, events, prop).inputs is not None:
        raise ValueError('property: got inputs, expected outputs alone for encoding "latency"')
