"""Rule P: claimed potentials of one neuron are feasible, so Σ A·s − Σ μ·I is at least that of the start.

Each node has π(u) = min_i (a_i + b_i·u). For each move and *each* piece j of the target the certificate names a
piece i here and a multiplier m, and

    min over u, I, |δ| ≤ extra of  A·s − μ·I + a_j + b_j·u' − a_i − b_i·u + m·(v − end(m))  ≥  0,

where v = λ·u + a·I + δ and end(m) is the upper end of the move's part of V for m > 0, the lower one for m < 0
(Farkas: v lies there, so the last term is never positive and any m is sound). Where the neuron rests, v and u' are
0, and m and b_j count for nothing. So π(u) ≤ A·s − μ·I + π'(u') on each move, and π' ≤ 0 at the end. It is one sum
of `least`s. Linear pieces make F6 exact: a piece is "the next spike is at t'". Of whole neurons, whose
steps are no such sums, potentials are numbers: b = 0 and m = 0, and neither u nor v is left.
"""

from typing import NamedTuple

from ..refusal import Refused
from ..work import spend
from .invariants import Invariant, InvariantMove
from .neurons import KernelNeuron
from .numbers import GRID, least

Piece = tuple[int, int]
Hints = list[tuple[int, int]]


class Potential(NamedTuple):
    """A node's pieces (a, b), and for each piece of the targets of silence and of a spike (piece here, m)."""

    pieces: list[Piece]
    silent: Hints
    spike: Hints


END = Potential([(0, 0)], [], [])
RISE = 48
"""Operations that a piece takes at a move."""


def feasible(
    neuron: KernelNeuron,
    invariant: Invariant,
    costs: list[int],
    prices: list[int],
    potentials: list[list[Potential]],
    whole: bool = False,
) -> int:
    """Return the bound that potentials prove.

    Args:
        neuron, invariant: whose runs they are about.
        costs, prices: A and μ, (T,) each.
        potentials: of each node of each level but the last.
        whole: whether the neuron is a whole one.

    Raises:
        Refused: where they are not feasible.
    """
    levels, steps = [*potentials, [END] * len(invariant.levels[-1])], len(costs)
    for t in range(steps):
        for index, moves in enumerate(invariant.moves[t]):
            for move in moves or ():
                here, later = levels[t][index], levels[t + 1][move.target].pieces
                hints = here.spike if move.spike else here.silent
                if not later or len(hints) != len(later):
                    raise Refused(f"step {t + 1}: a potential has a piece without a way")
                if whole and any(slope for _, slope in (*here.pieces, *later, *hints)):
                    raise Refused(f"step {t + 1}: a potential of a whole neuron has a slope")
                spend(RISE * len(later))
                node, price = invariant.levels[t][index], prices[t]
                u, own = (node.low, node.high), here.pieces
                for piece, (i, multiplier) in zip(later, hints, strict=True):
                    left = rise(neuron, invariant, t, u, move, piece, own[i], multiplier, price)
                    if left + (costs[t] * move.spike << 2 * GRID) < 0:
                        raise Refused(f"step {t + 1}: a potential is not feasible")
    start = levels[0][0].pieces
    if not start:
        raise Refused("a potential has no piece at the start")
    return min(a for a, _ in start)


def rise(
    neuron: KernelNeuron,
    invariant: Invariant,
    t: int,
    u: tuple[int, int],
    move: InvariantMove,
    later: Piece,
    here: Piece,
    multiplier: int,
    price: int,
) -> int:
    """Return the least of −μ·I + a_j + b_j·u' − a_i − b_i·u + m·(v − end), over 2^(3·GRID)."""
    const, slope = later if neuron.keeps(move.spike) and not move.rests else (later[0], 0)
    multiplier = 0 if move.rests else multiplier
    gain = slope + multiplier
    value = (const - here[0] << 2 * GRID) - (slope * neuron.shift(move.spike) << GRID)
    value -= (multiplier * move.part[multiplier > 0] << GRID) + (
        abs(slope) * neuron.lost(move.spike, move.part) << GRID
    )
    value += least(gain * neuron.decay - (here[1] << GRID), u)
    value += least(gain * neuron.scale[t] - (price << GRID), invariant.boxes[t])
    return value - (abs(gain) * invariant.extra << GRID)
