"""Plants that are not known exactly: matrices within a spread, and convex combinations of vertices."""

import itertools
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from ...analysis.loops.practical import Rows
from ...analysis.loops.series import float_above
from .given import rows_of

MOST_CORNERS = 1024
Pair = tuple[Rows, Rows]
"""A and B."""


def spread_of(value: Any, states: int, inputs: int) -> Pair:
    """Return by how much A and B may be off.

    Raises:
        TypeError, ValueError: for what is no two matrices of numbers of at least 0.
    """
    if not isinstance(value, Sequence) or len(value) != 2:
        raise TypeError(f"spread: got {type(value).__name__}, expected two matrices, one for A and one for B")
    found = rows_of("spread of A", value[0], states, states), rows_of("spread of B", value[1], states, inputs)
    if any(entry < 0 for rows in found for row in rows for entry in row):
        raise ValueError("spread: got a number below 0, expected moduli")
    return found


def vertices_of(value: Any, states: int, inputs: int) -> tuple[Pair, ...]:
    """Return pairs (A, B).

    Raises:
        TypeError, ValueError: for what is no sequence of pairs of matrices.
    """
    if not isinstance(value, Sequence) or any(not isinstance(pair, Sequence) or len(pair) != 2 for pair in value):
        raise TypeError(f"vertices: got {type(value).__name__}, expected pairs (A, B)")
    named = (
        (rows_of(f"vertices[{k}] A", A, states, states), rows_of(f"vertices[{k}] B", B, states, inputs))
        for k, (A, B) in enumerate(value)
    )
    return tuple(named)


def off_by(plant: Pair, spread: Pair | None, vertices: Sequence[Pair]) -> Pair | None:
    """Return how far any plant is from `plant`, entry by entry and from above; None where it is exact."""
    if spread is None and not vertices:
        return None
    parts = [_farthest(rows, [pair[place] for pair in vertices]) for place, rows in enumerate(plant)]
    if spread is None:
        return parts[0], parts[1]
    one, other = (_added(part, more) for part, more in zip(parts, spread, strict=True))
    return one, other


def corners(plant: Pair, spread: Pair | None, vertices: Sequence[Pair]) -> tuple[Pair, ...]:
    """Return the plants of which any other is a convex combination, exactly or a little farther out.

    Raises:
        ValueError: for more than `MOST_CORNERS`.
    """
    found = [plant, *vertices]
    if spread is None:
        return tuple(found)
    loose = [
        (part, i, k)
        for part, rows in enumerate(spread)
        for i, row in enumerate(rows)
        for k, entry in enumerate(row)
        if entry
    ]
    if len(found) * 2 ** len(loose) > MOST_CORNERS:
        raise ValueError(f"spread: got {len(loose)} entries that are off, expected at most {MOST_CORNERS} corners")
    return tuple(
        _moved(one, spread, dict(zip(loose, signs, strict=True)))
        for one in found
        for signs in itertools.product((1, -1), repeat=len(loose))
    )


def _moved(plant: Pair, spread: Pair, signs: dict[tuple[int, int, int], int]) -> Pair:
    """Return one corner, each moved entry rounded away from the plant."""
    first, last = (
        tuple(
            tuple(_beyond(entry, signs.get((part, i, k), 0), spread[part][i][k]) for k, entry in enumerate(row))
            for i, row in enumerate(rows)
        )
        for part, rows in enumerate(plant)
    )
    return first, last


def _beyond(entry: float, sign: int, far: float) -> float:
    if sign == 0:
        return entry
    return sign * float_above(sign * Fraction(entry) + Fraction(far))


def _farthest(rows: Rows, others: Sequence[Rows]) -> Rows:
    return tuple(
        tuple(
            float_above(max((abs(Fraction(o[i][k]) - Fraction(entry)) for o in others), default=Fraction(0)))
            for k, entry in enumerate(row)
        )
        for i, row in enumerate(rows)
    )


def _added(one: Rows, other: Rows) -> Rows:
    return tuple(
        tuple(float_above(Fraction(a) + Fraction(b)) for a, b in zip(row, more, strict=True))
        for row, more in zip(one, other, strict=True)
    )
