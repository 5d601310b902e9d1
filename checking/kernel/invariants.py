"""Rules I and W: a claimed invariant of one neuron is inductive, so every run of it stays within.

Nodes at level t are intervals of u[t]; a run is in some node at each level. From u in [lo, hi] and the exact
current in its box, v lies in V = λ·[lo, hi] + a·box ± extra; silence takes V ∩ (−∞, θ⁺] to the node that the
certificate names, a spike what the reset leaves of V ∩ [θ⁻, ∞). Both must lie in the nodes' intervals (induction
over time; proofs/Theorem.v).

A node that a spike leads to rests as long as the neuron does behind one: from it v is 0, less than θ, so silence
alone is possible, u stays 0, and the next node rests a step less. Each node is entered at one count of such steps.
What spikes raise θ by is known by itself: behind a node A lies in the hull of what it is on all moves that lead
there.

W (F5). A node that names a parent is entered from it alone, in silence. Along such a chain from level a, u[t] =
λ^(t−a)·u[a] + Σ λ^(t−k)·a[k]·I[k] ± extra·Σ λ^k, so V may be cut by the chain's earlier intervals and what is
known of the window's sum: of one train of a neuron before, not of one spike after the other.

C (F9). A node may also claim an interval of Y[t] = d·Σ_{k≤t} λ^(t−k)·s[k], what the spikes of a neuron that
subtracts took. With L[t] = Σ_{k≤t} λ^(t−k)·a[k]·I[k], u is within E[t] of L − Y, E[t+1] = λ·E[t] + extra + lost:
by induction, for v = λ·u + a·I + δ and u = v − d·s within lost. So V may be cut by L − λ·Y, and Y behind a move by
L − u.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..refusal import Refused
from ..work import spend
from .neurons import KernelNeuron
from .numbers import ONE, Box, scaled, times

NODE = 128
"""Operations that a node takes."""


class InvariantNode(NamedTuple):
    """An interval of u; indices of nodes at the level before and of those that follow; −1: none.

    Attributes:
        low, high: of u.
        parent: the only node from which, in silence, this one is entered.
        silent, spike: where silence and a spike lead.
        cuts: how many steps back along parents windows begin that cut V.
        taken: of Y, where that is claimed.
    """

    low: int
    high: int
    parent: int
    silent: int
    spike: int
    cuts: tuple[int, ...]
    taken: Box | None = None


class InvariantMove(NamedTuple):
    """Silence or a spike, the part of V that is so, and the node to which it leads; whether the neuron rests."""

    spike: int
    part: Box
    target: int
    rests: bool = False


@dataclass(frozen=True)
class Invariant:
    """A checked one: levels, the moves of each node (None: no run comes there), currents, δ's size, spikes."""

    levels: list[list[InvariantNode]]
    moves: list[list[list[InvariantMove] | None]]
    boxes: list[Box]
    extra: int
    bits: tuple[Box, ...]

    @property
    def empty(self) -> bool:
        """Return whether no run is left."""
        return any(not possible and certain for certain, possible in self.bits)


def along(invariant: Invariant, first: int, factors: Sequence[Box]) -> Box:
    """Return what Σ factors[k − first]·s[k] lies between over all runs of an invariant, move by move."""
    ends = {index: (0, 0) for index, moves in enumerate(invariant.moves[first]) if moves is not None}
    for t, (least, most) in enumerate(factors, start=first):
        ahead: dict[int, Box] = {}
        spend(16 * len(ends))
        for index, (low, high) in ends.items():
            for spike, _, target, _ in invariant.moves[t][index] or ():
                one, two = low + spike * least, high + spike * most
                old = ahead.get(target, (one, two))
                ahead[target] = min(old[0], one), max(old[1], two)
        ends = ahead
    return min(low for low, _ in ends.values()), max(high for _, high in ends.values())


@dataclass(frozen=True)
class Driven:
    """What is known of one neuron's current.

    Attributes:
        neuron: its constants.
        boxes: of the exact I[t].
        error: how far the run's may be from it.
        window: of (a, t), what Σ_{a<k≤t} λ^(t−k)·a[k]·I[k] lies between.
        bits: what splits say of its spikes.
    """

    neuron: KernelNeuron
    boxes: list[Box]
    error: int
    window: Callable[[int, int], Box]
    bits: tuple[Box, ...]

    @property
    def reach(self) -> int:
        """Return a bound of |a·Î|."""
        size = max(max(map(abs, box)) for box in self.boxes) + self.error
        return times(self.steepest, size)[1]

    @property
    def steepest(self) -> int:
        """Return the greatest |a|."""
        return max(map(abs, self.neuron.scale))

    def extra(self, potential: int) -> int:
        """Return how far v may be from λ·u + a·I, for |u| up to this."""
        return times(self.steepest, self.error)[1] + self.neuron.slip(potential, self.reach)


