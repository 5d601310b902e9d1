"""Rule T (F1): each train that a neuron may have under a constant current, with currents that hold all that give
it.

A branch is a train so far and the currents [p, q] that may give it: u − α·I lies in [y⁻, y⁺] for each of them. A
step makes that λ·α + a and λ·y ± slip, θ cuts [p, q], and at the end the certificate's row must hold what is left.
Wrong rows can only be too narrow or missing, which is refused; a train may have several. After a hard reset the
run starts anew from 0; where a is the same at each step it repeats itself bit by bit, so a first spike decides the
train (proofs/Theorem.v). Behind a spike a neuron that rests is silent at v = 0 for so many steps, whatever the
current is, and then starts anew.

Rule D (F9b): what two neurons of a layer cost together, which read the same spikes.

Nodes at level t are intervals of u[t] and Y[t] of both neurons (rules I and C; Y: what spikes took); a run is in
some node at each level. From a node, spikes (s_y, s_k) need v of each neuron in the part of its V that is so. As v
is within E of L − λ·Y, that confines what came in, L_y and L_k; their difference L_y − L_k is one sum over the
layers before, known to lie in a strip [p, q]; so each L is cut by the other one, and with it V, u and Y. Where
nothing is left, no run makes the move; else what is left must lie in the node that the certificate names for these
spikes (induction over time). Every run is a path of such moves, so Σ A_y·s_y + A_k·s_k is at least the cheapest.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

from ..refusal import Refused
from ..work import spend
from .invariants import NODE, Driven, InvariantNode, SpikeBalance, reached
from .neurons import KernelNeuron
from .numbers import GRID, Box, common, scaled, times

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


Sides = tuple[InvariantNode, InvariantNode]


class PairNode(NamedTuple):
    """What both neurons' potentials and spikes' shares are; where (0, 0), (0, 1), (1, 0), (1, 1) lead, or −1."""

    sides: Sides
    targets: tuple[int, int, int, int]


class PairMove(NamedTuple):
    """Spikes of both neurons, and what is left of u and Y of each behind the step."""

    spikes: tuple[int, int]
    ends: tuple[tuple[Box, Box], tuple[Box, Box]]


class _PairWay(NamedTuple):
    """Silence or a spike of one neuron, the part of V that is so, and what came in then."""

    spike: int
    part: Box
    came: Box


def moves(balances: list[SpikeBalance], t: int, sides: Sides, strip: Box) -> Iterator[PairMove]:
    """Yield the moves of a node at step t + 1.

    Args:
        balances: of both neurons.
        t: steps that are done.
        sides: what the node holds of each.
        strip: where L_y − L_k lies behind the step.
    """
    spend(4 * NODE)
    ways = [list(_ways(balance, t, node)) for balance, node in zip(balances, sides, strict=True)]
    for one, two in product(*ways):
        first = common(one.came, (two.came[0] + strip[0], two.came[1] + strip[1]))
        second = common(two.came, (one.came[0] - strip[1], one.came[1] - strip[0]))
        ends = [
            _left(balance, t, node, way, came)
            for balance, node, way, came in zip(balances, sides, (one, two), (first, second), strict=True)
        ]
        if ends[0] is not None and ends[1] is not None:
            yield PairMove((one.spike, two.spike), (ends[0], ends[1]))


def cheapest(
    pair: tuple[Driven, Driven], strips: list[Box], costs: list[list[int]], levels: list[list[PairNode]]
) -> int:
    """Return the least Σ A_y·s_y + A_k·s_k over the paths of a certificate's nodes.

    Args:
        pair: what is known of both neurons.
        strips: where L_y − L_k lies behind each step.
        costs: A_y and A_k, (T,) each.
        levels: T + 1 of them.

    Raises:
        Refused: where the nodes do not hold the start, or are not inductive.
    """
    if (
        len(levels) != len(strips) + 1
        or not levels[0]
        or not all(n.low <= 0 <= n.high for n in levels[0][0].sides)
    ):
        raise Refused("a pair does not hold the start, or has other steps")
    if any(driven.neuron.raises for driven in pair):
        raise Refused("a pair's thresholds rise: what they are is not known of both at once")
    own = [[[node.sides[i] for node in level] for level in levels] for i in range(2)]
    balances = [SpikeBalance.of(driven, each) for driven, each in zip(pair, own, strict=True)]
    paid = {0: 0}
    for t, strip in enumerate(strips):
        ahead = dict[int, int]()
        for index, so_far in paid.items():
            node = levels[t][index]
            for move in moves(balances, t, node.sides, strip):
                target = _target(t, node, move, levels[t + 1])
                cost = so_far + sum(cost[t] * spike for cost, spike in zip(costs, move.spikes, strict=True))
                ahead[target] = min(ahead.get(target, cost), cost)
        paid = ahead
    if not paid:
        raise Refused("no run of the pair is left: a pair bounds nothing here")
    return min(paid.values())


def _ways(balance: SpikeBalance, t: int, node: InvariantNode) -> Iterator[_PairWay]:
    driven, (certain, possible) = balance.driven, balance.driven.bits[t]
    low, high = balance.cut(t, node, reached(driven, t, node, [], balance.extra))
    for spike, part in driven.neuron.parts(low, high, (0, 0)) if low <= high else ():
        if certain <= spike <= possible:
            took = _took(balance, node)
            came = part[0] + took[0] - balance.loose[t + 1], part[1] + took[1] + balance.loose[t + 1]
            yield _PairWay(spike, part, common(came, driven.window(0, t + 1)))


def _left(balance: SpikeBalance, t: int, node: InvariantNode, way: _PairWay, came: Box) -> tuple[Box, Box] | None:
    """Return u and Y behind the step, given what came in; None where no run makes it."""
    took, loose = _took(balance, node), balance.loose[t + 1]
    part = common(way.part, (came[0] - took[1] - loose, came[1] - took[0] + loose))
    if came[0] > came[1] or part[0] > part[1]:
        return None
    left = balance.driven.neuron.after(way.spike, part)
    taken = balance.after(t, node, way.spike, left, came)
    return (left, taken) if taken[0] <= taken[1] else None


def _target(t: int, node: PairNode, move: PairMove, ahead: list[PairNode]) -> int:
    target = node.targets[2 * move.spikes[0] + move.spikes[1]]
    if not 0 <= target < len(ahead):
        raise Refused(f"step {t + 1}: spikes {move.spikes} of a pair lead to no node")
    for (left, taken), to in zip(move.ends, ahead[target].sides, strict=True):
        if common(left, (to.low, to.high)) != left or to.taken is None or common(taken, to.taken) != taken:
            raise Refused(f"step {t + 1}: a pair is not inductive")
    return target


def _took(balance: SpikeBalance, node: InvariantNode) -> Box:
    """Return λ·Y."""
    if node.taken is None:
        raise Refused("a pair's node does not say what spikes took")
    return scaled(node.taken, balance.driven.neuron.decay)
