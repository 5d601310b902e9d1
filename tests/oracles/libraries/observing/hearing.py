"""Layers that hear a neuron's last spikes, c[t] = x[t] + V·s[t−1] + b.

Such a layer is given zeros at the first step, and then, at step t, what the neuron gave at step t − 1; what it
gives is added to the neuron's own input, and read by nothing else. Its tensors are followed from call to call, so
that an older spike is not taken for the last one.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch

from ..layers import plain_layer, refuse
from .data_flow import Gave, Joined, Origin, leaves
from .observed_layers import Call, ObservedLayer


def common_origin(calls: list[Call]) -> Origin | None:
    """Return where a layer's input comes from, the same in all calls; None where that is not known."""
    found = {call.origin for call in calls}
    return found.pop() if len(found) == 1 else None


def without_loops(
    layers: Mapping[str, ObservedLayer], calls: Mapping[str, list[Call]]
) -> dict[str, ObservedLayer]:
    """Return the layers without those that hear a neuron's last spikes, which become its feedback."""
    found = dict(layers)
    for name, layer in layers.items():
        heard = None if layer.neuron is not None else _heard(name, found, calls)
        if heard is not None and not _read_by_others(name, heard, found):
            found[heard] = _with_feedback(found[heard], found.pop(name))
    return found


def _heard(name: str, layers: Mapping[str, ObservedLayer], calls: Mapping[str, list[Call]]) -> str | None:
    """Return the neuron whose last spikes a layer is given at each step, and whose input it adds to; or None."""
    first, *later = calls[name]
    origin = common_origin(later)
    if not later or not first.zero or not isinstance(origin, Gave) or origin.name not in layers:
        return None
    neuron = layers[origin.name]
    if neuron.neuron is None or neuron.neuron.feedback is not None or len(calls[origin.name]) != len(calls[name]):
        return None
    last = all(isinstance(c.origin, Gave) and c.origin.call == t for t, c in enumerate(later))
    same = bool((first.given == 0).all()) and torch.equal(layers[name].given[1:], neuron.gave[:-1])
    added = all(_adds_now(call.origin, name, t) for t, call in enumerate(calls[origin.name]))
    return origin.name if last and same and added else None


def _adds_now(origin: Origin | None, name: str, call: int) -> bool:
    """Return whether a signal is a sum of one and of what a layer gave in one call."""
    if not isinstance(origin, Joined):
        return False
    parts = [part for part in (origin.one, origin.other) if part == Gave(name)]
    return len(parts) == 1 and isinstance(parts[0], Gave) and parts[0].call == call


def _read_by_others(name: str, neuron: str, layers: Mapping[str, ObservedLayer]) -> bool:
    """Return whether a layer other than the neuron, or the neuron's other input, is made of what a layer gave."""
    origins = [layer.origin for key, layer in layers.items() if key != neuron]
    return any(_holds(origin, name) for origin in (*origins, _rest(layers[neuron].origin, name)))


def _rest(origin: Origin, name: str) -> Origin:
    """Return the other part of a sum with what a layer gave."""
    assert isinstance(origin, Joined)
    return origin.other if origin.one == Gave(name) else origin.one


def _holds(origin: Origin, name: str) -> bool:
    return any(leaf.name == name for leaf in leaves(origin))


def _with_feedback(neuron: ObservedLayer, layer: ObservedLayer) -> ObservedLayer:
    """Return a neuron that hears itself through a layer."""
    assert neuron.neuron is not None
    feedback = plain_layer(layer.module, layer.name) or refuse(layer.module, layer.name)
    origin = _rest(neuron.origin, layer.name)
    return replace(neuron, neuron=replace(neuron.neuron, feedback=feedback), origin=origin, heard=layer.gave)