def inductive(driven: Driven, levels: list[list[InvariantNode]]) -> Invariant:
    """Return a certificate's invariant.

    Raises:
        Refused: where it does not hold the start, or is not inductive.
    """
    steps = len(driven.boxes)
    if len(levels) != steps + 1 or not levels[0] or not levels[0][0].low <= 0 <= levels[0][0].high:
        raise Refused("an invariant does not hold the start, or has other steps")
    balance = SpikeBalance.of(driven, levels)
    moves: list[list[list[InvariantMove] | None]] = []
    chains: dict[int, list[Box]] = {0: []}
    bits, rests, raised = [], {0: 0}, {0: (0, 0)}
    for t, level in enumerate(levels[:-1]):
        here, ahead, later = dict[int, list[InvariantMove]](), dict[int, list[Box]](), dict[int, int]()
        climbed = dict[int, Box]()
        for index, chain in chains.items():
            node = level[index]
            spend(NODE + 16 * len(chain))
            chain = [*chain, (node.low, node.high)]
            left = rests[index]
            span = (0, 0) if left else balance.cut(t, node, reached(driven, t, node, chain, balance.extra))
            parts = driven.neuron.parts(*span, raised[index]) if span[0] <= span[1] else ()
            here[index] = _moves(driven, balance, t, node, parts, levels[t + 1], index, left > 0)
            for move in here[index]:
                rest = driven.neuron.rest if move.spike else max(left - 1, 0)
                if later.setdefault(move.target, rest) != rest:
                    raise Refused(f"step {t + 1}: a node is entered with {rest} steps of rest, and with others")
                low, high = driven.neuron.raised(raised[index], move.spike)
                old = climbed.get(move.target, (low, high))
                climbed[move.target] = min(old[0], low), max(old[1], high)
                ahead[move.target] = chain if levels[t + 1][move.target].parent == index else []
        spikes = [move.spike for part in here.values() for move in part]
        bits.append((min(spikes, default=1), max(spikes, default=0)))
        moves.append([here.get(index) for index in range(len(level))])
        chains, rests, raised = ahead, later, climbed
    return Invariant(levels, moves, driven.boxes, balance.extra, tuple(bits))


@dataclass
class SpikeBalance:
    """What came in and what spikes took (rule C).

    Attributes:
        driven: the neuron.
        extra: δ's size.
        loose: E[t], for each level.
    """

    driven: Driven
    extra: int
    loose: list[int]

    @staticmethod
    def of(driven: Driven, levels: list[list[InvariantNode]]) -> "SpikeBalance":
        """Return that of a neuron whose potentials are within levels."""
        neuron, size = driven.neuron, max(max(-node.low, node.high, 0) for level in levels for node in level)
        extra = driven.extra(size)
        lost = neuron.lost(1, (0, times(neuron.decay, size)[1] + driven.reach + extra))
        loose = [0]
        for _ in driven.boxes:
            loose.append(times(neuron.decay, loose[-1])[1] + extra + lost)
        return SpikeBalance(driven, extra, loose)

    def cut(self, t: int, node: InvariantNode, span: Box) -> Box:
        """Return what L − λ·Y leaves of V at step t + 1."""
        if node.taken is None:
            return span
        if self.driven.neuron.reset == "zero" or (t == 0 and not node.taken[0] <= 0 <= node.taken[1]):
            raise Refused(f"step {t + 1}: claims what spikes took of a neuron that forgets it, or not the start")
        (low, high), taken = self.driven.window(0, t + 1), scaled(node.taken, self.driven.neuron.decay)
        return max(span[0], low - taken[1] - self.loose[t + 1]), min(span[1], high - taken[0] + self.loose[t + 1])

    def after(self, t: int, node: InvariantNode, spike: int, left: Box, came: Box | None = None) -> Box:
        """Return where Y may be behind a move that leaves u in `left`; an empty box where no run makes it.

        `came` is what L is known to be; None: all that the window allows.
        """
        assert node.taken is not None
        (low, high), taken = came or self.driven.window(0, t + 1), scaled(node.taken, self.driven.neuron.decay)
        more, loose = self.driven.neuron.shift(spike), self.loose[t + 1]
        return max(taken[0] + more, low - left[1] - loose), min(taken[1] + more, high - left[0] + loose)


def reached(driven: Driven, t: int, node: InvariantNode, chain: list[Box], extra: int) -> Box:
    """Return V at step t + 1, behind a chain of intervals of u that ends with the node's own."""
    neuron = driven.neuron
    (low, high), (least, most) = (
        scaled((node.low, node.high), neuron.decay),
        scaled(driven.boxes[t], neuron.scale[t]),
    )
    low, high = low + least - extra, high + most + extra
    for back in node.cuts:
        if not 0 < back < len(chain):
            raise Refused(f"step {t + 1}: a cut goes {back} steps back, expected less than {len(chain)}")
        spend(16 * back)
        a = t - back
        began, came = chain[-1 - back], driven.window(a, t + 1)
        power, loose = (ONE, ONE), 0
        for _ in range(back + 1):
            loose = times(neuron.decay, loose)[1] + extra
            power = times(neuron.decay, power[0])[0], times(neuron.decay, power[1])[1]
        ends = scaled(began, power[0]), scaled(began, power[1])
        low = max(low, min(end[0] for end in ends) + came[0] - loose)
        high = min(high, max(end[1] for end in ends) + came[1] + loose)
    return low, high


def _moves(
    driven: Driven,
    balance: SpikeBalance,
    t: int,
    node: InvariantNode,
    parts: Iterable[tuple[int, Box]],
    ahead: list[InvariantNode],
    index: int,
    rests: bool,
) -> list[InvariantMove]:
    found = []
    certain, possible = driven.bits[t]
    for spike, part in parts:
        image = driven.neuron.after(spike, part)
        taken = None if node.taken is None else balance.after(t, node, spike, image)
        if (spike and not possible) or (not spike and certain) or (taken is not None and taken[0] > taken[1]):
            continue
        target = node.spike if spike else node.silent
        if not 0 <= target < len(ahead):
            raise Refused(f"step {t + 1}: {'a spike' if spike else 'silence'} leads to no node")
        to = ahead[target]
        if not (_within(image, (to.low, to.high)) and (to.taken is None or (taken and _within(taken, to.taken)))):
            raise Refused(f"step {t + 1}: an invariant is not inductive")
        if to.parent != -1 and (to.parent != index or spike or rests):
            raise Refused(f"step {t + 1}: a node's parent is not the only way to it")
        found.append(InvariantMove(spike, part, target, rests))
    return found


def _within(box: Box, other: Box) -> bool:
    return other[0] <= box[0] and box[1] <= other[1]
