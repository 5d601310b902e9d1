"""Rule Z: neurons of whole numbers, exactly: no allowance, and nothing that a chip would wrap.

State (w, u) of a run of one neuron, both whole; decays f and g are slow and monotone, f(x) ≤ f(x + 1) ≤ f(x) + 1.

Steps. For w in [L, U] and a current c in [l, h], all whole, the potential f(w) + c lies in [f(L) + l, f(U) + h],
that of a neuron that goes towards its drive d, d + f(w − d), in [l + f(L − l), h + f(U − h)], for both grow with
each part: of d the latter is d − 1 + f(w − d + 1) ≤ d + f(w − d), f being slow. To cut at the ends of a width, and
to cut a part of it out (v ≥ θ₁ + (n − 1)θ, and below the next such number unless n is the most) keeps intervals.
The same holds of u. Behind n spikes w = 0, v − nθ or v. A sum of currents beyond its width, or a potential
beyond one that wraps, is refused wherever a claimed node may have it, so no run that is spoken of wraps
(proofs/Whole.v: `image`, `towards`, `clamped`, `parts`).

Invariants. Nodes at level t are intervals of w and of u, with a target for each number of spikes; a run is in some
node at each level, as in rule I: induction over time. Nodes that rest are counted as there.

W. Along silence from a parent on, of neurons without a synapse, v = Σ λ^(t−k)·a·c[k] + λ^(t−a)·w[a] + ρ with
|ρ| ≤ Σ λ^k, for |f(x) − λ·x| < 1: rule W cuts V before the width does. No node behind a potential that the width
may have cut has a parent.

Tables. Under a constant current whole currents p ≤ q that give one train give it together with all between: by
induction over steps their states have the same spikes behind them, grow with the current, and so do the spikes at
the next step. So each row is run at its two ends, and rows must leave no whole current out.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from ..network.integers import IntegerNeuron
from ..refusal import Refused
from ..work import spend
from .invariants import NODE, Driven, Invariant, InvariantMove, InvariantNode, reached
from .neurons import KernelNeuron
from .numbers import GRID, ONE, Box, common, exactly
from .tables import CheckedTable, Train


@dataclass(frozen=True)
class WholeNeuron:
    """What a step of whole neurons may do.

    Attributes:
        own: the constants of a model file.
    """

    own: IntegerNeuron

    @property
    def real(self) -> KernelNeuron:
        """Return the real neuron from which this one strays by less than 1 a step: rule W alone asks for it."""
        own, decay = self.own, exactly(self.own.leak.share, "a decay")
        scale = (ONE - decay if own.towards else ONE,) * own.steps
        ends = own.threshold * ONE, (own.first - 1) * ONE, own.first * ONE
        return KernelNeuron(decay, *ends, own.reset, scale, False, 0, 0 if decay == ONE else ONE, own.rest)

    def driven(self, u: Box, currents: Box) -> Box:
        """Return where u is behind a step.

        Raises:
            Refused: where a sum of currents may wrap.
        """
        g, (low, high) = self.own.synapse, currents
        if g is not None:
            before = u if self.own.decays_last else (g.of(u[0]), g.of(u[1]))
            low, high = before[0] + low, before[1] + high
        if max(-low, high) > self.own.current_top:
            raise Refused(f"a sum of currents may pass {self.own.current_top}, where a chip would wrap")
        return (g.of(low), g.of(high)) if g is not None and self.own.decays_last else (low, high)

    def potential(self, w: Box, drive: Box) -> Box:
        """Return where v is, before the width cuts it."""
        f = self.own.leak.of
        if self.own.towards:
            return drive[0] + f(w[0] - drive[0]), drive[1] + f(w[1] - drive[1])
        return f(w[0]) + drive[0], f(w[1]) + drive[1]

    def held(self, v: Box) -> Box:
        """Return what the width leaves of potentials.

        Raises:
            Refused: where one may wrap.
        """
        low, high = self.own.bottom, self.own.top
        if self.own.wraps and not low <= v[0] <= v[1] <= high:
            raise Refused(f"a potential may leave {low} to {high}, where a chip would wrap")
        return min(max(v[0], low), high), max(min(v[1], high), low)

    def counts(self, v: Box) -> Iterator[tuple[int, Box]]:
        """Yield each number of spikes that potentials may have, with the part of them that has it."""
        theta, most, start = self.own.threshold, self.own.most, self.own.first - self.own.threshold
        low, high = (min(max((end - start) // theta, 0), most) for end in v)
        for n in range(low, high + 1):
            first, last = start + n * theta if n else v[0], start + (n + 1) * theta - 1 if n < most else v[1]
            yield n, common(v, (first, last))

    def after(self, n: int, part: Box) -> Box:
        """Return where w is behind so many spikes."""
        if n and self.own.reset == "zero":
            return 0, 0
        less = n * self.own.threshold if self.own.reset == "subtract" else 0
        return part[0] - less, part[1] - less

    def run(self, current: int) -> Train:
        """Return the train of a constant whole current.

        Raises:
            Refused: where it wraps.
        """
        w, u, left, train = (0, 0), (0, 0), 0, list[int]()
        for _ in range(self.own.steps):
            u = self.driven(u, (current, current))
            v = (0, 0) if left else self.held(self.potential(w, u))
            ((n, part),) = self.counts(v)
            w, left = self.after(n, part), self.own.rest if n else max(left - 1, 0)
            train.append(n)
        return tuple(train)


class WholeNode(NamedTuple):
    """An interval of w, one of u; the only node from which, in silence, it is entered, or −1; where counts lead.

    `cuts` are how many steps back along parents windows begin that cut V.
    """

    low: int
    high: int
    synapse: Box
    parent: int
    targets: tuple[int, ...]
    cuts: tuple[int, ...]


def onto_whole(box: Box) -> Box:
    """Return the whole numbers of a box of the grid."""
    return -(-box[0] >> GRID), box[1] >> GRID


def inductive_whole(neuron: WholeNeuron, driven: Driven, levels: list[list[WholeNode]]) -> Invariant:
    """Return a certificate's invariant of a neuron.

    Raises:
        Refused: where it does not hold the start, is not inductive, or a number may wrap.
    """
    steps = len(driven.boxes)
    if driven.error or len(levels) != steps + 1 or not levels[0]:
        raise Refused("an invariant has other steps, or currents that round")
    if not (_within((0, 0), levels[0][0][:2]) and _within((0, 0), levels[0][0].synapse)):
        raise Refused("an invariant does not hold the start")
    moves, bits = list[list[list[InvariantMove] | None]](), list[Box]()
    chains, rests = dict[int, list[Box]]({0: []}), {0: 0}
    for t, level in enumerate(levels[:-1]):
        here, ahead, later = dict[int, list[InvariantMove]](), dict[int, list[Box]](), dict[int, int]()
        for index, chain in chains.items():
            node = level[index]
            spend(NODE + 16 * len(chain))
            chain = [*chain, (node.low * ONE, node.high * ONE)]
            here[index] = _moves(driven, neuron, t, node, chain, rests[index] > 0, levels[t + 1], index)
            for move in here[index]:
                rest = neuron.own.rest if move.spike else max(rests[index] - 1, 0)
                if later.setdefault(move.target, rest) != rest:
                    raise Refused(f"step {t + 1}: a node is entered with {rest} steps of rest, and with others")
                ahead[move.target] = chain if levels[t + 1][move.target].parent == index else []
        spikes = [move.spike for part in here.values() for move in part]
        bits.append((min(spikes, default=1), max(spikes, default=0)))
        moves.append([here.get(index) for index in range(len(level))])
        chains, rests = ahead, later
    return Invariant(levels, moves, driven.boxes, 0, tuple(bits))  # pyright: ignore[reportArgumentType]


def _moves(
    driven: Driven,
    neuron: WholeNeuron,
    t: int,
    node: WholeNode,
    chain: list[Box],
    rests: bool,
    ahead: list[WholeNode],
    index: int,
) -> list[InvariantMove]:
    currents, found = onto_whole(driven.boxes[t]), list[InvariantMove]()
    if currents[0] > currents[1]:
        return found
    drive = neuron.driven(node.synapse, currents)
    free = (0, 0) if rests else cut_whole(driven, neuron, t, node.cuts, chain, neuron.potential(node[:2], drive))
    if free[0] > free[1]:
        return found
    v = neuron.held(free)
    certain, possible = driven.bits[t]
    for n, part in neuron.counts(v):
        if not certain <= n <= possible:
            continue
        target = node.targets[n] if n < len(node.targets) else -1
        if not 0 <= target < len(ahead):
            raise Refused(f"step {t + 1}: {n} spikes lead to no node")
        to = ahead[target]
        if not (_within(neuron.after(n, part), to[:2]) and _within(drive, to.synapse)):
            raise Refused(f"step {t + 1}: an invariant is not inductive")
        if to.parent != -1 and (to.parent != index or n or rests or v != free):
            raise Refused(f"step {t + 1}: a node's parent is not the only way to it, or a width may cut there")
        found.append(InvariantMove(n, part, target, rests))
    return found


def cut_whole(
    driven: Driven, neuron: WholeNeuron, t: int, cuts: tuple[int, ...], chain: list[Box], free: Box
) -> Box:
    """Return what windows along a chain of parents leave of potentials (W)."""
    if not cuts:
        return free
    if neuron.own.synapse is not None:
        raise Refused(f"step {t + 1}: cuts potentials by windows of what a synapse keeps")
    node = InvariantNode(*chain[-1], -1, -1, -1, cuts)
    return common(free, onto_whole(reached(driven, t, node, chain, driven.neuron.tiny)))


def checked_whole(neuron: WholeNeuron, rows: Iterable[tuple[Train, Box]], currents: Iterable[Box]) -> CheckedTable:
    """Return the table of a certificate, rows of whole currents.

    Raises:
        Refused: where a row has other trains at its ends, a whole current has no row, or one wraps.
    """
    boxes, rows = list(map(onto_whole, currents)), list(rows)
    low, high = min(low for low, _ in boxes), max(high for _, high in boxes)
    ends = [onto_whole(box) for _, box in rows]
    for (first, last), (train, _) in sorted(zip(ends, rows, strict=True)):
        spend(NODE * 2 * len(train))
        if not first <= last or neuron.run(first) != train or neuron.run(last) != train:
            raise Refused(f"table: currents {first} to {last} have another train than is claimed")
        if first > low:
            raise Refused(f"table: current {low} has no row")
        low = max(low, last + 1)
    if low <= high:
        raise Refused(f"table: current {low} has no row")
    return CheckedTable(tuple(train for train, _ in rows), tuple((a * ONE, b * ONE) for a, b in ends))


def _within(box: Box, other: tuple[int, ...]) -> bool:
    return other[0] <= box[0] and box[1] <= other[1]
