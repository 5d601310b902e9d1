"""A reset to a value of its own, as two descriptions show it that count potentials from that value.

A neuron that resets to r, u ← r, is one that resets to 0 if its potential is counted from r: it starts at −r, its
threshold is θ − r, and (1 − λ)·(−r) enters at each step. Three settings that differ are then one.
"""

from collections.abc import Iterator, Sequence

import torch

from .exchanges import Exchange
from .numbers import array
from .pairing import NeuronPair, Pair, Pairing, SumPair, TensorPair
from .tensors import tensors_of

CLOSE = 1e-4
"""A share of the value by which the others may miss what it makes of them."""


def told_as_values(causes: Sequence[Exchange], pairing: Pairing) -> list[Exchange]:
    """Return causes, and start, threshold and bias that stand for another value of a reset as that one."""
    found = list(causes)
    for pair in _all(pairing.pairs):
        if isinstance(pair, NeuronPair) and any(
            each.key[-1] == "start" for each in pair.exchanges if each in found
        ):
            found = _joined(found, pair, pairing)
    return found


def _joined(causes: list[Exchange], pair: NeuronPair, pairing: Pairing) -> list[Exchange]:
    a, b = pair.known
    moved, decay, limits = b.start - a.start, array(b.decay), array(b.threshold) - array(a.threshold)
    first = next(each for each in pair.exchanges if each.key[-1] == "start")
    own = [each for each in causes if each in pair.exchanges and each.key[-1] in ("start", "threshold")]
    entering = [each for each in causes if each.place == first.place and each.kind == "bias"]
    close = CLOSE * abs(moved)
    fits = bool(((limits - moved).abs() <= close).all()) and all(
        _bias_moved(each, (1 - decay) * moved, close, pairing) for each in entering
    )
    if not fits or a.reset != "zero" or b.reset != "zero":
        return causes
    told = Exchange(
        "reset", first.layer, f"to {0.0 - a.start:.6g} against {0.0 - b.start:.6g}", first.place, first.key
    )
    return sorted([*(each for each in causes if each not in own + entering), told], key=lambda each: each.place)


def _bias_moved(cause: Exchange, by: torch.Tensor, close: float, pairing: Pairing) -> bool:
    """Return whether a bias differs by a constant."""
    pair = next(each for each in _all(pairing.pairs) if cause in each.exchanges)
    name = str(cause.key[-1])
    if not isinstance(pair, TensorPair):
        return False
    one, other = (tensors_of(each).get(name) for each in (pair.a, pair.b))
    return by.numel() == 1 and bool(((array(other) - array(one) - by).abs() <= close).all())


def _all(pairs: Sequence[Pair]) -> Iterator[Pair]:
    for pair in pairs:
        if isinstance(pair, SumPair):
            yield from _all((*pair.branch, *pair.shortcut))
        else:
            yield pair
