"""The words of a certificate's records (checking/kernel/records.py), and numbers short enough for them."""

from collections.abc import Iterable, Sequence

from ..kernel.invariants import InvariantNode
from ..kernel.numbers import GRID, ONE, Box
from ..kernel.potentials import Potential
from ..kernel.tables import PairNode, Train
from ..kernel.whole import WholeNode

SHORT = 44
"""Bits behind the point of intervals and potentials."""


def near(value: float, bits: int = 36) -> int:
    """Return a number of the grid next to a float."""
    return round(value * (1 << bits)) << GRID - bits


def onto_grid(value: float) -> int:
    """Return the number of the grid at or below a float."""
    numerator, denominator = float(value).as_integer_ratio()
    return (numerator << GRID) // denominator


def lower(value: int, bits: int = SHORT) -> int:
    """Return a number at or below one of the grid, with fewer bits behind the point."""
    return value >> GRID - bits << GRID - bits


def upper(value: int, bits: int = SHORT) -> int:
    """Return a number at or above one of the grid, with fewer bits behind the point."""
    return -lower(-value, bits)


def word(value: int) -> str:
    """Return a number of the grid."""
    if value == 0:
        return "0"
    spare = min(GRID, (value & -value).bit_length() - 1)
    bits = GRID - spare
    return f"{value >> spare:x}p{bits}" if bits else f"{value >> spare:x}"


def words(values: Iterable[int]) -> str:
    """Return numbers of the grid."""
    return " ".join(map(word, values))


def table(place: int, rows: Sequence[tuple[Train, Box]], between: str = "") -> str:
    """Return the record of a table."""
    return f"table {place} " + " ".join(f"{between.join(map(str, train))} {words(box)}" for train, box in rows)


def graph(place: int, j: int, levels: list[list[InvariantNode]]) -> str:
    """Return the record of an invariant."""
    nodes = [
        f"{word(n.low)} {word(n.high)} {n.parent} {n.silent} {n.spike} {_listed(n.cuts)} {_taken(n)}"
        for level in levels
        for n in level
    ]
    return f"graph {place} {j} {' '.join(str(len(level)) for level in levels)} {' '.join(nodes)}"


def states(place: int, j: int, levels: list[list[WholeNode]]) -> str:
    """Return the record of an invariant of a whole neuron."""
    nodes = [
        f"{words(x * ONE for x in (n.low, n.high, *n.synapse))} {n.parent} {_listed(n.targets)} {_listed(n.cuts)}"
        for level in levels
        for n in level
    ]
    return f"graph {place} {j} {' '.join(str(len(level)) for level in levels)} {' '.join(nodes)}"


def pair(place: int, one: int, two: int, levels: list[list[PairNode]]) -> str:
    """Return the record of what two neurons cost together."""
    nodes = [
        " ".join(f"{word(n.low)} {word(n.high)} {words(n.taken or ())}" for n in node.sides)
        + f" {' '.join(map(str, node.targets))}"
        for level in levels
        for node in level
    ]
    return f"pair {place} {one} {two} {' '.join(str(len(level)) for level in levels)} {' '.join(nodes)}"


def _listed(values: Sequence[int]) -> str:
    return " ".join(map(str, (len(values), *values)))


def _taken(node: InvariantNode) -> str:
    return "0" if node.taken is None else f"1 {words(node.taken)}"


def potential(place: int, j: int, prices: Sequence[int], levels: list[list[Potential]]) -> str:
    """Return the record of a neuron's potentials."""
    parts = [f"potential {place} {j} {words(prices)}"]
    for level in levels:
        for found in level:
            pieces = " ".join(words(piece) for piece in found.pieces)
            hints = [
                f"{len(each)} " + " ".join(f"{i} {word(m)}" for i, m in each)
                for each in (found.silent, found.spike)
            ]
            parts.append(f"{len(found.pieces)} {pieces} {' '.join(hints)}")
    return " ".join(parts)


def narrowing(place: int, bounds: Iterable[tuple[int, int, dict[int, int]]]) -> str:
    """Return the record of multipliers."""
    told = [
        f"{m} {sign} {len(slabs)} " + " ".join(f"{k} {word(nu)}" for k, nu in slabs.items())
        for m, sign, slabs in bounds
    ]
    return f"narrow {place} {' '.join(told)}"
