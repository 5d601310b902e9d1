"""What settings that differ together mean: conversions choose where potentials start, and in what units.

A neuron that resets to r, u ← r, is one that resets to 0 if its potential is counted from r: it starts at −r, its
threshold is θ − r, and (1 − λ)·(−r) enters at each step. Three settings that differ are then one. And one whose
current counts by 1 − λ is, in units of that, one whose threshold is θ/(1 − λ).

Two lists laid along each other: as many equal entries as possible, in order.

One setting of a build that may be exchanged for the other's, and the table of what differs.

The tensors of a module: how those of two builds differ, and how they are exchanged.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from .exchanges import Exchange, array, tensors_of
from .pairing import NeuronPair, Pair, Pairing, SumPair, TensorPair

CLOSE = 1e-4
"""A share of the value by which the others may miss what it makes of them."""


def in_meaning(
    causes: Sequence[Exchange], pairing: Pairing, units: bool, rests: Sequence[float] = ()
) -> list[Exchange]:
    """Return causes as they are meant.

    Args:
        causes: settings that differ.
        pairing: of both builds.
        units: whether a conversion may have chosen units of potentials.
        rests: what a module says that its potentials rest at and reset to.
    """
    found = _as_values(causes, pairing)
    pairs = [pair for pair in _all(pairing.pairs) if isinstance(pair, NeuronPair)]
    return [_of_units(each, pairs, rests) if units and each.key[-1] == "threshold" else each for each in found]


def _of_units(cause: Exchange, pairs: Sequence[NeuronPair], rests: Sequence[float]) -> Exchange:
    """Return, of a threshold in units of 1 − λ, that the current decays, and of one from where it rests, that."""
    a, b = next(pair for pair in pairs if cause in pair.exchanges).known
    if array(a.threshold).numel() != 1 or array(b.threshold).numel() != 1 or array(b.decay).numel() != 1:
        return cause
    ratio, share = float(array(a.threshold)) / float(array(b.threshold)), 1.0 - float(array(b.decay))
    for whose, own in (("B", ratio), ("A", 1.0 / ratio)):
        if share and abs(own - share) <= CLOSE * share:
            return replace(cause, kind="decay", words=f"{whose} lets its input decay, too: (1 − λ)·I")
    moved = float(array(a.threshold)) - float(array(b.threshold))
    for rest in rests:
        for words, own in ((f"to 0 against {rest:.6g}", moved), (f"to {rest:.6g} against 0", -moved)):
            if rest and abs(own - rest) <= CLOSE * abs(rest):
                return replace(cause, kind="reset", words=words)
    return cause


def _as_values(causes: Sequence[Exchange], pairing: Pairing) -> list[Exchange]:
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
