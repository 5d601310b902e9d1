"""Layers whose constants differ: each kind of neuron by itself while they are few, else all neurons at once.

Neurons of one layer share nothing but their input. So what is known of each kind of them, from its own currents,
is known of the layer. Kinds are rules of their own, and have their own tables, graphs and prices.
"""

from ....models.linear_neuron import LinearNeuron
from ...rounding import Rounding
from ..signals.joined import JoinedSignal, SharedSignal, chosen
from ..signals.signals import Signal, SpikeBound
from .many_kinds import many_spikes

MOST_KINDS = 64
"""The most kinds of neurons of a layer that are bounded one after another: above, all at once, step by step."""


def varied_spikes(current: Signal, rule: LinearNeuron, spikes: SpikeBound, rounding: Rounding) -> Signal:
    """Return what is known of the spikes of neurons of several kinds.

    Args:
        current: of the whole layer.
        rule: of its neurons.
        spikes: what is known of the spikes of one kind.
        rounding: the dtypes of the run and of the bound.
    """
    if not separable(rule):
        return many_spikes(current, rule, rounding)
    features = current.magnitude().shape[1:]
    shared, places = SharedSignal(current), rule.places(tuple(features))
    parts = [
        spikes(chosen(shared, place, rounding), kind, rounding)
        for kind, place in zip(rule.kinds, places, strict=True)
    ]
    return JoinedSignal(tuple(parts), places, features)


def separable(rule: LinearNeuron) -> bool:
    """Return whether the kinds of neurons are few enough to be bounded one after another."""
    return len(rule.kinds) <= MOST_KINDS
