"""The order of a table's rows that short proofs mean: by the middles of all currents that may give a train.

A split names a current between two rows. Which rows a neuron really has depends on the other currents of its
layer, their middles here do not. They are floats: a split that lies a row off has two sides all the same.
"""

from collections.abc import Sequence

import numpy as np

from ..kernel.neurons import KernelNeuron
from ..kernel.numbers import ONE
from ..kernel.tables import Train


def row_middles(
    neuron: KernelNeuron, trains: Sequence[Train], negative: Sequence[bool], reach: float
) -> np.ndarray:
    """Return the middle of the currents that may give each train, within `reach` and of one sign, (R,)."""
    decay, drop, over, under, unit, tiny = (
        value / ONE for value in (neuron.decay, neuron.drop, neuron.high, neuron.low, neuron.unit, neuron.tiny)
    )
    fires, below = np.array(trains, dtype=bool), np.array(negative, dtype=bool)
    low, high = np.where(below, -reach, 0.0), np.where(below, 0.0, reach)
    alpha, beta, error = np.zeros((3, len(below)))
    follows = np.ones(len(below), dtype=bool)  # behind a first spike that repeats itself nothing cuts
    waits, raised = np.zeros(len(below), dtype=int), np.zeros(len(below))
    for a, spike in zip((a / ONE for a in neuron.scale), fires.T, strict=True):
        kept, awake, waits = (alpha, beta, error), waits == 0, np.where(spike, neuron.rest, (waits - 1).clip(0))
        most = np.maximum(abs(low), abs(high))
        size = abs(alpha) * most + abs(beta) + error
        error = decay * error + unit * (decay * size + abs(a) * most) + tiny
        alpha, beta = decay * alpha + a, decay * beta
        limit = np.where(spike, beta + error - under, over + error - beta)
        limit += np.where(spike, -1.0, 1.0) * neuron.raises / ONE * raised
        raised = neuron.fading / ONE * raised + spike
        slope = np.where(spike, -alpha, alpha)
        with np.errstate(divide="ignore", invalid="ignore"):
            end = limit / slope
        cuts = follows & awake
        high = np.where(cuts & (slope > 0), np.minimum(high, end), high)
        low = np.where(cuts & (slope < 0), np.maximum(low, end), low)
        if neuron.reset == "subtract":
            size = abs(alpha) * np.maximum(abs(low), abs(high)) + abs(beta) + error
            error = np.where(spike, error + unit * (size + drop) + tiny, error)
            beta = np.where(spike, beta - drop, beta)
        elif neuron.reset == "zero":
            alpha, beta, error = (np.where(spike, 0.0, part) for part in (alpha, beta, error))
            follows &= ~(spike & neuron.periodic)
            alpha, beta, error = (np.where(awake, *each) for each in zip((alpha, beta, error), kept, strict=True))
    return (low + high) / 2
