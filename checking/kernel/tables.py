"""Rule T (F1): each train that a neuron may have under a constant current, with currents that hold all that give
it.

A branch is a train so far and the currents [p, q] that may give it: u − α·I lies in [y⁻, y⁺] for each of them. A
step makes that λ·α + a and λ·y ± slip, θ cuts [p, q], and at the end the certificate's row must hold what is left.
Wrong rows can only be too narrow or missing, which is refused; a train may have several. After a hard reset the
run starts anew from 0; where a is the same at each step it repeats itself bit by bit, so a first spike decides the
train (proofs/Theorem.v). Behind a spike a neuron that rests is silent at v = 0 for so many steps, whatever the
current is, and then starts anew.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..refusal import Refused
from ..work import spend
from .neurons import KernelNeuron
from .numbers import GRID, Box, scaled, times

Train = tuple[int, ...]


@dataclass(frozen=True)
class CheckedTable:
    """Rows as the certificate orders them: trains, and the currents of the run that may have each."""

    trains: tuple[Train, ...]
    ends: tuple[Box, ...]


def checked(neuron: KernelNeuron, rows: Iterable[tuple[Train, Box]], currents: Iterable[Box]) -> CheckedTable:
    """Return the table of a certificate.

    Args:
        neuron: any of the layer.
        rows: as they are claimed.
        currents: where the run's currents may be, one box a neuron.

    Raises:
        Refused: where a row is missing, or too narrow.
    """
    rows, known = list(rows), defaultdict[Train, list[Box]](list)
    for train, box in rows:
        known[train].append(box)
    for train, (low, high) in followed(neuron, currents):
        if not any(row[0] <= low and high <= row[1] for row in known[train]):
            raise Refused(f"table: train {''.join(map(str, train))} is missing, or its rows are too narrow")
    if any(len(train) != len(neuron.scale) for train in known):
        raise Refused("table: has trains of another length")
    return CheckedTable(tuple(train for train, _ in rows), tuple(box for _, box in rows))


def followed(neuron: KernelNeuron, currents: Iterable[Box]) -> Iterator[tuple[Train, Box]]:
    """Yield trains, each with currents: of all these currents, those that may give it."""
    for box in _joined(currents):
        yield from _followed(neuron, (), 0, (0, 0), box)


def _joined(boxes: Iterable[Box]) -> list[Box]:
    """Return the union of intervals, as intervals apart from each other, none with both signs."""
    found: list[Box] = []
    for low, high in sorted(boxes):
        if found and low <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], high)
        else:
            found.append((low, high))
    return [half for low, high in found for half in _halves(low, high)]


def _halves(low: int, high: int) -> list[Box]:
    return [(low, 0), (0, high)] if low < 0 < high else [(low, high)]


def _followed(neuron: KernelNeuron, train: Train, alpha: int, rest: Box, box: Box) -> Iterator[tuple[Train, Box]]:
    """Yield each train that begins like this, with the currents that may give it."""
    if len(train) == len(neuron.scale):
        yield train, box
        return
    spend(64 + len(train))
    if 1 in train[len(train) - min(neuron.rest, len(train)) :]:
        yield from _followed(neuron, (*train, 0), alpha, rest, box)
        return
    most, a = max(map(abs, box)), neuron.scale[len(train)]
    size = times(abs(alpha), most)[1] + max(map(abs, rest))
    slip = neuron.slip(size, times(abs(a), most)[1])
    exact = neuron.decay * alpha
    alpha, rounded = (exact >> GRID) + a, times(1, most)[1] if exact & ((1 << GRID) - 1) else 0
    low, high = scaled(rest, neuron.decay)
    rest = low - slip - rounded, high + slip + rounded
    forced = train[len(train) % (train.index(1) + 1 + neuron.rest)] if neuron.periodic and 1 in train else None
    raised = (0, 0)
    for spike in train:
        raised = neuron.raised(raised, spike)
    most, least = neuron.limits(raised)
    if forced != 1:
        left = _cut(box, alpha, most - rest[0])
        if left is not None:
            yield from _followed(neuron, (*train, 0), alpha, rest, left)
    if forced != 0:
        left = _cut(box, -alpha, rest[1] - least)
        if left is not None:
            yield from _spiked(neuron, (*train, 1), alpha, rest, left)


def _spiked(neuron: KernelNeuron, train: Train, alpha: int, rest: Box, box: Box) -> Iterator[tuple[Train, Box]]:
    if not neuron.keeps(1):
        yield from _followed(neuron, train, 0, (0, 0), box)
        return
    size = times(abs(alpha), max(map(abs, box)))[1] + max(map(abs, rest))
    less, loose = neuron.shift(1), neuron.lost(1, (-size, size))
    yield from _followed(neuron, train, alpha, (rest[0] - less - loose, rest[1] - less + loose), box)


def _cut(box: Box, slope: int, limit: int) -> Box | None:
    """Return the currents of a box with slope·I ≤ limit, rounded outward; None where there are none."""
    low, high = box
    if slope > 0:
        high = min(high, -(-(limit << GRID) // slope))
    elif slope < 0:
        low = max(low, (limit << GRID) // slope)
    elif limit < 0:
        return None
    return (low, high) if low <= high else None
