"""Trained weights back in the module that they came from: each number where the conversion read it, or none."""

import copy

import torch
from torch import Tensor

from ..conversion.refusal import ConversionRefused
from ..conversion.sources import Source
from ..networks import SpikingNetwork
from .converting import check_by_trace, converted_by_trace
from .tracing import copied


def written_back(source: Source, network: SpikingNetwork, sample: Tensor) -> None:
    """Put a network's numbers in the place of those that its source's own conversion has.

    Args:
        source: a module, and how it is run.
        network: its conversion, trained since.
        sample: some of its inputs.

    Raises:
        ConversionRefused: where the source's conversion is another network, where a number that was trained is no
            entry of the module's `state_dict`, or where the module would not compute the network. The module is
            then as it was.
    """
    before = converted_by_trace(source, sample, network.readout).network
    held, found = network.state_dict(), before.state_dict()
    if [type(layer) for layer in network.modules()] != [type(layer) for layer in before.modules()] or {
        name: value.shape for name, value in held.items()
    } != {name: value.shape for name, value in found.items()}:
        raise ConversionRefused("network: has other layers than the module's conversion, expected what it gave")
    changed = {name: value for name, value in held.items() if not torch.equal(value, found[name])}
    kept = source.module.state_dict()
    first = {name: _alike(value, kept) for name, value in found.items() if name in changed}
    twice = {place for places in first.values() if len(places) > 1 for place in places}
    if twice:
        marked, again = _told_apart(source, network, sample, twice)
        first = {
            name: [place for place in places if len(places) == 1 or torch.equal(marked[place], again[name])]
            for name, places in first.items()
        }
    places = {name: _place(name, first[name]) for name in changed}
    as_it_was = copy.deepcopy(kept)
    try:
        with torch.no_grad():
            for name, value in changed.items():
                kept[places[name]].copy_(value)
        check = check_by_trace(source, network, sample)
        if not check.matches:
            raise ConversionRefused(f"network: is not what the module computes with its weights: {check.reason}")
    except ConversionRefused:
        source.module.load_state_dict(as_it_was)
        raise


def _alike(value: Tensor, kept: dict[str, Tensor]) -> list[str]:
    """Return the entries of a module's state that have a network's first numbers."""
    return [place for place, each in kept.items() if each.shape == value.shape and torch.equal(each, value)]


def _told_apart(
    source: Source, network: SpikingNetwork, sample: Tensor, places: set[str]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the state of a copy of the module in which entries that are alike differ, and that of its conversion.

    Batch norms that nobody has trained yet are all alike: which one a number came from shows where they are not.
    """
    marked = copied(source)
    state = marked.module.state_dict()
    with torch.no_grad():
        for count, place in enumerate(sorted(places), 1):
            state[place].add_(count / (1 + len(places)) * (1.0 + state[place].abs()))
    again = converted_by_trace(marked, sample, network.readout).network.state_dict()
    return state, again


def _place(name: str, same: list[str]) -> str:
    """Return the one entry of a module's state that a network's number came from."""
    if len(same) != 1:
        told = f"several of the module's ({', '.join(sorted(same))})" if same else "none of the module's own"
        first = "was trained, and its first numbers are"
        raise ConversionRefused(f"{name}: {first} {told}; expected one place that they came from")
    return same[0]
